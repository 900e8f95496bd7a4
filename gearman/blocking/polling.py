"""Waiting for descriptors, any number of them."""

import math
import select
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import current_thread, main_thread
from typing import Protocol, TypeVar

from ..errors import ConnectionError

# What a connection gets besides what it waits for: reading tells what is the matter.
_BOTH = select.POLLIN | select.POLLOUT
_TROUBLE = select.POLLERR | select.POLLHUP
# Milliseconds that a poll can take at most, some 24 days.
_LONGEST = 2**31 - 1


class HasFileno(Protocol):
    """What has a descriptor."""

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
    """Wait until some may be read or written; return them, and what is broken.

    They are descriptors or have a `fileno()`. `watched` ones are waited for only
    in so far as they break. `timeout` is in seconds, None waits for ever. What has got
    another descriptor while the wait was `idle` is not returned.
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
        # Full or closed: the poll ends in any case.
        with suppress(OSError):
            self._writer.send(b"!")

    def clear(self) -> None:
        """Make the descriptor unreadable again."""
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Have signals wake it meanwhile, in the main thread.

        Without that a signal that comes right before a poll would not end it: its
        handler runs when the poll is over. A program that has signals wake something
        else keeps that.
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
    """Waiting for one descriptor, and perhaps a wake-up, over and over."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._registered: dict[int, int] = {}
        # The descriptor if it is the only one, and to be read only.
        self._reading = -1

    def wait(
        self,
        number: int,
        writing: bool,
        timeout: float | None,
        wakeup: Wakeup | None,
        idle: AbstractContextManager[None] | None = None,
    ) -> tuple[bool, bool]:
        """Wait; return whether the descriptor should be read, and written."""
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
        """Wait for nothing but this; return whether the descriptor should be read."""
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
    # Rounded up, as an early end would be followed by more of them until it is time.
    return math.ceil(min(timeout * 1000, _LONGEST))
