"""Questions about jobs that other servers of the cluster may know.

The number in a handle says which server owns the job; that one is asked first. A
foreground job stays where it came, also when its shard moves. So if the owner does not
know it, all others are asked. A question is answered within PATIENCE seconds: a server
that has not answered by then does not know the job.
"""

from collections.abc import Callable
from math import inf

from ..constants import LINK_ASK
from .remote import Remote

# Seconds.
PATIENCE = 2.0

# What is asked: see `Lookup.asked`; a command is for the settings.
STATUS, UNIQUE, RESULT, WATCH, CANCEL, COMMAND = (
    b"status",
    b"unique",
    b"result",
    b"watch",
    b"cancel",
    b"command",
)

# Called with the server that knows the job, and what it says; or with None.
Told = Callable[[Remote | None, bytes], None]


class Question:
    """A question, and the servers that have not answered it."""

    __slots__ = ("deadline", "key", "open", "others", "token", "told", "what")

    def __init__(
        self, token: int, what: bytes, key: bytes, told: Told, deadline: float
    ) -> None:
        self.token = token
        self.what = what
        self.key = key
        self.told = told
        self.deadline = deadline
        self.open: dict[Remote, None] = {}
        self.others: list[Remote] = []


class Questions:
    """The open questions. `first` is when to call `expire`, of the monotonic clock."""

    def __init__(self) -> None:
        self.first = inf
        # In the order of their deadlines.
        self._open: dict[int, Question] = {}
        self._last = 0

    def ask(
        self,
        what: bytes,
        key: bytes,
        owner: Remote | None,
        others: list[Remote],
        told: Told,
        now: float,
    ) -> None:
        """Ask the owner, and then the others; `told` may be called at once."""
        self._last += 1
        question = Question(self._last, what, key, told, now + PATIENCE)
        question.others = others
        self._open[question.token] = question
        self._set_first()
        if owner is not None:
            self._put(question, [owner])
        else:
            self._next(question)

    def _put(self, question: Question, remotes: list[Remote]) -> None:
        for remote in remotes:
            question.open[remote] = None
        for remote in remotes:
            token = b"%d" % question.token
            remote.request(LINK_ASK, (token, question.what, question.key))

    def _next(self, question: Question) -> None:
        """Ask all others, or give up."""
        others, question.others = question.others, []
        others = [remote for remote in others if remote.peer is not None]
        if others:
            self._put(question, others)
        else:
            self._end(question, None, b"")

    def told(self, remote: Remote, token: int, known: bool, data: bytes) -> None:
        """Note an answer; one that comes too late is dropped."""
        question = self._open.get(token)
        if question is None or remote not in question.open:
            return
        del question.open[remote]
        if known:
            self._end(question, remote, data)
        elif not question.open:
            self._next(question)

    def lost(self, remote: Remote) -> None:
        """Expect no more answers from a server."""
        for question in list(self._open.values()):
            self.told(remote, question.token, False, b"")

    def expire(self, now: float) -> None:
        """Give up the questions that are too old."""
        while self.first <= now:
            self._end(next(iter(self._open.values())), None, b"")

    def _end(self, question: Question, remote: Remote | None, data: bytes) -> None:
        del self._open[question.token]
        self._set_first()
        question.told(remote, data)

    def _set_first(self) -> None:
        first = next(iter(self._open.values()), None)
        self.first = inf if first is None else first.deadline
