"""Which jobs are added, under which numbers, and which are already there."""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.cli.gearman_queue import intake
from gearman.cli.gearman_queue.intake import (
    Intake,
    Ledger,
    batches,
    digest,
    places,
)
from gearman.errors import QueueError
from gearman.queue import LOW, StoredJob
from tests.queues.backend_memory import LARGEST, MemoryQueue

NOW = 1_700_000_000_000_000
NAMES = map("intake {}".format, count())
JOB = StoredJob(NOW, b"H:a:%d" % NOW, b"f", b"u", b"w")
OTHER = JOB._replace(workload=b"other")


@pytest.fixture
def queue() -> Iterator[MemoryQueue]:
    queue = MemoryQueue(name=next(NAMES))
    yield queue
    queue.close()


def take(queue: MemoryQueue, *jobs: StoredJob, refused: list[str] | None = None):
    """Add jobs; return how many were added, how many moved, how many already there."""
    refuse = [] if refused is None else refused
    taken = Intake(queue, queue.replay(), refuse.append)
    taken.take(jobs)
    return taken.added, taken.moved, taken.present


def test_job_keeps_number_and_handle_where_the_number_is_free(queue) -> None:
    assert take(queue, JOB) == (1, 0, 0)
    assert list(queue.replay()) == [JOB]


def test_job_that_is_there_is_not_added_again(queue) -> None:
    take(queue, JOB)
    assert take(queue, JOB, JOB) == (0, 0, 2)
    assert list(queue.replay()) == [JOB]


def test_job_is_the_same_after_a_server_has_had_it(queue) -> None:
    had = JOB._replace(retries=3, handle=b"", reducer=b"r", extra=b"attempt 3")
    take(queue, had)
    assert take(queue, JOB) == (0, 0, 1)
    assert list(queue.replay()) == [had]


def test_extra_is_kept_by_a_job_that_gets_another_number(queue) -> None:
    take(queue, JOB)
    assert take(queue, OTHER._replace(extra=b"\0")) == (1, 1, 0)
    assert [job.extra for job in queue.replay()] == [b"\0", b""]


POLICY = JOB._replace(handle=b"", unique=b"", extra=b"kind=setting&what=policy")
SCHEDULE = POLICY._replace(workload=b"", extra=b"kind=setting&what=schedule&last=0")
RESULT = JOB._replace(unique=b"", extra=b"kind=result&state=done&expires=9")


def test_setting_that_is_there_by_its_name_stays(queue) -> None:
    take(queue, POLICY)
    changed = POLICY._replace(number=NOW + 1, workload=b"retries=9")
    assert take(queue, changed, changed._replace(number=NOW)) == (0, 0, 2)
    assert list(queue.replay()) == [POLICY]


def test_only_the_first_of_several_settings_is_added(queue) -> None:
    again = SCHEDULE._replace(number=NOW + 1)
    assert take(queue, SCHEDULE, again) == (1, 0, 1)
    assert list(queue.replay()) == [SCHEDULE]


def test_policy_and_schedule_of_the_same_name_are_two(queue) -> None:
    assert take(queue, POLICY, SCHEDULE) == (2, 1, 0)


def test_setting_whose_number_is_taken_gets_another_number(queue) -> None:
    take(queue, JOB)
    assert take(queue, POLICY) == (1, 1, 0)
    assert take(queue, POLICY) == (0, 0, 1)


def test_result_whose_number_is_taken_is_refused(queue) -> None:
    take(queue, JOB)
    refused: list[str] = []
    assert take(queue, RESULT, refused=refused) == (0, 0, 0)
    assert refused == [
        f"result {NOW} cannot be stored: another record has its number, by which"
        " clients ask for it"
    ]
    assert list(queue.replay()) == [JOB]


def test_result_that_is_there_is_not_added_again(queue) -> None:
    take(queue, RESULT)
    assert take(queue, RESULT) == (0, 0, 1)


def test_dead_job_is_the_job_that_it_was(queue) -> None:
    dead = JOB._replace(extra=b"submitted=1&kind=dead&died=2&reason=so")
    take(queue, dead)
    assert take(queue, JOB) == (0, 0, 1)


@pytest.mark.parametrize(
    "other",
    [
        JOB._replace(function=b"g"),
        JOB._replace(unique=b"v"),
        JOB._replace(workload=b"x"),
        JOB._replace(priority=LOW),
        JOB._replace(when=1),
        JOB._replace(function=b"fu", unique=b""),
        JOB._replace(unique=b"uw", workload=b""),
    ],
)
def test_other_job_of_the_number_gets_another_number(queue, other: StoredJob) -> None:
    take(queue, JOB)
    assert take(queue, other) == (1, 1, 0)
    moved, kept = queue.replay()
    assert kept == JOB
    assert moved == other._replace(number=moved.number, handle=b"")


def test_moved_jobs_are_known_the_next_time(queue) -> None:
    take(queue, JOB)
    jobs = [OTHER._replace(workload=b"%d" % n) for n in range(20)]
    assert take(queue, *jobs) == (20, 20, 0)
    assert take(queue, *jobs) == (0, 0, 20)
    assert len(list(queue.replay())) == 21


def test_jobs_alike_are_jobs_of_their_own(queue) -> None:
    alike = [JOB._replace(number=NOW + n, handle=b"") for n in range(5)]
    taken = [OTHER._replace(number=NOW + n, handle=b"") for n in range(5)]
    take(queue, *taken)
    assert take(queue, *alike) == (5, 5, 0)
    assert take(queue, *alike) == (0, 0, 5)
    assert len(list(queue.replay())) == 10


def test_moved_jobs_stay_in_their_order_and_in_the_past(queue) -> None:
    take(queue, *(JOB._replace(number=NOW + n) for n in range(5)))
    take(queue, *(OTHER._replace(number=NOW + n) for n in range(5)))
    moved = list(queue.replay())[:5]
    assert [job.number for job in moved] == [places_of(NOW + n)[1] for n in range(5)]
    assert moved[-1].number < NOW


def places_of(number: int) -> list[int]:
    return list(places(number))


@given(st.integers(1, 2**63 - 1))
def test_there_are_thousands_of_numbers_for_a_job(number: int) -> None:
    numbers = places_of(number)
    assert numbers[0] == number
    assert len(set(numbers)) == len(numbers) > 8000
    assert all(0 < n < 2**63 for n in numbers)


def test_job_without_a_number_left_is_an_error(queue, monkeypatch) -> None:
    monkeypatch.setattr(intake, "_PLACES", 1)
    take(queue, JOB)
    with pytest.raises(QueueError, match="there is no number left for the job"):
        take(queue, OTHER)


def test_refused_job_is_told_and_the_rest_is_added(queue) -> None:
    large = JOB._replace(number=NOW + 1, workload=b"w" * (LARGEST + 1))
    refused: list[str] = []
    assert take(queue, JOB, large, refused=refused) == (1, 0, 0)
    (sentence,) = refused
    assert sentence.startswith(f"job {NOW + 1} cannot be stored: the workload of ")


def test_refused_job_may_be_the_only_one(queue) -> None:
    large = JOB._replace(workload=b"w" * (LARGEST + 1))
    refused: list[str] = []
    assert take(queue, large, refused=refused) == (0, 0, 0)
    assert len(refused) == 1


def test_what_was_added_before_a_failure_is_counted(queue, monkeypatch) -> None:
    monkeypatch.setattr(intake, "_MOST_JOBS", 2)
    taken = Intake(queue, queue.replay(), pytest.fail)

    def jobs() -> Iterator[StoredJob]:
        for n in range(9):
            if n == 5:
                queue.failing.add(queue._name)
            yield JOB._replace(number=NOW + n)

    with pytest.raises(QueueError):
        taken.take(jobs())
    queue.failing.clear()
    assert taken.added == len(list(queue.replay())) == 4


def test_moved_jobs_are_counted_in_every_batch(queue, monkeypatch) -> None:
    monkeypatch.setattr(intake, "_MOST_JOBS", 2)
    take(queue, *(JOB._replace(number=NOW + n) for n in range(7)))
    others = (OTHER._replace(number=NOW + n) for n in range(7))
    assert take(queue, *others) == (7, 7, 0)


def test_batch_is_bounded_by_jobs_and_by_bytes() -> None:
    small = [JOB] * 2500
    assert [len(batch) for batch in batches(small)] == [1000, 1000, 500]
    large = [JOB._replace(workload=bytes(7 << 20))] * 5
    assert [len(batch) for batch in batches(large)] == [2, 2, 1]
    extra = [JOB._replace(extra=bytes(7 << 20))] * 5
    assert [len(batch) for batch in batches(extra)] == [2, 2, 1]
    assert list(batches([])) == []


@given(st.lists(st.integers(1, 99), unique=True))
def test_ledger_knows_the_numbers_in_whatever_order(numbers: list[int]) -> None:
    ledger = Ledger()
    for number in numbers:
        ledger.put(number, digest(JOB._replace(when=number)))
    for number in range(1, 100):
        expected = digest(JOB._replace(when=number)) if number in numbers else None
        assert ledger.get(number) == expected
