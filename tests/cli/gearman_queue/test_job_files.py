"""Files of exported jobs: they are complete, or not written."""

import os
import threading
from pathlib import Path

import pytest

from gearman.cli.gearman_queue.job_files import read, replaced, size, source
from gearman.cli.gearman_queue.job_lines import encode
from gearman.errors import ConfigurationError
from gearman.queue import StoredJob

JOB = StoredJob(7, b"H:host:7", b"f", b"u", b"w")


def test_file_is_replaced_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_text("old")
    with replaced(str(path)) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["backup"]


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_text("old")
    failing = replaced(str(path))
    failing.__enter__().write(b"new")
    assert not failing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["backup"]


def test_link_stays_and_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with replaced(str(tmp_path / "link")) as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_pipe_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    with replaced(str(path)) as file:
        file.write(b"new")
    reader.join()
    assert got == [b"new"]
    assert path.is_fifo()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/backup", "No such file or directory"), (".", "Is a directory")],
)
def test_place_that_cannot_be_written_is_named(
    tmp_path: Path, name: str, reason: str
) -> None:
    path = (tmp_path / name).resolve()
    with pytest.raises(ConfigurationError) as error, replaced(str(path)):
        pass
    assert str(error.value) == f"{path} cannot be written: {reason}"


def test_full_disk_is_named() -> None:
    with pytest.raises(ConfigurationError) as error, replaced("/dev/full") as file:
        file.write(b"new")
    assert str(error.value) == "/dev/full cannot be written: No space left on device"


def test_what_is_written_is_read_and_empty_lines_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_text(f"\n{encode(JOB)}\n \r\n{encode(JOB)}")
    with source(str(path)) as file:
        assert list(read(file)) == [JOB, JOB]
        assert size(file) == path.stat().st_size


def test_line_that_is_no_job_is_named(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_text(f"{encode(JOB)}\n\n[]\n")
    with source(str(path)) as file:
        jobs = read(file)
        assert next(jobs) == JOB
        with pytest.raises(ConfigurationError) as error:
            next(jobs)
    assert str(error.value).startswith("line 3 of the file is not a job: it is not a")


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name, reason in ("x", "No such file or directory"), (".", "Is a directory"):
        path = str(tmp_path / name)
        with pytest.raises(ConfigurationError) as error, source(path):
            pass
        assert str(error.value) == f"{path} cannot be read: {reason}"


def test_pipe_has_no_size() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with open(reader, "rb") as file:
        assert size(file) is None
