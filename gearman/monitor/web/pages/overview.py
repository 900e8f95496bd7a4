"""The first page: servers, rates, and functions with the worst trouble."""

from typing import Final

from starlette.responses import Response

from ...history.recorder import ALL
from ...history.spans import SPANS
from ...model import clusters
from ...text import name_text
from ..drawing import JOBS, PER_SECOND, Drawing, Line, Plan, draw
from ..visit import Visit

# Functions on a page.
MANY: Final = 50

SPAN_NAMES: Final = {
    "10m": "10 minutes",
    "hour": "hour",
    "day": "day",
    "week": "week",
    "month": "month",
    "year": "year",
}

RATES: Final = (
    Plan(
        "submitted",
        "Submitted",
        PER_SECOND,
        (Line("submitted", "submitted", "accent"),),
    ),
    Plan("done", "Done", PER_SECOND, (Line("completed", "done", "accent"),)),
    Plan("failed", "Failed", PER_SECOND, (Line("failed", "failed", "bad"),)),
)

GAUGES: Final = (
    Plan("waiting", "Waiting", JOBS, (Line("queued", "jobs", "accent"),)),
    Plan("running", "Running", JOBS, (Line("running", "jobs", "accent"),)),
)


async def show(visit: Visit) -> Response:
    query, service = visit.query, visit.service
    await service.look()
    fleet = service.fleet
    functions = fleet.functions()
    found = functions
    if search := query["search"].strip().lower():
        found = [view for view in functions if search in name_text(view.name).lower()]
    offset = query["offset"]
    page = found[offset : offset + MANY]
    sparks = await service.sparks.of(service.archive, fleet.addresses, page)
    servers = fleet.servers()
    counts = any(view.counts for view in servers)
    plans = RATES if counts else GAUGES
    return visit.render(
        "overview.html",
        counts=counts,
        totals=fleet.totals(),
        servers=servers,
        clusters=clusters(servers),
        functions=page,
        sparks=sparks,
        shown=range(offset + 1, offset + len(page) + 1),
        found=len(found),
        count=len(functions),
        troubled=sum(1 for view in functions if view.score),
        many=MANY,
        drawings=await drawings(visit, fleet.addresses, ALL, query["span"], plans),
        span_names=SPAN_NAMES,
    )


async def drawings(
    visit: Visit, addresses: list[str], name: bytes, span: str, plans: tuple[Plan, ...]
) -> list[Drawing]:
    """Return charts of a function, or of all functions, on some servers."""
    fields = [line.field for plan in plans for line in plan.lines]
    chart = await visit.service.archive.chart(addresses, name, SPANS[span], fields)
    return [draw(plan, chart) for plan in plans]
