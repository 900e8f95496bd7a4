"""The thread of a hook, which brings events to a target and tries again."""

import logging
from random import random
from threading import Event, Thread
from time import monotonic
from typing import Final, Protocol

from .backlog import Backlog

# Seconds between two attempts: the first, and the longest. The true ones are random,
# from half of that on.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0

log = logging.getLogger("gearman.server")


class TargetError(Exception):
    """The target has not taken the events; the text says why.

    If `final`, it would never take them.
    """

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


class Target(Protocol):
    """Where events go. All methods are called in the courier's thread."""

    def deliver(self, lines: list[bytes], stop: Event) -> None:
        """Deliver lines of JSON. Raises TargetError, soon if `stop` gets set."""

    def close(self) -> None:
        """Give back what it uses."""


class Courier(Thread):
    """Brings the events of a backlog to a target, in their order, at least once.

    `delivered` and `refused` count events that the target has taken, or would never
    take; `failures` the attempts that failed; `error` is why the last one did, or "".
    """

    def __init__(self, name: str, backlog: Backlog, target: Target) -> None:
        super().__init__(name=f"hook {name}", daemon=True)
        self.delivered = self.refused = self.failures = 0
        self.error = ""
        self._name = name
        self._backlog = backlog
        self._target = target
        self._stop_now = Event()

    def run(self) -> None:
        """Deliver until the backlog is closed and empty, or until `stop`."""
        try:
            while lines := self._backlog.batch():
                if not self._bring(lines):
                    break
                self._backlog.remove(len(lines))
        finally:
            self._target.close()

    def end(self, until: float) -> None:
        """Take no more events, and wait for the end, up to a time of `monotonic`.

        If the last attempt has failed, there is no other one.
        """
        self._backlog.close()
        if self.error:
            self._stop_now.set()
        self.join(max(until - monotonic(), 0))
        self._stop_now.set()

    def _bring(self, lines: list[bytes]) -> bool:
        """Deliver lines. Returns False if there is no time left for that."""
        pause = FIRST_PAUSE
        while not self._stop_now.is_set():
            try:
                self._target.deliver(lines, self._stop_now)
            except TargetError as error:
                self._note(error)
                if error.final:
                    self.refused += len(lines)
                    return True
                self._stop_now.wait(pause * (1 + random()) / 2)  # noqa: S311
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self.delivered += len(lines)
                if self.error:
                    log.warning("hook %s: events are delivered again", self._name)
                    self.error = ""
                return True
        return False

    def _note(self, error: TargetError) -> None:
        self.failures += 1
        text = str(error)
        if text != self.error:
            what = "are dropped" if error.final else "wait"
            log.warning("hook %s: events %s: %s", self._name, what, text)
        self.error = text
