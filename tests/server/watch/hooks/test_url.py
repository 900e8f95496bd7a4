"""A hook posts events to a URL, signed."""

import hmac
import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from gearman.server.watch.hooks import url as module
from gearman.server.watch.hooks.courier import TargetError
from gearman.server.watch.hooks.url import Url, signature
from tests.certificates import Authority
from tests.servers import free_port

LINES = [b'{"event": "lost"}\n', b'{"event": "expired"}\n']


class Receiver(ThreadingHTTPServer):
    """Keeps the requests that it gets, and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.go_on = Event()
        self.go_on.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.server.go_on.wait(10)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Write nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


def deliver(url: Url, lines: list[bytes] = LINES) -> None:
    url.deliver(lines, Event())
    url.close()


def test_events_are_posted_as_a_list(receiver: Receiver) -> None:
    deliver(Url(f"{receiver.url}/path?a=1", b""))
    ((path, headers, body),) = receiver.requests
    assert path == "/path?a=1"
    assert json.loads(body) == [{"event": "lost"}, {"event": "expired"}]
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("gearman-py/")
    assert "X-Gearman-Signature" not in headers


def test_request_is_signed_over_time_and_body(receiver: Receiver) -> None:
    deliver(Url(receiver.url, b"secret"))
    ((path, headers, body),) = receiver.requests
    assert path == "/"
    time, value = headers["X-Gearman-Signature"].split(",")
    signed = time.removeprefix("t=").encode() + b"." + body
    assert value == f"v1={hmac.new(b'secret', signed, 'sha256').hexdigest()}"


def test_signature_is_that_of_the_example() -> None:
    found = signature(b"secret", 1700000000.9, b"[]")
    assert found == (
        "t=1700000000,"
        "v1=74f76d8933679a54d6be8c7560a5233b124658241ca5a3b0f09af80d3ea60d78"
    )


def test_attempts_of_a_batch_have_the_same_number(receiver: Receiver) -> None:
    url = Url(receiver.url, b"")
    for lines in (LINES, list(LINES), LINES[:1]):
        deliver(url, lines)
    first, second, third = (
        headers["X-Gearman-Delivery"] for _, headers, _ in receiver.requests
    )
    assert first == second != third


@pytest.mark.parametrize(
    ("status", "final"), [(404, True), (410, True), (429, False), (302, False)]
)
def test_other_answers_are_errors(receiver: Receiver, status: int, final: bool) -> None:
    receiver.status = status
    with pytest.raises(TargetError, match=f"^the answer is {status} ") as caught:
        deliver(Url(receiver.url, b""))
    assert caught.value.final == final


def test_receiver_that_is_not_there_is_an_error() -> None:
    with pytest.raises(TargetError, match="^Connection refused$") as caught:
        deliver(Url(f"http://127.0.0.1:{free_port()}", b""))
    assert not caught.value.final


def test_receiver_that_hangs_is_an_error(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    receiver.go_on.clear()
    with pytest.raises(TargetError, match="^no answer within 0.05 seconds$"):
        deliver(Url(receiver.url, b""))


def test_receiver_that_speaks_no_http_is_an_error(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send_nonsense(handler: Handler) -> None:
        handler.wfile.write(b"nonsense\n")

    monkeypatch.setattr(Handler, "do_POST", send_nonsense)
    with pytest.raises(TargetError, match="nonsense"):
        deliver(Url(receiver.url, b""))


def test_certificate_of_the_receiver_is_checked(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server)
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
    https = receiver.url.replace("http:", "https:")
    with pytest.raises(TargetError, match="(?i)certificate.verify.failed"):
        deliver(Url(https, b""))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    url = Url(https, b"")
    deliver(url)
    deliver(url)
    assert len(receiver.requests) == 2
