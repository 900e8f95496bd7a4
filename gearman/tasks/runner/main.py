"""The tool `gearman-worker`: ``python -m gearman.tasks``."""

import gc
import os
import sys
from collections.abc import Sequence
from functools import partial

from ...cli import program
from ...errors import ConfigurationError
from ...server.settings.process import PidFile
from ...server.watch.systemd import Systemd
from . import reload
from .logs import configure
from .master import Master
from .options import NAME, Options, parse
from .screen import Screen, Terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Run workers until they are ended, and return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    return program.run(NAME, partial(_run, arguments))


def _run(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if options.reload:
        reload.check()
    screen = _screen(options)
    write = screen.above if isinstance(screen, Terminal) else None
    configure(options.log_format, options.log_level, write=write)
    pid_file = PidFile(options.pid_file) if options.pid_file else None
    if pid_file:
        pid_file.write()
    # What all processes share is never changed by their collectors.
    gc.collect()
    gc.freeze()
    try:
        Master(options, Systemd(os.environ), screen).run()
    finally:
        screen.close()
        if pid_file:
            pid_file.remove()
    return 0


def _screen(options: Options) -> Screen:
    if not options.watch:
        return Screen()
    if not sys.stdout.isatty():
        raise ConfigurationError("--watch needs a terminal as its standard output")
    return Terminal(" ".join(filter(None, [NAME, options.app, *options.tasks])))
