"""Text and bytes: names are text, payloads are bytes that also behave like text.

Some programs treat `job.data` as bytes, others as str. Payload serves both: it is
bytes, but when it is compared, added or formatted with text, it behaves as its UTF-8
text. Bytes that are not UTF-8 are kept when they are converted to text and back
(surrogateescape).
"""

from collections.abc import Callable
from functools import wraps
from reprlib import Repr
from typing import Any, Final, Self

_ENCODING = ("utf-8", "surrogateescape")
# A tuple, since isinstance with a union would create the union in each call.
BYTES = (bytes, bytearray, memoryview)

# An error, a log line or a repr shows at most so many characters or bytes of a payload.
LIMIT: Final = 80

_short = Repr()
_short.maxother = LIMIT


def as_bytes(value: object) -> bytes:
    """Return str as UTF-8, and bytes, bytearray or memoryview as bytes.

    Raises TypeError for other types.
    """
    if type(value) is bytes:
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            return value.encode(*_ENCODING)
    if isinstance(value, BYTES):
        return bytes(value)
    raise TypeError(f"expected str or bytes, not {type(value).__name__}: {value!r:.80}")


def as_text(value: str | bytes) -> str:
    """Return a name as str; bytes that are not UTF-8 become surrogate escapes."""
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode(*_ENCODING)


def _plain(value: Any) -> Any:
    """Return str as UTF-8 bytes, also in a tuple; return other values unchanged."""
    if isinstance(value, str):
        return value.encode(*_ENCODING)
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value


def _wrapped(value: Any) -> Any:
    if isinstance(value, bytes):
        return Payload(value)
    if isinstance(value, list | tuple):
        return type(value)(_wrapped(item) for item in value)
    return value


def _accepting_text(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        plain = {name: _plain(value) for name, value in options.items()}
        return _wrapped(method(arguments[0], *map(_plain, arguments[1:]), **plain))

    return call


class Payload(bytes):
    """Bytes that can be compared, added, searched and formatted with str.

    A payload plus bytes is a payload; a payload plus str is a str. Items are integers,
    as with bytes; slices are payloads. The hash is that of the bytes. A pickle contains
    plain bytes, so that it can be read without this package.
    """

    def __str__(self) -> str:
        return self.decode(*_ENCODING)

    def __format__(self, spec: str) -> str:
        return format(self.decode(*_ENCODING), spec)

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return the text in another encoding, as str.encode does.

        Raises UnicodeError if the bytes are not UTF-8, or cannot be encoded.
        """
        return self.decode().encode(encoding, errors)

    __hash__ = bytes.__hash__

    def __eq__(self, other: object) -> bool:
        return bytes.__eq__(self, _plain(other))

    def __ne__(self, other: object) -> bool:
        return bytes.__ne__(self, _plain(other))

    def __lt__(self, other: bytes | str) -> bool:
        return bytes.__lt__(self, _plain(other))

    def __le__(self, other: bytes | str) -> bool:
        return bytes.__le__(self, _plain(other))

    def __gt__(self, other: bytes | str) -> bool:
        return bytes.__gt__(self, _plain(other))

    def __ge__(self, other: bytes | str) -> bool:
        return bytes.__ge__(self, _plain(other))

    def __contains__(self, item: object) -> bool:
        return bytes.__contains__(self, _plain(item))

    def __add__(self, other: Any) -> Any:
        if isinstance(other, str):
            return str(self) + other
        return Payload(bytes.__add__(self, other))

    def __radd__(self, other: Any) -> Any:
        if isinstance(other, str):
            return other + str(self)
        return Payload(bytes(other) + bytes(self))

    def __getitem__(self, key: Any) -> Any:
        return _wrapped(bytes.__getitem__(self, key))

    def __mod__(self, values: Any) -> Any:
        if isinstance(values, dict):
            plain = {_plain(name): _plain(value) for name, value in values.items()}
            return Payload(bytes.__mod__(self, plain))
        return Payload(bytes.__mod__(self, _plain(values)))

    def __reduce__(self) -> tuple[Any, ...]:
        return bytes, (bytes(self),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


_METHODS = """
    capitalize center count endswith expandtabs find index ljust lower lstrip
    partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit
    rstrip split splitlines startswith strip swapcase title upper zfill
"""
for _name in _METHODS.split():
    setattr(Payload, _name, _accepting_text(getattr(bytes, _name)))


def excerpt(value: Any) -> str:
    """Return the repr of a value for an error or the log, shortened to LIMIT.

    In a dict, each key and value is shortened by itself.
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
