"""When a worker that runs several jobs at once sleeps, and when it asks for jobs.

A connection of the worker sleeps until the server sends NOOP. Then it asks for a job
(GRAB_JOB), for more of them at once as long as it gets some, and sleeps again
(PRE_SLEEP) after NO_JOB:

    asleep -> (NOOP) -> awake -> (GRAB_JOB) ... (NO_JOB for the last one) -> asleep

All connections share the slots of the worker: a slot is taken by a job that runs, and
by a GRAB_JOB that is not answered. If a server does not answer in time, the slots are
released for other servers; a job that comes later runs all the same.
"""

from ..errors import InvalidWorkerState


class Slots:
    """How many more jobs a worker may have. It is less than 0 after late jobs."""

    __slots__ = ("free",)

    def __init__(self, count: int) -> None:
        self.free = count


class Grabbing:
    """What one connection asks for; it may have `most` jobs at once."""

    __slots__ = ("_allowed", "_reserved", "_slots", "awake", "most", "owed", "running")

    def __init__(self, slots: Slots, most: int) -> None:
        self._slots = slots
        self.most = most
        self.awake = False
        self.running = 0
        # Grabs that are not answered, and how many of them have a slot.
        self.owed = 0
        self._reserved = 0
        # How many grabs may be unanswered. It grows while there are jobs.
        self._allowed = 1

    def may_grab(self) -> bool:
        """Whether a job should be asked for, if there is a free slot."""
        return (
            self.awake
            and self.owed < self._allowed
            and self.running + self.owed < self.most
        )

    @property
    def awaits(self) -> bool:
        """Whether slots are taken by grabs that are not answered."""
        return self._reserved > 0

    def grab(self) -> None:
        """GRAB_JOB is sent: take a slot for the job."""
        self.owed += 1
        self._reserved += 1
        self._slots.free -= 1

    def lose_patience(self) -> None:
        """Release the slots of unanswered grabs, and ask for nothing until NOOP."""
        self._slots.free += self._reserved
        self._reserved = 0
        self.awake = False

    def ended(self) -> None:
        """A job has ended."""
        self.running -= 1
        self._slots.free += 1

    def lost(self) -> None:
        """The connection is lost. Its jobs still have their slots until they end."""
        self.lose_patience()
        self.owed = 0

    # Packets from the server.

    def noop(self) -> None:
        """NOOP: there may be jobs."""
        self.awake = True

    def no_job(self) -> bool:
        """NO_JOB: return whether to sleep, as this was the last answer."""
        self._allowed = 1
        self.awake = False
        self.owed = max(0, self.owed - 1)
        if self._reserved:
            self._reserved -= 1
            self._slots.free += 1
        return self.owed == 0

    def refused(self) -> bool:
        """ERROR: return whether to sleep, as this may be the answer to a grab."""
        awaits = self.awaits
        if awaits:
            self.lose_patience()
        return awaits

    def assigned(self) -> None:
        """JOB_ASSIGN: raises InvalidWorkerState if no job was asked for."""
        if not self.owed:
            raise InvalidWorkerState("Received a job when we weren't expecting one")
        self.owed -= 1
        self.running += 1
        self.awake = True
        self._allowed = min(2 * self._allowed, self.most)
        if self._reserved:
            self._reserved -= 1
        else:
            self._slots.free -= 1
