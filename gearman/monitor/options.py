"""The options of `gearman-monitor`."""

import os
import sys
from argparse import ArgumentParser, Namespace
from argparse import RawDescriptionHelpFormatter as Formatter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from .. import __version__, address
from ..cli.servers import tls
from ..errors import ConfigurationError
from ..streams import say
from .history.file import MEMORY
from .reading.events import EVENTS
from .reading.link import Target

PORT: Final = 8731
NAME: Final = "gearman-monitor"
VERSION: Final = f"{NAME} (gearman-py) {__version__}\n"

_DESCRIPTION: Final = """\
Show on web pages what Gearman job servers do, and what they did: those of this
package, and gearmand with the numbers that it has."""

_EPILOG: Final = """\
environment:
  GEARMAN_SERVERS       servers, if --servers names none
  GEARMAN_CA_CERTIFICATE, GEARMAN_CLIENT_PEM, GEARMAN_CLIENT_KEY
                        files for --ssl
  XDG_STATE_HOME        folder below which the history is, without --db

examples:
  gearman-monitor --servers jobs1:4730,jobs2
  gearman-monitor --listen 0.0.0.0:8731 --users users.txt
  gearman-monitor --hash >> users.txt
  gearman-monitor --demo"""


@dataclass(frozen=True, slots=True)
class Options:
    """`database` is a path, or MEMORY. `users` is a path, or empty.

    `keep_events` are the names of events that are always followed, none for all; None
    for no events but those that a page shows.
    """

    targets: tuple[Target, ...]
    host: str
    port: int
    database: str
    users: str = ""
    hide_workloads: bool = False
    keep_events: tuple[str, ...] | None = None
    demo: bool = False
    hash: bool = False


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sentence = message.removeprefix("argument ")
        raise ConfigurationError(f"{sentence}; {NAME} --help lists the options")


def parse(argv: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Return the options of a command line. Raises ConfigurationError.

    Prints the help or the version if asked for, and exits.
    """
    found = _parser().parse_args(argv)
    if found.help or found.version:
        say(VERSION if found.version else _parser().format_help(), sys.stdout)
        raise SystemExit(0)
    host, port = _listen(found.listen)
    database = found.db
    if database is None:
        database = MEMORY if found.demo or found.hash else default_database(environment)
    return Options(
        targets=() if found.demo or found.hash else _targets(found, environment),
        host=host,
        port=port,
        database=database,
        users=found.users or "",
        hide_workloads=found.hide_workloads,
        keep_events=_events(found.keep_events),
        demo=found.demo,
        hash=found.hash,
    )


def _parser() -> _Parser:
    result = _Parser(
        prog=NAME,
        usage=f"{NAME} [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=lambda prog: Formatter(prog, width=79),
        add_help=False,
        allow_abbrev=False,
    )
    group = result.add_argument_group("options")
    add = group.add_argument
    add(
        "--servers",
        metavar="HOST[:PORT],...",
        help="the job servers (default: localhost:4730)",
    )
    add("-S", "--ssl", action="store_true", help="use TLS for the job servers")
    add(
        "--listen",
        metavar="HOST:PORT",
        default=f"127.0.0.1:{PORT}",
        help="where the pages are (default: 127.0.0.1:8731)",
    )
    add(
        "--db",
        metavar="FILE",
        help="the file of the history; :memory: for none"
        " (default: ~/.local/state/gearman-monitor/history.db)",
    )
    add(
        "--users",
        metavar="FILE",
        help="who may use it; without this option, everybody on this machine",
    )
    add(
        "--hide-workloads",
        action="store_true",
        help="do not show what comes from workloads and exceptions",
    )
    add(
        "--keep-events",
        metavar="EVENT,...",
        help="follow these events of all servers, or 'all', so that the page of a job"
        " has those from before it was opened",
    )
    add("--demo", action="store_true", help="start a job server with some load")
    add("--hash", action="store_true", help="ask for a user, print a line for --users")
    add("-h", "--help", action="store_true", help="print this help and exit")
    add("-V", "--version", action="store_true", help="print the version and exit")
    return result


def _targets(found: Namespace, environment: Mapping[str, str]) -> tuple[Target, ...]:
    text = found.servers
    option = "--servers"
    if text is None:
        text, option = environment.get("GEARMAN_SERVERS", ""), "GEARMAN_SERVERS"
    context = tls(environment) if found.ssl else None
    names = text.replace(",", " ").split()
    if found.servers is not None and not names:
        raise ConfigurationError("--servers names no server")
    try:
        targets = [Target.of(name, context) for name in names or ["localhost"]]
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from error
    # The same server twice is one.
    return tuple({target.address: target for target in targets}.values())


def _events(text: str | None) -> tuple[str, ...] | None:
    if text is None or text == "all":
        return None if text is None else ()
    names = tuple(text.replace(",", " ").split())
    if not names or not set(names) <= set(EVENTS):
        raise ConfigurationError(
            f"--keep-events takes 'all', or some of {', '.join(EVENTS)}"
        )
    return names


def _listen(text: str) -> tuple[str, int]:
    try:
        host, port, path = address.parse(text, to_listen=True)
    except ValueError as error:
        raise ConfigurationError(f"--listen: {error}") from error
    if path:
        raise ConfigurationError("--listen takes HOST:PORT, not the path of a socket")
    return host, PORT if port is None else port


def default_database(environment: Mapping[str, str]) -> str:
    """Return the file in the folder for what programs of a user keep."""
    # systemd sets the first one for a service with StateDirectory=.
    if folder := environment.get("STATE_DIRECTORY"):
        return os.path.join(folder, "history.db")
    state = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return os.path.join(state, NAME, "history.db")
