"""A thread that calls a function again and again."""

import threading
from collections.abc import Callable


class Pulse:
    """Calls `beat` every so many seconds from the first `start` until `stop`."""

    def __init__(self, seconds: float, beat: Callable[[], None]) -> None:
        self._seconds = seconds
        self._beat = beat
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread or self._stopped.is_set():
            return
        self._thread = threading.Thread(
            target=self._run, name="gearman-mysql", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._beat()
