"""What clients and workers of a cluster saw, and whether it keeps its promises."""

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """What was seen.

    A client has sent a job; it was acknowledged, or refused. A worker has got a job; it
    has sent its result; the answer to a later request has arrived, so that the server
    has the result.
    """

    SENT = auto()
    CREATED = auto()
    REFUSED = auto()
    STARTED = auto()
    RESULT = auto()
    ENDED = auto()


@dataclass
class History:
    """Events in their order; a job is named by the number in its workload.

    The third part of an event is when the worker has got the job, in seconds since the
    epoch. `shards` are those of the jobs, and `changes` are the times at which a shard
    has got another owner.
    """

    events: list[tuple[Kind, int, float]] = field(default_factory=list)
    shards: dict[int, int] = field(default_factory=dict)
    changes: dict[int, list[float]] = field(default_factory=dict)

    def note(self, kind: Kind, job: int, started: float = 0.0) -> None:
        self.events.append((kind, job, started))

    def start(self, job: int, handle: bytes) -> float:
        """Note that a worker has got a job, and return the time."""
        self.shards[job] = int(handle.rpartition(b":")[2]) % 64
        now = time.time()
        self.note(Kind.STARTED, job, now)
        return now

    def change(self, changes: Iterable[tuple[int, float]]) -> None:
        """Note when shards have got other owners."""
        for shard, when in sorted(changes):
            self.changes.setdefault(shard, []).append(when)

    def count(self, kind: Kind) -> int:
        return sum(each[0] == kind for each in self.events)

    def jobs(self, *kinds: Kind) -> set[int]:
        return {job for kind, job, _ in self.events if kind in kinds}

    def broken(self) -> Iterator[str]:
        """Yield a sentence for each broken promise, when all jobs should have ended."""
        lost = self.jobs(Kind.CREATED) - self.jobs(Kind.RESULT)
        yield from (f"job {job} was acknowledged, and is lost" for job in sorted(lost))
        invented = self.jobs(Kind.STARTED) - self.jobs(Kind.SENT)
        yield from (f"job {job} was never submitted" for job in sorted(invented))
        for job, changed in self._repeated():
            if not changed:
                yield f"job {job} has run again after its end, with the same owner"

    @property
    def repeated(self) -> int:
        """How many jobs have run again after their end, since the owner changed."""
        return sum(1 for _, changed in self._repeated() if changed)

    def _repeated(self) -> Iterator[tuple[int, bool]]:
        """Yield jobs that started after their end.

        With each is whether its shard has got another owner between the start that led
        to that end, and the new one. An owner may learn late that it is none: it
        accepts results then.
        """
        ended: dict[int, float] = {}
        for kind, job, started in self.events:
            if kind == Kind.ENDED:
                ended[job] = started
            elif kind == Kind.STARTED and job in ended:
                times = self.changes.get(self.shards.get(job, 0), [])
                before, after = (bisect_right(times, t) for t in (ended[job], started))
                yield job, before < after

    def summary(self) -> str:
        counts = Counter(kind for kind, *_ in self.events)
        told = ", ".join(f"{counts[kind]} {kind.name.lower()}" for kind in Kind)
        changes = sum(map(len, self.changes.values()))
        return f"{told}, {self.repeated} repeated, {changes} changes of shards"
