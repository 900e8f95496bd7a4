"""The tool `gearadmin`: ``python -m gearman.cli.gearadmin``."""

import json
import os
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from ... import __version__
from ...errors import ConfigurationError
from ...streams import say
from .. import program, servers, tables
from ..admin import Admin, Refused
from .operations import Operation, parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    return program.run("gearadmin", partial(_run, arguments))


def _run(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    if options.help or options.version:
        version = f"gearadmin (gearman-py) {__version__}\n"
        say(version if options.version else parser().format_help(), sys.stdout)
        return 0
    _check(options)
    return _talk(options)


def _check(options: Namespace) -> None:
    if not options.requests:
        raise ConfigurationError(
            "nothing to do: give an operation such as --status (gearadmin --help"
            " lists them)"
        )
    for operation, words in options.requests:
        operation.request(words)
    if options.timeout <= 0 or (options.watch is not None and options.watch <= 0):
        raise ConfigurationError("--timeout and --watch take more than 0")
    *earlier, (last, _) = options.requests
    if any(operation.endless for operation, _ in earlier) or (
        last.endless and options.watch is not None
    ):
        raise ConfigurationError(
            "--watch-events does not end: give it last, and without --watch"
        )


def _talk(options: Namespace) -> int:
    address = servers.address(options.host, options.port)
    settings = {"ssl_context": servers.tls(os.environ)} if options.ssl else {}
    with Admin([address], options.timeout / 1000, **settings) as admin:
        if options.watch is not None:
            _watch(admin, options)
        return _round(admin, options, _write)


def _watch(admin: Admin, options: Namespace) -> NoReturn:
    while True:
        page: list[str] = []
        _round(admin, options, page.append)
        _write(_screen("".join(page)) if sys.stdout.isatty() else "".join(page))
        time.sleep(options.watch)


def _screen(text: str) -> str:
    """Return the text to show on a cleared terminal, cut to its size."""
    size = shutil.get_terminal_size()
    lines = [line[: size.columns] for line in text.splitlines()]
    if len(lines) >= size.lines:
        hidden = len(lines) - size.lines + 2
        lines[size.lines - 2 :] = [f"... and {hidden} more lines"]
    return "\x1b[H\x1b[2J" + "\n".join(lines) + "\n"


def _write(text: str) -> None:
    # Bytes that are not UTF-8 are written unchanged.
    sys.stdout.buffer.write(text.encode(errors="surrogateescape"))
    sys.stdout.flush()


def _round(admin: Admin, options: Namespace, write: Callable[[str], None]) -> int:
    """Carry out the operations and return the exit status."""
    status = 0
    for operation, words in options.requests:
        try:
            line = operation.request(words)
            if operation.endless:
                for event in admin.follow(line):
                    write(f"{event}\n")
            write(_answer(admin, operation, line, options.json))
        except Refused as error:
            status = program.FAILURE
            say(f"Error: {error}\n", sys.stderr)
    return status


def _answer(admin: Admin, operation: Operation, line: str, as_json: bool) -> str:
    table = operation.table
    if table is None:
        answer = admin.ask(line)
        answer = answer.removeprefix("OK ")
        return f"{json.dumps(answer) if as_json else answer}\n"
    rows = admin.ask_list(line)
    if as_json:
        return json.dumps([table.record(row) for row in rows]) + "\n"
    if sys.stdout.isatty():
        rows = sorted(rows) if table is tables.STATUS else rows
        return "\n".join(tables.aligned(table, rows)) + "\n"
    return "".join(f"{row}\n" for row in [*rows, "."])


if __name__ == "__main__":
    sys.exit(main())
