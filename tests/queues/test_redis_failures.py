"""The queue plugin redis when Redis refuses, is silent, or has no copies."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gearman.errors import ConfigurationError, QueueError, StartupError
from gearman.queue import load
from tests.certificates import Authority
from tests.queues.backend_redis import DURABLE, IN_MEMORY, Redis, at, running
from tests.queues.redis_stores import content, job, jobs, opened
from tests.queues.replicas import Replicas, replicas
from tests.servers import DEADLINE, HOST, free_port, stopped

pytest.importorskip("redis")
Plugin: Any = load("redis")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def redis(shared: Redis) -> Redis:
    """A Redis without data, with its first settings."""
    shared.call("FLUSHALL")
    for name, value in {
        "maxmemory": "0",
        "min-replicas-to-write": "0",
        "appendonly": "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }.items():
        shared.call("CONFIG", "SET", name, value)
    return shared


def start_error(match: str, **arguments: Any) -> None:
    with pytest.raises(StartupError, match=match) as error:
        Plugin(**arguments)
    assert str(error.value).isprintable()


# Answers that are errors


def test_full_memory_refuses_jobs_and_lets_them_be_removed(redis: Redis) -> None:
    with opened(redis.port) as queue:
        queue.commit([job(1), job(2)], [])
        redis.call("CONFIG", "SET", "maxmemory", "1")
        for added in [job(3)], []:
            with pytest.raises(QueueError, match=r"memory is full \(maxmemory\)"):
                queue.commit(added, [])
        queue.commit([], [1])
        start_error("larger maxmemory", **at(redis.port, prefix="other"))
        redis.call("CONFIG", "SET", "maxmemory", "0")
        queue.commit([job(3)], [])
    assert jobs(redis.port) == [job(2), job(3)]


def test_too_few_replicas_are_told(redis: Redis) -> None:
    with opened(redis.port) as queue:
        redis.call("CONFIG", "SET", "min-replicas-to-write", "1")
        with pytest.raises(QueueError, match="too few replicas"):
            queue.commit([job(1)], [])
        redis.call("CONFIG", "SET", "min-replicas-to-write", "0")
        queue.commit([job(1)], [])
    assert jobs(redis.port) == [job(1)]


def test_primary_that_becomes_a_replica_is_told(redis: Redis) -> None:
    with opened(redis.port) as queue:
        redis.call("REPLICAOF", HOST, "1")
        try:
            with pytest.raises(QueueError, match="is a replica"):
                queue.commit([job(1)], [])
            start_error("connect to the primary", **at(redis.port, prefix="other"))
            redis.call("CONFIG", "SET", "replica-serve-stale-data", "no")
            start_error("has lost its primary", **at(redis.port))
        finally:
            redis.call("CONFIG", "SET", "replica-serve-stale-data", "yes")
            redis.call("REPLICAOF", "NO", "ONE")
        queue.commit([job(1)], [])
    assert jobs(redis.port) == [job(1)]


def test_key_of_another_type_is_told(redis: Redis) -> None:
    redis.call("SET", "{_gear_}:jobs", "x")
    start_error("wrong kind of value", **at(redis.port))
    redis.call("DEL", "{_gear_}:jobs")
    with opened(redis.port) as queue:
        redis.call("SET", "{_gear_}:jobs", "x")
        with pytest.raises(QueueError, match="wrong kind of value"):
            queue.commit([job(1)], [])
        redis.call("DEL", "{_gear_}:jobs")
        queue.commit([job(1)], [])
    assert jobs(redis.port) == [job(1)]


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """A server that gives these answers, one to each thing that is sent."""
    with socket.create_server((HOST, 0)) as listener:

        def run() -> None:
            peer, _ = listener.accept()
            with peer:
                for answer in answers:
                    peer.recv(1 << 16)
                    peer.sendall(answer)
                peer.settimeout(DEADLINE)
                while peer.recv(1 << 16):
                    pass

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(DEADLINE)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"LOADING Redis is loading the dataset in memory", "still loads its data"),
        (b"MISCONF Redis is configured to save RDB snapshots", r"its disk \(MISCONF\)"),
        (b"MOVED 7000 10.0.0.1:7001", "another server of its cluster"),
        (b"CLUSTERDOWN The cluster is down", "its cluster is down"),
        (b"BUSY Redis is busy running a script", "busy with a script"),
        (b"ERR it \x1b[31m is odd", "Redis at .*: it  .31m is odd"),
    ],
)
def test_every_error_is_a_sentence(answer: bytes, said: str) -> None:
    from gearman.queues.redis.address import Address
    from gearman.queues.redis.wire import Wire, packed

    # The client tells its name and version first.
    with answering(b"+OK\r\n+OK\r\n", b"-" + answer + b"\r\n") as port:
        wire = Wire(Address((HOST, port)))
        with pytest.raises(QueueError, match=said) as error:
            wire.exchange([packed(b"GET", b"x")])
        wire.close()
    assert str(error.value).isprintable()


# Silence


def test_redis_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gearman.queues.redis.wire.ANSWER", 0.1)
    with socket.create_server((HOST, 0)) as listener:
        start_error("sent nothing for 0.1 seconds", **at(listener.getsockname()[1]))


def test_redis_that_stands_still_is_given_up(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.redis.wire.ANSWER", 1)
    with opened(redis.port) as queue:
        with (
            stopped(redis.process.pid),
            pytest.raises(QueueError, match=r"sent nothing for 1 seconds"),
        ):
            queue.commit([job(1)], [])
        monkeypatch.undo()
        queue.commit([job(2)], [])
    assert jobs(redis.port) == [job(2)]


def test_port_where_nobody_listens_is_told() -> None:
    start_error("Connection refused", **at(free_port()))


# Login, sockets, TLS


def test_password_is_needed_and_may_be_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDISCLI_AUTH", raising=False)
    secret = "s:e@c/r%et"
    file = tmp_path / "password"
    file.write_text(f"{secret}\n")
    with running(tmp_path, {**IN_MEMORY, "requirepass": secret}) as redis:
        start_error("without the right password", **at(redis.port))
        start_error("without the right password", **at(redis.port, password="x"))
        for given in (
            at(redis.port, password=secret),
            at(redis.port, password_file=str(file)),
            {"url": f"redis://:s%3Ae%40c%2Fr%25et@{HOST}:{redis.port}"},
            {"server": HOST, "port": str(redis.port), "password": secret},
        ):
            Plugin(**given).close()
        monkeypatch.setenv("REDISCLI_AUTH", secret)
        Plugin(**at(redis.port)).close()


def test_unix_socket_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The path of a socket is short.
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s"
    with running(tmp_path, {**IN_MEMORY, "unixsocket": "s"}):
        Plugin(url=f"unix://{path}?db=2").close()
        Plugin(server=str(path)).close()
    start_error("No such file", url=f"unix://{path}x")


def test_tls_checks_both_sides(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    port = free_port()
    settings = {
        **IN_MEMORY,
        "tls-port": str(port),
        "tls-cert-file": str(authority.server),
        "tls-key-file": str(authority.server),
        "tls-ca-cert-file": str(authority.path),
        "tls-auth-clients": "optional",
    }
    ca = str(authority.path)
    with running(tmp_path, settings) as redis:
        url = f"rediss://{HOST}:{port}"
        with opened(0, url=url, ca=ca) as queue:
            queue.commit([job(1)], [])
        # One of the options is enough.
        found = content(0, url=f"redis://{HOST}:{port}", ca=ca)
        assert found == [job(1)]
        start_error("certificate verify failed", url=url)
        redis.call("CONFIG", "SET", "tls-auth-clients", "yes")
        start_error("Redis at", url=url, ca=ca)
        pem = str(authority.client)
        Plugin(url=url, ca=ca, cert=pem, key=pem).close()
        with pytest.raises(ConfigurationError, match="--redis-tls-key .* can't be"):
            Plugin(url=url, ca=ca, cert=pem, key=f"{pem}.x")


# What is durable


def line_at_start(redis: Redis, caplog: list[str], **more: Any) -> str:
    caplog.clear()
    Plugin(**at(redis.port, **more)).close()
    (line,) = caplog
    return line


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that the plugin logs."""
    lines: list[str] = []
    from gearman.queues.redis import store

    monkeypatch.setattr(
        store._log, "log", lambda level, text, *words: lines.append(text % words)
    )
    return lines


def test_log_says_what_is_durable(redis: Redis, said: list[str]) -> None:
    assert "jobs end with Redis" in line_at_start(redis, said)
    redis.call("CONFIG", "SET", "save", "3600 1")
    assert "since its last snapshot" in line_at_start(redis, said)
    redis.call("CONFIG", "SET", "save", "")
    redis.call("CONFIG", "SET", "appendonly", "yes")
    assert "the last two seconds" in line_at_start(redis, said)
    redis.call("CONFIG", "SET", "appendfsync", "always")
    line = line_at_start(redis, said, require_durable=True)
    assert line.endswith("on Redis' disk (appendfsync always)")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"appendfsync": "everysec"}, "the last two seconds"),
        ({"appendonly": "no"}, "jobs end with Redis"),
        ({"maxmemory-policy": "allkeys-lru"}, "may drop jobs"),
    ],
)
def test_redis_that_may_lose_jobs_is_refused_if_wanted(
    redis: Redis, settings: dict[str, str], text: str
) -> None:
    changes = {"appendonly": "yes", "appendfsync": "always", **settings}
    for name, value in changes.items():
        redis.call("CONFIG", "SET", name, value)
    start_error(
        f"--redis-require-durable.*{text}", **at(redis.port, require_durable=True)
    )
    Plugin(**at(redis.port)).close()


def test_redis_that_becomes_less_durable_is_refused_when_it_is_back(
    redis: Redis,
) -> None:
    for name, value in DURABLE.items():
        redis.call("CONFIG", "SET", name, value)
    with opened(redis.port, require_durable=True) as queue:
        redis.call("CONFIG", "SET", "appendfsync", "no")
        redis.call("CLIENT", "KILL", "TYPE", "normal")
        with pytest.raises(QueueError):
            queue.commit([job(1)], [])
        with pytest.raises(QueueError, match="has not written yet"):
            queue.commit([job(1)], [])
        redis.call("CONFIG", "SET", "appendfsync", "always")
        queue.commit([job(1)], [])


def test_settings_are_looked_for_elsewhere_if_config_is_forbidden(
    redis: Redis, said: list[str]
) -> None:
    rights = ("on", "nopass", "~*", "+@all", "-config")
    redis.call("ACL", "SETUSER", "worker", *rights)
    url = f"redis://worker:x@{HOST}:{redis.port}"
    line = line_at_start(redis, said, url=url)
    assert "a crash of Redis loses the jobs since" in line
    redis.call("CONFIG", "SET", "appendonly", "yes")
    assert "its appendfsync can't be read" in line_at_start(redis, said, url=url)
    start_error("can't be read", url=url, require_durable=True)
    redis.call("ACL", "SETUSER", "worker", "-info")
    start_error("allow that to its user", url=url)
    line = line_at_start(redis, said, url=url, skip_gearmand=True)
    assert "can't be read from it" in line
    assert "is unknown" in line


# Copies


def test_replicas_that_are_missing_refuse_jobs(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.redis.session.PATIENCE", 50)
    start_error("0 replicas have confirmed", **at(redis.port, wait_replicas=1))


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    with replicas(tmp_path_factory.mktemp("replicas")) as group:
        yield group


def test_job_is_on_a_replica_when_it_is_acknowledged(
    group: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(0, url=group.url, wait_replicas=1) as queue:
        for number in range(1, 20):
            queue.commit([job(number)], [])
            assert group.replica.call("HLEN", "{_gear_}:jobs") == number
        monkeypatch.setattr("gearman.queues.redis.session.PATIENCE", 50)
        group.replica.call("REPLICAOF", "NO", "ONE")
        try:
            with pytest.raises(QueueError, match="0 replicas have confirmed"):
                queue.commit([job(20)], [1])
        finally:
            group.replica.call("REPLICAOF", HOST, group.primary.port)


def test_sentinel_alone_does_not_make_jobs_durable(group: Replicas) -> None:
    start_error("a failover may lose", url=group.url, require_durable=True)


def test_sentinels_are_asked_one_after_the_other(group: Replicas) -> None:
    here = f"{HOST}:{group.sentinel.port}"
    nobody = f"{HOST}:{free_port()}"
    Plugin(url=f"redis+sentinel://{nobody},{here}/jobs/1", prefix="x").close()
    start_error("knows no primary else", url=f"redis+sentinel://{here}/else")
    start_error("Connection refused", url=f"redis+sentinel://{nobody}/jobs")


def test_redis_without_waitaof_is_told(redis: Redis) -> None:
    if tuple(map(int, redis.call("INFO", "server")["redis_version"].split("."))) >= (
        7,
        2,
    ):
        pytest.skip("this Redis has it")
    start_error("needs Redis 7.2 or later", **at(redis.port, wait_disk=True))


@pytest.mark.parametrize(
    ("answer", "replicas", "text"),
    [
        ([1, 0], 0, ""),
        ([1, 2], 2, ""),
        ([0, 2], 2, "has not written the jobs to its disk"),
        ([1, 1], 2, "1 replicas have confirmed"),
    ],
)
def test_answers_of_waitaof_are_understood(
    answer: list[int], replicas: int, text: str
) -> None:
    from gearman.queues.redis.address import Address
    from gearman.queues.redis.promises import Waits
    from gearman.queues.redis.session import Session

    waits = Waits(replicas, disk=True)
    session = Session(Address(), b"key", waits, lambda wire: None)
    [command] = session._wait()
    assert (
        command.split(b"\r\n")[2::2]
        == [b"WAITAOF", b"1", b"%d" % replicas, b"10000", b""][:4]
    )
    if not text:
        session._check_copies(answer)
        return
    with pytest.raises(QueueError, match=text):
        session._check_copies(answer)
