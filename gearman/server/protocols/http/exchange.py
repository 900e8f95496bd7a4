"""One request and its answer in HTTP/1.1, with h11, which does no I/O.

h11 accepts some forms that servers and proxies understand in different ways, so that
one of them may see one request where the other sees two. These forms are refused here,
before h11 sees them.
"""

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import h11

from .answers import Answer, Headers, Refused

# Bytes of a request line and its headers. All bytes of a function name may be escaped.
MAX_HEAD: Final = 32 * 1024

_END = b"\r\n\r\n"
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_FOLDED = re.compile(rb"\r\n[ \t]")
_LENGTH = re.compile(rb"\r\n(?i:content-length)[ \t]*:[ \t]*([^\r\n]*)")
_ENCODING = re.compile(rb"\r\n(?i:transfer-encoding)[ \t]*:")
# The part of h11's messages that quotes the request as a Python literal.
_CITED = re.compile(r"[: (]*\b(bytearray\()?b['\"].*", re.DOTALL)
_DIGITS = re.compile(rb"[0-9]+[ \t]*")


def cut_head(data: bytearray, scanned: int) -> bytes | None:
    """Take a request line with its headers from the beginning of `data`.

    Returns None if they are incomplete. The first `scanned` bytes were scanned by the
    last call. Raises Refused if the data is not the beginning of a valid request.
    """
    while data.startswith(b"\r\n"):
        del data[:2]
    if data and data[0] <= ord(" ") and data != b"\r":
        raise Refused(400, "This is no HTTP request.")
    start = max(0, scanned - len(_END) + 1)
    end = data.find(_END, start)
    if _BARE_LINE_FEED.search(data, start, end if end >= 0 else len(data)):
        raise Refused(400, "Lines must end with CR and LF.")
    if (end if end >= 0 else len(data)) > MAX_HEAD:
        raise Refused(431, f"Request line and headers exceed {MAX_HEAD} bytes.")
    if end < 0:
        return None
    head = bytes(data[: end + len(_END)])
    del data[: len(head)]
    return head


def _check(head: bytes) -> None:
    """Raise Refused for forms that can be understood in two ways."""
    if _FOLDED.search(head):
        raise Refused(400, "A header must not go on in the next line.")
    lengths = _LENGTH.findall(head)
    if len(lengths) > 1 or not all(map(_DIGITS.fullmatch, lengths)):
        raise Refused(400, "Content-Length must be one number.")
    if lengths and _ENCODING.search(head):
        text = "Content-Length and Transfer-Encoding must not be given both."
        raise Refused(400, text)


class Exchange:
    """Reads one request, and then writes its answer.

    A body of more than `max_body` bytes is refused.
    """

    def __init__(self, max_body: int) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._max_body = max_body
        self._head_only = False
        self._chunked = False
        self._last = b""
        self._body = bytearray()
        self.has_body = False

    # -- the request

    def read_head(self, head: bytes) -> h11.Request:
        """Return the request with this head, from `cut_head`. Raises Refused."""
        _check(head)
        self._http.receive_data(head)
        request = self._next_event()
        assert isinstance(request, h11.Request)  # noqa: S101
        self._head_only = request.method == b"HEAD"
        if not request.http_version.startswith(b"1."):
            raise Refused(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        self._read_headers(dict(request.headers), request.http_version)
        return request

    def _read_headers(self, headers: dict[bytes, bytes], version: bytes) -> None:
        length = int(headers.get(b"content-length", b"0"))
        self._chunked = b"transfer-encoding" in headers
        self.has_body = self._chunked or length > 0
        if self._chunked and version < b"1.1":
            raise Refused(400, "HTTP/1.0 has no Transfer-Encoding.")
        if length > self._max_body:
            raise self._too_large()
        expected = headers.get(b"expect", b"100-continue").lower()
        if expected != b"100-continue" and version >= b"1.1":
            raise Refused(417, "Nothing but 100-continue can be expected here.")

    def read_body(self, data: bytes) -> bytes | None:
        """Add to the body; return the input after it, or None if it is incomplete.

        For a request without a body, call it with empty `data`. Raises Refused.
        """
        if data:
            self._http.receive_data(data)
        while True:
            event = self._next_event()
            if event is h11.NEED_DATA:
                self._last = (self._last + data[-len(_END) :])[-len(_END) :]
                return None
            if isinstance(event, h11.EndOfMessage):
                return self._rest(data)
            assert isinstance(event, h11.Data)  # noqa: S101
            self._body += event.data
            if len(self._body) > self._max_body:
                raise self._too_large()

    @property
    def kept(self) -> int:
        """How many bytes of the body have been read."""
        return len(self._body)

    def take_body(self) -> bytes:
        """Return the body, and free it here."""
        body, self._body = bytes(self._body), bytearray()
        return body

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            status, reason = error.error_status_hint, _CITED.sub("", str(error))
            # The traceback of h11 refers to the error.
            cause = error.with_traceback(None)
            raise Refused(status, f"This is no valid request: {reason}.") from cause

    def _rest(self, data: bytes) -> bytes:
        """Return the part of `data` after the request."""
        rest, _ = self._http.trailing_data
        read = self._last + data[: len(data) - len(rest)]
        if self._chunked and not read.endswith(_END):
            raise Refused(400, "Lines must end with CR and LF.")
        return rest

    def _too_large(self) -> Refused:
        return Refused(
            413, f"A workload may have {self._max_body} bytes (--max-packet)."
        )

    # -- the answer

    def go_on(self) -> bytes:
        """Return `100 Continue` if the client waits for it, else b""."""
        if not self._http.they_are_waiting_for_100_continue:
            return b""
        event = h11.InformationalResponse(
            status_code=100, headers=[], reason="Continue"
        )
        return self._http.send(event)

    def answer(self, answer: Answer, server: Headers) -> bytes:
        """Return a complete answer; `server` are the headers that every answer has."""
        length = (b"Content-Length", b"%d" % len(answer.body))
        headers = [*answer.headers, *((length,) if answer.status != 204 else ())]
        if answer.close:
            headers.append((b"Connection", b"close"))
        parts = [
            self._begin(answer.status, (*headers, *server)),
            self.more(answer.body),
        ]
        parts.append(self._http.send(h11.EndOfMessage()))
        return b"".join(parts)

    def begin(self, headers: Headers) -> bytes:
        """Return the beginning of an answer whose length is not known."""
        return self._begin(200, headers)

    def _begin(self, status: int, headers: Headers) -> bytes:
        reason = HTTPStatus(status).phrase
        event = h11.Response(status_code=status, headers=list(headers), reason=reason)
        return self._http.send(event)

    def more(self, data: bytes) -> bytes:
        """Return data in the form of the answer's body: b"" for HEAD."""
        return b"".join(self.parts(data))

    def parts(self, data: bytes) -> list[bytes]:
        """Return the same in parts, one of which is the data itself: no copy."""
        if self._head_only or not data:
            return []
        return self._http.send_with_data_passthrough(h11.Data(data=data)) or []

    def end(self, trailers: Headers) -> bytes:
        """Return the end of an answer, with trailers if HTTP allows them here."""
        possible = self._http.their_http_version != b"1.0" and not self._head_only
        event = h11.EndOfMessage(headers=list(trailers) if possible else [])
        return self._http.send(event)

    @property
    def goes_on(self) -> bool:
        """Whether another request may follow on the connection."""
        http = self._http
        return http.our_state is http.their_state is h11.DONE


def server_headers(version: str, wall: float) -> Headers:
    """Return the headers that every answer has; `wall` is in seconds since 1970."""
    date = formatdate(wall, usegmt=True).encode()
    return (b"Server", f"Gearman/{version}".encode()), (b"Date", date)
