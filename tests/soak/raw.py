"""Clients and workers that speak the protocol themselves, and hostile peers."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.write import Writer
from tests.wire import packet

from .ledger import Ledger
from .wire import Address, Wire

FUNCTION = b"soak"
BACKGROUND = ("SUBMIT_JOB_BG", "SUBMIT_JOB_HIGH_BG", "SUBMIT_JOB_LOW_BG")
FOREGROUND = ("SUBMIT_JOB", "SUBMIT_JOB_HIGH", "SUBMIT_JOB_LOW")
ENDS = ("WORK_COMPLETE", "WORK_FAIL", "WORK_EXCEPTION")
UPDATES = ("WORK_DATA", "WORK_STATUS", "WORK_WARNING")
ASSIGNMENTS = ("JOB_ASSIGN", "JOB_ASSIGN_UNIQ", "JOB_ASSIGN_ALL")

# Jobs that may wait before clients pause.
BACKLOG = 500

# For how many connections there is rubbish; some waves send all of it.
SCRIPTS = 200


@dataclass
class Play:
    """The data that the players of a wave share. Clients end before workers."""

    address: Address
    random: Random
    rubbish: Sequence[Sequence[bytes]]
    ledger: Ledger = field(default_factory=Ledger)
    clients_end: asyncio.Event = field(default_factory=asyncio.Event)
    workers_end: asyncio.Event = field(default_factory=asyncio.Event)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    async def again_and_again(
        self, play: Callable[[Wire], Awaitable[None]], end: asyncio.Event, port: int = 0
    ) -> None:
        """Play on one connection after the other."""
        while not end.is_set():
            wire = await Wire.connect(self.address, port)
            try:
                await play(wire)
            finally:
                await wire.close()


class Client:
    """Submits jobs of every kind, and checks that each is answered once."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._awaited: Counter[bytes] = Counter()
        # For each unacknowledged submission: whether it is a background job.
        self._sent: list[bool] = []

    async def run(self) -> None:
        await self._play.again_and_again(self._visit, self._play.clients_end)

    async def _visit(self, wire: Wire) -> None:
        play = self._play
        self._awaited, self._sent = Counter(), []
        await wire.send(packet("OPTION_REQ", b"exceptions"))
        while not (play.clients_end.is_set() or play.chance(0.05)):
            data = b"".join(
                self._submissions() for _ in range(play.random.randint(1, 30))
            )
            await (wire.send_slowly if play.chance(0.02) else wire.send)(data)
            while self._sent or self._awaited.total() > 20:
                await self._receive(wire)
            while len(play.ledger.open()) > BACKLOG:
                await asyncio.sleep(0.02)
        if play.chance(0.3):
            data = b"".join(self._submissions() for _ in range(5))
            await wire.send(data[: play.random.randint(1, len(data))])
            play.ledger.lost(self._awaited.total() + self._sent.count(False))
            return wire.abort()
        while self._awaited:
            await self._receive(wire)
        return None

    def _submissions(self) -> bytes:
        """Return one submission, or two with a unique whose job may just end."""
        play, chance = self._play, self._play.chance
        if chance(0.1):
            unique = b"both%d" % play.random.randrange(2)
            return self._submission(unique, True) + self._submission(unique, False)
        unique = b"u%d" % play.random.randrange(30) if chance(0.2) else b""
        return self._submission(b"-" if chance(0.05) else unique, chance(0.5))

    def _submission(self, unique: bytes, background: bool) -> bytes:
        play, chance = self._play, self._play.chance
        size = play.random.randint(10_000, 200_000) if chance(0.01) else 40
        workload = b"%d" % play.random.randrange(1000) + bytes(size)
        self._sent.append(background)
        if background and chance(0.1):
            when = b"%d" % (time.time() + play.random.randint(0, 2))
            return packet("SUBMIT_JOB_EPOCH", FUNCTION, unique, when, workload)
        if not background:
            play.ledger.submitted()
        names = BACKGROUND if background else FOREGROUND
        return packet(play.random.choice(names), FUNCTION, unique, workload)

    async def _receive(self, wire: Wire) -> None:
        name, body = await wire.receive(60)
        handle = body.partition(b"\0")[0]
        if name == "JOB_CREATED":
            if self._sent.pop(0):
                self._play.ledger.acknowledged(handle)
            else:
                self._awaited[handle] += 1
        elif name in ENDS:
            assert self._awaited[handle], f"{name} of {handle!r}, which nobody awaits"
            self._awaited[handle] -= 1
            self._awaited += Counter()
            self._play.ledger.answered()
        elif name in UPDATES:
            assert self._awaited[handle], f"{name} of {handle!r}, which nobody awaits"
        else:
            assert name == "OPTION_RES", (name, body)


class Worker:
    """Works, with pauses, and sometimes disconnects while it has a job."""

    def __init__(self, play: Play) -> None:
        self._play = play

    async def run(self) -> None:
        await self._play.again_and_again(self._visit, self._play.workers_end)

    async def _visit(self, wire: Wire) -> None:
        play = self._play
        slow = play.chance(0.1)
        timeout = b"1000" if slow else b"0"
        await wire.send(packet("CAN_DO_TIMEOUT", FUNCTION, timeout))
        while not play.workers_end.is_set():
            handle, workload = await self._grab(wire)
            if not handle:
                continue
            if play.chance(0.005):
                return wire.abort()
            if slow and play.chance(0.05):
                # Another worker has the job when this one has finished it.
                await asyncio.sleep(1.2)
            await wire.send(self._results(handle, workload))
            if play.chance(0.002):
                await wire.send(packet("RESET_ABILITIES"))
                return None
        return None

    async def _grab(self, wire: Wire) -> tuple[bytes, bytes]:
        """Return handle and workload, both empty after some time without a job."""
        await wire.send(packet(self._play.random.choice(("GRAB_JOB", "GRAB_JOB_UNIQ"))))
        while True:
            name, body = await wire.receive()
            if name in ASSIGNMENTS:
                return body.partition(b"\0")[0], body.rpartition(b"\0")[2]
            if name == "NO_JOB":
                break
            assert name in ("NOOP", "ERROR"), (name, body)
        await wire.send(packet("PRE_SLEEP"))
        try:
            await wire.receive(0.2)
        except TimeoutError:
            # The NOOP may be half read by now, so it is read to its end.
            return b"", b""
        return b"", b""

    def _results(self, handle: bytes, workload: bytes) -> bytes:
        play = self._play
        data = b""
        while play.chance(0.2):
            data += packet("WORK_DATA", handle, b"some")
            data += packet("WORK_STATUS", handle, b"1", b"2")
        play.ledger.ran(handle)
        if play.chance(0.03):
            return data + packet("WORK_FAIL", handle)
        if play.chance(0.03):
            return data + packet("WORK_EXCEPTION", handle, b"no")
        return data + packet("WORK_COMPLETE", handle, workload)


async def slow_reader(play: Play) -> None:
    """Request much data, read none of it for a while, and then all."""

    async def visit(wire: Wire) -> None:
        wire.stop_reading()
        echo = packet("ECHO_REQ", bytes(100_000))
        sending = asyncio.create_task(wire.send(echo * 60))
        await asyncio.sleep(play.random.uniform(0.2, 1.0))
        if play.chance(0.3):
            wire.abort()
            await asyncio.gather(sending, return_exceptions=True)
            return
        wire.go_on_reading()
        await sending
        for _ in range(60):
            assert await wire.receive() == ("ECHO_RES", bytes(100_000))

    await play.again_and_again(visit, play.clients_end)


def rubbish(random: Random) -> list[list[bytes]]:
    """Return data of the fuzzer: pieces to send, a list for each connection.

    It is the same in all waves. It creates functions whose names an admin line can't
    drop, and their number must not grow with each wave.
    """
    scripts = (Writer(random).script(10) for _ in range(SCRIPTS))
    return [[it[2] for it in script.steps if it[0] == "send"] for script in scripts]


async def garbage(play: Play) -> None:
    """Send rubbish, to a port of any protocol."""

    async def visit(wire: Wire) -> None:
        try:
            for data in play.random.choice(play.rubbish):
                await wire.send(data)
            await wire.read_some(0.02)
        except ConnectionError:
            return
        if play.chance(0.5):
            wire.abort()

    ports = [port for port in (play.address.port, play.address.http) if port]
    while not play.clients_end.is_set():
        end = asyncio.Event()
        asyncio.get_running_loop().call_later(1.0, end.set)
        await play.again_and_again(visit, end, play.random.choice(ports))


async def administrator(play: Play) -> None:
    """Use all listings, cancel jobs, create functions and drop them."""

    async def visit(wire: Wire) -> None:
        for line in (b"status", b"prioritystatus", b"workers", b"show unique jobs"):
            await wire.ask_list(line)
        for _ in range(20):
            name = b"temporary-%d" % play.random.randrange(10)
            await wire.ask(b"create function " + name)
            await wire.ask(b"maxqueue %b %d" % (name, play.random.randrange(5)))
            await wire.ask(b"drop function " + name)
            if play.ledger.recent:
                handle = play.random.choice(play.ledger.recent)
                if await wire.ask(b"cancel job " + handle) == b"OK\r\n":
                    play.ledger.cancelled(handle)
            await asyncio.sleep(0.05)

    await play.again_and_again(visit, play.clients_end)
