"""How Python objects become payloads, and payloads become Python objects again."""

import json
import pickle
from typing import Any, Protocol

from .payload import BYTES, Payload, as_bytes

_TEXT_OR_BYTES = (str, *BYTES)


class Encoder(Protocol):
    """What a `data_encoder` has to be: a class or an object with these two methods."""

    def encode(self, encodable_object: Any, /) -> str | bytes:
        """Return what is sent for an object."""

    def decode(self, decodable_string: Payload, /) -> Any:
        """Return the object that a received payload stands for."""


class DataEncoder:
    """What encodes and decodes every payload; derive from it and override both.

    `encode` returns bytes or str, which is sent as UTF-8; `decode` gets bytes. The
    methods may be class methods, and `data_encoder` an instance or a class.
    """

    @classmethod
    def encode(cls, encodable_object: Any) -> str | bytes:
        """Return what is sent for an object."""
        raise NotImplementedError

    @classmethod
    def decode(cls, decodable_string: bytes) -> Any:
        """Return the object that a received payload stands for."""
        raise NotImplementedError


class NoopEncoder(DataEncoder):
    """Send str and bytes as they are, and receive payloads; the default.

    Raises TypeError for anything else.
    """

    @classmethod
    def _enforce_byte_string(cls, given_object: Any) -> None:
        if not isinstance(given_object, _TEXT_OR_BYTES):
            kind = type(given_object).__name__
            raise TypeError(
                f"a payload is str or bytes, not {kind}; set data_encoder to send "
                f"other objects"
            )

    @classmethod
    def encode(cls, encodable_object: Any) -> str | bytes:
        if not isinstance(encodable_object, _TEXT_OR_BYTES):
            cls._enforce_byte_string(encodable_object)
        encoded: str | bytes = encodable_object
        return encoded

    @classmethod
    def decode(cls, decodable_string: str | bytes) -> Payload:
        if type(decodable_string) is Payload:
            return decodable_string
        cls._enforce_byte_string(decodable_string)
        return Payload(as_bytes(decodable_string))


class TextEncoder(DataEncoder):
    """Send and receive str, as UTF-8."""

    @classmethod
    def encode(cls, encodable_object: str) -> bytes:
        return encodable_object.encode()

    @classmethod
    def decode(cls, decodable_string: bytes) -> str:
        return decodable_string.decode()


class JSONEncoder(DataEncoder):
    """Send and receive what JSON can hold."""

    @classmethod
    def encode(cls, encodable_object: Any) -> bytes:
        return json.dumps(encodable_object).encode()

    @classmethod
    def decode(cls, decodable_string: bytes) -> Any:
        return json.loads(decodable_string)


class PickleEncoder(DataEncoder):
    """Send and receive Python objects.

    Whoever can submit jobs, or answer them, can run code where they are unpickled.
    """

    @classmethod
    def encode(cls, encodable_object: Any) -> bytes:
        return pickle.dumps(encodable_object)

    @classmethod
    def decode(cls, decodable_string: bytes) -> Any:
        return pickle.loads(decodable_string)
