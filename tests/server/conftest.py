"""A server without sockets and clocks: peers send and get bytes."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gearman import _framing
from gearman.commands import REQUEST, RESPONSE, Command
from gearman.errors import ProtocolError
from gearman.server.broker import Broker
from gearman.server.connections import watchdog
from gearman.server.protocols.admin import Admin, Identity, Usage
from gearman.server.protocols.gear import Gear
from gearman.server.protocols.interface import Server as Site
from tests.server.broker.moves import ALL, Moves

Packet = tuple[Any, ...]


class Wire:
    """A peer: sends packets and lines, and keeps the answers."""

    def __init__(self, server: "Server", address: str, descriptor: int) -> None:
        self._server = server
        trace = server.trace.append
        self.protocol = server.gear.connect(address, descriptor, trace)
        self.peer = self.protocol.peer
        server.broker.connect(self.peer)
        self._decoder = _framing.Decoder(RESPONSE, lines=True)

    def send(self, command: int, *arguments: bytes) -> list[Packet]:
        """Send a packet, and return all answers since the last call."""
        return self.send_bytes(_framing.encode(command, arguments, REQUEST))

    def send_bytes(self, data: bytes) -> list[Packet]:
        self.protocol.receive(data)
        return self.got()

    def data(self) -> bytes:
        """Return all data that is sent to the peer, in any number of turns."""
        data = self.protocol.data_to_send()
        while self.protocol.ready:
            self.protocol.resume()
            data += self.protocol.data_to_send()
        return data

    def got(self) -> list[Packet]:
        """Return the packets (command, *arguments) and lines that this peer has got."""
        packets: list[Packet] = []
        for number, arguments in self._decoder.feed(self.data()):
            assert not isinstance(arguments, ProtocolError), arguments
            packets.append((Command(number), *arguments))
        return packets

    def ask(self, line: bytes) -> bytes:
        """Send an admin line and return the bytes of the answer."""
        self.protocol.receive(line + b"\n")
        return self.data()

    def submit(
        self,
        function: bytes = b"f",
        unique: bytes = b"",
        workload: bytes = b"w",
        command: Command = Command.SUBMIT_JOB,
    ) -> bytes:
        """Submit a job and return its handle."""
        ((answer, handle),) = self.send(command, function, unique, workload)
        assert answer == Command.JOB_CREATED
        assert isinstance(handle, bytes)
        return handle

    def can_do(self, *functions: bytes) -> "Wire":
        for function in functions or (b"f",):
            assert self.send(Command.CAN_DO, function) == []
        return self

    def grab(self) -> bytes | None:
        """Grab a job and return its handle, or None."""
        (answer, *arguments) = self.send(Command.GRAB_JOB)[-1]
        return arguments[0] if answer == Command.JOB_ASSIGN else None

    def grab_workload(self) -> bytes:
        """Grab a job and return its workload."""
        ((answer, *arguments),) = self.send(Command.GRAB_JOB)
        assert answer == Command.JOB_ASSIGN
        workload = arguments[-1]
        assert isinstance(workload, bytes)
        return workload

    def leave(self) -> None:
        self._server.broker.disconnect(self.peer)


class Server:
    """A broker with its protocols, and a clock that tests move."""

    def __init__(self, **options: Any) -> None:
        self.shutdowns: list[bool] = []
        self.trace: list[str] = []
        self.limits: list[Usage] = []
        self.broker = Broker(handle_prefix=b"H:test", **options)
        self.broker.places.watch = Moves()
        self.broker.places.watched = ALL
        identity = Identity("1.2.3", 4321, "NOTICE", self.shutdowns.append)
        self.site = Site(self.broker, "1.2.3")
        admin = Admin(self.broker, identity, limits=lambda: self.limits)
        self.gear = Gear(self.site, admin)
        self.now, self.wall = 1000.0, 1_700_000_000.0
        self.broker.tick(self.now, self.wall)

    def connect(self, address: str = "127.0.0.1", descriptor: int = 7) -> Wire:
        return Wire(self, address, descriptor)

    def worker(self, *functions: bytes) -> Wire:
        """Connect a sleeping worker with these functions (default: f)."""
        worker = self.connect().can_do(*functions)
        assert worker.send(Command.PRE_SLEEP) == []
        return worker

    def die(self, function: bytes = b"f") -> bytes:
        """Have a job go to the dead list, and return its handle."""
        client = self.connect()
        client.ask(b"set function " + function + b" dead=list")
        handle = client.submit(function, command=Command.SUBMIT_JOB_BG)
        worker = self.connect().can_do(function)
        assert worker.grab() == handle
        worker.send(Command.WORK_FAIL, handle)
        worker.leave()
        return handle

    def after(self, seconds: float) -> float:
        """Move both clocks, and return the seconds until something is due."""
        self.now += seconds
        self.wall += seconds
        self.broker.tick(self.now, self.wall)
        delay: float = self.broker.delay()
        return delay


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make servers in this process check often for stalled connections."""
    monkeypatch.setattr(watchdog, "WATCH_INTERVAL", 0.05)


class Messages(logging.Handler):
    """Keeps what is logged; `told` are the messages."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(self.format(record))

    def count(self, text: str) -> int:
        """Return how many messages contain a text."""
        return sum(text in message for message in self.told)


@pytest.fixture
def messages() -> Iterator[Messages]:
    """What the server in this process logs, from the level INFO on."""
    logger = logging.getLogger("gearman.server")
    level, handler = logger.level, Messages()
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def make_server() -> Callable[..., Server]:
    return Server
