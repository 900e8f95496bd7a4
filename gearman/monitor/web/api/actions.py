"""Endpoints that change something on servers, and what was changed."""

from typing import Any

from ....text import text_or_base64
from ...acting import ACTIONS
from ...model.readings import as_bytes
from ..problems import Problem
from ..visit import Visit
from .records import Record


async def actions(visit: Visit) -> Record:
    """Return the actions that there are."""
    return {
        "actions": [
            {"action": name, "noun": action.noun, "meaning": action.meaning}
            for name, action in ACTIONS.items()
        ]
    }


async def act(visit: Visit) -> Record:
    """Do something to each of several functions, jobs or schedules."""
    body: dict[str, Any] = visit.body
    values = body.get("policy")
    if ACTIONS[body["action"]].has_policy != (values is not None):
        raise Problem(409, "policy is for the action set-policy, which needs it")
    by_server: dict[str, list[bytes]] = {}
    for each in body["targets"]:
        visit.service.target(each["server"])
        by_server.setdefault(each["server"], []).append(as_bytes(each["name"]))
    results: list[Record] = []
    for address, names in by_server.items():
        outcomes = await visit.service.act(
            visit.who.name, body["action"], address, names, values
        )
        results += (
            {
                "server": address,
                "name": text_or_base64(name),
                "ok": outcome.ok,
                "count": outcome.count,
                "error": outcome.error,
            }
            for name, outcome in zip(names, outcomes, strict=True)
        )
    return {"results": results}


async def audit(visit: Visit) -> Record:
    """Return who did what, newest first."""
    query = visit.query
    return {"notes": await visit.service.archive.notes(query["limit"], query["before"])}
