"""A record of the requests to a server and of its answers, kept outside of it.

With several connections at once, only an order of events can be known from outside.
Each entry has a number. A message to the server gets its number before it is sent, a
message from the server after it has arrived. So the record claims only what is certain:

- A job is finished when the answer to a later request of the same worker has arrived.
  This process may not assign the handle of such a job again.
- The removal of a finished job is durable when a job was acknowledged that was
  submitted later, and did not join another one: changes are committed in their order.
  After a graceful stop, the removal of all finished jobs is durable. No process may
  ever assign these handles again.
- If a submission is acknowledged with the handle of another one that has the same
  unique, that job must run after it, unless it was finished before the submission was
  sent.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

# With these uniques, each submission is a job of its own.
ALONE = (b"", b"-")


@dataclass(slots=True)
class Submission:
    """A job as it is submitted; `when` is 0 for immediately."""

    number: int
    sent: int
    function: bytes
    unique: bytes
    size: int
    when: int = 0
    background: bool = True

    @property
    def workload(self) -> bytes:
        """Return `size` bytes that are unique to this submission."""
        head = b"%d:" % self.number
        return (head * (self.size // len(head) + 1))[: max(self.size, len(head))]


@dataclass(slots=True)
class Ticket:
    """The record of a handle."""

    submissions: list[Submission] = field(default_factory=list)
    # The submission whose workload was assigned.
    owner: Submission | None = None
    held: bool = False
    # Whether a worker has sent its result, but has no answer to a later request.
    finishing: bool = False
    # The number of the entry at which it was finished at the latest.
    finished: int = -1


class Books:
    """Entries in their order. Raises AssertionError if one is not allowed."""

    def __init__(self) -> None:
        self.clock = 0
        self.submissions: list[Submission] = []
        self.tickets: dict[bytes, Ticket] = {}
        self.counts: Counter[str] = Counter()
        # Handles that no process may assign any longer, and those that this one may
        # not; and up to when removals of this process are durable.
        self._gone: set[bytes] = set()
        self._finished: dict[bytes, int] = {}
        self._durable = 0
        # Handles that were acknowledged and have not run since.
        self.open: set[bytes] = set()

    def _tick(self) -> int:
        self.clock += 1
        return self.clock

    # -- clients

    def submit(
        self,
        function: bytes,
        unique: bytes,
        size: int,
        when: int = 0,
        *,
        background: bool = True,
    ) -> Submission:
        """Record a submission that is about to be sent."""
        number, sent = len(self.submissions), self._tick()
        made = Submission(number, sent, function, unique, size, when, background)
        self.submissions.append(made)
        self.counts["submitted"] += 1
        return made

    def acknowledged(self, submission: Submission, handle: bytes) -> None:
        """A submission was answered by JOB_CREATED."""
        self._tick()
        ticket = self.tickets.setdefault(handle, Ticket())
        ticket.submissions.append(submission)
        _check_is_one_job(handle, ticket)
        if not submission.background:
            return
        self.counts["acknowledged"] += 1
        if submission.unique in ALONE:
            self._durable = max(self._durable, submission.sent)
        if ticket.finished < submission.sent:
            self.open.add(handle)

    def refused(self, submission: Submission) -> None:
        """A submission was answered by ERROR."""
        self._tick()
        self.counts["refused"] += 1

    # -- workers

    def assigned(
        self, handle: bytes, function: bytes, unique: bytes, workload: bytes, now: float
    ) -> None:
        """A worker was assigned a job, at this time since the epoch."""
        self._tick()
        self.counts["assigned"] += 1
        ticket = self.tickets.setdefault(handle, Ticket())
        assert handle not in self._gone, f"{handle!r} came back"
        assert handle not in self._finished, f"{handle!r} was assigned when finished"
        assert not ticket.held, f"{handle!r} was assigned twice"
        owner = self._owner(workload)
        assert (function, unique) == (owner.function, owner.unique), handle
        assert ticket.owner in (None, owner), f"{handle!r} has two workloads"
        assert now >= owner.when, f"{handle!r} was assigned before its time"
        if ticket.finished >= 0:
            self.counts["came back before their removal was durable"] += 1
        ticket.owner = owner
        ticket.held = True
        _check_is_one_job(handle, ticket)

    def _owner(self, workload: bytes) -> Submission:
        digits = workload.partition(b":")[0]
        assert digits.isdigit(), f"nobody submitted {workload[:80]!r}"
        owner = self.submissions[int(digits)]
        assert workload == owner.workload, f"the workload {digits!r} is damaged"
        return owner

    def finishing(self, handle: bytes) -> None:
        """A worker is about to send the result of a job."""
        self.tickets[handle].finishing = True

    def finished(self, handle: bytes) -> None:
        """A request that a worker sent after a result was answered."""
        self.counts["finished"] += 1
        self._finished[handle] = self._end(handle)

    def _end(self, handle: bytes) -> int:
        ticket = self.tickets[handle]
        ticket.held = ticket.finishing = False
        ticket.finished = self._tick()
        self.open.discard(handle)
        return ticket.finished

    def left(self, handles: set[bytes]) -> None:
        """A worker is about to disconnect with these jobs, without their results."""
        for handle in handles:
            self.counts["left by their worker"] += 1
            self.tickets[handle].held = False

    # -- the server

    def killed(self) -> None:
        """The server was killed."""
        durable = (h for h, end in self._finished.items() if end < self._durable)
        self.counts["removals known to be durable at a kill"] += self._over(durable)

    def stopped(self) -> None:
        """The server has stopped gracefully."""
        self._over(iter(self._finished))

    def _over(self, durable: Iterator[bytes]) -> int:
        before = len(self._gone)
        self._gone.update(durable)
        self._finished.clear()
        for handle, ticket in self.tickets.items():
            if ticket.finishing:
                # Whether or not the server has received the result, the job has run.
                self._end(handle)
            ticket.held = False
        return len(self._gone) - before

    def lost(self) -> list[bytes]:
        """Return the handles that were acknowledged and have not run since."""
        return [
            handle
            for handle, ticket in self.tickets.items()
            if any(
                one.background and ticket.finished < one.sent
                for one in ticket.submissions
            )
        ]


def _check_is_one_job(handle: bytes, ticket: Ticket) -> None:
    """Raise AssertionError if a handle stands for different jobs."""
    alike = {(one.function, one.unique) for one in ticket.submissions}
    owner = ticket.owner
    if owner is not None:
        alike.add((owner.function, owner.unique))
    assert len(alike) == 1, f"{handle!r} names two jobs: {alike}"
    if alike.pop()[1] in ALONE:
        numbers = {one.number for one in ticket.submissions}
        numbers |= {owner.number} if owner else set()
        assert len(numbers) == 1, f"{handle!r} names two jobs: {numbers}"
        assert len(ticket.submissions) < 2, f"{handle!r} was acknowledged twice"
