"""The contract of queue plugins: a plugin that passes these tests is correct."""

import inspect
import pickle
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)

from gearman.commands import MAX_FUNCTION, MAX_HANDLE, MAX_UNIQUE
from gearman.errors import JobRefused, QueueError, StartupError
from gearman.queue import HIGH, LOW, MAX_EXTRA, NORMAL, StoredJob, check
from tests.queues.backend import LARGE, Backend, Store
from tests.queues.backend_postgres import STRICT
from tests.servers import DEADLINE, package_environment

# A server's numbers are microseconds since the epoch.
NOW = 1_700_000_000_000_000
LAST = 2**63 - 1
ALL_BYTES = bytes(range(256))
NO_NUL = ALL_BYTES[1:]

ONE = StoredJob(1, b"H:host:1", b"f", b"u", b"one")
TWO = StoredJob(2, b"H:host:2", b"f", b"v", b"two")
THREE = StoredJob(3, b"H:host:3", b"g", b"u", b"three")


def job(number: int = 1, **fields) -> StoredJob:
    return ONE._replace(number=number, **{"handle": b"H:host:%d" % number, **fields})


FIELDS = {
    "empty workload": job(workload=b""),
    "NUL as workload": job(workload=b"\0"),
    "every byte in the workload": job(workload=ALL_BYTES),
    "NULs and quotes in the workload": job(workload=b"\0'\"\\\0;--\r\n%s{}\0"),
    "workload of a megabyte less one": job(workload=ALL_BYTES * 3906),
    "quotes in names": job(function=b"'\"`\\", unique=b"';--\r\n$1 %s ?"),
    "every byte but NUL in the function": job(function=NO_NUL + NO_NUL[::-1]),
    "bytes from the middle in the unique": job(unique=NO_NUL[95:159]),
    "high bytes in the unique": job(unique=NO_NUL[-MAX_UNIQUE:]),
    "low bytes in the unique": job(unique=NO_NUL[:MAX_UNIQUE]),
    "no UTF-8": job(function=b"\xff\xfe\x80", unique=b"\xc3"),
    "UTF-8": job(function="größe".encode(), unique="鍵".encode()),
    "dashes and spaces": job(function=b"my-func tion-", unique=b" a - b "),
    "empty function": job(function=b""),
    "longest function": job(function=b"f" * MAX_FUNCTION),
    "longest unique": job(unique=b"u" * MAX_UNIQUE),
    "empty unique": job(unique=b""),
    "dash as unique": job(unique=b"-"),
    "no handle": job(handle=b""),
    "longest handle": job(handle=b"H:" + b"h" * (MAX_HANDLE - 4) + b":1"),
    "high": job(priority=HIGH),
    "low": job(priority=LOW),
    "epoch": job(when=1_700_000_000),
    "epoch after 2038": job(when=2**31),
    "last epoch": job(when=LAST),
    "retries": job(retries=255),
    "many retries": job(retries=2**31 - 1),
    "reducer": job(reducer=b"sum"),
    "every byte but NUL in the reducer": job(reducer=NO_NUL),
    "empty reducer": job(reducer=b""),
    "NUL as extra": job(extra=b"\0"),
    "every byte in the extra": job(extra=ALL_BYTES),
    "extra of a megabyte less one": job(extra=ALL_BYTES * 3906),
    "extra and reducer": job(reducer=b"sum", extra=b"\x01\0extra"),
    "extra, and else as little as possible": job(
        handle=b"", function=b"", unique=b"", workload=b"", extra=b"x"
    ),
    "number of today": job(number=NOW),
    "last number": job(number=LAST),
}


@pytest.mark.parametrize("stored", FIELDS.values(), ids=FIELDS)
def test_what_is_committed_is_replayed(store: Store, stored: StoredJob) -> None:
    assert check(stored) == ""
    store.fill(stored)
    assert store.content() == [store.backend.kept(stored)]


def test_new_store_is_empty(store: Store) -> None:
    assert store.content() == []


def test_replay_goes_by_numbers(store: Store) -> None:
    numbers = [NOW, 7, LAST, 1, NOW + 1, 2**32, 10, 9, 2**31]
    jobs = [job(number=number, unique=b"") for number in numbers]
    with closing(store.open_replayed()) as queue:
        for position in range(0, len(jobs), 2):
            queue.commit(jobs[position : position + 2], [])
    assert [job.number for job in store.content()] == sorted(numbers)


def test_priorities_and_times_do_not_change_the_order(store: Store) -> None:
    jobs = [
        job(number=1, unique=b"a", priority=LOW, when=0),
        job(number=2, unique=b"b", priority=HIGH, when=99),
        job(number=3, unique=b"c", priority=NORMAL, when=3),
        job(number=4, unique=b"d", priority=HIGH, when=0),
    ]
    store.fill(*jobs)
    assert store.content() == jobs_kept(store, jobs)


def jobs_kept(store: Store, jobs: list[StoredJob]) -> list[StoredJob]:
    return [store.backend.kept(job) for job in jobs]


@pytest.mark.parametrize("unique", [b"", b"-", b"u"], ids=["empty", "dash", "same"])
def test_jobs_alike_are_jobs_of_their_own(store: Store, unique: bytes) -> None:
    alike = [job(number=n, unique=unique) for n in range(1, 6)]
    with closing(store.open_replayed()) as queue:
        queue.commit(alike[:3], [])
        queue.commit(alike[3:], [1])
    assert store.content() == jobs_kept(store, alike[1:])


def test_names_that_run_together_are_told_apart(store: Store) -> None:
    pairs = [(b"a-b", b"c"), (b"a", b"b-c"), (b"a", b"B-C"), (b"A-b", b"c")]
    jobs = [
        job(number=number, function=function, unique=unique)
        for number, (function, unique) in enumerate(pairs, 1)
    ]
    store.fill(*jobs)
    assert store.content() == jobs_kept(store, jobs)


def test_job_is_replaced_by_one_of_the_same_number(store: Store) -> None:
    other = StoredJob(2, b"", b"g", b"", b"else", LOW, 9, 3, b"r", b"x")
    with closing(store.open_replayed()) as queue:
        queue.commit([ONE, TWO], [])
        queue.commit([other, THREE], [])
    assert store.content() == jobs_kept(store, [ONE, other, THREE])


def test_job_stored_before_the_start_is_replaced(store: Store) -> None:
    store.fill(ONE)
    store.fill(ONE._replace(retries=1, workload=b"more"))
    assert store.content() == jobs_kept(
        store, [ONE._replace(retries=1, workload=b"more")]
    )


def test_extra_comes_and_goes_with_the_job_of_the_number(store: Store) -> None:
    with closing(store.open_replayed()) as queue:
        queue.commit([ONE, TWO._replace(extra=b"old")], [])
        queue.commit([ONE._replace(extra=b"new"), TWO], [])
        queue.commit([THREE._replace(extra=b"three")], [])
    with closing(store.open_replayed()) as queue:
        queue.commit([THREE], [])
    expected = [ONE._replace(extra=b"new"), TWO, THREE]
    assert store.content() == jobs_kept(store, expected)


def test_batch_may_have_jobs_with_and_without_extra(store: Store) -> None:
    jobs = [
        job(number=number, unique=b"%d" % number, extra=b"x" * (number % 3))
        for number in range(1, 300)
    ]
    store.fill(*jobs)
    assert store.content() == jobs_kept(store, jobs)


def test_removed_job_does_not_come_back(store: Store) -> None:
    with closing(store.open_replayed()) as queue:
        queue.commit([ONE, TWO], [])
        queue.commit([], [1])
    assert store.content() == jobs_kept(store, [TWO])


def test_job_stored_before_the_start_is_removed(store: Store) -> None:
    store.fill(ONE, TWO)
    with closing(store.open_replayed()) as queue:
        queue.commit([], [2])
    assert store.content() == jobs_kept(store, [ONE])


def test_removed_job_can_be_stored_again(store: Store) -> None:
    with closing(store.open_replayed()) as queue:
        queue.commit([ONE], [])
        queue.commit([], [1])
        queue.commit([ONE], [])
    assert store.content() == jobs_kept(store, [ONE])


def test_removing_what_is_not_there_is_no_error(store: Store) -> None:
    with closing(store.open_replayed()) as queue:
        queue.commit([ONE], [5, LAST, NOW])
        queue.commit([], [5, 5])
    assert store.content() == jobs_kept(store, [ONE])


def test_one_commit_adds_and_removes(store: Store) -> None:
    with closing(store.open_replayed()) as queue:
        queue.commit([ONE, TWO], [])
        queue.commit([THREE], [1, 2])
    assert store.content() == jobs_kept(store, [THREE])


def test_empty_commit_changes_nothing(store: Store) -> None:
    with closing(store.open_replayed()) as queue:
        queue.commit([], [])
        queue.commit([ONE], [])
        queue.commit([], [])
    assert store.content() == jobs_kept(store, [ONE])


def test_tuples_are_sequences_too(store: Store) -> None:
    with closing(store.open_replayed()) as queue:
        queue.commit((ONE, TWO), ())
        queue.commit((), (1,))
    assert store.content() == jobs_kept(store, [TWO])


# Opens a store, commits, and kills itself by SIGKILL.
DIE = """
import os, pickle, signal, sys
plugin, arguments, batches = pickle.load(sys.stdin.buffer)
queue = plugin(**arguments)
list(queue.replay())
for batch in batches:
    queue.commit(*batch)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_commit_outlives_the_server(store: Store) -> None:
    if not store.backend.outlives:
        pytest.skip("it keeps nothing outside of the process")
    batches = [([ONE, TWO], []), ([THREE], [1])]
    died = subprocess.run(
        [sys.executable, "-P", "-c", DIE],
        input=pickle.dumps((store.backend.plugin, store.arguments, batches)),
        env=package_environment(path=store.backend.package),
        timeout=DEADLINE,
    )
    assert died.returncode == -signal.SIGKILL
    assert store.content() == jobs_kept(store, [TWO, THREE])


@pytest.mark.parametrize("size", [255, 256, 257, 1000, 10_000])
def test_batch_may_be_large(store: Store, size: int) -> None:
    old = [job(number=n, unique=b"old%d" % n) for n in range(1, size + 1)]
    new = [job(number=n, unique=b"new%d" % n) for n in range(NOW, NOW + size)]
    with closing(store.open_replayed()) as queue:
        queue.commit(old, [])
        queue.commit(new, [job.number for job in old])
    assert store.content() == jobs_kept(store, new)


def test_large_workload_is_stored_or_refused(store: Store) -> None:
    large = job(number=2, unique=b"large", workload=ALL_BYTES * (LARGE // 256))
    with closing(store.open_replayed()) as queue:
        if store.backend.largest >= LARGE:
            queue.commit([ONE, large, THREE], [])
        else:
            assert_refused(queue, [ONE, large, THREE], large.number)
            queue.commit([ONE, THREE], [])
    expected = {1: ONE, 2: large, 3: THREE}
    if store.backend.largest < LARGE:
        del expected[2]
    # Compared so that a failure does not print 64 MB.
    assert same(store.content(), jobs_kept(store, list(expected.values())))


def test_largest_extra_is_stored_or_refused(store: Store) -> None:
    large = job(number=2, unique=b"large", extra=ALL_BYTES * (MAX_EXTRA // 256))
    refused: set[int] = set()
    with closing(store.open_replayed()) as queue:
        try:
            queue.commit([ONE, large, THREE], [])
        except JobRefused as refusal:
            refused = {*refusal.reasons}
            queue.commit([ONE, THREE], [])
    assert refused <= {2}
    expected = [job for job in (ONE, large, THREE) if job.number not in refused]
    assert same(store.content(), jobs_kept(store, expected))


def same(found: list[StoredJob], expected: list[StoredJob]) -> bool:
    return found == expected


def assert_refused(queue, jobs, *numbers: int) -> None:
    with pytest.raises(JobRefused) as refusal:
        queue.commit(jobs, [])
    assert set(refusal.value.reasons) == set(numbers)
    for reason in refusal.value.reasons.values():
        assert_sentence(reason)


def assert_sentence(text: str) -> None:
    """Check that a text is suitable for a user, as one line of the log."""
    assert text == text.strip()
    assert text.isprintable()
    assert 10 < len(text) < 500


def test_workload_of_the_limit_is_stored(store: Store) -> None:
    limit = store.backend.largest
    if limit >= LARGE:
        pytest.skip("it has no limit of its own")
    stored = job(workload=b"w" * limit)
    with closing(store.open_replayed()) as queue:
        queue.commit([stored], [])
        assert_refused(queue, [job(number=2, workload=b"w" * (limit + 1))], 2)
    assert same(store.content(), jobs_kept(store, [stored]))


def test_refusal_changes_nothing(store: Store) -> None:
    limit = store.backend.largest
    if limit >= LARGE:
        pytest.skip("it refuses nothing")
    large = [job(number=n, workload=b"w" * (limit + 1)) for n in (3, 5)]
    with closing(store.open_replayed()) as queue:
        queue.commit([ONE], [])
        with pytest.raises(JobRefused) as refusal:
            queue.commit([job(number=4), large[0], TWO, large[1]], [1])
    assert set(refusal.value.reasons) == {3, 5}
    assert store.content() == jobs_kept(store, [ONE])


def test_store_may_be_used_by_another_thread_than_opened_it(store: Store) -> None:
    queue = store.open_replayed()
    for step in (lambda: queue.commit([ONE], []), queue.close):
        with ThreadPoolExecutor(1) as thread:
            thread.submit(step).result()
    assert store.content() == jobs_kept(store, [ONE])


def test_closing_twice_is_no_error(store: Store) -> None:
    queue = store.open()
    queue.close()
    queue.close()


def test_store_closed_before_its_replay_ended_can_be_opened(store: Store) -> None:
    store.fill(ONE, TWO, THREE)
    queue = store.open()
    jobs = iter(queue.replay())
    assert next(jobs) == store.backend.kept(ONE)
    queue.close()
    del jobs
    assert store.content() == jobs_kept(store, [ONE, TWO, THREE])


@pytest.mark.usefixtures("impatient")
def test_store_opens_for_one_at_a_time(store: Store) -> None:
    if not store.backend.exclusive:
        pytest.skip("it can't tell that the store is in use")
    queue = store.open_replayed()
    with pytest.raises(StartupError) as error:
        store.open()
    assert_sentence(str(error.value))
    queue.commit([ONE], [])
    queue.close()
    assert store.content() == jobs_kept(store, [ONE])


def test_stores_are_apart(backend: Backend) -> None:
    with backend.store() as one, backend.store() as other:
        one.fill(ONE)
        other.fill(TWO)
        assert one.content() == [backend.kept(ONE)]
        assert other.content() == [backend.kept(TWO)]


def test_store_that_cannot_be_opened_says_what_to_do(backend: Backend) -> None:
    if backend.unreachable is None:
        pytest.skip("it has no store that can't be opened")
    with pytest.raises(StartupError) as error:
        backend.plugin(**backend.unreachable)
    assert_sentence(str(error.value))


def test_commit_fails_in_an_outage_and_works_after_it(store: Store) -> None:
    if store.backend.outage is None:
        pytest.skip("it has no outages")
    queue = store.open_replayed()
    queue.commit([ONE, TWO], [])
    with store.backend.outage(store.arguments):
        for added, done in ([THREE], [1]), ([], [1]), ([], []):
            with pytest.raises(QueueError) as error:
                queue.commit(added, done)
            assert not isinstance(error.value, JobRefused)
            assert_sentence(str(error.value))
    queue.commit([], [])
    queue.commit([THREE], [1])
    queue.close()
    assert store.content() == jobs_kept(store, [TWO, THREE])


def test_store_can_be_closed_in_an_outage(store: Store) -> None:
    if store.backend.outage is None:
        pytest.skip("it has no outages")
    queue = store.open_replayed()
    queue.commit([ONE], [])
    with store.backend.outage(store.arguments):
        queue.close()
    assert store.content() == jobs_kept(store, [ONE])


KINDS = {"text", "path", "number", "flag"}


def test_options_are_well_formed(backend: Backend) -> None:
    for option in backend.plugin.options:
        assert option.names
        assert all(re.fullmatch("[a-z][a-z0-9]*(-[a-z0-9]+)*", n) for n in option.names)
        assert isinstance(option.kind, tuple) or option.kind in KINDS
        assert option.help == option.help.strip().rstrip(".")
        assert option.help


def test_options_have_names_of_their_own(backend: Backend) -> None:
    names = [name for option in backend.plugin.options for name in option.names]
    keywords = [option.keyword for option in backend.plugin.options]
    assert len(set(names)) == len(names)
    assert len(set(keywords)) == len(keywords)


def test_constructor_takes_the_options_and_nothing_else(backend: Backend) -> None:
    parameters = inspect.signature(backend.plugin).parameters.values()
    names = [option.keyword for option in backend.plugin.options]
    if backend.plugin.has_inbox:
        names.append("inbox")
    if backend.plugin.has_cluster:
        names.append("cluster")
    assert [one.name for one in parameters] == names
    assert all(one.kind is one.KEYWORD_ONLY for one in parameters)
    # An option that isn't given is not passed.
    assert all(one.default is not one.empty for one in parameters)


def test_docstring_tells_of_each_option(backend: Backend) -> None:
    manual = inspect.getdoc(backend.plugin)
    assert manual
    for option in backend.plugin.options:
        assert f"--{option.names[0]}" in manual


NUMBERS = st.sampled_from([*range(1, 9), NOW, NOW + 1, LAST])
WITHOUT_NUL = st.integers(1, 255)


def names(longest: int) -> st.SearchStrategy[bytes]:
    return st.lists(WITHOUT_NUL, max_size=longest).map(bytes)


JOBS = st.builds(
    StoredJob,
    number=NUMBERS,
    handle=st.just(b"H:host:") | st.just(b""),
    function=st.sampled_from([b"f", b"g"]) | names(512),
    unique=st.sampled_from([b"", b"-", b"u"]) | names(MAX_UNIQUE),
    workload=st.binary(max_size=300),
    priority=st.sampled_from([HIGH, NORMAL, LOW]),
    when=st.just(0) | st.integers(0, LAST),
    retries=st.integers(0, 2**31 - 1),
    reducer=st.none() | names(MAX_UNIQUE),
    extra=st.just(b"") | st.binary(max_size=300),
).map(lambda job: job._replace(handle=job.handle and b"%b%d" % (job[1], job[0])))


class Restarts(RuleBasedStateMachine):
    """Commits and restarts in random order, compared with a dictionary."""

    backend: ClassVar[Backend]

    def __init__(self) -> None:
        super().__init__()
        self.life = self.backend.store()
        self.store = self.life.__enter__()
        self.queue = self.store.open_replayed()
        self.model: dict[int, StoredJob] = {}

    @rule(
        added=st.lists(JOBS, max_size=6, unique_by=lambda job: job.number),
        done=st.lists(NUMBERS, max_size=6),
    )
    def commit(self, added, done):
        new = {job.number: job for job in added}
        gone = [number for number in done if number not in new]
        self.queue.commit(added, gone)
        self.model.update(new)
        for number in gone:
            self.model.pop(number, None)

    @rule()
    def restart(self):
        self.queue.close()
        self.queue = self.store.open()
        expected = [self.model[number] for number in sorted(self.model)]
        assert list(self.queue.replay()) == jobs_kept(self.store, expected)

    def teardown(self):
        try:
            self.restart()
        finally:
            self.life.__exit__(None, None, None)


# To open a store of a cluster takes longer.
EXAMPLES = 10 if STRICT else 40


@pytest.mark.timeout(30 * DEADLINE)
def test_any_commits_and_restarts_keep_exactly_the_jobs_left(backend: Backend) -> None:
    machine = type("Restarts", (Restarts,), {"backend": backend})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=15)
    )
