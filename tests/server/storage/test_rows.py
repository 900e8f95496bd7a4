"""Which rows of an inbox leave with a commit, and when more are read."""

from math import inf

import pytest

from gearman.queue import InboxRow
from gearman.server.storage.rows import (
    COUNTING,
    FEW,
    FIRST_PAUSE,
    IDLE,
    MOST,
    Counts,
    Leaving,
    Rows,
)

NOW = 1000.0
ROW = InboxRow(1, b"f")
NOBODY: set[bytes] = set()


@pytest.fixture
def rows() -> Rows:
    return Rows()


def read(rows: Rows, *found: InboxRow, now: float = NOW) -> None:
    rows.begin(now)
    rows.found(found)
    assert list(rows.take()) == list(found)


def test_empty_inbox_is_read_each_second(rows: Rows) -> None:
    assert rows.due(NOW)
    read(rows)
    assert not rows.due(NOW)
    assert rows.delay(NOW) == IDLE
    assert rows.due(NOW + IDLE)


def test_rows_that_wait_are_counted_every_five_seconds(rows: Rows) -> None:
    assert rows.counting(NOW)
    rows.counted(NOW, 7)
    assert rows.counts.waiting == 7
    assert not rows.counting(NOW + COUNTING - 1)
    assert rows.counting(NOW + COUNTING)


def test_what_has_left_is_counted(rows: Rows) -> None:
    read(rows, ROW, InboxRow(2, b"f"))
    rows.attach(7, 1)
    rows.finish([2], "no")
    rows.left(rows.leaving([7], 10), [7])
    assert (rows.counts.taken, rows.counts.refused) == (1, 1)


def test_failure_to_read_counts_until_rows_are_read_again(rows: Rows) -> None:
    rows.counts.failed(5.00049)
    assert rows.counts == Counts(failures=1, failing=True, failed_at=5.0)
    read(rows)
    assert rows.counts == Counts(failures=1, failing=False, failed_at=5.0)


def test_hint_has_an_empty_inbox_read_at_once(rows: Rows) -> None:
    read(rows)
    rows.hint()
    assert rows.due(NOW)


def test_hint_while_it_is_read_counts(rows: Rows) -> None:
    rows.begin(NOW)
    rows.hint()
    rows.found(())
    assert rows.due(NOW)


def test_nothing_is_read_before_all_rows_are_gone(rows: Rows) -> None:
    read(rows, ROW)
    assert rows.delay(NOW) == inf
    rows.attach(7, 1)
    rows.decided(NOW, 1, False, NOBODY)
    assert rows.delay(NOW) == inf
    leaving = rows.leaving([7], MOST)
    assert leaving == Leaving([1], {})
    rows.left(leaving, [7])
    assert rows.due(NOW)


def test_stopped_one_reads_nothing(rows: Rows) -> None:
    rows.stopped = True
    assert rows.delay(NOW) == inf


def test_rows_of_other_jobs_stay(rows: Rows) -> None:
    rows.attach(7, 1)
    rows.attach(8, 2)
    assert rows.leaving([8, 9], MOST) == Leaving([2], {})
    rows.left(Leaving([2]), [8, 9])
    assert rows.attached == {7: [1]}


def test_row_that_joins_while_its_job_is_stored_leaves_with_the_next_commit(
    rows: Rows,
) -> None:
    rows.attach(7, 1)
    leaving = rows.leaving([7], MOST)
    rows.attach(7, 2)
    rows.left(leaving, [7])
    assert rows.waiting
    assert rows.leaving([], MOST) == Leaving([2], {})


def test_refused_rows_leave_with_their_reason(rows: Rows) -> None:
    rows.finish([1], "no")
    rows.attach(7, 2)
    rows.detach(7, "nor this")
    rows.detach(8)
    rows.finish([3])
    leaving = rows.leaving([], MOST)
    assert leaving == Leaving([3], {1: "no", 2: "nor this"})
    assert leaving.size == 3
    rows.left(leaving, [])
    assert not rows.waiting


def test_some_rows_leave_at_a_time(rows: Rows) -> None:
    rows.finish(range(5))
    leaving = rows.leaving([], 2)
    assert leaving == Leaving([0, 1], {})
    rows.left(leaving, [])
    assert rows.leaving([], MOST) == Leaving([2, 3, 4], {})


def test_full_server_pauses_longer_and_longer_up_to_a_second(rows: Rows) -> None:
    pauses = []
    for _ in range(6):
        read(rows, ROW)
        rows.decided(NOW, 0, True, NOBODY)
        pauses.append(rows.delay(NOW))
        # No hint changes that.
        rows.hint()
        assert not rows.due(NOW)
    assert pauses[0] == pytest.approx(FIRST_PAUSE)
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(IDLE)
    assert rows.most == FEW
    read(rows, ROW)
    rows.decided(NOW, 5, True, NOBODY)
    assert rows.delay(NOW) == pytest.approx(FIRST_PAUSE)
    assert rows.most == 2 * 5 + FEW


def test_full_function_is_left_out_for_a_while(rows: Rows) -> None:
    read(rows, ROW)
    rows.decided(NOW, 1, False, {b"f"})
    # The others go on.
    assert rows.due(NOW)
    assert rows.held == {b"f"}
    read(rows, InboxRow(2, b"g"))
    rows.decided(NOW, 1, False, NOBODY)
    assert rows.held == {b"f"}
    read(rows)
    assert rows.delay(NOW) == pytest.approx(FIRST_PAUSE)
    rows.begin(NOW + FIRST_PAUSE)
    assert rows.held == NOBODY
