"""The command line of `gearman-queue`."""

import os
import re

import pytest

from gearman.cli.gearman_queue import queue_options
from gearman.cli.gearman_queue.queue_options import OPERATIONS, parse, parser
from gearman.errors import ConfigurationError
from gearman.queue import NAMES, Option, load
from gearman.server.settings.queues import plugins
from tests.server.storage.slow_queue import Slow

SQLITE = ("-q", "sqlite", "--sqlite-db", "a.db")
A, B = os.path.abspath("a.db"), os.path.abspath("b.db")


def test_source_is_named_as_for_the_server() -> None:
    for name in "sqlite", "libsqlite3":
        options = parse(["list", "--queue-type", name, f"--{name}-db", "a.db"])
        assert options.source.name == "sqlite"
        assert options.source.plugin is load("sqlite")
        assert options.source.arguments == {"db": A}
        assert options.target is None


def test_two_stores_may_be_of_the_same_kind() -> None:
    words = ("--to", "sqlite", "--to-sqlite-db", "b.db", "--to-queue-format=gearmand")
    options = parse(["copy", *SQLITE, *words])
    assert options.source.arguments == {"db": A}
    assert options.target.arguments == {"db": B, "format": "gearmand"}


def test_target_knows_the_names_of_gearmand_too() -> None:
    options = parse(["copy", *SQLITE, "--to=Postgres", "--to-libpq-conninfo=host=db"])
    assert options.target.name == "postgres"
    assert options.target.arguments == {"conninfo": "host=db"}


def test_file_may_stand_anywhere() -> None:
    for words in (
        ["export", "f", *SQLITE],
        ["export", *SQLITE, "f"],
        [*SQLITE, "export", "f"],
    ):
        assert (parse(words).operation, parse(words).file) == ("export", "f")
    assert parse(["import", *SQLITE]).file is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "the following arguments are required: OPERATION; gearman-queue --help"),
        ("drop", "OPERATION: invalid choice: 'drop' (choose from "),
        ("list", "list which queue? Name it as for the server, such as -q sqlite"),
        ("copy -q sqlite", "copy to where? Name it such as --to sqlite --to-sqlite-db"),
        ("list -q sqlite --to sqlite", "list takes no --to; gearman-queue --help"),
        ("copy -q sqlite --to sqlite --json", "copy takes no --json; "),
        ("import -q sqlite --json", "import takes no --json; "),
        ("list -q sqlite x", "list takes no FILE; "),
        ("export -q sqlite x y", "unrecognized arguments: y; "),
        ("list -q sqlite --flatfile-dir x", "unrecognized arguments: --flatfile-dir x"),
        ("list -q sqlite --to-sqlite-db x", "unrecognized arguments: --to-sqlite-db x"),
        (
            "list -q builtin",
            "the queue builtin has its jobs only in the memory ",
        ),
        (
            "copy -q sqlite --to builtin",
            "the queue builtin has its jobs only in the memory ",
        ),
        ("list -q nothing", "there is no queue plugin 'nothing': "),
        ("copy -q sqlite --to nothing", "there is no queue plugin 'nothing': "),
        ("list -q sqlite --queue-format x", "--queue-format: unknown: 'x'; this "),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(words: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse(words.split())
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        parse(words)
    assert end.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["list", "--help"]])
def test_help_has_it_all_and_fits_a_terminal(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = printed(capsys, *words)
    assert said == parser(plugins(()), "", "").format_help()
    assert max(map(len, said.splitlines())) < 80
    for operation in OPERATIONS:
        assert f"\n  {operation} " in said
    for name in NAMES:
        for option in load(name).options:
            assert re.search(rf"\n  --{option.names[0]}[ \n]", said)


def test_help_of_a_queue_has_its_options_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = printed(capsys, "copy", "-q", "sqlite", "--to", "flatfile", "-h")
    assert "\n  --sqlite-db " in said
    assert "\n  --to-flatfile-dir " in said
    assert "\n  --flatfile-dir " not in said


class Odd(Slow):
    """A queue whose options have names that the tool uses."""

    options = (Option("path", ("file",), "where", "FILE", "path"),)


class Taken(Slow):
    options = (Option("json", ("json",), "what the tool has"),)


def test_option_of_a_queue_may_be_called_as_an_operand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue_options, "plugins", lambda names: {"odd": Odd})
    options = parse(["export", "-q", "odd", "--file", "a.db", "b.db"])
    assert (options.source.arguments, options.file) == ({"path": A}, "b.db")


def test_option_that_the_tool_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_options, "plugins", lambda names: {"taken": Taken})
    with pytest.raises(ConfigurationError) as error:
        parse(["list", "-q", "taken"])
    assert str(error.value).startswith(
        "the queue taken (-q taken) has an option whose name this tool uses ("
    )


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version") == queue_options.VERSION
