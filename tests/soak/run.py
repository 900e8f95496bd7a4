"""Waves of load on a server, and checks that nothing of them is left."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from tests.certificates import Authority
from tests.crash.process import Server, queue_options
from tests.crash.run import COMPLAINTS, new_store
from tests.servers import free_port

from . import others, raw
from .memory import OBSERVED, Use, leaks
from .raw import Play
from .wire import Address, Wire

FUNCTIONS = {b"soak", b"soak-plain"}
OPTIONS = ("--max-functions=1000", "--request-timeout=10", "--write-timeout=10")


class Soak:
    """A server under load. `queue` names a back end, or is empty."""

    def __init__(
        self, folder: Path, seed: int, queue: str = "", *, tls: bool, http: bool
    ) -> None:
        self._folder = folder
        self._random = Random(seed)
        self._rubbish = raw.rubbish(self._random)
        self._queue = queue
        self._tls = tls
        self._http = http
        self.counts: Counter[str] = Counter()
        # After each wave.
        self.used: list[Use] = []

    async def run(self, waves: int, seconds: float) -> None:
        """Raise AssertionError or TimeoutError if something goes wrong."""
        with ExitStack() as stack:
            options, ports_and_files = self._options(stack)
            server = await Server.start(*options, program=OBSERVED)
            try:
                await server.ready()
                address = Address(server.port, *ports_and_files)
                for _ in range(waves):
                    await self._wave(address, server, seconds)
                found = leaks(self.used)
                assert not found, found
                await server.stop()
            finally:
                await server.end()
                print(*server.lines[-20:], sep="\n")
            bad = _complaints(server.lines)
            assert not bad, "\n".join(bad)

    def _options(self, stack: ExitStack) -> tuple[list[str], tuple[Any, ...]]:
        """Return the server's options, and the parts of its address."""
        options = list(OPTIONS)
        http, tls = 0, tuple[Any, ...]()
        if self._queue:
            store = stack.enter_context(new_store(self._queue, self._folder))
            options += queue_options(store)
        if self._http:
            http = free_port()
            options += ["-r", "http", f"--http-port={http}"]
        if self._tls:
            signer = Authority(self._folder)
            options += signer.options()
            tls = signer.trust(), str(signer.path), str(signer.client)
        return options, (http, *tls)

    async def _wave(self, address: Address, server: Server, seconds: float) -> None:
        play = Play(address, self._random, self._rubbish)
        async with _together(_workers(play), play.workers_end):
            async with _together(_clients(play), play.clients_end):
                await asyncio.sleep(seconds)
            await _drained(address)
        play.ledger.check()
        self.counts += play.ledger.counts
        wire = await Wire.connect(address)
        await _emptied(wire)
        # Including this connection.
        self.used.append(await Use.of(server, len(self.used)))
        await wire.close()


def _clients(play: Play) -> list[Coroutine[Any, Any, None]]:
    players = [raw.Client(play).run() for _ in range(4)]
    players += [raw.slow_reader(play), raw.garbage(play), raw.administrator(play)]
    players.append(others.Program(play, "client").run_client())
    if play.address.http:
        players += [others.http_caller(play), others.http_caller(play)]
    if others.tool() and not play.address.tls:
        players.append(others.tool_client(play))
    return players


def _workers(play: Play) -> list[Coroutine[Any, Any, None]]:
    players = [raw.Worker(play).run() for _ in range(4)]
    players += [others.Program(play, "worker").run_worker() for _ in range(2)]
    if others.tool() and not play.address.tls:
        players.append(others.tool_worker(play))
    return players


def _complaints(lines: list[str]) -> list[str]:
    """Return the first lines of the log that report a fault of the server."""
    bad = (n for n, line in enumerate(lines) if any(c in line for c in COMPLAINTS))
    first = next(bad, None)
    return [] if first is None else lines[max(0, first - 3) : first + 40]


@asynccontextmanager
async def _together(
    players: list[Coroutine[Any, Any, None]], end: asyncio.Event
) -> AsyncIterator[None]:
    """A context in which players play."""
    async with asyncio.TaskGroup() as group:
        for player in players:
            group.create_task(player)
        yield
        end.set()


async def _drained(address: Address) -> None:
    """Return when no job is left of the functions that have workers."""
    wire = await Wire.connect(address)
    async with asyncio.timeout(120):
        while any(
            int(fields[1])
            for fields in await wire.ask_list(b"status")
            if fields[0] in FUNCTIONS
        ):
            await asyncio.sleep(0.05)
    await wire.close()


async def _emptied(wire: Wire) -> None:
    """Return when there are no other connections and no data of them is left."""
    late = time.monotonic() + 60
    while len(peers := await wire.ask_list(b"workers")) > 1:
        assert time.monotonic() < late, f"connections are left: {peers}"
        await asyncio.sleep(0.05)
    for handle, *_ in await wire.ask_list(b"show jobs"):
        answer = await wire.ask(b"cancel job " + handle)
        # A job may have expired since it was listed.
        assert answer in (b"OK\r\n", b"ERR UNKNOWN_JOB\r\n"), handle
    for handle, *_ in await wire.ask_list(b"show dead"):
        # The server keeps these for half a year.
        assert await wire.ask(b"forget job " + handle) == b"OK\r\n", handle
    status = await wire.ask_list(b"status")
    left = [it for it in status if it[1:] != [b"0"] * 3]
    assert not left, f"something is left: {left}"
    for name, *_ in status:
        # Other names may not fit in a line, or are printed with escapes.
        if name.isalnum() and len(name) < 1000:
            assert await wire.ask(b"drop function " + name) == b"OK\r\n", name


async def timed(soak: Soak, minutes: float, waves: int) -> float:
    """Run a function for so many seconds, and return how long it took."""
    began = time.monotonic()
    await soak.run(waves, minutes * 60 / waves)
    return time.monotonic() - began
