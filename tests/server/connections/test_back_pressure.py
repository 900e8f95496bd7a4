"""Which connections are not read from, and when they are read from again."""

import pytest

from gearman.server.broker import Peer
from gearman.server.connections.back_pressure import (
    HOLD_WORKERS,
    BackPressure,
    hold_workers,
    worker_limit,
)


class Connection:
    """A connection that only records whether it is read from."""

    def __init__(self) -> None:
        self.peer = Peer()
        self.peer.connection = self
        self.closing = False
        self.reads = True
        self.waits = 0
        self.pressure = BackPressure(self)

    def waiting(self) -> int:
        return self.waits

    def pause_reading(self) -> None:
        assert self.reads
        self.reads = False

    def released(self) -> None:
        self.reads = not self.pressure.held_by


class Store:
    """A store that only records who it was told to forget."""

    def __init__(self) -> None:
        self.forgotten: list[BackPressure] = []

    def forget(self, producer: BackPressure) -> None:
        self.forgotten.append(producer)


@pytest.fixture
def client() -> Connection:
    return Connection()


@pytest.fixture
def worker() -> Connection:
    return Connection()


def test_blocked_peer_is_not_read_from_until_it_is_unblocked(client) -> None:
    client.pressure.block()
    assert client.peer.blocked
    assert not client.reads
    client.pressure.unblock()
    assert not client.peer.blocked
    assert client.reads


def test_producer_is_held_until_the_blocked_peer_is_unblocked(client, worker) -> None:
    client.pressure.block()
    client.pressure.hold(worker.pressure)
    assert not worker.reads
    client.pressure.unblock()
    assert worker.reads


def test_producer_that_is_closing_is_not_held(client, worker) -> None:
    worker.closing = True
    client.pressure.hold(worker.pressure)
    assert worker.reads


def test_connection_is_held_until_the_last_one_releases_it(client, worker) -> None:
    store = Store()
    worker.pressure.held(store)
    client.pressure.hold(worker.pressure)
    client.pressure.unblock()
    assert not worker.reads
    worker.pressure.released_by(store)
    assert worker.reads


def test_end_releases_those_that_wait_for_the_connection(client, worker) -> None:
    client.pressure.block()
    client.pressure.hold(worker.pressure)
    client.pressure.end()
    assert worker.reads
    assert not client.peer.blocked


def test_forgetting_who_is_not_held_changes_nothing(client, worker) -> None:
    client.pressure.forget(worker.pressure)
    client.pressure.unblock()
    assert client.reads


def test_end_is_told_to_those_that_hold_the_connection(client, worker) -> None:
    store = Store()
    worker.pressure.held(store)
    client.pressure.hold(worker.pressure)
    worker.pressure.end()
    worker.pressure.break_cycle()
    assert store.forgotten == [worker.pressure]
    assert worker.pressure.held_by == set()
    # It would fail, since the worker's connection is gone.
    client.pressure.unblock()


@pytest.mark.parametrize(
    ("blocked", "waits", "reads"),
    [(True, 11, False), (True, 10, True), (False, 11, True)],
)
def test_worker_is_held_if_too_much_waits_for_its_blocked_client(
    client, worker, blocked: bool, waits: int, reads: bool
) -> None:
    client.peer.blocked = blocked
    client.waits = waits
    congested = [(worker.peer, client.peer)]
    hold_workers(congested, 10)
    assert worker.reads is reads
    assert congested == []


@pytest.mark.parametrize(
    ("max_outbox", "limit"),
    [(0, HOLD_WORKERS), (1000, 500), (4 * HOLD_WORKERS, HOLD_WORKERS)],
)
def test_workers_are_held_before_max_outbox_is_reached(
    max_outbox: int, limit: int
) -> None:
    assert worker_limit(max_outbox) == limit
