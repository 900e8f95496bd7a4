"""The queue plugin redis, beyond the contract."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gearman.errors import JobRefused, JobsLost, QueueError, StartupError
from gearman.queue import Queue, StoredJob, Unreadable
from tests.queues.backend_memcached import link
from tests.queues.backend_redis import Redis, running
from tests.queues.redis_stores import content, dumped, job, jobs, opened, restored
from tests.servers import DEADLINE, free_port, package_environment

pytest.importorskip("redis")
pytestmark = pytest.mark.any_build

prefixes = map("special-{}".format, count())


@pytest.fixture
def prefix() -> str:
    return next(prefixes)


def keys(redis: Redis, prefix: str) -> set[str]:
    """Return the ends of the names of the keys with a prefix."""
    begin = f"{{{prefix}}}:".encode()
    return {
        key.removeprefix(begin).decode()
        for key in redis.all_keys()
        if key.startswith(begin)
    }


# Keys


def test_jobs_that_are_done_leave_nothing(redis: Redis, prefix: str) -> None:
    large = bytes(20_000)
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1), job(2, large), job(3)], [])
        assert keys(redis, prefix) == {"state", "lease", "jobs", "large"}
        queue.commit([], [1, 2, 3])
        assert keys(redis, prefix) == {"state", "lease"}
    assert keys(redis, prefix) == set()


def test_jobs_stay_when_the_server_ends(redis: Redis, prefix: str) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1)], [])
    assert keys(redis, prefix) == {"state", "jobs"}


def test_job_may_become_large_and_small_again(redis: Redis, prefix: str) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        for workload, home in (b"w", "jobs"), (bytes(20_000), "large"), (b"v", "jobs"):
            queue.commit([job(1, workload)], [])
            assert keys(redis, prefix) == {"state", "lease", home}
            queue.commit([], [])
    assert jobs(redis.port, prefix=prefix) == [job(1, b"v")]


def test_answers_of_the_replay_are_limited(redis: Redis, prefix: str) -> None:
    numbers = random.Random(1).sample(range(1, 10**9), 5000)
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(n, bytes(n % 3 * 8000)) for n in numbers], [])
    before = most_sent(redis)
    found = [each.number for each in jobs(redis.port, prefix=prefix)]
    assert found == sorted(numbers)
    assert before <= most_sent(redis) < 20_000_000


def most_sent(redis: Redis) -> int:
    """Return the bytes of the largest answer that waited to be sent."""
    return int(redis.call("INFO", "clients")["client_recent_max_output_buffer"])


def test_database_of_the_url_is_used(redis: Redis, prefix: str) -> None:
    url = f"redis://127.0.0.1:{redis.port}/3"
    with opened(redis.port, url=url, prefix=prefix):
        assert not keys(redis, prefix)


def test_redis_cluster_takes_all_keys(tmp_path: Path) -> None:
    settings = {"cluster-enabled": "yes", "cluster-port": str(free_port()), "save": ""}
    with running(tmp_path, settings) as redis:
        redis.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        with opened_when_ready(redis) as queue:
            queue.commit([job(1), job(2, bytes(20_000))], [])
        assert jobs(redis.port) == [job(1), job(2, bytes(20_000))]


def opened_when_ready(redis: Redis) -> Any:
    end = time.monotonic() + DEADLINE
    while b"cluster_state:ok" not in raw(redis, "CLUSTER", "INFO"):
        assert time.monotonic() < end
    return opened(redis.port)


def raw(redis: Redis, *words: str) -> bytes:
    return str(redis.call(*words)).replace("'", "").replace(": ", ":").encode()


# Items that can't be read


def test_what_is_no_job_is_reported_and_stays(redis: Redis, prefix: str) -> None:
    key = f"{{{prefix}}}:jobs"
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1), job(2), job(3)], [])
    redis.call("HSET", key, "two", "x", "007", "x", "2", b"damaged", "-1", "x")
    for _ in range(2):
        found = content(redis.port, prefix=prefix)
        assert [each for each in found if isinstance(each, StoredJob)] == [
            job(1),
            job(3),
        ]
        wrong = {each.key for each in found if isinstance(each, Unreadable)}
        fields = ("two", "007", "2", "-1")
        assert wrong == {f"the field {name!r} of {key}" for name in fields}
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(4)], [1])
        queue.commit([], [3])
    assert redis.call("HLEN", key) == 5
    assert len(content(redis.port, prefix=prefix)) == 5


def test_record_at_the_place_of_another_is_no_job(redis: Redis, prefix: str) -> None:
    key = f"{{{prefix}}}:jobs"
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1)], [])
    redis.call("HSET", key, "5", redis.call("HGET", key, "1"))
    first, second = content(redis.port, prefix=prefix)
    assert first == job(1)
    assert second == Unreadable(f"the field '5' of {key}", "it is damaged")


@pytest.mark.parametrize("state", [b"else", b"gearman-py 1 x 1 -", b"gearman-py"])
def test_state_that_cannot_be_read_is_told(
    redis: Redis, prefix: str, state: bytes
) -> None:
    redis.call("SET", f"{{{prefix}}}:state", state)
    with pytest.raises(StartupError, match="state of the jobs in Redis can't be read"):
        content(redis.port, prefix=prefix)


def test_jobs_of_a_later_version_are_left_alone(redis: Redis, prefix: str) -> None:
    redis.call("SET", f"{{{prefix}}}:state", b"gearman-py 3 whatever")
    with pytest.raises(StartupError, match="stored by a later version"):
        content(redis.port, prefix=prefix)


def test_job_of_more_than_the_limit_is_refused(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.redis.store.LARGEST", 1000)
    with opened(redis.port, prefix=prefix) as queue:
        with pytest.raises(JobRefused, match="takes 1000 at most") as refusal:
            queue.commit([job(1), job(2, bytes(1001))], [])
        assert list(refusal.value.reasons) == [2]
        queue.commit([job(1), job(3, bytes(1000))], [])


def test_large_batch_is_sent_in_parts(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.redis.store.MESSAGE", 1000)
    some = [job(number, bytes(300)) for number in range(1, 12)]
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(99)], [])
        queue.commit(some, [99])
    assert jobs(redis.port, prefix=prefix) == some


def test_part_of_a_batch_that_failed_is_removed_again(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.redis.store.MESSAGE", 1000)
    with link(redis.port) as way, opened(way.port, prefix=prefix) as queue:
        queue.commit([job(1)], [])
        way.left = 4000
        with pytest.raises(QueueError):
            queue.commit([job(n, bytes(900)) for n in range(1, 9)], [])
        assert 1 < redis.call("HLEN", f"{{{prefix}}}:jobs") < 8
        way.left = sys.maxsize
        queue.commit([job(9)], [])
        assert redis.call("HLEN", f"{{{prefix}}}:jobs") == 2


# One server at a time


KILLED = """
import sys
from gearman.queue import StoredJob, load
queue = load("redis")(url=sys.argv[1], prefix=sys.argv[2])
list(queue.replay())
queue.commit([StoredJob(1, b"H:host:1", b"f", b"", b"w")], [])
print("ready", flush=True)
sys.stdin.read()
"""


def test_second_server_starts_when_the_first_is_killed_and_not_before(
    redis: Redis, prefix: str
) -> None:
    url = f"redis://127.0.0.1:{redis.port}"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", KILLED, url, prefix],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=package_environment(),
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"ready\n"
        with pytest.raises(StartupError, match="in use by another server"):
            content(redis.port, prefix=prefix)
        first.kill()
        first.wait(DEADLINE)
        assert jobs(redis.port, prefix=prefix) == [job(1)]


@pytest.fixture
def elsewhere(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Queue]:
    """A store that is open on another machine, with a job."""
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1)], [])
        # From here on, this is another machine.
        monkeypatch.setattr("gearman.queues._shared.owner._machine", lambda: "here")
        yield queue


def test_lease_of_another_machine_is_waited_for(
    redis: Redis, prefix: str, elsewhere: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = f"{{{prefix}}}:lease"
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        redis.call("DEL", lease)

    redis.call("PEXPIRE", lease, 5_000)
    monkeypatch.setattr("gearman.queues.redis.reign.time.sleep", sleep)
    assert jobs(redis.port, prefix=prefix) == [job(1)]
    assert len(waits) == 1


@pytest.mark.usefixtures("elsewhere")
def test_lease_that_is_prolonged_is_that_of_a_living_server(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = f"{{{prefix}}}:lease"

    def sleep(seconds: float) -> None:
        redis.call("PEXPIRE", lease, 15_000)

    redis.call("PEXPIRE", lease, 5_000)
    monkeypatch.setattr("gearman.queues.redis.reign.time.sleep", sleep)
    with pytest.raises(StartupError, match="in use by another server"):
        content(redis.port, prefix=prefix)


def test_server_whose_jobs_were_taken_over_can_write_nothing(
    redis: Redis, prefix: str, elsewhere: Queue
) -> None:
    redis.call("DEL", f"{{{prefix}}}:lease")
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(2)], [])
        for added in [], [job(3)]:
            with pytest.raises(QueueError, match=r"changed by another|has taken over"):
                elsewhere.commit(added, [1])
        with pytest.raises(QueueError, match="another server has taken over"):
            elsewhere.commit([], [])
        elsewhere.close()
        queue.commit([job(4)], [])
    with pytest.raises(QueueError, match="another server has taken over"):
        # Nobody uses them, but they are not what this server has left.
        elsewhere.commit([], [])
    assert jobs(redis.port, prefix=prefix) == [job(1), job(2), job(4)]


def test_idle_server_gives_signs_of_life(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.redis.reign.SIGN", 0.01)
    monkeypatch.setattr("gearman.queues.redis.store.SIGN", 0.01)
    lease = f"{{{prefix}}}:lease"
    with opened(redis.port, prefix=prefix):
        for milliseconds in 5000, 1:
            # A lease that has expired is taken again.
            redis.call("PEXPIRE", lease, milliseconds)
            end = time.monotonic() + DEADLINE
            while not redis.call("PTTL", lease) > 10_000:
                assert time.monotonic() < end


def test_busy_server_gives_signs_of_life(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.redis.reign.SIGN", 0)
    lease = f"{{{prefix}}}:lease"
    with opened(redis.port, prefix=prefix) as queue:
        for added, done in ([job(1)], []), ([], [1]):
            redis.call("PEXPIRE", lease, 5000)
            queue.commit(added, done)
            assert redis.call("PTTL", lease) > 10_000


# Redis that forgets


def test_redis_without_jobs_may_forget_all(redis: Redis, prefix: str) -> None:
    with opened(redis.port, prefix=prefix) as queue:
        for key in redis.all_keys():
            redis.call("DEL", key)
        with pytest.raises(QueueError, match="changed by another server"):
            queue.commit([job(1)], [])
        queue.commit([job(1)], [])
    assert jobs(redis.port, prefix=prefix) == [job(1)]


def test_loss_is_not_forgotten_if_the_next_step_fails(
    redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gearman.queues.redis.reign import Reign

    def take_again_and_fail(reign: Reign) -> None:
        take_again(reign)
        monkeypatch.undo()
        raise QueueError("the connection was lost")

    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1)], [])
        before = dumped(redis, prefix)
        queue.commit([job(1, b"new")], [])
        restored(redis, prefix, before)
        with pytest.raises(QueueError, match="changed by another server"):
            queue.commit([job(2)], [])
        take_again = Reign.take_again
        monkeypatch.setattr(Reign, "take_again", take_again_and_fail)
        with pytest.raises(QueueError, match="the connection was lost"):
            queue.commit([job(2)], [])
        with pytest.raises(JobsLost) as loss:
            queue.commit([job(2)], [])
        assert loss.value.numbers == [1]
        queue.commit([job(2)], [])
        queue.commit([job(1, b"new")], [])
    assert jobs(redis.port, prefix=prefix) == [job(1, b"new"), job(2)]


def test_finished_jobs_that_come_back_are_removed_again(
    redis: Redis, prefix: str
) -> None:
    """A batch without new jobs does not change the state, but the count tells."""
    with opened(redis.port, prefix=prefix) as queue:
        queue.commit([job(1), job(2)], [])
        before = redis.call("DUMP", f"{{{prefix}}}:jobs")
        queue.commit([], [1])
        redis.call("RESTORE", f"{{{prefix}}}:jobs", 0, before, "REPLACE")
        queue.commit([], [])
        queue.commit([], [])
    assert jobs(redis.port, prefix=prefix) == [job(2)]
