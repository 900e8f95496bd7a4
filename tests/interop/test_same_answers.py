"""This server gives the same answers as C gearmand 1.1.20, byte by byte."""

import difflib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings

from tests import servers
from tests.interop import careful, play, scripts
from tests.interop.careful import Careful
from tests.interop.play import PREFIX, Play
from tests.interop.scripts import Difference
from tests.servers import Server, until
from tests.wire import Peer

_COMMON = ("--job-handle-prefix", PREFIX, "--verbose", "ERROR")
# 1.1.20 compares priorities within one function, and begins with the function that a
# worker registered last.
_SCHEDULING = ("--priority-scope=function", "--no-round-robin")


class Ours:
    """Our server, which is used again as long as it can be emptied."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._server: Server | None = None

    def fresh(self) -> Server:
        """Return a server without jobs, functions or connections."""
        if self._server is None or not _clean(self._server):
            self._stack.close()
            run = servers.ours(*_COMMON, *_SCHEDULING)
            self._server = self._stack.enter_context(run)
        return self._server


@pytest.fixture(scope="module")
def ours() -> Iterator[Ours]:
    with ExitStack() as stack:
        yield Ours(stack)


def _clean(server: Server) -> bool:
    with Peer(server.port) as peer:
        # The server sees the end of all others.
        until(lambda: len(peer.ask_list(b"workers")) == 1)
        for line in peer.ask_list(b"show jobs"):
            peer.ask(b"cancel job " + line.split(b"\t")[0])
        for line in peer.ask_list(b"status"):
            peer.ask(b"drop function " + line.split(b"\t")[0])
        return not peer.ask_list(b"status") + peer.ask_list(b"show jobs")


def _theirs(script: str) -> list[str]:
    # One thread, so that failures are the same each time.
    with servers.gearmand(*_COMMON, "-t", "1") as server:
        return play.run(server, script)


@pytest.mark.parametrize(
    "script", [pytest.param(s, id=title) for title, s in scripts.same_answers()]
)
def test_both_servers_answer_the_same(ours: Ours, script: str) -> None:
    assert play.run(ours.fresh(), script) == _theirs(script)


@pytest.mark.parametrize(
    "difference", [pytest.param(row, id=row.name) for row in scripts.differences()]
)
def test_a_deliberate_difference_is_this_and_no_more(
    ours: Ours, difference: Difference
) -> None:
    theirs = _theirs(difference.script)
    mine = play.run(ours.fresh(), difference.script)
    assert _differing(theirs, mine) == difference.lines


def _differing(theirs: list[str], mine: list[str]) -> list[str]:
    lines = difflib.unified_diff(theirs, mine, n=0, lineterm="")
    changes = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return [f"{line[0]} {line[1:].strip()}" for line in changes]


@given(steps=careful.STEPS)
@settings(
    max_examples=200,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_random_requests_are_answered_the_same(ours: Ours, steps: list[str]) -> None:
    with servers.gearmand(*_COMMON, "-t", "1") as server, Play(server) as reference:
        theirs = reference.run(careful.PRELUDE)
        played = Careful(reference)
        for step in steps:
            played.step(step)
    script = careful.PRELUDE + "\n".join(played.script)
    assert play.run(ours.fresh(), script) == theirs
