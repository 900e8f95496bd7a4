"""The thread that claims the lease of a cluster, and renews it."""

import logging
import threading
import time
from collections.abc import Callable
from math import inf
from typing import Final

from ...errors import QueueError
from ...queue import Claim, Cluster, Holder, Register
from ..settings.levels import NOTICE
from .lease import Claimant, State

# Seconds that the end of the lease may take when the server stops, and for which a
# server stands back that could not take up the jobs.
RELEASE: Final = 5.0
PAUSE: Final = 2.0

log = logging.getLogger("gearman.server")


class Keeper:
    """Claims and renews the lease, in a thread of its own.

    So neither a slow commit nor a long replay lets it run out. `changed` is called in
    that thread whenever `state` or `until` has changed: `until` is the time of the
    monotonic clock until which this server may hand out stored jobs. `claim` is the
    last one.
    """

    def __init__(self, register: Register, cluster: Cluster) -> None:
        self.changed: Callable[[], None] = _ignore
        self.claim: Claim | None = None
        self._register = register
        self._claimant = Claimant(cluster.lease)
        # Protects the claimant, which both threads change. The bell wakes the thread.
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._ending = self._releasing = False
        self._failing = ""
        self._holder: int | None = None
        self._thread = threading.Thread(
            target=self._run, name="gearman-lease", daemon=True
        )

    @property
    def state(self) -> State:
        return self._claimant.state

    @property
    def until(self) -> float:
        return self._claimant.until

    @property
    def stands_by(self) -> bool:
        """Whether another server owns the jobs."""
        return self._holder is not None

    def start(self) -> None:
        self._thread.start()

    def give_up(self, pause: float = 0.0) -> None:
        """Stand by again: this server has no jobs any more.

        With a `pause` in seconds, others have the chance to claim the lease before.
        """
        with self._lock:
            if self.state != State.STANDING_BY:
                self._releasing = self.state != State.LOST
                self._claimant.gave_up(time.monotonic(), pause)
            self._holder = None
        self._bell.set()

    def close(self) -> None:
        """Release the lease, and end the thread. The jobs must be given up before."""
        self._ending = True
        self._bell.set()
        self._thread.join(RELEASE)

    # -- in the thread

    def _run(self) -> None:
        while not self._ending:
            with self._lock:
                delay = self._claimant.delay(time.monotonic())
            if self._releasing:
                self._release()
            elif delay <= 0:
                self._ask()
                self.changed()
            elif self._bell.wait(None if delay == inf else delay):
                self._bell.clear()
        self._release()
        self._register.close()

    def _ask(self) -> None:
        try:
            if self.state == State.STANDING_BY:
                self._look()
            else:
                self._renew()
        except QueueError as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("the queue plugin has a bug")
            self._fail(f"{type(error).__name__}: {error}")

    def _look(self) -> None:
        holder = self._register.look()
        with self._lock:
            claims = self._claimant.may_claim(time.monotonic(), holder)
        self._works()
        if not claims:
            return self._stand_by(holder)
        sent = time.monotonic()
        claim = self._register.claim(holder)
        if claim is not None:
            with self._lock:
                self._claimant.claimed(sent)
            self.claim = claim
            self._holder = None
            text = "this server owns the jobs of the cluster (epoch %d)"
            log.log(NOTICE, text, claim.epoch)
        return None

    def _stand_by(self, holder: Holder | None) -> None:
        if holder is not None and holder.id != self._holder:
            self._holder = holder.id
            log.log(NOTICE, "standing by: %s owns the jobs", holder.address)

    def _renew(self) -> None:
        sent = time.monotonic()
        renewed = self._register.renew()
        with self._lock:
            # It may have given up the jobs meanwhile.
            if self.state == State.STANDING_BY:
                return
            doubt = self.state == State.IN_DOUBT
            if renewed:
                self._claimant.renewed(sent)
            else:
                self._claimant.refused()
        self._works()
        if not renewed:
            log.error("another server has become the owner of the jobs")
        elif doubt:
            log.log(NOTICE, "the lease is renewed: stored jobs are handed out again")

    def _fail(self, reason: str) -> None:
        with self._lock:
            before = self.state
            self._claimant.failed(time.monotonic())
            doubt = self.state != before
        if reason != self._failing:
            log.warning("the lease of the cluster cannot be asked for: %s", reason)
        self._failing = reason
        if doubt:
            log.error("the lease is over: stored jobs are held until it is renewed")

    def _works(self) -> None:
        if self._failing:
            log.log(NOTICE, "the lease of the cluster can be asked for again")
        self._failing = ""

    def _release(self) -> None:
        self._releasing = False
        try:
            self._register.release()
        except QueueError as error:
            log.warning("the lease could not be released: %s", error)


def _ignore() -> None:
    """Do nothing: nobody wants to know."""
