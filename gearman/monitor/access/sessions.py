"""Who has logged in: sessions in memory, which end with the monitor."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .users import ACT, User, Users

# Seconds without a request after which a session ends, and its longest time.
IDLE: Final = 12 * 3600.0
LONGEST: Final = 7 * 86400.0
MOST_SESSIONS: Final = 10_000

# Without users, everybody on this machine has this name.
ANYBODY: Final = "local"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. `token` must come with each request that changes something."""

    name: str
    role: str
    token: str

    @property
    def may_act(self) -> bool:
        return self.role == ACT

    def is_token(self, given: str) -> bool:
        """Whether this is the token, which is compared in constant time."""
        return secrets.compare_digest(
            given.encode(errors="replace"), self.token.encode()
        )


@dataclass(slots=True)
class _Session:
    user: User
    token: str
    began: float
    last: float


class Sessions:
    """Sessions by their keys, of which only hashes are kept."""

    def __init__(self, users: Users | None, clock: Callable[[], float]) -> None:
        self._users = users
        self._clock = clock
        self._sessions: dict[bytes, _Session] = {}
        self._anybody = Visitor(ANYBODY, ACT, secrets.token_urlsafe(24))

    @property
    def are_needed(self) -> bool:
        """Whether there are users, who must log in."""
        return self._users is not None

    def begin(self, user: User) -> str:
        """Begin a session, and return its key, which is for the user only."""
        now = self._clock()
        if len(self._sessions) >= MOST_SESSIONS:
            oldest = min(self._sessions, key=lambda each: self._sessions[each].last)
            del self._sessions[oldest]
        key, token = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        self._sessions[_hash(key)] = _Session(user, token, now, now)
        return key

    def end(self, key: str) -> None:
        self._sessions.pop(_hash(key), None)

    def find(self, key: str) -> Visitor | None:
        """Return who has this key. None: nobody, not any more, or a changed user."""
        if self._users is None:
            return self._anybody
        session = self._sessions.get(_hash(key))
        if session is None:
            return None
        now = self._clock()
        too_old = now - session.last > IDLE or now - session.began > LONGEST
        # Another password or role ends the sessions, too.
        if too_old or self._users.find(session.user.name) != session.user:
            self.end(key)
            return None
        session.last = now
        return Visitor(session.user.name, session.user.role, session.token)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="replace")).digest()
