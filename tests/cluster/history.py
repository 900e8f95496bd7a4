"""What the clients, workers, servers and the database of a cluster tell of its past.

All times are in seconds since the epoch, by the clock of this process, which is that of
the database, too. A time that never came is inf. A server is named by the port of its
address in the cluster, which no other server had before.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf

NOBODY = 0

# When something began, and when it had ended.
Time = tuple[float, float]


class Answer(Enum):
    """What became of a foreground job: its result or its failure has come, or the
    connection was lost.
    """

    RESULT = auto()
    FAIL = auto()
    LOST = auto()


@dataclass
class Submission:
    """A job that a client has sent; `job` is the number in its workload.

    It was acknowledged with a handle, or refused. The client of a foreground job got
    an answer, a result is the number of the run.
    """

    job: int
    server: int
    sent: float
    unique: bytes = b""
    background: bool = True
    handle: bytes = b""
    created: float = inf
    refused: bool = False
    answer: Answer | None = None
    answered: float = inf
    result: int = 0


@dataclass
class Run:
    """A worker got a job; it has sent its result; and it got the answer to a later
    request (`ended`), so that its server has the result.
    """

    number: int
    job: int
    handle: bytes
    server: int
    started: float
    result: float = inf
    ended: float = inf


@dataclass(frozen=True)
class Change:
    """A shard has got another owner."""

    at: float
    owner: int


@dataclass(frozen=True)
class Outage:
    """A server had no link to another one."""

    server: int
    other: int
    begin: float
    end: float


@dataclass
class History:
    """`changes` are those of a shard, in their order. `gone` says when a server was no
    member any more, `pauses` from when to when it stood still, `slow` when links to it
    were slow, and `drains` since when it was to drain. `strays` are answers that nobody
    waited for.
    """

    submissions: dict[int, Submission] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    changes: dict[int, list[Change]] = field(default_factory=dict)
    gone: dict[int, list[float]] = field(default_factory=dict)
    outages: list[Outage] = field(default_factory=list)
    pauses: dict[int, list[Time]] = field(default_factory=dict)
    slow: dict[int, list[Time]] = field(default_factory=dict)
    drains: dict[int, float] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)
    # When the process of a server has ended.
    ends_of_servers: dict[int, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    # How many runs have ended.
    ends: int = 0

    # -- clients

    def sent(self, server: int, unique: bytes, background: bool) -> Submission:
        """Note that a client sends a job; it has a new number."""
        job = len(self.submissions) + 1
        made = Submission(job, server, self.clock(), unique, background)
        self.submissions[job] = made
        return made

    def created(self, submission: Submission, handle: bytes) -> None:
        submission.handle = handle
        submission.created = self.clock()

    def answer(self, submission: Submission, answer: Answer, data: bytes = b"") -> None:
        submission.answer = answer
        submission.answered = self.clock()
        submission.result = int(data or b"0")

    # -- workers

    def started(self, server: int, job: int, handle: bytes) -> Run:
        run = Run(len(self.runs) + 1, job, handle, server, self.clock())
        self.runs.append(run)
        return run

    def result(self, run: Run) -> None:
        run.result = self.clock()

    def ended(self, run: Run) -> None:
        run.ended = self.clock()
        self.ends += 1

    # -- servers and the database

    def change(self, changes: Iterable[tuple[int, float, int]]) -> None:
        """Note when shards have got which owners."""
        for shard, at, owner in sorted(changes):
            self.changes.setdefault(shard, []).append(Change(at, owner))

    def leave(self, departures: Iterable[tuple[int, float]]) -> None:
        """Note which servers are no members any more since when."""
        for server, at in departures:
            self.gone.setdefault(server, []).append(at)

    def link(self, server: int, told: Iterable[tuple[float, int, bool]]) -> None:
        """Note when a server has told that its links to others were up, or lost.

        When one of both servers has ended, no link is missing.
        """
        lost: dict[int, float] = {}
        for at, other, up in told:
            if not up:
                lost[other] = at
            elif other in lost:
                self.outages.append(Outage(server, other, lost.pop(other), at))
        ends = self.ends_of_servers
        for other, at in lost.items():
            end = min(ends.get(server, inf), ends.get(other, inf))
            self.outages.append(Outage(server, other, at, max(at, end)))

    def about(self, jobs: Iterable[int]) -> str:
        """Return all that is known of some jobs, and of their shards."""
        told = [self.submissions[job] for job in jobs if job in self.submissions]
        handles = {it.handle for it in told}
        runs = [run for run in self.runs if run.job in jobs or run.handle in handles]
        shards = {int(run.handle.rpartition(b":")[2]) % 64 for run in runs}
        changes = [f"{shard}: {self.changes.get(shard)}" for shard in shards]
        return "\n".join([*map(str, told), *map(str, runs), *changes])

    def summary(self) -> str:
        submissions = self.submissions.values()
        created = [each for each in submissions if each.created < inf]
        background = [each for each in created if each.background]
        uniques = [each for each in created if each.unique]
        counts = {
            "sent": len(submissions),
            "stored": len(background),
            "refused": sum(each.refused for each in submissions),
            "foreground results": self._answers(Answer.RESULT),
            "failures": self._answers(Answer.FAIL),
            "lost connections": self._answers(Answer.LOST),
            "joined by uniques": len(uniques) - len({each.handle for each in uniques}),
            "runs": len(self.runs),
            "changes of shards": sum(map(len, self.changes.values())),
            "lost links": len(self.outages),
        }
        return ", ".join(f"{count} {name}" for name, count in counts.items())

    def _answers(self, kind: Answer) -> int:
        return sum(each.answer is kind for each in self.submissions.values())
