"""Redis is killed, cut off, full, or fails over, while a server uses it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gearman.queue import load
from tests.queues.backend import Backend, Store
from tests.queues.backend_memcached import link
from tests.queues.backend_redis import DURABLE, IN_MEMORY, Redis, at, running
from tests.queues.replicas import Replicas, replicas

from .outage import survives, survives_a_pause, survives_quickly, under_load


@pytest.fixture
def redis(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Redis]:
    with running(tmp_path, getattr(request, "param", DURABLE)) as redis:
        yield redis


def store_at(port: int, **more: Any) -> Store:
    return Store(Backend(load("redis"), dict), at(port, **more))


@pytest.mark.parametrize(
    "redis", [DURABLE, IN_MEMORY], ids=["disk", "memory"], indirect=True
)
def test_kill_of_redis_loses_no_job(redis):
    """Those that are not on its disk are stored again by the server."""
    survives_quickly(
        store_at(redis.port), lambda: asyncio.to_thread(redis.restart, signal.SIGKILL)
    )


def test_kill_of_redis_and_of_the_server_loses_no_job(redis):
    store = store_at(redis.port)

    async def story() -> None:
        async with under_load(store) as outage:
            await outage.until("acknowledged", 500)
            await asyncio.to_thread(redis.stop, signal.SIGKILL)
            await outage.server.kill()
            await asyncio.to_thread(redis.start)
            await outage.starts_again()

    asyncio.run(story())


def test_cut_connection_loses_no_job(redis):
    with link(redis.port) as way:
        survives(
            store_at(way.port),
            lambda: asyncio.to_thread(way.cut),
            lambda: asyncio.to_thread(way.restore),
        )


def test_redis_that_stands_still_is_waited_for(redis):
    async def tell(number: int) -> None:
        redis.process.send_signal(number)

    survives_a_pause(
        store_at(redis.port), lambda: tell(signal.SIGSTOP), lambda: tell(signal.SIGCONT)
    )


def test_full_redis_loses_no_job(redis):
    async def limit(memory: str) -> None:
        await asyncio.to_thread(redis.call, "CONFIG", "SET", "maxmemory", memory)

    survives(store_at(redis.port), lambda: limit("1"), lambda: limit("0"))


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Replicas]:
    with ExitStack() as stack:
        yield stack.enter_context(replicas(tmp_path))


def test_failover_by_sentinel_loses_no_job(group):
    """The new primary may lack jobs: the server stores them again."""
    store = Store(Backend(load("redis"), dict), {"url": group.url})
    survives_quickly(store, lambda: asyncio.to_thread(group.fail_over))
