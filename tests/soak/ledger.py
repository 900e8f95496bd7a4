"""The books of one wave: what was promised, and what has become of it."""

from collections import Counter


class Ledger:
    """Jobs in the background by handle, those in the foreground by number."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._acknowledged: set[bytes] = set()
        self._over: set[bytes] = set()
        self.recent: list[bytes] = []

    def submitted(self) -> None:
        """A job is about to be submitted for the foreground."""
        self.counts["submitted"] += 1

    def answered(self) -> None:
        """The one end of a job was told to whoever waited for it."""
        self.counts["answered"] += 1

    def lost(self, number: int) -> None:
        """So many answers can't come: who waited has closed the connection."""
        self.counts["left by their client"] += number

    def acknowledged(self, handle: bytes) -> None:
        """The server has promised to run a job."""
        self.counts["acknowledged in the background"] += 1
        self._acknowledged.add(handle)
        self.recent = [*self.recent[-50:], handle]

    def ran(self, handle: bytes) -> None:
        """A worker has done a job, and is about to say so."""
        self.counts["run"] += 1
        self._over.add(handle)

    def cancelled(self, handle: bytes) -> None:
        self.counts["cancelled"] += 1
        self._over.add(handle)

    def open(self) -> set[bytes]:
        """Return the handles of jobs that were promised and did not run."""
        return self._acknowledged - self._over

    def check(self) -> None:
        """Fail unless every promise was kept. Nobody may be waiting any longer."""
        left = self.open()
        assert not left, f"{len(left)} acknowledged jobs did not run: {[*left][:5]}"
        counts = self.counts
        ended = counts["answered"] + counts["left by their client"]
        assert counts["submitted"] == ended, f"answers are missing: {counts}"
