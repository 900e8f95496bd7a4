"""Workers and blocking calls in threads, and a server whose packets tests write."""

import select
import socket
import socketserver
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, TypeVar

import gearman
from tests.servers import DEADLINE, HOST, free_port
from tests.wire import NAMES, REQUEST, RESPONSE, Packet, packet

T = TypeVar("T")


def meanwhile(call: Callable[..., T], *arguments: Any, **options: Any) -> Future[T]:
    """Call a function in a thread; the future has its result or error."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call(*arguments, **options))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


@contextmanager
def working(worker: gearman.GearmanWorker, **options: Any) -> Iterator[Future[None]]:
    """Run a worker in a thread; it must end when it is stopped."""
    work = meanwhile(worker.work, **options)
    try:
        yield work
    finally:
        worker.stop()
        work.exception(DEADLINE)
    work.result(0)


class Conversation:
    """The server's side of a connection, used by a test."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        peer.settimeout(DEADLINE)
        self._file = peer.makefile("rb")

    def send(self, name: str | int, *arguments: bytes) -> None:
        self.send_bytes(packet(name, *arguments, magic=RESPONSE))

    def send_bytes(self, data: bytes) -> None:
        self.peer.sendall(data)

    def receive(self) -> Packet:
        header = self._file.read(12)
        if len(header) < 12:
            raise EOFError("the connection was closed")
        assert header[:4] == REQUEST
        number, length = (int.from_bytes(header[n : n + 4], "big") for n in (4, 8))
        return Packet(NAMES[number], self._file.read(length))

    def expect(self, *names: str) -> list[bytes]:
        """Return the arguments of the last of these packets, which must come next."""
        received = Packet("", b"")
        for name in names:
            received = self.receive()
            assert received.name == name, received
        return received.arguments

    def read_line(self) -> bytes:
        return self._file.readline()

    def ended(self) -> bool:
        """Whether the other side has closed, and has sent no more data."""
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self.peer.close()


class HandServer:
    """A server whose answers the test writes."""

    def __init__(self, family: int = socket.AF_INET, address: Any = (HOST, 0)) -> None:
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(address)
        self.listener.listen()
        self.listener.settimeout(DEADLINE)
        self.conversations: list[Conversation] = []

    @property
    def address(self) -> str:
        return "{}:{}".format(*self.listener.getsockname())

    def accept(self) -> Conversation:
        conversation = Conversation(self.listener.accept()[0])
        self.conversations.append(conversation)
        return conversation

    def __enter__(self) -> "HandServer":
        return self

    def __exit__(self, *_: object) -> None:
        for conversation in self.conversations:
            conversation.close()
        self.listener.close()


def unanswered() -> str:
    """Return an address where no server listens, so that connections are refused."""
    return f"{HOST}:{free_port()}"


@contextmanager
def tls_front(certificate: dict[str, str], port: int) -> Iterator[int]:
    """Accept TLS connections with certificates; pass their data on to a plain port."""
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=certificate["ca_certs"]
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate["certfile"], certificate["keyfile"])

    class Front(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as near,
                socket.create_connection((HOST, port)) as far,
            ):
                pass_on(near, far)

    with socketserver.ThreadingTCPServer((HOST, 0), Front) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def pass_on(near: ssl.SSLSocket, far: socket.socket) -> None:
    """Copy data in both directions until one side ends."""
    near.setblocking(False)
    while True:
        if not near.pending():
            select.select([near, far], [], [], DEADLINE)
        for source, sink in ((near, far), (far, near)):
            if source is far and not select.select([far], [], [], 0)[0]:
                continue
            with suppress(ssl.SSLWantReadError):
                data = source.recv(1 << 14)
                if not data:
                    return
                near.setblocking(True)
                sink.sendall(data)
                near.setblocking(False)


def counts(admin: gearman.GearmanAdminClient, task: str) -> tuple[int, int, int]:
    """Return the numbers of queued jobs, running jobs and workers of a function."""
    (row,) = [row for row in admin.get_status() if row["task"] == task]
    return row["queued"], row["running"], row["workers"]
