"""Limits of real servers: refusals, other peers, and the rows of `show limits`."""

import socket
import sys
from argparse import SUPPRESS
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gearman.server.broker import FULL
from gearman.server.settings.options import GROUPS
from gearman.server.watch.limited_log import BURST
from tests.server.connections.test_access import connect_from
from tests.server.net.test_listener import LOCAL, running
from tests.server.protocols.http.test_http import WEB, connect
from tests.servers import DEADLINE, Server, ours, until
from tests.wire import Peer

__all__ = ["running"]

ROOT = Path(__file__).resolve().parents[4]


def limits(peer: Peer) -> dict[bytes, list[bytes]]:
    """Return limit, use and hits of each row, by its name."""
    rows = (row.split(b"\t") for row in peer.ask_list(b"show limits"))
    return {name: numbers for name, *numbers in rows}


def limit_options():
    """Return the names of the options for limits, without older names."""
    rows = GROUPS["limits"]
    return [names for names, settings in rows if settings["help"] != SUPPRESS]


def fill_up(stack: ExitStack, server, count: int) -> list[Peer]:
    """Connect so many peers, which the server accepts, and return them."""
    peers = [stack.enter_context(server.peer()) for _ in range(count)]
    for peer in peers:
        assert peer.fence() == []
    return peers


class TestConnections:
    @pytest.mark.parametrize(
        "option", ["max_connections", "max_connections_per_address"]
    )
    def test_those_over_the_limit_are_closed_until_one_leaves(self, running, option):
        settings: dict[str, Any] = {option: 3}
        config = replace(LOCAL, **settings)
        with running(config) as server, ExitStack() as stack:
            first, *others = fill_up(stack, server, 3)
            for _ in range(5):
                with server.peer() as late:
                    assert late.receive_end() == b""
            name = option.replace("_", "-").encode()
            assert limits(first)[name] == [b"3", b"3", b"5"]
            others[0].close()
            until(lambda: limits(first)[name][1] != b"3")
            fill_up(stack, server, 1)
            assert others[1].fence() == []

    @pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127.0.0.0/8")
    def test_each_address_has_its_own_and_unix_sockets_have_none(self, tmp_path):
        path = str(tmp_path / "gear")
        options = ["--max-connections-per-address=2", "-L", f"unix:{path}"]
        with ours(*options) as server, ExitStack() as stack:
            for _ in range(2):
                there = stack.enter_context(connect_from("127.0.0.2", server))
                assert there.fence() == []
            with connect_from("127.0.0.2", server) as late:
                assert late.receive_end() == b""
            with Peer(server.port) as here:
                assert here.fence() == []
            for _ in range(5):
                local = stack.enter_context(socket.socket(socket.AF_UNIX))
                local.settimeout(DEADLINE)
                local.connect(path)
                local.sendall(b"version\n")
                assert local.recv(100).startswith(b"OK")

    def test_protocols_share_the_limit(self, running):
        config = replace(WEB, max_connections=2)
        with running(config) as server, server.peer() as peer:
            assert peer.fence() == []
            with connect(server) as web:
                web.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert web.recv(100).startswith(b"HTTP/1.1 200")
                with connect(server) as late:
                    assert late.recv(100) == b""
                with server.peer() as late_peer:
                    assert late_peer.receive_end() == b""

    def test_without_an_option_descriptors_are_left_for_the_rest(self):
        with ours("-f", "100") as server, Peer(server.port) as peer:
            assert limits(peer)[b"max-connections"][0] == b"50"


class TestLog:
    def lines(self, server: Server, text: str) -> int:
        return server.log.read_text().count(text)

    def test_flood_of_bad_input_is_a_few_lines(self):
        with ours() as server, Peer(server.port) as good:
            for _ in range(3 * BURST):
                with Peer(server.port) as bad:
                    bad.send_bytes(b"\0nonsense that is no packet")
                    assert bad.receive_end() == b""
            assert limits(good)[b"bad-input"][2] == b"%d" % (3 * BURST)
            assert self.lines(server, "no packet begins with") == BURST

    def test_flood_of_refused_jobs_is_a_few_lines(self):
        with ours("--max-jobs=1") as server, Peer(server.port) as peer:
            for _ in range(3 * BURST):
                peer.send("SUBMIT_JOB_BG", b"f", b"", b"w")
                peer.receive()
            assert limits(peer)[b"max-jobs"] == [b"1", b"1", b"%d" % (3 * BURST - 1)]
            assert self.lines(server, FULL["max-jobs"].decode()) == BURST


class TestTable:
    def test_every_limit_that_is_an_option_is_there(self, running):
        options = {names[-1] for names in limit_options()}
        options -= {"--file-descriptors"}
        flags = {name[2:].encode() for name in options if "keepalive" not in name}
        with running() as server, server.peer() as peer:
            rows = limits(peer)
        assert flags <= set(rows)
        others = {b"allow-from", b"bad-input", b"bugs"}
        others |= {
            b"max-memory-" + holder for holder in (b"jobs", b"peers", b"buffers")
        }
        assert set(rows) - flags == others

    def test_every_limit_is_in_the_manual_with_its_option(self):
        manual = (ROOT / "docs" / "server.md").read_text()
        for names in limit_options():
            name = names[-1] if names[-1] != "--file-descriptors" else "-f"
            assert "keepalive" in name or f"`{name}`" in manual, name

    def test_use_is_that_of_the_largest(self, running):
        with running() as server, server.peer() as peer, server.peer() as other:
            for name in (b"f", b"g", b"h"):
                peer.send("CAN_DO", name)
            other.send("CAN_DO", b"i")
            for name in (b"f", b"f", b"g"):
                other.send("SUBMIT_JOB_BG", name, b"", b"w" * 1000)
                other.expect("JOB_CREATED")
            peer.fence()
            rows = limits(other)
            assert rows[b"max-connections"][1] == b"2"
            assert rows[b"max-functions"] == [b"0", b"4", b"0"]
            assert rows[b"max-functions-per-worker"] == [b"0", b"3", b"0"]
            assert rows[b"max-jobs"] == [b"0", b"3", b"0"]
            assert rows[b"max-jobs-per-function"] == [b"0", b"2", b"0"]
            assert int(rows[b"max-job-memory"][1]) > 3000
            holders = (b"max-memory-jobs", b"max-memory-peers", b"max-memory-buffers")
            each = [int(rows[holder][1]) for holder in holders]
            assert min(each) > 0
            assert int(rows[b"max-memory"][1]) == sum(each)
            assert rows[b"request-timeout"] == [b"300", b"-", b"0"]

    def test_stalled_request_counts(self, running):
        config = replace(LOCAL, request_timeout=0.1)
        with running(config) as server, server.peer() as peer:
            with server.peer() as slow:
                slow.send_bytes(b"\0RE")
                assert slow.receive_end() == b""
            assert limits(peer)[b"request-timeout"] == [b"0.1", b"-", b"1"]
