"""Jobs of shards that this server takes over which run at other servers already."""

from collections.abc import Callable
from math import inf

from ..constants import LINK_ADOPT, LINK_RUNNING, LINK_RUNS
from ..model import Job
from ..places import Places
from .borrowing import Borrowing
from .lending import Lending
from .remote import Remote
from .routes import Routes

# Servers that have not answered after so many seconds run none of the jobs.
PATIENCE = 1.0


class TakingOver:
    """Finds the jobs that run elsewhere. `first` is when to call `expire`."""

    def __init__(
        self, places: Places, routes: Routes, lending: Lending, borrowing: Borrowing
    ) -> None:
        self.first = inf
        self._places = places
        self._routes = routes
        self._lending = lending
        self._borrowing = borrowing
        # Where jobs run that are not loaded yet.
        self._running: dict[bytes, Remote] = {}
        # The servers that have not answered, and what to do when all have.
        self._asked: dict[Remote, None] = {}
        self._when_told: Callable[[], None] | None = None

    def ask(self, shards: frozenset[int], then: Callable[[], None]) -> None:
        """Ask the others which jobs of these shards they run, before these are loaded.

        `then` is called when all have answered, or after a second; it may be at once.
        Jobs that are loaded afterwards run where they were said to run.
        """
        self._when_told = then
        # What is left of an earlier time are jobs that were not stored.
        self._running.clear()
        self._asked = dict.fromkeys(self._routes.linked())
        self.first = self._places.now + PATIENCE
        text = b" ".join(b"%d" % shard for shard in sorted(shards))
        for remote in list(self._asked):
            remote.request(LINK_RUNNING, (text,))
        if not self._asked:
            self.all_told()

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
        """Note that a server has answered, or that its link is broken."""
        if remote in self._asked:
            del self._asked[remote]
            if not self._asked:
                self.all_told()

    def all_told(self) -> None:
        """Go on, without those that have not answered."""
        self._asked.clear()
        self.first = inf
        then, self._when_told = self._when_told, None
        assert then is not None  # noqa: S101
        then()

    def adopt(self, job: Job) -> bool:
        """Let a job that was loaded run where it runs; return whether it does."""
        remote = self._running.pop(job.handle, None) if self._running else None
        if remote is None or remote.peer is None:
            return False
        if job.function.name not in remote.worker.abilities:
            return False
        self._lending.adopt(remote, job)
        remote.request(LINK_ADOPT, (job.handle,))
        return True

    def adopted(self, remote: Remote, handle: bytes) -> None:
        """Note that a server is the new owner of a job that runs here."""
        self._borrowing.adopted(remote, handle, list(self._routes.remotes.values()))
