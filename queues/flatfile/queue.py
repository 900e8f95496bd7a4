"""Background jobs in a folder of files that are only appended to."""

import errno
import logging
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Final

from gearman import queue
from gearman.errors import ConfigurationError, QueueError, StartupError
from gearman.queue import Option, StoredJob, Unreadable

from .._shared.locations import Index
from .._shared.records import (
    HEADER,
    JOBS,
    REMOVED,
    Found,
    Header,
    decode_job,
    decode_removed,
    encode_body,
    encode_job,
    encode_removed,
    job_number,
)
from .._shared.reserve import Reserve
from .compaction import Compaction, Move
from .lock import Lock
from .segments import Segment, find, set_aside, sync_folder

_log = logging.getLogger(__name__)

_DEFAULT_SIZE: Final = 64 * 1024 * 1024
# Dead segments that a commit deletes at most. Usually there are fewer, since a commit
# begins at most one.
_DELETIONS: Final = 4
# Bytes on the disk that are reserved for removals, and the errors of a full disk.
_RESERVE: Final = 4 * 1024 * 1024
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
# Segments of which the replay keeps a block in memory.
_WINDOWS: Final = 8


class Queue(queue.Queue):
    """Stores jobs in a folder of its own, in files that are only appended to.

    `folder` (--flatfile-dir) is created if its parent folder exists. Only one server
    can use it at a time. It needs a local disk, or another file system where data is
    durable when `fdatasync` returns. It needs no maintenance: finished jobs are removed
    while the server runs. The files take at most twice the bytes of the stored jobs,
    and in addition twice `segment_size` (--flatfile-segment-size, in bytes, 64 MiB by
    default). A copy of the folder with the same file names is a backup, if it is made
    while the server is stopped.

    A stored job survives a crash of the server or the system, and a power failure.
    Every record has a checksum. If the last record is incomplete, because the server
    died while writing it, it is cut off: no client was told that this job is stored.
    Anything else that can't be read is reported at each start, with file and offset,
    and left out. Its file is kept, and in the end renamed to `….damaged`, until you
    delete it.

    If the disk is full, background jobs are refused until there is room again. Room
    also comes from finished jobs: to remove these, the file `reserve` reserves 4 MiB.
    If the folder or a file in it is deleted or replaced while the server runs, jobs are
    refused until it is restored. A job takes about 120 bytes of memory here. A million
    jobs are read in a few seconds.
    """

    options = (
        Option(
            "folder",
            ("flatfile-dir",),
            "folder for the jobs; created if it does not exist",
            "DIR",
            "path",
        ),
        Option(
            "segment_size",
            ("flatfile-segment-size",),
            f"bytes after which a new file is begun (default: {_DEFAULT_SIZE})",
            "BYTES",
            "number",
        ),
    )

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        folder = options.get("folder", "")
        _check(folder, options.get("segment_size", _DEFAULT_SIZE))
        if not os.path.isdir(os.path.dirname(folder)):
            raise StartupError(
                f"the folder {folder} cannot be created: create its parent folder first"
            )
        place = folder if os.path.exists(folder) else os.path.dirname(folder)
        effective = os.access in os.supports_effective_ids
        if not os.access(place, os.W_OK | os.X_OK, effective_ids=effective):
            raise StartupError(f"the server cannot write in {place}: allow it to")

    def __init__(self, *, folder: str = "", segment_size: int = _DEFAULT_SIZE) -> None:
        _check(folder, segment_size)
        self._folder = Path(folder)
        self._segment_size = segment_size
        self._segments: dict[int, Segment] = {}
        self._index = Index()
        self._compaction = Compaction(self._index, self._segments, 2 * segment_size)
        self._unreadable: list[Unreadable] = []
        self._lock: Lock | None = None
        # The segments that are no longer written to, of which each commit checks one.
        self._round: Iterator[Segment] = iter(())
        self._reserve = Reserve(self._folder / "reserve", _RESERVE)
        self._open()

    def _open(self) -> None:
        try:
            self._lock = _create_and_lock(self._folder)
            self._recover()
            try:
                self._take_reserve()
            except OSError:
                self._use_reserve()
        except BlockingIOError as error:
            raise StartupError(
                f"the folder {self._folder} is in use by another server: give each"
                " a --flatfile-dir of its own"
            ) from error
        except StartupError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise StartupError(
                f"the folder {self._folder} can't be used ({_reason(error)}): check"
                " --flatfile-dir, and that the server may write there"
            ) from error

    def _recover(self) -> None:
        segments = find(self._folder)
        sync_folder(self._folder)
        for path in set_aside(self._folder):
            self._report(
                str(path), "is damaged and no longer in use: you may delete it"
            )
        for older, newer in pairwise(segments):
            self._limit(older, newer.header())
        for segment in segments:
            self._segments[segment.number] = segment
            for found in segment.window().scan():
                self._take(segment, found, segment is segments[-1])
        self._numbers = count(max(self._segments, default=0) + 1)
        if segments:
            # A damaged segment is not written to.
            segments[-1].abandoned = segments[-1].damaged
            segments[-1].reopen()

    def _limit(self, older: Segment, header: Header | None) -> None:
        """Cut off the bytes that the header of the next segment declares invalid."""
        if header is None:
            return
        if header.previous != older.number:
            self._report(
                f"{self._folder}/{header.previous:012}-*.jobs", "the file is missing"
            )
        elif header.end > older.end:
            older.damaged = True
            lost = header.end - older.end
            self._report(f"{older.path}:{older.end}", f"{lost} bytes are missing")
        else:
            older.end = header.end

    def _take(self, segment: Segment, found: Found, is_last: bool) -> None:
        offset, size, body = found
        kind = b"" if body is None else body[:1]
        if body is not None and kind in JOBS:
            self._index.put(job_number(body), segment.number, offset, size)
        elif body is not None and kind == REMOVED:
            for number in decode_removed(body):
                self._index.drop(number)
        elif is_last and body is None and 0 < offset == segment.end - size:
            _log.warning("%s: cut off an incomplete record at %d", segment.path, offset)
            segment.end = offset
        elif body is None:
            segment.damaged = True
            self._report(f"{segment.path}:{offset}", f"{size} bytes are damaged")
        elif kind != HEADER:
            raise StartupError(
                f"{segment.path} was written by a later version of gearman-py: start"
                " that one, or choose another --flatfile-dir"
            )

    def _report(self, key: str, reason: str) -> None:
        self._unreadable.append(Unreadable(key, reason))

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        yield from self._unreadable
        window = lru_cache(_WINDOWS)(lambda number: self._segments[number].window())
        for number in sorted(self._index.numbers()):
            where = self._index.where(number)
            segment = self._segments[where.segment]
            try:
                body = window(where.segment).body(where.offset)
            except OSError as error:
                raise QueueError(f"cannot read {segment.path}: {error}") from error
            if body is None:
                segment.damaged = True
                reason = f"the job {number} can't be read any more"
                yield Unreadable(f"{segment.path}:{where.offset}", reason)
            else:
                yield decode_job(body)

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._check_it_is_there()
        try:
            if added:
                self._take_reserve()
            segment = self._current()
            batch = _Batch(segment)
            batch.add(added)
            batch.remove([number for number in done if number in self._index])
            numbers = {*done, *(job.number for job in added)}
            batch.move(self._moves(batch.size, numbers))
            segment.append(batch.data())
        except OSError as error:
            self._compaction.restart()
            if error.errno in _FULL and not added:
                self._use_reserve()
            raise self._failure(error) from error
        # Another server may have started meanwhile, without finding the new records.
        self._check_lock()
        batch.enter(self._index)
        self._delete_dead()
        if not added and not done:
            try:
                self._take_reserve()
            except OSError as error:
                raise self._failure(error) from error

    def _use_reserve(self) -> None:
        """Make room for removals, and delete dead segments sooner."""
        self._reserve.release()
        self._compaction.slack = 0

    def _failure(self, error: OSError) -> QueueError:
        return QueueError(f"cannot store jobs in {self._folder}: {_reason(error)}")

    def _take_reserve(self) -> None:
        """Reserve room for removals again. Raises OSError if there is not enough."""
        if not self._reserve.held:
            self._reserve.take()
            self._compaction.slack = 2 * self._segment_size

    def _moves(self, size: int, numbers: Container[int]) -> Sequence[Move]:
        """Return jobs to be stored again with a commit of this size.

        While the disk is full, only a segment with few live bytes is compacted.
        """
        oldest = next(iter(self._segments))
        if not self._reserve.held and self._index.live_in(oldest) > _RESERVE // 4:
            return ()
        return self._compaction.moves(size, numbers)

    def _check_it_is_there(self) -> None:
        """Raise QueueError if the folder, or a file in it, was deleted or replaced.

        The lock and the current segment are checked each time, and one of the others.
        """
        self._check_lock()
        last = next(reversed(self._segments.values()), None)
        older = next(self._round, None)
        if older is None:
            self._round = iter([*self._segments.values()][:-1])
        elif older.number not in self._segments:
            older = None
        for segment in (last, older):
            if segment is not None and not segment.is_there():
                raise _missing(segment.path)

    def _check_lock(self) -> None:
        if self._lock is not None and not self._lock.holds():
            raise _missing(self._folder / "lock")

    def _current(self) -> Segment:
        """Return the segment to write to."""
        last = next(reversed(self._segments.values()), None)
        # On a full disk segments are smaller, so that they can be deleted sooner.
        most = self._segment_size
        most = most if self._reserve.held else min(most, _RESERVE)
        if last and not last.abandoned and last.end < most:
            return last
        header = Header(last.number, last.end) if last else Header(0, 0)
        segment = Segment.create(self._folder, next(self._numbers), header)
        if last:
            last.close()
            if last.abandoned:
                self._compaction.suspect(last)
        self._segments[segment.number] = segment
        return segment

    def _delete_dead(self) -> None:
        """Delete segments without live jobs, beginning with the oldest.

        A failure is only logged, since the commit itself has succeeded.
        """
        oldest = list(self._segments.values())[:-1][:_DELETIONS]
        for segment in oldest:
            if self._index.live_in(segment.number):
                break
            try:
                self._delete(segment)
            except OSError as error:
                _log.warning("cannot delete %s: %s", segment.path, _reason(error))
                break

    def _delete(self, segment: Segment) -> None:
        # It is already deleted if syncing the folder failed the last time.
        with suppress(FileNotFoundError):
            if segment.damaged:
                _log.warning("damaged, but kept: %s", segment.set_aside())
            else:
                segment.delete()
        # Before the next deletion: a removal must not be lost before its job.
        sync_folder(self._folder)
        del self._segments[segment.number]
        self._index.forget(segment.number)
        self._compaction.forget(segment)

    def close(self) -> None:
        if self._lock is not None:
            self._reserve.release()
        for segment in self._segments.values():
            segment.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class _Batch:
    """The records of a commit, and the changes of the index once they are durable."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._parts: list[bytes] = []
        self._stored: list[tuple[int, int, int]] = []
        self._removed: Sequence[int] = ()
        self.size = 0

    def add(self, jobs: Sequence[StoredJob]) -> None:
        seal = self._segment.seal
        for job in jobs:
            self._add(job.number, encode_job(job, seal), job.workload)

    def move(self, moves: Sequence[Move]) -> None:
        for number, body in moves:
            self._add(number, encode_body(body, self._segment.seal), b"")

    def _add(self, number: int, front: bytes, rest: bytes) -> None:
        size = len(front) + len(rest)
        self._stored.append((number, self._segment.end + self.size, size))
        self._parts += front, rest
        self.size += size

    def remove(self, numbers: Sequence[int]) -> None:
        if numbers:
            record = encode_removed(numbers, self._segment.seal)
            self._removed = numbers
            self._parts.append(record)
            self.size += len(record)

    def data(self) -> bytes:
        # An empty commit writes as well, to find out whether that is possible.
        return b"".join(self._parts) or encode_removed((), self._segment.seal)

    def enter(self, index: Index) -> None:
        for number, offset, size in self._stored:
            index.put(number, self._segment.number, offset, size)
        for number in self._removed:
            index.drop(number)


def _check(folder: str, segment_size: int) -> None:
    if not folder:
        raise ConfigurationError(
            "the queue plugin flatfile needs a folder: give --flatfile-dir"
        )
    if segment_size < 1:
        raise ConfigurationError("--flatfile-segment-size must not be 0")


def _missing(path: Path) -> QueueError:
    return QueueError(
        f"{path} was deleted, replaced or cut while in use, and its jobs are now in the"
        " server's memory only: restore it, or let the workers finish the jobs and"
        " restart the server"
    )


def _create_and_lock(folder: Path) -> Lock:
    """Create a folder if there is none, and lock it."""
    with suppress(FileExistsError):
        folder.mkdir(0o700)
        sync_folder(folder.parent)
    return Lock(folder)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
