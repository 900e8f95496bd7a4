"""Which functions are in trouble, and the sentences that say why."""

from dataclasses import replace

import pytest

from gearman.monitor.model.counters import Counters
from gearman.monitor.model.trouble import find
from gearman.monitor.model.views import FunctionPart

FINE = FunctionPart(
    server="a:4730",
    workers=1,
    running=1,
    queued=5,
    scheduled=0,
    awaiting=0,
    pending=0,
    dead=0,
    held=False,
    oldest=1.0,
    unstaffed=None,
    growth=0,
    rates=None,
    counters=None,
    recent=Counters(completed=10),
    waits=None,
    runs=None,
)


def test_function_without_trouble_has_no_score() -> None:
    assert find(FINE) == (0.0, "")
    assert find(replace(FINE, recent=None)) == (0.0, "")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"workers": 0}, "5 jobs waiting, and no worker"),
        ({"workers": 0, "queued": 1}, "1 job waiting, and no worker"),
        (
            {"workers": 0, "unstaffed": 90.0},
            "5 jobs waiting, and no worker for 1 min 30 s",
        ),
        (
            {"recent": Counters(completed=3, failed=1, exceptions=1)},
            "2 of 5 attempts failed in the last minutes",
        ),
        ({"recent": Counters(lost=1)}, "1 worker lost with a job"),
        ({"recent": Counters(lost=1, timeouts=1)}, "2 workers lost with jobs"),
        (
            {"queued": 5000, "growth": 2000},
            "the queue grows: 5,000 jobs, 3,000 before",
        ),
        ({"oldest": 7200.0}, "a job has waited for 2 h"),
        ({"held": True}, "5 jobs held back by the policy"),
        ({"dead": 1}, "1 dead job"),
        ({"dead": 1234}, "1,234 dead jobs"),
    ],
)
def test_trouble_has_a_sentence(changes: dict[str, object], sentence: str) -> None:
    score, found = find(replace(FINE, **changes))  # type: ignore[arg-type]
    assert found == sentence
    assert score > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"queued": 0, "workers": 0},
        {"queued": 0, "held": True},
        {"growth": 9},
        {"queued": 1000, "growth": 100},
        {"oldest": None},
    ],
)
def test_what_is_no_trouble(changes: dict[str, object]) -> None:
    assert find(replace(FINE, **changes)) == (0.0, "")  # type: ignore[arg-type]


def test_sentence_is_that_of_the_worst_trouble() -> None:
    both = replace(FINE, workers=0, dead=3)
    assert find(both)[1] == "5 jobs waiting, and no worker"
    assert find(both)[0] > find(replace(FINE, workers=0))[0]
