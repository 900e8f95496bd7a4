"""The history as the rest of the monitor uses it."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterable

import pytest

from gearman.monitor.history import archive as archives
from gearman.monitor.history.archive import Archive, Note
from gearman.monitor.history.file import MEMORY, File
from gearman.monitor.history.points import FIELDS
from gearman.monitor.history.recorder import ALL, Moment
from gearman.monitor.history.spans import SPANS
from gearman.monitor.history.tiers import COARSE, MIDDLE
from tests.monitor.readings import function, reading

A = "a:4730"
NOTE = Note("ann", "pause", A, "mail", "", "done")


class FullDisk(File):
    """A file that can't be written while `full` is true."""

    full = True

    def write(self, moments: Iterable[Moment]) -> None:
        self._check()
        super().write(moments)

    def note(self, notes: Iterable[Note], now: float) -> None:
        self._check()
        super().note(notes, now)

    def _check(self) -> None:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")


def play(file: File, story: Callable[[Archive], Awaitable[None]]) -> None:
    """Run a story with an archive whose time is 1100 seconds after the epoch."""

    async def run() -> None:
        archive = Archive(file, lambda: 1100.0)
        await story(archive)
        await archive.close()

    asyncio.run(run())


def fill(archive: Archive) -> None:
    archive.take(A, reading(function(submitted=0), time=1000.0))
    archive.take(A, reading(function(submitted=10), time=1010.0))


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(("span", "is_kept"), [("year", True), ("day", False)])
def test_chart_of_a_long_time_is_read_once_a_minute(span: str, is_kept: bool) -> None:
    now = 5000 * COARSE.chunk
    file = File(MEMORY)
    moments = [
        Moment(tier.number, A, now - 600, {ALL: (5,) * len(FIELDS)})
        for tier in (MIDDLE, COARSE)
    ]

    async def run() -> None:
        times = [now, now + 59, now + 61]
        archive = Archive(file, lambda: times[0])

        async def known() -> bool:
            chart = await archive.chart([A], ALL, SPANS[span], ["queued"])
            times.pop(0)
            return any(value is not None for value in chart.fields["queued"])

        assert not await known()
        file.write(moments)
        assert await known() != is_kept
        assert await known()
        await archive.close()

    asyncio.run(run())


def test_what_waits_for_the_thread_is_written_after_the_end() -> None:
    file = File(MEMORY)
    seen: list[object] = []

    async def story(archive: Archive) -> None:
        gate = threading.Event()
        archive._thread.submit(gate.wait)
        fill(archive)
        task = asyncio.create_task(archive.run())
        # Until the thread has been asked to write.
        while archive._waiting:
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        gate.set()
        await asyncio.gather(task, return_exceptions=True)
        chart = await archive.chart([A], ALL, SPANS["10m"], ["submitted"])
        seen.extend(value for value in chart.fields["submitted"] if value)

    play(file, story)
    assert seen


def test_event_that_was_just_seen_is_found_and_kept() -> None:
    file = File(MEMORY)
    event = {"time": 1.0, "event": "started", "handle": "H:a:1", "server": A}

    async def story(archive: Archive) -> None:
        assert await archive.events(A, b"H:a:1") == []
        archive.see(event)
        archive.see({**event, "event": "completed"})
        found = await archive.events(A, b"H:a:1")
        assert [each["event"] for each in found] == ["completed", "started"]
        archive.see({**event, "handle": "H:a:2"})
        writing = asyncio.create_task(archive.run())
        while not file.trail.of(A, b"H:a:2"):
            await asyncio.sleep(0)
        await ended(writing)

    play(file, story)


def test_what_was_taken_is_written_at_the_end() -> None:
    async def story(archive: Archive) -> None:
        fill(archive)
        task = asyncio.create_task(archive.run())
        await asyncio.sleep(0)
        await ended(task)
        chart = await archive.chart([A], b"mail", SPANS["hour"], ["submitted"])
        assert 1.0 in chart.fields["submitted"]

    play(File(MEMORY), story)


def test_nothing_taken_is_nothing_written() -> None:
    async def story(archive: Archive) -> None:
        await archive._commit()

    play(File(MEMORY), story)


def test_notes_are_objects() -> None:
    async def story(archive: Archive) -> None:
        await archive.note([NOTE])
        (note,) = await archive.notes(10)
        assert note == {
            **{"id": 1, "time": 1100.0, "who": "ann", "action": "pause"},
            **{"server": A, "target": "mail", "detail": "", "result": "done"},
        }

    play(File(MEMORY), story)


def test_monitor_goes_on_while_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    monkeypatch.setattr(archives, "_log", logging.Logger("history"))
    archives._log.addHandler(handler)
    file = FullDisk(MEMORY)

    async def story(archive: Archive) -> None:
        fill(archive)
        await archive._commit()
        await archive._commit()
        await archive.note([NOTE])
        assert lines[0] == "the history can't be written: database or disk is full"
        assert lines[1].startswith("not noted, as database or disk is full: Note(")
        file.full = False
        await archive._commit()
        assert lines[2:] == ["the history can be written again"]
        chart = await archive.chart([A], b"mail", SPANS["hour"], ["submitted"])
        assert 1.0 in chart.fields["submitted"]

    play(file, story)


def test_what_waits_for_a_full_disk_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archives, "WAITING", 2)
    monkeypatch.setattr(archives, "_log", logging.Logger("history"))

    async def story(archive: Archive) -> None:
        for number in range(10):
            archive.take(A, reading(function(), time=1000.0 + 10 * number))
            await archive._commit()
        assert len(archive._waiting) == 2

    play(FullDisk(MEMORY), story)


def test_history_is_tidied_while_the_monitor_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tidied: list[float] = []
    file = File(MEMORY)
    monkeypatch.setattr(file, "tidy", tidied.append)
    monkeypatch.setattr(archives, "COMMIT", 0.0)

    async def story(archive: Archive) -> None:
        task = asyncio.create_task(archive.run())
        while not tidied:
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        await ended(task)
        assert tidied == [1100.0]

    play(file, story)
