"""Servers by fork: a process that has imported the server forks for each of them.

Most of what a server does until it answers is to import modules. Tests that start a
server to have one need not pay for that each time; those that are about how a server
starts run one in a new process.

This file is also the program of that process.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import Protocol, TypedDict

# More than the arguments of a server and its environment take.
_LONGEST = 1 << 17

# What the loader, Python and imports look at. A fork gets other variables after that.
_EARLY = (
    "ASAN_",
    "GEARMAN_",
    "LANG",
    "LC_",
    "LD_",
    "MALLOC_",
    "PYTHON",
    "TZ",
    "UBSAN_",
)


class Process(Protocol):
    """What tests do with a server's process, as with one of `subprocess`."""

    returncode: int | None

    @property
    def pid(self) -> int: ...

    @property
    def args(self) -> object: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class Forked:
    """A process that another process has made by fork for this one."""

    def __init__(self, pid: int, ended: int, args: Sequence[str]) -> None:
        """`ended` is a pipe that has the exit status once the process has ended."""
        self.pid = pid
        self.args = args
        self.returncode: int | None = None
        self._ended = ended

    def fileno(self) -> int:
        """Return a descriptor that is readable from its end until `poll` sees that."""
        return self._ended

    def poll(self) -> int | None:
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._status(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(list(self.args), timeout)
        return status

    def _status(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._ended, select.POLLIN)
            if poll.poll(None if timeout is None else timeout * 1000):
                status = int(os.read(self._ended, 16))
                os.close(self._ended)
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            # It may have ended, and its parent may not have told that yet.
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Start(TypedDict):
    options: list[str]
    environment: dict[str, str]
    folder: str
    module: str


class _Parent:
    """A process that has imported the server, with this environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lock = Lock()
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self._end, os.getpid())

    def _end(self, owner: int) -> None:
        if os.getpid() == owner:
            self._control.close()
            self._process.wait()

    def fork(self, start: _Start, output: int) -> Forked:
        ended, told = os.pipe()
        request = json.dumps(start).encode()
        with self._lock:
            socket.send_fds(self._control, [request], [output, told])
            os.close(told)
            answer = self._control.recv(_LONGEST)
        return Forked(int(answer), ended, start["options"])


@cache
def _parent(early: frozenset[tuple[str, str]]) -> _Parent:
    return _Parent(dict(early))


def parents() -> int:
    """Return how many processes fork servers for this one: each has a descriptor."""
    return _parent.cache_info().currsize


def server(
    options: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    output: int,
    module: str = "",
) -> Forked:
    """Run a server with these options in a folder; `output` is a file descriptor.

    `module` is a program that runs the server, if it does not run itself.
    """
    early = frozenset(i for i in environment.items() if i[0].startswith(_EARLY))
    start: _Start = {
        "options": list(options),
        "environment": dict(environment),
        "folder": folder,
        "module": module,
    }
    return _parent(early).fork(start, output)


def _serve(control: socket.socket) -> _Start:
    """Fork when asked to, until nobody asks any more.

    Return in the new processes only, with what is to be started.
    """
    # A user who interrupts the tests interrupts the servers, and these are reported.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for file, _ in poll.poll():
            if file in running:
                poll.unregister(file)
                pid, told = running.pop(file)
                os.write(told, b"%d" % os.waitpid(pid, 0)[1])
                os.close(told)
                os.close(file)
                continue
            request, files, _, _ = socket.recv_fds(control, _LONGEST, 2)
            if not request:
                sys.exit()
            output, told = files
            pid = os.fork()
            if pid == 0:
                control.detach()
                start: _Start = json.loads(request)
                _become(start, output)
                return start
            os.close(output)
            file = os.pidfd_open(pid)
            running[file] = pid, told
            poll.register(file, select.POLLIN)
            control.send(b"%d" % pid)


def _become(start: _Start, output: int) -> None:
    """Leave what belongs to the parent."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(start["environment"])
    os.chdir(start["folder"])
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)


if __name__ == "__main__":
    from gearman.server.__main__ import main
    from gearman.server.settings.config import parse

    # This imports the queue plugins and the protocols, too.
    parse([], {})
    # Otherwise each fork would copy all objects, as its first collection looks at them.
    gc.collect()
    gc.freeze()
    start = _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = ["gearmand", *start["options"]]
    if start["module"]:
        runpy.run_module(start["module"], run_name="__main__")
    else:
        sys.exit(main())
