"""Giving the rows of an inbox to the broker, as background submissions."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ...errors import OptionError
from ...options import JobOptions, parse_job_options
from ...queue import InboxRow
from ..broker import FULL, HIGH, LOW, NORMAL, Broker, Function, Peer
from ..broker.constants import JOB_CREATED
from ..broker.memory import job_size
from ..broker.steering.new_jobs import priority_of

# Rows of one turn.
MANY: Final = 256

# Why a row is left alone for now; all other reasons are for good.
_TEMPORARY: Final = frozenset(FULL.values())


class _Client(Peer):
    """The client of one row: it gets the answer to the submission."""

    def __init__(self) -> None:
        super().__init__("inbox")
        self.refusal = b""

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        if command != JOB_CREATED:
            self.refusal = arguments[-1]


class Decisions(NamedTuple):
    """What becomes of rows.

    `jobs` are numbers of jobs, not stored yet, with the id of a row that leaves the
    inbox with the job's next change. `finished` are ids of other rows that leave it,
    with the reason why a row is refused, or "".
    """

    jobs: list[tuple[int, int]]
    finished: dict[int, str]


class Intake:
    """Submits the rows that were read, some in each turn, while it is `busy`.

    After that, `taken` is how many rows have got a decision, `held` has functions whose
    rows are to be left alone for now, and `full` says that of all other rows.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._client = _Client()
        self.begin(())

    def begin(self, rows: Sequence[InboxRow]) -> None:
        """Take rows to submit."""
        self._rows = rows
        self._next = 0
        self.taken = 0
        self.full = False
        self.held: set[bytes] = set()

    @property
    def busy(self) -> bool:
        """Whether rows are left to be submitted."""
        return self._next < len(self._rows) and not self.full

    def submit(self) -> Decisions:
        """Submit some rows."""
        start, self._next = self._next, self._next + MANY
        decisions = Decisions([], {})
        for row in self._rows[start : self._next]:
            if row.function not in self.held and not self.full:
                self._submit(row, decisions)
        self.taken += len(decisions.jobs) + len(decisions.finished)
        return decisions

    def _submit(self, row: InboxRow, decisions: Decisions) -> None:
        options, fault = _options(row)
        if fault:
            decisions.finished[row.id] = fault
            return
        jobs = self._broker.jobs
        number = jobs.number_for(row.unique, row.workload)
        priority = _priority(row, options)
        function = self._broker.functions.known.get(row.function)
        job = None
        if function is not None:
            job = jobs.uniques.find(function, row.unique, row.workload)
            if job is None and self._must_wait(row, function, priority, options):
                return
        refusal = self._answer(row, options, priority)
        if refusal:
            self._refused(row, refusal, decisions)
            return
        job = job or jobs.known[number]
        if job.receipts is None:
            # It is stored, or safe for another reason.
            decisions.finished[row.id] = ""
        else:
            decisions.jobs.append((job.number, row.id))

    def _must_wait(
        self,
        row: InboxRow,
        function: Function,
        priority: int,
        options: JobOptions | None,
    ) -> bool:
        """Whether there are too many jobs. Then nothing is refused, nor logged."""
        broker = self._broker
        if priority == NORMAL:
            priority = priority_of(function, options)
        size = broker.memory.jobs + job_size(row.workload, row.unique)
        limit = broker.limits.exceeded_by_job(
            function, priority, len(broker.jobs.known), size
        )
        if limit == "max-jobs-per-function":
            self.held.add(row.function)
        elif limit is not None:
            self.full = True
        return limit is not None

    def _answer(
        self, row: InboxRow, options: JobOptions | None, priority: int
    ) -> bytes:
        """Submit a row; return why it was refused, or b""."""
        if self._client.receipts or self._client.refusal:
            # An answer must not wait for those to earlier rows.
            self._client = _Client()
        self._broker.submit(
            self._client,
            row.function,
            row.unique,
            row.workload,
            priority,
            True,
            row.when,
            None,
            None,
            options,
        )
        return self._client.refusal

    def _refused(self, row: InboxRow, reason: bytes, decisions: Decisions) -> None:
        if reason in _TEMPORARY or reason == self._broker.outage:
            self.full = True
        else:
            decisions.finished[row.id] = reason.decode(errors="replace")


def _priority(row: InboxRow, options: JobOptions | None) -> int:
    if row.priority is not None:
        return row.priority
    if options is not None and options.priority is not None:
        return options.priority
    return NORMAL


def _options(row: InboxRow) -> tuple[JobOptions | None, str]:
    """Return the options of a row, and why they or it can't be used."""
    fault = _fault(row)
    if fault or not row.options:
        return None, fault
    try:
        return parse_job_options(row.options), ""
    except OptionError as error:
        return None, str(error)


def _fault(row: InboxRow) -> str:
    """Return why a row can't be a job, whatever its options are, or ""."""
    if row.fault:
        return row.fault
    if not row.function or b"\0" in row.function:
        return "its function is empty or has a NUL"
    if b"\0" in row.unique:
        return "its unique has a NUL"
    if row.priority not in (None, HIGH, NORMAL, LOW):
        return f"its priority is {row.priority}, not 0, 1 or 2"
    return ""
