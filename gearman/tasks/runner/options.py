"""The options of `gearman-worker`: the command line, and a file of TOML beside it."""

import os
import re
import sys
import tomllib
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from argparse import RawDescriptionHelpFormatter as Formatter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from logging import INFO
from typing import Any, Final, NoReturn

from ... import __version__
from ...errors import ConfigurationError
from ...options.forms import value_of
from ...options.kinds import POSITIVE
from ...server.settings.values import level, one_of, seconds, size, whole_number
from ...streams import say
from ...util import host_and_port
from .model.fleet import Limits
from .model.pools import Counts, Wanted

NAME: Final = "gearman-worker"
VERSION: Final = f"{NAME} (gearman-py) {__version__}\n"

_DESCRIPTION: Final = """\
Run the tasks of an app: processes that take jobs of Gearman job servers."""

_EPILOG: Final = """\
FILE has the long options without --, such as max-jobs = 1000, and the tables
[tasks] (name = "module:function" or "command") and [functions.NAME] (count,
dedicated_count, dedicated_only, timeout). The command line overrides it.

environment:
  GEARMAN_SERVERS       servers, if neither --servers nor the app names any
  GEARMAN_CA_CERTIFICATE, GEARMAN_CLIENT_PEM, GEARMAN_CLIENT_KEY
                        files for --ssl

signals:
  TERM, INT             take no more jobs, and end when the running ones have
                        ended; a second one ends all at once
  HUP                   read FILE again, and replace the processes one by one, with
                        the code as it is now
  USR1                  nothing: the log file is opened again whenever it was moved

examples:
  gearman-worker myapp:app -c 4
  gearman-worker myapp:app --function resize=4 --max-jobs 1000
  gearman-worker --task wc='wc -l' --task thumb=images:thumbnail"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user wants.

    `app` is module:name, "" if there are only `tasks`, which map names of functions to
    module:function or a command. `servers` are empty if the app's own are used;
    `max_jobs` 0 is no limit. `timeouts` are seconds for functions; other functions have
    those of their tasks.
    """

    app: str = ""
    tasks: Mapping[str, str] = field(default_factory=dict)
    servers: tuple[str, ...] = ()
    ssl: bool = False
    discover: bool = False
    wanted: Wanted = field(default_factory=lambda: Wanted(1))
    timeouts: Mapping[str, float] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    threads: int = 1
    async_concurrency: int = 100
    max_jobs: int = 0
    no_schedules: bool = False
    watch: bool = False
    reload: bool = False
    log_level: int = INFO
    log_format: str = "text"
    log_file: str = ""
    pid_file: str = ""
    user: str = ""

    def after(self, before: "Options") -> "Options":
        """Return these options, but those that only a new start can change."""
        kept = {name: getattr(before, name) for name in _KEPT}
        return replace(self, **kept)


_KEPT: Final = ("watch", "reload", "log_format", "log_file", "pid_file", "user")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if name and equals and value:
        return name, value
    raise ArgumentTypeError(f"must be NAME=VALUE, not {text!r}")


def _function(text: str) -> tuple[str, int]:
    name, value = _pair(text)
    return name, _count(value)


_count = whole_number(0, 10_000)
_some = whole_number(1, 10_000)

# A name of the command line, what its value is called, how it is read, and the help.
_Row = tuple[str, str, str, Callable[[str], Any] | None, str]

_GROUPS: Final[Mapping[str, Sequence[_Row]]] = {
    "what to run": (
        (
            *("", "--task", "NAME=SPEC"),
            _pair,
            "offer a function of any module (module:function, which gets and returns"
            " bytes), or a shell command, as function NAME; may be repeated",
        ),
        (
            *("", "--servers", "ADDRESS,..."),
            str,
            "job servers instead of the app's, such as jobs1:4730,jobs2",
        ),
        ("-S", "--ssl", "", None, "use TLS for the job servers"),
        (
            *("", "--discover", ""),
            None,
            "ask the job servers for the others of their cluster, and use them as well",
        ),
        ("", "--config", "FILE", str, "read options from FILE, in TOML"),
    ),
    "processes": (
        (
            *("-c", "--processes", "N"),
            _count,
            "so many processes with all functions (default: one for each processor)",
        ),
        ("", "--threads", "N", _some, "so many plain jobs at a time in each process"),
        (
            *("", "--async-concurrency", "N"),
            _some,
            "so many jobs of `async def` tasks at a time in each (default: 100)",
        ),
        (
            *("", "--function", "NAME=N"),
            _function,
            "N more processes, with this function only; may be repeated",
        ),
        (
            *("", "--dedicated-count", "N"),
            _count,
            "as --function, for each function that is not named there",
        ),
    ),
    "limits": (
        ("", "--max-jobs", "N", _some, "replace a process after N jobs"),
        ("", "--max-age", "SECONDS", seconds, "replace a process that is so old"),
        (
            *("", "--max-memory", "SIZE"),
            size(1, 2**60),
            "replace a process that uses more memory, such as 500M",
        ),
        (
            *("", "--kill-after", "SECONDS"),
            seconds,
            "kill the process of a job that exceeds its timeout by more (default: 5)",
        ),
        (
            *("", "--grace", "SECONDS"),
            seconds,
            "how long running jobs may take after TERM (default: 30)",
        ),
    ),
    "operation": (
        (
            *("", "--no-schedules", ""),
            None,
            "do not register the schedules of the app's tasks with the server",
        ),
        ("", "--watch", "", None, "show on the terminal what each process does"),
        (
            *("", "--reload", ""),
            None,
            "as HUP whenever a file of the program changes (needs watchfiles)",
        ),
        (
            *("", "--log-level", "LEVEL"),
            level,
            "least level that is logged; DEBUG has a line for each job (default: INFO)",
        ),
        ("", "--log-format", "FORM", one_of(("text", "json")), "text or json"),
        ("", "--log-file", "FILE", str, "append the log to FILE"),
        ("", "--pid-file", "FILE", str, "write the process id to FILE"),
        ("", "--user", "NAME", str, "become this user; for a start as root"),
    ),
}
_ROWS: Final = {row[1][2:]: row for rows in _GROUPS.values() for row in rows}


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sentence = message.removeprefix("argument ")
        raise ConfigurationError(f"{sentence}; {NAME} --help lists the options")


def parse(argv: Sequence[str]) -> Options:
    """Return the options of a command line. Raises ConfigurationError.

    Prints the help or the version if asked for, and exits.
    """
    found = _parser().parse_args(argv)
    if found.help or found.version:
        say(VERSION if found.version else _parser().format_help(), sys.stdout)
        raise SystemExit(0)
    given = _given(found)
    path = given.pop("config", None)
    functions: dict[str, Counts] = {}
    timeouts: dict[str, float] = {}
    if path is not None:
        with_file = read_file(path)
        timeouts = with_file.pop("timeouts")
        functions = with_file.pop("functions")
        tasks = [*with_file.get("task", []), *given.get("task", [])]
        given = {**with_file, **given, "task": tasks}
    for name, count in given.pop("function", ()):
        known = functions.get(name, Counts())
        functions[name] = Counts(known.count, count, known.dedicated_only)
    return replace(_options(given, functions), timeouts=timeouts)


def _parser() -> _Parser:
    result = _Parser(
        prog=NAME,
        usage=f"{NAME} [options] [MODULE:APP]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=lambda prog: Formatter(prog, width=79),
        argument_default=SUPPRESS,
        add_help=False,
        allow_abbrev=False,
    )
    result.add_argument("app", nargs="?", metavar="MODULE:APP", help="such as app:app")
    for title, rows in _GROUPS.items():
        group = result.add_argument_group(title)
        for short, long, value, read, text in rows:
            names = [short, long] if short else [long]
            if read is None:
                group.add_argument(*names, action="store_true", help=text)
            elif long in ("--task", "--function"):
                group.add_argument(
                    *names, metavar=value, type=read, action="append", help=text
                )
            else:
                group.add_argument(*names, metavar=value, type=read, help=text)
    other = result.add_argument_group("information")
    for short, long, text in (("-h", "--help", "help"), ("-V", "--version", "version")):
        other.add_argument(
            *(short, long),
            action="store_true",
            default=False,
            help=f"print the {text} and exit",
        )
    return result


def _given(found: Namespace) -> dict[str, Any]:
    """Return the options that were given, by their long names."""
    values = vars(found)
    return {
        name.replace("_", "-"): value
        for name, value in values.items()
        if name not in ("help", "version")
    }


# The file.


def read_file(path: str) -> dict[str, Any]:
    """Return the options in a file, with "functions" and "timeouts".

    Raises ConfigurationError.
    """
    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file)
        return dict(_read(tables))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error


def _read(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    functions = _table("functions", tables.get("functions", {}))
    yield "functions", dict(_functions(functions))
    yield "timeouts", dict(_timeouts(functions))
    for key, value in tables.items():
        name = key.replace("_", "-")
        if name == "functions":
            pass
        elif name == "tasks":
            yield "task", list(_tasks(value))
        elif name == "app":
            yield name, _text(name, value)
        elif name in _ROWS and name not in ("config", "task", "function"):
            yield name, _value(name, value)
        else:
            raise ConfigurationError(f"there is no option {key!r}")


def _value(name: str, value: Any) -> Any:
    """Return a value as the option of this name reads it."""
    read = _ROWS[name][3]
    if read is None:
        if isinstance(value, bool):
            return value
        raise ConfigurationError(f"{name} must be true or false, not {value!r}")
    if name == "servers" and isinstance(value, list):
        value = ",".join(_text(name, each) for each in value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigurationError(f"{name} must be a number or a text, not {value!r}")
    try:
        return read(str(value))
    except ArgumentTypeError as error:
        raise ConfigurationError(f"{name} {error}") from error


def _text(name: str, value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise ConfigurationError(f"{name} must be a text, not {value!r}")


def _table(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ConfigurationError(f"{name} must be a table")


def _tasks(value: Any) -> Iterator[tuple[str, str]]:
    for name, spec in _table("tasks", value).items():
        yield name, _text(f"[tasks] {name}", spec)


_KEYS: Final[Mapping[str, str]] = {
    "count": "a whole number",
    "dedicated_count": "a whole number",
    "dedicated_only": "true or false",
    "timeout": POSITIVE.allowed,
}


def _functions(tables: Mapping[str, Any]) -> Iterator[tuple[str, Counts]]:
    for name, each in tables.items():
        yield name, _counts(f"[functions.{name}]", each)


def _timeouts(tables: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, each in tables.items():
        if "timeout" in each:
            yield (
                name,
                value_of(f"[functions.{name}] timeout", each["timeout"], POSITIVE),
            )


def _counts(title: str, value: Any) -> Counts:
    values: dict[str, Any] = {}
    for key, each in _table(title, value).items():
        name = key.replace("-", "_")
        kind = _KEYS.get(name)
        if kind is None:
            raise ConfigurationError(
                f"{title} has no key {key!r}: there are {', '.join(_KEYS)}"
            )
        if name == "timeout":
            continue
        number = type(each) is int and each >= 0
        if number if kind == "a whole number" else isinstance(each, bool):
            values[name] = each
        else:
            raise ConfigurationError(f"{title} {key} must be {kind}, not {each!r}")
    return Counts(**values)


# Both together.

_NAME_OF_AN_APP: Final = re.compile(r"[\w.]+:[\w.]+")
_LIMITS: Final = ("grace", "kill-after", "max-age", "max-memory")
_WANTED: Final = ("processes", "dedicated-count")


def _options(given: dict[str, Any], functions: Mapping[str, Counts]) -> Options:
    tasks: dict[str, str] = dict(given.pop("task", None) or ())
    app = given.get("app", "")
    if app and not _NAME_OF_AN_APP.fullmatch(app):
        raise ConfigurationError(
            f"{app!r} names no app: write the module, a colon, and the name of the app"
            " in it, such as myapp:app"
        )
    if not app and not tasks:
        raise ConfigurationError(
            f"there is nothing to run: name an app, such as {NAME} myapp:app, or a"
            " --task"
        )
    servers = given.pop("servers", "").replace(",", " ").split()
    for server in servers:
        try:
            host_and_port(server)
        except ValueError as error:
            raise ConfigurationError(f"--servers: {error}") from error
    given.setdefault("processes", processors())
    limits = _taken(given, _LIMITS)
    wanted = _taken(given, _WANTED)
    return Options(
        tasks=tasks,
        servers=tuple(servers),
        limits=Limits(**limits),
        wanted=Wanted(**wanted, functions=functions),
        **_named(given),
    )


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in values.items()}


def _taken(given: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Remove the options of these names, and return them."""
    return _named({name: given.pop(name) for name in names if name in given})


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
