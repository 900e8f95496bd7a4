"""The interface of protocols: the manual's example in real servers, in both builds."""

import re
import socket
from contextlib import contextmanager, suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from types import ModuleType

import pytest

from gearman.commands import Command
from gearman.errors import ProtocolError
from gearman.server.broker import Peer as BrokerPeer
from gearman.server.protocols.interface import Protocol, Recipient, Service
from gearman.server.settings.config import Endpoint
from gearman.server.settings.protocols import ChosenProtocol
from tests import servers
from tests.server.net.test_listener import LOCAL, Running, running
from tests.servers import DEADLINE, HOST, until
from tests.wire import Peer

__all__ = ["running"]

# More bytes than the system buffers for a connection that is not read from.
MANY = 100_000_000

PAGE = Path(__file__).resolve().parents[3] / "docs" / "protocols.md"


@pytest.fixture(scope="module")
def source() -> str:
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert isinstance(block, str)
    return block


@pytest.fixture(scope="module")
def lines(source):
    """The module in the manual."""
    module = ModuleType("lines")
    exec(source, module.__dict__)  # noqa: S102
    return module


def speaking(service, **options):
    """Return the configuration of a server with a further protocol."""
    spoken = ChosenProtocol("lines", service, (Endpoint(HOST, 0),), options)
    return replace(LOCAL, protocols=(spoken,))


@contextmanager
def connected(server: Running):
    """Connect to the port of the first further protocol."""
    with socket.create_connection(server.others[0][:2], DEADLINE) as sock:
        yield sock


def echo_worker(peer: Peer, *functions: bytes) -> None:
    """Finish a job of each function in turn, with its workload."""
    for function in functions:
        peer.send("CAN_DO", function)
    for _ in functions:
        peer.send("PRE_SLEEP")
        peer.expect("NOOP")
        peer.send("GRAB_JOB")
        handle, _, workload = peer.expect("JOB_ASSIGN")
        peer.send("WORK_COMPLETE", handle, workload)


def send_all_it_takes(server: Running, client: socket.socket, data: bytes) -> int:
    """Send data again and again until no more is read, or MANY bytes are sent."""
    client.setblocking(False)
    refused = sent = 0
    with server.peer() as other:
        while refused < 50 and sent < MANY:
            try:
                sent += client.send(data)
                refused = 0
            except BlockingIOError:
                refused += 1
                other.fence()
    return sent


class TestExample:
    def test_job_of_another_protocol_is_done_by_a_worker(self, running, lines):
        with running(speaking(lines.Lines)) as server, connected(server) as client:
            client.sendall(b"f one\n")
            with server.peer() as worker:
                echo_worker(worker, b"f")
            assert client.recv(100) == b"one\n"

    def test_requests_that_came_together_are_carried_out_in_turn(self, running, lines):
        with running(speaking(lines.Lines)) as server, connected(server) as client:
            client.sendall(b"f one\ng\0 bad\ng two\n")
            with server.peer() as worker:
                echo_worker(worker, b"f", b"g")
            answers = client.makefile("rb")
            assert answers.readline() == b"one\n"
            assert answers.readline() == b"a function has no NUL in its name\n"
            assert answers.readline() == b"two\n"

    def test_hanging_up_drops_the_job(self, running, lines):
        with running(speaking(lines.Lines)) as server, server.peer() as admin:
            with connected(server) as client:
                client.sendall(b"f one\n")
                until(lambda: admin.ask_list(b"status") == [b"f\t1\t0\t0"])
            until(lambda: admin.ask_list(b"status") == [b"f\t0\t0\t0"])

    def test_endless_line_ends_the_connection(self, running, lines):
        with running(speaking(lines.Lines)) as server, server.peer() as peer:
            with connected(server) as client:
                client.sendall(b"x" * 65537)
                assert client.recv(1) == b""
            assert peer.fence() == []

    def test_requests_that_have_to_wait_do_not_pile_up(self, running, lines):
        with running(speaking(lines.Lines)) as server, connected(server) as client:
            assert send_all_it_takes(server, client, b"f one\n" * 10_000) < MANY
            with server.peer() as admin:
                assert admin.ask_list(b"status") == [b"f\t1\t0\t0"]

    def test_half_a_request_is_not_waited_for_longer(self, running, lines):
        config = replace(speaking(lines.Lines), request_timeout=0.1)
        with running(config) as server, connected(server) as client:
            client.sendall(b"f")
            assert client.recv(1) == b""

    def test_module_of_another_package_is_found(self, source, tmp_path):
        (tmp_path / "lines.py").write_text(source)
        info = tmp_path / "lines-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lines\nVersion: 1")
        (info / "entry_points.txt").write_text(
            "[gearman.protocols]\nlines = lines:Lines\nbroken = lines:Missing\n"
        )
        port = servers.free_port()
        words = ("-r", "lines", "--lines-port", str(port))
        with (
            servers.ours(*words, path=tmp_path) as server,
            Peer(server.port) as worker,
            socket.create_connection((HOST, port), DEADLINE) as client,
        ):
            client.sendall(b"f one\n")
            echo_worker(worker, b"f")
            assert client.recv(100) == b"one\n"
        with (
            pytest.raises(AssertionError, match="'broken'.*cannot be loaded"),
            servers.ours("-r", "broken", path=tmp_path),
        ):
            pass


class Script(Protocol):
    """Answers each byte by a byte; some bytes make it finish or fail."""

    def receive(self, data: bytes) -> None:
        if data == b"quit":
            self.peer.write(b"bye")
            self.finished = True
        elif data == b"leave":
            self.finished = True
        elif data == b"fail":
            self.peer.write(b"oh")
            self.error = ProtocolError("as it was told")
        elif data == b"alarm":
            self.deadline = 0.0
        elif data == b"bug":
            raise ValueError(data)
        elif data == b"bug when it goes on":
            self.ready = True
            self.peer.write(b"")
        elif data == b"bug in time":
            self.deadline = -1.0

    def resume(self) -> None:
        raise ValueError(self)

    def expire(self) -> None:
        if self.deadline < 0:
            raise ValueError(self)
        self.deadline = inf
        self.peer.write(b"now")


class Scripts(Service):
    port = 1

    def connect(self, address, descriptor, trace):
        return Script(BrokerPeer(address, descriptor))


class Faulty(Protocol):
    """Submits a job for each input, and fails when it gets the result."""

    def __init__(self, broker, address, descriptor):
        super().__init__(Recipient(address, descriptor, self.deliver))
        self.broker = broker

    def receive(self, data: bytes) -> None:
        self.broker.submit(self.peer, b"f", b"u", data)

    def deliver(self, command, arguments):
        if command == Command.WORK_COMPLETE:
            raise ValueError(arguments)


class Faults(Service):
    port = 1

    def connect(self, address, descriptor, trace):
        return Faulty(self.server.broker, address, descriptor)


class TestBugs:
    @pytest.mark.parametrize(
        "request_", [b"bug", b"bug when it goes on", b"bug in time"]
    )
    def test_bug_of_a_protocol_ends_one_connection(self, running, request_):
        with running(speaking(Scripts)) as server, server.peer() as peer:
            with connected(server) as client, suppress(ConnectionError):
                client.sendall(request_)
                assert client.recv(1) == b""
            assert peer.fence() == []

    def test_bug_of_a_protocol_does_not_disturb_the_broker(self, running):
        with running(speaking(Faults)) as server, server.peer() as worker:
            with connected(server) as client, server.peer() as other:
                client.sendall(b"work")
                until(lambda: worker.ask_list(b"status") == [b"f\t1\t0\t0"])
                other.send("SUBMIT_JOB", b"f", b"u", b"work")
                (handle,) = other.expect("JOB_CREATED")
                echo_worker(worker, b"f")
                assert other.expect("WORK_COMPLETE") == [handle, b"work"]
                with suppress(ConnectionError):
                    assert client.recv(1) == b""
            assert worker.ask_list(b"status") == [b"f\t0\t0\t1"]


class TestConnection:
    @pytest.mark.parametrize(
        ("request_", "answer"), [(b"quit", b"bye"), (b"leave", b""), (b"fail", b"oh")]
    )
    def test_protocol_ends_its_connection_when_all_was_sent(
        self, running, request_, answer
    ):
        with running(speaking(Scripts)) as server, connected(server) as client:
            client.sendall(request_)
            received = b""
            while data := client.recv(100):
                received += data
            assert received == answer

    def test_deadline_is_kept(self, running):
        with running(speaking(Scripts)) as server, connected(server) as client:
            client.sendall(b"alarm")
            assert client.recv(100) == b"now"
            client.sendall(b"quit")
            assert client.recv(100) == b"bye"


class Plain(Protocol):
    def receive(self, data: bytes) -> None: ...


class TestDefaults:
    def test_nothing_is_buffered_and_no_time_comes(self):
        protocol = Plain(BrokerPeer())
        assert (protocol.buffered, protocol.deadline) == (0, inf)

    def test_resuming_is_over_at_once(self):
        protocol = Plain(BrokerPeer())
        protocol.ready = True
        protocol.resume()
        assert not protocol.ready

    def test_deadline_ends_the_connection(self):
        protocol = Plain(BrokerPeer())
        protocol.expire()
        assert protocol.finished

    def test_bug_where_there_is_no_connection_is_raised(self):
        def deliver(command, arguments):
            raise ValueError(command)

        with pytest.raises(ValueError, match="19"):
            Recipient("here", 3, deliver).refuse(b"code", b"text")

    def test_recipient_gets_calls_and_no_packets(self):
        got = []
        peer = Recipient("here", 3, lambda *sent: got.append(sent))
        peer.refuse(b"code", b"text")
        assert got == [(19, (b"code", b"text"))]
        assert (peer.address, peer.descriptor, peer.outbox) == ("here", 3, [])
