"""The connection between the runner and one of its processes: lines of JSON.

A process says "ready", "leaving" or "failed"; the runner says "drain". If one of them
has gone, the other one sees the end of the connection.
"""

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

Message = dict[str, Any]


class Link:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""
        self.closed = False

    def fileno(self) -> int:
        return self._end.fileno()

    def say(self, **message: object) -> None:
        """Send a message; nothing happens if the other one has gone."""
        with suppress(OSError):
            self._end.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> Iterator[Message]:
        """Yield the messages that have come; set `closed` at the end of them all."""
        while not self.closed:
            try:
                data = self._end.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self.closed = not data
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                yield json.loads(line)

    def close(self) -> None:
        self._end.close()


def fork(body: Callable[[Link], int], others: Iterable[Link]) -> tuple[int, Link]:
    """Run `body` in a new process; return its process id and the link to it.

    The process has a group of its own, so that Ctrl-C reaches the runner only, and so
    that it can be killed with what it has started. `others` are closed in it. There
    must be no other thread.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        _be_a_process(body, Link(theirs), [Link(ours), *others])
    theirs.close()
    # The process does the same; whoever is first.
    with suppress(OSError):
        os.setpgid(pid, pid)
    return pid, Link(ours)


def _be_a_process(
    body: Callable[[Link], int], link: Link, others: Iterable[Link]
) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # It has no job yet.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        with suppress(OSError):
            os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        for other in others:
            other.close()
        status = body(link)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # The stack below is the runner's, whose files are not this process's to remove.
        os._exit(status)


def kill(pid: int) -> None:
    """Kill a process with all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def how_it_ended(status: int) -> str:
    """Return the problem with the end of a process, "" if there is none."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"was killed by signal {-code}"
    return f"ended with status {code}" if code else ""
