"""TLS: a protocol around another protocol, and the connection that speaks it.

OpenSSL reads from memory and writes to memory, never to a socket. So all data that
waits for a peer is counted, encrypted or not.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

from ....errors import ProtocolError
from ...protocols.interface import Protocol, Service
from ..connection import Connection
from ..context import Context
from ..peers import Address
from .stream import StreamConnection

# Bytes that a record can hold, and bytes that are encrypted by one call.
_RECORD: Final = 16 * 1024
_PIECE: Final = 1024 * 1024

# Bytes of a large output that are encrypted before the next part is looked at.
_MUCH: Final = 4 * 1024 * 1024

# Type, version and length of a record: the length is in the last two bytes.
_HEAD: Final = 5

# The first byte of a TLS connection: the type of a handshake record.
_HANDSHAKE: Final = b"\x16"

_REASONS: Final = {
    "NO_SHARED_CIPHER": "it knows no cipher that is strong enough",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it has no certificate, which is required",
    "UNSUPPORTED_PROTOCOL": "it knows nothing newer than TLS 1.1",
}


class _Records:
    """Follows the records in a stream of TLS: whether the last one is complete."""

    def __init__(self) -> None:
        self._head = b""
        self._missing = 0

    def take(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if not self._missing:
                more = data[at : at + _HEAD - len(self._head)]
                self._head += more
                at += len(more)
                if len(self._head) == _HEAD:
                    self._missing = int.from_bytes(self._head[-2:], "big")
                    self._head = b""
            step = min(self._missing, len(data) - at)
            self._missing -= step
            at += step

    @property
    def unfinished(self) -> bool:
        return bool(self._head or self._missing)


class TlsProtocol(Protocol):
    """One side of TLS around the protocol `inner`: that of the server by default.

    The handshake must be complete before the `deadline`, on the broker's clock, which
    is `seconds` from now. If it is `urgent`, OpenSSL has data to send, although the
    peer was not touched.

    With a function `begun` it is the side of a client. That is called when the
    handshake is complete: nothing may be written to the peer before.
    """

    def __init__(
        self,
        inner: Protocol,
        context: ssl.SSLContext,
        deadline: float,
        seconds: float,
        begun: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(inner.peer)
        self._inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._records = _Records()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=begun is None
        )
        self._when_begun = begun or _nothing
        self.deadline = deadline
        self._seconds = seconds
        self._begun = False
        self._established = False
        # Whether the peer has said that it sends no more.
        self._ended = False
        if begun is not None:
            with suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()

    @property
    def certified(self) -> bool:
        """Whether a certificate of the peer was verified."""
        return bool(self._tls.getpeercert())

    @property
    def buffered(self) -> int:
        return self._inner.buffered or self._records.unfinished

    @property
    def kept(self) -> int:
        return self._inner.kept + self._records.unfinished

    @property
    def urgent(self) -> bool:
        return self._outgoing.pending > 0

    def receive(self, data: bytes) -> None:
        if not self._begun and not data.startswith(_HANDSHAKE):
            self._fail("no TLS handshake where TLS is required")
            return
        self._begun = True
        self._records.take(data)
        self._incoming.write(data)
        if plain := b"".join(self._decrypted()):
            self._inner.receive(plain)
        self._follow()

    def _decrypted(self) -> Iterator[bytes]:
        try:
            if not self._established:
                self._tls.do_handshake()
                self._established = True
                self._when_begun()
            while data := self._tls.read(_RECORD):
                yield data
            self._ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._fail(f"TLS: {_describe(error)}")

    def _fail(self, text: str) -> None:
        self.error = ProtocolError(text, fatal=True)

    def _follow(self) -> None:
        """Take over the attributes of the inner protocol."""
        inner = self._inner
        self.error = inner.error or self.error
        # Requests that it received before the end are still carried out.
        self.finished = inner.finished or (self._ended and not inner.ready)
        self.paused, self.ready = inner.paused, inner.ready
        if self._established:
            self.deadline = inner.deadline

    def resume(self) -> None:
        self._inner.resume()
        self._follow()

    def expire(self) -> None:
        if self._established:
            self._inner.expire()
            self._follow()
        else:
            seconds = f"{self._seconds:g} seconds"
            self._fail(f"it did not finish the TLS handshake within {seconds}")

    def data_to_send(self) -> bytes:
        waiting = memoryview(self._inner.data_to_send())
        # After an alert or the end of TLS, nothing can be sent.
        with suppress(ssl.SSLError):
            while waiting:
                waiting = waiting[self._tls.write(waiting[:_PIECE]) :]
        self._follow()
        return self._outgoing.read()

    def pieces_to_send(self) -> list[bytes]:
        """Encrypt the first pieces, about _MUCH bytes. The others stay in the outbox.

        Many pieces may be the same object; encrypted, each would take memory of its
        own.
        """
        outbox = self.peer.outbox
        size = self.peer.size
        count = taken = 0
        while count < len(outbox) and taken < _MUCH:
            taken += len(outbox[count])
            count += 1
        rest = outbox[count:]
        del outbox[count:]
        data = self.data_to_send()
        outbox.extend(rest)
        self.peer.size = size - taken
        return [data]

    def end(self) -> bytes:
        """Return the bytes that announce the end of TLS, if that is still possible.

        Nothing can be sent after that.
        """
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        return self._outgoing.read()

    def break_cycle(self) -> None:
        """Break the reference cycle with a lost connection, so that it is freed."""
        self._when_begun = _nothing


class TlsConnection(StreamConnection):
    """A connection that speaks TLS, with any protocol inside."""

    own_memory = 22_000

    protocol: TlsProtocol

    def __init__(
        self,
        context: Context,
        service: Service,
        address: Address,
        tls: ssl.SSLContext,
        begun: Callable[[Connection], None] | None = None,
    ) -> None:
        super().__init__(context, service, address)
        self._tls = tls
        self._begun = begun

    def _attach(self, descriptor: int) -> None:
        super()._attach(descriptor)
        seconds = self._context.config.request_timeout
        deadline = self._context.time() + seconds
        begun = None if self._begun is None else partial(self._begun, self)
        self.protocol = TlsProtocol(self._spoken, self._tls, deadline, seconds, begun)
        self._follow_protocol()
        if self.protocol.urgent:
            self.flush()

    @property
    def certified(self) -> bool:
        return self.protocol.certified

    def buffer_updated(self, nbytes: int) -> None:
        super().buffer_updated(nbytes)
        if self.protocol.urgent:
            self.flush()

    def _announce_end(self) -> None:
        if not self.closing:
            self._transport.write(self.protocol.end())

    def _break_cycles(self) -> None:
        super()._break_cycles()
        self.protocol.break_cycle()


def _nothing() -> None:
    """Do nothing: nobody waits for the handshake."""


def _describe(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    reason = error.reason or str(error)
    return _REASONS.get(reason) or reason.replace("_", " ").lower()
