"""The worker that has jobs passed on, as the broker sees it.

It has functions while the other server is connected, so that the server here does not
seem to have workers when nobody takes the jobs. It takes background jobs only. A job
that it has taken runs, until the other server has accepted it.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from ...options import MAX_VIA, Dead, JobOptions
from ..broker import HIGH, LOW, Broker, Function, Job
from ..broker.constants import AWAKE, ERROR, WOKEN, WORK_FAIL
from ..broker.states import ASSIGNED, GIVEN_UP, GONE, LOST, PASSED_ON, RUNNING
from ..broker.steering.values import dead_of
from ..protocols.interface import Recipient
from .model import Relay
from .packets import via

# So many jobs of a function are taken before it is another one's turn.
SHARE: Final = 16


class Taken(NamedTuple):
    """A job that was taken, and when it expires, in seconds since 1970; 0 is never."""

    job: Job
    expires: float


# Says whether there is room for so many jobs more, with so many bytes.
HasRoom = Callable[[int, int], bool]


class Worker:
    """Takes the jobs of a relay's functions. `me` is the name of this server.

    `wake` is called when there may be jobs, while the broker carries out a verb.
    """

    def __init__(
        self, broker: Broker, relay: Relay, me: bytes, wake: Callable[[], None]
    ) -> None:
        self._broker = broker
        self._relay = relay
        self._me = me
        self._wake = wake
        self._new: list[bytes] = []
        self._connected = False
        # Why it may not have a function, "" if it may.
        self.refusal = ""
        self._peer = Recipient(f"relay:{relay.name}", -1, self._told)
        self._peer.client_id = relay.name.encode()
        broker.connect(self._peer)
        broker.functions.newcomers.append(self)

    def _told(self, command: int, arguments: tuple[bytes, ...]) -> None:
        if command == ERROR:
            self.refusal = arguments[1].decode()
        self._wake()

    # -- functions

    def appeared(self, function: Function) -> None:
        """Note that a function has become known."""
        if self._connected and self._relay.has(function.name):
            self._new.append(function.name)
            self._wake()

    def begin(self) -> None:
        """Have the functions of the relay, since the other server is there."""
        self._connected = True
        self._new = list(filter(self._relay.has, self._broker.functions.known))

    def end(self) -> None:
        """Have no functions, since the other server is gone. Jobs are kept."""
        self._connected = False
        self._new.clear()
        self._broker.workers.reset_abilities(self._peer)

    def leave(self) -> None:
        """Be no worker any more."""
        self._broker.functions.newcomers.remove(self)
        self._broker.disconnect(self._peer)

    def queued(self) -> int:
        """Return how many jobs wait in the queues of its functions."""
        functions = self._broker.functions.known.values()
        counts = [
            sum(queue.count for queue in function.queues)
            for function in functions
            if self._relay.has(function.name)
        ]
        return sum(counts)

    # -- jobs

    def take(self, has_room: HasRoom, without: Collection[bytes]) -> Iterator[Taken]:
        """Take jobs while there is room, of no function in `without`; then sleep.

        It does not sleep if there is no room: then nothing needs to wake it.
        """
        peer = self._peer
        woken, peer.sleep = peer.sleep == WOKEN, AWAKE
        for name in self._new:
            self._broker.workers.can_do(peer, name)
        self._new.clear()
        for priority in range(HIGH, LOW + 1):
            taken = True
            while taken:
                taken = False
                for function in peer.functions.copy():
                    if function.name not in without:
                        for each in self._some(function, priority, has_room):
                            taken = True
                            yield each
        sleepers = self._broker.sleepers
        if has_room(1, 0):
            sleepers.add(peer)
        if woken and sleepers.wakeup:
            sleepers.pass_on(peer.functions)

    def _some(
        self, function: Function, priority: int, has_room: HasRoom
    ) -> Iterator[Taken]:
        queue = function.queues[priority]
        if function.held or not queue.count:
            return
        # If its starts are limited, it may be held after each of them.
        most = SHARE if function.starts is None else 1
        count = size = 0

        def choose(job: Job) -> bool | None:
            nonlocal count, size
            if not self._is_wanted(job):
                return False
            count, size = count + 1, size + len(job.workload)
            return True if count <= most and has_room(count, size) else None

        for job in queue.take(choose):
            expires = job.extra.expires if job.extra is not None else 0.0
            job.worker = self._peer
            self._broker.places.move(job, ASSIGNED, RUNNING)
            if job.timer:
                # Its timeout is about running it.
                self._broker.places.deadlines.stop(job)
            yield Taken(job, max(expires, 0.0))

    def _is_wanted(self, job: Job) -> bool:
        """Whether a job may be passed on.

        Not if a client waits for its result, if there is no packet that says all of it,
        or if it has been here before.
        """
        if not job.background or job.clients or job.reducer is not None:
            return False
        servers = via(job)
        return self._me not in servers and len(servers) < MAX_VIA

    def has(self, job: Job) -> bool:
        """Whether it still has a job, which may have been cancelled."""
        return job.state == RUNNING and job.worker is self._peer

    def accepted(self, job: Job) -> None:
        """End a job that the other server has accepted.

        A client that has joined it meanwhile will never get its result.
        """
        broker = self._broker
        job.function.stats.passed_on += 1
        broker.jobs.forward(job, WORK_FAIL, (job.handle,))
        broker.places.move(job, PASSED_ON, GONE)
        broker.jobs.retire(job)

    def refused(self, job: Job, reason: str) -> None:
        """Give up a job that the other server will never accept.

        It goes to the dead list, unless something else was asked for.
        """
        jobs = self._broker.jobs
        if dead_of(job) is None:
            extra = jobs.extend(job)
            own = extra.options or JobOptions()
            extra.options = replace(own, dead=Dead("list"))
        self._broker.attempts.give_up(job, GIVEN_UP, reason, None)

    def give_back(self, job: Job) -> None:
        """Have a job queued here again."""
        self._broker.jobs.place(job, LOST)

    def settle(self) -> None:
        """Let requests go on that waited for what was done; call this last."""
        self._broker.answers.pay()
