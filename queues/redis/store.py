"""The jobs of the redis queue: keys, batches, and what follows if Redis forgets some.

    {PREFIX}:blocks     a hash: the number of a block, and jobs that were added together
    {PREFIX}:done       the same number, and which of these jobs are done (see `blocks`)
    {PREFIX}:jobs       a hash: the number of a job, and its record (see `records`)
    {PREFIX}:large      the same for records of more than SMALL bytes
    {PREFIX}:state, {PREFIX}:lease      who uses the jobs: see `reign`

The braces are part of the names: they put all keys into one slot of a Redis Cluster. A
number says the place of a job in the order, so no other list of jobs is needed. At the
start, scripts list the numbers, piece by piece; then records are read in their order.
Large ones are apart, so that no answer becomes larger than a record.

A batch is one transaction, or a script if it only removes jobs. It ends by counting
the fields of the hashes: if Redis has lost or restored some, the store compares the
numbers, and has the server add the jobs again that are not there. If it is unknown
whether Redis has executed a batch, the store looks at what is there before the next.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final
from zlib import crc32

from gearman.errors import JobRefused, JobsLost, QueueError, StartupError
from gearman.queue import StoredJob, Unreadable

from .._shared.records import Seal, decode_job, job_number
from .address import Address
from .content import Change, Content, Fresh, Item
from .gearmand import Remains
from .promises import Promise, Waits, promise, read
from .reign import SIGN, Foreign, InUse, Reign, Verdict
from .session import Session
from .wire import Wire, packed

_log = logging.getLogger(__name__)

# Bytes of the largest job: Redis' values have 512 MB at most.
LARGEST: Final = 256 * 1024 * 1024
# Bytes of workloads and extras in one transaction, unless those of one job are more.
MESSAGE: Final = 64 * 1024 * 1024
# How many records are read together.
PAGE: Final = 1000

_ADVICE: Final = {
    "READONLY": "connect to the primary",
    "LOADING": "start this server when Redis is ready",
    "MASTERDOWN": "connect to the primary",
    "OOM": "give Redis a larger maxmemory",
    "NOAUTH": "give the password by --redis-password-file or REDISCLI_AUTH",
    "WRONGPASS": "check the user and the password",
    "NOPERM": "allow that to its user",
    "MOVED": "name that server",
}


class Store:
    def __init__(
        self,
        address: Address,
        prefix: str,
        waits: Waits,
        *,
        must_be_durable: bool,
        skip_gearmand: bool,
    ) -> None:
        self._address = address
        self._prefix = prefix
        self._waits = waits
        self._must_be_durable = must_be_durable
        self._promised = ""
        self._name = name = f"{{{prefix}}}:".encode()
        self._seal = Seal(b"\xa9job", crc32(prefix.encode()))
        self._content = Content(name, self._seal)
        # Jobs that may be stored, and should not be: those of batches that failed.
        self._unwanted: set[int] = set()
        # Whether a batch failed that Redis may have executed, or may still execute.
        self._uncertain = False
        # What Redis has forgotten, until the server knows which jobs these are.
        self._forgetful = Verdict.FINE
        self._left: list[Unreadable] = []
        # The server's thread, and the one that gives signs of life.
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._session = Session(address, name + b"state", waits, self._welcome)
        self._reign = Reign(self._session, name + b"state", name + b"lease")
        self._signs = threading.Thread(
            target=self._give_signs, name="gearman-redis", daemon=True
        )
        try:
            self._reign.claim()
            self._left = self._content.read(self._session)
            if not skip_gearmand:
                self._take_over()
            self.commit([], [])
        except QueueError as error:
            self.close()
            raise StartupError(self._what_to_do(error)) from error
        except BaseException:
            self.close()
            raise
        self._signs.start()

    # Start

    def _welcome(self, wire: Wire) -> None:
        """Look at how durable a Redis is to which a connection was opened."""
        # It fails without an append-only file, too.
        if self._waits.disk and wire.ask(b"WAITAOF", b"1", b"0", b"1") is None:
            raise QueueError(
                "--redis-wait-disk needs Redis 7.2 or later with `appendonly yes`, and"
                f" the one at {self._address} has not both"
            )
        sentinel = bool(self._address.sentinels)
        promised = promise(read(wire), self._waits, sentinel=sentinel)
        if self._must_be_durable and not promised.durable:
            raise QueueError(
                f"--redis-require-durable: Redis at {self._address}: {promised.line}"
            )
        self._tell(promised)

    def _tell(self, promised: Promise) -> None:
        if promised.line != self._promised:
            self._promised = promised.line
            level = logging.INFO if promised.durable else logging.WARNING
            _log.log(level, "Redis at %s: %s", self._address, promised.line)

    def _what_to_do(self, error: QueueError) -> str:
        if isinstance(error, InUse):
            advice = "end that one, or give each a --redis-prefix of its own"
        elif isinstance(error, Foreign):
            advice = "start that one, or name another --redis-prefix"
        else:
            code = getattr(error, "code", "")
            default = "make sure that Redis runs, and check the options --redis-..."
            advice = _ADVICE.get(code, default)
        return f"the queue can't be opened: {error}: {advice}"

    def _take_over(self) -> None:
        """Store the jobs that gearmand has left, and delete its keys."""
        remains = Remains(self._session, self._prefix)
        last = max(self._content.numbers(), default=0)
        for jobs, keys in remains.jobs(last):
            self._write(jobs, set(), [packed(b"DEL", *keys)])
        self._left += remains.unreadable

    # Replay

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        yield from self._left
        numbers = sorted(self._content.numbers())
        for start in range(0, len(numbers), PAGE):
            page = numbers[start : start + PAGE]
            found = self._content.bodies(self._session, page)
            for number, place, body in self._locked(found):
                if body is not None and job_number(body) == number:
                    yield decode_job(body)
                else:
                    self._content.left.add(number)
                    yield Unreadable(place, "it is damaged")

    def _locked(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield items that need the connection."""
        while True:
            with self._lock:
                item = next(items, None)
            if item is None:
                return
            yield item

    # Commit

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        sizes = [len(job.workload) + len(job.extra) for job in added]
        refuse(added, sizes)
        gone = set(done)
        with self._lock:
            self._write_parts([*parts(added, sizes)], gone)

    def _write_parts(self, some: Sequence[Sequence[StoredJob]], gone: set[int]) -> None:
        stored: set[int] = set()
        for part in some[:-1]:
            numbers = {job.number for job in part}
            new = numbers - self._content.known(numbers)
            self._write_after(stored, part, gone)
            stored |= new
            gone = set()
        self._write_after(stored, some[-1], gone)

    def _write_after(
        self, stored: set[int], part: Sequence[StoredJob], gone: set[int]
    ) -> None:
        """Write a part; if that fails, the next batch removes those stored before."""
        try:
            self._write(part, gone)
        except QueueError:
            self._unwanted |= stored
            raise

    def _write(
        self,
        added: Sequence[StoredJob],
        done: set[int],
        more: Sequence[bytes] = (),
    ) -> None:
        """Remove and add jobs, in one step. An empty batch writes, too."""
        self._check_right()
        content = self._content
        fresh = Fresh.of(added, self._seal)
        again = content.known(fresh.numbers)
        # If the batch fails, a job that should have replaced a stored one stays.
        unwanted = done | self._unwanted | (fresh.numbers - again)
        unwanted -= content.left
        try:
            change = content.change(
                self._session, fresh, again, unwanted - fresh.numbers
            )
            if done and not added:
                counts = self._reign.remove(content.keys, change.commands)
            else:
                counts = self._transact(change, more)
        except QueueError as error:
            self._unwanted = unwanted
            self._uncertain |= not getattr(error, "refused", False)
            raise
        content.apply(change)
        self._unwanted = set()
        try:
            self._session.confirm()
            if counts != content.counts():
                self._recover(Verdict.FINE)
        except QueueError:
            self._unwanted |= unwanted
            raise

    def _transact(self, change: Change, more: Sequence[bytes]) -> list[int]:
        commands = [*self._reign.signs(), *more]
        commands += [packed(*words) for words in change.commands]
        commands += change.adding
        counting = self._content.count_commands()
        answers = self._session.transact(commands + counting)
        self._reign.landed()
        return answers[-len(counting) :]

    def _check_right(self) -> None:
        """Raise QueueError if the jobs are no longer this server's.

        Raises JobsLost if Redis has lost jobs.
        """
        verdict = self._reign.verdict()
        if verdict == self._forgetful == Verdict.FINE and not self._uncertain:
            return
        if verdict == Verdict.TAKEN:
            raise QueueError(
                f"another server has taken over the jobs in Redis at {self._address}:"
                " stop one of the two"
            )
        if verdict != Verdict.FINE:
            self._forgetful = verdict
        self._recover(self._forgetful)

    def _recover(self, verdict: Verdict) -> None:
        """Compare Redis with what should be there. Raises JobsLost if jobs are not.

        If Redis was put back in time, any record may be an earlier one, so that all
        jobs are to be added again. Jobs that are there and not live are done, and are
        removed, unless others than this server may have added them.
        """
        before = self._content
        found = Content(self._name, self._seal)
        found.read(self._session)
        put_back = verdict in (Verdict.EARLIER, Verdict.GONE)
        if put_back:
            # If this fails, Redis may know the right again, but not all jobs.
            self._reign.take_again()
        self._forgetful, self._uncertain = Verdict.FINE, False
        live = before.numbers() - before.left - self._unwanted
        there = found.numbers()
        more = there - live - before.left
        found.left = before.left & there
        if verdict == Verdict.GONE:
            found.left |= more - self._unwanted
        else:
            self._unwanted |= more
        self._content = found
        if lost := live if put_back else live - there:
            raise JobsLost(
                f"Redis at {self._address} was restarted, flushed or put back in time:"
                f" {len(lost)} jobs are no longer stored for certain",
                sorted(lost),
            )

    # The end

    def _give_signs(self) -> None:
        while not self._ended.wait(SIGN):
            with self._lock, suppress(QueueError):
                self._reign.sign()

    def close(self) -> None:
        """Release the jobs for another job server, unless one has taken them over."""
        if self._ended.is_set():
            return
        self._ended.set()
        with self._lock:
            empty = self._content.is_empty() and not self._uncertain
            self._reign.release(empty=empty)
            self._session.close()


def refuse(jobs: Sequence[StoredJob], sizes: Sequence[int]) -> None:
    """Raise JobRefused if some of these jobs are too large."""
    if max(sizes, default=0) <= LARGEST:
        return
    raise JobRefused(
        {
            job.number: f"a job has {size} bytes, and the queue redis takes {LARGEST}"
            " at most"
            for job, size in zip(jobs, sizes, strict=True)
            if size > LARGEST
        }
    )


def parts(
    jobs: Sequence[StoredJob], sizes: Sequence[int]
) -> Iterator[Sequence[StoredJob]]:
    """Yield parts of the jobs that are small enough for a transaction each.

    There is at least one part, which may be empty.
    """
    start = total = 0
    if sum(sizes) > MESSAGE:
        for position, size in enumerate(sizes):
            total += size
            if total > MESSAGE and position > start:
                yield jobs[start:position]
                start, total = position, size
    yield jobs[start:]
