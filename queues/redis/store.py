"""The jobs of the redis queue: keys, batches, and what follows if Redis forgets some.

    {PREFIX}:jobs       a hash: the number of a job, and its record (see `records`)
    {PREFIX}:large      the same for records of more than SMALL bytes
    {PREFIX}:state, {PREFIX}:lease      who uses the jobs: see `reign`

The braces are part of the names: they put all keys into one slot of a Redis Cluster. A
number says the place of a job in the order, so no other list of jobs is needed. At the
start, a script lists the numbers, some thousand at a time; then records are read in
their order. Large ones are apart, so that no answer becomes larger than a record.

A batch is one transaction, or a script if it only removes jobs. It ends by counting the
jobs: if Redis has lost or restored some, the store compares the numbers, and has the
server add the jobs again that are not there.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final
from zlib import crc32

from gearman.errors import JobRefused, JobsLost, QueueError, StartupError
from gearman.queue import StoredJob, Unreadable

from .._shared.records import Seal, decode_job, encode_job, job_number
from .address import Address
from .gearmand import Remains
from .promises import Promise, Waits, promise, read
from .reading import bodies, fields
from .reign import SIGN, Foreign, InUse, Reign, Verdict
from .session import Session
from .wire import Wire, packed, packed_records

_log = logging.getLogger(__name__)

# Bytes of the largest job: Redis' values have 512 MB at most.
LARGEST: Final = 256 * 1024 * 1024
# Bytes of workloads and extras in one transaction, unless those of one job are more.
MESSAGE: Final = 64 * 1024 * 1024
# Bytes of the largest record that is read together with others, and how many are.
SMALL: Final = 16 * 1024
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


class Hash:
    """A hash of records: the numbers of the live jobs in it.

    `left` are the numbers of records that are no live jobs of this server and stay
    there, `odd` is how many fields are no numbers.
    """

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.live: set[int] = set()
        self.left: set[int] = set()
        self.odd = 0

    def count(self) -> int:
        return len(self.live) + len(self.left) + self.odd


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
        name = f"{{{prefix}}}:".encode()
        self._small, self._large = Hash(name + b"jobs"), Hash(name + b"large")
        self._hashes = self._small, self._large
        self._seal = Seal(b"\xa9job", crc32(prefix.encode()))
        # Jobs that may have been stored or removed by a batch that failed.
        self._doubtful: set[int] = set()
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
            self._left = self._list()
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
        last = max(self._small.live | self._large.live, default=0)
        for jobs, keys in remains.jobs(last):
            self._write(jobs, set(), [packed(b"DEL", *keys)])
        self._left += remains.unreadable

    # Replay

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        yield from self._left
        numbers = sorted(self._small.live | self._large.live)
        for start in range(0, len(numbers), PAGE):
            yield from self._page(numbers[start : start + PAGE])

    def _page(self, numbers: list[int]) -> Iterator[StoredJob | Unreadable]:
        """Yield some jobs in their order; large ones are read one by one."""
        large = [number for number in numbers if number in self._large.live]
        small = [n for n in numbers if n not in self._large.live] if large else numbers
        found = dict(zip(small, self._bodies(self._small, small), strict=True))
        for number in numbers:
            home = self._small
            if number not in found:
                home = self._large
                [found[number]] = self._bodies(home, [number])
            body = found.pop(number)
            if body is not None and job_number(body) == number:
                yield decode_job(body)
                continue
            home.live.discard(number)
            home.left.add(number)
            yield Unreadable(_place(home.key, b"%d" % number), "it is damaged")

    def _bodies(self, home: Hash, numbers: list[int]) -> list[bytes | None]:
        with self._lock:
            return bodies(self._session, home.key, numbers, self._seal)

    def _list(self) -> list[Unreadable]:
        """Find the numbers of all jobs; return the fields that are no numbers."""
        wrong = []
        for one in self._hashes:
            one.live, unknown = fields(self._session, one.key)
            one.odd = len(unknown)
            wrong += [
                Unreadable(_place(one.key, field), "it is not named by a number")
                for field in unknown
            ]
        return wrong

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
            new = {job.number for job in part} - self._small.live - self._large.live
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
            self._doubtful |= stored
            raise

    def _write(
        self,
        added: Sequence[StoredJob],
        done: set[int],
        more: Sequence[bytes] = (),
    ) -> None:
        """Remove and then add, in one transaction. An empty one writes, too."""
        self._check_right()
        gone = done | self._doubtful
        if done and not added:
            return self._remove(gone)
        records: tuple[list[tuple[StoredJob, bytes]], ...] = [], []
        for job in added:
            front = encode_job(job, self._seal)
            records[len(front) + len(job.workload) > SMALL].append((job, front))
        small, large = ({job.number for job, _ in each} for each in records)
        new = small | large
        gone -= new
        commands = [*self._reign.signs(), *more]
        # A record may have become smaller or larger.
        leaving = gone | large, gone | small
        for one, numbers, some in zip(self._hashes, leaving, records, strict=True):
            if there := self._there(one, numbers):
                commands.append(packed(b"HDEL", one.key, numbers=there))
            if some:
                commands.append(packed_records(one.key, some))
        commands += [packed(b"HLEN", one.key) for one in self._hashes]
        # A job that should have replaced a live one of its number stays.
        self._doubtful = gone | (new - self._small.live - self._large.live)
        answers = self._session.transact(commands)
        self._reign.landed()
        for one, numbers, fresh in zip(
            self._hashes, leaving, (small, large), strict=True
        ):
            one.live -= numbers
            one.live |= fresh
        return self._end(answers[-2:])

    def _remove(self, gone: set[int]) -> None:
        """Remove jobs, which Redis does even if its memory is full."""
        there = [self._there(one, gone) for one in self._hashes]
        self._doubtful = gone
        counts = self._reign.remove([one.key for one in self._hashes], there)
        for one in self._hashes:
            one.live -= gone
        self._end(counts)

    def _there(self, one: Hash, numbers: set[int]) -> set[int]:
        """Return those that are in a hash, or may be."""
        return numbers & one.live | (numbers & self._doubtful)

    def _end(self, counts: Sequence[int]) -> None:
        """End a batch that was executed, after which there are so many jobs."""
        doubts, self._doubtful = self._doubtful, set()
        if counts == [one.count() for one in self._hashes]:
            return
        try:
            self._recover(Verdict.FINE)
        except QueueError:
            self._doubtful |= doubts
            raise

    def _check_right(self) -> None:
        """Raise QueueError if the jobs are no longer this server's.

        Raises JobsLost if Redis has lost jobs.
        """
        verdict = self._reign.verdict()
        if verdict == self._forgetful == Verdict.FINE:
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
        found = [fields(self._session, one.key) for one in self._hashes]
        if verdict != Verdict.FINE:
            # If this fails, Redis may know the right again, but not all jobs.
            self._reign.take_again()
        self._forgetful = Verdict.FINE
        lost: set[int] = set()
        for one, (numbers, odd) in zip(self._hashes, found, strict=True):
            lost |= one.live - numbers if verdict == Verdict.FINE else one.live
            more = numbers - one.live - one.left
            one.live &= numbers
            one.left &= numbers
            one.odd = len(odd)
            if verdict == Verdict.GONE:
                one.left |= more
            else:
                self._doubtful |= more
        if lost:
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
            empty = not any(one.count() for one in self._hashes)
            self._reign.release(empty=empty and not self._doubtful)
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


def _place(key: bytes, field: bytes) -> str:
    name: Any = field.decode("ascii", "replace")
    return f"the field {name!r:.80} of {key.decode()}"
