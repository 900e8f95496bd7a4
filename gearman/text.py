"""The admin text protocol: lines and words, what they may hold, how they are shown."""

import re

from .errors import ProtocolError

# gearmand takes no more words than this in a line and closes the connection.
MAX_WORDS = 5

# Bytes that are shown of what a peer has sent.
SHOWN = 80

_SPACES = re.compile(rb" +")
# What may be a control character: those of ASCII, and 0x80 to 0x9f, which terminals
# take for such as one byte or in UTF-8.
_SUSPECT = re.compile(rb"[\x00-\x1f\x7f-\x9f]")
_CONTROL = [bytes([number]) for number in (*range(0x20), 0x7F)]
_CONTROL_UTF_8 = [b"\xc2%c" % number for number in range(0x80, 0xA0)]
_CONTROL_8_BIT = [bytes([number]) for number in range(0x80, 0xA0)]
_HTTP = re.compile(rb" HTTP/\d(\.\d)?$")


def split(line: bytes) -> list[bytes]:
    """Return the words of a line without its end; there is always a first one.

    Runs of spaces separate words, and spaces before the first or behind the last
    word make an empty one, as with gearmand. Raises ProtocolError (fatal) if there
    are more than MAX_WORDS, or if it is the first line of an HTTP request.
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

    Names come from peers; one that holds a line end or a tab must not be able to
    forge a line or a column of an answer or a log, nor to steer a terminal.
    """
    if _SUSPECT.search(name) is None:
        return name
    characters = _CONTROL
    if not name.isascii():
        characters = _CONTROL + (_CONTROL_UTF_8 if _is_text(name) else _CONTROL_8_BIT)
    # Far faster than a function called for each one, where there are many.
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
    r"""Return bytes for a sentence to read, the first SHOWN of them.

    What is no text is written as \xNN; dots stand for the rest.
    """
    text = printable(name[:SHOWN]).decode(errors="backslashreplace")
    return f"{text}..." if len(name) > SHOWN else text
