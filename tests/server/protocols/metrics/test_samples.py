"""The samples of functions: the compiled ones are those of plain Python."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from math import inf, nan
from operator import itemgetter
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gearman.framing import BUILD
from gearman.server.broker.stats import BUCKETS, COUNTERS, Stats
from gearman.server.compiled import SAMPLES
from gearman.server.protocols.lines import PIECE_SIZE
from gearman.server.protocols.metrics.labels import label
from gearman.server.protocols.metrics.rows import STEP, Row
from gearman.server.protocols.metrics.samples import PlainSamples, Samples

# What a function has: a name, whole numbers, seconds, and times that were waited and
# run.
Facts = tuple[bytes, Sequence[int], float, Sequence[float], Sequence[float]]

GAUGES = 3
LARGEST = 2**63 - 1
ZEROS = (0,) * (GAUGES + len(COUNTERS))
DISTINCT = tuple(range(900, 900 + len(ZEROS)))
NAMES = [
    *(b"f", b"", b"100%", b"%d%%s%(x)s", b'a"b\\c', b"other", b"\xff<b>", b"x" * 201),
    *(b"\\" * 200, "gr\u00fc\u00dfe \u2028 \U0001f600%".encode()),
]
# Halves, and what has no exact form: all of these are rounded.
SECONDS = (0.0, 0.0005, 0.0015, 1e-7, 5e-7, 2.5e-6, 0.1, 1e15 + 0.3, 1e300, inf, nan)


def row(facts: Facts, stats: Any) -> Row:
    """Return a row with these facts; its statistics are of either build."""
    name, numbers, oldest, waits, runs = facts
    jobs, running, workers = numbers[:GAUGES]
    for counter, number in zip(COUNTERS, numbers[GAUGES:], strict=True):
        setattr(stats, counter, number)
    for histogram, times in ((stats.waits, waits), (stats.runs, runs)):
        for seconds in times:
            histogram.add(seconds)
    return Row(label(name), jobs, running, workers, oldest, stats)


def plain(several: Iterable[Facts]) -> bytes:
    return b"".join(PlainSamples().pieces([row(each, Stats()) for each in several]))


@pytest.fixture(scope="session")
def module(speedups: ModuleType) -> ModuleType:
    """The compiled samples, whichever build is in use."""
    return import_module(SAMPLES)


@pytest.fixture(scope="session")
def stats(speedups: ModuleType) -> Any:
    """The class of compiled statistics."""
    return import_module("gearman.server.broker_c.stats").Stats


numbers = st.integers(0, LARGEST) | st.integers(0, 1000)
times = st.floats(0, allow_nan=False) | st.sampled_from(SECONDS[:-1])
functions = st.tuples(
    st.binary(max_size=20) | st.sampled_from(NAMES),
    st.tuples(*[numbers] * len(ZEROS)),
    times,
    st.lists(times, max_size=5),
    st.lists(times, max_size=5),
)


def test_each_build_has_its_own(module: ModuleType) -> None:
    assert Samples is (PlainSamples if BUILD == "pure" else module.Samples)


@given(several=st.lists(functions, max_size=10, unique_by=itemgetter(0)))
@example(several=[])
@example(several=[(name, ZEROS, 0.0, (), ()) for name in NAMES])
@example(several=[(name, DISTINCT, 1.5, (0.5,), ()) for name in NAMES])
@example(several=[(b"f", (LARGEST,) * len(ZEROS), 0.0, (), (0.0,))])
@example(several=[(b"f", (0, LARGEST, *ZEROS[2:]), 0.0, (), ())])
@example(
    several=[
        (b"%r" % each, ZEROS, each, (each,), (each, each)) for each in SECONDS[:-1]
    ]
)
@example(several=[(b"f", ZEROS, nan, (nan,), (inf,))])
@example(
    several=[
        (b"f", ZEROS, 0.0, [2**n / 1000 for n in range(BUCKETS + 1)], [0.001] * 12345)
    ]
)
def test_text_is_the_same_to_the_byte(
    module: ModuleType, stats: Any, several: list[Facts]
) -> None:
    rows = [row(each, stats()) for each in several]
    text = b"".join(module.Samples().pieces(rows))
    assert text == plain(several)
    # And of the same counters.
    assert text == b"".join(PlainSamples().pieces(rows))


def test_plain_steps_are_of_a_few_functions() -> None:
    several = [(b"%d" % n, ZEROS, 0.0, (1.0,), (1.0,)) for n in range(2 * STEP)]
    rows = [row(each, Stats()) for each in several]
    steps = [*PlainSamples().pieces(rows)]
    # That have been counted, and those of five gauges, two counters, two histograms.
    assert len(steps) >= 2 * (2 + 9)
    assert max(step.count(b"\n") for step in steps) <= 13 * STEP


def test_text_is_the_same_if_it_takes_many_steps(
    module: ModuleType, stats: Any
) -> None:
    several: list[Facts] = [
        (b"%d " % n * (1 + n % 50), DISTINCT, n / 7, (n / 3,) * (n % 2), (n / 9,))
        for n in range(3000)
    ]
    steps = [*module.Samples().pieces([row(each, stats()) for each in several])]
    assert b"".join(steps) == plain(several)
    assert max(map(len, steps)) < 2 * PIECE_SIZE


def test_label_may_be_longer_than_a_step(module: ModuleType, stats: Any) -> None:
    rows = [Row(b"%d" % n * PIECE_SIZE, 1, 1, 1, 1.0, stats()) for n in range(3)]
    steps = [*module.Samples().pieces(rows)]
    assert b"".join(steps) == b"".join(PlainSamples().pieces(rows))
    assert len([step for step in steps if b"gearman_jobs{" in step]) == 3


def test_functions_without_samples_take_steps(module: ModuleType, stats: Any) -> None:
    rows = [row((b"f", ZEROS, 0.0, (), ()), stats()) for _ in range(5000)]
    steps = [*module.Samples().pieces(rows)]
    # Of the two histograms.
    assert steps.count(b"") == 10


def test_numbers_may_change_between_steps(module: ModuleType, stats: Any) -> None:
    one = row((b"f", ZEROS, 0.0, (), ()), stats())
    steps = module.Samples().pieces([one])
    while not next(steps).startswith(b"gearman_oldest_waiting_seconds"):
        pass
    one.stats.submitted = 5
    assert b'gearman_jobs_total{function="f",event="submitted"} 5\n' in b"".join(steps)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (None, TypeError),
        ((b"f", 1), IndexError),
        ((b"f", 1, 0, 1, 0.0, None), TypeError),
        ((b"f", 1, 0, 1, 0.0, Stats()), TypeError),
        ((b"f", 2**63, 0, 1, 0.0, ...), OverflowError),
        ((None, 1, 0, 1, 0.0, ...), TypeError),
        (("f", 1, 0, 1, 0.0, ...), TypeError),
    ],
    ids=repr,
)
def test_wrong_rows_are_refused(
    module: ModuleType, stats: Any, wrong: Any, error: type[Exception]
) -> None:
    if wrong is not None and wrong[-1] is ...:
        wrong = (*wrong[:-1], stats())
    with pytest.raises(error):
        list(module.Samples().pieces([wrong]))


def test_rows_must_be_in_a_list(module: ModuleType) -> None:
    with pytest.raises(TypeError):
        module.Samples().pieces(None)
