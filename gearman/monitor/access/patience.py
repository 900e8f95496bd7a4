"""How often somebody may try passwords."""

from collections.abc import Callable
from typing import Final

# So many wrong passwords are free; then each needs a pause, which doubles.
FREE: Final = 5
PAUSE: Final = 1.0
LONGEST: Final = 300.0
# So many names and addresses are remembered, those that failed last.
MOST: Final = 10_000


class Attempts:
    """Counts wrong passwords by names and by addresses."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # How many were wrong, and until when there is a pause.
        self._wrong: dict[str, tuple[int, float]] = {}

    def wait(self, *keys: str) -> float:
        """Return for how many seconds one of these may not try; 0: at once."""
        now = self._clock()
        return max(max(self._wrong.get(key, (0, now))[1] - now, 0.0) for key in keys)

    def failed(self, *keys: str) -> None:
        """Count a wrong password."""
        for key in keys:
            count = self._wrong.pop(key, (0, 0.0))[0] + 1
            pause = 0.0
            if count >= FREE:
                pause = min(PAUSE * 2 ** min(count - FREE, 20), LONGEST)
            self._wrong[key] = (count, self._clock() + pause)
        while len(self._wrong) > MOST:
            del self._wrong[next(iter(self._wrong))]

    def succeeded(self, *keys: str) -> None:
        for key in keys:
            self._wrong.pop(key, None)
