"""A hook that sends events to a URL."""

import hmac
import ssl
import time
import uuid
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Event
from typing import Final
from urllib.parse import urlsplit

from .... import __version__
from .courier import TargetError

# Seconds that connecting, and each wait for data, may take.
TIMEOUT: Final = 10.0

# Such a status is no lasting one, although it begins with 4.
_LATER: Final = frozenset({408, 409, 423, 425, 429})
_BAD_REQUESTS: Final = range(400, 500)
_GOOD: Final = range(200, 300)


class Url:
    """Posts batches of events, as a list in JSON.

    A request has the header X-Gearman-Signature if there is a secret: `t=TIME,v1=HEX`,
    where HEX is the HMAC-SHA256, with the secret, of TIME (seconds since the epoch), a
    full stop and the body. X-Gearman-Delivery is the same for each attempt of a batch.
    """

    def __init__(self, url: str, secret: bytes) -> None:
        self._url = urlsplit(url)
        self._secret = secret
        self._batch: list[bytes] = []
        self._delivery = ""
        self._tls: ssl.SSLContext | None = None

    def deliver(self, lines: list[bytes], stop: Event) -> None:
        """Post lines of JSON. Raises TargetError."""
        if lines != self._batch:
            self._batch, self._delivery = lines, str(uuid.uuid4())
        body = b"[" + b",".join(line.rstrip() for line in lines) + b"]"
        try:
            status, reason = self._post(body)
        except (OSError, HTTPException, ValueError) as error:
            raise TargetError(_text(error)) from error
        if status not in _GOOD:
            final = status in _BAD_REQUESTS and status not in _LATER
            raise TargetError(f"the answer is {status} {reason}", final=final)

    def close(self) -> None:
        """There is nothing to give back: each request has a connection of its own."""

    def _post(self, body: bytes) -> tuple[int, str]:
        url = self._url
        connection = self._connection()
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"gearman-py/{__version__}",
            "X-Gearman-Delivery": self._delivery,
        }
        if self._secret:
            headers["X-Gearman-Signature"] = signature(self._secret, time.time(), body)
        try:
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.reason[:80]
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "http":
            return HTTPConnection(host, port, timeout=TIMEOUT)
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return HTTPSConnection(host, port, timeout=TIMEOUT, context=self._tls)


def signature(secret: bytes, now: float, body: bytes) -> str:
    """Return the value of X-Gearman-Signature for a body sent at `now`."""
    signed = b"%d.%b" % (now, body)
    return f"t={int(now)},v1={hmac.digest(secret, signed, 'sha256').hex()}"


def _text(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} seconds"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
