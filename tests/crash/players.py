"""Clients and workers that record events in the books."""

import asyncio
import random
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

from tests.servers import HOST
from tests.wire import NAMES, RESPONSE, packet

from . import plans
from .books import Attempt, Books, Submission
from .plans import FREE, KEEP, POLICIES, STEERED, Plan

FUNCTIONS = (b"resize", b"mail", b"count")

SUBMIT = ("SUBMIT_JOB_BG", "SUBMIT_JOB_HIGH_BG", "SUBMIT_JOB_LOW_BG")


class Wire:
    """A connection to a server.

    All received data is read before the end of the server is noticed, which asyncio's
    streams do not guarantee. What is cancelled while it waits loses no data.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._pending = bytearray()

    @classmethod
    async def connect(cls, port: int) -> Self:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = cls(sock)
        try:
            await wire._loop.sock_connect(sock, (HOST, port))
        except BaseException:
            wire.close()
            raise
        return wire

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def receive(self) -> tuple[str, bytes]:
        """Return name and body of the next packet."""
        await self._read(12)
        header = self._pending[:12]
        assert header[:4] == RESPONSE, header
        size = int.from_bytes(header[8:], "big")
        await self._read(12 + size)
        self._take(12)
        return NAMES[int.from_bytes(header[4:8], "big")], self._take(size)

    async def _read(self, size: int) -> None:
        """Return when so many bytes are there."""
        while len(self._pending) < size:
            await self._read_more()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        return taken

    async def _read_more(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            # sock_recv takes data, and loses them if a time limit is over just then.
            return await self._readable()
        if not data:
            raise ConnectionError("the server is gone")
        self._pending += data
        return None

    async def _readable(self) -> None:
        """Return when there may be data; they stay in the socket."""
        ready, number = asyncio.Event(), self._socket.fileno()
        self._loop.add_reader(number, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_reader(number)

    async def ask_list(self, line: bytes) -> list[list[bytes]]:
        """Return the fields of the list that answers an admin line."""
        await self.send(line + b"\n")
        while not self._pending.endswith(b".\n"):
            await self._read_more()
        answer = self._take(len(self._pending))
        return [line.split(b"\t") for line in answer.split(b"\n")[:-2]]

    async def ask(self, line: bytes) -> bytes:
        """Return the answer to an admin line, which is one line."""
        await self.send(line + b"\n")
        while not self._pending.endswith(b"\n"):
            await self._read_more()
        return self._take(len(self._pending)).rstrip()

    def close(self) -> None:
        self._socket.close()


@dataclass
class Play:
    """The base of players.

    Clients pause while more than `backlog` jobs wait. Workloads are of `usual` numbers
    of bytes, and a few of `large` ones. Some jobs are `steered`, if the server has the
    policies of `plans`.
    """

    books: Books
    random: random.Random
    port: int
    backlog: int = 2000
    usual: tuple[int, int] = (8, 400)
    large: tuple[int, int] = (100_000, 1 << 20)
    steered: bool = False
    # Handles that were acknowledged lately.
    recent: deque[bytes] = field(default_factory=lambda: deque(maxlen=300))
    # The texts of refusals, and the numbers of bursts and answers.
    errors: set[bytes] = field(default_factory=set)
    bursts: int = 0
    answers: int = 0
    _ended: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Let paused players go on, so that they notice the end of the server."""
        self._ended = True
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when this is true; it is checked after each message."""
        while not (condition() or self._ended):
            self._news.clear()
            await self._news.wait()

    # -- clients

    async def client(self) -> None:
        """Submit jobs until the server is gone."""
        await self._again_and_again(self._submit)

    async def _again_and_again(self, play: Callable[[Wire], Awaitable[None]]) -> None:
        with suppress(ConnectionError):
            while True:
                with closing(await Wire.connect(self.port)) as wire:
                    await play(wire)

    async def _submit(self, wire: Wire) -> None:
        """Submit jobs; at a random time, disconnect without all of the answers."""
        unanswered: deque[Submission] = deque()
        while self.random.random() < 0.99:
            burst = [self._submission() for _ in range(self.random.randint(1, 64))]
            unanswered.extend(burst)
            try:
                await wire.send(b"".join(map(self._packet, burst)))
            except ConnectionError:
                await self._answers(wire, unanswered, len(unanswered))
            self.bursts += 1
            self.books.bury()
            self._news.set()
            some = self.random.randint(0, len(unanswered))
            await self._answers(wire, unanswered, some)
            await self.until(lambda: len(self.books.open) <= self.backlog)

    async def _answers(
        self, wire: Wire, unanswered: deque[Submission], count: int
    ) -> None:
        for _ in range(count):
            await self._answer(wire, unanswered.popleft())

    async def _answer(self, wire: Wire, submission: Submission) -> None:
        name, body = await wire.receive()
        while name.startswith("WORK_"):
            name, body = await wire.receive()
        if name == "JOB_CREATED":
            self.books.acknowledged(submission, body)
            if submission.background:
                self.recent.append(body)
        else:
            code, _, text = body.partition(b"\0")
            assert (name, code) == ("ERROR", b"QUEUE_ERROR"), (name, body)
            self.errors.add(text)
            self.books.refused(submission)
        self.answers += 1
        self._news.set()

    def _submission(self) -> Submission:
        chance = self.random.random
        if self.steered and chance() < 0.15:
            return self._with_options()
        unique = b"u%d" % self.random.randrange(300) if chance() < 0.3 else b""
        if not unique and chance() < 0.1:
            unique = b"-"
        sizes = self.large if chance() < 0.003 else self.usual
        size = self.random.randint(*sizes)
        function, plan = self.random.choice(FUNCTIONS), plans.PLAIN
        if self.steered and chance() < 0.2:
            function = self.random.choice(STEERED)
            plan = POLICIES[function]
        if chance() < 0.05:
            # If a background submission joins it, it becomes a background job.
            return self.books.submit(
                function, unique, size, background=False, plan=plan
            )
        when = int(time.time()) + self.random.randint(1, 2) if chance() < 0.05 else 0
        return self.books.submit(function, unique, size, when, plan=plan)

    def _with_options(self) -> Submission:
        """Return a submission of a job that has options of its own."""
        chance, choice = self.random.random, self.random.choice
        plan = Plan(
            retries=choice((0, 0, 1, 2)),
            dead=choice(("none", "none", "list", "function")),
            keep=KEEP if chance() < 0.3 else 0.0,
            delay=choice((0.01, 0.3, 1.5)) if chance() < 0.2 else 0.0,
        )
        if chance() < 0.2:
            plan = replace(plan, ttl=choice((0.05, 0.5, 2.0)))
        elif self.recent and chance() < 0.3:
            plan = replace(plan, after=choice(self.recent))
        size = self.random.randint(*self.usual)
        return self.books.submit(FREE, b"", size, plan=plan, with_options=True)

    def _packet(self, one: Submission) -> bytes:
        if one.with_options:
            arguments = one.function, one.unique, one.plan.options(), one.workload
            return packet("SUBMIT_JOB_WITH", *arguments)
        if one.when:
            when = b"%d" % one.when
            arguments = one.function, one.unique, when, one.workload
            return packet("SUBMIT_JOB_EPOCH", *arguments)
        name = self.random.choice(SUBMIT) if one.background else "SUBMIT_JOB"
        return packet(name, one.function, one.unique, one.workload)

    # -- workers

    async def worker(self) -> None:
        """Work until the server is gone."""
        await self._again_and_again(self._work)

    async def _work(self, wire: Wire) -> None:
        """Work; at a random time, disconnect while holding jobs."""
        functions = (*FUNCTIONS, *plans.FUNCTIONS) if self.steered else FUNCTIONS
        await wire.send(b"".join(packet("CAN_DO", name) for name in functions))
        done: list[tuple[bytes, Attempt | None]] = []
        results = b""
        while True:
            some = self.random.randint(1, 16)
            await wire.send(results + packet("GRAB_JOB_UNIQ") * some)
            held = await self._grabbed(wire, some, done)
            if held and self.random.random() < 0.02:
                return self.books.left(held)
            if not held:
                await wire.send(packet("PRE_SLEEP"))
                await wire.receive()
            results = b"".join(map(self._result, held))
            done = [(each, self.books.tickets[each].finishing) for each in held]

    async def _grabbed(
        self, wire: Wire, count: int, done: list[tuple[bytes, Attempt | None]]
    ) -> set[bytes]:
        """Return the handles from so many requests, which followed results."""
        held: set[bytes] = set()
        while count:
            name, body = await wire.receive()
            if name == "NOOP":
                continue
            for handle, attempt in done:
                self.books.finished(handle, attempt)
                self._news.set()
            done.clear()
            count -= 1
            if name == "JOB_ASSIGN_UNIQ":
                handle, function, unique, workload = body.split(b"\0", 3)
                now = time.time()
                self.books.assigned(handle, function, unique, workload, now)
                held.add(handle)
            else:
                assert name == "NO_JOB", (name, body)
        return held

    def _result(self, handle: bytes) -> bytes:
        ticket = self.books.tickets[handle]
        assert ticket.owner is not None
        if ticket.owner.plan != plans.PLAIN and self.random.random() < 0.5:
            return self._trouble(handle)
        if self.random.random() < 0.05:
            return self._failure(handle, packet("WORK_FAIL", handle))
        result = b"%s/%d" % (handle, self.books.clock)
        self.books.finishing(handle, Attempt(result))
        return packet("WORK_COMPLETE", handle, result)

    def _trouble(self, handle: bytes) -> bytes:
        """Let an attempt of a job fail in one of several ways, or give it back."""
        pause = self.random.choice((0.0, 0.05, 0.4))
        seconds = b"%.2f" % pause
        which = self.random.randrange(10)
        if which < 4:
            return self._failure(handle, packet("WORK_FAIL", handle))
        if which < 7:
            data = b"%s is in trouble" % handle
            return self._failure(handle, packet("WORK_EXCEPTION", handle, data))
        if which < 9:
            retry = packet("WORK_RETRY", handle, seconds, b"not now")
            return self._failure(handle, retry, pause=pause)
        retry = packet("WORK_RETRY", handle, seconds + b"+", b"later")
        return self._failure(handle, retry, counts=False, pause=pause)

    def _failure(
        self, handle: bytes, data: bytes, counts: bool = True, pause: float = 0.0
    ) -> bytes:
        self.books.finishing(handle, Attempt(counts=counts, pause=pause))
        return data

    # -- those who ask

    async def asker(self) -> None:
        """Ask how jobs have ended until the server is gone."""
        await self._again_and_again(self._ask)

    async def _ask(self, wire: Wire) -> None:
        """Ask for results, and now and then wait for the end of a job."""
        await wire.send(packet("OPTION_REQ", b"exceptions"))
        await wire.receive()
        await wire.send(packet("OPTION_REQ", b"extensions"))
        assert await wire.receive() == ("OPTION_RES", b"extensions")
        while self.random.random() < 0.9:
            await self.until(lambda: bool(self.recent or self.books.interesting))
            if not (self.recent or self.books.interesting):
                # The server has ended before there was a job.
                return
            await self._get_results(wire)
            await asyncio.sleep(0.002)
        if self.recent:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._watch(wire, self.random.choice(self.recent))

    async def _get_results(self, wire: Wire) -> None:
        """Ask for the results of some jobs; those that are kept come again."""
        known = [*self.recent, *self.books.interesting]
        handles = [*self.random.choices(known, k=6), *self.books.ending]
        asked = time.time()
        await wire.send(b"".join(packet("GET_RESULT", each) for each in handles))
        for handle in handles:
            name, body = await wire.receive()
            told, state, data = body.split(b"\0", 2)
            assert (name, told) == ("RESULT_RES", handle), (name, body)
            self.books.told(handle, state, data, asked)

    async def _watch(self, wire: Wire, handle: bytes) -> None:
        """Wait for the end of a job."""
        await wire.send(packet("WATCH_JOB", handle))
        name, body = await wire.receive()
        if name == "ERROR":
            assert body.startswith(b"JOB_NOT_FOUND"), body
        self.books.watched(handle, name, body.partition(b"\0")[2])

    # -- the one who sets policies

    async def setter(self) -> None:
        """Set policies until the server is gone."""
        await self._again_and_again(self._set)

    async def _set(self, wire: Wire) -> None:
        """Set policies, and look first whether those of earlier servers are there."""
        if not await self._set_one(wire):
            await self.until(lambda: False)
            return
        for name, *rest in await wire.ask_list(b"show policies"):
            if name in FUNCTIONS:
                self.books.policy_is(name, rest[-1])
        while not self._ended:
            await asyncio.sleep(0.02)
            await self._set_one(wire)

    async def _set_one(self, wire: Wire) -> bool:
        """Return False if the server has no such command."""
        name = self.random.choice(FUNCTIONS)
        setting = self.books.setting(name, b"weight=%d" % self.random.randint(1, 1000))
        answer = await wire.ask(b"set function %s %s" % (name, setting.text))
        if answer != b"OK":
            return False
        self.books.was_set(setting)
        return True


class Load:
    """Clients and workers that play until the server is gone."""

    def __init__(self, play: Play, clients: int = 4, workers: int = 3) -> None:
        self._play = play
        self._players = [*[play.client] * clients, *[play.worker] * workers]
        if play.steered:
            self._players += [play.asker, play.setter]
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> None:
        await self._group.__aenter__()
        for player in self._players:
            self._group.create_task(player())

    async def __aexit__(self, *error: Any) -> None:
        self._play.end()
        await self._group.__aexit__(*error)


async def drained(port: int) -> None:
    """Return when the server has no more jobs."""
    with closing(await Wire.connect(port)) as wire:
        while any(int(fields[1]) for fields in await wire.ask_list(b"status")):
            await asyncio.sleep(0.02)
