"""Clients and workers that try one server after the other, and note what they see."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from itertools import count

from tests.crash.players import Wire
from tests.servers import DEADLINE
from tests.wire import packet

from .fleet import Fleet
from .history import Kind

FUNCTION = b"f"

# Seconds without an answer after which a server counts as gone: one that was stopped
# accepts connections.
PATIENCE = 3.0

GONE = (OSError, TimeoutError, EOFError)


class Players:
    """Clients and workers of a fleet; clients end when `submitting` is False."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._numbers = count(1)
        self.submitting = True

    async def _connect(self) -> Wire:
        """Connect to the next server that accepts connections."""
        while True:
            ports = self._fleet.ports
            random.shuffle(ports)
            for port in ports:
                with suppress(*GONE):
                    return await Wire.connect(port)
            await asyncio.sleep(0.02)

    async def client(self) -> None:
        while self.submitting:
            with suppress(*GONE), closing(await self._connect()) as wire:
                await _noted()
                while self.submitting:
                    await self._submit(wire)

    async def _submit(self, wire: Wire) -> None:
        note, number = self._fleet.history.note, next(self._numbers)
        note(Kind.SENT, number)
        workload = b"%d" % number
        await wire.send(packet("SUBMIT_JOB_BG", FUNCTION, b"", workload))
        answer, _ = await _answer(wire)
        if answer != "JOB_CREATED":
            note(Kind.REFUSED, number)
            await asyncio.sleep(0.1)
            raise TimeoutError("another server may accept it")
        note(Kind.CREATED, number)
        await asyncio.sleep(0.002)

    async def worker(self) -> None:
        while True:
            with suppress(*GONE), closing(await self._connect()) as wire:
                await _noted()
                await wire.send(packet("CAN_DO", FUNCTION))
                while await self._work(wire):
                    pass

    async def _work(self, wire: Wire) -> bool:
        """Do a job and the next ones. Returns False if there has been none for long."""
        history = self._fleet.history
        job, started = 0, 0.0
        for _ in range(100):
            await wire.send(packet("GRAB_JOB"))
            answer, body = await _answer(wire)
            if job:
                history.note(Kind.ENDED, job, started)
                job = 0
            if answer == "JOB_ASSIGN":
                handle, _, workload = body.split(b"\0")
                job = int(workload)
                started = history.start(job, handle)
                history.note(Kind.RESULT, job)
                await wire.send(packet("WORK_COMPLETE", handle, b"r"))
            else:
                await asyncio.sleep(0.01)
        return job > 0


@asynccontextmanager
async def playing(
    fleet: Fleet, clients: int = 4, workers: int = 3
) -> AsyncIterator[Players]:
    """Let clients and workers play; at the end, no acknowledged job is left."""
    players = Players(fleet)
    submitting = [asyncio.create_task(players.client()) for _ in range(clients)]
    working = [asyncio.create_task(players.worker()) for _ in range(workers)]
    try:
        yield players
        players.submitting = False
        await asyncio.gather(*submitting)
        await _drained(fleet)
    finally:
        for task in submitting + working:
            task.cancel()
        await asyncio.gather(*submitting, *working, return_exceptions=True)


async def _noted() -> None:
    """Return when what the logs of servers have told by now is noted."""
    await asyncio.sleep(0.01)


async def _answer(wire: Wire) -> tuple[str, bytes]:
    # Python 3.11's asyncio.wait_for may miss that it is cancelled.
    async with asyncio.timeout(PATIENCE):
        return await wire.receive()


async def _drained(fleet: Fleet) -> None:
    """Return when no job is left in the database."""
    try:
        async with asyncio.timeout(DEADLINE):
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
