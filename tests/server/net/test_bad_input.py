"""Bad input, row by row, with each kind of connection.

Every row is sent by many connections at once. Meanwhile a client waits for a job, which
a worker runs. Neither of them may be affected, and the server's memory must not grow.

Other modules test peers that do not read (test_listener, test_tls), limits of jobs,
functions and connections (test_limits, test_show_limits), missing descriptors
(test_main), a failing queue and unreadable stored rows (test_store, test_durability).
"""

import re
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from gearman.commands import MAX_FUNCTION, MAX_HANDLE, MAX_UNIQUE
from tests.certificates import Authority
from tests.server.net.facts.test_limits import limits
from tests.servers import Server, free_port, ours
from tests.wire import Peer, packet

MAX_PACKET = 100_000
OPTIONS: tuple[str, ...] = (f"--max-packet={MAX_PACKET}", "--request-timeout=0.3")

# Connections that send a row, and by how many bytes the server may grow.
CROWD = 10
MEMORY = 8 * 1024 * 1024


class Row(NamedTuple):
    """Bad input, its answer, and the counter of closed connections that it increments.

    Without a `counter` the connection stays open. `refused` is a counter of refusals.
    """

    name: str
    data: bytes
    answer: bytes = b""
    counter: str = ""
    refused: str = ""


def declared(size: int) -> bytes:
    """Return only the header of a packet, with this length."""
    return packet("ECHO_REQ")[:8] + size.to_bytes(4, "big")


BAD, LARGE, SLOW = "bad-input", "max-packet", "request-timeout"
TOO_LARGE, INVALID = b"ARGUMENT_TOO_LARGE", b"INVALID_ARGUMENTS"

ROWS = (
    *(
        Row(f"type {number}", packet(number), b"", BAD)
        for number in (0, 43, 2**31, 2**32 - 1)
    ),
    Row("magic", packet("ECHO_REQ", b"x", magic=b"\0REX"), b"", BAD),
    Row("TLS", b"\x16\x03\x01\x02\x00\x01\x00", b"", BAD),
    Row("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"", BAD),
    Row("line", b"x" * 10_000, b"", BAD),
    Row("words", b"1 2 3 4 5 6\n", b"", BAD),
    Row("magic of answers", packet("ECHO_REQ", magic=b"\0RES"), b"INVALID_MAGIC"),
    *(
        Row(name, packet(name, b"H:1", b"x", b"y", b"z"), b"INVALID_COMMAND")
        for name in ("NOOP", "JOB_CREATED", "NO_JOB", "JOB_ASSIGN", "ECHO_RES")
        + ("ERROR", "STATUS_RES", "UNUSED", "JOB_ASSIGN_ALL", "STATUS_RES_UNIQUE")
    ),
    *(
        Row(f"{name} cut off", packet(name, b"x"), b"INVALID_COMMAND")
        for name in ("SUBMIT_JOB", "SUBMIT_JOB_BG", "SUBMIT_JOB_EPOCH", "WORK_DATA")
        + ("WORK_STATUS", "CAN_DO_TIMEOUT", "SUBMIT_REDUCE_JOB")
    ),
    Row(
        "half a packet over the limit", declared(MAX_PACKET + 1), TOO_LARGE, SLOW, LARGE
    ),
    Row("half a packet of 4 GiB", declared(2**32 - 1), TOO_LARGE, SLOW, LARGE),
    Row("function", packet("CAN_DO", b"f" * (MAX_FUNCTION + 1)), TOO_LARGE),
    Row(
        "function of a job",
        packet("SUBMIT_JOB", b"f" * (MAX_FUNCTION + 1), b"", b""),
        TOO_LARGE,
    ),
    Row("unique", packet("SUBMIT_JOB", b"f", b"u" * (MAX_UNIQUE + 1), b""), TOO_LARGE),
    Row("handle", packet("GET_STATUS", b"h" * (MAX_HANDLE + 1)), TOO_LARGE),
    *(
        Row(
            f"epoch {when!r}", packet("SUBMIT_JOB_EPOCH", b"f", b"", when, b""), INVALID
        )
        for when in (b"", b"soon", b"9" * 19, b"9" * 90)
    ),
    *(
        Row(f"timeout {time!r}", packet("CAN_DO_TIMEOUT", b"f", time), INVALID)
        for time in (b"", b"late", b"9" * 19, b"9" * 90)
    ),
    Row("foreign handle", packet("WORK_FAIL", b"H:1"), b"JOB_NOT_FOUND"),
    Row("half a head", b"\0REQ\0", b"", SLOW),
    Row("half a packet", declared(1000) + b"x" * 500, b"", SLOW),
    Row("half a large packet", declared(MAX_PACKET) + b"x" * 90_000, b"", SLOW),
    Row("half a line", b"status", b"", SLOW),
)

WEB_ROWS = (
    Row("no HTTP", b"\0REQ\0\0\0\7\0\0\0\0\r\n\r\n", b"400", BAD),
    Row("half a head", b"GET / HTTP/1.1\r\nHost", b"408", SLOW),
    Row(
        "half a body",
        b"POST /f HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx",
        b"408",
        SLOW,
    ),
    Row("head", b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", b"431", BAD),
    Row(
        "body over the limit",
        b"POST /f HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n",
        b"413",
        LARGE,
    ),
    Row(
        "length",
        b"POST /f HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"400",
        BAD,
    ),
    Row(
        "function",
        b"PUT /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"f" * (MAX_FUNCTION + 1)),
        b"400",
    ),
    Row(
        "unique",
        b"PUT /f HTTP/1.1\r\nHost: x\r\nX-Gearman-Unique: %b\r\n\r\n" % (b"u" * 65),
        b"400",
    ),
    Row("NUL", b"GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    Row("method", b"BREW /f HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
    Row(
        "two lengths",
        b"POST /f HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
        b"Content-Length: 2\r\n\r\n",
        b"400",
        BAD,
    ),
)


class Good:
    """A server with a client that waits for a job, and the worker that runs it."""

    def __init__(
        self, server: Server, connect: Callable[[], Peer], web_port: int = 0
    ) -> None:
        self.server, self.connect, self.web_port = server, connect, web_port
        self.client, self.worker = connect(), connect()
        self.worker.send("CAN_DO", b"good")
        self.client.send("SUBMIT_JOB", b"good", b"", b"work")
        (self.handle,) = self.client.expect("JOB_CREATED")
        self.worker.send("GRAB_JOB")
        assert self.worker.expect("JOB_ASSIGN") == [self.handle, b"good", b"work"]

    def check(self) -> None:
        """Check that the worker can send to the client, and that no other peer did."""
        self.worker.send("WORK_DATA", self.handle, b"on")
        assert self.client.expect("WORK_DATA") == [self.handle, b"on"]
        assert self.client.fence() == self.worker.fence() == []
        assert b"good\t1\t1\t1" in self.client.ask_list(b"status")

    def hits(self) -> dict[bytes, int]:
        return {name: int(row[2]) for name, row in limits(self.client).items()}

    def memory(self) -> int:
        """Return the server's resident memory in bytes, 0 if it is unknown."""
        if sys.platform != "linux":
            return 0
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.fixture(scope="module", params=["plain", "asyncio", "TLS"])
def good(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Good]:
    """A server with one kind of connection; asyncio is used if packets are logged."""
    options, tls = OPTIONS, None
    if request.param == "TLS":
        authority = Authority(tmp_path_factory.mktemp("authority"))
        # Handshakes have the same time as requests.
        options = (*OPTIONS, "--request-timeout=1", *authority.options())
        tls = authority.trust()
    elif request.param == "asyncio":
        options = (*OPTIONS, "--verbose=DEBUG", "--log-file=none")
    with serving(options, tls) as found:
        yield found


@pytest.fixture(scope="module")
def web() -> Iterator[Good]:
    pytest.importorskip("h11")
    port = free_port()
    with serving((*OPTIONS, "-r", "http", f"--http-port={port}"), None, port) as found:
        yield found


@contextmanager
def serving(
    options: tuple[str, ...], tls: ssl.SSLContext | None, web_port: int = 0
) -> Iterator[Good]:
    """Run a server in which a job is running."""
    with ours(*options, tls=tls, watchful=True) as server, ExitStack() as stack:

        def connect() -> Peer:
            return stack.enter_context(Peer(server.port, tls=tls))

        yield Good(server, connect, web_port)


def crowd(stack: ExitStack, connect: Callable[[], Peer], data: bytes) -> list[Peer]:
    """Send the same data by many connections, and return them."""
    peers = []
    for _ in range(CROWD):
        # At once, since there is a time limit.
        peers.append(stack.enter_context(connect()))
        peers[-1].send_bytes(data)
    return peers


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_bad_input_is_answered_and_harms_nobody_else(good, row):
    memory, hits = good.memory(), good.hits()
    with ExitStack() as stack:
        data = packet("ECHO_REQ", b"before") + row.data
        for peer in crowd(stack, good.connect, data):
            assert peer.expect("ECHO_RES") == [b"before"]
            if row.answer:
                assert peer.expect("ERROR")[0] == row.answer
            if row.counter:
                assert peer.receive_end() == b""
            else:
                assert peer.fence() == []
        good.check()
    for counter in filter(None, (row.counter, row.refused)):
        hits[counter.encode()] += CROWD
    assert good.hits() == hits
    assert good.memory() < memory + MEMORY


@pytest.mark.parametrize("row", WEB_ROWS, ids=[row.name for row in WEB_ROWS])
def test_bad_http_is_answered_and_harms_nobody_else(web, row):
    memory, hits = web.memory(), web.hits()
    with ExitStack() as stack:
        for peer in crowd(stack, lambda: Peer(web.web_port), row.data):
            assert peer.receive_line().split()[1] == row.answer
        web.check()
    if row.counter:
        hits[row.counter.encode()] += CROWD
    assert web.hits() == hits
    assert web.memory() < memory + MEMORY


@pytest.mark.parametrize("name", [b"a\nb\t9", b"\r\n.\r\n", b"\x1b[2J"])
def test_name_cannot_forge_a_line(good, name):
    escaped = re.sub(
        rb"[\x00-\x1f]", lambda found: b"\\x" + found[0].hex().encode(), name
    )
    with good.connect() as peer:
        peer.send("SET_CLIENT_ID", name)
        peer.send("CAN_DO", name)
        peer.fence()
        (row,) = (r for r in good.client.ask_list(b"workers") if escaped in r)
        assert row.endswith(b" 127.0.0.1 %b : %b" % (escaped, escaped))
        assert escaped + b"\t0\t0\t1" in good.client.ask_list(b"status")
    good.check()
