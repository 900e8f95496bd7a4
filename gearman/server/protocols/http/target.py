"""The parts of a request's target."""

import re
from typing import Final

from .answers import Refused

_ORIGIN: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def split(target: bytes) -> tuple[bytes, bytes]:
    """Return the path of a request target, with its escapes, and the query."""
    path, _, query = target.partition(b"?")
    if origin := _ORIGIN.match(target):
        path = path[origin.end() :] or b"/"
    if not path.startswith((b"/", b"*")):
        raise Refused(400, "The path of a request begins with a slash.")
    return path, query
