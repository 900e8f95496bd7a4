"""C gearmand with the same file, before and after the queue plugin sqlite."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gearman.queue import HIGH, LOW, NORMAL, StoredJob
from tests.interop.programs import c_tool, run
from tests.queues.sqlite_files import content, fill, job, opened
from tests.servers import Server, gearmand
from tests.wire import Peer

pytestmark = pytest.mark.interop

FUTURE = 4_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@contextmanager
def on_file(path: Path, *options: str) -> Iterator[Server]:
    """Run gearmand with a file, and kill it at the end."""
    with gearmand("-q", "libsqlite3", "--libsqlite3-db", str(path), *options) as server:
        yield server
        server.process.kill()


def submit(server: Server, kind: str, *arguments: bytes) -> None:
    with Peer(server.port) as client:
        assert client.request(kind, *arguments).name == "JOB_CREATED"


def found(path: Path, **options) -> list[StoredJob]:
    """Return the stored jobs without their numbers; all must be readable."""
    jobs = content(path, **options)
    assert all(isinstance(one, StoredJob) for one in jobs)
    return [one._replace(number=1) for one in jobs if isinstance(one, StoredJob)]


@pytest.mark.parametrize("format", ["native", "gearmand"])
def test_what_gearmand_has_stored_is_taken_over(path: Path, format: str) -> None:
    background = ("-b", "-f", "it's")
    with on_file(path) as server:
        tool = c_tool("gearman", server, *background)
        run(*tool, "-u", 'qu"ote', stdin="a\0b\n")
        run(*tool, "-u", "high", "-I", "work")
        run(*tool, "-u", "low", "-L", "work")
        submit(server, "SUBMIT_JOB_BG", b"f", b"", b"no unique")
        submit(server, "SUBMIT_JOB_BG", b"f", b"-", b"dash")
        submit(server, "SUBMIT_JOB_BG", b"f", b"nothing", b"")
        submit(server, "SUBMIT_JOB_BG", b"\xff\xfe", b"\x80\x01", bytes(range(256)))
        submit(server, "SUBMIT_JOB_EPOCH", b"f", b"epoch", b"%d" % FUTURE, b"later")
    assert found(path, format=format) == [
        StoredJob(1, b"", b"it's", b'qu"ote', b"a\0b\n"),
        StoredJob(1, b"", b"it's", b"high", b"work", HIGH),
        StoredJob(1, b"", b"it's", b"low", b"work", LOW),
        StoredJob(1, b"", b"f", b"", b"no unique"),
        StoredJob(1, b"", b"f", b"-", b"dash"),
        StoredJob(1, b"", b"f", b"nothing", b""),
        StoredJob(1, b"", b"\xff\xfe", b"\x80\x01", bytes(range(256))),
        StoredJob(1, b"", b"f", b"epoch", b"later", NORMAL, FUTURE),
    ]


def test_another_table_of_gearmand_is_taken_over(path: Path) -> None:
    with on_file(path, "--libsqlite3-table", "mine") as server:
        submit(server, "SUBMIT_JOB_BG", b"f", b"u", b"w")
    assert found(path) == []
    assert found(path, table="mine") == [StoredJob(1, b"", b"f", b"u", b"w")]


JOBS = [
    job(1, workload=b""),
    job(2, workload=bytes(range(256))),
    job(3, unique=b"", workload=b"first without"),
    job(4, unique=b"", workload=b"second without"),
    job(5, unique=b"-", workload=b"first dash"),
    job(6, unique=b"-", workload=b"second dash"),
    job(7, unique=b"same", workload=b"first of the same"),
    job(8, unique=b"same", workload=b"second of the same"),
    job(9, unique=b"x" * 64, workload=b"first long"),
    job(10, unique=b"x" * 63 + b"y", workload=b"second long"),
    job(11, unique=b"';--", workload=b"quotes"),
    job(12, unique=b"\xff", workload=b"no UTF-8"),
    job(13, workload=b"high", priority=HIGH),
    job(14, workload=b"low", priority=LOW),
    job(15, workload=b"due", when=1_000_000_000),
    job(16, workload=b"retried", retries=3),
    job(17, workload=b"reduced", reducer=b"sum"),
    job(18, workload=b"no handle", handle=b""),
    job(19, function=b"f" * 600, workload=b"long function"),
]


def work_off(server: Server) -> list[bytes]:
    """Take and finish all jobs that can run, and return their workloads."""
    workloads = []
    with Peer(server.port) as worker:
        for function in {job.function for job in JOBS}:
            worker.send("CAN_DO", function)
        while (answer := worker.request("GRAB_JOB")).name == "JOB_ASSIGN":
            handle, _, workload = answer.body.split(b"\0", 2)
            worker.send("WORK_COMPLETE", handle, b"")
            workloads.append(workload)
        worker.fence()
    return workloads


@pytest.mark.parametrize("crash", [False, True], ids=["closed", "crashed"])
@pytest.mark.parametrize("first", ["native", "gearmand"])
def test_gearmand_goes_on_with_all_jobs(path: Path, first: str, crash: bool) -> None:
    fill(path, *JOBS, format=first)
    queue = opened(path, format="gearmand")
    queue.commit([job(20, workload=b"last")], [])
    left = copy_of(path) if crash else path
    queue.close()
    with on_file(left) as server:
        workloads = work_off(server)
    assert sorted(workloads) == sorted([*(job.workload for job in JOBS), b"last"])
    assert content(left, format="gearmand") == []


def copy_of(path: Path) -> Path:
    """Return a copy of the file with its log, as after a crash."""
    folder = path.with_name("copy")
    folder.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        (folder / name).write_bytes(path.with_name(name).read_bytes())
    return folder / path.name


def test_gearmand_holds_back_what_is_not_due(path: Path) -> None:
    later = job(1, when=FUTURE)
    fill(path, later, job(2, workload=b"now"), format="gearmand")
    with on_file(path) as server:
        assert work_off(server) == [b"now"]
    assert content(path, format="gearmand") == [later]


def test_jobs_go_there_and_back(path: Path) -> None:
    fill(path, *JOBS)
    fill(path, format="gearmand")
    with on_file(path) as server:
        submit(server, "SUBMIT_JOB_BG", b"f", b"from gearmand", b"")
    jobs = found(path)
    assert [one.workload for one in jobs] == [*(job.workload for job in JOBS), b""]
    assert [one.unique for one in jobs[:-1]] == [job.unique for job in JOBS]
    assert [one.reducer for one in jobs[:-1]] == [job.reducer for job in JOBS]
