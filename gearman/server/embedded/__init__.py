"""A job server inside of a program: for tests, and for programs with a queue.

It runs in a thread of the program or in a child process, and ends with the context:

    from gearman.server import embedded

    with embedded.server() as address:
        client = gearman.GearmanClient([address])
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ..connections.peers import describe
from ..net.inherited import open_sockets
from ..net.sockets import close_all
from . import processes, threads
from .settings import read

__all__ = ["server"]


@contextmanager
def server(*options: str, process: bool = False) -> Iterator[str]:
    """Run a job server until the end of this context; return its address.

    `options` are those of gearmand's command line, such as "--max-jobs=100". Unless
    they say otherwise, the server listens on a free port of 127.0.0.1, and keeps jobs
    in memory. Neither the environment nor gearmand's file of options counts.

    The server runs in a thread of this process; its log is the logger
    "gearman.server" of this program. With `process` it has a process of its own,
    which also ends if this one is killed, and it may have the options about a log,
    files, limits and the user of a process.

    Jobs that are running or waiting at the end are lost, unless there is a store for
    them (as by "--queue-type=sqlite"). Raises ConfigurationError for a wrong option,
    and StartupError if the server can't start.
    """
    config = read(options, process=process)
    groups = open_sockets(config, ())
    address = describe(groups[0][0].getsockname())
    try:
        if process:
            with processes.running(options, config, groups):
                yield address
        else:
            with threads.running(config, groups):
                yield address
    finally:
        for sockets in groups:
            close_all(sockets)
