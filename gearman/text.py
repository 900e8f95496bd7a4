"""The admin text protocol: lines and words, and how names are printed."""

import re
from base64 import b64encode

from .errors import ProtocolError

# Words of a line. gearmand closes the connection if there are more.
MAX_WORDS = 5

# Bytes of a peer's data that a message shows at most.
SHOWN = 80

_SPACES = re.compile(rb" +")
# Possible control characters: those of ASCII, and 0x80 to 0x9f, which terminals treat
# as control characters, as single bytes or in UTF-8.
_SUSPECT = re.compile(rb"[\x00-\x1f\x7f-\x9f]")
_CONTROL = [bytes([number]) for number in (*range(0x20), 0x7F)]
_CONTROL_UTF_8 = [b"\xc2%c" % number for number in range(0x80, 0xA0)]
_CONTROL_8_BIT = [bytes([number]) for number in range(0x80, 0xA0)]
_HTTP = re.compile(rb" HTTP/\d(\.\d)?$")


def split(line: bytes) -> list[bytes]:
    """Return the words of a line, which is given without its end.

    There is at least one word. Words are separated by one or more spaces; spaces at the
    start or the end make an empty word, as with gearmand. Raises ProtocolError (fatal)
    if there are more than MAX_WORDS words, or if the line is that of an HTTP request.
    """
    if _HTTP.search(line):
        raise ProtocolError("an HTTP request on the gear port", fatal=True)
    words = _SPACES.split(line)
    if len(words) > MAX_WORDS:
        text = f"a line of {len(words)} words, and {MAX_WORDS} are allowed"
        raise ProtocolError(text, fatal=True)
    return words


def printable(name: bytes) -> bytes:
    r"""Return a name with its control characters written as \xNN.

    Names come from peers. A line end or a tab in a name must not be able to forge a
    line or a column of an answer or of the log, nor to control a terminal.
    """
    if _SUSPECT.search(name) is None:
        return name
    characters = _CONTROL
    if not name.isascii():
        characters = _CONTROL + (_CONTROL_UTF_8 if _is_text(name) else _CONTROL_8_BIT)
    # Much faster than calling a function for each occurrence.
    for character in characters:
        if character in name:
            name = name.replace(character, b"".join(b"\\x%02x" % n for n in character))
    return name


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def shown(name: bytes) -> str:
    r"""Return a name for a message: its first SHOWN bytes as printable text.

    Bytes that are not UTF-8, and control characters, are written as \xNN; dots stand
    for the rest.
    """
    text = printable(name[:SHOWN]).decode(errors="backslashreplace")
    return f"{text}..." if len(name) > SHOWN else text


def text_or_base64(value: bytes) -> str | dict[str, str]:
    """Return bytes as a value for JSON: {"base64": "..."} if they are not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}
