"""The contract of inboxes: a plugin that has one passes these tests."""

from collections.abc import Callable, Iterator
from threading import Event

import pytest

from gearman.errors import QueueError, StartupError
from gearman.queue import InboxRow, StoredJob
from tests.queues.backend import Backend
from tests.queues.backend_postgres import STRICT
from tests.queues.backends import marked
from tests.queues.inboxes import BOXES, Box
from tests.servers import DEADLINE

JOB = StoredJob(7, b"H:host:7", b"f", b"u", b"w")
ALL = (100, 1_000_000, ())

pytestmark = pytest.mark.any_build


@pytest.fixture(params=marked(BOXES))
def box(
    request: pytest.FixtureRequest, backends: Callable[[str], Backend]
) -> Iterator[Box]:
    box = BOXES[request.param](backends(request.param))
    yield box
    for queue in box.opened:
        queue.close()


def content(box: Box) -> list[StoredJob]:
    """Return the stored jobs, after closing the open stores."""
    for queue in box.opened:
        queue.close()
    queue = box.backend.plugin(**box.arguments)
    jobs = list(queue.replay())
    queue.close()
    return [job for job in jobs if isinstance(job, StoredJob)]


def workloads(rows) -> list[bytes]:
    return [row.workload for row in rows]


def test_new_inbox_is_empty(box):
    _, inbox = box.open()
    assert list(inbox.take(*ALL)) == []


def test_row_with_a_function_only_has_defaults(box):
    _, inbox = box.open()
    box.add({})
    (row,) = inbox.take(*ALL)
    assert row == InboxRow(row.id, b"f")
    assert row.id > 0


def test_all_columns_are_read(box):
    _, inbox = box.open()
    box.add(
        {
            "function_name": "größe",
            "unique_key": "鍵",
            "workload": bytes(range(256)),
            "priority": 0,
            "run_at": 2_000_000_000,
            "options": "retries=3&keep=60",
        }
    )
    (row,) = inbox.take(*ALL)
    assert row[1:] == (
        "größe".encode(),
        "鍵".encode(),
        bytes(range(256)),
        0,
        2_000_000_000,
        b"retries=3&keep=60",
        "",
    )


def test_fraction_of_a_time_is_rounded_up(box):
    _, inbox = box.open()
    box.add({"run_at": 2_000_000_000.25}, {"run_at": 1.0})
    assert [row.when for row in inbox.take(*ALL)] == [2_000_000_001, 1]


def test_uncommitted_row_is_not_read_and_one_rolled_back_never(box):
    _, inbox = box.open()
    with box.program() as connection:
        box.insert(connection, workload=b"late")
        assert list(inbox.take(*ALL)) == []
    with box.program() as connection:
        box.insert(connection, workload=b"never")
        connection.rollback()
    assert workloads(inbox.take(*ALL)) == [b"late"]


def test_rows_stay_until_a_commit(box):
    _, inbox = box.open()
    box.add({"workload": b"1"}, {"workload": b"2"})
    assert workloads(inbox.take(*ALL)) == [b"1", b"2"]
    assert workloads(inbox.take(*ALL)) == [b"1", b"2"]


def test_rows_leave_with_the_jobs_that_are_stored(box):
    _, inbox = box.open()
    box.add({"workload": b"1"}, {"workload": b"2"}, {"workload": b"3"})
    first, second, _ = inbox.take(*ALL)
    inbox.commit([JOB], [], [first.id], {})
    inbox.commit([], [], [second.id], {})
    assert workloads(inbox.take(*ALL)) == [b"3"]
    assert content(box) == [box.backend.kept(JOB)]


def test_jobs_are_removed_with_rows(box):
    queue, inbox = box.open()
    queue.commit([JOB], [])
    box.add({})
    (row,) = inbox.take(*ALL)
    inbox.commit([], [JOB.number], [row.id], {})
    assert list(inbox.take(*ALL)) == []
    assert content(box) == []


@pytest.mark.parametrize("count", [2, 64])
def test_commit_does_not_wait_for_rows_that_are_not_committed_yet(
    box, impatient, count
):
    _, inbox = box.open()
    box.add(*[{"workload": b"%d" % number} for number in range(count)])
    rows = inbox.take(*ALL)
    if box.backend.name == "sqlite":
        # It has one writer at a time.
        return
    with box.program() as program:
        box.insert(program, workload=b"late")
        inbox.commit([JOB], [], [row.id for row in rows], {})
    assert workloads(inbox.take(*ALL)) == [b"late"]


def test_commit_may_be_repeated(box):
    _, inbox = box.open()
    box.add({})
    (row,) = inbox.take(*ALL)
    for _ in range(2):
        inbox.commit([JOB], [], [row.id], {})
    assert content(box) == [box.backend.kept(JOB)]


def test_no_id_is_used_again(box):
    _, inbox = box.open()
    box.add({})
    (first,) = inbox.take(*ALL)
    inbox.commit([], [], [first.id], {})
    box.add({})
    (second,) = inbox.take(*ALL)
    assert second.id > first.id


def test_refused_row_stays_with_the_reason_until_somebody_mends_it(box):
    _, inbox = box.open()
    box.add({"workload": b"1"}, {"workload": b"2"})
    first, second = inbox.take(*ALL)
    inbox.commit([], [], [second.id], {first.id: "it's 'é' %s"})
    assert list(inbox.take(*ALL)) == []
    ((reason,),) = box.sql("SELECT reason FROM {} WHERE refused_at IS NOT NULL")
    assert reason.startswith("it's '")
    assert reason.endswith("' %s")
    box.sql("UPDATE {} SET refused_at = NULL")
    assert workloads(inbox.take(*ALL)) == [b"1"]


def test_rows_that_wait_are_counted_up_to_a_limit(box):
    _, inbox = box.open()
    assert inbox.count(5) == 0
    box.add(*({"workload": b"%d" % number} for number in range(4)))
    assert (inbox.count(5), inbox.count(4), inbox.count(2)) == (4, 4, 2)
    first, second, *_ = inbox.take(*ALL)
    inbox.commit([], [], [first.id], {second.id: "no"})
    assert inbox.count(5) == 2


def test_no_more_than_wanted_are_read(box):
    _, inbox = box.open()
    box.add(*({"workload": b"%d" % number} for number in range(5)))
    assert workloads(inbox.take(2, 100, ())) == [b"0", b"1"]


def test_workloads_read_at_a_time_are_limited(box):
    _, inbox = box.open()
    small, large = b"s" * 10, b"l" * 10_000
    box.add(*({"workload": data} for data in (large, small, large, small)))
    assert workloads(inbox.take(100, 1, ())) == [large]
    assert workloads(inbox.take(100, 10_010, ())) == [large, small]
    assert workloads(inbox.take(100, 20_010, ())) == [large, small, large]


def test_rows_of_some_functions_are_left_out(box):
    _, inbox = box.open()
    box.add(*({"function_name": name} for name in ("a", "é", "b", "a'")))
    rows = inbox.take(100, 100, {b"a", "é".encode()})
    assert [row.function for row in rows] == [b"b", b"a'"]


def test_row_of_a_transaction_that_ends_late_is_read(box):
    """It has a lower id than others, where several can write at a time."""
    _, inbox = box.open()
    if box.backend.name == "sqlite":
        # It has one writer at a time.
        return
    with box.program() as connection:
        box.insert(connection, workload=b"late")
        box.add({"workload": b"early"})
        (row,) = inbox.take(*ALL)
        inbox.commit([JOB], [], [row.id], {})
    assert workloads(inbox.take(*ALL)) == [b"late"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"function_name": ""},
        {"function_name": "f" * 8181},
        {"unique_key": "u" * 65},
        {"priority": 3},
    ],
    ids=str,
)
def test_what_can_be_no_job_is_refused_by_the_database(box, wrong):
    box.open()
    with (
        box.program() as connection,
        pytest.raises(Exception, match=r"(?i)constraint|too long"),
    ):
        box.insert(connection, **wrong)


def test_insert_rings(box, request):
    if STRICT and request.node.callspec.params["box"] == "postgres":
        pytest.skip("there are no notifications: rows are found by looking for them")
    _, inbox = box.open()
    rung = Event()
    inbox.listen(rung.set)
    if box.backend.name != "postgres":
        # Others can't tell.
        box.add({})
        assert not rung.is_set()
        return
    # Once when it has begun to listen.
    assert rung.wait(DEADLINE)
    rung.clear()
    box.add({})
    assert rung.wait(DEADLINE)


def test_inbox_outlives_the_server(box):
    queue, _ = box.open()
    box.add({"workload": b"1"})
    queue.close()
    box.add({"workload": b"2"})
    _, inbox = box.open()
    assert workloads(inbox.take(*ALL)) == [b"1", b"2"]


def test_only_one_server_uses_a_store_with_an_inbox(box, impatient):
    if not box.backend.exclusive:
        pytest.skip("the next server of a cluster takes over")
    box.open()
    with pytest.raises(StartupError):
        box.open()
    with pytest.raises(StartupError):
        box.backend.plugin(**box.arguments)


def test_failing_back_end_is_reported_and_used_again(box):
    _, inbox = box.open()
    box.add({})
    (row,) = inbox.take(*ALL)
    assert box.backend.outage is not None
    with box.backend.outage(box.arguments), pytest.raises(QueueError):
        inbox.commit([JOB], [], [row.id], {})
    inbox.commit([JOB], [], [row.id], {})
    assert list(inbox.take(*ALL)) == []


def test_store_opens_without_its_inbox(box):
    queue, _ = box.open()
    queue.commit([JOB], [])
    assert content(box) == [box.backend.kept(JOB)]
