"""The command line of `gearman`."""

import pytest

from gearman.cli.options import HELP, Options, parse
from gearman.errors import ConfigurationError
from gearman.options import JobOptions


def test_functions_are_collected_in_order() -> None:
    assert parse(["-f", "one", "-ftwo"]).functions == (b"one", b"two")


def test_options_may_stand_behind_data() -> None:
    options = parse(["-f", "f", "data", "-b", "more"])
    assert options.background
    assert options.operands == (b"data", b"more")


def test_what_follows_two_dashes_is_no_option() -> None:
    options = parse(["-w", "-f", "f", "--", "sh", "-c", "true"])
    assert options.operands == (b"sh", b"-c", b"true")
    assert options.count == 0


def test_flags_may_be_bundled() -> None:
    options = parse(["-bIvP", "-f", "f"])
    assert options == Options(
        functions=(b"f",), background=True, priority="HIGH", verbose=True, prefix=True
    )


@pytest.mark.parametrize(("words", "priority"), [("-IL", "LOW"), ("-LI", "HIGH")])
def test_the_last_priority_counts(words: str, priority: str) -> None:
    assert parse([words, "-f", "f"]).priority == priority


def test_stripped_lines_are_lines() -> None:
    options = parse(["-N", "-f", "f"])
    assert options.lines
    assert options.strip


def test_milliseconds_become_seconds() -> None:
    assert parse(["-t", "1500", "-f", "f"]).timeout == 1.5


def test_numbers_may_have_a_blank_before_them_as_with_the_c_tool() -> None:
    options = parse(["-p 4731", "-t 500", "-c +2", "-f", "f"])
    assert (options.port, options.timeout, options.count) == ("4731", 0.5, 2)


def test_bytes_that_are_no_text_arrive_as_they_are() -> None:
    assert parse(["-f", "\udcff", "\udc80"]).operands == (b"\x80",)


def test_a_ping_needs_no_function() -> None:
    assert parse(["--ping"]).ping


def test_a_result_needs_no_function() -> None:
    assert parse(["--result", "H:1"]).result == b"H:1"


def test_options_of_jobs_are_those_of_the_library() -> None:
    words = ["--option", "retries=3", "--delay", "0.5", "--option=need-worker=1"]
    assert parse(["-f", "f", *words]).job_options == JobOptions(
        retries=3, delay=0.5, need_worker=True
    )
    assert parse(["-f", "f"]).job_options is None


@pytest.mark.parametrize("flag", ["-H", "--help", "--hel"])
def test_help_needs_no_function(flag: str) -> None:
    assert parse([flag]).text == HELP


def test_help_has_a_blank_between_an_option_and_its_text() -> None:
    assert "\n  -f FUNCTION   function to call, or to offer with -w" in HELP
    assert "\n  --option KEY=VALUE an option of the jobs" in HELP


def test_help_names_every_option() -> None:
    for letter in "bcdfhHiILnNpPsStuvw":
        assert f"\n  -{letter}" in HELP, letter


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "no function: name one with -f FUNCTION (gearman --help tells more)"),
        (["-f"], "option -f requires argument; gearman --help lists them"),
        (["-f", ""], "a function has no name: give one after -f"),
        (["-z"], "option -z not recognized; gearman --help lists them"),
        (["--pong"], "option --pong not recognized; gearman --help lists them"),
        (["-f", "f", "-t", "x"], "-t takes a number of milliseconds, not 'x'"),
        (["-f", "f", "-c", "-1"], "-c takes a number of jobs, not '-1'"),
        (
            ["-f", "f", "--option", "retries"],
            "--option takes KEY=VALUE, not 'retries'",
        ),
        (
            ["-f", "f", "--delay", "1", "--option", "delay=2"],
            "the option delay is given twice: leave one out",
        ),
        (
            ["-f", "f", "--option", "background=1"],
            "--option takes no background: use -b",
        ),
        (
            ["-f", "f", "--option", "retries=x"],
            "retries must be a whole number from 0 to 2147483647, not 'x'",
        ),
        (
            ["-w", "-f", "f", "--delay", "1"],
            "--option and --delay are for jobs, not for -w",
        ),
        (["-f", "f", "--discover"], "--discover is for workers: it needs -w"),
    ],
)
def test_what_cannot_be_meant_is_explained(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(words)
    assert str(caught.value) == sentence
