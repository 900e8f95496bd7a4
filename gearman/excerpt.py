"""What of a payload may stand in an error, a log line or a repr: its beginning."""

from reprlib import Repr
from typing import Any, Final

from .payload import BYTES

# Characters or bytes of a payload.
LIMIT: Final = 80

_short = Repr()
_short.maxother = LIMIT


def excerpt(value: Any) -> str:
    """Return the repr of a value, or what text, bytes or an object begin with.

    Of a dict that is so for each of its values.
    """
    if isinstance(value, dict):
        items = (f"{excerpt(key)}: {excerpt(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if not isinstance(value, (str, *BYTES)):
        return _short.repr(value)
    if len(value) <= LIMIT:
        return repr(value)
    start = value[:LIMIT]
    if isinstance(start, memoryview):
        start = bytes(start)
    return f"{start!r}... ({len(value)} in all)"
