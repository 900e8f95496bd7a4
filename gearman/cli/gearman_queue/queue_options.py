"""The operations and options of `gearman-queue`, with the options of its stores."""

import sys
from argparse import SUPPRESS, ArgumentError, Namespace
from argparse import RawDescriptionHelpFormatter as Formatter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

from ... import __version__
from ...errors import ConfigurationError
from ...queue import ALIASES, NAMES, plugin_arguments
from ...server.settings.command_line import Parser
from ...server.settings.options import Row
from ...server.settings.plugin_options import option_rows
from ...server.settings.queues import Plugins, plugins
from ...streams import say
from .stores import Store

# The options of each operation, in addition to those of its store.
OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "list": ("function", "json", "cluster"),
    "count": ("function", "json", "cluster"),
    "export": ("function", "file", "cluster"),
    "import": ("function", "file", "cluster"),
    "copy": ("function", "to", "cluster", "to_cluster"),
    "sql": ("install", "print", "results"),
}

# Prefixes for the keys of the stores' options, so that they differ from the tool's.
_SOURCE: Final = "source."
_TARGET: Final = "target."

_SPELLINGS: Final = {"file": "FILE", "to_cluster": "--to-cluster"}
_ALL: Final = tuple(
    dict.fromkeys(name for some in OPERATIONS.values() for name in some)
)

_DESCRIPTION: Final = """\
Show a store of background jobs, and copy jobs from one store to another, while
no server uses them. No job is ever removed.

operations:
  list                  a line for each job, and what else the server keeps
  count                 how many jobs there are, by function and priority
  export [FILE]         write all jobs as lines of JSON (default: standard
                        output)
  import [FILE]         add the jobs of such lines (default: standard input)
  copy                  add the jobs of one store to another
  sql                   with --print, write statements that create the table of
                        --queue-inbox, and functions of SQL that submit jobs;
                        with --install, execute them (a server may be running);
                        with --results, statements that create functions which
                        run a job and return its result"""

_EPILOG: Final = """\
The options of the store that `copy` writes to begin with --to, such as
--to-sqlite-db. Jobs that are already there are not added again.

exit status:
  0    success
  1    the command failed, or some jobs could not be read or stored; standard
       error says why
  130  interrupted by Ctrl-C

examples:
  gearman-queue count -q sqlite --sqlite-db jobs.db
  gearman-queue export -q sqlite --sqlite-db jobs.db backup.jsonl
  gearman-queue import -q flatfile --flatfile-dir jobs backup.jsonl
  gearman-queue copy -q sqlite --sqlite-db a.db --to sqlite --to-sqlite-db b.db
  gearman-queue sql --install -q postgres --postgres-conninfo dbname=shop"""

VERSION: Final = f"gearman-queue (gearman-py) {__version__}\n"


class _Parser(Parser):
    def error(self, message: str) -> NoReturn:
        sentence = message.removeprefix("argument ")
        raise ConfigurationError(f"{sentence}; gearman-queue --help lists the options")


def parse(argv: Sequence[str]) -> Namespace:
    """Return the options of a command line, with its stores as `source` and `target`.

    `target` is None without --to. Raises ConfigurationError if the command line is
    invalid. Prints the help or the version if asked for, and exits.
    """
    look = _first_look(argv)
    source, target = _name(look.queue_type), _name(look.to)
    known = plugins(name for name in (source, target) if name)
    if look.help or look.version:
        text = VERSION if look.version else parser(known, source, target).format_help()
        say(text, sys.stdout)
        raise SystemExit(0)
    options = parser(known, source, target).parse_intermixed_args(argv)
    _check(options)
    options.source = _store(
        source, _store_options(options, _SOURCE), known, options.cluster
    )
    options.target = None
    if target:
        options.target = _store(
            target, _store_options(options, _TARGET), known, options.to_cluster
        )
    return options


def _first_look(argv: Sequence[str]) -> Namespace:
    """Return the names of the queues, on which the other options depend."""
    looker = _Parser(add_help=False)
    looker.add_argument("-q", "--queue-type", default="")
    looker.add_argument("--to", default="")
    looker.add_argument("-h", "--help", action="store_true")
    looker.add_argument("-V", "--version", action="store_true")
    return looker.parse_known_args(argv)[0]


def _name(queue: str) -> str:
    if queue == "builtin":
        raise ConfigurationError(
            "the queue builtin has its jobs only in the memory of the server: choose"
            " another one"
        )
    return ALIASES.get(queue, queue)


def parser(known: Plugins, source: str, target: str) -> Parser:
    """Return the parser of all options, including those of source and target.

    Without a source it has the options of all known queues. Raises ConfigurationError
    if an option of a queue has the name of an option of the tool.
    """
    result = _Parser(
        prog="gearman-queue",
        usage="gearman-queue OPERATION -q NAME [options] [FILE]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=lambda prog: Formatter(prog, width=79),
        add_help=False,
    )
    result.add_argument(
        "operation", metavar="OPERATION", choices=OPERATIONS, help=SUPPRESS
    )
    result.add_argument("file", nargs="?", help=SUPPRESS)
    _add_options(result)
    for name, plugin in known.items():
        if name == source or not source:
            rows = option_rows(plugin.options)
            _add(result, f"queue {name} (-q {name})", rows, _SOURCE)
    if target:
        rows = [_of_target(row) for row in option_rows(known[target].options)]
        _add(result, f"target {target} (--to {target})", rows, _TARGET)
    return result


def _add_options(result: Parser) -> None:
    group = result.add_argument_group("options")
    names = ", ".join(NAMES)
    group.add_argument(
        *("-q", "--queue-type"),
        metavar="NAME",
        help=f"the queue, as for the server: {names}",
    )
    group.add_argument("--to", metavar="NAME", help="the queue to copy to")
    for name, what in (("--cluster", "the queue"), ("--to-cluster", "that of --to")):
        group.add_argument(
            name,
            metavar="NAME",
            help=f"the cluster whose servers share {what}; all of them must be stopped",
        )
    group.add_argument("--function", metavar="NAME", help="only jobs of this function")
    group.add_argument(
        "--json", action="store_true", help="write a line of JSON for each"
    )
    group.add_argument(
        "--install", action="store_true", help="execute the statements of sql"
    )
    group.add_argument(
        "--print", action="store_true", help="write the statements of sql"
    )
    group.add_argument(
        "--results",
        action="store_true",
        help="sql is about functions that return results of jobs",
    )
    group.add_argument(
        "-h", "--help", action="store_true", help="print this help and exit"
    )
    group.add_argument(
        *("-V", "--version"),
        action="store_true",
        help="print the version of this tool and exit",
    )


def _add(result: Parser, title: str, rows: Iterable[Row], prefix: str) -> None:
    group = result.add_argument_group(title)
    for names, settings in rows:
        key = prefix + settings["dest"]
        try:
            # Options that were not given are not in the result.
            group.add_argument(*names, **settings | {"dest": key, "default": SUPPRESS})
        except ArgumentError as error:
            raise ConfigurationError(
                f"the {title} has an option whose name this tool uses ({error}): it"
                " can't be used before its author renames that option"
            ) from error


def _of_target(row: Row) -> Row:
    names, settings = row
    return tuple(f"--to-{name.removeprefix('--')}" for name in names), settings


def _store_options(options: Namespace, prefix: str) -> dict[str, Any]:
    """Return the given options of a store."""
    return {
        key.removeprefix(prefix): value
        for key, value in vars(options).items()
        if key.startswith(prefix)
    }


def _check(options: Namespace) -> None:
    operation = options.operation
    for name in _ALL:
        if vars(options)[name] and name not in OPERATIONS[operation]:
            spelling = _SPELLINGS.get(name, f"--{name}")
            raise ConfigurationError(
                f"{operation} takes no {spelling}; gearman-queue --help lists what it"
                " takes"
            )
    if not options.queue_type:
        raise ConfigurationError(
            f"{operation} which queue? Name it as for the server, such as -q sqlite"
            " --sqlite-db FILE"
        )
    if operation == "sql" and options.install == options.print:
        raise ConfigurationError(
            "sql needs either --print, which shows the statements, or --install, which"
            " executes them"
        )
    if operation == "copy" and not options.to:
        raise ConfigurationError(
            "copy to where? Name it such as --to sqlite --to-sqlite-db FILE"
        )


def _store(
    name: str, options: Mapping[str, Any], known: Plugins, cluster: str | None
) -> Store:
    plugin = known[name]
    if cluster and not plugin.has_cluster:
        raise ConfigurationError(
            f"the queue {name} cannot be shared by the servers of a cluster"
        )
    return Store(name, plugin, plugin_arguments(options, plugin), cluster or "")
