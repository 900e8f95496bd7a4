"""Endpoints about servers, functions, workers, and what a server says of itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from ....text import printable, text_or_base64
from ... import model
from ...model import Worker
from ...model.readings import as_bytes
from ...reading import queries as asking
from ...reading.failures import reason
from ...reading.link import Refused, Target
from ...text import name_text
from ..problems import Problem
from ..visit import Visit
from .records import (
    Record,
    Running,
    cluster_record,
    function_record,
    relay_record,
    server_record,
    worker_record,
)


async def overview(visit: Visit) -> Record:
    """Return totals, servers, and the functions with the worst trouble."""
    fleet = visit.service.fleet
    await visit.service.look()
    functions = fleet.functions()
    return {
        "totals": server_record(fleet.totals()),
        "servers": [server_record(view) for view in fleet.servers()],
        "functions": [function_record(v) for v in functions[: visit.query["limit"]]],
        "count": len(functions),
    }


async def servers(visit: Visit) -> Record:
    await visit.service.look()
    return {"servers": [server_record(v) for v in visit.service.fleet.servers()]}


async def clusters(visit: Visit) -> Record:
    """Return the clusters that servers are in, with their members and links."""
    await visit.service.look()
    found = model.clusters(visit.service.fleet.servers())
    return {"clusters": [cluster_record(each) for each in found]}


async def relays(visit: Visit) -> Record:
    """Return the relays of servers, those without a connection first."""
    await visit.service.look()
    found = model.relays(visit.service.fleet.servers())
    return {"relays": [relay_record(each) for each in found]}


async def functions(visit: Visit) -> Record:
    """Return functions, worst trouble first, of one server or of all."""
    query, service = visit.query, visit.service
    service.chosen(query["server"])
    await service.look()
    found = service.fleet.functions(query["server"])
    if query["search"]:
        wanted = query["search"].lower()
        found = [view for view in found if wanted in name_text(view.name).lower()]
    start = query["offset"]
    page = found[start : start + query["limit"]]
    return {"functions": [function_record(v) for v in page], "count": len(found)}


async def function(visit: Visit) -> Record:
    """Return a function with its parts, and its policy on each server that has one."""
    name, service = visit.query["function"], visit.service
    await service.look()
    view = service.fleet.function(name)
    if view is None:
        raise Problem(404, "no server has this function now")
    targets = [service.target(part.server) for part in view.parts]
    answers, _ = await ask(targets, asking.policies)
    policies = [
        {"server": address, "policy": found.get(printable(name), "")}
        for address, found in answers.items()
    ]
    return {**function_record(view, parts=True), "policies": policies}


async def workers(visit: Visit) -> Record:
    """Return workers, with the jobs that they have now where a server tells."""
    query, service = visit.query, visit.service
    targets = service.chosen(query["server"])
    answers, problems = await ask(targets, _workers_and_jobs)
    wanted = printable(query["function"])
    records = [
        worker_record(address, worker, running.get(worker.descriptor, Running()))
        for address, (found, running) in answers.items()
        for worker in found
        if not wanted or wanted in worker.functions
    ]
    return {"workers": records, "problems": problems}


# Running jobs of a server that are looked at, and how many of them at once.
_MOST_RUNNING = 10_000
_PAGE = 1000


async def _workers_and_jobs(target: Target) -> tuple[list[Worker], dict[int, Running]]:
    found = await asking.workers(target)
    running: dict[int, Running] = {}
    try:
        async for record in _running(target):
            worker = record.get("worker") or {}
            number = worker.get("descriptor", -1)
            running.setdefault(number, Running()).add(record)
    except Refused:
        # gearmand does not say who has which job.
        pass
    return found, running


async def _running(target: Target) -> AsyncIterator[Record]:
    """Yield the running jobs of a server, of which there may be very many."""
    wanted = asking.Jobs(state="running", limit=_PAGE)
    for _ in range(_MOST_RUNNING // _PAGE):
        page = await asking.jobs(target, wanted)
        for record in page:
            yield record
        if len(page) < _PAGE:
            return
        wanted = replace(wanted, after=as_bytes(page[-1].get("handle")))


async def schedules(visit: Visit) -> Record:
    return await _listed(visit, "schedules", asking.schedules)


async def limits(visit: Visit) -> Record:
    return await _listed(visit, "limits", asking.limits)


async def policies(visit: Visit) -> Record:
    """Return the policies of functions, as text."""

    async def listed(target: Target) -> list[Record]:
        found = await asking.policies(target)
        return [
            {"function": text_or_base64(name), "policy": text}
            for name, text in found.items()
        ]

    return await _listed(visit, "policies", listed)


async def _listed(
    visit: Visit, key: str, question: Callable[[Target], Awaitable[list[Record]]]
) -> Record:
    targets = visit.service.chosen(visit.query["server"])
    answers, problems = await ask(targets, question)
    rows = [
        {"server": address, **row} for address, rows in answers.items() for row in rows
    ]
    return {key: rows, "problems": problems}


async def ask(
    targets: Sequence[Target], question: Callable[[Target], Awaitable[Any]]
) -> tuple[dict[str, Any], list[Record]]:
    """Ask servers at the same time; return answers by address, and what went wrong."""
    results = await asyncio.gather(
        *(question(target) for target in targets), return_exceptions=True
    )
    answers: dict[str, Any] = {}
    problems: list[Record] = []
    for target, result in zip(targets, results, strict=True):
        if isinstance(result, OSError | ValueError | Refused):
            problems.append({"server": target.address, "reason": reason(result)})
        elif isinstance(result, BaseException):
            raise result
        else:
            answers[target.address] = result
    return answers, problems
