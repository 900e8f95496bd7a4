"""The queue plugin redis: jobs that are stored together, in blocks."""

import random
import socket
import sys
from collections.abc import Iterator
from itertools import count

import pytest

from gearman.errors import JobsLost, QueueError
from gearman.queue import Queue, StoredJob, Unreadable
from tests.queues.backend_memcached import link
from tests.queues.backend_redis import Redis
from tests.queues.redis_stores import (
    FIELDS,
    content,
    dumped,
    job,
    jobs,
    key,
    many,
    opened,
    restored,
)
from tests.servers import DEADLINE, HOST

pytest.importorskip("redis")
pytestmark = pytest.mark.any_build

prefixes = map("blocks-{}".format, count())


@pytest.fixture
def prefix() -> str:
    return next(prefixes)


@pytest.fixture
def every(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch makes a block, also if it has one job."""
    monkeypatch.setattr("gearman.queues.redis.content.FEW", 1)


def lengths(redis: Redis, prefix: str) -> list[int]:
    """Return how many single jobs, blocks, and blocks with marks there are."""
    names = "jobs", "blocks", "done"
    return [redis.call("HLEN", key(prefix, name)) for name in names]


# Blocks come and go


def test_batch_is_one_value_until_it_is_done(redis: Redis, prefix: str) -> None:
    some = many(1, 100)
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(some, [])
        assert lengths(redis, prefix) == [0, 1, 0]
        queue.commit([], list(range(1, 41)))
        assert lengths(redis, prefix) == [0, 1, 1]
    assert jobs(redis.port, prefix=prefix) == some[40:]
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([], list(range(41, 101)))
        assert lengths(redis, prefix) == [0, 0, 0]
    assert not redis.call("EXISTS", key(prefix, "state"))


def test_few_jobs_have_values_of_their_own(redis: Redis, prefix: str) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 15), [])
        assert lengths(redis, prefix) == [15, 0, 0]
        # 65 records of 1,000 bytes are more than a block takes.
        queue.commit(many(101, 165, 950), [])
        single, blocks, _ = lengths(redis, prefix)
        assert (single > 15, blocks) == (True, 1)
    assert jobs(redis.port, prefix=prefix) == many(1, 15) + many(101, 165, 950)


def test_large_batch_makes_several_blocks(redis: Redis, prefix: str) -> None:
    some = many(1, 5000)
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(some[::-1], [])
        assert 2 < lengths(redis, prefix)[1] < 20
    assert jobs(redis.port, prefix=prefix) == some


def test_block_of_which_little_is_left_is_given_up(redis: Redis, prefix: str) -> None:
    some = many(1, 100)
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(some, [])
        queue.commit([job(101)], list(range(1, 70)))
        assert lengths(redis, prefix) == [1, 1, 1]
        queue.commit([], [*range(70, 79), 101])
        assert lengths(redis, prefix) == [0, 1, 1]
        queue.commit([], [79])
        assert lengths(redis, prefix) == [21, 0, 0]
        assert jobs_left(queue) == 21
    assert jobs(redis.port, prefix=prefix) == some[79:]


def jobs_left(queue: Queue) -> int:
    return len(queue._store._content.numbers())  # type: ignore[attr-defined]


def test_few_blocks_are_given_up_at_a_time(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.redis.blocks.MOVED", 1)
    with opened(redis.port, prefix=prefix) as queue:
        for first in 1, 101, 201:
            queue.commit(many(first, first + 99), [])
        queue.commit([], [n for n in range(1, 301) if n % 10])
        assert lengths(redis, prefix) == [0, 3, 3]
        queue.commit([], [])
        assert lengths(redis, prefix) == [10, 2, 2]
        queue.commit([], [])
        assert lengths(redis, prefix) == [20, 1, 1]
    # What was left is given up after a new start.
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([], [])
        assert lengths(redis, prefix) == [30, 0, 0]
    assert [j.number for j in jobs(redis.port, prefix=prefix)] == [*range(10, 301, 10)]


def test_jobs_that_are_stored_again_leave_their_block(
    redis: Redis, prefix: str
) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 40), [])
        queue.commit([job(3, b"new"), job(4, bytes(20_000))], [5])
        queue.commit([job(n, b"newer") for n in range(11, 31)], [])
        assert lengths(redis, prefix) == [1, 2, 1]
    expected = {each.number: each for each in many(1, 40)}
    del expected[5]
    expected |= {3: job(3, b"new"), 4: job(4, bytes(20_000))}
    expected |= {n: job(n, b"newer") for n in range(11, 31)}
    assert jobs(redis.port, prefix=prefix) == list(expected.values())


def test_long_commands_are_divided(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.redis.blocks.WORDS", 4)
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 15), [])
        queue.commit(many(101, 140), [])
        queue.commit([], [*range(1, 15), *range(101, 133)])
        queue.commit([], [133])
    assert jobs(redis.port, prefix=prefix) == [job(15), *many(134, 140)]


@pytest.mark.parametrize("seed", range(6))
def test_random_batches_and_lost_connections(
    redis: Redis, prefix: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ("FEW", 3), ("SIZE", 600), ("SMALL", 300):
        home = "blocks" if name == "SIZE" else "content"
        monkeypatch.setattr(f"gearman.queues.redis.{home}.{name}", value)
    choice = random.Random(seed)
    stored: dict[int, StoredJob] = {}
    fresh = count(1)
    with link(redis.port) as way:
        for _ in range(6):
            with opened(way.port, prefix=prefix) as queue:
                for _ in range(15):
                    added, done = batch(choice, stored, fresh)
                    way.left = choice.choice(
                        [sys.maxsize] * 4 + [choice.randrange(3000)]
                    )
                    try:
                        queue.commit(added, done)
                    except QueueError:
                        way.left = sys.maxsize
                        # The caller gives up the new jobs.
                        added = [each for each in added if each.number in stored]
                        queue.commit(added, done)
                    way.left = sys.maxsize
                    stored |= {each.number: each for each in added}
                    for number in done:
                        del stored[number]
            found = jobs(redis.port, prefix=prefix)
            assert found == [stored[number] for number in sorted(stored)]
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([], list(stored))
    assert not any(redis.call("EXISTS", key(prefix, name)) for name in FIELDS)


def batch(
    choice: random.Random, stored: dict[int, StoredJob], fresh: Iterator[int]
) -> tuple[list[StoredJob], list[int]]:
    known = choice.sample(sorted(stored), choice.randrange(len(stored) + 1))
    done = known[: choice.randrange(len(known) + 1)]
    again = known[len(done) : len(done) + choice.randrange(4)]
    new = [next(fresh) for _ in range(choice.choice([0, 0, 1, 5, 20]))]
    return [job(n, choice.randbytes(choice.randrange(200))) for n in again + new], done


# What can't be read


def test_damaged_block_is_reported_and_stays(redis: Redis, prefix: str) -> None:
    home = key(prefix, "blocks")
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 20), [])
        queue.commit(many(21, 40), [])
    redis.call("HSET", home, "1", bytes(100), "7", b"short", "x", b"y")
    redis.call("HSET", key(prefix, "done"), "z", b"y")
    wrong = {
        f"the field '1' of {home}": "it is damaged",
        f"the field '7' of {home}": "it is damaged",
        f"the field 'x' of {home}": "it is not named by a number",
        f"the field 'z' of {key(prefix, 'done')}": "it is not named by a number",
    }
    for _ in range(2):
        found = content(redis.port, prefix=prefix)
        assert found[-20:] == many(21, 40)
        assert wrong == {e.key: e.reason for e in found if isinstance(e, Unreadable)}
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([], list(range(21, 41)))
    assert lengths(redis, prefix) == [0, 3, 1]


def test_damaged_job_of_a_block_is_reported_and_stays(
    redis: Redis, prefix: str
) -> None:
    home = key(prefix, "blocks")
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(n, b"workload %d." % n) for n in range(1, 21)], [])
    value = redis.call("HGET", home, "1")
    redis.call("HSET", home, "1", value.replace(b"workload 7.", b"worklOad 7."))
    first, *_ = [
        e for e in content(redis.port, prefix=prefix) if isinstance(e, Unreadable)
    ]
    assert first == Unreadable(f"the job 7 in the field '1' of {home}", "it is damaged")
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([], list(range(1, 21)))
        queue.commit([], [7])
        queue.commit([job(99)], [])
    found = content(redis.port, prefix=prefix)
    assert found[1] == job(99)
    assert found[0] == Unreadable(
        f"the field '7' of {key(prefix, 'jobs')}", "it is damaged"
    )


def test_block_that_is_shorter_than_its_head_says(redis: Redis, prefix: str) -> None:
    home = key(prefix, "blocks")
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 20), [])
    redis.call("HSET", home, "1", redis.call("HGET", home, "1")[:-1])
    found = content(redis.port, prefix=prefix)
    assert found[:-1] == many(1, 19)
    assert isinstance(found[-1], Unreadable)


# The layout of the version before


def test_jobs_of_the_version_before_are_taken_over(redis: Redis, prefix: str) -> None:
    some = [*many(1, 10), job(11, bytes(20_000))]
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(some, [])
    redis.call("SET", key(prefix, "state"), b"gearman-py 1 5 1000 -")
    with opened(redis.port, prefix=prefix) as queue:
        assert redis.call("GET", key(prefix, "state")).startswith(b"gearman-py 2 6 ")
        queue.commit(many(21, 60), [1])
    assert jobs(redis.port, prefix=prefix) == some[1:] + many(21, 60)


# Redis that forgets


@pytest.mark.usefixtures("every")
def test_block_that_was_dropped_is_noticed(redis: Redis, prefix: str) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 3), [])
        queue.commit(many(4, 6), [])
        redis.call("HDEL", key(prefix, "blocks"), "1")
        with pytest.raises(JobsLost) as loss:
            queue.commit([job(7)], [1, 4])
        assert loss.value.numbers == [2, 3]
        queue.commit([job(7)], [1, 4])
        queue.commit(many(2, 3), [])
        queue.commit([], [])
    assert jobs(redis.port, prefix=prefix) == [*many(2, 3), *many(5, 7)]
    assert lengths(redis, prefix)[2] == 1


def test_block_that_was_dropped_is_noticed_when_it_is_given_up(
    redis: Redis, prefix: str
) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 20), [])
        queue.commit([], list(range(1, 19)))
        redis.call("DEL", key(prefix, "blocks"))
        with pytest.raises(JobsLost) as loss:
            queue.commit([], [19])
        assert loss.value.numbers == [20]
        queue.commit([job(20)], [])
    assert jobs(redis.port, prefix=prefix) == [job(20)]


def test_block_that_was_given_up_and_comes_back_runs_nothing_twice(
    redis: Redis, prefix: str
) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 20), [])
        before = dumped(redis, prefix, "blocks")
        queue.commit([], list(range(1, 17)))
        queue.commit([], [])
        assert lengths(redis, prefix) == [4, 0, 0]
        restored(redis, prefix, before)
        queue.commit([], [17])
        queue.commit([], [])
        assert lengths(redis, prefix) == [3, 0, 0]
    assert jobs(redis.port, prefix=prefix) == many(18, 20)


def test_marks_without_a_block_are_deleted(redis: Redis, prefix: str) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 20), [])
    redis.call("HSET", key(prefix, "done"), "1", b"\xff\xff\x0f", "9", b"\x01")
    assert jobs(redis.port, prefix=prefix) == []
    assert not redis.call("EXISTS", key(prefix, "state"))


# Lost connections


def test_removal_that_was_delayed_does_nothing(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would bring jobs back, since it says which ones of a block are left."""
    from gearman.queues.redis.session import Session

    sent: list[bytes] = []

    def delay(session: Session, script: bytes) -> None:
        sent.append(script)
        session.close()
        raise QueueError("the connection was lost")

    with opened(redis.port, prefix=prefix) as queue:
        queue.commit(many(1, 40), [])
        with monkeypatch.context() as patch:
            patch.setattr(Session, "execute", delay)
            with pytest.raises(QueueError, match="connection was lost"):
                queue.commit([], [1, 2])
        queue.commit([], [1, 2, 3])
        with socket.create_connection((HOST, redis.port), DEADLINE) as peer:
            peer.sendall(sent[0])
            assert peer.recv(100) == b"$-1\r\n"
        queue.commit([], [4])
    assert jobs(redis.port, prefix=prefix) == many(5, 40)
