"""Large packets, received and sent in different pieces, with both kinds of connection.

The engine receives the end of a large packet directly into its last argument, and
sends a large argument without a copy. The pieces and sizes here are the limits at
which it does so.
"""

import gc
import tracemalloc
from dataclasses import replace

import pytest

from gearman.server.net.engine import Engine
from tests.server.net.test_listener import LOCAL, Running, run
from tests.wire import Packet, Peer, packet

unless_built = pytest.mark.skipif(Engine is None, reason="the engine is not built")
WAYS = [
    pytest.param(False, id="asyncio"),
    pytest.param(True, marks=unless_built, id="engine"),
]
pytestmark = pytest.mark.parametrize("engine", WAYS)

# From so many missing bytes on, the engine receives directly; and the number of bytes
# that it reads at once otherwise.
DIRECT_SIZE = READ_SIZE = 32 * 1024
LARGE = bytes(range(256)) * 800
ECHO = packet("ECHO_REQ", LARGE)
SUBMIT = packet("SUBMIT_JOB_BG", b"f", b"unique", LARGE)
HEAD = len(SUBMIT) - len(LARGE)


def send_pieces(server: Running, peer: Peer, data: bytes, *cuts: int) -> None:
    """Send data in pieces; the server has read each before the next is sent."""
    with server.peer() as other:
        for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
            peer.send_bytes(data[start:end])
            other.fence()


def buffered(server: Running) -> list[int]:
    """Return for each connection how many bytes of a packet have come."""
    found: list[int] = []
    connections = server.listener.connections
    server.call(lambda: found.extend(c.protocol.buffered for c in connections))
    return found


def grab(peer: Peer) -> bytes:
    """Return the workload of the next job of the function f."""
    peer.send("CAN_DO", b"f")
    name, body = peer.request("GRAB_JOB")
    assert name == "JOB_ASSIGN"
    return body.split(b"\0", 2)[2]


class TestPieces:
    @pytest.mark.parametrize("cut", [1, 4, 8, 11, 12, 13, HEAD - 8, HEAD - 1])
    def test_beginning_may_be_cut_before_the_workload(self, engine, cut):
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, SUBMIT, cut)
            peer.expect("JOB_CREATED")
            assert grab(peer) == LARGE

    @pytest.mark.parametrize(
        "cut",
        [HEAD, HEAD + 1, READ_SIZE - 1, READ_SIZE, READ_SIZE + 1, len(SUBMIT) // 2]
        + [len(SUBMIT) - DIRECT_SIZE + more for more in (-1, 0, 1)]
        + [len(SUBMIT) - 1],
    )
    def test_workload_may_be_cut_anywhere(self, engine, cut):
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, SUBMIT, cut)
            peer.expect("JOB_CREATED")
            assert grab(peer) == LARGE

    def test_bytes_may_come_one_by_one_at_both_ends(self, engine):
        begin, end = range(1, HEAD + 3), range(len(SUBMIT) - 3, len(SUBMIT))
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, SUBMIT, *begin, *end)
            peer.expect("JOB_CREATED")
            assert grab(peer) == LARGE

    def test_pieces_may_be_small(self, engine):
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, ECHO, *range(1000, len(ECHO), 9_999))
            assert peer.receive() == Packet("ECHO_RES", LARGE)

    @pytest.mark.parametrize("more", [-1, 0, 1])
    def test_size_may_be_the_one_where_the_direct_way_begins(self, engine, more):
        workload = LARGE[: DIRECT_SIZE + more]
        for cut in (12, 13, 12 + more):
            with run(engine=engine) as server, server.peer() as peer:
                send_pieces(server, peer, packet("ECHO_REQ", workload), cut)
                assert peer.receive() == Packet("ECHO_RES", workload)

    def test_what_has_come_is_counted(self, engine):
        with run(engine=engine) as server, server.peer() as peer:
            for end in (HEAD - 1, HEAD, HEAD + 1, READ_SIZE, len(SUBMIT) - 1):
                with server.peer() as peer:
                    send_pieces(server, peer, SUBMIT[:end], *range(HEAD, end, 40_000))
                    assert end in buffered(server)

    def test_connection_may_be_lost_in_the_middle(self, engine):
        with run(engine=engine) as server, server.peer() as other:
            for end in (12, HEAD, HEAD + 1, 100_000, len(SUBMIT) - 1):
                with server.peer() as peer:
                    send_pieces(server, peer, SUBMIT[:end], end // 2)
            assert other.ask_list(b"status") == []
            assert other.fence() == []

    def test_memory_grows_with_what_has_come_and_not_with_what_was_declared(
        self, engine
    ):
        declared = packet("ECHO_REQ", bytes(50_000_000))[:100_000]
        with run(engine=engine) as server, server.peer() as peer:
            gc.collect()
            tracemalloc.start()
            try:
                send_pieces(server, peer, declared, 12, 13, 40_000)
                assert tracemalloc.get_traced_memory()[1] < 600_000
            finally:
                tracemalloc.stop()


class TestFollowed:
    @pytest.mark.parametrize("cut", [1, 12, 30_000, 100_000, len(ECHO) - 1])
    def test_large_ones_may_follow_each_other(self, engine, cut):
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, ECHO * 3, cut, cut + len(ECHO))
            for _ in range(3):
                assert peer.receive() == Packet("ECHO_RES", LARGE)

    @pytest.mark.parametrize("cut", [12, 100_000, len(ECHO) - 1, len(ECHO)])
    @pytest.mark.parametrize("count", [1, 50, 2000])
    def test_small_ones_may_follow(self, engine, cut, count):
        data = ECHO + packet("ECHO_REQ", b"small") * count + b"version\n"
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, data, cut)
            assert peer.receive() == Packet("ECHO_RES", LARGE)
            for _ in range(count):
                assert peer.receive() == Packet("ECHO_RES", b"small")
            assert peer.receive_line().startswith(b"OK")

    def test_bad_input_may_follow(self, engine):
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, ECHO + packet(43), 100_000)
            assert peer.receive() == Packet("ECHO_RES", LARGE)
            assert peer.receive_end() == b""


class TestTypes:
    def test_type_that_does_not_come_often_may_be_large(self, engine):
        reduce = packet("SUBMIT_REDUCE_JOB", b"f", b"unique", b"reducer", b"", LARGE)
        with (
            run(engine=engine) as server,
            server.peer() as peer,
            server.peer() as worker,
        ):
            send_pieces(server, peer, reduce, 12, 20, 100_000)
            (handle,) = peer.expect("JOB_CREATED")
            worker.send("CAN_DO", b"f")
            assert worker.request("GRAB_JOB_ALL") == Packet(
                "JOB_ASSIGN_ALL",
                b"\0".join([handle, b"f", b"unique", b"reducer", LARGE]),
            )
            data = packet("WORK_WARNING", handle, LARGE)
            send_pieces(server, worker, data, 12, 100_000)
            assert peer.receive() == Packet("WORK_WARNING", handle + b"\0" + LARGE)

    def test_arguments_may_be_large_that_are_not_the_last(self, engine):
        data = packet("SUBMIT_JOB", b"f", b"u" * 100_000, LARGE)
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, data, 50_000, 100_020, 200_000)
            assert peer.expect("ERROR")[0] == b"ARGUMENT_TOO_LARGE"
            assert peer.fence() == []

    def test_large_packet_without_its_arguments_is_refused(self, engine):
        data = packet("SUBMIT_JOB", b"x" * 200_000)
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, data, 12, 100_000)
            peer.expect("ERROR")

    def test_body_that_no_argument_has_is_dropped(self, engine):
        data = packet("PRE_SLEEP", LARGE)
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, data, 12, 100_000)
            assert peer.fence() == []

    def test_large_packet_of_the_wrong_kind_is_refused(self, engine):
        data = packet("ECHO_RES", LARGE, magic=b"\0RES")
        with run(engine=engine) as server, server.peer() as peer:
            send_pieces(server, peer, data, 12, 100_000)
            peer.expect("ERROR")


class TestSlowReader:
    def test_small_and_large_ones_wait_in_their_order(self, engine):
        words = [b"%d" % number for number in range(120)]
        with (
            run(engine=engine) as server,
            server.peer() as client,
            server.peer() as worker,
        ):
            worker.send("CAN_DO", b"f")
            client.send("SUBMIT_JOB", b"f", b"", b"work")
            (handle,) = client.expect("JOB_CREATED")
            worker.send("GRAB_JOB")
            worker.expect("JOB_ASSIGN")
            sent: list[bytes] = []
            for word in words:
                sent += [word, word + LARGE[: DIRECT_SIZE + len(sent)], b""]
            worker.send_bytes(b"".join(packet("WORK_DATA", handle, d) for d in sent))
            for data in sent:
                assert client.receive() == Packet("WORK_DATA", handle + b"\0" + data)

    def test_who_is_closed_for_it_is_not_read_any_longer(self, engine):
        reports = []
        config = replace(LOCAL, max_outbox=len(LARGE))
        with run(config, engine=engine) as server, server.peer() as other:
            other.fence()
            loop = server.listener._loop
            loop.set_exception_handler(lambda _, report: reports.append(report))
            with server.peer() as peer:
                # More than sockets can hold, and the beginning of another packet.
                data = packet("ECHO_REQ", LARGE * 80)
                send_pieces(server, peer, data + ECHO[:50_000], len(data) - 1000)
            server.until(lambda: len(server.listener.connections) == 1)
        assert reports == []
