"""The broker counts the memory that its objects take."""

import pytest

from gearman.options import parse_job_options, parse_policy
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


def steered(broker, text, count=3000) -> None:
    """Submit background jobs with options."""
    peer = Peer()
    for number in range(count):
        options = parse_job_options(b"&".join(filter(None, (b"background=1", text))))
        broker.submit_with(peer, b"f", b"", b"%0100d" % number, options)
    peer.outbox.clear()


def with_options(broker) -> None:
    steered(broker, b"retries=3&backoff=fixed:7.5&timeout=12.5&keep=60.5")


def stored_with_options(broker) -> None:
    steered(broker, b"retries=3&backoff=fixed:7.5&timeout=12.5&keep=60.5")
    store(broker)


def with_own_options(broker) -> None:
    trace = b"trace=00-%032x-" + b"34" * 8 + b"-01&at=5000&retries=3"
    for number in range(1, 3001):
        steered(broker, trace % number, count=1)


def after_one(broker) -> None:
    steered(broker, b"delay=1000", count=1)
    for number in range(3000):
        steered(broker, b"delay=%d&after=H:localhost:1" % number, count=1)


def after_many(broker) -> None:
    steered(broker, b"delay=1000", count=1000)
    handles = b",".join(b"H:localhost:%d" % number for number in range(1, 1001))
    steered(broker, b"after=" + handles, count=3)


def in_a_chain(broker) -> None:
    for number in range(3000):
        steered(broker, b"after=H:localhost:%d" % number, count=1)


def expiring(broker) -> None:
    steered_by_policy(broker, b"ttl=100")


def mortal(broker) -> None:
    steered_by_policy(broker, b"dead=list&retries=3")


def steered_by_policy(broker, policy) -> None:
    broker.policies.set(b"f", parse_policy(policy))
    background(broker)


def dead(broker) -> None:
    steered(broker, b"dead=list")
    end(broker, broker.workers.exception, b"%0300d")


def stored_dead(broker) -> None:
    steered(broker, b"dead=list")
    store(broker)
    end(broker, broker.workers.exception, b"%0300d")
    store(broker)


def kept(broker) -> None:
    steered(broker, b"keep=100")
    end(broker, broker.workers.complete, b"%0300d")


def store(broker) -> None:
    changes, broker.jobs.changes[:] = list(broker.jobs.changes), []
    broker.stored.durable([job for job in changes if not isinstance(job, int)])
    for peer in broker.peers:
        peer.outbox.clear()


def end(broker, verb, data) -> None:
    """Have a worker end all jobs, each with data of its own."""
    worker = connect(broker)
    broker.workers.can_do(worker, b"f")
    for number in range(len(broker.jobs.known)):
        broker.workers.grab(worker)
        (handle,) = worker.jobs
        verb(worker, handle, data % number)
    broker.disconnect(worker)
    broker.losses.notices.clear()


@pytest.mark.parametrize(
    "fill",
    [
        *(background, with_uniques, foreground, large, scheduled, reduced, running),
        *(functions, workers, peers, owed, deferred, with_options, expiring, mortal),
        *(stored_with_options, with_own_options, after_one, after_many),
        *(in_a_chain, dead, stored_dead, kept),
    ],
)
def test_what_is_counted_is_within_a_tenth_of_what_is_taken(fill):
    storing = (owed, deferred, stored_with_options, stored_dead)
    broker = Broker(persistent=fill in storing)
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
