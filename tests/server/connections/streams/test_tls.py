"""TLS of the server: byte by byte, and with real connections to a process."""

import gc
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import replace
from http.client import HTTPSConnection
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

import gearman
from gearman.errors import StartupError
from gearman.server.connections.streams.tls import TlsProtocol
from gearman.server.net.listener import Listener
from gearman.server.protocols.interface import Protocol
from gearman.server.settings.certificates import Certificates
from gearman.server.settings.config import Config, Endpoint, Tls
from tests.certificates import Authority
from tests.server.conftest import Server as MemoryServer
from tests.server.net.test_listener import LOCAL, running
from tests.servers import DEADLINE, HOST, Server, free_port, missing, ours, until
from tests.wire import Peer, packet

__all__ = ["running"]

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the server does not know."""
    return Authority(tmp_path_factory.mktemp("stranger"))


class Client:
    """A client of a TlsProtocol, without sockets."""

    def __init__(
        self,
        server: MemoryServer,
        context: ssl.SSLContext,
        certificates: Certificates,
        inner: Protocol | None = None,
    ) -> None:
        self.wire = server.connect()
        self.protocol = TlsProtocol(
            inner or self.wire.protocol, certificates.context, 1030.0, 30.0
        )
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=HOST)

    def shake_hands(self, size: int = 1 << 20) -> "Client":
        """Do the handshake, passing so many bytes at once."""
        while self.protocol.error is None and not self._done():
            self.pass_on(size)
        self.pass_on(size)
        return self

    def _done(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def pass_on(self, size: int) -> None:
        """Hand over what either has for the other, so many bytes at once."""
        data = self.outgoing.read()
        for start in range(0, len(data), size):
            self.protocol.receive(data[start : start + size])
            self.incoming.write(self.protocol.data_to_send())

    def send(self, data: bytes, size: int = 1 << 20) -> None:
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        self.pass_on(size)

    def got(self) -> bytes:
        """Return the data that the client has received, with a mark for the end."""
        self.incoming.write(self.protocol.data_to_send())
        parts = []
        try:
            while part := self.tls.read(1 << 20):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts)
        return b"".join([*parts, b"<end>"])

    def leave(self) -> None:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.pass_on(1 << 20)


class TestProtocol:
    @pytest.fixture
    def open(self, server, authority):
        def connect(
            context: ssl.SSLContext | None = None, verify="none", **options: str
        ) -> Client:
            path = str(authority.server)
            files = Tls(path, path, str(authority.path), verify)
            return Client(server, context or authority.trust(), Certificates(files))

        return connect

    def test_requests_are_answered(self, open):
        client = open().shake_hands()
        client.send(packet("ECHO_REQ", b"hello") + b"version\n")
        assert client.got().endswith(b"helloOK 1.2.3\n")

    def test_nothing_depends_on_where_the_stream_is_cut(self, open):
        client = open().shake_hands(1)
        client.send(packet("ECHO_REQ", b"hello") * 2, 1)
        assert client.got().count(b"hello") == 2

    @pytest.mark.parametrize("size", [16 * 1024, 16 * 1024 + 1, 3_000_000])
    def test_large_packets_go_round(self, open, size):
        client = open().shake_hands()
        client.send(packet("ECHO_REQ", bytes(range(256)) * (size // 256)), 100_000)
        assert client.got()[12:] == bytes(range(256)) * (size // 256)

    def test_plain_text_is_told_and_gets_nothing(self, open):
        client = open()
        client.protocol.receive(packet("ECHO_REQ", b"x"))
        assert str(client.protocol.error) == "no TLS handshake where TLS is required"
        assert client.protocol.data_to_send() == b""

    @pytest.mark.parametrize("step", [1, 4, 5, 7, 100])
    def test_whole_records_leave_nothing_unfinished(self, open, step):
        client = open().shake_hands()
        client.tls.write(packet("ECHO_REQ", b"x" * 20_000))
        data = client.outgoing.read()
        for start in range(0, len(data), step):
            client.protocol.receive(data[start : start + step])
            assert bool(client.protocol.buffered) == (start + step < len(data))

    def test_what_breaks_tls_ends_it(self, open):
        client = open().shake_hands()
        client.protocol.receive(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        assert re.match("TLS: .*mac", str(client.protocol.error))
        assert client.protocol.error.fatal

    def test_what_came_before_is_done_before_tls_is_broken(self, open, server):
        client = open().shake_hands()
        client.tls.write(b"create function f\r\n")
        client.protocol.receive(
            client.outgoing.read() + b"\x17\x03\x03\x00\x20" + b"x" * 32
        )
        assert client.protocol.error is not None
        assert server.broker.functions.known.keys() == {b"f"}

    def test_error_of_the_protocol_inside_is_passed_on(self, open):
        client = open().shake_hands()
        client.send(packet(43))
        assert "43" in str(client.protocol.error)

    def test_part_of_a_request_is_passed_on_as_buffered(self, open):
        client = open().shake_hands()
        client.send(packet("ECHO_REQ", b"x" * 100)[:50])
        assert client.protocol.buffered == 50

    def test_peer_that_is_done_gets_its_answer(self, open):
        client = open().shake_hands()
        client.tls.write(b"version\n")
        client.leave()
        assert client.protocol.finished
        assert client.protocol.error is None
        assert client.got() == b"OK 1.2.3\n"

    def test_peer_is_told_that_it_is_over(self, open):
        client = open().shake_hands()
        client.incoming.write(client.protocol.end())
        assert client.got() == b"<end>"

    def test_nothing_can_be_sent_after_the_end(self, open):
        client = open().shake_hands()
        client.protocol.end()
        client.wire.peer.write(b"late")
        assert client.protocol.data_to_send() == b""
        assert client.protocol.end() == b""

    @pytest.mark.parametrize("verify", ["optional", "required"])
    def test_good_certificate_is_accepted(self, open, authority, verify):
        client = open(authority.trust(authority.client), verify).shake_hands()
        client.send(b"version\n")
        assert client.got() == b"OK 1.2.3\n"

    def test_certificate_is_not_needed_where_it_is_optional(self, open):
        client = open(verify="optional").shake_hands()
        client.send(b"version\n")
        assert client.got() == b"OK 1.2.3\n"

    def test_certificate_may_be_required(self, open):
        client = open(verify="required").shake_hands()
        reason = "TLS: it has no certificate, which is required"
        assert str(client.protocol.error) == reason
        client.incoming.write(client.protocol.data_to_send())
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            client.got()

    @pytest.mark.parametrize("verify", ["optional", "required"])
    def test_strangers_certificate_is_refused(self, open, authority, stranger, verify):
        client = open(authority.trust(stranger.client), verify).shake_hands()
        assert str(client.protocol.error).startswith(
            "TLS: its certificate is refused: "
        )

    def test_strangers_certificate_is_not_looked_at_unless_asked(
        self, open, authority, stranger
    ):
        client = open(authority.trust(stranger.client)).shake_hands()
        client.send(b"version\n")
        assert client.got() == b"OK 1.2.3\n"

    def test_client_that_refuses_the_server_is_understood(self, open, stranger):
        client = open(stranger.trust())
        with pytest.raises(ssl.SSLCertVerificationError):
            client.shake_hands()
        client.pass_on(1 << 20)
        assert re.match("TLS: .*alert.* unknown ca", str(client.protocol.error))

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    def test_versions_before_1_2_are_refused(self, open, authority):
        context = authority.trust()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        client = open(context).shake_hands()
        assert str(client.protocol.error) == "TLS: it knows nothing newer than TLS 1.1"

    def test_version_1_2_is_spoken(self, open, authority):
        context = authority.trust()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        client = open(context).shake_hands()
        client.send(b"version\n")
        assert client.got() == b"OK 1.2.3\n"


class Moody(Protocol):
    """A protocol whose attributes the test sets."""

    def receive(self, data: bytes) -> None:
        for name in data.decode().split():
            setattr(self, name, True)
        self.deadline = 77.0
        self.peer.write(b"so be it")

    def resume(self) -> None:
        super().resume()
        self.peer.write(b"resumed")

    def expire(self) -> None:
        self.peer.write(b"expired")


class TestOtherProtocols:
    """The attributes of a protocol have the same effect inside TLS."""

    @pytest.fixture
    def client(self, server, authority):
        client = Client(
            server,
            authority.trust(),
            Certificates(Tls(str(authority.server), str(authority.server))),
            Moody(server.connect().peer),
        )
        return client.shake_hands()

    @pytest.mark.parametrize("name", ["finished", "paused", "ready"])
    def test_wishes_are_passed_on(self, client, name):
        assert not getattr(client.protocol, name)
        client.send(name.encode())
        assert getattr(client.protocol, name)

    def test_wish_that_is_taken_back_is_taken_back(self, client):
        client.send(b"ready")
        client.protocol.resume()
        assert not client.protocol.ready
        assert client.got() == b"so be itresumed"

    def test_its_deadline_counts_after_the_handshake(self, client):
        client.send(b"")
        client.send(b"x")
        assert client.protocol.deadline == 77.0
        client.protocol.expire()
        assert client.got() == b"so be itexpired"

    def test_handshake_has_a_deadline_of_its_own(self, server, authority):
        files = Tls(str(authority.server), str(authority.server))
        client = Client(server, authority.trust(), Certificates(files))
        assert client.protocol.deadline == 1030.0
        client.protocol.expire()
        reason = "it did not finish the TLS handshake within 30 seconds"
        assert str(client.protocol.error) == reason


def begin(authority: Authority) -> TlsProtocol:
    """Return the server's side of a new connection."""
    path = str(authority.server)
    inner = MemoryServer().connect().protocol
    return TlsProtocol(inner, Certificates(Tls(path, path)).context, 1030.0, 30.0)


def hello(authority: Authority) -> bytes:
    """Return the first bytes of a TLS client."""
    outgoing = ssl.MemoryBIO()
    context = authority.trust()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


class TestHostileBytes:
    @given(st.binary(max_size=400))
    def test_no_beginning_does_harm(self, authority, data):
        protocol = begin(authority)
        protocol.receive(b"\x16" + data)
        protocol.data_to_send()
        protocol.end()

    @given(st.data())
    def test_no_change_of_a_handshake_does_harm(self, authority, data):
        changed = bytearray(hello(authority))
        at = data.draw(st.integers(1, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
        protocol = begin(authority)
        protocol.receive(bytes(changed))
        protocol.data_to_send()
        protocol.receive(hello(authority))
        protocol.data_to_send()
        protocol.end()


def text_of(server: Server) -> str:
    return server.log.read_text()


def until_logged(server: Server, text: str) -> None:
    until(lambda: text in text_of(server))


def complaints(server: Server) -> list[str]:
    """Return the warnings and errors in the log."""
    return re.findall("^ *(?:WARNING|ERROR|CRITICAL).*", text_of(server), re.MULTILINE)


def stalling(
    authority: Authority, trust: ssl.SSLContext
) -> AbstractContextManager[Server]:
    """Run a server that waits a fifth of a second for what a peer has begun."""
    words = (*authority.options(), "--request-timeout=0.2")
    return ours(*words, tls=trust, watchful=True)


def connected(server: Server, trust: ssl.SSLContext) -> Peer:
    """Connect to a server that is `stalling`, again if the handshake takes too long."""

    def connect() -> Peer | None:
        with ExitStack() as stack, suppress(OSError, EOFError):
            peer = stack.enter_context(Peer(server.port, tls=trust))
            peer.fence()
            stack.pop_all()
            return peer
        return None

    peer = until(connect)
    assert peer is not None
    return peer


def complaints_about(server: Server, name: str) -> list[str]:
    return [line for line in complaints(server) if f" {name}: " in line]


def name_of(peer: Peer) -> str:
    """Return how the log names a peer."""
    host, port = peer.socket.getsockname()
    return f"{host}:{port}"


class TestServer:
    @pytest.fixture
    def trust(self, authority: Authority) -> ssl.SSLContext:
        return authority.trust()

    @pytest.fixture
    def server(self, authority: Authority, trust: ssl.SSLContext) -> Iterator[Server]:
        with ours(*authority.options(), tls=trust) as running:
            yield running

    def test_job_goes_round(self, server, trust):
        with (
            Peer(server.port, tls=trust) as client,
            Peer(server.port, tls=trust) as worker,
        ):
            worker.send("CAN_DO", b"f")
            worker.send("PRE_SLEEP")
            worker.fence()
            client.send("SUBMIT_JOB", b"f", b"", b"x" * 5_000_000)
            (handle,) = client.expect("JOB_CREATED")
            worker.expect("NOOP")
            worker.send("GRAB_JOB")
            assert worker.expect("JOB_ASSIGN") == [handle, b"f", b"x" * 5_000_000]
            worker.send("WORK_COMPLETE", handle, b"y" * 5_000_000)
            assert client.expect("WORK_COMPLETE") == [handle, b"y" * 5_000_000]

    def test_unix_sockets_stay_plain_and_share_the_jobs(
        self, authority, trust, tmp_path
    ):
        path = str(tmp_path / "gear")
        options = [*authority.options(), "-L", f"unix:{path}"]
        with (
            ours(*options, tls=trust) as server,
            Peer(server.port, tls=trust) as client,
            socket.socket(socket.AF_UNIX) as plain,
        ):
            plain.settimeout(DEADLINE)
            plain.connect(path)
            plain.sendall(packet("CAN_DO", b"f") + packet("PRE_SLEEP"))
            client.send("SUBMIT_JOB", b"f", b"", b"work")
            (handle,) = client.expect("JOB_CREATED")
            assert plain.recv(100) == packet("NOOP", magic=b"\0RES")
            plain.sendall(packet("GRAB_JOB"))
            assert plain.recv(100).endswith(handle + b"\0f\0work")
            plain.sendall(packet("WORK_COMPLETE", handle, b"done"))
            assert client.expect("WORK_COMPLETE") == [handle, b"done"]

    def test_http_is_spoken_through_tls_as_well(self, authority, trust):
        port = free_port()
        options = [*authority.options(), "-r", "http", f"--http-port={port}"]
        with (
            ours(*options, tls=trust) as server,
            Peer(server.port, tls=trust) as worker,
            closing(HTTPSConnection(HOST, port, context=trust)) as web,
        ):
            worker.send("CAN_DO", b"f")
            web.timeout = DEADLINE
            for _ in range(2):
                web.request("POST", "/f", b"x" * 1_000_000)
                worker.send("PRE_SLEEP")
                worker.expect("NOOP")
                worker.send("GRAB_JOB")
                handle, _, workload = worker.expect("JOB_ASSIGN")
                worker.send("WORK_COMPLETE", handle, workload + b"y")
                assert web.getresponse().read() == b"x" * 1_000_000 + b"y"

    @pytest.mark.parametrize("data", [packet("ECHO_REQ", b"x"), b"status\n", b"GET /"])
    def test_plain_connection_is_closed_with_one_line(self, server, trust, data):
        with Peer(server.port, tls=trust) as good:
            with Peer(server.port) as bad:
                bad.send_bytes(data)
                assert bad.receive_end() == b""
            assert good.fence() == []
            (line,) = complaints(server)
            assert line.endswith(": closed: no TLS handshake where TLS is required")

    def test_failed_handshakes_are_one_line_each(self, server, trust, stranger):
        for _ in range(3):
            with pytest.raises(ssl.SSLCertVerificationError):
                Peer(server.port, tls=stranger.trust())
        with Peer(server.port, tls=trust) as good:
            assert good.fence() == []
        lines = complaints(server)
        assert len(lines) == 3
        assert all("closed: TLS: " in line for line in lines)
        assert "Traceback" not in text_of(server)

    def test_client_may_be_asked_for_a_certificate(self, authority, trust):
        known = authority.trust(authority.client)
        with ours(*authority.options("required"), tls=known) as server:
            with (
                Peer(server.port, tls=trust) as peer,
                pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
            ):
                peer.receive_end()
            with Peer(server.port, tls=known) as peer:
                assert peer.fence() == []
            (line,) = complaints(server)
            assert line.endswith("TLS: it has no certificate, which is required")

    @pytest.mark.parametrize("polite", [True, False])
    def test_leaving_with_or_without_a_word_is_a_plain_disconnect(
        self, server, trust, polite
    ):
        with (
            Peer(server.port, tls=trust) as client,
            Peer(server.port, tls=trust) as idle,
        ):
            worker = Peer(server.port, tls=trust)
            worker.send("CAN_DO", b"f")
            client.send("SUBMIT_JOB", b"f", b"", b"work")
            client.expect("JOB_CREATED")
            worker.send("GRAB_JOB")
            worker.expect("JOB_ASSIGN")
            idle.send("CAN_DO", b"f")
            idle.send("PRE_SLEEP")
            idle.fence()
            if polite:
                assert isinstance(worker.socket, ssl.SSLSocket)
                worker.socket.unwrap()
            worker.close()
            idle.expect("NOOP")
        # Others may have lost jobs on this server before.
        assert all("its worker was lost" in line for line in complaints(server))

    @pytest.mark.parametrize("begin", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"])
    def test_handshake_that_stalls_is_not_waited_for_longer(
        self, authority, trust, begin
    ):
        with stalling(authority, trust) as server:
            with connected(server, trust) as good, Peer(server.port) as slow:
                name = name_of(slow)
                slow.send_bytes(begin)
                assert slow.receive_end() == b""
                assert good.fence() == []
            (line,) = complaints_about(server, name)
            assert line.endswith("did not finish the TLS handshake within 0.2 seconds")

    def test_half_a_request_is_not_waited_for_longer(self, authority, trust):
        with stalling(authority, trust) as server:
            with connected(server, trust) as slow:
                name = name_of(slow)
                slow.send_bytes(packet("ECHO_REQ", b"x" * 100)[:50])
                slow.receive_end()
            (line,) = complaints_about(server, name)
            assert "it sent part of a request and then nothing" in line

    @pytest.mark.parametrize("size", [1, 4, 5, 6, 60])
    def test_half_a_record_is_not_waited_for_longer(self, authority, trust, size):
        record = b"\x17\x03\x03\x00\x40" + b"x" * 64
        with stalling(authority, trust) as server:
            with connected(server, trust) as good, connected(server, trust) as p:
                name = name_of(p)
                # Without encryption, which would make a complete record of it.
                os.write(p.socket.fileno(), record[:size])
                p.receive_end()
                assert good.fence() == []
            (line,) = complaints_about(server, name)
            assert "it sent part of a request and then nothing" in line

    def test_slow_client_holds_its_worker_back_and_loses_nothing(
        self, authority, trust
    ):
        # Without back-pressure, the limit would soon be exceeded.
        options = [*authority.options(), "--max-outbox=8M"]
        with (
            ours(*options, tls=trust) as server,
            Peer(server.port, tls=trust) as other,
            Peer(server.port, tls=trust) as client,
            Peer(server.port, tls=trust) as worker,
        ):
            client.send("SUBMIT_JOB", b"f", b"", b"")
            (handle,) = client.expect("JOB_CREATED")
            worker.send("CAN_DO", b"f")
            worker.send("GRAB_JOB")
            worker.expect("JOB_ASSIGN")
            data = packet("WORK_DATA", handle, b"x" * 1_000_000)
            end = packet("WORK_COMPLETE", handle, b"")
            sending = Thread(target=worker.send_bytes, args=(data * 60 + end,))
            sending.start()
            # The server can read before the client does.
            for _ in range(500):
                other.fence()
            assert sending.is_alive()
            sizes = []
            while (received := client.receive()).name == "WORK_DATA":
                sizes.append(len(received.body))
            sending.join(DEADLINE)
        assert sizes == [len(data) - 12] * 60

    def test_client_that_never_reads_is_closed_alone(self, authority, trust):
        options = [*authority.options(), "--max-outbox=4M"]
        with (
            ours(*options, tls=trust) as server,
            Peer(server.port, tls=trust) as worker,
            Peer(server.port, tls=trust) as client,
        ):
            client.send("SUBMIT_JOB", b"f", b"", b"")
            (handle,) = client.expect("JOB_CREATED")
            worker.send("CAN_DO", b"f")
            worker.send("GRAB_JOB")
            worker.expect("JOB_ASSIGN")
            for _ in range(2):
                worker.send("WORK_DATA", handle, b"x" * 20_000_000)
            assert worker.fence() == []
            (line,) = complaints(server)
            assert "more than --max-outbox allows" in line

    def test_stop_closes_connections_properly(self, server, trust):
        with Peer(server.port, tls=trust) as peer, Peer(server.port) as halfway:
            peer.fence()
            halfway.send_bytes(b"\x16")
            server.process.send_signal(signal.SIGTERM)
            assert peer.receive_end() == b""
            assert server.process.wait(DEADLINE) == 0
        assert complaints(server) == []

    def test_requests_are_shown_in_the_log_as_without_tls(self, authority, trust):
        with ours(*authority.options(), "-vv", tls=trust) as server:
            with Peer(server.port, tls=trust) as peer:
                peer.send("SUBMIT_JOB_BG", b"some-function", b"some-unique", b"w")
                peer.expect("JOB_CREATED")
            assert "received SUBMIT_JOB_BG some-function some" in text_of(server)


class TestMuchToSend:
    """One result for many submissions: the same bytes, encrypted each time."""

    TIMES, RESULT = 2000, b"r" * 32 * 1024

    @pytest.fixture
    def config(self, authority: Authority) -> Config:
        path = str(authority.server)
        return replace(LOCAL, tls=Tls(path, path))

    def peers(self, server, trust: ssl.SSLContext, stack: ExitStack) -> list[Peer]:
        port = server.addresses[0][1]
        return [stack.enter_context(Peer(port, tls=trust)) for _ in range(2)]

    def complete(self, worker: Peer, client: Peer) -> bytes:
        """Let the client wait many times for one job, and send the result."""
        worker.send("CAN_DO", b"f")
        client.send_bytes(packet("SUBMIT_JOB", b"f", b"u", b"") * self.TIMES)
        for _ in range(self.TIMES):
            client.expect("JOB_CREATED")
        worker.send("GRAB_JOB")
        handle, *_ = worker.expect("JOB_ASSIGN")
        worker.send("WORK_COMPLETE", handle, self.RESULT)
        assert worker.fence() == []
        return handle

    def test_it_is_encrypted_as_it_is_sent(self, config, running, authority):
        with running(config) as server, ExitStack() as stack:
            worker, client = self.peers(server, authority.trust(), stack)
            gc.collect()
            tracemalloc.start()
            try:
                handle = self.complete(worker, client)
                assert tracemalloc.get_traced_memory()[1] < self.TIMES * 16 * 1024
            finally:
                tracemalloc.stop()
            for _ in range(self.TIMES):
                assert client.expect("WORK_COMPLETE") == [handle, self.RESULT]
            assert client.fence() == []
            assert server.listener.broker.memory.buffers < 100_000

    def test_all_of_it_comes_to_who_sends_nothing_more(
        self, config, running, authority
    ):
        with running(config) as server, ExitStack() as stack:
            worker, client = self.peers(server, authority.trust(), stack)
            handle = self.complete(worker, client)
            # The method of a TLS socket would stop decrypting.
            socket.socket.shutdown(client.socket, socket.SHUT_WR)
            for _ in range(self.TIMES):
                assert client.expect("WORK_COMPLETE") == [handle, self.RESULT]
            assert client.receive_end() == b""

    def test_who_does_not_take_it_is_closed(self, config, running, authority):
        config = replace(config, write_timeout=0.1)
        with running(config) as server, ExitStack() as stack:
            worker, client = self.peers(server, authority.trust(), stack)
            self.complete(worker, client)
            server.until(lambda: len(server.listener.connections) == 1)
            assert worker.fence() == []
            assert server.listener.broker.memory.buffers < 100_000

    def test_limit_of_what_may_wait_counts_all_of_it(self, config, running, authority):
        config = replace(config, max_outbox=self.TIMES * 16 * 1024)
        with running(config) as server, ExitStack() as stack:
            worker, client = self.peers(server, authority.trust(), stack)
            self.complete(worker, client)
            server.until(lambda: len(server.listener.connections) == 1)
            assert server.listener.broker.hits.counts["max-outbox"] == 1


class TestReload:
    def serial(self, server: Server, trust: ssl.SSLContext) -> str:
        with Peer(server.port, tls=trust) as peer:
            assert isinstance(peer.socket, ssl.SSLSocket)
            certificate = peer.socket.getpeercert()
            assert certificate is not None
            return str(certificate["serialNumber"])

    def test_hup_reads_the_certificate_again(self, tmp_path):
        authority = Authority(tmp_path)
        trust = authority.trust()
        with (
            ours(*authority.options(), tls=trust) as server,
            Peer(server.port, tls=trust) as old,
        ):
            first = self.serial(server, trust)
            authority.issue("server", HOST)
            server.process.send_signal(signal.SIGHUP)
            until_logged(server, "certificates read again")
            assert self.serial(server, trust) != first
            assert old.fence() == []

    def test_certificate_that_cannot_be_used_changes_nothing(self, tmp_path):
        authority = Authority(tmp_path)
        trust = authority.trust()
        with ours(*authority.options(), tls=trust) as server:
            first = self.serial(server, trust)
            authority.server.write_text("nonsense")
            server.process.send_signal(signal.SIGHUP)
            until_logged(server, "the certificates in use are kept: ")
            assert self.serial(server, trust) == first
            (line,) = complaints(server)
            assert "contains no certificate in PEM form" in line

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_files_are_read_before_the_server_becomes_another_user(self, tmp_path):
        authority = Authority(tmp_path)
        authority.server.chmod(0o600)
        trust = authority.trust()
        with ours(*authority.options(), "-u", "nobody", tls=trust) as server:
            server.process.send_signal(signal.SIGHUP)
            until_logged(server, "Permission denied")
            with Peer(server.port, tls=trust) as peer:
                assert peer.fence() == []


class TestFiles:
    """Files that cannot be used: the server does not start, and prints a sentence."""

    def sentence(self, certificate: Path, key: Path | None = None) -> str:
        return self.refused(Tls(str(certificate), str(key or certificate)))

    def refused(self, files: Tls) -> str:
        with pytest.raises(StartupError) as caught:
            Certificates(files)
        text = str(caught.value)
        assert "\n" not in text
        assert "--ssl-" in text or "openssl" in text
        return text

    def test_absent_file(self, tmp_path):
        text = self.sentence(tmp_path / "absent")
        assert "/absent' cannot be read (No such file or directory): " in text

    def test_absent_key(self, authority, tmp_path):
        text = self.sentence(authority.server, tmp_path / "absent")
        assert "absent" in text
        assert "--ssl-key" in text

    def test_certificate_without_key(self, authority):
        text = self.sentence(authority.path)
        assert "contains no private key in PEM form" in text

    def test_key_without_certificate(self, authority, tmp_path):
        key = tmp_path / "key"
        key.write_text(authority.server.read_text().partition("-----BEGIN CERT")[0])
        assert "contains no certificate in PEM form" in self.sentence(key)

    def test_key_of_another_certificate(self, authority, stranger):
        text = self.sentence(authority.server, stranger.server)
        assert "is not that of the first certificate in" in text

    def test_encrypted_key(self, authority, tmp_path):
        key = tmp_path / "key"
        key.write_bytes(encrypted(authority.server.read_bytes()))
        assert "is encrypted" in self.sentence(authority.server, key)

    def test_damaged_file(self, authority, tmp_path):
        path = tmp_path / "damaged"
        text = authority.server.read_text()
        path.write_text(re.sub("(CERTIFICATE-----.)....", r"\1====", text, flags=re.S))
        assert "cannot be used" in self.sentence(path)

    def test_authorities_that_are_none(self, authority, tmp_path):
        path = tmp_path / "damaged"
        path.write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
        server = str(authority.server)
        text = self.refused(Tls(server, server, str(path), "required"))
        assert "--ssl-ca-file" in text

    def test_listener_that_cannot_speak_tls_does_not_listen(self, tmp_path):
        config = Config(listen=(Endpoint(HOST, 0),), tls=Tls("/absent", "/absent"))
        with pytest.raises(StartupError):
            Listener(config, [])


def encrypted(pem: bytes) -> bytes:
    """Return the private key in `pem`, encrypted."""
    return serialization.load_pem_private_key(pem, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


class TestLibrary:
    """The blocking library, with servers given as dicts."""

    @pytest.fixture
    def address(self, authority: Authority) -> Iterator[dict[str, object]]:
        own = str(authority.client)
        files = {"keyfile": own, "certfile": own, "ca_certs": str(authority.path)}
        trust = authority.trust(authority.client)
        with ours(*authority.options("required"), tls=trust) as server:
            yield {"host": HOST, "port": server.port, **files}

    def test_job_goes_round(self, address):
        class Worker(gearman.GearmanWorker):
            def after_job(self) -> bool:
                return False

        worker = Worker([address])
        worker.register_task("reverse", lambda worker, job: job.data[::-1])
        with worker, gearman.GearmanClient([address]) as client:
            request = client.submit_job("reverse", "abc", wait_until_complete=False)
            worker.work()
            client.wait_until_jobs_completed([request], DEADLINE)
            assert request.result == "cba"

    def test_admin_client_asks(self, address):
        with gearman.GearmanAdminClient([address]) as admin:
            assert admin.ping_server() < DEADLINE
            assert admin.get_status() == ()

    def test_server_of_a_stranger_is_refused(self, address, stranger):
        foreign = {**address, "ca_certs": str(stranger.path)}
        with (
            gearman.GearmanClient([foreign]) as client,
            pytest.raises(gearman.errors.ServerUnavailable),
        ):
            client.submit_job("f", "x", background=True)


class TestManual:
    def test_its_commands_make_certificates_that_can_be_used(self, tmp_path):
        if shutil.which("openssl") is None:
            missing("openssl")
        manual = (ROOT / "docs" / "server.md").read_text()
        (commands,) = re.findall("^```sh\n(.*?)^```$", manual, re.MULTILINE | re.DOTALL)
        subprocess.run(
            ["sh", "-e", "-c", commands],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            timeout=DEADLINE,
        )
        trust = ssl.create_default_context(cafile=tmp_path / "authority.pem")
        # The default from Python 3.13 on.
        trust.verify_flags |= ssl.VERIFY_X509_STRICT
        trust.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
        options = [
            *("--ssl", f"--ssl-certificate={tmp_path}/server.pem"),
            *(f"--ssl-key={tmp_path}/server.key", "--ssl-verify=required"),
            f"--ssl-ca-file={tmp_path}/authority.pem",
        ]
        with (
            ours(*options, tls=trust) as server,
            Peer(server.port, tls=trust) as peer,
        ):
            assert peer.fence() == []
