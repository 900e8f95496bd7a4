"""The runner itself: it starts and watches processes, and runs no code of the app.

So an app that cannot be imported does no harm to it, and after HUP each new process
imports the code as it is then. What is to be done, the model says.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf
from typing import Final

from ...blocking.polling import Wakeup, ready
from ...errors import ConfigurationError, StartupError
from ...server.watch.systemd import Systemd
from . import process
from .board import Board
from .link import Link, Message, fork, how_it_ended, kill
from .memory import resident
from .model.actions import Action, Drain, Kill, Note, Start
from .model.fleet import Fleet
from .model.page import Row
from .model.pools import Pool, pools
from .options import Options
from .reload import follow
from .screen import Screen
from .servers import unreachable

log = logging.getLogger("gearman.tasks.runner")

# Seconds between two looks at the jobs and the memory of processes.
LOOK: Final = 0.5

# USR1 is for log rotation, in which it needs no help.
_SIGNALS: Final = (
    *(signal.SIGTERM, signal.SIGINT),
    *(signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD),
)


class Child:
    """A process as the runner sees it."""

    def __init__(self, pid: int, link: Link, board: Board) -> None:
        self.pid = pid
        self.link = link
        self.board = board
        self.started = time.monotonic()

    def drain(self) -> None:
        """Tell it to end; if it has not begun to work, the signal ends it."""
        self.link.say(order="drain")
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


class Master:
    """Runs processes until it is stopped."""

    def __init__(
        self,
        options: Options,
        systemd: Systemd,
        screen: Screen,
        reread: Callable[[], Options],
    ) -> None:
        """Set the options; `reread` returns them as they are later, after HUP."""
        self._options = options
        self._reread = reread
        self._systemd = systemd
        self._screen = screen
        self._fleet = Fleet(options.limits)
        self._children: dict[int, Child] = {}
        # The process that imports the app to tell its functions, and its link.
        self._inspector: tuple[int, Link] | None = None
        self._inspect_again = False
        self._inspect_until = inf
        # Tells of changed files.
        self._follower: tuple[int, Link] | None = None
        # Registers the schedules of the app, and ends.
        self._registrar: tuple[int, Link] | None = None
        self._wakeup = Wakeup()
        self._signals: list[int] = []
        self._told_ready = self._found_once = False
        self._look_at = self._alive_at = -inf
        self._failure = ""

    def run(self) -> None:
        """Run until a signal ends it. Raises StartupError if the app is unusable."""
        for number in _SIGNALS:
            signal.signal(number, lambda number, frame: self._signals.append(number))
        with self._wakeup.by_signals():
            if self._options.reload:
                self._follower = fork(follow, self._links())
            self._inspect()
            try:
                while not self._is_over():
                    self._turn()
            finally:
                self._kill_all()
        if self._failure:
            raise StartupError(self._failure)

    def _is_over(self) -> bool:
        return self._fleet.finished or self._failure != ""

    def _kill_all(self) -> None:
        for child in self._children.values():
            kill(child.pid)
        for pid, _ in self._others():
            kill(pid)

    def _others(self) -> list[tuple[int, Link]]:
        return list(filter(None, (self._inspector, self._follower, self._registrar)))

    # A turn: wait, listen, do what is due.

    def _turn(self) -> None:
        begin = time.monotonic()
        due = self._fleet.due(begin)
        until = min(due, self._next_look(), self._next_sign(), self._inspect_until)
        sources: list[Wakeup | Link | int] = [
            self._wakeup,
            *self._links(),
            *self._screen.sources,
        ]
        ready(sources, [], max(0.0, until - begin))
        self._wakeup.clear()
        self._screen.read()
        self._obey_signals()
        for number, child in list(self._children.items()):
            self._hear(number, child)
        self._hear_others()
        self._reap()
        now = time.monotonic()
        # What has happened meanwhile may be due already.
        if now >= min(due, self._fleet.due(begin)):
            # Which jobs would be lost with a process that is killed now?
            self._look_at = -inf
        self._look()
        self._act(now)
        self._tell_systemd()

    def _links(self) -> list[Link]:
        links = [child.link for child in self._children.values()]
        links += [link for _, link in self._others()]
        return [link for link in links if not link.closed]

    def _obey_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            now = time.monotonic()
            if number == signal.SIGHUP:
                log.info("HUP: the code is read again")
                self._read_options()
                self._inspect()
            elif number in (signal.SIGCHLD, signal.SIGUSR1):
                pass
            elif self._fleet.stopping:
                self._fleet.stop_now(now)
            else:
                self._systemd.stopping("waiting for the running jobs")
                self._fleet.stop(now)

    def _read_options(self) -> None:
        """Read the options again; those of a file may have changed."""
        try:
            self._options = self._reread().after(self._options)
        except ConfigurationError as error:
            log.error("%s; the options in use are kept", error)
            return
        self._fleet.limits = self._options.limits
        logging.getLogger().setLevel(self._options.log_level)

    def _hear(self, number: int, child: Child) -> None:
        for message in child.link.hear():
            now = time.monotonic()
            match message["event"]:
                case "ready":
                    if self._fleet.ready(now, number):
                        log.info("process %d is ready (%d)", number, child.pid)
                case "leaving":
                    self._fleet.leaving(now, number, message["why"])
                case "failed":
                    self._fleet.failed(number, message["why"])

    def _reap(self) -> None:
        """Take note of processes that have ended."""
        for number, child in list(self._children.items()):
            status = _ended(child.pid)
            if status is None:
                continue
            # What it has said at its end.
            self._hear(number, child)
            problem = how_it_ended(status)
            if problem:
                # Commands of its jobs would go on, while other processes repeat them.
                kill(child.pid)
            self._observe(number, child)
            self._fleet.ended(time.monotonic(), number, problem)
            child.link.close()
            self._screen.add(*child.board.counts())
            child.board.close()
            del self._children[number]
        if self._inspector is not None:
            self._reap_inspector(*self._inspector)
        if self._follower is not None and self._follower[1].closed:
            log.error("files are no longer watched: the process that did has ended")
            _ended(self._follower[0])
            self._follower = None
        if self._registrar is not None:
            self._reap_registrar(*self._registrar)

    def _act(self, now: float) -> None:
        self._fleet.tick(now)
        for action in self._fleet.take():
            self._do(action)

    def _do(self, action: Action) -> None:
        match action:
            case Start(number, pool):
                self._start(number, pool)
            # One that has just ended is not there any more.
            case Drain(number) if number in self._children:
                self._children[number].drain()
            case Kill(number) if number in self._children:
                kill(self._children[number].pid)
            case Note(level, text):
                log.log(level, "%s", text)

    def _start(self, number: int, pool: Pool) -> None:
        options = self._options
        board = Board(options.threads + options.async_concurrency)

        def body(link: Link) -> int:
            self._screen.redirect()
            return process.run(options, number, pool, board, link)

        self._children[number] = Child(*fork(body, self._links()), board)

    # The functions of the app.

    def _inspect(self) -> None:
        """Find out the functions of the app; `_found` or `_not_found` follows."""
        if self._fleet.stopping:
            return
        if self._inspector is not None:
            # It may have read files before they were changed.
            self._inspect_again = True
            return
        if self._told_ready:
            self._systemd.reloading()
            self._told_ready = False

        def body(link: Link) -> int:
            self._screen.redirect()
            return process.inspect(self._options, link)

        self._inspector = fork(body, self._links())
        self._inspect_until = time.monotonic() + self._options.limits.start_within

    def _hear_others(self) -> None:
        if self._inspector is not None:
            for message in self._inspector[1].hear():
                self._inspected(message)
        if self._follower is not None:
            for message in self._follower[1].hear():
                log.info("%s has changed: the code is read again", message["file"])
                self._inspect()

    def _inspected(self, message: Message) -> None:
        if self._fleet.stopping:
            return
        if message["event"] == "failed":
            self._not_found(message["why"])
            return
        try:
            found = pools(message["functions"], self._options.wanted)
        except ConfigurationError as error:
            self._not_found(str(error))
            return
        if not self._found_once:
            for sentence in unreachable(message["servers"]):
                log.warning("%s", sentence)
        self._found_once = True
        if message["schedules"] and not self._options.no_schedules:
            self._register()
        self._fleet.staff(time.monotonic(), found)

    def _register(self) -> None:
        """Register the schedules of the app as it is now."""
        if self._registrar is not None:
            # It may have read files before they were changed.
            kill(self._registrar[0])
            self._registrar[1].close()

        def body(link: Link) -> int:
            self._screen.redirect()
            return process.register(self._options, link)

        self._registrar = fork(body, self._links())

    def _reap_registrar(self, pid: int, link: Link) -> None:
        for _ in link.hear():
            # Why it cannot import the app: others have logged that.
            pass
        if _ended(pid) is not None:
            link.close()
            self._registrar = None

    def _not_found(self, why: str) -> None:
        if self._inspect_again:
            # It is about to be read once more.
            return
        if self._found_once:
            log.error("%s; the processes with the old code stay", why)
        elif self._options.reload:
            log.error("%s; waiting for a change", why)
        else:
            self._failure = why

    def _reap_inspector(self, pid: int, link: Link) -> None:
        status = _ended(pid)
        if status is None:
            if time.monotonic() >= self._inspect_until:
                self._inspect_until = inf
                kill(pid)
            return
        for message in link.hear():
            self._inspected(message)
        self._inspector = None
        self._inspect_until = inf
        link.close()
        problem = how_it_ended(status)
        if problem and problem != f"ended with status {process.FAILED}":
            self._not_found(f"the process that imports the app {problem}")
        if self._inspect_again:
            self._inspect_again = False
            self._inspect()

    # What the processes do.

    def _next_look(self) -> float:
        return self._look_at if self._children else inf

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK
        for number, child in self._children.items():
            self._observe(number, child)
        self._screen.draw(self._rows())

    def _observe(self, number: int, child: Child) -> None:
        needs_memory = self._options.limits.max_memory or self._options.watch
        memory = resident(child.pid) if needs_memory else 0
        done, _ = child.board.counts()
        now = time.monotonic()
        self._fleet.observe(now, number, child.board.jobs(), done, memory)

    def _rows(self) -> Iterator[Row]:
        for each in self._fleet.processes:
            child = self._children[each.number]
            done, failed = child.board.counts()
            yield Row(
                number=each.number,
                pid=child.pid,
                state=each.state.name.lower(),
                only=each.place.pool.only or "",
                age=time.monotonic() - child.started,
                memory=resident(child.pid),
                done=done,
                failed=failed,
                jobs=child.board.jobs(),
            )

    # systemd.

    def _tell_systemd(self) -> None:
        now = time.monotonic()
        inspected = self._found_once and self._inspector is None
        if inspected and not self._told_ready and self._fleet.settled:
            self._told_ready = True
            self._systemd.ready()
        if self._systemd.interval and now >= self._alive_at:
            self._alive_at = now + self._systemd.interval
            self._systemd.alive()

    def _next_sign(self) -> float:
        return self._alive_at if self._systemd.interval else inf


def _ended(pid: int) -> int | None:
    """Return the status of a process that has ended, None if it has not."""
    with suppress(ChildProcessError):
        found, status = os.waitpid(pid, os.WNOHANG)
        return status if found else None
    return 0
