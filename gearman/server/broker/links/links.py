"""The links of this server to the other ones of its cluster, as the broker sees them.

`up` and `down` say which links there are, `own` which server owns which shard. The
broker calls the other methods of `Links` where a job may be elsewhere; the verbs of
the links are also those of its parts.
"""

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from ....errors import OptionError
from ....options import parse_job_options
from ..broker import Broker
from ..constants import ERROR
from ..model import Function, Job, Peer, Receipt
from .away import Away
from .borrowing import Borrowing
from .lending import Lending
from .lookup import Lookup
from .questions import Questions
from .remote import LinkClient, LinkWorker, Pings, Remote, Ticket
from .routes import Routes
from .settings import Settings
from .sharing import Sharing
from .taking_over import TakingOver

if TYPE_CHECKING:
    from ....options import JobOptions

# A server without a link may be about to come back: so many seconds after the lease,
# its jobs are taken back, and those that were borrowed from it are dropped.
LINGER = 5.0


class Links:
    """The links of a broker; it sets `broker.links`.

    `lease` is that of the cluster, in seconds.
    """

    def __init__(self, broker: Broker, lease: float) -> None:
        self._broker = broker
        self._lease = lease
        self.routes = Routes()
        self.remotes = self.routes.remotes
        self._by_peer: dict[Peer, Remote] = {}
        # When the first server without a link is given up.
        self._first_gone = inf
        places, jobs, answers = broker.places, broker.jobs, broker.answers
        self.away = Away(
            *(places, jobs, answers, broker.stored),
            *(broker.limits, broker.hits, broker.memory, broker.persistent),
            lambda unique, workload: self.routes.home(unique, workload),
            lambda: broker.outage,
        )
        self.workers = broker.workers
        self.questions = Questions()
        self.lending = Lending(
            broker.functions, places, jobs, broker.workers, broker.losses
        )
        self.borrowing = borrowing = Borrowing(
            broker.functions,
            places,
            jobs,
            broker.losses,
            broker.memory,
            lambda handle: self.away.came_back(handle),
        )
        self.lookup = Lookup(broker, self.routes, self.questions, self.away, borrowing)
        self.taking_over = TakingOver(
            *(places, jobs, broker.losses, broker.workers, self.routes),
            *(self.lending, borrowing, self.away),
        )
        self.settings = Settings(broker, self.routes, self.questions)
        self.sharing = Sharing(broker, self.routes)
        broker.links = places.links = places.starts.links = self
        answers.links = True

    # -- links and owners

    def up(self, peer: Peer, server: int, pings: Pings) -> Remote:
        """Use a connection as the link to a server; its identity is proved."""
        remote = self.remotes.get(server)
        if remote is None:
            broker = self._broker
            remote = Remote(server, broker.jobs, broker.memory)
            self.remotes[server] = remote
        elif remote.peer is not None:
            self.down(remote)
        remote.connect(peer, pings)
        self._by_peer[peer] = remote
        self.routes.look()
        self.borrowing.report(remote)
        self.borrowing.introduce(remote)
        self.settings.look()
        return remote

    def disconnected(self, peer: Peer) -> None:
        """Note that a connection is closed; it may be a link."""
        remote = self._by_peer.get(peer)
        if remote is not None:
            self.down(remote)

    def down(self, remote: Remote) -> None:
        """Note that a link is broken; there may be another one soon."""
        broker, peer = self._broker, remote.peer
        if peer is None:
            return
        del self._by_peer[peer]
        remote.connect(None)
        remote.owner.unlink()
        remote.since = broker.now
        congested = broker.jobs.congested
        ours = (peer, remote.client, remote.worker, remote.owner)
        congested[:] = [
            pair for pair in congested if pair[0] not in ours and pair[1] not in ours
        ]
        self.routes.look()
        self.settings.look()
        remote.client.tokens.clear()
        broker.answers.forget(remote.client)
        broker.jobs.leave(remote.client)
        self.lending.unlink(remote)
        dropped = self.borrowing.unlink(remote)
        self.questions.lost(remote)
        self.sharing.lost(remote)
        self.taking_over.lost(remote)
        self.away.lost(remote, self.borrowing.jobs, dropped)
        self._set_first_gone()
        broker.answers.pay()

    def gone(self, server: int) -> None:
        """Note that a server is no member of the cluster any more."""
        remote = self.remotes.get(server)
        if remote is not None:
            self.down(remote)
            self.lending.settle(remote, set())
            self._broker.answers.pay()

    def abandon(self) -> None:
        """Forget all jobs: see the broker's method."""
        for remote in self.remotes.values():
            remote.tokens.clear()
            remote.away.clear()
            for peer in (remote.client, remote.worker, remote.owner):
                peer.waiting.clear()
                peer.jobs.clear()
        self.away.abandon()
        self.borrowing.abandon()

    def own(self, owners: Sequence[int]) -> None:
        """Set the owner of each shard: the number of a server, 0 if there is none."""
        self.routes.own(owners)
        self.settings.look()

    # -- time

    @property
    def first(self) -> float:
        """When to call `tick`, in seconds of the monotonic clock."""
        first = min(self.questions.first, self.lending.first, self.borrowing.first)
        first = min(first, self._first_gone, self.taking_over.first)
        return min(first, self.sharing.first)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.first > now:
            return
        self.questions.expire(now)
        self.lending.look_again(now)
        self.borrowing.give_up(now)
        self.sharing.tick(now)
        if self._first_gone <= now:
            self._give_up(now)
        if self.taking_over.first <= now:
            self.taking_over.expire(now)
        self._broker.answers.pay()

    def end_turn(self) -> None:
        """Send what is due at the end of a turn, when all jobs are in their places."""
        self.borrowing.ahead.end_turn()
        self.lending.end_turn()

    def _give_up(self, now: float) -> None:
        for remote in list(self.remotes.values()):
            if remote.peer is None and remote.since + self._lease + LINGER <= now:
                self.lending.settle(remote, set())
                self.borrowing.forget(remote)
                del self.remotes[remote.id]
        self._set_first_gone()

    def _set_first_gone(self) -> None:
        times = [each.since for each in self.remotes.values() if each.peer is None]
        self._first_gone = min(times, default=inf) + self._lease + LINGER

    # -- submissions

    def pass_on(
        self,
        peer: Peer,
        function: Function,
        unique: bytes,
        workload: bytes,
        priority: int,
        background: bool,
        when: int,
        reducer: bytes | None,
        receipt: Receipt | None,
        options: "JobOptions | None",
    ) -> bool:
        """Pass a submission on; return False if it is for this server.

        That is so for those of other servers, and those that this server makes itself,
        by schedules or rows of an inbox: their peers are not connected.
        """
        if peer.touched is None:
            return False
        remote = self.routes.home(unique, workload)
        if remote is None:
            return False
        self.away.pass_on(
            remote,
            peer,
            function,
            unique,
            workload,
            priority,
            background,
            when,
            reducer,
            receipt,
            options,
        )
        return True

    def submitted(
        self,
        remote: Remote,
        token: bytes,
        name: bytes,
        unique: bytes,
        fields: bytes,
        reducer: bytes,
        options: bytes,
        workload: bytes,
    ) -> None:
        """Submit a job for another server. Raises ValueError if there is none."""
        priority, bg, when = map(int, fields.split(b" "))
        background = bool(bg)
        found = None
        try:
            if options:
                found = parse_job_options(options)
        except OptionError as error:
            text = str(error).encode()
            return Ticket(remote, token).send(ERROR, (b"INVALID_ARGUMENTS", text))
        peer: Peer = remote.client
        if background:
            peer = Ticket(remote, token)
        else:
            remote.client.tokens.append(token)
        self._broker.submit(
            peer,
            name,
            unique,
            workload,
            priority,
            background,
            when,
            reducer or None,
            None,
            found,
        )
        return None

    def back(self, remote: Remote, handle: bytes, why: bytes) -> None:
        """Take a job back that another server has not done."""
        self.lending.back(remote, handle, why)
        self._broker.answers.pay()

    def settle(self, remote: Remote, handles: bytes) -> None:
        """Take the jobs back that a server, which is linked again, does not run."""
        self.lending.settle(remote, set(handles.split(b" ")))
        self._broker.answers.pay()

    def left(self, remote: Remote, handle: bytes) -> None:
        """Note that nobody at another server waits for a job any more."""
        job = self._broker.jobs.find(handle)
        if job is not None and job in remote.client.waiting:
            remote.client.waiting.discard(job)
            self._broker.jobs.detach(job, remote.client)
            self._broker.answers.pay()

    # -- what the broker tells

    def abandoned(self, job: Job) -> None:
        self.away.abandoned(job)

    def queued(self, function: Function, woken: bool) -> None:
        self.lending.queued(function, woken)

    def released(self, function: Function) -> None:
        """Note that a function may start jobs again."""
        self.borrowing.ask(function)
        if function.borrowers is not None and function.ready():
            self.lending.queued(function, bool(function.sleepers))

    def needs(self, function: Function) -> None:
        self.sharing.needs(function)

    def offers(self, peer: Peer, function: Function) -> None:
        """Note that a worker has registered a function, or has it no more."""
        if not isinstance(peer, LinkWorker):
            self.borrowing.offers(peer, function, self.routes.linked())

    def ended(self, job: Job, worker: Peer) -> None:
        self.borrowing.ended(job, worker)

    def slept(self, peer: Peer) -> None:
        self.borrowing.slept(peer)

    def started(self, job: Job) -> None:
        """Tell those servers that wait for a job that it was started."""
        self.borrowing.started(job)
        clients = job.clients
        if clients is None:
            return
        for client in clients:
            if isinstance(client, LinkClient):
                client.tell_started(job.handle)

    def returned(self, job: Job) -> None:
        self.borrowing.returned(job)

    def lost(self, job: Job) -> None:
        self.borrowing.lost(job)

    def overdue(self, job: Job) -> None:
        self.borrowing.overdue(job)

    def retried(self, job: Job, pause: float, reason: bytes, counts: bool) -> None:
        self.borrowing.retried(job, pause, reason, counts)

    def adopt(self, job: Job) -> bool:
        return self.taking_over.adopt(job)
