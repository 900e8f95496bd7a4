"""The queue plugin redis: a Redis that forgets, and connections that are lost.

What is promised holds for jobs with values of their own, and for blocks of jobs.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count

import pytest

from gearman.errors import JobsLost, QueueError
from gearman.queue import Queue, StoredJob
from tests.queues.backend_memcached import link
from tests.queues.backend_redis import Redis
from tests.queues.redis_stores import dumped, job, jobs, key, many, opened, restored
from tests.servers import DEADLINE

pytest.importorskip("redis")
pytestmark = pytest.mark.any_build

prefixes = map("forgets-{}".format, count())

# From how many jobs on a batch makes a block.
LAYOUTS = {"single": 1000, "blocks": 1}

Batch = tuple[list[StoredJob], list[int]]


@pytest.fixture
def prefix() -> str:
    return next(prefixes)


@pytest.fixture(autouse=True, params=LAYOUTS)
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The hash that small jobs are in; the tests run with each layout."""
    monkeypatch.setattr("gearman.queues.redis.content.FEW", LAYOUTS[request.param])
    return {"single": "jobs", "blocks": "blocks"}[request.param]


def test_flushed_redis_gets_all_jobs_again(redis: Redis, prefix: str) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1), job(2, bytes(20_000)), job(3)], [])
        for name in redis.all_keys():
            redis.call("DEL", name)
        with pytest.raises(QueueError, match="changed by another server"):
            queue.commit([job(4)], [3])
        with pytest.raises(JobsLost, match="2 jobs") as loss:
            queue.commit([job(4)], [3])
        assert loss.value.numbers == [1, 2]
        queue.commit([job(4)], [3])
        queue.commit([job(1), job(2)], [])
    assert jobs(redis.port, prefix=prefix) == [job(1), job(2), job(4)]


def test_hash_that_was_dropped_is_noticed_by_the_next_batch(
    redis: Redis, prefix: str, home: str
) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1), job(2), job(3, bytes(20_000))], [])
        assert redis.call("DEL", key(prefix, home)) == 1
        with pytest.raises(JobsLost) as loss:
            queue.commit([job(4)], [1])
        assert loss.value.numbers == [2]
        queue.commit([job(4)], [1])
        queue.commit([job(2)], [])
    assert jobs(redis.port, prefix=prefix) == [job(2), job(3, bytes(20_000)), job(4)]


def test_redis_put_back_in_time_gets_all_jobs_again(redis: Redis, prefix: str) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1), job(2), job(3)], [])
        before = dumped(redis, prefix)
        queue.commit([job(2, b"new"), job(4)], [1])
        restored(redis, prefix, before)
        with pytest.raises(QueueError, match="changed by another server"):
            queue.commit([job(5)], [])
        with pytest.raises(JobsLost) as loss:
            queue.commit([job(5)], [])
        assert loss.value.numbers == [2, 3, 4]
        queue.commit([job(5)], [])
        queue.commit([job(2, b"new"), job(3), job(4)], [])
    # The job that was done before is not there again.
    expected = [job(2, b"new"), job(3), job(4), job(5)]
    assert jobs(redis.port, prefix=prefix) == expected


def test_redis_of_the_time_before_the_server_gets_its_jobs(
    redis: Redis, prefix: str
) -> None:
    """What others may have added meanwhile stays there."""
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1), job(7)], [])
    before = dumped(redis, prefix)
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(2)], [7])
        restored(redis, prefix, before)
        with pytest.raises(QueueError, match="changed by another server"):
            queue.commit([job(3)], [])
        with pytest.raises(JobsLost) as loss:
            queue.commit([job(3)], [])
        assert loss.value.numbers == [1, 2]
        queue.commit([job(1), job(2), job(3)], [])
        queue.commit([], [1])
    assert jobs(redis.port, prefix=prefix) == [job(2), job(3), job(7)]


def test_jobs_that_are_done_and_come_back_are_removed_again(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only removals are lost: no job has to be stored again."""
    # The thread gives no signs, and a sign is always due.
    monkeypatch.setattr("gearman.queues.redis.store.SIGN", DEADLINE)
    monkeypatch.setattr("gearman.queues.redis.reign.SIGN", 0)
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 8), [])
        queue.commit([], [1])
        before = dumped(redis, prefix)
        queue.commit([], [2])
        queue.commit([], [3, 4, 5, 6, 7])
        restored(redis, prefix, before)
        with pytest.raises(QueueError, match="changed by another server"):
            queue.commit([], [])
        # A sign of life looks at the state, too.
        queue._store._reign.sign()  # type: ignore[attr-defined]
        queue.commit([], [])
    assert jobs(redis.port, prefix=prefix) == [job(8)]


# Lost connections


BATCHES: list[Batch] = [
    ([*many(1, 5), job(6, b"x" * 300)], []),
    ([job(7), job(8), job(2, b"new")], [1]),
    ([], [3, 4, 5]),
    ([job(9)], [6]),
    ([], [2, 7]),
]


def nothing(queue: Queue, done: list[int]) -> None:
    """The server has crashed."""


def next_try(queue: Queue, done: list[int]) -> None:
    # The failed jobs are given up; their numbers are not used again.
    queue.commit([job(99)], done)
    queue.commit([], [])


@pytest.mark.parametrize("then", [nothing, next_try])
def test_connection_cut_at_any_byte_loses_nothing(
    redis: Redis, then: Callable[[Queue, list[int]], None]
) -> None:
    """Only the first bytes of a batch arrive, or all of them and no answer."""
    sent = 0
    while True:
        name = next(prefixes)
        with link(redis.port) as way, ExitStack() as stack:
            queue = stack.enter_context(opened(way.port, prefix=name))
            way.left = sent
            before, after, failed = play(queue, BATCHES)
            way.left = sys.maxsize
            if failed:
                then(queue, failed[1])
        found = {each.number: each for each in jobs(redis.port, prefix=name)}
        for number in range(1, 10):
            allowed = [before.get(number), after.get(number)]
            if failed and then is next_try:
                gone = number not in before or number in failed[1]
                allowed = [None] if gone else allowed
            assert found.get(number) in allowed, (sent, number)
        if not failed:
            break
        sent += 29
    assert sent > 1000


def play(
    queue: Queue, batches: list[Batch]
) -> tuple[dict[int, StoredJob], dict[int, StoredJob], Batch | None]:
    """Commit until that fails; return the jobs before and after the failed commit."""
    before: dict[int, StoredJob] = {}
    for added, done in batches:
        after = {number: one for number, one in before.items() if number not in done}
        after |= {one.number: one for one in added}
        try:
            queue.commit(added, done)
        except QueueError:
            return before, after, (added, done)
        before = after
    return before, before, None
