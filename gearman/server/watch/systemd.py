"""Telling systemd how the server is: ready, reloading, stopping, alive.

A unit of the type `notify` names a socket in NOTIFY_SOCKET, which gets datagrams with
lines such as READY=1: see sd_notify(3). With `WatchdogSec=` it restarts a server that
gives no sign of life for so long: see sd_watchdog_enabled(3).
"""

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

log = logging.getLogger("gearman.server")

_MICROSECONDS: Final = 1_000_000


class Systemd:
    """The manager that has started the server, or nobody, if it was not systemd.

    `interval` is how many seconds may pass between two signs of life; 0 if none are
    expected. A message that cannot be sent is logged, the first one of them.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._failed = False
        self.interval = _interval(environment) if self._address else 0.0

    def ready(self) -> None:
        """Say that the server accepts connections, at first or after `reloading`."""
        self._tell("READY=1", f"MAINPID={os.getpid()}", "STATUS=ready")

    def reloading(self) -> None:
        """Say that the server reads its files again; `ready` must follow."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reloading")

    def stopping(self, status: str) -> None:
        """Say that the server is about to end."""
        self._tell("STOPPING=1", f"STATUS={status}")

    def alive(self) -> None:
        """Give a sign of life."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # A name that begins with @ is in Linux's abstract namespace.
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            if not self._failed:
                self._failed = True
                text = "systemd's socket %s (NOTIFY_SOCKET) cannot be reached: %s"
                log.warning(text, self._address, error.strerror or error)


def _interval(environment: Mapping[str, str]) -> float:
    """Return the time between signs of life, half of what systemd allows."""
    process = environment.get("WATCHDOG_PID", "")
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or process not in ("", str(os.getpid())):
        return 0.0
    return int(microseconds) / _MICROSECONDS / 2
