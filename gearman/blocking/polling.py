"""Waiting for activity on descriptors."""

import math
import select
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import current_thread, main_thread
from typing import Protocol, TypeVar

from ..errors import ConnectionError

# A wait to write also waits to read, and poll reports errors unasked. Reading from the
# connection then shows the error.
_BOTH = select.POLLIN | select.POLLOUT
_TROUBLE = select.POLLERR | select.POLLHUP
# The longest poll that the system can do, in milliseconds: about 24 days.
_LONGEST = 2**31 - 1


class HasFileno(Protocol):
    """An object that has a descriptor."""

    def fileno(self) -> int:
        """Return the descriptor."""


Source = TypeVar("Source", bound=int | HasFileno)


def ready(
    reading: Iterable[Source],
    writing: Iterable[Source],
    timeout: float | None,
    *,
    watched: Iterable[Source] = (),
    idle: AbstractContextManager[None] | None = None,
) -> tuple[set[Source], set[Source], set[Source]]:
    """Wait for sources; return the readable, the writable and the broken ones.

    A source is a descriptor or has a `fileno()`. A source in `watched` only is returned
    only if it breaks. `timeout` is in seconds (None: no limit). `idle` is entered
    during the wait; a source that has another descriptor afterwards is not returned.
    """
    masks: dict[int, int] = {}
    owners: dict[int, Source] = {}
    broken: set[Source] = set()
    events = ((watched, 0), (reading, select.POLLIN), (writing, select.POLLOUT))
    for items, event in events:
        for item in items:
            number = _number(item)
            if number is None:
                broken.add(item)
                continue
            owners[number] = item
            masks[number] = masks.get(number, 0) | event
    if broken:
        timeout = 0
    poller = select.poll()
    for number, mask in masks.items():
        poller.register(number, mask)
    found = _poll(poller, timeout, idle)
    if idle is not None:
        found = [(n, e) for n, e in found if _number(owners[n]) == n]
    readable: set[Source] = set()
    writable: set[Source] = set()
    for number, event in found:
        item = owners[number]
        if event & select.POLLNVAL:
            broken.add(item)
        elif event & select.POLLIN or (event & _TROUBLE and masks[number] & 1):
            readable.add(item)
        elif event & _TROUBLE:
            broken.add(item)
        if event & select.POLLOUT and item not in broken:
            writable.add(item)
    return readable, writable, broken


def _number(item: int | HasFileno) -> int | None:
    try:
        return item if isinstance(item, int) else item.fileno()
    except (ConnectionError, OSError, ValueError):
        return None


def _poll(
    poller: select.poll,
    timeout: float | None,
    idle: AbstractContextManager[None] | None,
) -> list[tuple[int, int]]:
    if idle is None:
        return poller.poll(_milliseconds(timeout))
    with idle:
        return poller.poll(_milliseconds(timeout))


class Wakeup:
    """Ends a poll from a signal handler or another thread."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def wake(self) -> None:
        """Make the descriptor readable."""
        # If the socket is full or closed, the poll ends anyway.
        with suppress(OSError):
            self._writer.send(b"!")

    def clear(self) -> None:
        """Make the descriptor unreadable again."""
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Let signals end polls within this context, in the main thread.

        Otherwise a signal that comes right before a poll would not end it: its handler
        runs after the poll. If the program has set a wake-up descriptor of its own
        (`signal.set_wakeup_fd`), that one is kept.
        """
        if current_thread() is not main_thread():
            yield
            return
        writer = self._writer.fileno()
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        if before != -1:
            signal.set_wakeup_fd(before)
        try:
            yield
        finally:
            if before == -1:
                signal.set_wakeup_fd(-1)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class Dialogue:
    """Waits for one descriptor, and perhaps a wake-up, many times."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._registered: dict[int, int] = {}
        # The descriptor, if only this one is registered, and only to be read.
        self._reading = -1

    def wait(
        self,
        number: int,
        writing: bool,
        timeout: float | None,
        wakeup: Wakeup | None,
        idle: AbstractContextManager[None] | None = None,
    ) -> tuple[bool, bool]:
        """Wait; return whether to read the descriptor, and whether to write to it."""
        if wakeup is None and not writing:
            return self.wait_to_read(number, _milliseconds(timeout)), False
        wanted = {number: _BOTH if writing else select.POLLIN}
        if wakeup is not None:
            wanted[wakeup.fileno()] = select.POLLIN
        if wanted != self._registered:
            self._register(wanted)
        read = write = False
        for found, event in _poll(self._poll, timeout, idle):
            if found == number:
                write = event & select.POLLOUT > 0
                read = event & ~select.POLLOUT > 0
            elif wakeup is not None:
                wakeup.clear()
        return read, write

    def wait_to_read(self, number: int, milliseconds: int | None) -> bool:
        """Wait for this descriptor only; return whether it should be read."""
        if self._reading != number:
            self._register({number: select.POLLIN})
        return bool(self._poll.poll(milliseconds))

    def _register(self, wanted: dict[int, int]) -> None:
        for number in self._registered.keys() - wanted:
            self._poll.unregister(number)
        for number, mask in wanted.items():
            self._poll.register(number, mask)
        self._registered = wanted
        self._reading = -1
        if list(wanted.values()) == [select.POLLIN]:
            (self._reading,) = wanted


def _milliseconds(timeout: float | None) -> int | None:
    if timeout is None:
        return None
    # Rounded up: otherwise many polls of 0 ms would follow before the time is up.
    return math.ceil(min(timeout * 1000, _LONGEST))
