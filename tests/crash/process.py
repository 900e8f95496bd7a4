"""A server process for asyncio; its log is read, so no polling is needed."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

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


class Server:
    """A job server on a port of its own; `lines` is its log, read at these `times`."""

    def __init__(self, process: Process, port: int) -> None:
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
        program: Sequence[str] = ("-m", "gearman.server"),
        port: str = "",
        **variables: str,
    ) -> Self:
        """Start a server with these options and environment variables.

        It listens on a free port if none is given.
        `program` are arguments of Python, if it does not run the server itself.
        """
        port = port or str(free_port())
        environment = package_environment() | variables
        environment["PYTHONPATH"] += f":{PLUGINS}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", *program, "-L", HOST),
            *("-p", port, "-l", "stderr", *options),
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
