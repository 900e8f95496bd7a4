"""Jobs of shards that this server takes over which run already, here or elsewhere."""

from collections.abc import Callable
from math import inf

from ..assignment.losses import Losses
from ..constants import (
    LINK_ADOPT,
    LINK_RUNNING,
    LINK_RUNS,
    WORK_COMPLETE,
    WORK_EXCEPTION,
    WORK_FAIL,
)
from ..jobs import Jobs
from ..making import shard_of
from ..model import Job, joins_of
from ..places import Places
from ..states import ADOPTED, GIVEN_BACK, GONE, RUNNING
from ..workers import Workers
from .away import Away
from .borrowing import Borrowing
from .lending import Lending
from .remote import LinkOwner, Remote
from .routes import Routes

# Servers that have not answered after so many seconds run none of the jobs.
PATIENCE = 1.0


class Ask:
    """Servers that were asked and have not answered, in which time they should.

    `then` is what to do when all have answered; None if that was done, since some of
    them were late.
    """

    __slots__ = ("deadline", "open", "then")

    def __init__(
        self, remotes: list[Remote], deadline: float, then: Callable[[], None]
    ) -> None:
        self.open = dict.fromkeys(remotes)
        self.deadline = deadline
        self.then: Callable[[], None] | None = then


class TakingOver:
    """Finds the jobs that run elsewhere. `first` is when to call `expire`."""

    def __init__(
        self,
        places: Places,
        jobs: Jobs,
        losses: Losses,
        workers: Workers,
        routes: Routes,
        lending: Lending,
        borrowing: Borrowing,
        away: Away,
    ) -> None:
        self.first = inf
        self._places = places
        self._jobs = jobs
        self._losses = losses
        self._workers = workers
        self._routes = routes
        self._lending = lending
        self._borrowing = borrowing
        self._away = away
        # Where jobs run that are not loaded yet.
        self._running: dict[bytes, Remote] = {}
        # Each server answers in the order in which it was asked.
        self._asks: list[Ask] = []

    def ask(self, shards: frozenset[int], then: Callable[[], None]) -> None:
        """Ask the others which jobs of these shards they run, before these are loaded.

        `then` is called when all have answered, or after a second; it may be at once.
        Jobs that are loaded afterwards run where they were said to run.
        """
        # What is left of an earlier time are jobs that were not stored.
        for handle in list(self._running):
            if shard_of(handle) in shards:
                del self._running[handle]
        remotes = self._routes.linked()
        ask = Ask(remotes, self._places.now + PATIENCE, then)
        self._asks.append(ask)
        text = b" ".join(b"%d" % shard for shard in sorted(shards))
        for remote in remotes:
            remote.request(LINK_RUNNING, (text,))
        self._go_on(ask)

    def _go_on(self, ask: Ask) -> None:
        """Forget what all have answered, and do what is to be done then."""
        then = None
        if not ask.open:
            self._asks.remove(ask)
            then, ask.then = ask.then, None
        open_ = [each.deadline for each in self._asks if each.then is not None]
        self.first = min(open_, default=inf)
        if then is not None:
            then()

    def running(self, remote: Remote, shards: bytes) -> None:
        """Tell a server which jobs of its new shards run here."""
        numbers = frozenset(map(int, shards.split()))
        handles = self._borrowing.orphans(
            numbers, remote, list(self._routes.remotes.values())
        )
        remote.respond(LINK_RUNS, (b" ".join(handles),))

    def runs(self, remote: Remote, handles: bytes) -> None:
        """Note which jobs of new shards a server runs."""
        for handle in handles.split(b" ") if handles else ():
            self._running[handle] = remote
        self.told(remote)

    def told(self, remote: Remote) -> None:
        """Note that a server has answered."""
        for ask in self._asks:
            if remote in ask.open:
                del ask.open[remote]
                return self._go_on(ask)
        return None

    def lost(self, remote: Remote) -> None:
        """Note that the link to a server is broken, so that it will not answer."""
        for ask in list(self._asks):
            if remote in ask.open:
                del ask.open[remote]
                self._go_on(ask)

    def expire(self, now: float) -> None:
        """Go on without the servers that have not answered in time."""
        for ask in list(self._asks):
            if ask.then is not None and ask.deadline <= now:
                then, ask.then = ask.then, None
                self._go_on(ask)
                then()

    def adopt(self, job: Job) -> bool:
        """Let a job that was loaded run where it runs; return whether it does."""
        handle = job.handle
        old = self._borrowing.jobs.get(handle) or self._away.back(handle)
        if old is not None:
            return self._replace(old, job)
        for former in self._routes.remotes.values():
            if handle in former.owner.kept:
                return self._end(former, job)
        remote = self._running.pop(handle, None) if self._running else None
        if remote is None or remote.peer is None:
            return False
        if job.function.name not in remote.worker.abilities:
            return False
        self._lending.adopt(remote, job)
        remote.request(LINK_ADOPT, (handle,))
        return True

    def _replace(self, old: Job, job: Job) -> bool:
        """Let a job take the place of what it was here until now.

        That was borrowed from the former owner, or had been passed on to it.
        """
        worker = old.worker
        if worker is not None and job.function.name not in worker.abilities:
            self._losses.dismiss(old)
            worker = None
        for client in list(old.clients or ()):
            if not isinstance(client, LinkOwner):
                for _ in range(joins_of(old, client)):
                    self._jobs.join(job, client)
        self._places.move(old, GIVEN_BACK, GONE)
        self._jobs.retire(old)
        if worker is None:
            return False
        job.worker = worker
        self._places.move(job, ADOPTED, RUNNING)
        return True

    def _end(self, former: Remote, job: Job) -> bool:
        """Let a job end as it did here for its former owner; return whether it did."""
        command, (handle, *data) = former.owner.take(job.handle)[-1]
        if command not in (WORK_COMPLETE, WORK_FAIL, WORK_EXCEPTION):
            return False
        # Its worker may have gone: the former owner stands for it.
        worker, name = former.worker, job.function.name
        worker.abilities[name] = 0.0
        job.worker = worker
        self._places.move(job, ADOPTED, RUNNING)
        del worker.abilities[name]
        if command == WORK_COMPLETE:
            self._workers.complete(worker, handle, data[0])
        elif command == WORK_FAIL:
            self._workers.fail(worker, handle)
        else:
            self._workers.exception(worker, handle, data[0])
        return True

    def adopted(self, remote: Remote, handle: bytes) -> None:
        """Note that a server is the new owner of a job that runs here."""
        self._borrowing.adopted(remote, handle, list(self._routes.remotes.values()))
