"""The tool `gearman-worker`: ``python -m gearman.tasks``."""

import gc
import os
import sys
from collections.abc import Sequence
from functools import partial

from ...cli import program
from ...errors import ConfigurationError
from ...server.settings.process import PidFile, find_user, switch_user
from ...server.watch.systemd import Systemd
from . import reload
from .logs import LogFile, configure
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
    user = find_user(options.user) if options.user else None
    file = LogFile(options.log_file, user) if options.log_file else None
    configure(options.log_format, options.log_level, write=write, file=file)
    pid_file = PidFile(options.pid_file, user) if options.pid_file else None
    if pid_file:
        pid_file.write()
    if user:
        switch_user(options.user)
        os.environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
    # What all processes share is never changed by their collectors.
    gc.collect()
    gc.freeze()
    try:
        reread = partial(parse, arguments)
        Master(options, Systemd(os.environ), screen, reread).run()
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
