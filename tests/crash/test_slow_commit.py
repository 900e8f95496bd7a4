"""A slow back end delays only the clients that submit background jobs."""

import asyncio
import os
from contextlib import closing
from pathlib import Path

import pytest

from tests.wire import packet

from .outage import serves_others
from .players import Wire
from .process import Server

SUBMISSION = packet("SUBMIT_JOB_BG", b"f", b"", b"w")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


def opened(gate: Path) -> None:
    """Allow the next commit to begin."""
    os.close(os.open(gate, os.O_WRONLY))


async def story(gate: Path) -> None:
    options = f"--crash-sqlite-db={gate.with_name('jobs.db')}", f"--crash-gate={gate}"
    server = await Server.start("-q", "gated", *options)
    try:
        await server.ready()
        with closing(await Wire.connect(server.port)) as client:
            await client.send(SUBMISSION + packet("ECHO_REQ", b"later"))
            assert await client.receive() == ("ECHO_RES", b"later")
            for _ in range(3):
                await serves_others(server.port)
            await asyncio.to_thread(opened, gate)
            name, _ = await client.receive()
            assert name == "JOB_CREATED"
    finally:
        await server.end()


def test_others_are_served_while_a_commit_is_under_way(gate):
    asyncio.run(story(gate))
