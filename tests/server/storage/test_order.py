"""A crash after each commit of a story, with batches of any size.

The store must then have everything once: no job, attempt, result or run of a schedule
may be lost between two commits, or be in both.
"""

from collections.abc import Iterator
from datetime import UTC

import pytest

from gearman.commands import Command
from gearman.options import Policies, Schedule, parse_policy
from gearman.queue import StoredJob
from gearman.server.broker import Job, Record
from gearman.server.broker.steering.records import split
from gearman.server.storage.journal import MAX_CHANGES, Journal, stored
from tests.server.conftest import Server

POLICIES = {
    b"retried": b"retries=1&backoff=fixed:0",
    b"listed": b"dead=list",
    b"handed": b"dead=function:heir",
    b"kept": b"keep=3600",
}
SCHEDULE = Schedule("s", "* * * * *", UTC, b"run", catch_up=3600.0)
FUNCTIONS = (*POLICIES, b"heir", b"run")


class Minutes:
    def following(self, schedule: Schedule, after: float) -> float:
        return after // 60 * 60 + 60

    def preceding(self, schedule: Schedule, until: float) -> float:
        return until // 60 * 60


def site(rows: dict[int, StoredJob], wall: float) -> Server:
    """Return a server that has taken up these rows at this time."""
    made = Server(persistent=True)
    broker = made.broker
    made.wall = wall
    broker.tick(made.now, wall)
    policies = {name: parse_policy(text) for name, text in POLICIES.items()}
    broker.policies.load(Policies(policies))
    broker.schedules.load([SCHEDULE], Minutes(), wall)
    for number in sorted(rows):
        broker.stored.restore(*rows[number])
    broker.stored.restored()
    made.after(0)
    return made


class Crash(Exception):
    """The server ends now."""


class Writer:
    """Stores the changes of a server in batches, and crashes after some of them."""

    def __init__(self, most: int, batches: int) -> None:
        self.rows: dict[int, StoredJob] = {}
        self.most = most
        self.batches = batches

    def commit(self, server: Server) -> None:
        broker, journal = server.broker, Journal()
        journal.write(broker.jobs.changes)
        journal.write_records(broker.jobs.records)
        broker.jobs.changes.clear()
        broker.jobs.records.clear()
        while journal:
            if not self.batches:
                raise Crash
            self.batches -= 1
            changes = journal.take(self.most)
            journal.landed()
            for number, change in changes.items():
                if change is None:
                    self.rows.pop(number, None)
                else:
                    self.rows[number] = stored(change)
            added = [each for each in changes.values() if each is not None]
            broker.stored.durable([each for each in added if isinstance(each, Job)])
            broker.stored.recorded([r.number for r in added if isinstance(r, Record)])


class Story:
    """What a server does until it crashes; `told` has the handles by function."""

    def __init__(self, most: int, batches: int) -> None:
        self.writer = Writer(most, batches)
        self.told: dict[bytes, bytes] = {}
        self.runs = 0
        self.server = site({}, Server().wall)

    def play(self) -> None:
        """Raise Crash if it comes to that."""
        server = self.server
        client = server.connect()
        for name in POLICIES:
            client.send(Command.SUBMIT_JOB_BG, name, b"", b"w")
        self.writer.commit(server)
        handles = [answer[1] for answer in client.got()]
        self.told = dict(zip(POLICIES, handles, strict=True))
        worker = server.connect().can_do(*FUNCTIONS)
        for _ in range(2):
            # They end in one turn.
            while handle := worker.grab():
                if handle == self.told[b"kept"]:
                    worker.send(Command.WORK_COMPLETE, handle, b"r")
                else:
                    worker.send(Command.WORK_FAIL, handle)
            self.writer.commit(server)
        for _ in range(2):
            server.after(60)
            self.writer.commit(server)
            while handle := worker.grab():
                worker.send(Command.WORK_COMPLETE, handle, b"r")
                self.runs += 1
            self.writer.commit(server)


def kinds(rows: dict[int, StoredJob], handle: bytes) -> list[bytes]:
    found = [split(row.extra) if row.extra else {} for row in rows.values()]
    fields = zip(rows.values(), found, strict=True)
    return [f.get(b"kind", b"job") for row, f in fields if row.handle == handle]


def known_jobs(server: Server) -> list[Job]:
    return list(server.broker.jobs.known.values())


def crashes() -> Iterator[tuple[Story, bool]]:
    """Yield a story for each number of commits, and whether it came to its end."""
    for most in (1, 2, 3, MAX_CHANGES):
        for batches in range(100):
            story = Story(most, batches)
            try:
                story.play()
            except Crash:
                yield story, False
            else:
                yield story, True
                break


@pytest.fixture(scope="module")
def stories() -> list[tuple[Story, bool]]:
    found = list(crashes())
    assert sum(ended for _, ended in found) == 4
    assert len(found) >= 40
    return found


def test_nothing_is_lost_and_nothing_is_there_twice(stories):
    for story, ended in stories:
        rows = story.writer.rows
        for name, handle in story.told.items():
            left = kinds(rows, handle)
            may_be_gone = name in (b"retried", b"handed")
            assert left in ([b"job"], [b"dead"], [b"result"]) or (
                may_be_gone and not left
            )
            if ended:
                ends = {b"listed": [b"dead"], b"kept": [b"result"]}
                assert left == ends.get(name, [])


def test_jobs_go_on_where_they_were(stories):
    for story, _ in stories:
        rows = story.writer.rows
        again = site(rows, story.server.wall)
        for row in rows.values():
            job = again.broker.jobs.find(row.handle)
            if job is None:
                continue
            attempts = job.extra.attempts if job.extra else 0
            if row.function == b"retried":
                assert attempts <= 1
            elif row.function != b"run":
                assert attempts == 0


def test_no_run_of_a_schedule_is_lost_or_repeated(stories):
    for story, _ in stories:
        rows, wall = story.writer.rows, story.server.wall
        known = [row for row in rows.values() if row.function == b"run"]
        again = site(rows, wall + 5)
        extras = [job.extra for job in known_jobs(again) if job.extra]
        times = [extra.run[1] for extra in extras if extra.run]
        assert len(times) == len(set(times)), times
        if not any(row.function == b"s" for row in rows.values()) and not known:
            # No run is known yet, so none was missed.
            assert times == []
            continue
        # The first time was that of the first run, and so on.
        passed = int((wall - Server().wall) // 60)
        assert story.runs + len(times) >= passed >= len(times)
        # The same server again does not repeat it.
        writer = Writer(MAX_CHANGES, 100)
        writer.rows = dict(rows)
        writer.commit(again)
        last = site(writer.rows, wall + 6)
        assert len(known_jobs(last)) == len(known_jobs(again))
