"""Several threads and one client: one of them polls, for all.

Whoever looks at a client's connections or changes them holds its lock. While a thread
waits for a server it lets go of the lock, and the others may submit. They do not poll
as well: they have the polling thread wake up, which sends what they have submitted, and
wait until it has received something. When it has what it waited for, another one polls.
"""

from threading import Condition, RLock


class Turns:
    """Which of the threads polls, and who waits for it; used with the lock held.

    `with` this a thread polls and lets others have the lock meanwhile.
    """

    def __init__(self) -> None:
        # Reentrant: what a wait calls back may submit and wait itself.
        self.lock = RLock()
        self._moved = Condition(self.lock)
        self._followers = 0
        # Whether a thread waits for a server, without the lock.
        self.polling = False

    def __enter__(self) -> None:
        self.polling = True
        self.lock.release()

    def __exit__(self, *_: object) -> None:
        self.lock.acquire()
        self.polling = False

    @property
    def followed(self) -> bool:
        """Whether other threads wait for what is received."""
        return self._followers > 0

    def follow(self, timeout: float | None) -> None:
        """Let go of the lock until the polling thread has something to tell."""
        self._followers += 1
        try:
            self._moved.wait(timeout)
        finally:
            self._followers -= 1

    def tell(self) -> None:
        """Have those who follow look at what has changed."""
        if self._followers:
            self._moved.notify_all()
