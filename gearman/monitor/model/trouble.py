"""Which functions need somebody to look, and why.

Each rule gives points and a sentence. The points of all rules are added, so that a
function with two troubles is before one with the worse of them; the sentence is that of
the rule with the most points.
"""

from collections.abc import Callable
from math import log10
from typing import Final

from ..text import duration, number
from .views import FunctionPart

# Points and the sentence; no points: no trouble.
_Finding = tuple[float, str]
_NONE: Final = (0.0, "")

# A job that has waited for so many seconds has waited for long.
LONG: Final = 60.0
# A queue grows if so many jobs more wait than a minute ago, and this share more.
GROWTH: Final = 10
GROWTH_SHARE: Final = 0.2


def find(part: FunctionPart) -> tuple[float, str]:
    """Return the points of a function, and the sentence of the worst trouble."""
    findings = [rule(part) for rule in _RULES]
    worst = max(findings)
    return round(sum(points for points, _ in findings), 1), worst[1]


def _no_workers(part: FunctionPart) -> _Finding:
    if part.workers or not part.queued:
        return _NONE
    jobs = _jobs(part.queued)
    since = ""
    if part.unstaffed is not None:
        since = f" for {duration(part.unstaffed)}"
    return 1000 + _size(part.queued), f"{jobs} waiting, and no worker{since}"


def _failures(part: FunctionPart) -> _Finding:
    recent = part.recent
    if recent is None:
        return _NONE
    failed = recent.failed + recent.exceptions
    ended = failed + recent.completed
    if not failed:
        return _NONE
    share = failed / ended
    text = f"{number(failed)} of {number(ended)} attempts failed in the last minutes"
    return 100 + 400 * share, text


def _lost_workers(part: FunctionPart) -> _Finding:
    recent = part.recent
    if recent is None or not recent.lost + recent.timeouts:
        return _NONE
    count = recent.lost + recent.timeouts
    text = "1 worker lost with a job"
    if count > 1:
        text = f"{number(count)} workers lost with jobs"
    return 300 + _size(count), text


def _growing(part: FunctionPart) -> _Finding:
    before = part.queued - part.growth
    if part.growth < max(GROWTH, before * GROWTH_SHARE):
        return _NONE
    text = f"the queue grows: {_jobs(part.queued)}, {number(before)} before"
    return 200 + 10 * _size(part.growth), text


def _old(part: FunctionPart) -> _Finding:
    if part.oldest is None or part.oldest < LONG:
        return _NONE
    text = f"a job has waited for {duration(part.oldest)}"
    return 100 + min(part.oldest / LONG, 100.0), text


def _held(part: FunctionPart) -> _Finding:
    if not part.held or not part.queued:
        return _NONE
    return 20.0, f"{_jobs(part.queued)} held back by the policy"


def _dead(part: FunctionPart) -> _Finding:
    if not part.dead:
        return _NONE
    jobs = "1 dead job" if part.dead == 1 else f"{number(part.dead)} dead jobs"
    return 10 + _size(part.dead), jobs


_RULES: Final[tuple[Callable[[FunctionPart], _Finding], ...]] = (
    *(_no_workers, _failures, _lost_workers, _growing, _old, _held, _dead),
)


def _size(count: int) -> float:
    """Return a few points for a number, more for a larger one."""
    return log10(count + 1)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{number(count)} jobs"
