"""All that the monitor shows and does, for the API and the pages."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request

from ..access.patience import Attempts
from ..access.sessions import Sessions, Visitor
from ..access.users import Users
from ..acting import ACTIONS, NewJob, Outcome, perform, submit
from ..history.archive import Archive, Note
from ..model.fleet import Fleet
from ..reading.attention import Attention
from ..reading.link import Refused, Target
from ..text import name_text
from .news import News
from .problems import Problem
from .remarks import Remarks
from .sparks import Sparks

COOKIE: Final = "gearman-monitor"
# Seconds that a page waits for new readings, after nobody had looked.
_MOMENT: Final = 0.5


@dataclass(slots=True)
class Service:
    """The parts of a running monitor.

    `sessions.are_needed` says whether there are users. With `hide_workloads`, nothing
    is shown that comes from workloads, results and exceptions. `keeps_events` says
    whether events are followed all the time.
    """

    targets: Mapping[str, Target]
    fleet: Fleet
    attention: Attention
    archive: Archive
    sessions: Sessions
    attempts: Attempts
    users: Users | None = None
    hide_workloads: bool = False
    keeps_events: bool = False
    news: News = field(default_factory=News)
    # Set when the monitor ends, for answers that go on.
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    remarks: Remarks = field(default_factory=Remarks)
    sparks: Sparks = field(default_factory=Sparks)

    def visitor(self, request: Request) -> Visitor | None:
        """Return who sends a request, None if nobody has logged in."""
        return self.sessions.find(request.cookies.get(COOKIE, ""))

    async def look(self) -> None:
        """Have servers read often; if they were not, wait a moment for new readings."""
        if self.attention.glance():
            return
        number = self.news.number + len(self.targets)
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT):
                await self.news.after(number - 1)

    def target(self, address: str) -> Target:
        """Return a server by its address. Raises Problem."""
        target = self.targets.get(address)
        if target is None:
            raise Problem(404, f"{address[:80]!r} is no server of this monitor")
        return target

    def chosen(self, address: str) -> Sequence[Target]:
        """Return a server by its address, or all servers if that is empty."""
        return [self.target(address)] if address else [*self.targets.values()]

    def addresses(self, address: str) -> list[str]:
        """Return this address, or those of all servers. Raises Problem."""
        return [target.address for target in self.chosen(address)]

    async def act(
        self,
        who: str,
        action: str,
        address: str,
        names: list[bytes],
        values: Mapping[str, object] | None = None,
    ) -> list[Outcome]:
        """Do something to functions, jobs or schedules of a server, and note it."""
        target = self.target(address)
        outcomes = await perform(ACTIONS[action], target, names, values)
        detail = ""
        if values:
            detail = _text("&".join(f"{key}={v}" for key, v in values.items()))
        await self.archive.note(
            Note(who, action, address, name_text(name), detail, _result(outcome))
            for name, outcome in zip(names, outcomes, strict=True)
        )
        return outcomes

    async def submit(self, who: str, address: str, job: NewJob) -> str:
        """Submit a job, note it, and return its handle. Raises Refused."""
        target = self.target(address)
        result = ""
        try:
            handle = await submit(target, job)
            result = handle
        except Refused as refused:
            result = str(refused)
            raise
        finally:
            name = name_text(job.function)
            detail = f"{len(job.workload)} bytes"
            await self.archive.note(
                [Note(who, "submit", address, name, detail, result)]
            )
        return handle


def _text(text: str) -> str:
    """Return the beginning of a text, without what can't be stored as UTF-8."""
    return text[:1000].encode(errors="backslashreplace").decode()


def _result(outcome: Outcome) -> str:
    if not outcome.ok:
        return outcome.error
    return "done" if outcome.count is None else f"done: {outcome.count}"
