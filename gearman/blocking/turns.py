"""Several threads use one client: one thread polls for all.

A thread holds the client's lock while it reads or changes the connections. The polling
thread releases the lock while it waits for a server, so that other threads may submit.
These do not poll too. They wake the polling thread, which sends their submissions, and
wait until it has received something. When the polling thread has its own result,
another thread polls.
"""

from threading import Condition, RLock


class Turns:
    """Which thread polls, and which threads wait for it; used with the lock held.

    As a context manager, it releases the lock while a thread polls.
    """

    def __init__(self) -> None:
        # Reentrant: a callback of a wait may itself submit and wait.
        self.lock = RLock()
        self._moved = Condition(self.lock)
        self._followers = 0
        # Whether a thread waits for a server, and has released the lock.
        self.polling = False

    def __enter__(self) -> None:
        self.polling = True
        self.lock.release()

    def __exit__(self, *_: object) -> None:
        self.lock.acquire()
        self.polling = False

    @property
    def followed(self) -> bool:
        """Whether other threads wait for received data."""
        return self._followers > 0

    def follow(self, timeout: float | None) -> None:
        """Release the lock and wait until the polling thread calls `tell`.

        `timeout` is in seconds (None: no limit).
        """
        self._followers += 1
        try:
            self._moved.wait(timeout)
        finally:
            self._followers -= 1

    def tell(self) -> None:
        """Wake the waiting threads, so that they look at what has changed."""
        if self._followers:
            self._moved.notify_all()
