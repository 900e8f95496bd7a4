"""The operations and options of `gearadmin`."""

import re
from argparse import SUPPRESS, Action, ArgumentParser, Namespace
from argparse import RawDescriptionHelpFormatter as Formatter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import quote_from_bytes

from ...address import FORMS
from ...errors import ConfigurationError
from .. import tables
from ..options import number_text
from ..tables import Table

_EPILOG: Final = """\
Operations are carried out in the given order. Lists are written as the server
sends them, with a full stop at the end; on a terminal they are written in
columns, and with --json as JSON.

environment:
  GEARMAN_CA_CERTIFICATE, GEARMAN_CLIENT_PEM, GEARMAN_CLIENT_KEY
                        files for -S: authorities, own certificate, its key

examples:
  gearadmin --status                  functions, their jobs and their workers
  gearadmin --status --watch          the same, again and again
  gearadmin --status --json | jq '.[] | select(.workers == 0)'
  gearadmin -h jobs.example --show-jobs --workers
"""


@dataclass(frozen=True, slots=True)
class Operation:
    """An option that sends an admin line to the server.

    `line` is sent, followed by the value of the option if it has one; `value` is the
    value's name in the help. With `pairs`, words of the form KEY=VALUE follow. If there
    is a `table`, the answer is a list. An `endless` answer has lines of JSON, until the
    tool is interrupted.
    """

    option: str
    line: str
    text: str
    value: str | None = None
    table: Table | None = None
    pairs: bool = False
    endless: bool = False

    def request(self, words: Sequence[str]) -> str:
        """Return the line to be sent. Raises ConfigurationError for wrong words."""
        count = 0 if self.value is None else 1
        for word in words[:count]:
            if not word or word.split() != [word]:
                raise ConfigurationError(
                    f"--{self.option} takes one word, not {word!r}"
                )
        pairs = [_pair(self.option, word) for word in words[count:]]
        if self.pairs and count and not pairs:
            raise ConfigurationError(f"--{self.option} takes KEY=VALUE after the name")
        return " ".join([self.line, *words[:count], *filter(None, ["&".join(pairs)])])


def _pair(option: str, word: str) -> str:
    """Return KEY=VALUE with the value percent-encoded."""
    key, equals, value = word.partition("=")
    if not (key and equals) or re.search(r"[\s&]", key):
        raise ConfigurationError(f"--{option} takes KEY=VALUE, not {word!r}")
    text = quote_from_bytes(value.encode(errors="surrogateescape"), safe=":,/")
    return f"{key}={text}"


OPERATIONS: Final = (
    Operation(
        "status",
        "status",
        "functions: jobs, running jobs, workers",
        table=tables.STATUS,
    ),
    Operation(
        "priority-status",
        "prioritystatus",
        "functions: waiting jobs of high, normal and low priority, workers",
        table=tables.PRIORITIES,
    ),
    Operation(
        "workers", "workers", "connections, and their functions", table=tables.WORKERS
    ),
    Operation(
        "show-jobs",
        "show jobs",
        "jobs: how often they were retried, whether they were cancelled, and"
        " whether they run in the background",
        table=tables.JOBS,
    ),
    Operation(
        "show-jobs-of",
        "show jobs of",
        "the same for one function",
        "NAME",
        tables.JOBS,
    ),
    Operation(
        "show-unique-jobs",
        "show unique jobs",
        "unique keys of the jobs",
        table=tables.UNIQUES,
    ),
    Operation(
        "show-limits",
        "show limits",
        "limits: how much of each is used, and how often it was hit",
        table=tables.LIMITS,
    ),
    Operation("cancel-job", "cancel job", "drop a job that waits or runs", "HANDLE"),
    Operation("create-function", "create function", "make a function known", "NAME"),
    Operation(
        "drop-function",
        "drop function",
        "forget a function that has no workers and no jobs",
        "NAME",
    ),
    Operation(
        "set-function",
        "set function",
        "set values of a function's policy, such as retries=3",
        "NAME",
        pairs=True,
    ),
    Operation(
        "unset-function",
        "unset function",
        "forget what was set for a function",
        "NAME",
    ),
    Operation(
        "show-stats",
        "show stats",
        "what has happened on the server and to the jobs of each function, as JSON",
        table=tables.RECORDS,
    ),
    Operation(
        "show-cluster",
        "show cluster",
        "the servers of its cluster, their shards, and its links to them, as JSON",
        table=tables.RECORDS,
    ),
    Operation(
        "show-policies",
        "show policies",
        "functions and their policies",
        table=tables.POLICIES,
    ),
    Operation(
        "pause-function", "pause function", "let no more jobs of it start", "NAME"
    ),
    Operation("resume-function", "resume function", "let its jobs start again", "NAME"),
    Operation(
        "purge-function",
        "purge function",
        "drop the jobs of a function that wait",
        "NAME",
    ),
    Operation(
        "show-dead",
        "show dead",
        "dead jobs: function, failed attempts, when they died (in seconds since"
        " 1970), and why",
        table=tables.DEAD,
    ),
    Operation("retry-job", "retry job", "queue a dead job again", "HANDLE"),
    Operation(
        "retry-function",
        "retry function",
        "queue all dead jobs of a function again",
        "NAME",
    ),
    Operation("forget-job", "forget job", "drop a dead job", "HANDLE"),
    Operation(
        "forget-function",
        "forget function",
        "drop all dead jobs of a function",
        "NAME",
    ),
    Operation(
        "show-job",
        "show job",
        "all about a job, as JSON",
        "HANDLE",
        tables.RECORDS,
    ),
    Operation(
        "list-jobs",
        "list jobs",
        "the same for many jobs; keys: function, unique, state, limit (default:"
        " 100), and after (a handle: for the next page)",
        table=tables.RECORDS,
        pairs=True,
    ),
    Operation(
        "watch-events",
        "watch events",
        "what happens from now on, as JSON, until Ctrl-C; keys: events and functions,"
        " with names separated by commas",
        pairs=True,
        endless=True,
    ),
    Operation(
        "show-schedules",
        "show schedules",
        "schedules: cron, function, next and last run (in seconds since 1970),"
        " whether they are paused, and where they come from",
        table=tables.SCHEDULES,
    ),
    Operation(
        "set-schedule",
        "set schedule",
        "set or replace a schedule: cron='0 3 * * *' function=NAME ...",
        "NAME",
        pairs=True,
    ),
    Operation(
        "unset-schedule", "unset schedule", "forget a schedule that was set", "NAME"
    ),
    Operation(
        "run-schedule", "run schedule", "submit the job of a schedule now", "NAME"
    ),
    Operation("pause-schedule", "pause schedule", "let it submit no more jobs", "NAME"),
    Operation("resume-schedule", "resume schedule", "let it submit jobs again", "NAME"),
    Operation(
        "drain-server",
        "drain server",
        "let a server of a cluster give its jobs to the others, and stop then",
    ),
    Operation("getpid", "getpid", "process id of the server"),
    Operation("server-version", "version", "version of the server"),
    Operation("server-verbose", "verbose", "log level of the server"),
    Operation(
        "shutdown",
        "shutdown",
        "stop the server immediately, if it allows that (--allow-shutdown)",
    ),
    Operation(
        "shutdown-graceful",
        "shutdown graceful",
        "let the server accept no more jobs, and stop after the last one",
    ),
)


class _Order(Action):
    """Appends an operation and its value to the list of requests."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        words = [values] if isinstance(values, str) else list(values or ())
        namespace.requests.append((self.const, words))


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sentence = message.removeprefix("argument ")
        raise ConfigurationError(f"{sentence}; gearadmin --help lists the options")


def parser() -> ArgumentParser:
    """Return the parser of all options."""
    result = _Parser(
        prog="gearadmin",
        usage="gearadmin [options] --OPERATION ...",
        description="Show the state of a Gearman job server, or control it.",
        epilog=_EPILOG,
        formatter_class=lambda prog: Formatter(prog, max_help_position=26, width=79),
        add_help=False,
    )
    result.set_defaults(requests=[])
    group = result.add_argument_group("operations")
    for row in OPERATIONS:
        group.add_argument(
            f"--{row.option}",
            action=_Order,
            const=row,
            dest=SUPPRESS,
            **_arguments(row),
            help=row.text,
        )
    _add_server(result)
    _add_output(result)
    return result


def _arguments(row: Operation) -> dict[str, Any]:
    """Return how many words an option takes, and their names in the help."""
    if not row.pairs:
        return {"nargs": None if row.value else 0, "metavar": row.value}
    if row.value is None:
        return {"nargs": "*", "metavar": "KEY=VALUE"}
    return {"nargs": "+", "metavar": (row.value, "KEY=VALUE")}


def _add_server(result: ArgumentParser) -> None:
    group = result.add_argument_group("server")
    group.add_argument(
        "-h",
        "--host",
        default="localhost",
        help=f"the server: {FORMS} (default: localhost)",
    )
    group.add_argument(
        *("-p", "--port"),
        type=number_text,
        default="",
        help="port of a HOST that names none (default: 4730)",
    )
    group.add_argument("-S", "--ssl", action="store_true", help="use TLS")
    group.add_argument(
        *("-t", "--timeout"),
        type=int,
        metavar="MS",
        default=10_000,
        help="how long to wait for an answer, in milliseconds (default: 10000)",
    )


def _add_output(result: ArgumentParser) -> None:
    group = result.add_argument_group("output")
    group.add_argument(
        "--json", action="store_true", help="write a line of JSON for each operation"
    )
    group.add_argument(
        "--watch",
        type=float,
        nargs="?",
        const=2.0,
        metavar="SECONDS",
        help="repeat all every SECONDS seconds (default: 2) until Ctrl-C",
    )
    group.add_argument("--help", action="store_true", help="print this help and exit")
    group.add_argument(
        "--version", action="store_true", help="print the version of this tool and exit"
    )
