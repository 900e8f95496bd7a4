"""Servers, functions and workers as JSON, with the schemas of these objects."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from ....text import text_or_base64
from ...model.clusters import LINKS, STATES, Cluster
from ...model.counters import NUMBERS, Counters
from ...model.readings import Worker
from ...model.relays import RelayView
from ...model.views import (
    FunctionPart,
    FunctionView,
    Percentiles,
    Rates,
    ServerView,
)
from ...text import name_text
from ..schema import (
    BOOLEAN,
    BYTES,
    INTEGER,
    NUMBER,
    OBJECT,
    TEXT,
    Schema,
    array,
    maybe,
    one_of,
    record,
)

Record = dict[str, Any]

# Jobs of one worker that are told.
MOST_RUNNING: Final = 100

_RATE_NAMES: Final = tuple(each.name for each in fields(Rates))
_GAUGES: Final = (
    *("workers", "running", "queued", "scheduled", "awaiting", "pending", "dead"),
)

RATES: Final = record(dict.fromkeys(_RATE_NAMES, NUMBER))
PERCENTILES: Final = record({name: maybe(NUMBER) for name in ("p50", "p95", "p99")})
COUNTERS: Final = record(dict.fromkeys(NUMBERS, INTEGER))
SERVER: Final = record(
    {
        "address": TEXT,
        "health": one_of("up", "down", "outage", "unknown"),
        "reason": TEXT,
        "since": NUMBER,
        "read": maybe(NUMBER),
        "version": TEXT,
        "build": TEXT,
        "uptime": maybe(NUMBER),
        "counts": BOOLEAN,
        **dict.fromkeys(
            ("functions", "workers", "queued", "running", "delayed", "dead"), INTEGER
        ),
        "rates": maybe(RATES),
        "facts": OBJECT,
    }
)
PART: Final = record(
    {
        "server": TEXT,
        **dict.fromkeys((*_GAUGES, "delayed", "growth"), INTEGER),
        "held": BOOLEAN,
        "oldest": maybe(NUMBER),
        "unstaffed": maybe(NUMBER),
        "rates": maybe(RATES),
        "counters": maybe(COUNTERS),
        "recent": maybe(COUNTERS),
        "waits": maybe(PERCENTILES),
        "runs": maybe(PERCENTILES),
    }
)
_FUNCTION: Final[dict[str, Schema]] = {
    "name": BYTES,
    "text": TEXT,
    "score": NUMBER,
    "trouble": TEXT,
    "servers": array(TEXT),
    "total": PART,
}
FUNCTION: Final = record(_FUNCTION)
FUNCTION_WITH_PARTS: Final = record({**_FUNCTION, "parts": array(PART)})
WORKER: Final = record(
    {
        "server": TEXT,
        "descriptor": INTEGER,
        "address": TEXT,
        "id": TEXT,
        "functions": array(TEXT),
        "running": INTEGER,
        "jobs": array(OBJECT),
    }
)
CLUSTER: Final = record(
    {
        "name": TEXT,
        "lease": NUMBER,
        "shards": INTEGER,
        "unowned": INTEGER,
        "troubles": array(TEXT),
        "members": array(
            record(
                {
                    **dict.fromkeys(("id", "address", "server"), TEXT),
                    "state": one_of(*STATES),
                    "epoch": INTEGER,
                    "joined": maybe(NUMBER),
                    "draining": BOOLEAN,
                    "owned": INTEGER,
                    "shards": TEXT,
                    "left": maybe(NUMBER),
                }
            )
        ),
        "links": array(
            record(
                {
                    **dict.fromkeys(("first", "second"), TEXT),
                    "state": one_of(*LINKS),
                    "up": maybe(NUMBER),
                    "lag": maybe(NUMBER),
                }
            )
        ),
    }
)
RELAY: Final = record(
    {
        **dict.fromkeys(("server", "name", "target"), TEXT),
        "connected": BOOLEAN,
        **dict.fromkeys(("waiting", "unanswered"), INTEGER),
        **dict.fromkeys(("passed_on", "refused", "failures"), INTEGER),
        "error": TEXT,
    }
)


def cluster_record(cluster: Cluster) -> Record:
    """Return a cluster as an object for JSON."""
    return asdict(cluster)


def relay_record(relay: RelayView) -> Record:
    """Return a relay as an object for JSON."""
    return asdict(relay)


def server_record(view: ServerView) -> Record:
    """Return a server as an object for JSON."""
    return {
        **{each.name: getattr(view, each.name) for each in fields(view)},
        "rates": _maybe(_rates, view.rates),
        "facts": dict(view.facts),
    }


def function_record(view: FunctionView, *, parts: bool = False) -> Record:
    """Return a function as an object for JSON, with its parts if asked for."""
    found: Record = {
        "name": text_or_base64(view.name),
        "text": name_text(view.name),
        "score": view.score,
        "trouble": view.trouble,
        "servers": [part.server for part in view.parts],
        "total": part_record(view.total),
    }
    if parts:
        found["parts"] = [part_record(part) for part in view.parts]
    return found


def part_record(part: FunctionPart) -> Record:
    return {
        "server": part.server,
        **{name: getattr(part, name) for name in _GAUGES},
        "delayed": part.delayed,
        "growth": part.growth,
        "held": part.held,
        "oldest": part.oldest,
        "unstaffed": part.unstaffed,
        "rates": _maybe(_rates, part.rates),
        "counters": _maybe(_counters, part.counters),
        "recent": _maybe(_counters, part.recent),
        "waits": _maybe(_percentiles, part.waits),
        "runs": _maybe(_percentiles, part.runs),
    }


@dataclass(slots=True)
class Running:
    """The jobs that a worker has: how many, and the first ones of them."""

    count: int = 0
    jobs: list[Record] = field(default_factory=list)

    def add(self, job: Record) -> None:
        self.count += 1
        if self.count <= MOST_RUNNING:
            self.jobs.append(job)


def worker_record(address: str, worker: Worker, running: Running) -> Record:
    """Return a worker with the jobs that it has, as an object for JSON."""
    return {
        "server": address,
        "descriptor": worker.descriptor,
        "address": worker.address,
        "id": worker.id,
        "functions": [name_text(name) for name in worker.functions],
        "running": running.count,
        "jobs": running.jobs,
    }


def _maybe(make: Callable[[Any], Record], value: object) -> Record | None:
    return None if value is None else make(value)


def _rates(rates: Rates) -> Record:
    return {name: round(getattr(rates, name), 3) for name in _RATE_NAMES}


def _counters(counters: Counters) -> Record:
    return {name: getattr(counters, name) for name in NUMBERS}


def _percentiles(times: Percentiles) -> Record:
    return {"p50": times.half, "p95": times.most, "p99": times.nearly_all}
