"""What has happened to jobs, as objects for JSON: the admin command `show stats`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...text import text_or_base64
from ..broker import Broker, Function
from ..broker.stats import COUNTERS, Histogram, Stats
from .lines import MUCH, json_line, pieces

# An object of JSON.
Record = dict[str, object]


def no_facts() -> Mapping[str, object]:
    """Know nothing of the server but its broker."""
    return {}


class Statistics:
    """Lists the server, its functions, and the functions that it has forgotten.

    `facts` returns what the broker does not know: version, connections and so on.
    """

    def __init__(
        self, broker: Broker, facts: Callable[[], Mapping[str, object]] = no_facts
    ) -> None:
        self._broker = broker
        self._facts = facts

    def answer(self) -> Iterator[bytes]:
        """Return the lines of `show stats`."""
        return pieces(map(json_line, self.records()), MUCH)

    def cluster(self) -> Iterator[bytes]:
        """Return the lines of `show cluster`: none without a cluster."""
        found: Any = self._facts().get("cluster")
        if found is None:
            return pieces(())
        summary = {key: value for key, value in found.items() if key != "servers"}
        servers = ({"kind": "server", **each} for each in found["servers"])
        return pieces(map(json_line, ({"kind": "cluster", **summary}, *servers)), MUCH)

    def records(self) -> Iterator[Record]:
        """Yield an object for the server, and one for each function."""
        yield {"kind": "server", **self._facts(), **server(self._broker)}
        for function in list(self._broker.functions.known.values()):
            yield function_record(self._broker, function)
        yield {"kind": "forgotten", **counters(self._broker.functions.gone)}


def server(broker: Broker) -> Record:
    """Return how much a broker has, and which limits were hit how often."""
    memory = broker.memory
    return {
        "jobs": len(broker.jobs.known),
        "dead": len(broker.dead.known),
        "results": len(broker.results.known),
        "functions": len(broker.functions.known),
        "memory": {
            "jobs": memory.jobs,
            "peers": memory.peers,
            "buffers": memory.buffers,
        },
        "limit_hits": dict(broker.hits.counts),
    }


def function_record(broker: Broker, function: Function) -> Record:
    """Return how many jobs and workers a function has, and what has happened to them.

    `oldest` is how many seconds the job has waited that is first in its queue;
    `unstaffed` is for how many seconds the function has had no worker. Both are None if
    that is not so; `unstaffed` also if there never was a worker.
    """
    waited = function.waited(broker.now)
    unstaffed = None
    if not function.workers and function.unstaffed >= 0:
        unstaffed = broker.now - function.unstaffed
    return {
        "kind": "function",
        "function": text_or_base64(function.name),
        "workers": function.workers,
        "running": function.running,
        "queued": sum(queue.count for queue in function.queues),
        "scheduled": sum(function.scheduled),
        "awaiting": sum(function.awaiting),
        "pending": function.pending,
        "dead": broker.dead.count(function.name),
        "held": bool(function.held),
        "oldest": None if waited is None else _seconds(waited),
        "unstaffed": None if unstaffed is None else _seconds(unstaffed),
        **counters(function.stats),
    }


def counters(stats: Stats) -> Record:
    """Return all that was counted for a function.

    `started` is how often a worker has got a job. Of a histogram, `counts` has a number
    for up to 1 ms, 2 ms, 4 ms and so on, up to the last one that is not 0.
    """
    counted: dict[str, Any] = {name: getattr(stats, name) for name in COUNTERS}
    counted["started"] = stats.waits.count()
    return {
        **counted,
        "waits": histogram(stats.waits),
        "runs": histogram(stats.runs),
    }


def histogram(times: Histogram) -> Record:
    counts = times.counts()
    while counts and not counts[-1]:
        counts.pop()
    return {"seconds": _seconds(times.total), "counts": counts}


def _seconds(seconds: float) -> float:
    """Round to microseconds."""
    return round(max(seconds, 0.0), 6)
