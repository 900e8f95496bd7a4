"""Jobs of C gearmand in Redis are taken over."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gearman.queue import HIGH, LOW, NORMAL, StoredJob, Unreadable
from tests import servers
from tests.queues.backend_redis import Redis, at, running
from tests.queues.redis_stores import content, job, opened
from tests.wire import Peer

pytest.importorskip("redis")

UUID = b"42a50b6c-eca2-11f1-a233-02fc00000001"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def redis(shared: Redis) -> Redis:
    shared.call("FLUSHALL")
    return shared


def put(redis: Redis, name: bytes, data: bytes = b"w", **fields: Any) -> None:
    """Store a hash as gearmand does."""
    words = [b"data", data, b"priority", b"1"]
    for field, value in fields.items():
        words += [field.encode(), value]
    redis.call("HSET", b"_gear_-" + name, *words)


def taken(redis: Redis, **more: Any) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return function, unique, workload and priority of the jobs, and what is left."""
    found = content(redis.port, **more)
    read = [each for each in found if isinstance(each, StoredJob)]
    left = [each.key for each in found if isinstance(each, Unreadable)]
    return sorted((j.function, j.unique, j.workload, j.priority) for j in read), left


def theirs(redis: Redis) -> set[bytes]:
    return {key for key in redis.all_keys() if key.startswith(b"_gear_-")}


def test_hashes_are_taken_over_and_their_keys_deleted(redis: Redis) -> None:
    put(redis, b"f-u", b"a\0b", priority=b"0")
    put(redis, b"g-", b"", priority=b"2")
    jobs = [(b"f", b"u", b"a\0b", HIGH), (b"g", b"", b"", LOW)]
    assert taken(redis) == (jobs, [])
    assert not theirs(redis)
    assert taken(redis) == (jobs, [])


def test_fields_say_where_the_function_ends(redis: Redis) -> None:
    put(redis, b"a-b-c", function=b"a-b", unique=b"c")
    put(redis, b"--", function=b"-", unique=b"")
    assert taken(redis)[0] == [(b"-", b"", b"w", NORMAL), (b"a-b", b"c", b"w", NORMAL)]


def test_strings_of_earlier_versions_are_taken_over(redis: Redis) -> None:
    redis.call("SET", "_gear_-f-u", b"\xff\0")
    assert taken(redis) == ([(b"f", b"u", b"\xff\0", NORMAL)], [])


def test_known_functions_say_where_a_function_ends(redis: Redis) -> None:
    put(redis, b"my-u")
    put(redis, b"x", function=b"my-func", unique=b"x")
    put(redis, b"my-func-a-b")
    put(redis, b"my-other-a")
    names = [name[:2] for name in taken(redis)[0]]
    assert names == [
        (b"my", b"other-a"),
        (b"my", b"u"),
        (b"my-func", b"a-b"),
        (b"my-func", b"x"),
    ]


def test_function_ends_before_a_usual_unique(redis: Redis) -> None:
    put(redis, b"my-func-" + UUID)
    put(redis, b"f-" + UUID.upper())
    put(redis, b"a--")
    put(redis, b"a-b--")
    put(redis, b"a-b-")
    names = [name[:2] for name in taken(redis)[0]]
    assert names == [
        (b"a", b"-"),
        (b"a-b", b""),
        (b"a-b", b"-"),
        (b"f", UUID.upper()),
        (b"my-func", UUID),
    ]


def test_what_cannot_be_read_stays_and_is_told(redis: Redis) -> None:
    put(redis, b"f-u")
    put(redis, b"unclear-a-b")
    put(redis, b"nothing")
    redis.call("HSET", "_gear_-f-nodata", "priority", "1")
    redis.call("HSET", "_gear_-f-odd", "data", "", "priority", "7")
    redis.call("HSET", "_gear_-f-odder", "data", "", "priority", "x")
    redis.call("RPUSH", "_gear_-f-list", "1")
    put(redis, b"f-" + b"u" * 65)
    jobs, left = taken(redis)
    assert jobs == [(b"f", b"u", b"w", NORMAL)]
    assert len(left) == 7
    assert theirs(redis) == {name.removeprefix("the key ").encode() for name in left}
    # With fields, the first one can be read.
    redis.call("HSET", "_gear_-unclear-a-b", "function", "unclear-a", "unique", "b")
    assert (b"unclear-a", b"b", b"w", NORMAL) in taken(redis)[0]


def test_other_keys_are_left_alone(redis: Redis) -> None:
    redis.call("SET", "_gear_f-u", "x")
    redis.call("SET", "Xgear_-f-u", "x")
    redis.call("HSET", "x", "data", "x", "priority", "1")
    before = redis.all_keys()
    assert taken(redis) == ([], [])
    assert redis.all_keys() == before


def test_prefix_with_signs_of_patterns_is_meant_as_it_is(redis: Redis) -> None:
    redis.call("SET", "a*[b]?^-f-u", "theirs")
    redis.call("SET", "a-c-f-u", "others")
    assert taken(redis, prefix="a*[b]?^") == ([(b"f", b"u", b"theirs", NORMAL)], [])
    assert redis.call("GET", "a-c-f-u") == b"others"


def test_many_jobs_are_moved_in_pages(redis: Redis) -> None:
    for number in range(250):
        put(redis, b"f-%d" % number)
    with opened(redis.port, skip_gearmand=True) as queue:
        queue.commit([job(2**60)], [])
    found = content(redis.port)
    numbers = [each.number for each in found if isinstance(each, StoredJob)]
    assert numbers == [2**60 + more for more in range(251)]
    assert not theirs(redis)


def test_looking_for_them_can_be_left_out(redis: Redis) -> None:
    put(redis, b"f-u")
    assert taken(redis, skip_gearmand=True) == ([], [])
    assert theirs(redis)


@pytest.mark.interop
def test_jobs_that_gearmand_has_stored_run_here(redis: Redis) -> None:
    options = f"--redis-server={servers.HOST}", f"--redis-port={redis.port}"
    submitted = {
        b"plain": (b"u1", b"hello"),
        b"my-func": (UUID, b"a\0b"),
        b"bin": (b"-", bytes(range(256))),
    }
    with servers.gearmand("-q", "redis", *options) as server, Peer(server.port) as peer:
        for name, (unique, data) in submitted.items():
            peer.request("SUBMIT_JOB_HIGH_BG", name, unique, data)
    assert len(theirs(redis)) == 3
    # The same options are given to this server.
    with servers.ours("-q", "redis", *options) as server, Peer(server.port) as worker:
        for name, (unique, data) in submitted.items():
            worker.send("CAN_DO", name)
            job = worker.request("GRAB_JOB_UNIQ")
            # A workload may have NULs, too.
            assert b"\0".join(job.arguments[1:]) == b"\0".join((name, unique, data))
            worker.send("WORK_COMPLETE", job.arguments[0], b"")
            worker.send("CANT_DO", name)
        servers.until(lambda: not redis.call("EXISTS", "{_gear_}:jobs"))
    assert redis.all_keys() == set()


@pytest.mark.interop
def test_tool_counts_and_copies_them(redis: Redis, tmp_path: Path) -> None:
    put(redis, b"f-u")
    url = at(redis.port)["url"]
    said = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "gearman.cli.gearman_queue", "copy"),
            *("-q", "redis", f"--redis-url={url}"),
            *("--to", "sqlite", f"--to-sqlite-db={tmp_path / 'jobs.db'}"),
        ],
        env=servers.package_environment(),
        capture_output=True,
        text=True,
        timeout=servers.DEADLINE,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("1 ")
