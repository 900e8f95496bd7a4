"""Forms that change something: actions on functions, jobs and so on, and new jobs.

A form names its targets as `SERVER NAME`, with the name as the filter `query` writes
it; the server `*` stands for all that have this function. What can't be undone needs
the field `confirm`; without it, a page asks for it.
"""

from collections import defaultdict
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from starlette.responses import Response

from ...acting import ACTIONS, SERVER, NewJob, Outcome
from ...reading.link import Refused
from ...text import name_text, query_text
from ..problems import Problem
from ..remarks import Remark
from ..visit import Visit

# Targets of one form, as of one request of the API.
MOST_TARGETS: Final = 10_000
# Failures that are told one by one.
MOST_DETAILS: Final = 20
# Targets that a page names when it asks for a confirmation.
MOST_NAMED: Final = 20

POLICY_FIELD: Final = "policy."
PRIORITIES: Final = ("normal", "high", "low")

VERBS: Final = {
    "pause": "Pause",
    "resume": "Resume",
    "purge": "Purge",
    "set-policy": "Set policy",
    "unset-policy": "Forget policy",
    "retry-all": "Retry all dead jobs",
    "forget-all": "Forget all dead jobs",
    "drop": "Forget function",
    "cancel": "Cancel",
    "retry": "Retry",
    "forget": "Forget",
    "run": "Run now",
    "pause-schedule": "Pause",
    "resume-schedule": "Resume",
    "drain": "Drain",
}
# What can't be undone.
_GRAVE: Final = frozenset(
    {
        *("purge", "unset-policy", "retry-all", "forget-all", "drop"),
        *("cancel", "forget", "drain"),
    }
)

# What is told of an action whose end is not waited for.
_DONE: Final = {"drain": "begun; it ends when it has given its shards away"}

_Target = tuple[str, bytes]


async def act(visit: Visit) -> Response:
    """Do something, or ask whether it is really meant."""
    action = visit.field("action")
    if action not in ACTIONS:
        raise Problem(400, f"{action[:80]!r} is no action")
    targets = _targets(visit)
    values = _values(visit) if ACTIONS[action].has_policy else None
    must_ask = action in _GRAVE or len(targets) > 1 and ACTIONS[action].noun == "job"
    if must_ask and visit.field("confirm") != "yes":
        return visit.render(
            "confirm.html",
            action=action,
            verb=VERBS[action],
            noun=ACTIONS[action].noun,
            meaning=ACTIONS[action].meaning,
            targets=targets,
            most=MOST_NAMED,
            back=_back(visit),
        )
    by_server: dict[str, list[bytes]] = defaultdict(list)
    for server, name in targets:
        by_server[server].append(name)
    found: list[tuple[_Target, Outcome]] = []
    for server, names in by_server.items():
        outcomes = await visit.service.act(
            visit.who.name, action, server, names, values
        )
        found += zip(((server, name) for name in names), outcomes, strict=True)
    return _return(visit, _remark(action, found))


def _targets(visit: Visit) -> list[_Target]:
    """Return what a form names. Raises Problem."""
    found: dict[_Target, None] = {}
    for value in visit.form.get("target", []):
        server, _, text = value.partition(" ")
        name = unquote_to_bytes(text)
        if server == "*":
            view = visit.service.fleet.function(name)
            parts = () if view is None else view.parts
            found |= dict.fromkeys((part.server, name) for part in parts)
        else:
            found[visit.service.target(server).address, name] = None
    if not found:
        raise Problem(400, "nothing was chosen: go back, and choose at least one")
    if len(found) > MOST_TARGETS:
        raise Problem(400, f"{MOST_TARGETS} at most can be chosen at a time")
    return list(found)


def _values(visit: Visit) -> dict[str, object]:
    """Return the keys of a policy that have a value in the form."""
    return {
        field.removeprefix(POLICY_FIELD): values[0].strip()
        for field, values in visit.form.items()
        if field.startswith(POLICY_FIELD) and values[0].strip()
    }


def _remark(action: str, found: list[tuple[_Target, Outcome]]) -> Remark:
    """Say what became of an action."""
    verb = VERBS[action]
    bad = [(target, outcome) for target, outcome in found if not outcome.ok]
    details = tuple(
        f"{_named(action, target)}: {outcome.error}"
        for target, outcome in bad[:MOST_DETAILS]
    )
    if len(found) == 1:
        target, outcome = found[0]
        what = f"{verb}: {_named(action, target)}"
        if bad:
            return Remark(f"{what} failed: {outcome.error}", is_good=False)
        jobs = "" if outcome.count is None else f", {_jobs(outcome.count)}"
        return Remark(f"{what}: {_DONE.get(action, 'done')}{jobs}")
    good = len(found) - len(bad)
    jobs = ""
    if any(outcome.count is not None for _, outcome in found):
        jobs = f", {_jobs(sum(outcome.count or 0 for _, outcome in found))}"
    if not bad:
        return Remark(f"{verb}: done for all {good:,}{jobs}")
    return Remark(
        f"{verb}: done for {good:,} of {len(found):,}{jobs}",
        is_good=False,
        details=details,
    )


def _named(action: str, target: _Target) -> str:
    server, name = target
    return (
        server if ACTIONS[action].noun == SERVER else f"{name_text(name)} on {server}"
    )


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


async def form(visit: Visit) -> Response:
    """Show the form for a new job."""
    query = visit.query
    return _form(visit, query["function"], query["server"])


async def submit(visit: Visit) -> Response:
    """Submit a job, or show the form again with what is wrong."""
    function = (
        unquote_to_bytes(visit.field("name"))
        or visit.field("function").strip().encode()
    )
    server, problem = visit.field("server"), ""
    job = NewJob(
        function,
        # A browser sends line ends as CRLF.
        visit.field("workload").replace("\r\n", "\n").encode(),
        visit.field("unique").encode(),
        _priority(visit.field("priority")),
        _options(visit.field("options")),
    )
    if not function:
        problem = "A job needs the name of a function."
    else:
        try:
            handle = await visit.service.submit(visit.who.name, server, job)
        except Refused as refused:
            problem = f"The job was not submitted: {refused}"
    if problem:
        return _form(visit, function, server, problem)
    link = f"/job?server={quote(server)}&handle={query_text(handle.encode())}"
    return _return(visit, Remark(f"Submitted as {handle}", link=link))


def _form(visit: Visit, function: bytes, server: str, problem: str = "") -> Response:
    return visit.render(
        "submit.html",
        400 if problem else 200,
        function=function,
        server=server,
        problem=problem,
        priorities=PRIORITIES,
        known=visit.service.fleet.functions(),
    )


def _priority(text: str) -> str:
    return text if text in PRIORITIES else PRIORITIES[0]


def _options(text: str) -> dict[str, object]:
    """Return options that are written as key=value, with blanks or & between them."""
    pairs = (part.partition("=") for part in text.replace("&", " ").split())
    return {key: value for key, _, value in pairs}


def _return(visit: Visit, remark: Remark) -> Response:
    """Send the browser back to where it was, with a remark."""
    key = visit.service.remarks.add(remark)
    back = _back(visit)
    return visit.redirect(f"{back}{'&' if '?' in back else '?'}note={key}")


def _back(visit: Visit) -> str:
    """Return the page from which a form was sent, if it is one of ours."""
    found = urlsplit(visit.field("back"))
    path = found.path
    if found.netloc or found.scheme or not path.startswith("/") or "\\" in path:
        return "/"
    parts = [
        part for part in found.query.split("&") if part and not part.startswith("note=")
    ]
    path = "/" + path.lstrip("/")
    return f"{path}?{'&'.join(parts)}" if parts else path
