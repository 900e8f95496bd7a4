"""The queue plugin memcached, beyond the contract."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from typing import Any

import pytest

from gearman.errors import (
    ConfigurationError,
    JobRefused,
    JobsLost,
    QueueError,
    StartupError,
)
from gearman.queue import Queue, StoredJob, Unreadable, load
from tests.queues.backend_memcached import link, running
from tests.servers import DEADLINE, HOST, free_port, ours, package_environment
from tests.wire import Peer

pytest.importorskip("pymemcache")
Plugin: Any = load("memcached")
from pymemcache.client.base import Client  # noqa: E402


def job(number: int, workload: bytes = b"w") -> StoredJob:
    return StoredJob(number, b"H:host:%d" % number, b"f", b"", workload)


@pytest.fixture(scope="module")
def shared() -> Iterator[int]:
    with running() as port:
        yield port


prefixes = count()


@pytest.fixture
def prefix() -> str:
    return f"special-{next(prefixes)}_"


@contextmanager
def opened(*ports: int, prefix: str = "gear_") -> Iterator[Queue]:
    addresses = ",".join(f"{HOST}:{port}" for port in ports)
    with closing(Plugin(servers=addresses, prefix=prefix)) as queue:
        list(queue.replay())
        yield queue


def content(*ports: int, prefix: str = "gear_") -> list[StoredJob | Unreadable]:
    addresses = ",".join(f"{HOST}:{port}" for port in ports)
    with closing(Plugin(servers=addresses, prefix=prefix)) as queue:
        return list(queue.replay())


def jobs(*ports: int, prefix: str = "gear_") -> list[StoredJob]:
    found = content(*ports, prefix=prefix)
    stored = [each for each in found if isinstance(each, StoredJob)]
    assert stored == found
    return stored


@contextmanager
def client(port: int) -> Iterator[Client]:
    with closing(Client((HOST, port), default_noreply=False)) as memcached:
        yield memcached


def items(port: int) -> int:
    with client(port) as memcached:
        return int(memcached.stats()[b"curr_items"])


def start_error(port: int, match: str) -> None:
    with pytest.raises(StartupError, match=match):
        content(port)


# Options and start


@pytest.mark.parametrize(
    "servers", ["", "a:b", "localhost:70000", "localhost,", "a,a", "http://a"]
)
def test_servers_have_to_be_addresses(servers: str) -> None:
    with pytest.raises(ConfigurationError, match="--memcached-servers"):
        Plugin(servers=servers)


@pytest.mark.parametrize("prefix", ["", "two words", "é", "p" * 201])
def test_prefix_has_to_fit_into_keys(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="--memcached-prefix"):
        Plugin(prefix=prefix)


def test_too_small_items_are_told_of() -> None:
    with running("-I", "16k", "-o", "slab_chunk_max=8") as port:
        start_error(port, "larger -I")


def test_other_number_of_servers_is_told_of(shared: int, prefix: str) -> None:
    with opened(shared, prefix=prefix) as queue:
        queue.commit([job(1)], [])
    with running() as other, pytest.raises(StartupError, match="on 1 servers"):
        content(shared, other, prefix=prefix)


# Crashes


@pytest.mark.parametrize("blocks_of_a_page", [1, 64])
def test_crash_at_any_byte_loses_nothing(
    shared: int, blocks_of_a_page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process has sent only the first bytes of a commit."""
    monkeypatch.setattr("gearman.queues.memcached.pages.PAGE", blocks_of_a_page)
    batches = [
        ([job(1), job(2, b"x" * 300), job(5)], []),
        ([job(3), job(4)], [1]),
        ([job(2, b"new")], [4]),
        ([], [2, 3]),
    ]
    sent = 0
    while True:
        name = f"crash-{blocks_of_a_page}-{sent}_"
        with link(shared) as way, ExitStack() as stack:
            queue = stack.enter_context(opened(way.port, prefix=name))
            way.left = sent
            before, after = play(queue, batches)
        found = {each.number: each for each in jobs(shared, prefix=name)}
        for number in range(1, 6):
            allowed = [before.get(number), after.get(number)]
            assert found.get(number) in allowed, (sent, number)
        if before is after:
            break
        sent += 5
    assert sent > 1000


def play(queue: Queue, batches) -> tuple[dict[int, StoredJob], dict[int, StoredJob]]:
    """Commit until that fails; return the jobs before and after the failed commit."""
    before: dict[int, StoredJob] = {}
    for added, done in batches:
        after = {number: one for number, one in before.items() if number not in done}
        after |= {one.number: one for one in added}
        try:
            queue.commit(added, done)
        except QueueError:
            return before, after
        before = after
    return before, before


KILLED = """
import os, signal, sys
from gearman.queue import StoredJob, load
queue = load("memcached")(servers=sys.argv[1], prefix=sys.argv[2])
list(queue.replay())
queue.commit([StoredJob(1, b"H:host:1", b"f", b"", b"w")], [])
print("ready", flush=True)
sys.stdin.read()
"""


def test_second_server_starts_when_the_first_is_killed_and_not_before(
    shared: int, prefix: str
) -> None:
    command = [sys.executable, "-P", "-c", KILLED, f"{HOST}:{shared}", prefix]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=package_environment(),
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"ready\n"
        with pytest.raises(StartupError, match="in use by another server"):
            content(shared, prefix=prefix)
        first.kill()
        first.wait(DEADLINE)
        assert jobs(shared, prefix=prefix) == [job(1)]


def test_owner_on_another_machine_is_replaced_and_notices(
    shared: int, prefix: str
) -> None:
    with opened(shared, prefix=prefix) as first:
        first.commit([job(1)], [])
        with client(shared) as memcached:
            memcached.set(f"{prefix}owner", b"elsewhere 1 2 3")
        with pytest.raises(QueueError, match="another server has taken over"):
            first.commit([job(2)], [])
        assert jobs(shared, prefix=prefix) == [job(1)]


# Losses


def test_restarted_memcached_is_noticed_once(prefix: str) -> None:
    port = free_port()
    with ExitStack() as stack:
        with running(port=port):
            queue = stack.enter_context(opened(port))
            queue.commit([job(1), job(2), job(3)], [])
            queue.commit([], [2])
        with pytest.raises(QueueError, match="lost|refused"):
            queue.commit([job(4)], [])
        with running(port=port):
            with pytest.raises(QueueError, match="restarted.*2 jobs are no longer"):
                queue.commit([job(4)], [])
            queue.commit([job(4)], [1])
            queue.close()
            assert jobs(port) == [job(4)]


def test_flushed_memcached_is_noticed_without_a_lost_connection() -> None:
    with running() as port, opened(port) as queue:
        queue.commit([job(1)], [])
        with client(port) as memcached:
            memcached.flush_all()
        with pytest.raises(JobsLost, match="1 jobs are no longer") as caught:
            queue.commit([], [])
        assert list(caught.value.numbers) == [1]
        queue.commit([job(1)], [])
        queue.close()
        assert jobs(port) == [job(1)]


def test_server_stores_its_jobs_again_when_memcached_was_restarted() -> None:
    port = free_port()
    options = ("-q", "memcached", f"--memcached-servers={HOST}:{port}")
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(running(port=port))
        with ours(*options) as server, Peer(server.port) as peer:
            handles = {submitted(peer) for _ in range(3)}
            first.close()
            stack.enter_context(running(port=port))
            handles.add(submitted(peer))
            # The lost jobs are stored before this one, or together with it.
            handles.add(submitted(peer))
            server.process.kill()
        with ours(*options) as server, Peer(server.port) as peer:
            lines = peer.ask_list(b"show jobs")
            assert {line.split(b"\t")[0] for line in lines} == handles


def submitted(peer: Peer) -> bytes:
    """Submit a background job, and return its handle."""
    (handle,) = peer.request("SUBMIT_JOB_BG", b"f", b"", b"w").arguments
    return handle


@pytest.mark.parametrize("restarted", [0, 1])
def test_restart_of_one_of_two_servers_costs_its_jobs_only(restarted: int) -> None:
    ports = free_port(), free_port()
    with ExitStack() as stack:
        lives = [stack.enter_context(ExitStack()) for _ in ports]
        for life, port in zip(lives, ports, strict=True):
            life.enter_context(running(port=port))
        queue = stack.enter_context(opened(*ports))
        for number in range(1, 5):
            queue.commit([job(number)], [])
        lives[restarted].close()
        lives[restarted].enter_context(running(port=ports[restarted]))
        for message in "lost", "2 jobs are no longer":
            with pytest.raises(QueueError, match=message):
                queue.commit([], [])
        queue.commit([job(9)], [])
        queue.close()
        left = [each.number for each in jobs(*ports)]
        # Blocks are numbered from 1, and spread over servers by their numbers.
        assert left == ([1, 3, 9] if restarted == 0 else [2, 4, 9])


def test_dropped_items_are_reported_at_the_start(shared: int, prefix: str) -> None:
    with opened(shared, prefix=prefix) as queue:
        for number in range(1, 4):
            queue.commit([job(number)], [])
    with client(shared) as memcached:
        assert memcached.delete(f"{prefix}jobs-2-0")
    dropped, *left = content(shared, prefix=prefix)
    assert dropped == Unreadable(
        f"{prefix}jobs-2", "memcached has dropped 1 jobs stored"
    )
    assert left == [job(1), job(3)]


def test_dropped_page_is_reported_at_the_start(shared: int, prefix: str) -> None:
    with opened(shared, prefix=prefix) as queue:
        queue.commit([job(1)], [])
    with client(shared) as memcached:
        assert memcached.delete(f"{prefix}page-0")
    assert [type(each) for each in content(shared, prefix=prefix)] == [Unreadable]


def test_jobs_beside_a_dropped_part_are_read(shared: int, prefix: str) -> None:
    large = job(2, b"x" * 5_000_000)
    with opened(shared, prefix=prefix) as queue:
        queue.commit([job(1)], [])
        queue.commit([large], [])
        queue.commit([job(3)], [])
    with client(shared) as memcached:
        assert memcached.delete(f"{prefix}jobs-2-3")
    found = content(shared, prefix=prefix)
    assert [each for each in found if isinstance(each, StoredJob)] == [job(1), job(3)]
    assert [each.key for each in found if isinstance(each, Unreadable)] == [
        f"{prefix}jobs-2"
    ]


def store_for_ever(queue: Queue, stored: list[int]) -> None:
    for number in count(1):
        queue.commit([job(number, bytes(100_000))], [])
        stored.append(number)


def test_full_memcached_refuses_until_there_is_room() -> None:
    with running("-m", "8") as port, opened(port) as queue:
        stored: list[int] = []
        with pytest.raises(QueueError, match="out of memory"):
            store_for_ever(queue, stored)
        gone = stored[: len(stored) // 2]
        queue.commit([], gone)
        queue.commit([job(5000)], [])
        queue.close()
        left = [number for number in stored if number not in gone]
        assert [each.number for each in jobs(port)] == [*left, 5000]


def test_job_larger_than_half_the_memory_is_refused() -> None:
    with running("-m", "8") as port, opened(port) as queue:
        with pytest.raises(JobRefused, match="larger -m") as refusal:
            queue.commit([job(1), job(2, bytes(5_000_000))], [])
        assert list(refusal.value.reasons) == [2]
        queue.commit([job(1)], [])


def test_memcached_that_evicts_is_warned_of(prefix: str) -> None:
    seen: list[str] = []
    logger = logging.getLogger("gearman.queues")

    class Seen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    handler = Seen()
    logger.addHandler(handler)
    try:
        with running() as port, opened(port):
            pass
        assert seen == []
        with running(evicting=True) as port, opened(port):
            pass
    finally:
        logger.removeHandler(handler)
    assert any("start it with -M" in each for each in seen)


# Space


def test_nothing_stays_of_what_is_done() -> None:
    with running() as port, opened(port) as queue:
        for start in range(1, 3000, 10):
            batch = [job(number) for number in range(start, start + 10)]
            queue.commit(batch, [number - 10 for number in range(start, start + 10)])
        assert items(port) < 10
        queue.commit([], range(2900, 3001))
        # The owner and the root.
        assert items(port) == 2


def test_few_jobs_do_not_keep_the_blocks_they_came_in() -> None:
    with running() as port, opened(port) as queue:
        for start in range(1, 20_001, 100):
            batch = [job(number, bytes(1000)) for number in range(start, start + 100)]
            queue.commit(batch, [])
            queue.commit([], [each.number for each in batch[1:]])
        for _ in range(5):
            queue.commit([], [])
        assert items(port) < 60
        queue.close()
        assert [each.number for each in jobs(port)] == list(range(1, 20_001, 100))
