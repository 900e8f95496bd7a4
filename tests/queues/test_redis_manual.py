"""The commands of the manual's section on Redis work."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from gearman.queue import StoredJob
from tests import servers
from tests.queues.backend_folder import PAGE
from tests.queues.backend_redis import IN_MEMORY, Redis, running
from tests.queues.redis_stores import content

pytest.importorskip("redis")
PASSWORD = "secret"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with running(tmp_path, {**IN_MEMORY, "requirepass": PASSWORD}) as redis:
        yield redis


def words(pattern: str) -> list[str]:
    """Return the words of the only command of the manual that a pattern matches."""
    (line,) = re.findall(rf"^    ({pattern}.*)$", PAGE.read_text(), re.MULTILINE)
    return shlex.split(line)


def test_server_starts_as_the_manual_says(redis: Redis, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    program, *options = words("gearmand -q redis --redis-url")
    assert program == "gearmand"
    options[options.index("redis://db/0")] = f"redis://{servers.HOST}:{redis.port}/0"
    options[options.index("--redis-password-file") + 1] = str(file)
    with servers.ours(*options):
        assert redis.call("EXISTS", "{_gear_}:state")


def test_key_can_be_read_with_the_fields_of_the_manual(redis: Redis) -> None:
    _, *command = words("redis-cli HSET")
    redis.call("HSET", command[1], "data", "w", "priority", "1")
    password = {"password": PASSWORD}
    assert not isinstance(content(redis.port, **password)[0], StoredJob)
    redis.call(*command)
    (job,) = content(redis.port, **password)
    assert isinstance(job, StoredJob)
    assert (job.function, job.unique) == (b"my-func", b"a-b")
