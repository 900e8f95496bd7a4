"""A running server: sockets, turns, timers, back-pressure, stalling peers."""

import errno
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from threading import Event, Thread
from typing import Any
from unittest.mock import Mock

import pytest

from gearman import __version__
from gearman.framing import BUILD
from gearman.queue import Queue
from gearman.server.connections.connection import Connection
from gearman.server.net.engine import Engine
from gearman.server.net.listener import Listener
from gearman.server.net.loop import Selector
from gearman.server.net.loop import run as run_loop
from gearman.server.net.sockets import open_all
from gearman.server.protocols.interface import HIGH_WATER
from gearman.server.settings.config import Config, Endpoint, Keepalive
from tests.servers import DEADLINE, HOST, until
from tests.wire import Peer, packet

LOCAL = Config(listen=(Endpoint(HOST, 0),))


class Running:
    """A listener in a thread of its own."""

    def __init__(
        self,
        config: Config,
        engine: bool,
        queue: Queue | None = None,
        prepare: Callable[["Running"], None] = lambda running: None,
    ) -> None:
        self.sockets = open_all(config.listen, config.backlog)
        self.addresses = [sock.getsockname() for sock in self.sockets]
        self.selector = Selector()
        others = [
            open_all(spoken.listen, config.backlog) for spoken in config.protocols
        ]
        self.others = [sock.getsockname() for group in others for sock in group]
        self.listener = Listener(
            config,
            self.sockets,
            self.selector if engine else None,
            others,
            queue=queue,
        )
        self.listener.replay()
        self.ready: list[str] = []
        self.began = Event()
        prepare(self)
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self.began.wait(DEADLINE)

    def _run(self) -> None:
        serving = self.listener.serve(self._begin)
        run_loop(serving, self.selector)

    def _begin(self) -> None:
        self.ready.append("ready")
        self.began.set()

    def call(self, function) -> None:
        """Call a function in the listener's thread, and wait for it."""
        done = Event()

        def call() -> None:
            function()
            done.set()

        self.listener._loop.call_soon_threadsafe(call)
        assert done.wait(DEADLINE)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """A context in which the listener reads nothing; then it finds all at once."""
        began, over = Event(), Event()

        def wait() -> None:
            began.set()
            over.wait(DEADLINE)

        self.listener._loop.call_soon_threadsafe(wait)
        assert began.wait(DEADLINE)
        try:
            yield
        finally:
            over.set()

    def time_passes(self, seconds: float = 10_000.0) -> None:
        """Look for stalled connections as if so much time had passed for them."""

        def look() -> None:
            connections: Any = self.listener.connections
            for connection in connections:
                connection.progress -= seconds
            self.listener._watchdog._look()

        self.call(look)

    def until(self, condition) -> None:
        """Return when this is true, as seen from the listener's thread."""

        def holds() -> bool:
            seen: list[bool] = []
            self.call(lambda: seen.append(bool(condition())))
            return any(seen)

        until(holds)

    def peer(self) -> Peer:
        host, port = self.addresses[0][:2]
        return Peer(port, host)

    def end(self) -> None:
        """Stop the listener, unless it is already stopping."""
        with suppress(RuntimeError):
            self.listener._loop.call_soon_threadsafe(self.listener.stop)
        self.join()

    def join(self) -> None:
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()


@pytest.fixture(params=["asyncio", "engine"])
def running(request):
    """Return a function that runs a listener, with each kind of connection."""
    if request.param == "engine":
        if Engine is None and BUILD == "speedups" and sys.platform == "linux":
            pytest.fail("the speedups are there, but not the engine")
        if Engine is None:
            pytest.skip("the engine is not built")
    return partial(run, engine=request.param == "engine")


@contextmanager
def run(
    config: Config = LOCAL,
    *,
    engine: bool = True,
    queue: Queue | None = None,
    prepare: Callable[[Running], None] = lambda running: None,
) -> Iterator[Running]:
    server = Running(config, engine, queue, prepare)
    try:
        yield server
    finally:
        server.end()


def accepted(server: Running) -> socket.socket:
    """Return the server's side of its only connection."""
    (connection,) = server.listener.connections
    assert isinstance(connection, Connection)
    sock: socket.socket = connection._transport.get_extra_info("socket")
    return sock


class TestSockets:
    def test_small_packets_are_not_held_back(self, running):
        with running() as server, server.peer() as peer:
            peer.fence()
            assert accepted(server).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_keepalive_reaches_accepted_sockets(self, running):
        config = replace(LOCAL, keepalive=Keepalive(30, 5, 3))
        with running(config) as server, server.peer() as peer:
            peer.fence()
            sock = accepted(server)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            for name, value in (("KEEPIDLE", 30), ("KEEPINTVL", 5), ("KEEPCNT", 3)):
                option = getattr(socket, f"TCP_{name}", None)
                if option is not None:
                    assert sock.getsockopt(socket.IPPROTO_TCP, option) == value

    def test_keepalive_is_off_unless_asked_for(self, running):
        with running() as server, server.peer() as peer:
            peer.fence()
            option = accepted(server).getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert not option

    def test_all_addresses_are_served_on_one_port(self, running):
        with running(Config(listen=(Endpoint("", 0),))) as server:
            port = server.addresses[0][1]
            assert {address[1] for address in server.addresses} == {port}
            for address in server.addresses:
                host = "::1" if ":" in address[0] else HOST
                with Peer(port, host) as peer:
                    assert peer.ask(b"version").startswith(b"OK")

    def test_unix_socket_is_served_and_its_file_removed(self, running, tmp_path):
        path = str(tmp_path / "gear")
        config = Config(listen=(Endpoint(path=path),))
        with running(config), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(path)
            sock.sendall(b"workers\n")
            assert sock.recv(100).endswith(b" unix - :\n.\n")
        assert list(tmp_path.iterdir()) == []

    def test_many_addresses_share_one_broker(self, running, tmp_path):
        config = Config(listen=(Endpoint(HOST, 0), Endpoint("127.0.0.2", 0)))
        with running(config) as server:
            first, second = (Peer(port, host) for host, port in server.addresses)
            with first, second:
                second.send("CAN_DO", b"f")
                second.fence()
                assert first.ask_list(b"status") == [b"f\t0\t0\t1"]


class TestTurns:
    def test_job_goes_round(self, running):
        with running() as server, server.peer() as client, server.peer() as worker:
            worker.send("CAN_DO", b"f")
            worker.send("PRE_SLEEP")
            worker.fence()
            client.send("SUBMIT_JOB", b"f", b"", b"work")
            (handle,) = client.expect("JOB_CREATED")
            worker.expect("NOOP")
            worker.send("GRAB_JOB")
            assert worker.expect("JOB_ASSIGN") == [handle, b"f", b"work"]
            worker.send("WORK_COMPLETE", handle, b"done")
            assert client.expect("WORK_COMPLETE") == [handle, b"done"]

    def test_lost_worker_wakes_another_at_once(self, running):
        with running() as server, server.peer() as client, server.peer() as idle:
            with server.peer() as worker:
                worker.send("CAN_DO", b"f")
                worker.fence()
                client.send("SUBMIT_JOB", b"f", b"", b"work")
                client.expect("JOB_CREATED")
                worker.send("GRAB_JOB")
                worker.expect("JOB_ASSIGN")
                idle.send("CAN_DO", b"f")
                idle.send("PRE_SLEEP")
                idle.fence()
            idle.expect("NOOP")

    def test_scheduled_job_wakes_a_sleeper_when_its_time_comes(self, running):
        with running() as server, server.peer() as client, server.peer() as worker:
            worker.send("CAN_DO", b"f")
            worker.send("PRE_SLEEP")
            worker.fence()
            when = int(time.time()) + 1
            client.send("SUBMIT_JOB_EPOCH", b"f", b"", b"%d" % when, b"work")
            client.expect("JOB_CREATED")
            worker.expect("NOOP")
            assert time.time() >= when

    def test_timeout_of_a_job_needs_no_traffic(self, running):
        with running() as server, server.peer() as client, server.peer() as worker:
            worker.send("CAN_DO_TIMEOUT", b"f", b"1000")
            client.send("SUBMIT_JOB", b"f", b"", b"work")
            client.expect("JOB_CREATED")
            worker.send("GRAB_JOB")
            worker.expect("JOB_ASSIGN")
            worker.send("PRE_SLEEP")
            worker.expect("NOOP")

    def test_what_arrives_in_pieces_is_put_together(self, running):
        with running() as server, server.peer() as peer:
            for byte in packet("ECHO_REQ", b"in pieces"):
                peer.send_bytes(bytes([byte]))
            assert peer.expect("ECHO_RES") == [b"in pieces"]

    def test_large_workload_goes_round(self, running):
        workload = bytes(range(256)) * 40_000
        with running() as server, server.peer() as client, server.peer() as worker:
            client.send("SUBMIT_JOB", b"f", b"", workload)
            client.expect("JOB_CREATED")
            worker.send("CAN_DO", b"f")
            worker.send("GRAB_JOB")
            name, body = worker.receive()
            assert (name, body.split(b"\0", 2)[2]) == ("JOB_ASSIGN", workload)


def fill(server: Running, sender: Peer, data: bytes, limit: int) -> int:
    """Send `data` again and again until the server reads no more; return how much.

    Each time that the socket is full, another connection sends a request and waits for
    the answer, so that the server had the time to read.
    """
    sender.socket.setblocking(False)
    sent = refused = 0
    with server.peer() as other:
        while sent < limit and refused < 50:
            try:
                sent += sender.socket.send(data[sent % len(data) :])
                refused = 0
            except BlockingIOError:
                refused += 1
                other.fence()
    return sent


class TestBackPressure:
    LIMIT = 200 * HIGH_WATER

    def start(self, server: Running, client: Peer, worker: Peer) -> bytes:
        worker.send("CAN_DO", b"f")
        client.send("SUBMIT_JOB", b"f", b"", b"work")
        (handle,) = client.expect("JOB_CREATED")
        worker.send("GRAB_JOB")
        worker.expect("JOB_ASSIGN")
        return handle

    def test_peer_that_does_not_read_is_not_read_either(self, running):
        with running() as server, server.peer() as peer:
            echo = packet("ECHO_REQ", b"x" * 100_000)
            assert fill(server, peer, echo, self.LIMIT) < self.LIMIT

    def test_worker_waits_for_a_client_that_does_not_read_and_loses_nothing(
        self, running
    ):
        with running() as server, server.peer() as client, server.peer() as worker:
            handle = self.start(server, client, worker)
            data = packet("WORK_DATA", handle, b"x" * 100_000)
            sent = fill(server, worker, data, self.LIMIT)
            assert sent < self.LIMIT
            rest = data[sent % len(data) :] if sent % len(data) else b""
            rest += packet("WORK_COMPLETE", handle, b"end")
            worker.socket.settimeout(DEADLINE)
            sending = Thread(target=worker.socket.sendall, args=(rest,))
            sending.start()
            count = 0
            while (received := client.receive()).name == "WORK_DATA":
                assert len(received.body) == len(data) - 12
                count += 1
            sending.join(DEADLINE)
            assert received.arguments == [handle, b"end"]
            assert count == -(-sent // len(data))

    def test_others_go_on_while_a_worker_waits(self, running):
        with running() as server, server.peer() as client, server.peer() as worker:
            handle = self.start(server, client, worker)
            fill(server, worker, packet("WORK_DATA", handle, b"x" * 1000), self.LIMIT)
            with server.peer() as other:
                assert other.ask_list(b"status") == [b"f\t1\t1\t1"]

    def test_worker_goes_on_when_the_client_that_does_not_read_leaves(self, running):
        with running() as server, server.peer() as worker:
            with server.peer() as client:
                handle = self.start(server, client, worker)
                data = packet("WORK_DATA", handle, b"x" * 1000)
                sent = fill(server, worker, data, self.LIMIT)
            rest = data[sent % len(data) :] if sent % len(data) else b""
            worker.send_bytes(rest + packet("WORK_COMPLETE", handle, b""))
            assert worker.fence() == []

    def test_client_that_never_reads_is_closed_and_its_worker_goes_on(self, running):
        with (
            running(replace(LOCAL, write_timeout=0.1)) as server,
            server.peer() as worker,
            server.peer() as client,
        ):
            handle = self.start(server, client, worker)
            data = packet("WORK_DATA", handle, b"x" * 100_000)
            worker.send_bytes(data * 100)
            worker.send("WORK_COMPLETE", handle, b"")
            assert worker.fence() == []

    def test_outbox_over_the_limit_closes_the_peer_alone(self, running):
        with (
            running(replace(LOCAL, max_outbox=4 * HIGH_WATER)) as server,
            server.peer() as worker,
            server.peer() as client,
        ):
            handle = self.start(server, client, worker)
            for _ in range(2):
                worker.send("WORK_DATA", handle, b"x" * (20 * HIGH_WATER))
            assert worker.fence() == []
            received = client.receive_end()
            assert len(received) < 40 * HIGH_WATER

    def test_one_packet_may_be_larger_than_the_outbox(self, running):
        large = b"x" * (20 * HIGH_WATER)
        with (
            running(replace(LOCAL, max_outbox=HIGH_WATER)) as server,
            server.peer() as client,
            server.peer() as worker,
        ):
            worker.send("CAN_DO", b"f")
            for _ in range(3):
                client.send("SUBMIT_JOB", b"f", b"", large)
                (handle,) = client.expect("JOB_CREATED")
                worker.send("GRAB_JOB")
                client.fence()
                assert worker.expect("JOB_ASSIGN") == [handle, b"f", large]
                worker.send("WORK_COMPLETE", handle, large)
                worker.fence()
                assert client.expect("WORK_COMPLETE") == [handle, large]


class TestFairness:
    """While one peer asks for much, others are served."""

    FUNCTIONS = 500
    LINE = b"function-%d\t0\t0\t1\n"

    def able(self, server):
        worker = server.peer()
        for number in range(self.FUNCTIONS):
            worker.send("CAN_DO", b"function-%d" % number)
        worker.fence()
        return worker

    def listing(self):
        lines = [self.LINE % number for number in range(self.FUNCTIONS)]
        return b"".join(lines) + b".\n"

    def test_lists_that_nobody_reads_are_not_made(self, running):
        with running() as server, self.able(server), server.peer() as peer:
            peer.send_bytes(b"status\n" * 1000)
            # It is blocked as soon as its socket accepts no more data.
            server.until(lambda: any(c.peer.blocked for c in self.connections(server)))
            with server.peer() as other:
                other.fence()
            waiting = max(c.waiting() for c in self.connections(server))
            assert waiting < 2 * HIGH_WATER
            wanted = self.listing()
            for _ in range(1000):
                assert peer.take(len(wanted)) == wanted

    def connections(self, server):
        return list(server.listener.connections)

    def test_all_that_was_asked_for_before_the_end_is_answered(self, running):
        with running() as server, self.able(server), server.peer() as peer:
            peer.send_bytes(b"status\n" * 100 + b"version\n" * 3000)
            peer.socket.shutdown(socket.SHUT_WR)
            received = peer.receive_end()
            assert received.count(b".\n") == 100
            assert received.count(b"OK ") == 3000

    def test_peer_that_leaves_in_the_middle_of_its_list_harms_nobody(self, running):
        with running() as server, self.able(server):
            for _ in range(5):
                with server.peer() as peer:
                    peer.send_bytes(b"status\n" * 1000)
                    peer.take(10)
            server.until(lambda: len(server.listener.connections) == 1)
            with server.peer() as other:
                other.fence()

    def test_packets_are_carried_out_in_their_order(self, running):
        with running() as server, server.peer() as peer:
            marks = [b"%d" % number for number in range(20_000)]
            sender = Thread(
                target=peer.send_bytes,
                args=(b"".join(packet("ECHO_REQ", mark) for mark in marks),),
            )
            sender.start()
            for mark in marks:
                assert peer.expect("ECHO_RES") == [mark]
            sender.join()

    def test_what_is_left_waits_while_the_peer_is_held(self, monkeypatch):
        # One request in each turn, so that many are left.
        monkeypatch.setattr("gearman.server.connections.turns.ALLOWANCE", -1.0)
        answer = f"OK {__version__}\n".encode()
        count = 5000
        with run(engine=False) as server, server.peer() as peer:
            peer.fence()
            (connection,) = server.listener.connections
            blocked, held = Mock(), Event()

            def hold() -> None:
                """Hold it as soon as it has been answered, and something is left."""
                if connection.protocol.ready:
                    connection.pressure.held(blocked)
                    held.set()
                else:
                    server.listener._loop.call_soon(hold)

            server.call(hold)
            peer.send_bytes(b"version\n" * count)
            assert held.wait(DEADLINE)
            with server.peer() as other:
                other.fence()
                before = self.taken(peer)
                for _ in range(10):
                    other.fence()
            assert self.taken(peer) == before
            assert len(answer) <= len(before) < len(answer) * count
            server.call(lambda: connection.pressure.released_by(blocked))
            assert peer.take(len(answer) * count) == answer * count

    def taken(self, peer):
        """Return the received data without removing it."""
        peer.socket.setblocking(False)
        with suppress(BlockingIOError):
            while data := peer.socket.recv(1 << 16):
                peer.pending += data
        return bytes(peer.pending)

    @pytest.mark.parametrize("size", [10, 40_000])
    def test_result_of_many_joins_arrives_as_often(self, running, size):
        with running() as server, server.peer() as client, server.peer() as worker:
            for _ in range(300):
                client.send("SUBMIT_JOB", b"f", b"unique", b"")
            (handle,) = {client.expect("JOB_CREATED")[0] for _ in range(300)}
            worker.send("CAN_DO", b"f")
            worker.send("GRAB_JOB")
            worker.expect("JOB_ASSIGN")
            worker.send("WORK_COMPLETE", handle, b"r" * size)
            for _ in range(300):
                assert client.expect("WORK_COMPLETE") == [handle, b"r" * size]
            client.fence()

    def test_result_of_many_joins_is_within_the_limit(self, running):
        with (
            running(replace(LOCAL, max_outbox=4 * HIGH_WATER)) as server,
            server.peer() as client,
            server.peer() as worker,
        ):
            for _ in range(5000):
                client.send("SUBMIT_JOB", b"f", b"unique", b"")
                client.expect("JOB_CREATED")
            worker.send("CAN_DO", b"f")
            worker.send("GRAB_JOB")
            handle = worker.expect("JOB_ASSIGN")[0]
            worker.send("WORK_COMPLETE", handle, bytes(100_000))
            worker.fence()
            assert len(client.receive_end()) < 500_000_000
            assert server.listener.broker.hits.counts["max-outbox"] == 1


class TestStalling:
    FAST = replace(LOCAL, request_timeout=0.1)

    @pytest.mark.parametrize(
        "data",
        [
            b"\0RE",
            packet("ECHO_REQ", b"x" * 100)[:50],
            packet("ECHO_REQ", b"x" * 200_000)[:100_000],
            b"status",
        ],
    )
    def test_half_a_request_is_not_waited_for_longer(self, running, data):
        with running(self.FAST) as server, server.peer() as peer:
            peer.send_bytes(data)
            assert peer.receive_end() == b""

    def test_peer_that_is_done_but_takes_nothing_is_not_waited_for_longer(
        self, running
    ):
        config = replace(LOCAL, write_timeout=0.1)
        with running(config) as server, server.peer() as peer, ExitStack() as stack:
            peer.fence()
            (connection,) = server.listener.connections
            admin = stack.enter_context(server.peer())
            # Some data waits for it, but not so much that it is blocked.
            while not connection._transport.get_write_buffer_size():
                peer.send("ECHO_REQ", b"x" * 100_000)
                admin.fence()
            assert not connection.peer.blocked
            peer.socket.shutdown(socket.SHUT_WR)
            until(lambda: len(admin.ask_list(b"workers")) == 1)

    def test_idle_peer_stays(self, running):
        with running(self.FAST) as server, server.peer() as idle:
            idle.fence()
            with server.peer() as peer:
                peer.send_bytes(b"\0")
                peer.receive_end()
            assert idle.fence() == []

    def test_peer_that_finished_its_request_stays(self, running):
        with running() as server, server.peer() as slow, server.peer() as other:
            data = packet("ECHO_REQ", b"x")
            slow.send_bytes(data[:5])
            other.fence()
            slow.send_bytes(data[5:])
            slow.expect("ECHO_RES")
            other.send_bytes(b"\0")
            slow.fence()
            server.time_passes()
            assert other.receive_end() == b""
            assert slow.fence() == []


class TestStop:
    def test_says_ready_once_and_closes_all_connections(self, running):
        with running() as server, server.peer() as peer:
            peer.fence()
            server.call(server.listener.stop)
            assert peer.receive_end() == b""
        assert server.ready == ["ready"]

    def test_idle_server_drains_at_once(self, running):
        with running() as server, server.peer() as peer:
            peer.fence()
            server.call(server.listener.drain)
            server.join()

    def test_draining_server_finishes_its_jobs_and_takes_no_connections(self, running):
        with running() as server, server.peer() as client, server.peer() as worker:
            client.send("SUBMIT_JOB", b"f", b"", b"w")
            (handle,) = client.expect("JOB_CREATED")
            # Its connection was accepted.
            assert worker.fence() == []
            server.call(server.listener.drain)
            with pytest.raises(OSError, match=f"Errno {errno.ECONNREFUSED}"):
                server.peer()
            worker.send("CAN_DO", b"f")
            worker.send("GRAB_JOB")
            worker.expect("JOB_ASSIGN")
            worker.send("WORK_COMPLETE", handle, b"r")
            assert client.expect("WORK_COMPLETE") == [handle, b"r"]
            server.join()

    @pytest.mark.parametrize("line", [b"shutdown", b"shutdown graceful"])
    def test_admin_may_stop_it_where_that_is_allowed(self, running, line):
        with (
            running(replace(LOCAL, allow_shutdown=True)) as server,
            server.peer() as peer,
        ):
            assert peer.ask(line) == b"OK\r\n"
            server.join()

    def test_admin_may_not_stop_it_otherwise(self, running):
        with running() as server, server.peer() as peer:
            assert peer.ask(b"shutdown").startswith(b"ERR UNKNOWN_COMMAND")
            assert peer.fence() == []


def test_part_of_a_request_that_is_left_after_many_others_is_waited_for(running):
    with running(LOCAL) as server, server.peer() as peer:
        # Each turn leaves the rest to the next one. The packets have 128 bytes each, so
        # that the first part of the input that is split has no part of a packet.
        server.listener._server.late = lambda: True
        last = packet("ECHO_REQ", b"last")
        peer.send_bytes(packet("ECHO_REQ", bytes(116)) * 400 + last[:-1])
        for _ in range(400):
            peer.expect("ECHO_RES")
        server.call(server.listener._watchdog._look)
        peer.send_bytes(last[-1:])
        assert peer.expect("ECHO_RES") == [b"last"]
