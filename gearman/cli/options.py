"""The options of `gearman`: one row each, for the parser and for the help."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from getopt import GetoptError, gnu_getopt
from os import fsencode
from textwrap import fill
from typing import Final

from .. import __version__
from ..address import FORMS
from ..client_core.steered import checked
from ..errors import ConfigurationError
from ..options import JobOptions

_GROUPS: Final[Mapping[str, Sequence[tuple[str, str, str]]]] = {
    "what to run, and where": (
        ("-f", "FUNCTION", "function to call, or to offer with -w; may be repeated"),
        ("-h", "HOST", f"job server: {FORMS} (default: localhost)"),
        ("-p", "PORT", "port of a HOST that names none (default: 4730)"),
        ("-S", "", "use TLS"),
        (
            *("--wait", ""),
            "if no server can be reached yet, wait for one instead of giving up; with"
            " --result, wait for the end of the job",
        ),
        (
            *("-t", "MS"),
            "give up if nothing is heard of the jobs for so many milliseconds; with -w,"
            " print that no job came, and wait again (default: no limit)",
        ),
    ),
    "jobs": (
        ("-n", "", "make each line of standard input a job"),
        ("-N", "", "as -n, without the line ends"),
        ("-s", "", "send one empty job, and do not read standard input"),
        ("-b", "", "run the jobs in the background: do not wait for results"),
        ("-I", "", "high priority"),
        ("-L", "", "low priority"),
        (
            *("-u", "KEY"),
            "unique key: while a job waits or runs, another job of the same function"
            " and key joins it (default: a different key for each job)",
        ),
        (
            *("--option", "KEY=VALUE"),
            "an option of the jobs, such as retries=3, ttl=60 or keep=3600; may be"
            " repeated; other servers than gearman-py's have none of these but delay"
            " and at",
        ),
        ("--delay", "SECONDS", "do not start the jobs earlier; as --option delay="),
        ("-P", "", "write the function's name before each piece of output"),
        ("-v", "", "write the handle of each job; with -w, how each job ended"),
    ),
    "worker": (
        (
            *("-w", ""),
            "be a worker: run COMMAND for each job, with the job's data as its"
            " standard input and its standard output as the result; without COMMAND"
            " write the data to standard output",
        ),
        ("-n", "", "send each line of COMMAND's output immediately, as data"),
        ("-N", "", "as -n, without the line ends"),
        ("-c", "COUNT", "end after so many jobs"),
        (
            "--discover",
            "",
            "get the jobs of all servers of a cluster; -h names one",
        ),
    ),
    "process": (
        ("-d", "", "run in the background, as a daemon"),
        ("-i", "FILE", "write the process id to FILE, and remove it at the end"),
    ),
    "other": (
        (
            *("--ping", ""),
            "check that the servers answer within 2000 milliseconds, or as -t says;"
            " exit status 0 if all of them do",
        ),
        (
            *("--result", "HANDLE"),
            "write the result of a job that was submitted with -b and --option keep=;"
            " if it has not ended, that is an error, or with --wait wait for its end",
        ),
        ("-H, --help", "", "print this help and exit"),
        ("--version", "", "print the version and exit"),
    ),
}

_INTRODUCTION: Final = """\
usage: gearman [options] -f FUNCTION [DATA ...]             run jobs
       gearman [options] -f FUNCTION -w [-- COMMAND ...]    work on jobs
       gearman [options] --result HANDLE                    fetch a result
       gearman [options] --ping                             check a server

Each DATA is a job. Without DATA all of standard input is one job, or, with -n,
each of its lines is one. Results are written to standard output, warnings to
standard error.
"""

_EPILOG: Final = """\
environment:
  GEARMAN_SERVER          servers instead of -h and -p, separated by commas
  GEARMAN_SERVERS         servers to try before those
  GEARMAN_CA_CERTIFICATE, GEARMAN_CLIENT_PEM, GEARMAN_CLIENT_KEY
                          files for -S: authorities, own certificate, its key
  GEARMAN_JOB_HANDLE, GEARMAN_JOB_UNIQUE, GEARMAN_JOB_FUNCTION
                          set for COMMAND: which job it runs

exit status:
  0    every job succeeded, or was accepted with -b
  1    a job failed, no server could be reached, or no answer came in time
  130  interrupted by Ctrl-C

examples:
  gearman -w -f wc -- wc -l             offer `wc -l` as function wc
  gearman -f wc < /etc/passwd           count the lines of a file with it
  gearman -f wc one two                 two jobs, one after the other
  gearman -n -f resize < names.txt      a job for each line
  gearman -b -I -f mail "hello"         run it in the background, before others
  gearman -v -b --option keep=60 -f wc one    keep its result for a minute,
  gearman --result H:host:1                   and fetch it
"""

_ROWS = [row for rows in _GROUPS.values() for row in rows]
_SHORT: Final = "".join(
    flags[1] + (":" if value else "") for flags, value, _ in _ROWS if flags[1] != "-"
)
_LONG: Final = (
    *("delay=", "discover", "help", "option=", "ping", "result=", "version", "wait"),
)

VERSION: Final = f"gearman (gearman-py) {__version__}\n"


def _help() -> str:
    parts = [_INTRODUCTION]
    for title, rows in _GROUPS.items():
        entries = [
            _entry(f"{flags} {value}".strip(), text) for flags, value, text in rows
        ]
        parts.append("\n".join([f"{title}:", *entries, ""]))
    return "\n".join([*parts, _EPILOG])


def _entry(start: str, text: str) -> str:
    return fill(text, 79, initial_indent=f"  {start:<13} ", subsequent_indent=" " * 16)


HELP: Final = _help()


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a command line.

    `timeout` is in seconds, None for no limit; a `count` of 0 is no limit.
    """

    functions: tuple[bytes, ...] = ()
    operands: tuple[bytes, ...] = ()
    host: str = "localhost"
    port: str = ""
    tls: bool = False
    wait: bool = False
    timeout: float | None = None
    lines: bool = False
    strip: bool = False
    no_input: bool = False
    background: bool = False
    priority: str | None = None
    unique: bytes | None = None
    job_options: JobOptions | None = None
    prefix: bool = False
    verbose: bool = False
    worker: bool = False
    count: int = 0
    discover: bool = False
    daemon: bool = False
    pid_file: str = ""
    ping: bool = False
    # The handle of a job whose result is wanted.
    result: bytes = b""
    # If not empty, it is printed, and nothing else is done.
    text: str = ""
    # Whether -h or -p named a server.
    server_given: bool = False


_FLAGS: Final[Mapping[str, Mapping[str, object]]] = {
    "-S": {"tls": True},
    "-n": {"lines": True},
    "-N": {"lines": True, "strip": True},
    "-s": {"no_input": True},
    "-b": {"background": True},
    "-I": {"priority": "HIGH"},
    "-L": {"priority": "LOW"},
    "-P": {"prefix": True},
    "-v": {"verbose": True},
    "-w": {"worker": True},
    "-d": {"daemon": True},
    "--discover": {"discover": True},
    "--ping": {"ping": True},
    "--wait": {"wait": True},
    "--help": {"text": HELP},
    "-H": {"text": HELP},
    "--version": {"text": VERSION},
}


def parse(argv: Sequence[str]) -> Options:
    """Return the options of a command line, in which options may follow operands.

    Raises ConfigurationError if it is invalid.
    """
    try:
        found, operands = gnu_getopt(list(argv), _SHORT, list(_LONG))
    except GetoptError as error:
        raise ConfigurationError(f"{error.msg}; gearman --help lists them") from None
    settings: dict[str, object] = {"operands": tuple(map(fsencode, operands))}
    functions = [fsencode(value) for name, value in found if name == "-f"]
    for name, value in found:
        settings.update(_FLAGS.get(name) or _setting(name, value))
    settings["functions"] = tuple(functions)
    settings["job_options"] = _job_options(found)
    options = Options(**settings)  # type: ignore[arg-type]
    _check(options)
    return options


def _setting(name: str, value: str) -> dict[str, object]:
    """Return the settings for an option with a value."""
    match name:
        case "-h":
            return {"host": value, "server_given": True}
        case "-p":
            return {"port": number_text(value), "server_given": True}
        case "-t":
            return {"timeout": _number(name, value, "milliseconds") / 1000 or None}
        case "-c":
            return {"count": _number(name, value, "jobs")}
        case "-u":
            return {"unique": fsencode(value)}
        case "-i":
            return {"pid_file": value}
        case "--result":
            return {"result": fsencode(value)}
    return {}


# What a job may have for which the tool has options of its own.
_OWN_OPTIONS: Final = {
    "priority": "use -I for high, -L for low priority",
    "background": "use -b",
}


def _job_options(found: Sequence[tuple[str, str]]) -> JobOptions | None:
    """Return the options of the jobs, None if there are none."""
    values: dict[str, object] = {}
    for name, value in found:
        if name == "--delay":
            key, equals, text = "delay", "=", value
        elif name == "--option":
            key, equals, text = value.partition("=")
        else:
            continue
        if not equals:
            raise ConfigurationError(f"--option takes KEY=VALUE, not {value!r}")
        if key in values:
            raise ConfigurationError(f"the option {key} is given twice: leave one out")
        if key in _OWN_OPTIONS:
            raise ConfigurationError(f"--option takes no {key}: {_OWN_OPTIONS[key]}")
        values[key] = text
    return checked(values) if values else None


def number_text(value: str) -> str:
    """Return the number in a text as `atoi` does: ``"-p 4730"`` may be one argument."""
    return value.strip().removeprefix("+")


def _number(name: str, value: str, unit: str) -> int:
    text = number_text(value)
    if text.isascii() and text.isdigit():
        return int(text)
    raise ConfigurationError(f"{name} takes a number of {unit}, not {value!r}")


def _check(options: Options) -> None:
    if options.text or options.ping or options.result:
        return
    if options.worker and options.job_options is not None:
        raise ConfigurationError("--option and --delay are for jobs, not for -w")
    if options.discover and not options.worker:
        raise ConfigurationError("--discover is for workers: it needs -w")
    if not options.functions:
        raise ConfigurationError(
            "no function: name one with -f FUNCTION (gearman --help tells more)"
        )
    if b"" in options.functions:
        raise ConfigurationError("a function has no name: give one after -f")
