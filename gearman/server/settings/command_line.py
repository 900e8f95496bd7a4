"""The command line: parsing options, and the texts of --help and --version."""

import platform
import sys
from argparse import (
    SUPPRESS,
    Action,
    ArgumentParser,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from ... import __version__
from ...errors import ConfigurationError
from ...framing import BUILD
from ...queue import Queue
from ...streams import say
from ..compiled import ENGINE, compiled
from ..protocols.interface import Service
from .options import GROUPS, LAST_GROUPS, Row
from .plugin_options import HIDDEN, option_rows, protocol_rows

# The engine is for Linux only.
_WITHOUT = "" if compiled(ENGINE) or BUILD == "pure" else " without the I/O engine"
VERSION: Final = (
    f"gearmand (gearman-py) {__version__}, Python {platform.python_version()}"
    f" ({platform.python_implementation()}), {BUILD}{_WITHOUT}"
)

_DESCRIPTION = """\
Start a Gearman job server: clients submit jobs to it, workers take them.
Without options it listens on port 4730 of all addresses, keeps jobs in memory,
stays in the foreground and logs to standard error."""

_EPILOG = """\
Options may be shortened as long as they are unambiguous. They may also be in
FILE, in the same form, separated by spaces or line ends; a word that begins with
# begins a comment. The command line overrides a file, and a file overrides the
environment.

environment:
  GEARMAND_PORT         port to listen on
  GEARMAND_CA_CERTIFICATE, GEARMAND_SERVER_PEM, GEARMAND_SERVER_KEY
                        files for --ssl-ca-file, --ssl-certificate, --ssl-key
  LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES
                        sockets from systemd, used instead of those of --listen

signals:
  TERM, INT             stop
  USR1                  accept no more connections, stop when no job is left
  HUP                   open the log file again, and read the certificates and the
                        file of --settings again

examples:
  gearmand -L 127.0.0.1 -vv
  gearmand -d -l /var/log/gearmand.log -P /run/gearmand.pid -u gearman

Options of gearmand that this server does not need are accepted; the log says
that they have no effect."""


class _Show(Action):
    """Print `const`, or the help if there is none, and exit."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> NoReturn:
        say(self.const or parser.format_help(), sys.stdout)
        raise SystemExit(0)


class Parser(ArgumentParser):
    """A parser that raises ConfigurationError instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(message.removeprefix("argument "))


def _take(names: Sequence[str], title: str, taken: set[str]) -> None:
    """Add the names of an option. Raises ConfigurationError if one is taken."""
    if twice := sorted(taken.intersection(names)):
        raise ConfigurationError(
            f"the {title} has an option {twice[0]}, but that name is taken: it can't be"
            " used before its author renames that option"
        )
    taken.update(names)


def parser(
    plugins: Mapping[str, type[Queue]], services: Mapping[str, type[Service]]
) -> Parser:
    """Return the parser of all options, including those of queues and protocols.

    Its result has only the options that were given, so that the results of command line
    and files can be merged. Raises ConfigurationError if an option of a plugin has the
    name of another option.
    """
    result = Parser(
        prog="gearmand",
        usage="gearmand [options] [@FILE]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        argument_default=SUPPRESS,
        add_help=False,
    )
    taken: set[str] = set()
    for title, rows in _groups(plugins, services):
        group = result.add_argument_group(title)
        for names, settings in rows:
            _take(names, title, taken)
            group.add_argument(*names, **settings)
    for names, settings in HIDDEN:
        # A plugin of another package may have an option of this name.
        if not taken.intersection(names):
            result.add_argument(*names, **settings)
    printed = result.add_argument_group("information")
    printed.add_argument(
        *("-V", "--version"),
        action=_Show,
        nargs=0,
        const=f"{VERSION}\n",
        help="print the version and exit",
    )
    printed.add_argument(
        *("-h", "--help"), action=_Show, nargs=0, help="print this help and exit"
    )
    return result


def _groups(
    plugins: Mapping[str, type[Queue]], services: Mapping[str, type[Service]]
) -> Iterator[tuple[str, Iterable[Row]]]:
    """Yield the groups of options in the order of the help."""
    yield from GROUPS.items()
    for name, plugin in plugins.items():
        if plugin.options:
            yield f"queue {name} (-q {name})", option_rows(plugin.options)
    for name, service in services.items():
        yield f"protocol {name} (-r {name})", protocol_rows(name, service)
    yield from LAST_GROUPS.items()
