"""A full disk: a small file system in memory."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gearman.queue import load
from tests.queues.backend import Arguments, Backend, Store
from tests.servers import Server, ours, until
from tests.wire import Peer

from .disk import may_mount, small_disk
from .outage import survives

MEGABYTES = 64


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    if not may_mount():
        pytest.skip("mounting a small file system needs root")
    with small_disk(tmp_path, MEGABYTES):
        yield tmp_path


ARGUMENTS: dict[str, Arguments] = {
    "sqlite": {"db": "jobs.db"},
    "flatfile": {"folder": "jobs", "segment_size": 1 << 20},
}


# A build makes the same difference with both plugins.
in_each = pytest.mark.parametrize(
    "name", ["sqlite", pytest.param("flatfile", marks=pytest.mark.any_build)]
)


@in_each
def test_full_disk_loses_no_job(name, disk):
    arguments = {
        key: disk / value if isinstance(value, str) else value
        for key, value in ARGUMENTS[name].items()
    }
    store = Store(Backend(load(name), dict), arguments)
    filler = disk / "filler"

    async def fill() -> None:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    async def make_room() -> None:
        filler.unlink()

    # Finished jobs leave some room, which is sometimes enough for a commit.
    survives(store, fill, make_room, news=20)


OPTIONS = {
    "sqlite": ("-q", "sqlite", "--sqlite-db={}/jobs.db"),
    "sqlite-gearmand": (
        *("-q", "sqlite", "--sqlite-db={}/jobs.db"),
        "--queue-format=gearmand",
    ),
    "flatfile": ("-q", "flatfile", "--flatfile-dir={}/jobs"),
}


def submit(peer: Peer, size: int) -> str:
    workload = os.urandom(size)
    return peer.request("SUBMIT_JOB_BG", b"f", b"", workload).name


def finish_all(server: Server) -> int:
    """Finish all jobs, and return how many there were."""
    finished = 0
    with Peer(server.port) as worker:
        worker.send("CAN_DO", b"f")
        while (job := worker.request("GRAB_JOB")).name == "JOB_ASSIGN":
            worker.send("WORK_COMPLETE", job.arguments[0], b"")
            finished += 1
    return finished


@pytest.mark.parametrize("others", [False, True], ids=["alone", "with others"])
@in_each
def test_jobs_that_filled_the_disk_make_room_as_they_are_done(name, others, disk):
    options = [option.format(disk) for option in OPTIONS[name]]
    with ours(*options) as server, Peer(server.port) as client:
        accepted = 0
        while submit(client, 20_000) == "JOB_CREATED":
            accepted += 1
        assert accepted > MEGABYTES * 20
        if others:
            # Another program uses the rest of the disk.
            with suppress(OSError), Path(disk, "filler").open("wb", 0) as file:
                while True:
                    file.write(bytes(512))
        assert finish_all(server) == accepted
        until(lambda: submit(client, 10) == "JOB_CREATED")
        for _ in range(500):
            assert submit(client, 20_000) == "JOB_CREATED"
        assert finish_all(server) == 501
    with ours(*options) as server:
        assert finish_all(server) == 0
