"""What the field `extra` of a stored job says."""

from urllib.parse import unquote_to_bytes

Fields = dict[bytes, bytes]


def fields_of(extra: bytes) -> Fields:
    """Return the fields of such a text; it may be empty."""
    pairs = (pair.partition(b"=") for pair in extra.split(b"&") if pair)
    return {key: unquote_to_bytes(text) for key, _, text in pairs}
