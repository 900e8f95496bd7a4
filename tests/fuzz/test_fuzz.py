"""A short run of the fuzzer; `python -m tests.fuzz` does long ones."""

from random import Random

import pytest

from tests.fuzz import check, script
from tests.fuzz.builds import names
from tests.fuzz.sockets import WAYS
from tests.fuzz.write import Writer

KNOWN = script.corpus()
CHECKS = {
    "protocols": check.same_in_builds(names()),
    **{way: check.same_by_sockets(way) for way in WAYS},
}
INPUTS = {"protocols": 30_000, **dict.fromkeys(WAYS, 4000)}


@pytest.fixture(params=CHECKS)
def way(request):
    return request.param


@pytest.mark.parametrize("played", KNOWN, ids=lambda it: it.name)
def test_what_is_known_does_no_harm(way, played):
    CHECKS[way](played)


def test_odd_bytes_do_no_harm(way):
    writer = Writer(Random(42), KNOWN)
    inputs = 0
    while inputs < INPUTS[way]:
        written = writer.script()
        error = check.failure(CHECKS[way], written)
        if error is not None:
            shorter = check.shortened(CHECKS[way], written)
            pytest.fail(f"{error}\n{shorter.text()}")
        inputs += written.inputs


def test_a_script_is_read_as_it_was_written(tmp_path):
    written = Writer(Random(1), KNOWN).script()
    file = tmp_path / "it.script"
    file.write_text(f"# What it shows.\n{written.text()}")
    read = script.read(file)
    assert (read.options, read.steps, read.trace) == (
        written.options,
        written.steps,
        written.trace,
    )


def fail_at_bad_news(played):
    assert ("send", 0, b"bad news") not in played.steps


def test_a_script_that_fails_is_cut_down_to_what_matters():
    sent = [("send", 0, b"news")] * 20
    steps = [("join", 0, "gear"), *sent, ("send", 0, b"bad news"), *sent]
    shorter = check.shortened(fail_at_bad_news, script.Script({}, steps))
    assert shorter.steps == [("join", 0, "gear"), ("send", 0, b"bad news")]
