"""The limits of how many jobs of a function may run, and start."""

from collections import deque


class StartGroup:
    """Starts of jobs that came shortly after each other."""

    __slots__ = ("count", "first", "last")

    def __init__(self, time: float) -> None:
        self.first = self.last = time
        self.count = 1


class StartLimits:
    """How many jobs of a function may run, and start within some time.

    At most `most` may run (0: no limit). At most `count` may start in any `seconds` (0:
    no limit). `log` has the last starts: the first and the last time of each group, and
    how many they were; `started` is the sum of these. The function waits `until` a time
    of the monotonic clock.

    The share of these that a server of a cluster has: so many `may_run`, and so many
    more `may_start`, until it is `over`. `recent` counts starts.
    """

    __slots__ = (
        "count", "log", "may_run", "may_start", "most", "over", "recent", "seconds",
        "started", "until",
    )  # fmt: skip

    def __init__(self) -> None:
        self.most = 0
        self.count = 0
        self.seconds = 0.0
        self.log: deque[StartGroup] = deque()
        self.started = 0
        self.until = 0.0
        self.may_run = self.may_start = self.recent = 0
        self.over = 0.0
