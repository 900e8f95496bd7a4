"""The names of functions as values of labels: text, of a limited length, and unique."""

import re
from hashlib import sha256
from typing import Final

from ....text import printable, shown

# The label of all functions together that have none of their own.
OTHER: Final = b"other"

# Bytes of a name that is shown as it is. Each name is in some forty lines.
LONGEST: Final = 200

# What most names look like. Other characters may have to be escaped.
_PLAIN: Final = re.compile(rb"[ !#$&-\[\]-}]{0,%d}" % LONGEST)
_DIGEST: Final = re.compile(r"~[0-9a-f]{16}\Z")


def label(name: bytes) -> bytes:
    r"""Return the value of a label for a function, to be put into a %-template.

    A name is shown as it is if it is text without control characters, and not long.
    Otherwise its beginning is shown, with bytes as \xNN, and then `~` and 16 digits of
    its SHA-256. So each name has a label of its own, also a function named `other`.
    """
    if _PLAIN.fullmatch(name) and name != OTHER:
        return name
    text = _text(name).replace("\\", r"\\").replace('"', r"\"")
    return text.replace("%", "%%").encode()


def _text(name: bytes) -> str:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return _digested(name)
    odd = len(name) > LONGEST or name == OTHER or printable(name) != name
    return _digested(name) if odd or _DIGEST.search(text) else text


def _digested(name: bytes) -> str:
    return f"{shown(name)}~{sha256(name).hexdigest()[:16]}"
