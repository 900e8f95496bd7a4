"""Monitors of gearmand read its lists in their own ways, which must go on working.

`check_gearman` and `gearman_top` write two lines at once, and read once.
"""

import re
import socket
from collections.abc import Iterator

import pytest

from gearman.framing import BUILD
from tests import servers
from tests.servers import DEADLINE
from tests.wire import Peer

# More than a turn has time for.
FUNCTIONS = 600
# What check_gearman reads, in bytes.
MOST = 65_535


@pytest.fixture(scope="module", params=["speedups", "pure"])
def server(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    if request.param == "speedups" != BUILD:
        pytest.skip("the speedups are not built")
    with (
        servers.ours(pure=request.param == "pure") as server,
        Peer(server.port) as worker,
    ):
        for number in range(FUNCTIONS):
            worker.send("CAN_DO", b"function%05d" % number)
        worker.send("SUBMIT_JOB_BG", b"function00001", b"", b"w")
        worker.expect("JOB_CREATED")
        yield server


def read_once(server: servers.Server, lines: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as sock:
        sock.sendall(lines)
        return sock.recv(MOST)


def test_one_read_has_both_answers(server: servers.Server) -> None:
    for _ in range(20):
        text = read_once(server, b"status\nversion\n").decode()
        rows, version = text.split(".\n", 1)
        assert len(rows.splitlines()) == FUNCTIONS
        assert version.startswith("OK ")


def test_columns_are_those_of_gearmand(server: servers.Server) -> None:
    rows = read_once(server, b"status\n").decode().splitlines()
    assert rows[:2] == ["function00000\t0\t0\t1", "function00001\t1\t0\t1"]
    rows = read_once(server, b"prioritystatus\n").decode().splitlines()
    assert rows[1] == "function00001\t0\t1\t0\t1"


def test_list_ends_with_a_point_and_nothing_else(server: servers.Server) -> None:
    for line in (b"status\n", b"prioritystatus\n", b"show jobs\n"):
        text = read_once(server, line)
        assert text.endswith(b"\n.\n")
        assert b"\r" not in text


def test_address_of_a_worker_is_dotted(server: servers.Server) -> None:
    rows = read_once(server, b"workers\n").decode().splitlines()
    (row,) = (row for row in rows if "function00000" in row)
    assert re.fullmatch(r"\d+ 127\.0\.0\.1 - :( function\d{5})+", row)
