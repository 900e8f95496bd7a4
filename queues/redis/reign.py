"""The right to use the jobs under a prefix, which one server has at a time.

Two keys say who has it:

    {PREFIX}:state    who it is, how often the owner has changed (the epoch), and the
                      number of the owner's last batch
    {PREFIX}:lease    expires some time after the owner's last sign of life

Each batch checks and changes `state`: one that adds jobs is a transaction under its
watch, one that only removes some is a script. A batch that was delayed until another
one was executed does nothing. So the lease is never needed for
correctness: it only tells a new server whether the owner, on another machine, is alive.
On the same machine, the process is looked for. A number that is lower than that of the
last batch tells that Redis was put back in time: by a crash, or a failover to a replica
that did not have all jobs yet.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Final, NamedTuple

from gearman.errors import QueueError

from .._shared.owner import is_alive, is_here, new_token, release
from .session import Session
from .wire import packed

# Seconds until a lease expires, and between two signs of life.
LEASE: Final = 15.0
SIGN: Final = 5.0
# Seconds between two looks at the lease of another server.
LOOK: Final = 0.1

_MARK: Final = b"gearman-py"
# Version 1 had no blocks, and no numbers of batches that only remove jobs.
_VERSION: Final = 2
_NOBODY: Final = b"-"
_MILLISECONDS: Final = b"%d" % (LEASE * 1000)

# Executes commands that remove jobs. A transaction would need room. Redis refuses only
# the first command that writes, if it may need room, and this one does not.
_REMOVE: Final = b"""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return false
end
local answer = {redis.call('PEXPIRE', KEYS[2], ARGV[3])}
redis.call('SET', KEYS[1], ARGV[2])
local at = 4
while at < #ARGV do
    local last = at + ARGV[at]
    redis.call(unpack(ARGV, at + 1, last))
    at = last + 1
end
for i = 3, #KEYS do
    answer[i - 1] = redis.call('HLEN', KEYS[i])
end
return answer
"""


class InUse(QueueError):
    """Another server uses the jobs."""


class Foreign(QueueError):
    """The keys are not those of this version."""


class State(NamedTuple):
    epoch: int
    batch: int
    owner: bytes

    def encode(self) -> bytes:
        return b"%b %d %d %d %b" % (_MARK, _VERSION, *self)

    @classmethod
    def decode(cls, data: bytes) -> "State":
        """Raises Foreign if the value is not that of this version."""
        mark, version, epoch, batch, owner, *_ = [*data.split(b" ", 4), *[b""] * 5]
        if mark == _MARK and version.isdigit() and int(version) > _VERSION:
            raise Foreign("the jobs in Redis were stored by a later version")
        if mark != _MARK or not (epoch.isdigit() and batch.isdigit()):
            raise Foreign("the state of the jobs in Redis can't be read")
        return cls(int(epoch), int(batch), owner)


class Verdict(Enum):
    """What Redis knows of the owner: this server, as it should be; this server, before
    its last removals, or before it added jobs; nobody who is alive; or another server.
    """

    FINE = auto()
    REVIVED = auto()
    EARLIER = auto()
    GONE = auto()
    TAKEN = auto()


class Reign:
    """The right of this server. Methods raise QueueError if Redis fails."""

    def __init__(self, session: Session, state: bytes, lease: bytes) -> None:
        self._session = session
        self._state_key = state
        self._lease_key = lease
        self._token = new_token()
        self._epoch = 0
        self._claimed = False
        # The last batch that added jobs, the last one, and the last one that was tried.
        self._added = self._batch = self._tried = 0
        # When the last sign of life was given, and when one was last tried.
        self._signed = self._signing = 0.0

    def claim(self) -> None:
        """Take the right. Raises InUse if another server has it, and is alive."""
        before = LEASE * 1000
        while True:
            data = self._session.watched(again=True)
            state = State(0, 0, _NOBODY) if data is None else State.decode(data)
            left = self._lease()
            if self._is_free(state.owner, left):
                return self._take(state.epoch + 1)
            if is_here(state.owner) or left > before:
                raise InUse("the jobs in Redis are in use by another server")
            before = left
            time.sleep(LOOK)

    def verdict(self) -> Verdict:
        data = self._session.watched()
        if data is None:
            return Verdict.GONE
        state = State.decode(data)
        if state.owner == self._token:
            if not self._added <= state.batch <= self._tried:
                return Verdict.EARLIER
            if state.batch < self._batch:
                return Verdict.REVIVED
            self._batch = state.batch
            return Verdict.FINE
        if state.epoch <= self._epoch and self._is_free(state.owner, self._lease()):
            return Verdict.GONE
        return Verdict.TAKEN

    def remove(
        self, keys: Sequence[bytes], commands: Sequence[Sequence[bytes]]
    ) -> list[int]:
        """Execute commands that remove jobs, and return the lengths of these hashes."""
        expected = self._session.watched()
        assert expected is not None
        self._tried += 1
        state = State(self._epoch, self._tried, self._token).encode()
        words = [b"EVAL", _REMOVE, b"%d" % (2 + len(keys))]
        words += [self._state_key, self._lease_key, *keys]
        words += [expected, state, _MILLISECONDS]
        for command in commands:
            words += [b"%d" % len(command), *command]
        counts: list[int]
        prolonged, *counts = self._session.execute(packed(*words))
        self._batch = self._tried
        if prolonged:
            self._signed = self._signing = time.monotonic()
        return counts

    def take_again(self) -> None:
        """Take the right after Redis has forgotten who has it."""
        self._take(self._epoch)

    def signs(self) -> list[bytes]:
        """Return the commands for a batch that adds jobs."""
        late = self._is_late()
        if late:
            self._signing = time.monotonic()
        self._tried += 1
        return [self._state(self._tried, self._token)] + [self._sign()] * late

    def landed(self) -> None:
        """Note that a batch that adds jobs was executed."""
        self._batch = self._added = self._tried
        self._signed = self._signing

    def sign(self) -> None:
        """Give a sign of life, if the last one is some time ago."""
        if not self._is_late() or self.verdict() != Verdict.FINE:
            return
        # Without room, Redis executes no transaction, but lets an expiry be changed.
        [there] = self._session.run([self._prolong()])
        if not there:
            self._session.transact([self._sign()])
        self._signed = self._signing = time.monotonic()

    def release(self, *, empty: bool) -> None:
        """Give the right back. If there are no jobs, no key is left. Raises nothing."""
        state = self._state(self._batch, _NOBODY)
        forget = packed(b"DEL", self._state_key)
        leave = packed(b"DEL", self._lease_key)
        with suppress(QueueError):
            if self._claimed and self.verdict() == Verdict.FINE:
                # On its own, since this works without room, too.
                self._session.run([leave])
                self._session.transact([forget if empty else state])
        release(self._token)

    def _take(self, epoch: int) -> None:
        self._epoch, self._claimed = epoch, True
        self._tried += 1
        self._session.transact([self._state(self._tried, self._token), self._sign()])
        self._session.confirm()
        self._batch = self._added = self._tried
        self._signed = self._signing = time.monotonic()

    def _is_late(self) -> bool:
        return time.monotonic() - self._signed >= SIGN

    def _state(self, batch: int, owner: bytes) -> bytes:
        state = State(self._epoch, batch, owner)
        return packed(b"SET", self._state_key, state.encode())

    def _sign(self) -> bytes:
        return packed(b"SET", self._lease_key, self._token, b"PX", _MILLISECONDS)

    def _prolong(self) -> bytes:
        return packed(b"PEXPIRE", self._lease_key, _MILLISECONDS)

    def _lease(self) -> int:
        """Return how many milliseconds the lease lasts, negative if there is none."""
        [left] = self._session.run([packed(b"PTTL", self._lease_key)])
        return int(left)

    def _is_free(self, owner: bytes, lease: int) -> bool:
        if owner == _NOBODY or (is_here(owner) and not is_alive(owner)):
            return True
        return lease < 0 and not is_alive(owner)
