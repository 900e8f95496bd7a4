"""A session with Redis: batches as transactions, under the watch of one key.

The key says who uses the jobs. It is watched (WATCH) and read before each transaction,
right after the transaction before it: so that takes no round trip of its own. If the
key changes meanwhile, Redis does not execute the transaction. So a server whose jobs
another one has taken over can write nothing more, and neither can a transaction that
still waits in a connection that was lost.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.exceptions import RedisError

from gearman.errors import QueueError

from .address import Address
from .promises import Waits
from .wire import Failure, Wire, packed

# Milliseconds that Redis may wait for replicas or disks.
PATIENCE: Final = 10_000

_MULTI: Final = packed(b"MULTI")
_EXEC: Final = packed(b"EXEC")
_UNWATCH: Final = packed(b"UNWATCH")


def changed() -> QueueError:
    return QueueError("the jobs in Redis were changed by another server just now")


class Session:
    """A connection; if it is lost, the next use opens a new one.

    `welcome` is called with each new connection, and may raise QueueError.
    """

    def __init__(
        self,
        address: Address,
        key: bytes,
        waits: Waits,
        welcome: Callable[[Wire], None],
    ) -> None:
        self._address = address
        self._watch = [packed(b"WATCH", key), packed(b"GET", key)]
        self._waits = waits
        self._welcome = welcome
        self._wire: Wire | None = None
        self._watching = False
        self._seen: bytes | None = None
        # The answer to the last wait for copies.
        self._copies: Any = None

    def watched(self, *, again: bool = False) -> bytes | None:
        """Watch the key, unless it is watched; return its value at that time."""
        if again or not self._watching:
            _, self._seen = self.run(self._watch)
            self._watching = True
        return self._seen

    def run(self, commands: Sequence[bytes]) -> list[Any]:
        """Execute commands one by one, and return their answers."""
        wire = self._open()
        try:
            return wire.exchange(commands)
        except BaseException:
            self.close()
            raise

    def transact(self, commands: Sequence[bytes]) -> list[Any]:
        """Execute commands as one transaction, and return their answers.

        `watched` must have been called. Raises QueueError if the key has changed; then
        nothing was executed. After other failures, that may be unknown.
        Call `confirm` after it.
        """
        waits = self._wait()
        self._watching = False
        answers = self.run([_MULTI, *commands, _EXEC, *waits, *self._watch])
        self._seen, self._watching = answers[-1], True
        done = answers[len(commands) + 1]
        if done is None:
            raise changed()
        for answer in done:
            if isinstance(answer, RedisError):
                self.close()
                raise Failure(f"Redis at {self._address}: {answer}")
        self._copies = answers[-3] if waits else None
        return list(done)

    def execute(self, script: bytes) -> Any:
        """Execute a script that changes the key and jobs, if the key has not changed.

        Its answer is false if it has; then QueueError is raised.
        """
        waits = self._wait()
        self._watching = False
        answers = self.run([script, *waits, _UNWATCH, *self._watch])
        self._seen, self._watching = answers[-1], True
        if answers[0] is None:
            raise changed()
        self._copies = answers[1] if waits else None
        return answers[0]

    def confirm(self) -> None:
        """Raise QueueError if too few replicas or disks have what was executed last."""
        if self._copies is not None:
            self._check_copies(self._copies)

    def _open(self) -> Wire:
        if self._wire is None:
            wire = Wire(self._address)
            try:
                self._welcome(wire)
            except BaseException:
                wire.close()
                raise
            self._wire = wire
        return self._wire

    def _wait(self) -> list[bytes]:
        replicas, patience = b"%d" % self._waits.replicas, b"%d" % PATIENCE
        if self._waits.disk:
            return [packed(b"WAITAOF", b"1", replicas, patience)]
        return [packed(b"WAIT", replicas, patience)] if self._waits.replicas else []

    def _check_copies(self, answer: Any) -> None:
        """Raise QueueError if too few replicas or disks have confirmed the jobs."""
        disk, replicas = answer if self._waits.disk else (1, answer)
        if replicas < self._waits.replicas:
            raise QueueError(
                f"Redis at {self._address}: {replicas} replicas have confirmed the jobs"
                f" within {PATIENCE / 1000:g} seconds, and {self._waits.replicas} are"
                " wanted"
            )
        if not disk:
            raise QueueError(
                f"Redis at {self._address} has not written the jobs to its disk within"
                f" {PATIENCE / 1000:g} seconds"
            )

    def close(self) -> None:
        """Close the connection; what it watched is no longer watched."""
        self._watching = False
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
