"""A function: its numbers, its past, its policy, its workers and its jobs."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from ....errors import OptionError
from ....options import format_options, parse_policy
from ....options.keys import KEYS_OF, POLICY
from ....text import printable
from ...model.readings import Worker
from ...reading import queries as asking
from ..api.fleet import ask
from ..drawing import JOBS, PER_SECOND, SECONDS, Line, Plan
from ..visit import Visit
from . import jobs
from .overview import SPAN_NAMES, drawings

_COUNTED: Final = (
    Plan(
        "rates",
        "Jobs per second",
        PER_SECOND,
        (
            Line("submitted", "submitted", "accent"),
            Line("completed", "done", "second"),
            Line("failed", "failed", "bad"),
        ),
    ),
    Plan(
        "waits",
        "Waiting time",
        SECONDS,
        (
            Line("wait_p50", "half below", "accent"),
            Line("wait_p95", "95 % below", "second"),
            Line("wait_p99", "99 % below", "third"),
        ),
    ),
    Plan(
        "runs",
        "Running time",
        SECONDS,
        (
            Line("run_p50", "half below", "accent"),
            Line("run_p95", "95 % below", "second"),
            Line("run_p99", "99 % below", "third"),
        ),
    ),
)
_GAUGES: Final = (
    Plan(
        "queue",
        "Queue",
        JOBS,
        (Line("queued", "waiting", "accent"), Line("running", "running", "second")),
    ),
)

# Workers that are shown: the page of workers has all.
MOST_WORKERS: Final = 50

MEANINGS: Final = {
    "retries": "attempts after the first one",
    "backoff": "pause between attempts, such as fixed:10 or exponential:5:3600",
    "timeout": "seconds that an attempt may take",
    "ttl": "seconds that a job may wait for its first start",
    "keep": "seconds that a result is kept",
    "dead": "where a job goes that is given up: list, none or function:NAME",
    "need-worker": "1: refuse jobs while no worker is there",
    "priority": "high, normal or low",
    "max-running": "jobs that may run at a time",
    "rate": "jobs that may start, such as 100/s or 5/m",
    "max-queue": "jobs that it may have; 0 is no limit",
    "paused": "1: start no jobs",
    "weight": "jobs in a row that a worker gets",
}


@dataclass(frozen=True, slots=True)
class ShownPolicy:
    """The policy of a function on a server: its text, and its values by key."""

    server: str
    text: str
    values: dict[str, str]


async def show(visit: Visit) -> Response:
    query, service = visit.query, visit.service
    name = query["function"]
    await service.look()
    fleet = service.fleet
    view = fleet.function(name)
    addresses = [part.server for part in view.parts] if view else []
    targets = [service.targets[address] for address in addresses]
    listed = service.chosen(query["server"]) if query["server"] else targets
    policies, _ = await ask(targets, asking.policies)
    workers, missing = await ask(targets, asking.workers)
    chosen = asking.Jobs(
        function=name, state=query["state"], limit=jobs.MANY, after=query["after"]
    )
    lists = await jobs.listed(visit, listed, chosen)
    counts = view is not None and view.total.counters is not None
    plans = (*_GAUGES, *_COUNTED) if counts or view is None else _GAUGES
    span = query["span"]
    everywhere = addresses or fleet.addresses
    return visit.render(
        "function.html",
        200 if view else 404,
        name=name,
        view=view,
        counts=counts,
        drawings=await drawings(visit, everywhere, name, span, plans),
        span_names=SPAN_NAMES,
        policies=[
            _policy(address, found.get(printable(name), ""))
            for address, found in policies.items()
        ],
        keys=[(key, MEANINGS.get(key, "")) for key in KEYS_OF[POLICY]],
        workers=_of_function(workers, name),
        most_workers=MOST_WORKERS,
        problems=missing,
        lists=lists,
        states=jobs.STATES,
    )


def _of_function(
    answers: dict[str, list[Worker]], name: bytes
) -> list[tuple[str, Worker]]:
    wanted = printable(name)
    return [
        (address, worker)
        for address, found in answers.items()
        for worker in found
        if wanted in worker.functions
    ]


def _policy(server: str, text: str) -> ShownPolicy:
    """Return a policy; what can't be read is shown, and can't be changed by key."""
    values: dict[str, str] = {}
    try:
        found = format_options(parse_policy(text.encode()))
    except (OptionError, UnicodeError):
        found = b""
    for part in filter(None, found.decode().split("&")):
        key, _, value = part.partition("=")
        values[key] = value
    return ShownPolicy(server, text, values)
