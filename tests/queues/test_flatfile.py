"""The queue plugin flatfile, beyond the contract."""

import errno
import fcntl
import logging
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from gearman.queues.flatfile.queue import Queue

from gearman.errors import ConfigurationError, QueueError, StartupError
from gearman.queue import StoredJob, Unreadable
from tests.queues.simulated_disk import real_disk
from tests.servers import DEADLINE, package_environment


def job(number: int, workload: bytes = b"w") -> StoredJob:
    return StoredJob(number, b"H:host:%d" % number, b"f", b"", workload)


JOBS = [job(number) for number in range(1, 6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def without_waiting() -> Iterator[None]:
    """Disable syncing for a test that makes many commits and needs no durability."""
    with real_disk():
        yield


@contextmanager
def opened(folder: Path, **options: int) -> Iterator[Queue]:
    with closing(Queue(folder=str(folder), **options)) as queue:
        list(queue.replay())
        yield queue


def fill(folder: Path, *jobs: StoredJob) -> None:
    """Commit each of the jobs alone."""
    with opened(folder) as queue:
        for each in jobs:
            queue.commit([each], [])


def content(folder: Path) -> list[StoredJob | Unreadable]:
    with closing(Queue(folder=str(folder))) as queue:
        return list(queue.replay())


def numbers(folder: Path) -> list[int]:
    found = content(folder)
    assert not any(isinstance(each, Unreadable) for each in found), found
    return [each.number for each in found if isinstance(each, StoredJob)]


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jobs"))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.jobs"))


def change(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def damage(path: Path, inside: bytes) -> int:
    """Change a byte of these bytes in the file, and return its offset."""
    data = path.read_bytes()
    position = data.index(inside)
    path.write_bytes(
        data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :]
    )
    return position


# Options and start


def test_folder_has_to_be_given() -> None:
    with pytest.raises(ConfigurationError, match="--flatfile-dir"):
        Queue()


def test_segments_have_a_size(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="--flatfile-segment-size"):
        Queue(folder=str(folder), segment_size=0)


def test_folder_is_for_its_owner_only(folder: Path) -> None:
    fill(folder, *JOBS)
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    assert modes == {0o600, 0o700}
    assert (folder / "lock").stat().st_mode & 0o777 == 0o700


def test_file_in_the_place_of_the_folder_is_told_of(folder: Path) -> None:
    folder.write_bytes(b"")
    with pytest.raises(StartupError, match="Not a directory.*check --flatfile-dir"):
        Queue(folder=str(folder))


def test_folder_in_use_is_told_of(folder: Path) -> None:
    with opened(folder), pytest.raises(StartupError, match="another server"):
        Queue(folder=str(folder))


def test_lock_is_free_after_a_start_that_failed(folder: Path) -> None:
    fill(folder, *JOBS)
    path = segments(folder)[0]
    data = path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.raises(StartupError, match="Is a directory"):
        Queue(folder=str(folder))
    path.rmdir()
    path.write_bytes(data)
    assert numbers(folder) == [1, 2, 3, 4, 5]


def test_other_files_in_the_folder_are_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "README").write_text("mine")
    (folder / "1-2.jobs").write_text("mine")
    fill(folder, *JOBS)
    assert numbers(folder) == [1, 2, 3, 4, 5]
    assert (folder / "README").read_text() == "mine"


def test_start_goes_on_with_the_last_segment(folder: Path) -> None:
    for each in JOBS:
        fill(folder, each)
    assert len(segments(folder)) == 1


# Incomplete last records


@pytest.mark.usefixtures("without_waiting")
def test_every_torn_tail_is_cut_off(folder: Path, tmp_path: Path) -> None:
    fill(folder, *JOBS[:2])
    path = segments(folder)[0]
    whole = path.stat().st_size
    fill(folder, JOBS[2])
    data = path.read_bytes()
    for end in range(whole, len(data)):
        path.write_bytes(data[:end])
        assert numbers(folder) == [1, 2]
        assert path.stat().st_size == whole
        fill(folder, JOBS[3])
        assert numbers(folder) == [1, 2, 4]


@pytest.mark.parametrize("tail", [bytes(5000), b"\xff" * 9])
def test_tail_of_anything_is_cut_off(folder: Path, tail: bytes) -> None:
    fill(folder, *JOBS)
    change(segments(folder)[0], lambda data: data + tail)
    assert numbers(folder) == [1, 2, 3, 4, 5]


def test_segment_whose_creation_was_cut_short_is_deleted(folder: Path) -> None:
    fill(folder, *JOBS)
    (folder / "000000000002-00000000.jobs").write_bytes(b"\0\0\0")
    assert numbers(folder) == [1, 2, 3, 4, 5]
    assert len(segments(folder)) == 1


# Damage


def test_damaged_record_is_reported_and_the_others_are_read(folder: Path) -> None:
    fill(folder, *JOBS)
    path = segments(folder)[0]
    place = damage(path, b"H:host:3")
    damaged, *jobs = content(folder)
    assert isinstance(damaged, Unreadable)
    name, _, offset = damaged.key.rpartition(":")
    assert name == str(path)
    assert place - 70 < int(offset) < place
    assert jobs == [JOBS[0], JOBS[1], JOBS[3], JOBS[4]]


@pytest.mark.usefixtures("without_waiting")
def test_every_damaged_byte_is_noticed(folder: Path) -> None:
    fill(folder, *JOBS[:2])
    path = segments(folder)[0]
    data = path.read_bytes()
    for place in range(len(data) // 2):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        damaged, *jobs = content(folder)
        assert isinstance(damaged, Unreadable)
        assert jobs in ([JOBS[0], JOBS[1]], [JOBS[1]])


def test_damaged_length_costs_one_job(folder: Path) -> None:
    fill(folder, *JOBS)
    path = segments(folder)[0]
    data = path.read_bytes()
    start = data.rindex(data[:4], 0, data.index(b"H:host:2"))
    path.write_bytes(data[: start + 4] + b"\xff" * 4 + data[start + 8 :])
    damaged, *jobs = content(folder)
    assert isinstance(damaged, Unreadable)
    assert jobs == [JOBS[0], *JOBS[2:]]


def test_workload_that_holds_records_is_no_source_of_jobs(
    folder: Path, tmp_path: Path
) -> None:
    fill(tmp_path / "other", *JOBS)
    copied = segments(tmp_path / "other")[0].read_bytes()
    fill(folder, job(10, copied), job(11))
    damage(segments(folder)[0], b"H:host:10")
    damaged, *jobs = content(folder)
    assert isinstance(damaged, Unreadable)
    assert jobs == [job(11)]


def test_damage_of_many_blocks_is_passed_over(folder: Path) -> None:
    fill(folder, job(1), job(2, b"x" * 2_000_000), job(3))
    damage(segments(folder)[0], b"H:host:2")
    damaged, *jobs = content(folder)
    assert isinstance(damaged, Unreadable)
    assert jobs == [job(1), job(3)]


def test_damaged_segment_is_kept_when_its_jobs_are_elsewhere(folder: Path) -> None:
    fill(folder, *JOBS)
    path = segments(folder)[0]
    damage(path, b"H:host:3")
    before = path.read_bytes()
    with opened(folder) as queue:
        queue.commit([job(9)], [1, 2])
    assert not path.exists()
    kept = path.with_name(path.name + ".damaged")
    assert kept.read_bytes() == before
    reported, *jobs = content(folder)
    assert isinstance(reported, Unreadable)
    assert reported.key == str(kept)
    assert jobs == [JOBS[3], JOBS[4], job(9)]
    kept.unlink()
    assert numbers(folder) == [4, 5, 9]


def test_block_that_the_device_cannot_read_costs_what_is_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder, job(1), job(2, b"x" * 20_000), job(3))

    def pread(fd: int, size: int, offset: int, real=os.pread) -> bytes:
        if offset <= 10_000 < offset + size:
            raise OSError(errno.EIO, "Input/output error")
        return bytes(real(fd, size, offset))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", pread)
        damaged, *jobs = content(folder)
    assert isinstance(damaged, Unreadable)
    assert jobs == [job(1), job(3)]
    # It can be read again.
    assert numbers(folder) == [1, 2, 3]


def test_job_that_becomes_unreadable_during_the_replay_is_reported(
    folder: Path,
) -> None:
    fill(folder, *JOBS)
    with closing(Queue(folder=str(folder))) as queue:
        damage(segments(folder)[0], b"H:host:2")
        found = list(queue.replay())
    assert isinstance(found[1], Unreadable)
    assert [found[0], *found[2:]] == [JOBS[0], *JOBS[2:]]


def test_segment_that_vanishes_during_the_replay_is_an_error(folder: Path) -> None:
    fill(folder, *JOBS)
    with closing(Queue(folder=str(folder))) as queue:
        segments(folder)[0].unlink()
        with pytest.raises(QueueError, match="No such file"):
            list(queue.replay())


def three_segments(folder: Path) -> list[Path]:
    with opened(folder, segment_size=1) as queue:
        for each in JOBS[:3]:
            queue.commit([each], [])
    return segments(folder)


def test_missing_segment_is_reported(folder: Path) -> None:
    three_segments(folder)[1].unlink()
    missing, *jobs = content(folder)
    assert missing == Unreadable(f"{folder}/000000000002-*.jobs", "the file is missing")
    assert jobs == [JOBS[0], JOBS[2]]


def test_segment_cut_short_is_reported(folder: Path) -> None:
    path = three_segments(folder)[1]
    change(path, lambda data: data[:-5])
    found = content(folder)
    assert [each for each in found if isinstance(each, StoredJob)] == [
        JOBS[0],
        JOBS[2],
    ]
    assert any("5 bytes are missing" in str(each) for each in found)


def test_segment_without_its_header_is_read(folder: Path) -> None:
    path = three_segments(folder)[1]
    change(path, lambda data: b"????" + data[4:])
    damaged, *jobs = content(folder)
    assert damaged == Unreadable(f"{path}:0", "29 bytes are damaged")
    assert jobs == JOBS[:3]


# Failures


def failing(*codes: int) -> Callable[..., None]:
    """Return a function that fails so many times, and then succeeds."""
    left = list(codes)

    def call(*arguments: object) -> None:
        if left:
            raise OSError(left[0], os.strerror(left.pop(0)))

    return call


def test_segment_whose_sync_failed_is_never_written_to_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(folder) as queue:
        queue.commit(JOBS[:2], [])
        path = segments(folder)[0]
        monkeypatch.setattr(
            "gearman.queues.flatfile.segments._sync_data", failing(errno.EIO)
        )
        with pytest.raises(QueueError, match="Input/output error"):
            queue.commit([job(3)], [1])
        data = path.read_bytes()
        queue.commit([job(4)], [])
        queue.commit([], [])
        assert not path.exists() or path.read_bytes() == data
    # Earlier durable jobs are written again, since their last page may be damaged. The
    # failed write is ignored, although it can be read.
    assert not path.exists()
    assert numbers(folder) == [1, 2, 4]


def test_failed_write_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pwrite(fd: int, data: memoryview, offset: int, real=os.pwrite) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(real(fd, data[:100], offset))

    with opened(folder) as queue:
        queue.commit([job(1)], [])
        before = size(folder)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", pwrite)
            with pytest.raises(QueueError, match="No space left on device"):
                queue.commit([job(2, b"x" * 1000)], [1])
            assert size(folder) == before
        queue.commit([job(3)], [])
    assert numbers(folder) == [1, 3]


def test_segment_that_cannot_be_deleted_is_deleted_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(folder, segment_size=1) as queue:
        queue.commit([job(1)], [])
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", failing(errno.EPERM))
            queue.commit([job(2)], [1])
        assert len(segments(folder)) == 2
        queue.commit([job(3)], [])
        assert len(segments(folder)) == 2
    assert numbers(folder) == [2, 3]


FULL_DISK = """
import os, subprocess, sys
from contextlib import suppress
from gearman.errors import QueueError
from gearman.queue import StoredJob
from gearman.queues.flatfile.queue import Queue
folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "none", folder], check=True)
queue = Queue(folder=folder + "/store")
list(queue.replay())
stored, number = {}, 0
def store(size):
    global number
    number += 1
    job = StoredJob(number, b"", b"f", b"", b"x" * size)
    queue.commit([job], [])
    stored[number] = job
for cycle in range(3):
    try:
        while True:
            store(100_000)
    except QueueError as error:
        assert "No space left on device" in str(error), error
    else:
        raise SystemExit("the disk is never full")
    gone = list(stored)[:-1]
    for start in range(0, len(gone), 10):
        queue.commit([], gone[start:start + 10])
    for each in gone:
        del stored[each]
    # The server asks whether jobs can be stored again.
    for _ in range(100):
        with suppress(QueueError):
            queue.commit([], [])
            break
    for _ in range(5):
        store(10)
    queue.close()
    queue = Queue(folder=folder + "/store", segment_size=100_000)
    assert list(queue.replay()) == [stored[each] for each in sorted(stored)]
print("done")
"""


def test_full_disk_stops_the_store_until_there_is_room(tmp_path: Path) -> None:
    command = [*("unshare", "--mount", "--map-root-user", "--", sys.executable, "-P")]
    tried = subprocess.run([*command[:4], "true"], capture_output=True)
    if tried.returncode:
        pytest.skip("no file system can be mounted here")
    done = subprocess.run(
        [*command, "-c", FULL_DISK, str(tmp_path)],
        env=package_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


# Files that are deleted while in use


def refused(queue: Queue) -> str:
    with pytest.raises(QueueError) as raised:
        queue.commit([job(90)], [])
    return str(raised.value)


def test_lock_that_is_deleted_keeps_others_out_all_the_same(folder: Path) -> None:
    with opened(folder) as queue:
        queue.commit([job(1)], [])
        shutil.rmtree(folder / "lock")
        with pytest.raises(StartupError, match="in use by another server"):
            Queue(folder=str(folder))
        assert "lock was deleted, replaced or cut while in use" in refused(queue)
    assert numbers(folder) == [1]


@pytest.mark.parametrize("replaced", [False, True], ids=["moved", "replaced"])
def test_commits_fail_once_the_folder_is_away_until_it_is_put_back(
    folder: Path, replaced: bool
) -> None:
    away = folder.with_name("away")
    with opened(folder) as queue:
        queue.commit([job(1)], [])
        folder.rename(away)
        if replaced:
            folder.mkdir()
        assert "was deleted, replaced or cut while in use" in refused(queue)
        if replaced:
            folder.rmdir()
        away.rename(folder)
        queue.commit([job(2)], [])
    assert numbers(folder) == [1, 2]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_commits_fail_soon_after_a_segment_is_deleted(folder: Path, which: int) -> None:
    with opened(folder, segment_size=100) as queue:
        for number in range(1, 4):
            queue.commit([job(number, bytes(200))], [])
        path = segments(folder)[which]
        path.unlink()

        def commit_more() -> None:
            for number in range(4, 10):
                queue.commit([job(number)], [])

        with pytest.raises(QueueError, match=f"{path.name} was deleted"):
            commit_more()


def test_commits_fail_once_the_last_segment_is_cut(folder: Path) -> None:
    with opened(folder) as queue:
        queue.commit(JOBS, [])
        (path,) = segments(folder)
        os.truncate(path, path.stat().st_size - 1)
        assert f"{path.name} was deleted, replaced or cut" in refused(queue)


def test_folder_that_cannot_be_locked_has_a_file_that_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def flock(fd: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EBADF, "as by NFS")
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with opened(folder), pytest.raises(StartupError, match="in use by another server"):
        Queue(folder=str(folder))


# Compaction


@pytest.mark.usefixtures("without_waiting")
def test_disk_is_given_back(folder: Path) -> None:
    with opened(folder, segment_size=10_000) as queue:
        queue.commit([job(1)], [])
        for number in range(2, 2000):
            queue.commit([job(number, b"x" * 100)], [number - 1] if number > 2 else [])
            assert size(folder) < 31_000
    assert numbers(folder) == [1, 1999]


def test_one_commit_moves_a_bounded_part_only(folder: Path) -> None:
    """One old job in each thousand stays live, among dead ones."""
    batch = 1000
    with opened(folder, segment_size=1_000_000) as queue:
        last: list[int] = []
        for start in range(1, 40 * batch, batch):
            jobs = [job(start + each, b"x" * 100) for each in range(batch)]
            before = size(folder)
            queue.commit(jobs, last)
            # The added and removed bytes, and less than a tenth of them in addition.
            assert size(folder) - before < batch * 195
            last = [each.number for each in jobs[1:]]
    assert len(numbers(folder)) == 40 + batch - 1


def test_jobs_that_cannot_be_moved_keep_their_segment(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(folder, segment_size=1000) as queue:
        queue.commit([job(1), job(2)], [])
        queue.commit([job(3, b"x" * 3000)], [])
        path = segments(folder)[0]
        damage(path, b"H:host:2")
        for number in range(4, 20):
            queue.commit([job(number, b"x" * 3000)], [number - 1])
        assert path.exists()
        # Its loss is known, and nothing else prevents the deletion.
        queue.commit([], [2])
    kept = [each for each in content(folder) if isinstance(each, StoredJob)]
    assert [each.number for each in kept] == [1, 19]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Disable the plugin's warnings."""
    logger = logging.getLogger("gearman.queues")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)
