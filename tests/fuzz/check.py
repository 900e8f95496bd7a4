"""Checking scripts, and shortening those that fail."""

import faulthandler
from collections.abc import Callable, Sequence
from typing import Any

from gearman.framing import BUILD
from tests.fuzz import sockets
from tests.fuzz.builds import build
from tests.fuzz.play import Transcript, play
from tests.fuzz.script import Script

# Seconds after which a script counts as endless.
PATIENCE = 60

Check = Callable[[Script], None]


class Difference(AssertionError):
    """Two ways of playing a script have different results."""


def same_in_builds(names: Sequence[str]) -> Check:
    """Return a function that plays a script in these builds, and compares them."""
    builds = [build(name) for name in names]

    def check(script: Script) -> None:
        first, *others = [play(each, script) for each in builds]
        for other in others:
            if other != first:
                raise Difference(_difference(script, first, other))

    return check


def same_by_sockets(way: str) -> Check:
    """Return a function that compares a listener with its protocols alone.

    A difference that a second or third try does not show is ignored: scripts have
    timeouts, and a listener has a real clock.
    """

    def check(script: Script) -> None:
        script = sockets.playable(script)
        wanted = sockets.expected(BUILD, script)
        try:
            came = _first(lambda: sockets.played(way, script), wanted)
        except sockets.Unplayable:
            return
        if came != wanted:
            raise Difference(_difference(script, wanted, came))

    return check


def _first(attempt: Callable[[], Transcript], wanted: Transcript) -> Transcript:
    for _ in range(2):
        came = attempt()
        if came == wanted:
            return came
    return attempt()


def _difference(script: Script, first: Transcript, other: Transcript) -> str:
    pairs = list(zip(first, other, strict=True))
    at = next(index for index, (a, b) in enumerate(pairs) if a != b)
    step: Any = (*script.steps, "the end")[at]
    return f"at {step!r}\n  {_short(first[at])}\nis not\n  {_short(other[at])}"


def _short(outcome: Any) -> str:
    text = repr(outcome)
    return text if len(text) < 2000 else f"{text[:1000]} ... {text[-1000:]}"


def failure(check: Check, script: Script) -> Exception | None:
    """Return the failure of a script, or None. An endless script ends the process."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    try:
        check(script)
    except Exception as error:
        return error
    finally:
        faulthandler.cancel_dump_traceback_later()
    return None


def shortened(check: Check, script: Script) -> Script:
    """Return a script with as few steps as possible that fails in the same way."""
    kind = type(failure(check, script))
    size = len(script.steps) // 2
    while size:
        start = 0
        while start < len(script.steps):
            shorter = script.without(start, start + size)
            if type(_failure_of_fewer(check, shorter)) is kind:
                script = shorter
            else:
                start += size
        size //= 2
    return script


def _failure_of_fewer(check: Check, script: Script) -> Exception | None:
    """Return the failure of a shortened script, which may have become invalid."""
    there: set[int] = set()
    for step in script.steps:
        if step[0] == "join":
            there.add(step[1])
        elif step[0] == "leave":
            there.discard(step[1])
        elif step[0] == "send" and step[1] not in there:
            return None
    return failure(check, script)
