"""The broker counts the memory that its objects take."""

import pytest

from gearman.server.broker import HIGH, NORMAL, Broker, Peer
from tests.server.broker.sizes import counted, real_size


def connect(broker) -> Peer:
    peer = Peer("127.0.0.1", 5)
    broker.connect(peer)
    return peer


def submit(broker, **options) -> None:
    """Submit different jobs, each with a unique of `unique` bytes and a workload."""
    unique, size = options.pop("unique", 0), options.pop("size", 10)
    peer = connect(broker)
    for number in range(3000):
        text = b"%010d" % number
        if "reducer" in options:
            options["reducer"] = text * 100
        broker.submit(peer, b"f", (text * 4)[:unique], text * size, **options)
    peer.outbox.clear()


def background(broker) -> None:
    submit(broker, background=True)


def with_uniques(broker) -> None:
    submit(broker, background=True, unique=36)


def foreground(broker) -> None:
    submit(broker, unique=36)


def large(broker) -> None:
    submit(broker, background=True, size=200)


def scheduled(broker) -> None:
    submit(broker, background=True, unique=36, when=1000)


def reduced(broker) -> None:
    submit(broker, background=True, unique=36, reducer=b"r")


def running(broker) -> None:
    submit(broker, background=True, unique=36)
    worker = connect(broker)
    broker.workers.can_do(worker, b"f")
    for _ in range(3000):
        broker.workers.grab(worker)
    worker.outbox.clear()


def functions(broker) -> None:
    for number in range(1000):
        broker.functions.of(b"function%06d" % number)


def workers(broker) -> None:
    functions(broker)
    for _ in range(50):
        worker = connect(broker)
        for name in broker.functions.known:
            broker.workers.can_do(worker, name)
        broker.workers.pre_sleep(worker)
        worker.outbox.clear()


def peers(broker) -> None:
    for _ in range(1000):
        connect(broker)


def owed(broker) -> None:
    """One client waits for the answers to thousands of submissions of one job."""
    peer = connect(broker)
    for _ in range(5000):
        broker.submit(peer, b"f", b"u", b"", NORMAL, True)


def deferred(broker) -> None:
    """Requests wait until the store has stored the request before."""
    peer = connect(broker)
    broker.submit(peer, b"f", b"u", b"", NORMAL, True)
    for number in range(3000):
        broker.submit(peer, b"f", b"%010d" % number, b"%0100d" % number, HIGH)


@pytest.mark.parametrize(
    "fill",
    [
        *(background, with_uniques, foreground, large, scheduled, reduced, running),
        *(functions, workers, peers, owed, deferred),
    ],
)
def test_what_is_counted_is_within_a_tenth_of_what_is_taken(fill):
    broker = Broker(persistent=fill in (owed, deferred))
    broker.tick(1.0, 1.0)
    before = real_size(broker)
    fill(broker)
    taken = real_size(broker) - before
    told = broker.memory.jobs + broker.memory.peers
    assert told == sum(counted(broker))
    assert 0.9 < told / taken < 1.1, (told, taken)


def test_nothing_is_counted_when_all_are_gone():
    broker = Broker(persistent=True)
    broker.tick(1.0, 1.0)
    for fill in (foreground, deferred, owed):
        fill(broker)
        for peer in list(broker.peers):
            broker.disconnect(peer)
        broker.stored.durable(
            [job for job in broker.jobs.changes if not isinstance(job, int)]
        )
        for job in list(broker.jobs.known.values()):
            broker.cancel(job.handle)
        broker.functions.drop(b"f")
        assert (broker.memory.jobs, broker.memory.peers) == (0, 0)
        broker.jobs.changes.clear()
