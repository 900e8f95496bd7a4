"""A connection to the other server: bytes in, answers out."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from ...commands import RESPONSE, Command
from ...errors import ProtocolError
from ...framing import Decoder
from ...text import shown

# Answers are short.
MAX_PACKET: Final = 64 * 1024


class Kind(IntEnum):
    """What the other server says.

    It has told whether it has the extensions; it has accepted a job, or refused one; or
    something that only shows that it is there.
    """

    EXTENDED, PLAIN, ACCEPTED, REFUSED, OTHER = range(5)


class Answer(NamedTuple):
    """An answer; a refusal has a code and a text."""

    kind: Kind
    code: str = ""
    text: str = ""


class Conversation:
    """Reads what the other server answers. It is asked for the extensions first."""

    def __init__(self) -> None:
        self._decoder = Decoder(RESPONSE, max_packet=MAX_PACKET)
        self._asked = True

    def answers(self, data: bytes) -> Iterator[Answer]:
        """Yield the answers in some data. Raises ProtocolError."""
        for number, arguments in self._decoder.feed(data):
            if isinstance(arguments, ProtocolError):
                raise arguments
            yield self._answer(number, arguments)

    def _answer(self, number: int, arguments: tuple[bytes, ...]) -> Answer:
        if number == Command.OPTION_RES and self._asked:
            self._asked = False
            return Answer(Kind.EXTENDED)
        if number == Command.ERROR and self._asked:
            self._asked = False
            return Answer(Kind.PLAIN)
        if number == Command.JOB_CREATED:
            return Answer(Kind.ACCEPTED)
        if number == Command.ERROR:
            code, text = arguments
            return Answer(Kind.REFUSED, shown(code), shown(text))
        return Answer(Kind.OTHER)
