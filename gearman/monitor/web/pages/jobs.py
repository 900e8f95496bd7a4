"""Jobs: one by its handle, those that are found, and dead ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from ...reading import queries as asking
from ...reading.failures import reason
from ...reading.link import NO_COMMAND, Refused, Target
from ...text import name_text, query_text
from ..api.fleet import ask
from ..problems import Problem
from ..visit import Visit
from . import shown
from .shown import ShownJob

# Jobs on a page, of each server.
MANY: Final = 100
STATES: Final = ["", "waiting", "scheduled", "awaiting", "pending", "running", "dead"]
FORMS: Final = ["text", "json", "hex"]


@dataclass(frozen=True, slots=True)
class JobList:
    """Jobs of a server, or why there are none to be shown.

    `after` is the handle after which the next page begins, empty on the last page.
    """

    server: str
    jobs: Sequence[ShownJob] = ()
    after: bytes = b""
    problem: str = ""


async def listed(
    visit: Visit, targets: Sequence[Target], wanted: asking.Jobs
) -> list[JobList]:
    """Return a page of jobs of each server."""

    async def one(target: Target) -> list[dict[str, Any]]:
        # A handle belongs to one server, and other servers refuse it.
        return await asking.jobs(target, wanted)

    answers, problems = await ask(targets, one)
    found = []
    for address, records in answers.items():
        several = [shown.job(address, record) for record in records]
        after = several[-1].handle if len(several) == wanted.limit else b""
        found.append(JobList(address, several, after))
    found += (JobList(each["server"], problem=each["reason"]) for each in problems)
    order = list(visit.service.targets)
    return sorted(found, key=lambda each: order.index(each.server))


async def show(visit: Visit) -> Response:
    """Show one job, or say that it is gone."""
    query, service = visit.query, visit.service
    target = service.target(query["server"])
    handle, problem = query["handle"], ""
    record: dict[str, Any] | None = None
    try:
        record = await asking.job(target, handle, workload=not service.hide_workloads)
        if record is not None and service.hide_workloads:
            record = {**record, "error": ""}
    except Refused as refused:
        problem = _sentence(str(refused))
    except (OSError, ValueError) as error:
        problem = f"the server can't be asked: {reason(error)}"
    job = None if record is None else shown.job(target.address, record)
    return visit.render(
        "job.html",
        200 if job or problem else 404,
        server=target.address,
        handle=handle,
        job=job,
        problem=problem,
        error=_bytes(record, "error", query["form"]),
        workload=_bytes(record, "workload", query["form"]),
        hidden=service.hide_workloads,
        forms=FORMS,
        events=[
            shown.event(each)
            for each in await service.archive.events(target.address, handle)
        ],
    )


# What gearmand answers to `show job`.
_NO_COMMAND: Final = ("UNKNOWN_SHOW_ARGUMENTS", NO_COMMAND)


def _sentence(text: str) -> str:
    if text in _NO_COMMAND:
        return "this server does not tell about single jobs: gearmand has no command"
    return text


def _bytes(
    record: dict[str, Any] | None, key: str, form: str
) -> shown.ShownBytes | None:
    if record is None or key not in record:
        return None
    size = record.get("size", 0) if key == "workload" else 0
    return shown.workload(shown.known(record[key]), form, size)


async def find(visit: Visit) -> Response:
    """Look for a handle, a unique, or a part of a function's name."""
    service = visit.service
    wanted = visit.query["q"].strip()
    if not wanted:
        return visit.redirect("/")
    targets = list(service.targets.values())
    answers, _ = await ask(targets, lambda each: _job(each, wanted))
    for address, record in answers.items():
        if record is not None:
            place = f"server={quote(address)}&handle={query_text(wanted)}"
            return visit.redirect(f"/job?{place}")
    lists = await listed(visit, targets, asking.Jobs(unique=wanted, limit=MANY))
    text = name_text(wanted).lower()
    functions = [
        view
        for view in service.fleet.functions()
        if text in name_text(view.name).lower()
    ]
    has_jobs = any(each.jobs for each in lists)
    if len(functions) == 1 and not has_jobs:
        return visit.redirect(f"/function?function={query_text(functions[0].name)}")
    return visit.render(
        "find.html",
        wanted=wanted,
        lists=lists,
        has_jobs=has_jobs,
        functions=functions[:MANY],
    )


async def _job(target: Target, handle: bytes) -> dict[str, Any] | None:
    try:
        return await asking.job(target, handle)
    except Refused:
        return None


async def dead(visit: Visit) -> Response:
    query, service = visit.query, visit.service
    if query["after"] and not query["server"]:
        raise Problem(400, "after is for one server: name it")
    await service.look()
    wanted = asking.Jobs(
        function=query["function"], state="dead", limit=MANY, after=query["after"]
    )
    lists = await listed(visit, service.chosen(query["server"]), wanted)
    numbers = {
        view.address: view.dead for view in service.fleet.servers() if view.counts
    }
    functions = [view for view in service.fleet.functions() if view.total.dead]
    return visit.render(
        "dead.html",
        lists=lists,
        numbers=numbers,
        functions=sorted(functions, key=lambda view: -view.total.dead),
    )
