"""A record of one wave: the accepted jobs, and their outcomes."""

from collections import Counter


class Ledger:
    """Background jobs by handle, foreground jobs by number."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._acknowledged: set[bytes] = set()
        self._over: set[bytes] = set()
        self.recent: list[bytes] = []

    def submitted(self) -> None:
        """A foreground job is about to be submitted."""
        self.counts["submitted"] += 1

    def answered(self) -> None:
        """The client of a job was told its end, which must happen only once."""
        self.counts["answered"] += 1

    def lost(self, number: int) -> None:
        """So many answers can't arrive: their client has closed the connection."""
        self.counts["left by their client"] += number

    def acknowledged(self, handle: bytes) -> None:
        """The server has accepted a background job."""
        self.counts["acknowledged in the background"] += 1
        self._acknowledged.add(handle)
        self.recent = [*self.recent[-50:], handle]

    def ran(self, handle: bytes) -> None:
        """A worker has done a job, and is about to send the result."""
        self.counts["run"] += 1
        self._over.add(handle)

    def cancelled(self, handle: bytes) -> None:
        self.counts["cancelled"] += 1
        self._over.add(handle)

    def open(self) -> set[bytes]:
        """Return the handles of accepted jobs that did not run."""
        return self._acknowledged - self._over

    def check(self) -> None:
        """Fail unless every job was answered or run; no client may be waiting."""
        left = self.open()
        assert not left, f"{len(left)} acknowledged jobs did not run: {[*left][:5]}"
        counts = self.counts
        ended = counts["answered"] + counts["left by their client"]
        assert counts["submitted"] == ended, f"answers are missing: {counts}"
