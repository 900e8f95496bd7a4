"""Endpoints about jobs."""

from typing import Any

from ...acting import NewJob
from ...model.readings import as_bytes
from ...reading import queries as asking
from ..problems import Problem
from ..visit import Visit
from .fleet import ask
from .records import Record


async def jobs(visit: Visit) -> Record:
    """Return a page of the jobs of one server, or one of each server."""
    query = visit.query
    targets = visit.service.chosen(query["server"])
    wanted = asking.Jobs(
        function=query["function"],
        unique=query["unique"],
        state=query["state"],
        limit=query["limit"],
        after=query["after"],
    )
    if wanted.after and len(targets) > 1:
        raise Problem(400, "after is for one server: name it")
    answers, problems = await ask(targets, lambda each: asking.jobs(each, wanted))
    found = [
        _shown(visit, {"server": address, **record})
        for address, records in answers.items()
        for record in records
    ]
    return {"jobs": found, "problems": problems}


async def job(visit: Visit) -> Record:
    """Return what a server knows of a job, by its handle."""
    target = visit.service.target(visit.query["server"])
    found = await asking.job(
        target, visit.query["handle"], workload=not visit.service.hide_workloads
    )
    if found is None:
        raise Problem(404, "the server has no such job (any more)")
    return _shown(visit, {"server": target.address, **found})


async def job_events(visit: Visit) -> Record:
    """Return the events of a job that the monitor has seen, newest first."""
    target = visit.service.target(visit.query["server"])
    handle = visit.query["handle"]
    return {"events": await visit.service.archive.events(target.address, handle)}


def _shown(visit: Visit, record: Record) -> Record:
    """Return a job, without its exception if that is hidden."""
    if visit.service.hide_workloads and "error" in record:
        return {key: value for key, value in record.items() if key != "error"} | {
            "hidden": True
        }
    return record


async def submit(visit: Visit) -> Record:
    """Submit a background job."""
    body: dict[str, Any] = visit.body
    job = NewJob(
        as_bytes(body["function"]),
        as_bytes(body.get("workload", "")),
        as_bytes(body.get("unique", "")),
        body.get("priority", "normal"),
        body.get("options", {}),
    )
    handle = await visit.service.submit(visit.who.name, body["server"], job)
    return {"server": body["server"], "handle": handle}
