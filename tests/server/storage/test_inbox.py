"""A running server with an inbox: its rows become jobs."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from gearman.errors import JobRefused, QueueError
from gearman.framing import BUILD
from gearman.queue import Inbox, InboxRow, Queue, StoredJob
from gearman.server.net.engine import Engine
from tests import servers
from tests.server.net.test_listener import LOCAL, Running
from tests.wire import Peer

OUTAGE = QueueError("no disk")
FOR_GOOD = "it is unwanted"


class Table(Queue, Inbox):
    """A store with an inbox in memory; both are changed together, or not at all.

    A commit ends as `results` say, if they say anything: with an error, before or after
    its changes are made. `commits` has what each has done.
    """

    def __init__(self) -> None:
        self.jobs: dict[int, StoredJob] = {}
        self.rows: dict[int, InboxRow] = {}
        self.refused: dict[int, str] = {}
        self.results: SimpleQueue[tuple[Exception | None, bool]] = SimpleQueue()
        self.failing: Exception | None = None
        self.unreadable: Exception | None = None
        self.unwanted = b"unwanted"
        self.ring: Callable[[], None] = lambda: None
        self.commits: list[tuple[list[int], list[int], list[int], dict[int, str]]] = []

    def inbox(self) -> Inbox:
        return self

    def replay(self) -> Iterator[StoredJob]:
        yield from self.jobs.values()

    def listen(self, ring: Callable[[], None]) -> None:
        self.ring = ring

    def take(self, most: int, size: int, without) -> Sequence[InboxRow]:
        if self.unreadable is not None:
            raise self.unreadable
        rows = [
            row
            for number, row in sorted(self.rows.copy().items())
            if number not in self.refused and row.function not in without
        ]
        return rows[:most]

    def count(self, most: int) -> int:
        return min(len(self.rows.keys() - self.refused.keys()), most)

    def commit(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        taken: Sequence[int] = (),
        refused: Mapping[int, str] = {},
    ) -> None:
        reasons = {
            job.number: FOR_GOOD for job in added if job.workload == self.unwanted
        }
        if reasons:
            raise JobRefused(reasons)
        error, after = self.failing, False
        with suppress(Empty):
            error, after = self.results.get_nowait()
        if error is None or after:
            self._change(added, done, taken, refused)
        if error is not None:
            raise error

    def _change(self, added, done, taken, refused) -> None:
        numbers = [job.number for job in added]
        self.commits.append((numbers, [*done], [*taken], dict(refused)))
        self.jobs.update((job.number, job) for job in added)
        for number in done:
            self.jobs.pop(number, None)
        for row in taken:
            self.rows.pop(row, None)
        self.refused.update(refused)

    def add(self, *rows: InboxRow) -> None:
        """Insert rows, as a transaction does, and tell the server."""
        # In one step: the server's thread must not see a part of them.
        self.rows.update({row.id: row for row in rows})
        self.ring()

    def close(self) -> None: ...


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gearman.server.storage.store.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("gearman.server.storage.store.LAST_PAUSE", 0.002)
    monkeypatch.setattr("gearman.server.storage.rows.IDLE", 0.05)


def running(table: Table, engine: bool, **limits: Any) -> Running:
    if engine and Engine is None:
        if BUILD == "speedups" and sys.platform == "linux":
            pytest.fail("the speedups are there, but not the engine")
        pytest.skip("the engine is not built")
    return Running(replace(LOCAL, inbox=True, **limits), engine, table)


@pytest.fixture(params=[False, True], ids=["asyncio", "engine"])
def server(request, table) -> Iterator[Running]:
    server = running(table, request.param)
    yield server
    server.end()


def work(server: Running, count: int, function: bytes = b"f") -> list[bytes]:
    """Do so many jobs, and return their workloads."""
    with server.peer() as worker:
        worker.send("CAN_DO", function)
        workloads = [one(worker) for _ in range(count)]
        worker.fence()
    return workloads


def one(worker: Peer) -> bytes:
    """Do a job as soon as there is one, and return its workload."""
    handle, workload = grabbed(worker)
    worker.send("WORK_COMPLETE", handle, b"")
    return workload


def grabbed(worker: Peer) -> tuple[bytes, bytes]:
    while True:
        worker.send("GRAB_JOB")
        answer = worker.receive()
        while answer.name == "NOOP":
            answer = worker.receive()
        if answer.name == "JOB_ASSIGN":
            handle, _, workload = answer.arguments
            return handle, workload
        worker.send("PRE_SLEEP")
        worker.expect("NOOP")


def settled(server: Running, table: Table) -> None:
    """Return when no row is left that may become a job."""
    server.until(lambda: table.rows.keys() <= table.refused.keys())


def test_row_becomes_a_job_in_one_commit(server, table):
    table.add(InboxRow(5, b"f", b"", b"w"))
    assert work(server, 1) == [b"w"]
    numbers, _, taken, _ = table.commits[0]
    assert len(numbers) == 1
    assert taken == [5]
    assert table.rows == {}


def test_row_is_found_without_a_hint(server, table):
    table.rows[5] = InboxRow(5, b"f", b"", b"w")
    assert work(server, 1) == [b"w"]


def test_rows_become_jobs_in_their_order(server, table):
    rows = [InboxRow(number, b"f", b"", b"%d" % number) for number in range(1, 701)]
    table.add(*rows)
    assert work(server, 700) == [row.workload for row in rows]


def test_row_of_a_transaction_that_ended_late_is_not_passed_over(server, table):
    table.add(InboxRow(5, b"f", b"", b"5"))
    settled(server, table)
    table.add(InboxRow(4, b"f", b"", b"4"))
    assert work(server, 2) == [b"5", b"4"]


def test_priorities_and_times_count(server, table):
    table.add(
        InboxRow(1, b"f", b"", b"low", 2),
        InboxRow(2, b"f", b"", b"normal"),
        InboxRow(3, b"f", b"", b"later", 0, 2_000_000_000),
        InboxRow(4, b"f", b"", b"high", 0),
        InboxRow(5, b"f", b"", b"high by option", None, 0, b"priority=high"),
        InboxRow(6, b"f", b"", b"with retries", 1, 0, b"retries=3"),
    )
    settled(server, table)
    wanted = [b"high", b"high by option", b"normal", b"with retries", b"low"]
    assert work(server, 5) == wanted
    (job,) = server.listener.broker.jobs.known.values()
    assert (job.workload, job.when) == (b"later", 2_000_000_000)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (InboxRow(1, b""), "its function is empty or has a NUL"),
        (InboxRow(1, b"f\0"), "its function is empty or has a NUL"),
        (InboxRow(1, b"f", b"\0"), "its unique has a NUL"),
        (InboxRow(1, b"f", priority=3), "its priority is 3, not 0, 1 or 2"),
        (InboxRow(1, b"f", options=b"colour=1"), "'colour' is no option of a job"),
        (InboxRow(1, b"f", fault="it is a picture"), "it is a picture"),
        (InboxRow(1, b"f", b"u" * 65), "Unique value too large"),
        (InboxRow(1, b"f" * 8181), "Function name too large"),
        (InboxRow(1, b"f", options=b"need-worker=1"), "No worker has the function"),
        (InboxRow(1, b"f", workload=b"unwanted"), FOR_GOOD),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_be_no_job_is_refused_for_good(server, table, row, reason):
    table.add(row, InboxRow(2, b"f", b"", b"w"))
    # No worker has the function before.
    server.until(lambda: table.refused)
    assert work(server, 1) == [b"w"]
    assert table.refused[1].startswith(reason)
    settled(server, table)
    assert table.rows.keys() == {1}


def test_row_joins_a_job_that_is_being_stored_in_the_same_commit(server, table):
    table.add(InboxRow(1, b"f", b"u", b"1"), InboxRow(2, b"f", b"u", b"2"))
    settled(server, table)
    ((numbers, _, taken, _),) = table.commits
    assert len(numbers) == 1
    assert taken == [1, 2]


def test_row_joins_a_stored_job(server, table):
    table.add(InboxRow(1, b"f", b"u", b"1"))
    settled(server, table)
    table.add(InboxRow(2, b"f", b"u", b"2"), InboxRow(3, b"g", b"u", b"3"))
    settled(server, table)
    assert work(server, 1) == [b"1"]
    assert work(server, 1, b"g") == [b"3"]
    assert not server.listener.broker.jobs.known


def test_client_joins_the_job_of_a_row(server, table):
    table.add(InboxRow(1, b"f", b"u", b"1"))
    settled(server, table)
    with server.peer() as client:
        client.send("SUBMIT_JOB", b"f", b"u", b"")
        (handle,) = client.expect("JOB_CREATED")
        assert work(server, 1) == [b"1"]
        assert client.expect("WORK_COMPLETE") == [handle, b""]


@pytest.mark.parametrize("after", [False, True], ids=["undone", "done"])
def test_no_row_is_lost_or_taken_twice_if_a_commit_fails(server, table, after):
    """Whether the changes of the failed commit were made is not known."""
    for _ in range(2):
        table.results.put((OUTAGE, after))
    table.add(InboxRow(1, b"f", b"u", b"1"), InboxRow(2, b"f", b"", b"2"))
    assert work(server, 2) == [b"1", b"2"]
    settled(server, table)
    table.add(InboxRow(3, b"f", b"u", b"3"))
    assert work(server, 1) == [b"3"]
    server.until(lambda: not table.jobs)
    assert not server.listener.broker.jobs.known


def test_client_that_joins_during_an_outage_is_answered(server, table):
    table.failing = OUTAGE
    table.add(InboxRow(1, b"f", b"u", b"1"))
    server.until(lambda: server.listener.broker.outage)
    with server.peer() as client:
        client.send("SUBMIT_JOB", b"f", b"u", b"")
        (handle,) = client.expect("JOB_CREATED")
        table.failing = None
        assert work(server, 1) == [b"1"]
        assert client.expect("WORK_COMPLETE") == [handle, b""]


def test_job_that_is_cancelled_during_an_outage_takes_its_row_along(server, table):
    table.failing = OUTAGE
    table.add(InboxRow(1, b"f", b"u", b"1"))
    broker = server.listener.broker
    server.until(lambda: broker.outage)
    (job,) = broker.jobs.known.values()

    def cancel() -> None:
        server.listener._turns.begin()
        broker.cancel(job.handle)

    server.call(cancel)
    table.failing = None
    settled(server, table)
    server.until(lambda: not broker.outage)
    assert not table.jobs


def test_job_that_turns_out_to_be_too_large_after_an_outage_is_refused(server, table):
    table.failing = OUTAGE
    table.add(InboxRow(1, b"f", b"u", b"1"))
    server.until(lambda: server.listener.broker.outage)
    table.unwanted = b"1"
    table.failing = None
    server.until(lambda: table.refused)
    server.until(lambda: not server.listener.broker.jobs.known)
    assert table.refused == {1: FOR_GOOD}


class Lines(logging.Handler):
    """Collects what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler = Lines()
    log = logging.getLogger("gearman.server")
    log.addHandler(handler)
    yield handler.lines
    log.removeHandler(handler)


def test_refused_row_is_logged(lines, server, table):
    table.add(InboxRow(1, b"f", options=b"colour"))
    server.until(lambda: any("row 1 of the inbox is no job" in line for line in lines))


def test_failure_to_read_is_logged_and_reading_goes_on(lines, server, table):
    table.unreadable = QueueError("no table")
    server.until(lambda: "the inbox cannot be read: no table" in lines)
    table.unreadable = ValueError("a bug")
    server.until(lambda: "the queue plugin has a bug" in lines)
    table.unreadable = None
    table.add(InboxRow(1, b"f", b"", b"w"))
    assert work(server, 1) == [b"w"]


def counts(server: Running) -> dict[str, Any]:
    with server.peer() as peer:
        (first, *_) = peer.ask_list(b"show stats")
    found: dict[str, Any] = json.loads(first)["store"]["inbox"]
    return found


def until(server: Running, **expected: Any) -> dict[str, Any]:
    """Return the counts as soon as these are as expected."""

    def met() -> dict[str, Any]:
        found = counts(server)
        return found if found.items() >= expected.items() else {}

    return servers.until(met)


def test_rows_are_counted(server, table, monkeypatch):
    monkeypatch.setattr("gearman.server.storage.rows.COUNTING", 0.0)
    until(server, waiting=0)
    table.add(*(InboxRow(n, b"f", b"", b"%d" % n) for n in range(1, 4)))
    table.add(InboxRow(4, b"f", options=b"colour"))
    until(server, taken=3, refused=1, waiting=0, failures=0, failed_at=None)
    table.unreadable = QueueError("no table")
    until(server, failing=True)
    table.unreadable = None
    found = until(server, failing=False)
    assert found["failures"] >= 1
    assert abs(found["failed_at"] - time.time()) < 60


@pytest.mark.parametrize("engine", [False, True], ids=["asyncio", "engine"])
@pytest.mark.parametrize(
    "limit", [{"max_jobs": 3}, {"max_jobs_per_function": 3}], ids=str
)
def test_rows_wait_while_there_are_many_jobs(table, engine, limit):
    server = running(table, engine, **limit)
    try:
        rows = [InboxRow(number, b"f", b"", b"%d" % number) for number in range(1, 11)]
        table.add(*rows)
        server.until(lambda: len(table.rows) == 7)
        assert work(server, 10) == [row.workload for row in rows]
        assert not table.refused
    finally:
        server.end()


def test_rows_wait_while_there_are_many_functions(table):
    server = running(table, engine=False, max_functions=1)
    try:
        table.add(InboxRow(1, b"f", b"", b"1"), InboxRow(2, b"g", b"", b"2"))
        server.until(lambda: table.rows.keys() == {2})
        assert work(server, 1) == [b"1"]
        settled(server, table)
        assert not table.refused
    finally:
        server.end()


def test_rows_of_other_functions_do_not_wait_for_a_full_one(table):
    server = running(table, engine=False, max_jobs_per_function=1)
    try:
        full = [InboxRow(number, b"f", b"", b"%d" % number) for number in (1, 2, 3)]
        table.add(*full, InboxRow(4, b"g", b"", b"4"))
        assert work(server, 1, b"g") == [b"4"]
        assert work(server, 3) == [b"1", b"2", b"3"]
    finally:
        server.end()


def test_drained_server_leaves_rows_to_the_next_one(table):
    server = running(table, engine=False)
    with server.peer() as client:
        client.send("SUBMIT_JOB", b"f", b"", b"w")
        client.expect("JOB_CREATED")
        server.call(server.listener.drain)
        table.add(InboxRow(1, b"f", b"", b"1"))
        server.call(lambda: None)
        assert table.rows
    server.join()
    assert table.rows


def test_server_stores_the_jobs_of_rows_before_it_stops(table):
    server = running(table, engine=False)
    table.add(*(InboxRow(number, b"f", b"", b"w") for number in range(1, 301)))
    server.until(lambda: len(table.rows) < 300)
    server.end()
    assert len(table.jobs) + len(table.rows) == 300
