"""What must be in the store, and what may be there, when no server runs."""

import time
from collections.abc import Sequence

from gearman.queue import StoredJob

from .books import Books, Ticket
from .plans import EXPIRED, RUN
from .records import Fields, fields_of


class Inspection:
    """Compares the content of a store with the books."""

    def __init__(self, books: Books, content: Sequence[StoredJob]) -> None:
        self._books = books
        self._now = time.time()
        self.jobs: set[bytes] = set()
        self._dead: set[bytes] = set()
        self._results: dict[bytes, bytes] = {}
        self._last: dict[bytes, float] = {}
        self._policies: dict[bytes, bytes] = {}
        for each in content:
            self._take(each, fields_of(each.extra))

    def _take(self, job: StoredJob, fields: Fields) -> None:
        handle = job.handle
        kind = fields.get(b"kind", b"job")
        self._books.counts[f"seen in the store: {kind.decode()}"] += 1
        if kind == b"setting" and fields[b"what"] == b"schedule":
            self._last[job.function] = float(fields[b"last"])
        elif kind == b"setting":
            self._policies[job.function] = job.workload
            self._books.policy_is(job.function, job.workload)
        elif kind == b"result":
            assert handle not in self._results, f"{handle!r} has two results"
            self._results[handle] = job.workload
            self._check_result(handle, fields, job.workload)
        else:
            if job.workload == RUN:
                self._books.run(handle)
            known = self._dead if kind == b"dead" else self.jobs
            assert handle not in self._dead | self.jobs, f"{handle!r} is there twice"
            known.add(handle)
            ticket = self._books.tickets.get(handle)
            if ticket is not None:
                self._check_job(job, ticket, fields)

    def _check_job(self, job: StoredJob, ticket: Ticket, fields: Fields) -> None:
        handle, attempts = job.handle, int(fields.get(b"attempts", b"0"))
        reported, failed = ticket.reported, ticket.certain
        if b"died" in fields:
            assert ticket.plan.dead == "list", f"{handle!r} must not be dead"
            if fields[b"reason"].startswith(EXPIRED):
                assert ticket.expired(self._now), f"{handle!r} has expired too early"
            else:
                assert attempts == ticket.plan.retries + 1 <= reported, (
                    f"{handle!r} is dead after {attempts} attempts"
                )
        elif b"moved" in fields:
            assert ticket.plan.dead == "function", handle
            given_up = ticket.may_be_used_up or ticket.expired(self._now)
            assert given_up, f"{handle!r} was handed over too early"
        else:
            assert handle not in self._books.gone, f"{handle!r} is still there"
            assert not ticket.used_up, f"{handle!r} has failed too often to be there"
            assert failed <= attempts <= reported, (
                f"{handle!r} has {attempts} failed attempts, and {failed} are certain"
                f" out of {reported}"
            )

    def _check_result(self, handle: bytes, fields: Fields, data: bytes) -> None:
        ticket = self._books.tickets.get(handle)
        if ticket is None:
            assert fields[b"state"] == b"failed", f"{handle!r} was never assigned"
        elif fields[b"state"] == b"done":
            assert data in ticket.results, f"{handle!r} has a strange result: {data!r}"
        else:
            assert ticket.may_be_used_up or ticket.expired(self._now), handle

    def check(self) -> None:
        """Raise AssertionError if something is missing."""
        books, now = self._books, self._now
        for handle in books.open - self.jobs:
            assert books.tickets[handle].expired(now), f"{handle!r} is not in the store"
        for name, (_, needed) in books.policies().items():
            assert not needed or name in self._policies, f"{name!r} has no policy"
        assert books.dead <= self._dead, "dead jobs are missing"
        for handle, ticket in books.tickets.items():
            if ticket.keeps(now):
                found = self._results.get(handle)
                assert found == ticket.kept, f"the result of {handle!r} is {found!r}"
        for name, last in self._last.items():
            found = books.runs.get((name, last))
            assert found is not None, f"the run of {name!r} for {last} is not there"
