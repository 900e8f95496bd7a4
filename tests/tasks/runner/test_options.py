"""The options of `gearman-worker`, of the command line and of a file."""

import logging
import os
from pathlib import Path

import pytest

from gearman.errors import ConfigurationError
from gearman.tasks.runner import options
from gearman.tasks.runner.model.fleet import Limits
from gearman.tasks.runner.model.pools import Counts, Wanted
from gearman.tasks.runner.options import Options, parse, processors

FILE = """
app = "shop.tasks:app"
servers = ["jobs1:4730", "jobs2"]
processes = 4
threads = 2
async_concurrency = 50
dedicated-count = 1
max_jobs = 1000
max-age = 3600
max-memory = "500M"
kill-after = 2.5
ssl = true
log-level = "debug"

[tasks]
wc = "wc -l"
thumb = "images:thumbnail"

[functions.resize]
count = 6
timeout = 7.5
[functions.mail]
dedicated_count = 2
dedicated_only = true
"""


def refused(*words: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(words)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "worker.toml"


def test_defaults() -> None:
    assert parse(["m:app"]) == Options(app="m:app", wanted=Wanted(processors()))


def test_options_of_the_command_line() -> None:
    words = "m:app -c 3 --threads 4 --async-concurrency 5 --servers a:1,b -S"
    words += " --function resize=4 --function mail=0 --dedicated-count 1"
    words += " --max-jobs 6 --max-age 7 --max-memory 8K --kill-after 9 --grace 10"
    words += " --watch --reload --log-level warning --log-format json --pid-file p"
    words += " --no-schedules --log-file l --user u --discover"
    found = parse([*words.split(), "--task", "wc=wc -l"])
    assert found == Options(
        app="m:app",
        tasks={"wc": "wc -l"},
        servers=("a:1", "b"),
        ssl=True,
        wanted=Wanted(
            3,
            1,
            {"resize": Counts(dedicated_count=4), "mail": Counts(dedicated_count=0)},
        ),
        limits=Limits(grace=10, kill_after=9, max_age=7, max_memory=8192),
        discover=True,
        threads=4,
        async_concurrency=5,
        max_jobs=6,
        no_schedules=True,
        watch=True,
        reload=True,
        log_level=logging.WARNING,
        log_format="json",
        log_file="l",
        pid_file="p",
        user="u",
    )


def test_options_of_a_file(file: Path) -> None:
    file.write_text(FILE)
    assert parse(["--config", str(file)]) == Options(
        app="shop.tasks:app",
        tasks={"wc": "wc -l", "thumb": "images:thumbnail"},
        servers=("jobs1:4730", "jobs2"),
        ssl=True,
        wanted=Wanted(
            4,
            1,
            {
                "resize": Counts(count=6),
                "mail": Counts(dedicated_count=2, dedicated_only=True),
            },
        ),
        timeouts={"resize": 7.5},
        limits=Limits(kill_after=2.5, max_age=3600, max_memory=500 << 20),
        threads=2,
        async_concurrency=50,
        max_jobs=1000,
        log_level=logging.DEBUG,
    )


def test_command_line_overrides_the_file(file: Path) -> None:
    file.write_text(FILE)
    words = ["other:app", "-c", "1", "--task", "wc=wc -c", "--task", "cat=cat"]
    words += ["--function", "resize=3", "--servers", "c", "--config", str(file)]
    found = parse(words)
    assert found.app == "other:app"
    assert found.servers == ("c",)
    assert found.tasks == {"wc": "wc -c", "thumb": "images:thumbnail", "cat": "cat"}
    assert found.wanted.processes == 1
    assert found.wanted.functions["resize"] == Counts(6, 3)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "",
            "there is nothing to run: name an app, such as gearman-worker myapp:app,"
            " or a --task",
        ),
        (
            "app",
            "'app' names no app: write the module, a colon, and the name of the app in"
            " it, such as myapp:app",
        ),
        (
            "m:app -c x",
            "-c/--processes: must be a whole number from 0 to 10000, not 'x';"
            " gearman-worker --help lists the options",
        ),
        (
            "m:app --function resize",
            "--function: must be NAME=VALUE, not 'resize'; gearman-worker --help lists"
            " the options",
        ),
        (
            "m:app --servers a:x",
            "--servers: 'a:x' is no address: 'x' is no port from 1 to 65535; write"
            " HOST, HOST:PORT, [IPV6]:PORT or unix:PATH",
        ),
        (
            "m:app --config /absent",
            "/absent cannot be read: No such file or directory",
        ),
    ],
)
def test_mistakes_of_the_command_line_are_told(words: str, sentence: str) -> None:
    assert refused(*words.split()) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x", " is no TOML: Expected '=' after a key in a key/value pair"),
        ("color = true", ": there is no option 'color'"),
        ("config = 'x'", ": there is no option 'config'"),
        ("threads = 0", ": threads must be a whole number from 1 to 10000, not '0'"),
        ("threads = [1]", ": threads must be a number or a text, not [1]"),
        ("threads = true", ": threads must be a number or a text, not True"),
        ("watch = 1", ": watch must be true or false, not 1"),
        ("app = 1", ": app must be a text, not 1"),
        ("servers = [1]", ": servers must be a text, not 1"),
        ("tasks = 1", ": tasks must be a table"),
        ("[tasks]\nx = 1", ": [tasks] x must be a text, not 1"),
        ("functions = 1", ": functions must be a table"),
        ("[functions]\nx = 1", ": [functions.x] must be a table"),
        (
            "[functions.x]\ncount = -1",
            ": [functions.x] count must be a whole number, not -1",
        ),
        (
            "[functions.x]\ncount = true",
            ": [functions.x] count must be a whole number, not True",
        ),
        (
            "[functions.x]\ndedicated_only = 1",
            ": [functions.x] dedicated_only must be true or false, not 1",
        ),
        (
            "[functions.x]\ntimeout = 0",
            ": [functions.x] timeout must be a number of seconds above 0, at most 100"
            " years, not '0'",
        ),
        (
            "[functions.x]\ntime = 1",
            ": [functions.x] has no key 'time': there are count, dedicated_count,"
            " dedicated_only, timeout",
        ),
    ],
)
def test_mistakes_of_the_file_are_told(file: Path, text: str, sentence: str) -> None:
    file.write_text(text)
    assert refused("m:app", "--config", str(file)).startswith(f"{file}{sentence}")


def test_some_options_need_a_new_start() -> None:
    before = parse(["m:app", "--watch", "--log-file", "a", "--threads", "2"])
    after = parse(["m:app", "--log-file", "b", "--threads", "3"]).after(before)
    assert (after.watch, after.log_file, after.threads) == (True, "a", 3)


def test_help_has_all_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"--{name}" in printed for name in options._ROWS)


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["-V"])
    assert capsys.readouterr().out == options.VERSION


def test_processors_are_those_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    if hasattr(os, "sched_getaffinity"):
        assert processors() == len(os.sched_getaffinity(0))
        monkeypatch.delattr(os, "sched_getaffinity")
    assert processors() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors() == 1
