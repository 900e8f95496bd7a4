"""What clients and workers of a cluster saw, and whether it keeps its promises."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """What was seen.

    A client has sent a job; it was acknowledged, or refused. A worker has got a job; it
    has sent its result; the answer to a later request has arrived, so that the server
    has the result. A server says that it owns the jobs.
    """

    SENT = auto()
    CREATED = auto()
    REFUSED = auto()
    STARTED = auto()
    RESULT = auto()
    ENDED = auto()
    OWNER = auto()


@dataclass
class History:
    """Events in their order; a job is named by the number in its workload.

    The third part of an event is how many owners had come when a worker got the job.
    """

    events: list[tuple[Kind, int, int]] = field(default_factory=list)
    owners: int = 0

    def note(self, kind: Kind, job: int = 0, owners: int = 0) -> None:
        self.owners += kind == Kind.OWNER
        self.events.append((kind, job, owners))

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
        for job, owners in self._repeated():
            if not owners:
                yield f"job {job} has run again after its end, with the same owner"

    @property
    def repeated(self) -> int:
        """How many jobs have run again after their end, since the owner changed."""
        return sum(1 for _, owners in self._repeated() if owners)

    def _repeated(self) -> Iterator[tuple[int, int]]:
        """Yield jobs that started after their end.

        With each is how many owners came between the start that led to that end, and
        the new one. An owner may learn late that it is none: it accepts results then.
        """
        ended: dict[int, int] = {}
        for kind, job, owners in self.events:
            if kind == Kind.ENDED:
                ended[job] = owners
            elif kind == Kind.STARTED and job in ended:
                yield job, owners - ended[job]

    def summary(self) -> str:
        counts = Counter(kind for kind, *_ in self.events)
        told = ", ".join(f"{counts[kind]} {kind.name.lower()}" for kind in Kind)
        return f"{told}, {self.repeated} repeated"
