"""Clients and workers that try one server after the other, and note what they see."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

from tests.crash.players import Wire
from tests.servers import DEADLINE
from tests.wire import packet

from .fleet import Fleet
from .history import Answer, Run, Submission

FUNCTION = b"f"

# Seconds without an answer after which a server counts as gone: one that was stopped
# accepts connections.
PATIENCE = 3.0

# How often a client that waits asks whether the server is there, and a worker that
# sleeps whether there is a job.
LOOK = 1.0

# Few uniques, so that jobs with the same one meet. A job with one takes some time.
UNIQUES = 6
LONGEST_JOB = 0.05

# Jobs that a worker does before it turns to another server, and how often it looks in
# vain: a server that is cut off from the others gets no jobs of theirs.
SHIFT = 60
LOOKS = 2

GONE = (OSError, TimeoutError, EOFError)


class Connection:
    """A connection to the server with this name."""

    def __init__(self, wire: Wire, server: int) -> None:
        self.wire = wire
        self.server = server

    async def send(self, name: str, *arguments: bytes) -> None:
        await self.wire.send(packet(name, *arguments))

    async def receive(self, patience: float = PATIENCE) -> tuple[str, list[bytes]]:
        """Return name and arguments of the next packet."""
        # Python 3.11's asyncio.wait_for may miss that it is cancelled.
        async with asyncio.timeout(patience):
            name, body = await self.wire.receive()
        return name, body.split(b"\0")

    def close(self) -> None:
        self.wire.close()


class Players:
    """Clients and workers of a fleet; clients end when `submitting` is False."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._history = fleet.history
        self.submitting = True

    async def _connect(self) -> Connection:
        """Connect to the next server that accepts connections."""
        while True:
            servers = list(self._fleet.servers)
            random.shuffle(servers)
            for server in servers:
                with suppress(*GONE):
                    wire = await Wire.connect(server.port)
                    return Connection(wire, self._fleet.name(server))
            await asyncio.sleep(0.02)

    async def client(self, background: bool, unique: bool) -> None:
        """Submit jobs, one after the other."""
        while self.submitting:
            with suppress(*GONE), closing(await self._connect()) as link:
                await _noted()
                while self.submitting:
                    key = b""
                    if unique:
                        kind = b"bg" if background else b"fg"
                        key = b"%b%d" % (kind, random.randrange(UNIQUES))
                    await self._submit(link, key, background)
                    await asyncio.sleep(0.005)

    async def _submit(self, link: Connection, unique: bytes, background: bool) -> None:
        it = self._history.sent(link.server, unique, background)
        name = "SUBMIT_JOB_BG" if background else "SUBMIT_JOB"
        await link.send(name, FUNCTION, unique, b"%d" % it.job)
        answer, arguments = await link.receive()
        if answer != "JOB_CREATED":
            it.refused = True
            await asyncio.sleep(0.1)
            raise TimeoutError("another server may accept it")
        self._history.created(it, arguments[0])
        if not background:
            try:
                await self._wait(link, it)
            except GONE:
                self._history.answer(it, Answer.LOST)
                raise

    async def _wait(self, link: Connection, it: Submission) -> None:
        """Wait for the result as long as the server answers at all."""
        asked = False
        while True:
            try:
                name, arguments = await link.receive(PATIENCE if asked else LOOK)
            except TimeoutError:
                if asked:
                    raise
                asked = True
                await link.send("ECHO_REQ", b"there?")
                continue
            asked = False
            if name == "ECHO_RES":
                continue
            if arguments[0] != it.handle:
                text = f"job {it.job} got {name} of {arguments[0].decode()}"
                self._history.strays.append(text)
            elif name == "WORK_COMPLETE":
                return self._history.answer(it, Answer.RESULT, arguments[1])
            elif name == "WORK_FAIL":
                return self._history.answer(it, Answer.FAIL)

    async def worker(self) -> None:
        while True:
            with suppress(*GONE), closing(await self._connect()) as link:
                await _noted()
                await link.send("CAN_DO", FUNCTION)
                await self._work(link)

    async def _work(self, link: Connection) -> None:
        """Do jobs until it is time to turn to another server, and sleep in between."""
        history = self._history
        run: Run | None = None
        looks = 0
        for _ in range(SHIFT):
            await link.send("GRAB_JOB")
            answer, arguments = await _awake(link)
            if run is not None:
                history.ended(run)
                run = None
            if answer == "JOB_ASSIGN":
                handle, _, workload = arguments
                run = history.started(link.server, int(workload), handle)
                await self._take_time(int(workload))
                history.result(run)
                await link.send("WORK_COMPLETE", handle, b"%d" % run.number)
                looks = 0
            elif looks == LOOKS:
                break
            else:
                looks += 1
                await link.send("PRE_SLEEP")
                with suppress(TimeoutError):
                    await link.receive(LOOK)
        if run is not None:
            await link.send("ECHO_REQ", b"there?")
            await _awake(link)
            history.ended(run)

    async def _take_time(self, job: int) -> None:
        submission = self._history.submissions.get(job)
        if submission is not None and submission.unique:
            await asyncio.sleep(random.uniform(0, LONGEST_JOB))


@asynccontextmanager
async def playing(
    fleet: Fleet, workers: int = 3, plain: int = 4, others: int = 0
) -> AsyncIterator[Players]:
    """Let clients and workers play; at the end, no acknowledged job is left.

    There are `plain` clients with background jobs, and so many `others` of each other
    kind.
    """
    players = Players(fleet)
    clients = [players.client(True, False) for _ in range(plain)]
    for _ in range(others):
        clients.append(players.client(True, True))
        clients.append(players.client(False, True))
        clients.append(players.client(False, False))
    submitting = [asyncio.create_task(client) for client in clients]
    working = [asyncio.create_task(players.worker()) for _ in range(workers)]
    try:
        yield players
        players.submitting = False
        # The history shows those that wait in vain.
        await asyncio.wait(submitting, timeout=DEADLINE + fleet.lease)
        await _drained(fleet)
    finally:
        for task in submitting + working:
            task.cancel()
        ended = await asyncio.gather(*submitting, *working, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


async def _noted() -> None:
    """Return when what the logs of servers have told by now is noted."""
    await asyncio.sleep(0.01)


async def _awake(link: Connection) -> tuple[str, list[bytes]]:
    """Return the next packet that does not only wake a worker."""
    while True:
        answer = await link.receive()
        if answer[0] != "NOOP":
            return answer


async def _drained(fleet: Fleet) -> None:
    """Return when no job is left in the database."""
    try:
        async with asyncio.timeout(DEADLINE + fleet.lease):
            while await asyncio.to_thread(_left, fleet):
                await asyncio.sleep(0.1)
    except TimeoutError:
        told = []
        for port in fleet.ports:
            with suppress(*GONE), closing(await Wire.connect(port)) as wire:
                told += [await wire.ask_list(b"status")]
                told += [await wire.ask_list(b"show jobs")]
        raise AssertionError(f"jobs are left; the servers tell {told}") from None


def _left(fleet: Fleet) -> int:
    left = "SELECT count(*) FROM gearman_jobs WHERE number > 0"
    [(number,)] = fleet.database.sql(left)
    return int(number)
