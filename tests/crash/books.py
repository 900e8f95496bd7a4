"""Books on what a server was told and what it said, to be kept outside of it.

What can be known from outside, where several connections are used at once, is an
order: each entry has a number, and what a peer sends gets its number before it is
sent, what it receives after it has come. So the books never claim more than what is
certain:

- A job was taken off the server's hands when the answer to a later request of the
  same worker has come. No handle of such a job may be assigned again by this process.
- Its removal is durable when a job was acknowledged that was submitted after that,
  and was no repetition of another one: changes are committed in their order. So is
  the removal of all such jobs when the server was stopped in good order. No handle of
  those may be assigned ever again.
- A submission that is acknowledged by the handle of another one with the same unique
  must be followed by a run of that job, unless that was taken off the server's hands
  before the submission was sent.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

# Uniques for which a submission is a job of its own.
ALONE = (b"", b"-")


@dataclass(slots=True)
class Submission:
    """A job as it is submitted; `when` is 0 for at once."""

    number: int
    sent: int
    function: bytes
    unique: bytes
    size: int
    when: int = 0
    background: bool = True

    @property
    def workload(self) -> bytes:
        """Return so many bytes, which no other submission has."""
        head = b"%d:" % self.number
        return (head * (self.size // len(head) + 1))[: max(self.size, len(head))]


@dataclass(slots=True)
class Ticket:
    """What is known of a handle."""

    submissions: list[Submission] = field(default_factory=list)
    # The one whose workload was assigned.
    owner: Submission | None = None
    held: bool = False
    # Whether a worker has sent its result, but has no answer to anything sent later.
    finishing: bool = False
    # When it was last certainly, or at the latest, taken off the server's hands.
    finished: int = -1


class Books:
    """Entries, in their order. Raises AssertionError at an entry that may not be."""

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
        # Handles that are acknowledged and have not been run since.
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
        """Return what is going to be submitted."""
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
        """A worker was given a job, at this time since the epoch."""
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
        """Something that a worker sent after a result was answered."""
        self.counts["finished"] += 1
        self._finished[handle] = self._end(handle)

    def _end(self, handle: bytes) -> int:
        ticket = self.tickets[handle]
        ticket.held = ticket.finishing = False
        ticket.finished = self._tick()
        self.open.discard(handle)
        return ticket.finished

    def left(self, handles: set[bytes]) -> None:
        """A worker is about to leave with these jobs, of which it sent no results."""
        for handle in handles:
            self.counts["left by their worker"] += 1
            self.tickets[handle].held = False

    # -- the server

    def killed(self) -> None:
        """The server is gone, without a chance to do anything about it."""
        durable = (h for h, end in self._finished.items() if end < self._durable)
        self.counts["removals known to be durable at a kill"] += self._over(durable)

    def stopped(self) -> None:
        """The server is gone, and has said that all is in order."""
        self._over(iter(self._finished))

    def _over(self, durable: Iterator[bytes]) -> int:
        before = len(self._gone)
        self._gone.update(durable)
        self._finished.clear()
        for handle, ticket in self.tickets.items():
            if ticket.finishing:
                # Whether or not the server has learned of it: the job was run.
                self._end(handle)
            ticket.held = False
        return len(self._gone) - before

    def lost(self) -> list[bytes]:
        """Return the handles that were acknowledged and not run since."""
        return [
            handle
            for handle, ticket in self.tickets.items()
            if any(
                one.background and ticket.finished < one.sent
                for one in ticket.submissions
            )
        ]


def _check_is_one_job(handle: bytes, ticket: Ticket) -> None:
    """Raise AssertionError if a handle stands for more than repetitions of one job."""
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
