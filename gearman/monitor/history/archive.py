"""The history for the rest of the monitor: a thread of its own uses the file."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from ..model.readings import Reading
from . import spans
from .file import File, Note
from .recorder import Moment, Recorder
from .spans import Chart, Span

__all__ = ["Archive", "Note"]

T = TypeVar("T")

# Seconds between two commits, and between two rounds of packing and pruning.
COMMIT: Final = 1.0
TIDY: Final = 60.0
# Moments that may wait for a disk that does not accept them; more are dropped.
WAITING: Final = 10_000

# Seconds for which charts are kept whose steps have so many seconds, and how many.
FRESH: Final = 60.0
SLOW: Final = 1200
MOST_CHARTS: Final = 100

_ChartKey = tuple[tuple[str, ...], tuple[bytes, ...], Span, tuple[str, ...]]

_log = logging.getLogger(__name__)

Record = dict[str, Any]
_NOTE_KEYS: Final = ("id", "time", *Note.__slots__)


class Archive:
    """Takes readings and notes, and answers questions about them.

    If the file can't be written any more, the log says so, and the monitor goes on.
    """

    def __init__(self, file: File, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._recorder = Recorder()
        self._waiting: list[Moment] = []
        self._events: list[Record] = []
        self._charts: dict[_ChartKey, tuple[float, list[Chart]]] = {}
        self._thread = ThreadPoolExecutor(1, "history")
        self._trouble = ""

    def take(self, address: str, reading: Reading) -> None:
        """Take what a server answered."""
        self._waiting += self._recorder.take(address, reading)
        del self._waiting[:-WAITING]

    def see(self, event: Record) -> None:
        """Take an event of a server, as `Watch` has it; it is kept if it is of a job.

        Events that can't be written are lost.
        """
        self._events.append(event)
        del self._events[:-WAITING]

    async def run(self) -> None:
        """Write what was taken until this is cancelled; then write the rest."""
        tidied = float("-inf")
        try:
            while True:
                await self._commit()
                if time.monotonic() - tidied >= TIDY:
                    await self._attempt(self._file.tidy, self._clock())
                    tidied = time.monotonic()
                await asyncio.sleep(COMMIT)
        finally:
            await self._commit()

    async def close(self) -> None:
        await self._call(self._file.close)
        self._thread.shutdown()

    async def _commit(self) -> None:
        if self._events:
            events, self._events = self._events, []
            await self._attempt(self._file.trail.write, events)
        if not self._waiting:
            return
        moments, self._waiting = self._waiting, []
        if not await self._attempt(self._file.write, moments):
            self._waiting = [*moments, *self._waiting][-WAITING:]

    async def _attempt(self, function: Callable[[Any], None], argument: object) -> bool:
        """Call a function; log why if it fails, and return whether it did not.

        It is called also if this is cancelled before: nobody else has what it writes.
        """
        try:
            await asyncio.shield(self._call(function, argument))
        except Exception as error:
            # Also a mistake of the monitor is to be seen, and not to end the writing.
            text = str(error) if isinstance(error, sqlite3.Error) else repr(error)
            if self._trouble != text:
                self._trouble = text
                _log.error("the history can't be written: %s", text)
            return False
        if self._trouble:
            self._trouble = ""
            _log.warning("the history can be written again")
        return True

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)

    # -- questions

    async def chart(
        self, addresses: Sequence[str], name: bytes, span: Span, fields: Sequence[str]
    ) -> Chart:
        """Return the history of a function, or of all if the name is empty."""
        return (await self.charts(addresses, [name], span, fields))[0]

    async def charts(
        self,
        addresses: Sequence[str],
        names: Sequence[bytes],
        span: Span,
        fields: Sequence[str],
    ) -> list[Chart]:
        """Return the history of several functions.

        That of a week or longer is read once a minute, however many look at it.
        """
        now = self._clock()
        key = (*addresses,), (*names,), span, (*fields,)
        self._charts = {
            known: kept
            for known, kept in self._charts.items()
            # The clock may have been set back.
            if 0 <= now - kept[0] < FRESH
        }
        if key in self._charts:
            return self._charts[key][1]
        found = await self._call(
            spans.charts, self._file, addresses, names, span, fields, now
        )
        if span.step >= SLOW and len(self._charts) < MOST_CHARTS:
            self._charts[key] = now, found
        return found

    async def events(self, address: str, handle: bytes) -> list[Record]:
        """Return the events of a job that were seen, newest first."""
        if self._events:
            # What was just seen, too.
            await self._commit()
        return await self._call(self._file.trail.of, address, handle)

    async def note(self, notes: Iterable[Note]) -> None:
        """Note what somebody did. If that can't be stored, the log has it."""
        several = list(notes)
        try:
            await self._call(self._file.note, several, self._clock())
        except sqlite3.Error as error:
            for note in several:
                _log.error("not noted, as %s: %s", error, note)

    async def notes(self, limit: int, before: int = 0) -> list[Record]:
        """Return who did what, newest first; those `before` an id, if it is not 0."""
        rows = await self._call(self._file.notes, limit, before)
        return [dict(zip(_NOTE_KEYS, row, strict=True)) for row in rows]
