"""Encoders: they turn Python objects into payloads, and payloads into objects."""

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
    """Base class of encoders: override both methods.

    The attribute `data_encoder` of a client or worker is an encoder: a class, or an
    instance whose methods need not be class methods. It converts every payload that
    is sent or received.
    """

    @classmethod
    def encode(cls, encodable_object: Any) -> str | bytes:
        """Return bytes to send for an object, or str, which is sent as UTF-8.

        An exception goes to the caller of `submit_job`; in a worker it makes the job
        fail.
        """
        raise NotImplementedError

    @classmethod
    def decode(cls, decodable_string: bytes) -> Any:
        """Return the object for a received payload, which is bytes.

        An exception goes to the caller in a client; in a worker it makes the job fail.
        """
        raise NotImplementedError


class NoopEncoder(DataEncoder):
    """The default: send str and bytes, and receive `Payload`.

    Both methods raise TypeError for other types.
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
    """Send and receive str as UTF-8; raises UnicodeError for what is not UTF-8."""

    @classmethod
    def encode(cls, encodable_object: str) -> bytes:
        return encodable_object.encode()

    @classmethod
    def decode(cls, decodable_string: bytes) -> str:
        return decodable_string.decode()


class JSONEncoder(DataEncoder):
    """Send and receive values as JSON.

    Raises TypeError for a value that JSON has no form for, ValueError for a payload
    that is not JSON.
    """

    @classmethod
    def encode(cls, encodable_object: Any) -> bytes:
        return json.dumps(encodable_object).encode()

    @classmethod
    def decode(cls, decodable_string: bytes) -> Any:
        return json.loads(decodable_string)


class PickleEncoder(DataEncoder):
    """Send and receive Python objects as pickles.

    Unsafe where peers are not trusted: who can submit jobs can run code in the worker,
    and who can be a worker can run code in the client.
    """

    @classmethod
    def encode(cls, encodable_object: Any) -> bytes:
        return pickle.dumps(encodable_object)

    @classmethod
    def decode(cls, decodable_string: bytes) -> Any:
        return pickle.loads(decodable_string)
