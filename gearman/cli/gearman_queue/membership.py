"""The place of the tool in a cluster of servers: it owns all jobs for a while."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from threading import Event, Thread
from typing import Final

from ...errors import QueueError, StartupError
from ...queue import Claim, Cluster, Queue, Register

# Seconds for which the tool may be silent, and seconds between two signs of it. A
# server with the shortest lease waits longer.
LEASE: Final = 10.0
STEP: Final = 0.25

# The tool makes no new jobs, so that it has used no number.
NO_NUMBER: Final = 0


def member(name: str) -> Cluster:
    """Return what the tool is in the cluster of this name."""
    return Cluster(name, f"gearman-queue on {socket.gethostname()}", LEASE)


@contextmanager
def owning(queue: Queue) -> Iterator[None]:
    """Own all jobs of a cluster; servers that start meanwhile get none.

    Raises StartupError if a server is there, or QueueError.
    """
    with closing(queue.register()) as register:
        claim = _join(register)
        ending = Event()
        renewing = Thread(target=_renew, args=(register, ending), daemon=True)
        renewing.start()
        try:
            queue.own(claim)
            yield
        finally:
            ending.set()
            renewing.join()
            with suppress(QueueError):
                register.leave(NO_NUMBER)


def _join(register: Register) -> Claim:
    roll = register.look()
    alive = [each.address for each in roll.members if not each.over]
    if alive:
        raise StartupError(
            f"these servers of the cluster are there: {', '.join(alive)}; stop all of"
            " them first, or if they have failed, wait until their leases are over"
        )
    for each in roll.members:
        register.bury(each)
    claim = register.join()
    register.take(frozenset(range(len(roll.shards))))
    if any(shard.server != claim.id for shard in register.look().shards):
        register.leave(NO_NUMBER)
        raise StartupError(
            "a server of the cluster has just started: stop all of them first"
        )
    return claim


def _renew(register: Register, ending: Event) -> None:
    while not ending.wait(STEP):
        # If it was taken for dead, nothing can be stored.
        with suppress(QueueError):
            register.renew(NO_NUMBER)
