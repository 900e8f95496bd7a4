"""Which options of a connection the server has: OPTION_REQ, and its answers."""

from collections import deque
from typing import Final

EXCEPTIONS: Final = "exceptions"
EXTENSIONS: Final = "extensions"
TRACES: Final = "traces"


class ServerOptions:
    """The options that were asked for on a connection.

    `extensions` is whether the server has the packets of our own (the numbers from 256
    on), which may be sent to no other server; None until it has answered.
    """

    __slots__ = ("_unanswered", "extensions")

    def __init__(self) -> None:
        self.extensions: bool | None = None
        self._unanswered: deque[str] = deque()

    @property
    def awaited(self) -> bool:
        """Whether the server was asked for the extensions, and has not answered."""
        return EXTENSIONS in self._unanswered

    @property
    def unanswered(self) -> bool:
        """Whether the server has not answered a question for any option."""
        return bool(self._unanswered)

    def asked(self, name: str) -> None:
        """OPTION_REQ is sent."""
        self._unanswered.append(name)

    def accepted(self, name: str) -> None:
        """OPTION_RES: the server has the option."""
        if name in self._unanswered:
            self._unanswered.remove(name)
        if name == EXTENSIONS:
            self.extensions = True

    def refused(self) -> str:
        """ERROR UNKNOWN_OPTION: the server does not have an option; return its name.

        That is the oldest option without an answer, as a server answers in order.
        """
        name = self._unanswered.popleft() if self._unanswered else "unknown"
        if name == EXTENSIONS:
            self.extensions = False
        return name
