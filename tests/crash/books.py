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
- A failed attempt counts when the answer to a later request of its worker has arrived,
  and is durable as a removal is. So of each job two numbers are known: how many of its
  attempts have certainly failed, and how many may have. A job with too many certain
  ones has ended: it is dead, or it has become the job of another function.
- The result of a job whose removal is durable is kept until its time is over. So is a
  result that a client was told as kept.
- A job of a schedule whose run was noted (see plugins/crash_server.py) is the only one
  of its schedule and time.
- A policy that was set is durable as a removal is.
"""

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

from .plans import HEIR, PLAIN, POLICIES, RUN, SCHEDULED, Plan
from .records import fields_of

# A schedule and the time of one of its runs.
Run = tuple[bytes, float]

# With these uniques, each submission is a job of its own.
ALONE = (b"", b"-")


@dataclass(slots=True)
class Submission:
    """A job as it is submitted; `when` is 0 for immediately.

    `wall` is the time at which it was submitted at the earliest, and `latest` the one
    at which it was known to be accepted, in seconds since the epoch.
    """

    number: int
    sent: int
    function: bytes
    unique: bytes
    size: int
    when: float = 0
    background: bool = True
    plan: Plan = PLAIN
    with_options: bool = False
    wall: float = field(default_factory=time.time)
    latest: float = 0.0

    @property
    def workload(self) -> bytes:
        """Return `size` bytes that are unique to this submission."""
        head = b"%d:" % self.number
        return (head * (self.size // len(head) + 1))[: max(self.size, len(head))]


@dataclass(slots=True)
class Attempt:
    """How a worker has reported that it is through with a job.

    If it failed, `counts` says whether that counts as an attempt.
    """

    result: bytes | None = None
    counts: bool = True
    pause: float = 0.0
    wall: float = field(default_factory=time.time)


@dataclass(slots=True)
class Setting:
    """A policy that was set, and the number of the entry at which that was confirmed.

    It is `durable` if the store has it, or a later one of its function.
    """

    text: bytes
    confirmed: int = -1
    durable: bool = False


@dataclass(slots=True)
class Ticket:
    """The record of a handle.

    At least `certain` attempts had failed when the server started, as the store knows,
    and those with the numbers `failures` since then. At most `reported` have failed.
    """

    submissions: list[Submission] = field(default_factory=list)
    # The submission whose workload was assigned.
    owner: Submission | None = None
    held: bool = False
    # What a worker has sent as its result, if it has no answer to a later request.
    finishing: Attempt | None = None
    # Whether the function that got what another gave up was told to run it.
    inherited: bool = False
    # The number of the entry at which it was finished at the latest.
    finished: int = -1
    certain: int = 0
    failures: list[int] = field(default_factory=list)
    reported: int = 0
    # No worker may have it before this time. The server may forget this at a kill.
    due: float = 0.0
    # Results that were sent, with the times until which they must be kept; and the one
    # that is known to be kept.
    results: dict[bytes, float] = field(default_factory=dict)
    kept: bytes | None = None
    last: bytes | None = None

    @property
    def plan(self) -> Plan:
        """What is to become of it. Jobs of one handle have the same plan."""
        one = self.owner or self.submissions[0]
        return one.plan

    @property
    def failed(self) -> int:
        """How many of its attempts have certainly failed."""
        return self.certain + len(self.failures)

    @property
    def used_up(self) -> bool:
        """Whether the job has certainly failed too often."""
        return self.failed > self.plan.retries

    @property
    def may_be_used_up(self) -> bool:
        return self.reported > self.plan.retries

    @property
    def may_be_over(self) -> bool:
        """Whether it may have ended by its failures; what is handed over goes on."""
        return self.inherited or (self.may_be_used_up and self.plan.dead != "function")

    def expired(self, now: float) -> bool:
        """Whether its time to live may be over."""
        plan = self.plan
        first = min(one.wall for one in (self.owner, *self.submissions) if one)
        return plan.ttl > 0 and now > first + plan.delay + plan.ttl - SLACK

    def may_have_ended(self, now: float) -> bool:
        """Whether the server may have ended it, at any time up to now."""
        if self.finished >= 0 or self.may_be_used_up or self.expired(now):
            return True
        return self.finishing is not None and self.finishing.result is not None

    def keeps(self, now: float) -> bool:
        """Whether its result must be there."""
        return self.kept is not None and now < self.results[self.kept] - SLACK


# Seconds that a turn of the server may take. What happens in a turn has the time of its
# beginning.
SLACK = 0.2

# Seconds after which a job whose time to live is over must not start.
LATE = 10.0


class Books:
    """Entries in their order. Raises AssertionError if one is not allowed."""

    def __init__(self, diary: Path | None = None) -> None:
        self.clock = 0
        self.submissions: list[Submission] = []
        self.tickets: dict[bytes, Ticket] = {}
        self.counts: Counter[str] = Counter()
        # Handles that no process may assign any longer, and those that this one may
        # not; and up to when removals of this process are durable.
        self.gone: set[bytes] = set()
        self._finished: dict[bytes, int] = {}
        self._durable = 0
        # Handles that were acknowledged and have not run since.
        self.open: set[bytes] = set()
        self._mortal: set[bytes] = set()
        # The policies that were set, by function.
        self._settings: dict[bytes, list[Setting]] = {}
        # Handles whose results should be asked for, and asked for again.
        self.ending: deque[bytes] = deque(maxlen=10)
        self.interesting: deque[bytes] = deque(maxlen=200)
        # Handles of dead jobs that must be in the store.
        self.dead: set[bytes] = set()
        # The file with the runs of schedules, and how much of it was read; the run that
        # a handle stands for by now; and the handles of the runs that are there.
        self._diary = diary
        self._read = 0
        self._run_of: dict[bytes, Run] = {}
        self.runs: dict[Run, bytes] = {}

    def _tick(self) -> int:
        self.clock += 1
        return self.clock

    # -- clients

    def submit(
        self,
        function: bytes,
        unique: bytes,
        size: int,
        when: float = 0,
        *,
        background: bool = True,
        plan: Plan = PLAIN,
        with_options: bool = False,
    ) -> Submission:
        """Record a submission that is about to be sent."""
        number, sent = len(self.submissions), self._tick()
        made = Submission(number, sent, function, unique, size, when, background)
        made.plan = plan
        made.with_options = with_options
        if plan.delay:
            made.when = made.wall + plan.delay - SLACK
        self.submissions.append(made)
        self.counts["submitted"] += 1
        return made

    def acknowledged(self, submission: Submission, handle: bytes) -> None:
        """A submission was answered by JOB_CREATED."""
        self._tick()
        submission.latest = time.time()
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
            if submission.plan.ttl:
                self._mortal.add(handle)

    def bury(self) -> None:
        """Let the jobs whose time to live is over be no longer open."""
        now = time.time()
        over = {each for each in self._mortal if self.tickets[each].expired(now)}
        self.counts["times to live that are over"] += len(over)
        self._mortal -= over
        self.open -= over

    def refused(self, submission: Submission) -> None:
        """A submission was answered by ERROR."""
        self._tick()
        self.counts["refused"] += 1

    def told(self, handle: bytes, state: bytes, data: bytes, asked: float) -> None:
        """An acknowledged background job has this state, as the server says.

        It was asked at `asked`, in seconds since the epoch.
        """
        self._tick()
        self.counts[f"told {state.decode()}"] += 1
        ticket, now = self.tickets[handle], time.time()
        if state == b"done":
            assert data in ticket.results, f"{handle!r} has a strange result: {data!r}"
            if ticket.keeps(now):
                assert data == ticket.kept, f"{handle!r} has got another result"
            assert asked < ticket.results[data] + LATE, f"{handle!r} is kept too long"
            ticket.kept = data
            self.interesting.append(handle)
            return
        assert not ticket.keeps(now), f"the result of {handle!r} was lost: {state!r}"
        if state in (b"waiting", b"running"):
            assert handle not in self.gone, f"{handle!r} came back: it is {state!r}"
        elif state == b"unknown":
            assert ticket.may_have_ended(now), f"{handle!r} was lost"
        else:
            assert ticket.may_be_used_up or ticket.expired(now), (handle, state)
            assert ticket.plan.keep or ticket.plan.dead == "list", handle

    def watched(self, handle: bytes, name: str, data: bytes) -> None:
        """Somebody who watches a job was told its end."""
        self._tick()
        self.counts[f"watched until {name}"] += 1
        ticket = self.tickets[handle]
        if name == "WORK_COMPLETE":
            assert data in ticket.results, f"{handle!r} has a strange result: {data!r}"
        else:
            now = time.time()
            assert not ticket.keeps(now), f"the result of {handle!r} was lost: {name}"
            assert ticket.may_have_ended(now), f"{handle!r} was lost: {name}"

    # -- workers

    def assigned(
        self, handle: bytes, function: bytes, unique: bytes, workload: bytes, now: float
    ) -> None:
        """A worker was assigned a job, at this time since the epoch."""
        self._tick()
        self.counts["assigned"] += 1
        ticket = self.tickets.setdefault(handle, Ticket())
        assert handle not in self.gone, f"{handle!r} came back"
        assert handle not in self._finished, f"{handle!r} was assigned when finished"
        if ticket.finishing is not None and ticket.finishing.result is None:
            # The server has received that the attempt has failed.
            self.finished(handle)
        assert not ticket.held, f"{handle!r} was assigned twice"
        owner = self.run(handle) if workload == RUN else self._owner(workload)
        assert ticket.owner in (None, owner), f"{handle!r} has two workloads"
        assert now >= owner.when, f"{handle!r} was assigned before its time"
        assert now >= ticket.due - SLACK, f"{handle!r} was tried again before its time"
        if ticket.finished >= 0:
            self.counts["came back before their removal was durable"] += 1
        first, ticket.owner = ticket.owner is None, owner
        ticket.held = True
        ticket.last = None
        ticket.inherited = function != owner.function
        assert unique == owner.unique, handle
        if ticket.inherited:
            assert (function, owner.plan.dead) == (HEIR, "function"), handle
            given_up = ticket.may_be_used_up or ticket.expired(now)
            assert given_up, f"{handle!r} was given up too early"
            self.counts["handed over"] += 1
        else:
            assert not ticket.used_up, f"{handle!r} has failed too often to run again"
        if first and not ticket.inherited and owner.plan.ttl and owner.latest:
            late = owner.latest + owner.plan.delay + owner.plan.ttl + LATE
            assert now < late, f"{handle!r} was started after its time to live"
        if owner.plan.after:
            self.counts["assigned after others"] += 1
            before = self.tickets[owner.plan.after]
            assert before.may_have_ended(now), f"{handle!r} did not wait for another"
        _check_is_one_job(handle, ticket)

    def _owner(self, workload: bytes) -> Submission:
        digits = workload.partition(b":")[0]
        assert digits.isdigit(), f"nobody submitted {workload[:80]!r}"
        owner = self.submissions[int(digits)]
        assert workload == owner.workload, f"the workload {digits!r} is damaged"
        return owner

    def run(self, handle: bytes) -> Submission:
        """Return what stands for a submission of the run that has this handle."""
        ticket = self.tickets.setdefault(handle, Ticket())
        if ticket.owner is not None:
            return ticket.owner
        self._read_diary()
        run = self._run_of[handle]
        known = self.runs.setdefault(run, handle)
        assert known == handle, f"{run} has the jobs {known!r} and {handle!r}"
        self.counts["runs of schedules"] += 1
        made = self.submit(function := SCHEDULED[run[0]], b"", 0)
        made.plan = POLICIES.get(function, PLAIN)
        ticket.owner = made
        if ticket.finished < 0:
            ticket.submissions.append(made)
            self.open.add(handle)
        return made

    def _read_diary(self) -> None:
        assert self._diary is not None
        with self._diary.open("rb") as file:
            file.seek(self._read)
            news = file.read().rpartition(b"\n")[0]
        self._read += len(news) + bool(news)
        for line in news.splitlines():
            handle, _, extra = line.partition(b" ")
            fields = fields_of(extra)
            self._run_of[handle] = fields[b"schedule"], float(fields[b"run"])

    def finishing(self, handle: bytes, attempt: Attempt | None = None) -> None:
        """A worker is about to report that it is through with a job."""
        ticket = self.tickets[handle]
        attempt = attempt or Attempt(b"done")
        ticket.finishing = attempt
        if attempt.result is None:
            ticket.reported += attempt.counts
        elif ticket.plan.keep and not ticket.inherited:
            ticket.results[attempt.result] = attempt.wall + ticket.plan.keep
            if handle in self.open:
                self.ending.append(handle)
        else:
            ticket.results[attempt.result] = 0.0

    def finished(self, handle: bytes, attempt: Attempt | None = None) -> None:
        """A request that a worker sent after such a report was answered."""
        ticket = self.tickets[handle]
        attempt = attempt or ticket.finishing
        if attempt is None or ticket.finishing is not attempt:
            # It was noticed before that the server has received it.
            return
        ticket.finishing = None
        self.counts["finished"] += 1
        if attempt.result is not None:
            if ticket.plan.keep:
                ticket.last = attempt.result
            self._finished[handle] = self._end(handle)
        else:
            self._failed(handle, ticket, attempt)

    def _failed(self, handle: bytes, ticket: Ticket, attempt: Attempt) -> None:
        """Record that an attempt has failed, or that a job was given back."""
        if ticket.inherited and attempt.counts:
            self._finished[handle] = self._end(handle)
            return
        self.counts["failed"] += attempt.counts
        if attempt.counts:
            ticket.failures.append(self._tick())
        ticket.held = False
        if not ticket.used_up or not attempt.counts:
            if attempt.counts and ticket.may_be_over:
                # The server may count more attempts.
                self._end(handle)
            elif not (attempt.counts and ticket.may_be_used_up):
                ticket.due = attempt.wall + attempt.pause
        elif ticket.plan.dead != "function":
            self._finished[handle] = self._end(handle)

    def _end(self, handle: bytes) -> int:
        ticket = self.tickets[handle]
        ticket.held = False
        ticket.finishing = None
        ticket.finished = self._tick()
        self.open.discard(handle)
        return ticket.finished

    def left(self, handles: set[bytes]) -> None:
        """A worker is about to disconnect with these jobs, without their results."""
        for handle in handles:
            self.counts["left by their worker"] += 1
            self.tickets[handle].held = False

    # -- policies

    def setting(self, function: bytes, text: bytes) -> Setting:
        """Record that a policy is about to be set."""
        made = Setting(text)
        self._settings.setdefault(function, []).append(made)
        return made

    def was_set(self, setting: Setting) -> None:
        self.counts["policies set"] += 1
        setting.confirmed = self._tick()

    def policies(self) -> dict[bytes, tuple[list[bytes], bool]]:
        """Return by function which policies it may have, and whether it has one."""
        found = {}
        for name, settings in self._settings.items():
            last = max((n for n, one in enumerate(settings) if one.durable), default=-1)
            texts = [one.text for one in settings[max(last, 0) :]]
            found[name] = texts, last >= 0
        return found

    def policy_is(self, function: bytes, text: bytes) -> None:
        """A function has this policy, and none was set."""
        allowed, _ = self.policies().get(function, ([text], False))
        assert text in allowed, f"{function!r} has got another policy: {text!r}"

    # -- the server

    def killed(self) -> None:
        """The server was killed."""
        count = self._over(self._durable)
        self.counts["removals known to be durable at a kill"] += count

    def stopped(self) -> None:
        """The server has stopped gracefully."""
        self._over(self.clock + 1)

    def _over(self, durable: int) -> int:
        """End a process; all that happened before `durable` is in the store."""
        before = len(self.gone)
        for handle, end in self._finished.items():
            if end < durable:
                self._over_for_good(handle, self.tickets[handle])
        self._finished.clear()
        for settings in self._settings.values():
            for setting in settings:
                setting.durable |= 0 <= setting.confirmed < durable
                setting.confirmed = -1
        for handle, ticket in self.tickets.items():
            ticket.certain += sum(each < durable for each in ticket.failures)
            ticket.failures.clear()
            ticket.due = 0.0
            attempt, ticket.finishing = ticket.finishing, None
            ticket.held = False
            if attempt is None:
                continue
            if attempt.result is not None or (attempt.counts and ticket.may_be_over):
                # Whether or not the server has received this, the job may have ended.
                self._end(handle)
        return len(self.gone) - before

    def _over_for_good(self, handle: bytes, ticket: Ticket) -> None:
        self.gone.add(handle)
        wanted = any(one.background for one in ticket.submissions)
        if ticket.last is not None:
            if wanted:
                ticket.kept = ticket.last
                self.counts["results known to be durable"] += 1
                self.interesting.append(handle)
        elif ticket.used_up and ticket.plan.dead == "list" and wanted:
            self.counts["deaths known to be durable"] += 1
            self.dead.add(handle)

    def lost(self) -> list[bytes]:
        """Return the handles that were acknowledged and have not run since."""
        now = time.time()
        return [
            handle
            for handle, ticket in self.tickets.items()
            if any(
                one.background and ticket.finished < one.sent
                for one in ticket.submissions
            )
            and not ticket.expired(now)
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
