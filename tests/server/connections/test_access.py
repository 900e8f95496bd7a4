"""Access by address: who may connect, and who may use changing commands."""

import grp
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from gearman.server.connections.access import AddressFilter, ConnectionCounter
from gearman.server.networks import LOOPBACK, contains
from gearman.server.protocols.admin import Admin, Identity
from gearman.server.watch.limited_log import BURST
from tests.servers import DEADLINE, HOST, Server, ours, package_environment
from tests.wire import Peer

NETWORKS = tuple(map(ip_network, ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]))


class TestNetworks:
    @pytest.mark.parametrize(
        "address",
        ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8::1", "::ffff:10.1.2.3"]
        + ["2001:db8::1%eth0", "unix"],
    )
    def test_address_is_inside(self, address):
        assert contains(NETWORKS, address)

    @pytest.mark.parametrize(
        "address",
        ["11.0.0.0", "192.0.2.6", "2001:db9::", "::1", "::ffff:11.0.0.0", "::10.1.2.3"],
    )
    def test_address_is_outside(self, address):
        assert not contains(NETWORKS, address)

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "unix"])
    def test_loopback_is_this_machine(self, address):
        assert contains(LOOPBACK, address)

    def test_no_network_has_no_address_but_unix(self):
        assert not contains((), HOST)
        assert contains((), "unix")


class TestGate:
    def test_everyone_may_come_where_nobody_is_named(self):
        assert AddressFilter(()).admits("192.0.2.1")

    def test_others_may_not_come_where_somebody_is_named(self):
        assert AddressFilter(NETWORKS).admits("192.0.2.7")
        assert not AddressFilter(NETWORKS).admits("192.0.2.1")


class TestCrowd:
    def entered(self, counter: ConnectionCounter, *addresses: str) -> ConnectionCounter:
        for address in addresses:
            assert counter.full(address) == ""
            counter.enter(address)
        return counter

    def test_without_limits_there_is_always_room(self):
        counter = self.entered(ConnectionCounter(), *["a"] * 1000, *["unix"] * 1000)
        assert (counter.count, counter.largest()) == (2000, 1000)

    def test_all_connections_count_together(self):
        counter = self.entered(ConnectionCounter(3), "a", "b", "unix")
        assert counter.full("c") == counter.full("unix") == "max-connections"
        counter.leave("b")
        self.entered(counter, "c")

    def test_each_address_counts_by_itself(self):
        counter = self.entered(ConnectionCounter(0, 2), "a", "a", "b")
        assert counter.full("a") == "max-connections-per-address"
        self.entered(counter, "b")
        counter.leave("a")
        self.entered(counter, "a")

    def test_network_of_64_bits_counts_as_one_address(self):
        counter = self.entered(
            ConnectionCounter(0, 2), "2001:db8::1", "2001:db8::ffff:2"
        )
        assert counter.full("2001:db8::3") == "max-connections-per-address"
        self.entered(counter, "2001:db8:0:1::1", "fe80::1%eth0")
        counter.leave("2001:db8::1")
        self.entered(counter, "2001:db8::9")
        assert counter.largest() == 2

    def test_mapped_address_counts_as_what_it_is(self):
        counter = self.entered(ConnectionCounter(0, 2), "::ffff:192.0.2.1", "192.0.2.1")
        assert counter.full("::ffff:192.0.2.1") == "max-connections-per-address"
        self.entered(counter, "::ffff:192.0.2.2")

    def test_unix_sockets_are_no_address(self):
        counter = self.entered(ConnectionCounter(0, 1), "unix", "unix")
        for _ in range(2):
            counter.leave("unix")
        assert (counter.count, counter.largest()) == (0, 0)


class TestAdmin:
    LINES = (b"create function f", b"drop function f", b"maxqueue f 1", b"cancel job x")

    def denied(self, line):
        return (
            b"ERR PERMISSION_DENIED %b+is+only+for+hosts+that+the+server+names+with+"
            b"--admin-from\r\n" % line.split()[0].lower()
        )

    @pytest.mark.parametrize("line", [*LINES, b"SHUTDOWN graceful", b"cancel", b"Drop"])
    def test_stranger_may_not_change_anything(self, server, line):
        identity = Identity("1", 1, "NOTICE", server.shutdowns.append)
        admin = Admin(server.broker, identity, LOOPBACK)
        assert admin.answer(line, "192.0.2.1") == self.denied(line)
        assert not server.shutdowns
        assert not server.broker.functions.known

    @pytest.mark.parametrize("line", LINES)
    def test_without_networks_everyone_may_what_gearmand_lets_everyone(
        self, server, line
    ):
        assert b"PERMISSION_DENIED" not in server.connect("192.0.2.1").ask(line)

    def test_without_networks_shutdown_is_for_this_machine(self, server):
        line = b"shutdown"
        assert server.connect("192.0.2.1").ask(line) == self.denied(line)
        assert server.connect("127.0.0.1").ask(line) == b"OK\r\n"

    @pytest.mark.parametrize("address", ["127.0.0.1", "::1", "unix"])
    @pytest.mark.parametrize("line", LINES)
    def test_this_machine_may(self, server, address, line):
        assert b"PERMISSION_DENIED" not in server.connect(address).ask(line)

    @pytest.mark.parametrize(
        "line",
        [b"status", b"prioritystatus", b"workers", b"show jobs", b"show unique jobs"]
        + [b"version", b"getpid", b"verbose", b"nonsense"],
    )
    def test_stranger_may_read(self, server, line):
        there, here = server.connect("192.0.2.1"), server.connect()
        assert there.ask(line) == here.ask(line)

    def test_what_is_unknown_stays_unknown_to_strangers(self, server):
        assert server.connect("192.0.2.1").ask(b"x") == (
            b"ERR UNKNOWN_COMMAND Unknown+server+commandx\r\n"
        )


def connect_from(host: str, server: Server) -> Peer:
    """Return a connection from another address of this machine."""
    peer = Peer.__new__(Peer)
    address = server.host, server.port
    peer.socket = socket.create_connection(address, DEADLINE, source_address=(host, 0))
    peer.pending = bytearray()
    return peer


@pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127.0.0.0/8")
class TestServer:
    @pytest.fixture
    def server(self) -> Iterator[Server]:
        with ours("--allow-from=127.0.0.1,127.0.1.0/24") as running:
            yield running

    def test_others_are_turned_away_with_a_few_lines(self, server):
        for _ in range(2 * BURST):
            with connect_from("127.0.0.2", server) as peer:
                assert peer.receive_end() == b""
        with connect_from("127.0.1.5", server) as peer:
            assert peer.fence() == []
        assert server.log.read_text().count("127.0.0.2: refused, --allow-from") == BURST

    def test_admin_networks_are_those_of_the_option(self):
        with ours("--admin-from=127.0.0.2") as server:
            with Peer(server.port) as peer:
                assert peer.ask(b"create function f").startswith(b"ERR PERMISSION")
                assert peer.fence() == []
            with connect_from("127.0.0.2", server) as peer:
                assert peer.ask(b"create function f") == b"OK\r\n"

    def test_unix_sockets_are_for_whoever_can_open_them(self, tmp_path):
        path = str(tmp_path / "gear")
        options = ["-L", f"unix:{path}", "--allow-from=127.0.0.1", "--admin-from=::1"]
        with ours(*options), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(path)
            sock.sendall(b"create function f\n")
            assert sock.recv(100) == b"OK\r\n"


class TestSocketFile:
    @pytest.mark.parametrize("mode", [0o600, 0o666])
    def test_has_the_permissions_that_are_asked_for(self, tmp_path, mode):
        path = tmp_path / "gear"
        with ours("-L", f"unix:{path}", f"--socket-mode={mode:o}"):
            assert path.stat().st_mode & 0o777 == mode

    def test_has_the_group_that_is_asked_for(self, tmp_path):
        path = tmp_path / "gear"
        mine = [number for number in os.getgroups() if number != os.getegid()]
        everyone = [group.gr_gid for group in grp.getgrall()]
        number = (everyone if os.geteuid() == 0 else mine or [os.getegid()])[-1]
        name = grp.getgrgid(number).gr_name
        with ours("-L", f"unix:{path}", f"--socket-group={name}"):
            assert path.stat().st_gid == number

    def test_group_that_does_not_exist_is_refused(self, tmp_path):
        path = tmp_path / "gear"
        result = refused("-L", f"unix:{path}", "--socket-group=no-such-group")
        assert "the group 'no-such-group' (no such group): name a group" in result
        assert not path.exists()


def refused(*options: str) -> str:
    """Return the error line of a server that does not start."""
    result = subprocess.run(
        [sys.executable, "-P", "-m", "gearman.server", *options],
        env=package_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        cwd=Path.cwd(),
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    return line
