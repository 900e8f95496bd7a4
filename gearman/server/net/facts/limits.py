"""The rows of `show limits`: how much of each limit is used."""

from collections.abc import Iterator

from ...broker import Broker
from ...connections.access import ConnectionCounter
from ...connections.members import Connections
from ...protocols.admin import Usage
from ...settings.config import Config


def usages(
    broker: Broker,
    config: Config,
    max_packet: int,
    counter: ConnectionCounter,
    connections: Connections,
) -> Iterator[Usage]:
    """Yield a row for each limit, named like the option that sets it.

    For a limit of each connection, worker, function or address, the use is the highest
    among them. The rows after `max-memory` are its parts: jobs, peers, buffers. The
    last three rows are no limits. They count refused addresses, connections that were
    closed because of bad input, and connections that were closed because of a bug.
    """
    hits, limits, memory = broker.hits.counts, broker.limits, broker.memory
    functions, jobs = broker.functions.known.values(), broker.jobs.known
    rows: tuple[tuple[str, float | None, int | None], ...] = (
        ("max-connections", counter.limit, counter.count),
        ("max-connections-per-address", counter.limit_per_address, counter.largest()),
        ("max-functions", limits.functions, len(functions)),
        (
            "max-functions-per-worker",
            limits.functions_per_worker,
            _most(len(peer.functions) for peer in broker.peers),
        ),
        ("max-jobs", limits.jobs, len(jobs)),
        (
            "max-jobs-per-function",
            limits.jobs_per_function,
            _most(function.total() for function in functions),
        ),
        ("max-job-memory", limits.job_memory, memory.jobs),
        ("max-memory", limits.memory, memory.jobs + memory.peers + memory.buffers),
        ("max-memory-jobs", None, memory.jobs),
        ("max-memory-peers", None, memory.peers),
        ("max-memory-buffers", None, memory.buffers),
        ("max-dead", broker.dead.most, len(broker.dead.known)),
        ("dead-age", broker.dead.age, None),
        ("max-results", broker.results.most, broker.results.total),
        (
            "max-packet",
            max_packet,
            _most(connection.protocol.buffered for connection in connections),
        ),
        (
            "max-outbox",
            config.max_outbox,
            _most(connection.waiting() for connection in connections),
        ),
        ("request-timeout", config.request_timeout, None),
        ("write-timeout", config.write_timeout, None),
        ("allow-from", None, None),
        ("bad-input", None, None),
        ("bugs", None, None),
    )
    for name, limit, used in rows:
        yield Usage(name, limit, used, hits[name])


def _most(numbers: Iterator[int]) -> int:
    return max(numbers, default=0)
