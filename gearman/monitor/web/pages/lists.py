"""Workers, schedules, limits, events, and what was done by whom."""

from typing import Any, Final

from starlette.responses import Response

from ....server.protocols.events import NAMES
from ...reading import queries as asking
from ...text import name_text
from ..api import fleet
from ..api.fleet import ask
from ..api.records import Record
from ..visit import Visit
from . import shown

# Notes on a page.
MANY: Final = 100
# Workers on a page.
MOST_WORKERS: Final = 1000


async def workers(visit: Visit) -> Response:
    await visit.service.look()
    answer = await fleet.workers(visit)
    found = [_worker(each) for each in answer["workers"]]
    return visit.render(
        "workers.html",
        workers=found[:MOST_WORKERS],
        count=len(found),
        problems=answer["problems"],
        servers={view.address: view for view in visit.service.fleet.servers()},
    )


def _worker(record: Record) -> Record:
    jobs = [shown.job(record["server"], each) for each in record["jobs"]]
    return {**record, "jobs": jobs}


async def schedules(visit: Visit) -> Response:
    return await _listed(visit, "schedules", asking.schedules)


async def limits(visit: Visit) -> Response:
    return await _listed(visit, "limits", asking.limits)


async def _listed(visit: Visit, key: str, question: Any) -> Response:
    targets = visit.service.chosen(visit.query["server"])
    answers, problems = await ask(targets, question)
    return visit.render(f"{key}.html", answers=answers, problems=problems)


async def events(visit: Visit) -> Response:
    return visit.render(
        "events.html",
        names=sorted(NAMES),
        pattern=name_text(visit.query["function"]),
    )


async def audit(visit: Visit) -> Response:
    notes = await visit.service.archive.notes(MANY, visit.query["before"])
    return visit.render("audit.html", notes=notes, many=MANY)
