"""The compiled engine sends the same bytes as asyncio's connections."""

import time
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gearman.server.net.engine import Engine
from gearman.server.protocols.lines import PIECE_LINES
from tests import servers
from tests.server.net.test_listener import Running, run
from tests.servers import DEADLINE
from tests.wire import Peer, packet

pytestmark = pytest.mark.skipif(Engine is None, reason="the engine is not built")

functions = st.sampled_from([b"f", b"g", b""])
uniques = st.sampled_from([b"", b"u", b"-", b"u" * 65])
handles = st.sampled_from([b"H:1", b"H:2", b"H:3", b"nope", b"x" * 65])
data = st.sampled_from([b"", b"w", b"a\0b", b"x" * 70_000, b"a\0b" * 70_000])
SUBMITS = [
    "SUBMIT_JOB",
    "SUBMIT_JOB_BG",
    "SUBMIT_JOB_HIGH",
    "SUBMIT_JOB_HIGH_BG",
    "SUBMIT_JOB_LOW",
    "SUBMIT_JOB_LOW_BG",
]
LINES = [b"status\n", b"prioritystatus\r\n", b"show unique jobs\n", b"nonsense\n"]


def packets(names, *arguments):
    return st.builds(packet, st.sampled_from(names), *arguments)


requests = st.one_of(
    packets(SUBMITS, functions, uniques, data),
    packets(["CAN_DO", "CANT_DO"], functions),
    packets(["GRAB_JOB", "GRAB_JOB_UNIQ", "GRAB_JOB_ALL"]),
    packets(["GRAB_JOB", "PRE_SLEEP", "RESET_ABILITIES"]),
    packets(["WORK_COMPLETE", "WORK_DATA", "WORK_EXCEPTION"], handles, data),
    packets(["WORK_FAIL", "GET_STATUS"], handles),
    packets(["ECHO_REQ", "OPTION_REQ"], data),
    # Missing arguments, and packets of the wrong kind.
    packets([*SUBMITS, "WORK_COMPLETE", "WORK_DATA", "NOOP", "GRAB_JOB"], data),
    st.sampled_from(LINES),
)
# Data of one of three peers, and where it is split in two.
steps = st.tuples(
    st.integers(0, 2),
    st.lists(requests, min_size=1, max_size=4).map(b"".join),
    st.floats(0, 1),
)
endings = st.sampled_from([packet(43), b"\0REX" + bytes(8), b"1 2 3 4 5 6\n"])


class Play:
    """One server, three peers, and all data that each of them got."""

    def __init__(self, server: Running, stack: ExitStack) -> None:
        broker = server.listener.broker
        broker.jobs.handle_prefix, broker.jobs.next_number = b"H", 1
        self.peers = [stack.enter_context(server.peer()) for _ in range(3)]
        self.got = [b"", b"", b""]

    def step(self, index: int, request: bytes, cut: float) -> None:
        position = int(len(request) * cut)
        self.peers[index].send_bytes(request[:position])
        self.collect((index + 1) % 3)
        self.peers[index].send_bytes(request[position:])
        for each in range(3):
            self.collect(each)

    def collect(self, index: int) -> None:
        """Keep the data before the answer to an echo, after which all has arrived."""
        peer, mark = self.peers[index], b"the fence of this test"
        peer.send("ECHO_REQ", mark)
        answer = packet("ECHO_RES", mark, magic=b"\0RES")
        deadline = time.monotonic() + DEADLINE
        while answer not in peer.pending:
            peer.read_more(deadline)
        self.got[index] += bytes(peer.pending).replace(answer, b"")
        peer.pending.clear()

    def end(self, data: bytes) -> bytes:
        """Send data that ends the first connection; return the data before the end."""
        self.peers[0].send_bytes(data)
        return self.peers[0].receive_end()


def play(script: list[tuple[int, bytes, float]], ending: bytes, engine: bool):
    with run(engine=engine) as server, ExitStack() as stack:
        played = Play(server, stack)
        for step in script:
            played.step(*step)
        return played.got, played.end(ending)


@settings(max_examples=300)
@given(st.lists(steps, max_size=12), endings)
def test_answers_are_the_same_as_without_it(script, ending):
    assert play(script, ending, True) == play(script, ending, False)


def test_pieces_of_an_answer_may_be_empty() -> None:
    with servers.ours() as server:
        with Peer(server.port) as peer:
            peer.ask(b"create function f")
            for _ in range(3 * PIECE_LINES):
                peer.send("SUBMIT_JOB_BG", b"g", b"", b"data")
            peer.fence()
        with Peer(server.port) as peer:
            assert peer.ask_list(b"show jobs of f") == []
            assert peer.ask(b"purge function g") == b"OK %d\r\n" % (3 * PIECE_LINES)
