"""A blocking test peer with its own implementation of the protocol.

It shares nothing with the tested code: the packet names are defined here again, and
any bytes can be sent.
"""

import socket
import ssl
import time
from collections.abc import Iterable
from typing import NamedTuple, Self

from tests.servers import DEADLINE, HOST

REQUEST = b"\0REQ"
RESPONSE = b"\0RES"

_WORDS = """
    TEXT CAN_DO CANT_DO RESET_ABILITIES PRE_SLEEP UNUSED NOOP SUBMIT_JOB JOB_CREATED
    GRAB_JOB NO_JOB JOB_ASSIGN WORK_STATUS WORK_COMPLETE WORK_FAIL GET_STATUS
    ECHO_REQ ECHO_RES SUBMIT_JOB_BG ERROR STATUS_RES SUBMIT_JOB_HIGH SET_CLIENT_ID
    CAN_DO_TIMEOUT ALL_YOURS WORK_EXCEPTION OPTION_REQ OPTION_RES WORK_DATA
    WORK_WARNING GRAB_JOB_UNIQ JOB_ASSIGN_UNIQ SUBMIT_JOB_HIGH_BG SUBMIT_JOB_LOW
    SUBMIT_JOB_LOW_BG SUBMIT_JOB_SCHED SUBMIT_JOB_EPOCH SUBMIT_REDUCE_JOB
    SUBMIT_REDUCE_JOB_BACKGROUND GRAB_JOB_ALL JOB_ASSIGN_ALL GET_STATUS_UNIQUE
    STATUS_RES_UNIQUE
"""
# The numbers of our own begin here.
_OURS = 256
_OUR_WORDS = """
    SUBMIT_JOB_WITH GET_RESULT RESULT_RES WATCH_JOB WORK_RETRY WORK_CANCEL
"""
NAMES = dict([*enumerate(_WORDS.split()), *enumerate(_OUR_WORDS.split(), _OURS)])
NAMES[265] = "JOB_TRACE"
NUMBERS = {name: number for number, name in NAMES.items()}


class Packet(NamedTuple):
    """A packet from the server; `body` is all after its header."""

    name: str
    body: bytes

    @property
    def arguments(self) -> list[bytes]:
        """The body split at each NUL, also within the data."""
        return self.body.split(b"\0")


def packet(name: str | int, *arguments: bytes, magic: bytes = REQUEST) -> bytes:
    """Return the bytes of a packet, which is given by name or number."""
    number = NUMBERS[name] if isinstance(name, str) else name
    body = b"\0".join(arguments)
    return magic + number.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body


class Peer:
    """A connection to a job server; every read ends before the deadline."""

    def __init__(
        self, port: int, host: str = HOST, tls: ssl.SSLContext | None = None
    ) -> None:
        self.socket = socket.create_connection((host, port), DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self.pending = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send_bytes(self, data: bytes) -> None:
        self.socket.settimeout(DEADLINE)
        self.socket.sendall(data)

    def send(self, name: str | int, *arguments: bytes) -> None:
        """Send one request."""
        self.send_bytes(packet(name, *arguments))

    def send_line(self, line: bytes) -> None:
        """Send an admin line, which is given without its line end."""
        self.send_bytes(line + b"\r\n")

    def receive(self) -> Packet:
        """Return the next packet from the server."""
        header = self.take(12)
        if header[:4] != RESPONSE:
            rest = bytes(self.pending)
            raise AssertionError(f"not a packet: {header + rest!r}")
        number = int.from_bytes(header[4:8], "big")
        body = self.take(int.from_bytes(header[8:12], "big"))
        return Packet(NAMES[number], body)

    def receive_any(self) -> Packet | bytes:
        """Return the next packet or line."""
        deadline = time.monotonic() + DEADLINE
        while not self.pending:
            self.read_more(deadline)
        return self.receive_line() if self.pending[0] else self.receive()

    def expect(self, name: str) -> list[bytes]:
        """Return the arguments of the next packet, which must have this name."""
        received = self.receive()
        if received.name != name:
            raise AssertionError(f"{received} came instead of {name}")
        return received.arguments

    def request(self, name: str | int, *arguments: bytes) -> Packet:
        """Send one request and return the next packet."""
        self.send(name, *arguments)
        return self.receive()

    def fence(self) -> list[Packet]:
        """Send an echo, and return the packets before its answer."""
        mark = b"fence"
        self.send("ECHO_REQ", mark)
        return list(iter(self.receive, Packet("ECHO_RES", mark)))

    def receive_line(self) -> bytes:
        """Return the next line from the server, with its line end."""
        deadline = time.monotonic() + DEADLINE
        while (end := self.pending.find(b"\n")) < 0:
            self.read_more(deadline)
        return self.take(end + 1)

    def ask(self, line: bytes) -> bytes:
        """Return the answer to an admin line, which is one line."""
        self.send_line(line)
        return self.receive_line()

    def ask_list(self, line: bytes) -> list[bytes]:
        """Return the lines of a list without its final `.`, and without line ends."""
        self.send_line(line)
        answers: Iterable[bytes] = iter(self.receive_line, b".\n")
        return [answer.rstrip(b"\n") for answer in answers]

    def receive_end(self) -> bytes:
        """Return all data before the server closes the connection."""
        deadline = time.monotonic() + DEADLINE
        try:
            while True:
                self.read_more(deadline)
        except (EOFError, ConnectionError):
            return self.take(len(self.pending))

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes from the server."""
        deadline = time.monotonic() + DEADLINE
        while len(self.pending) < size:
            self.read_more(deadline)
        taken = bytes(self.pending[:size])
        del self.pending[:size]
        return taken

    def read_more(self, deadline: float) -> None:
        """Wait for bytes, and add them to those that are pending."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError(f"no answer in time; came so far: {self.pending!r}")
        self.socket.settimeout(remaining)
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError(f"the server closed; came before: {bytes(self.pending)!r}")
        self.pending += data
