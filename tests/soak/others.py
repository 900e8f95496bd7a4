"""Clients and workers as processes and by HTTP."""

import asyncio
import http.client
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

from tests.servers import DEADLINE, HOST, package_environment

from .raw import Play

LIBRARY = Path(__file__).with_name("library.py")


class Program:
    """A client or worker of the package, in a process of its own."""

    def __init__(self, play: Play, kind: str) -> None:
        self._play = play
        self._kind = kind

    async def run_client(self) -> None:
        process = await self._start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(process))
            await self._play.clients_end.wait()
            assert process.stdin is not None
            process.stdin.close()
        assert await process.wait() == 0

    async def run_worker(self) -> None:
        """Run workers one after the other, each until it is killed."""
        while not self._play.workers_end.is_set():
            process = await self._start()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(process))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._play.random.uniform(1, 4)):
                        await self._play.workers_end.wait()
                assert process.returncode is None, "it ended by itself"
                process.kill()
            assert await process.wait() == -signal.SIGKILL

    async def _start(self) -> Process:
        address = self._play.address
        return await asyncio.create_subprocess_exec(
            *(sys.executable, str(LIBRARY), self._kind, HOST, str(address.port)),
            *(address.authority, address.certificate),
            env=package_environment(),
            stdin=PIPE,
            stdout=PIPE,
        )

    async def _read(self, process: Process) -> None:
        """Record events until the process ends; end it if that fails."""
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                # A killed process may have printed half a line.
                if line.endswith(b"\n"):
                    self._note(line.split())
        except BaseException:
            await _kill(process)
            raise

    def _note(self, words: list[bytes]) -> None:
        ledger = self._play.ledger
        match words:
            case [b"ran", handle]:
                ledger.ran(handle)
            case [b"acknowledged", handle]:
                ledger.acknowledged(handle)
            case [b"submitted", number]:
                for _ in range(int(number)):
                    ledger.submitted()
            case [b"answered"]:
                ledger.answered()
            case _:
                raise AssertionError(f"the client says {words}")


async def http_caller(play: Play) -> None:
    """Submit jobs by HTTP, and sometimes hang up."""
    while not play.clients_end.is_set():
        await asyncio.to_thread(_calls, play)


def _calls(play: Play) -> None:
    """Make some calls over one connection, and record them in this thread."""
    address = play.address
    if address.tls is None:
        site = http.client.HTTPConnection(HOST, address.http, timeout=DEADLINE)
    else:
        site = http.client.HTTPSConnection(
            HOST, address.http, timeout=DEADLINE, context=address.tls
        )
    for _ in range(play.random.randint(1, 20)):
        background = play.chance(0.4)
        headers = {"X-Gearman-Background": "true"} if background else {}
        if not background:
            play.ledger.submitted()
        site.request("POST", "/soak", b"by http", headers)
        if not background and play.chance(0.05):
            play.ledger.lost(1)
            break
        answer = site.getresponse()
        assert answer.status in (200, 500), answer.status
        try:
            answer.read()
        except http.client.IncompleteRead:
            # The job has failed after a part of its result.
            play.ledger.answered()
            break
        if background:
            play.ledger.acknowledged(answer.headers["X-Gearman-Job-Handle"].encode())
        else:
            play.ledger.answered()
    site.close()


def tool() -> str | None:
    """Return the C tool, if it is installed."""
    path = shutil.which("gearman", path="/usr/bin:/usr/local/bin")
    is_program = path and not Path(path).read_bytes().startswith(b"#!")
    return path if is_program else None


async def tool_client(play: Play) -> None:
    """Submit jobs by the C tool, one after the other."""
    while not play.clients_end.is_set():
        play.ledger.submitted()
        client = await _tool(play, "-f", "soak-plain", stdin=PIPE, stdout=PIPE)
        async with asyncio.timeout(60):
            result, _ = await client.communicate(b"by the tool")
        assert (client.returncode, result) == (0, b"by the tool")
        play.ledger.answered()


async def tool_worker(play: Play) -> None:
    """Work by the C tool. It prints no handles, so it gets only foreground jobs."""
    worker = await _tool(play, "-w", "-f", "soak-plain", "cat", stdin=DEVNULL)
    try:
        await play.workers_end.wait()
        assert worker.returncode is None, "the tool has ended by itself"
    finally:
        await _kill(worker)


async def _tool(
    play: Play, *arguments: str, stdin: int, stdout: int = DEVNULL
) -> Process:
    path = tool()
    assert path is not None
    port = str(play.address.port)
    return await asyncio.create_subprocess_exec(
        *(path, "-h", HOST, "-p", port, *arguments),
        stdin=stdin,
        stdout=stdout,
        stderr=DEVNULL,
    )


async def _kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
