"""A server process for asyncio; its log is read, so no polling is needed."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from tests import forks
from tests.queues.backend import Store
from tests.servers import DEADLINE, HOST, free_port, package_environment

# A folder of packages with further queue plugins.
PLUGINS = Path(__file__).with_name("plugins")


def queue_options(store: Store, queue: str = "{}") -> Iterator[str]:
    """Yield the options of a server that uses this store.

    `queue` is the name of the plugin, with {} for the name of the back end.
    """
    plugin = store.backend.plugin
    prefix = "--" if queue == "{}" else "--crash-"
    yield from ("-q", queue.format(store.backend.name))
    for option in plugin.options:
        if option.keyword in store.arguments:
            yield f"{prefix}{option.names[0]}={store.arguments[option.keyword]}"


class Forked:
    """A server by fork, with what is used of a process of asyncio."""

    def __init__(self, process: forks.Forked, stderr: asyncio.StreamReader) -> None:
        self._process = process
        self.pid = process.pid
        self.stderr = stderr
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(process.fileno(), self._end)

    @classmethod
    async def start(
        cls, words: Sequence[str], environment: Mapping[str, str], module: str
    ) -> Self:
        read, written = os.pipe()
        try:
            folder = os.getcwd()
            process = forks.server(words, environment, folder, written, module)
        finally:
            os.close(written)
        stderr = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stderr), os.fdopen(read, "rb")
        )
        return cls(process, stderr)

    def _end(self) -> None:
        self._loop.remove_reader(self._process.fileno())
        self._process.poll()
        self._ended.set()

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode


class Server:
    """A job server on a port of its own; `lines` is its log, read at these `times`."""

    def __init__(self, process: Process | Forked, port: int) -> None:
        self.process = process
        self.port = port
        self.lines: list[str] = []
        self.times: list[float] = []
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        *options: str,
        program: Sequence[str] = (),
        module: str = "",
        port: str = "",
        **variables: str,
    ) -> Self:
        """Start a server with these options and environment variables.

        It listens on a free port if none is given. It is a fork, where the system
        allows that. `module` is a program that runs the server, if it does not run
        itself. With `program`, which are arguments of Python, it is a new process.
        """
        port = port or str(free_port())
        environment = package_environment() | variables
        environment["PYTHONPATH"] += f":{PLUGINS}"
        words = ["-L", HOST, "-p", port, "-l", "stderr", *options]
        if not program and hasattr(os, "pidfd_open"):
            return cls(await Forked.start(words, environment, module), int(port))
        program = program or ("-m", module or "gearman.server")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", *program, *words),
            env=environment,
            stdin=DEVNULL,
            stderr=PIPE,
        )
        return cls(process, int(port))

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.times.append(time.time())
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
            self._news.set()
        self._news.set()

    async def ready(self) -> None:
        """Return when it accepts connections."""
        await self.says("ready (process")

    async def says(
        self, text: str, times: int = 1, patience: float | None = DEADLINE
    ) -> None:
        """Return when so many lines contain a text; raise if the log ends."""
        async with asyncio.timeout(patience):
            while self.said(text) < times:
                assert not self._reader.done(), f"it ended: {self.lines}"
                self._news.clear()
                await self._news.wait()

    def said(self, text: str) -> int:
        """Return how many lines of the log contain a text."""
        return sum(text in line for line in self.lines)

    async def kill(self) -> None:
        """End it by SIGKILL."""
        assert await self._end(signal.SIGKILL) == -signal.SIGKILL, self.lines

    async def dies(self) -> None:
        """Return when SIGALRM has ended it."""
        async with asyncio.timeout(DEADLINE):
            await self._reader
            assert await self.process.wait() == -signal.SIGALRM, self.lines

    async def stop(self) -> None:
        """Stop it gracefully."""
        assert await self._end(signal.SIGTERM) == 0, self.lines

    async def end(self) -> None:
        """Kill it if it runs."""
        await self._end(signal.SIGKILL)

    async def _end(self, number: int) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE):
            await self._reader
            return await self.process.wait()
