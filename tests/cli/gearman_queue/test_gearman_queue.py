"""`gearman-queue` as a process, with the stores of servers."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gearman.queue import HIGH, LOW, StoredJob
from tests import servers
from tests.cli.tools import Outcome, Terminal, our_tool, outcome
from tests.queues.backend import Arguments, Backend, Store
from tests.queues.backends import BACKENDS, marked
from tests.queues.sqlite_files import content, fill, opened, sql
from tests.servers import DEADLINE
from tests.wire import Peer

NOW = 1_700_000_000_000_000
ALL_BYTES = bytes(range(256))
JOBS = (
    StoredJob(NOW, b"H:a:%d" % NOW, b"resize", b"u", ALL_BYTES, HIGH, 0, 2, b"sum"),
    StoredJob(
        NOW + 1, b"", b"mail", b"\xff-", b"", LOW, 1_700_000_000, extra=b"submitted=1"
    ),
    StoredJob(NOW + 2, b"H:a:%d" % (NOW + 2), b"mail", b"", "ä".encode()),
)


def command(operation: str, *words: str | Path, path: Path | None = None) -> list[str]:
    return our_tool("gearman_queue", None, operation, *map(str, words), path=path)


def tool(
    operation: str, *words: str | Path, stdin: bytes = b"", path: Path | None = None
) -> Outcome:
    return outcome(command(operation, *words, path=path), stdin)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An SQLite file with jobs."""
    path = tmp_path / "jobs.db"
    fill(path, *JOBS)
    return path


def sqlite(path: Path) -> tuple[str, ...]:
    return "-q", "sqlite", "--sqlite-db", str(path)


def to_sqlite(path: Path) -> tuple[str, ...]:
    return "--to", "sqlite", "--to-sqlite-db", str(path)


def failed(said: Outcome) -> str:
    """Return the error message of a tool."""
    assert said.status == 1
    assert said.err.count("\n") == 1
    assert said.err.startswith("gearman-queue: ")
    return said.err.removeprefix("gearman-queue: ").rstrip()


def test_list_has_a_line_for_each_job(path: Path) -> None:
    said = tool("list", *sqlite(path))
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        b"%d\tH:a:%d\tresize\tu\thigh\t0\t2\t256\t0\twaiting" % (NOW, NOW),
        b"%d\t\tmail\t\xff-\tlow\t1700000000\t0\t0\t11\twaiting" % (NOW + 1),
        b"%d\tH:a:%d\tmail\t\tnormal\t0\t0\t2\t0\twaiting" % (NOW + 2, NOW + 2),
    ]


def test_list_can_be_of_one_function(path: Path) -> None:
    said = tool("list", *sqlite(path), "--function", "mail", "--json")
    jobs = [json.loads(line) for line in said.out.splitlines()]
    assert [job["number"] for job in jobs] == [NOW + 1, NOW + 2]
    assert jobs[0]["unique"] == {"base64": "/y0="}
    assert [job["bytes"] for job in jobs] == [0, 2]


def test_lists_on_a_terminal_have_headings_and_columns(path: Path) -> None:
    # The bytes themselves, which a terminal of this test could not show.
    sql(path, "UPDATE gearman_queue_records SET \"unique\" = x'61'")
    with Terminal(command("list", *sqlite(path))) as shown:
        heading, *lines = shown.rest().splitlines()
    assert heading.split()[:2] == ["Number", "Handle"]
    assert len({line.index("H:a:") for line in (lines[0], lines[2])}) == 1
    with Terminal(command("count", *sqlite(path))) as shown:
        assert [line.split()[:6] for line in shown.rest().splitlines()] == [
            ["Function", "Jobs", "High", "Normal", "Low", "Scheduled"],
            ["mail", "2", "0", "1", "1", "0"],
            ["resize", "1", "1", "0", "0", "0"],
            ["(all)", "3", "1", "1", "1", "0"],
        ]


def test_count_is_by_function_and_priority_and_in_all(path: Path) -> None:
    fill(path, StoredJob(NOW + 3, b"", b"mail", b"", b"", LOW, 2**40))
    said = tool("count", *sqlite(path))
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        b"mail\t3\t0\t1\t2\t1" + b"\t0" * 4,
        b"resize\t1\t1\t0\t0\t0" + b"\t0" * 4,
        b"\t4\t1\t1\t2\t1" + b"\t0" * 4,
    ]
    last = tool("count", *sqlite(path), "--json").out.splitlines()[-1]
    assert json.loads(last)["scheduled"] == 1


def test_nothing_is_changed_by_looking(path: Path) -> None:
    before = path.read_bytes()
    for operation in "list", "count", "export":
        assert tool(operation, *sqlite(path)).status == 0
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_export_and_import_bring_every_field_of_every_job(path: Path) -> None:
    backup = path.with_suffix(".jsonl")
    assert tool("export", *sqlite(path), backup) == Outcome(0, b"", "")
    assert backup.read_bytes() == tool("export", *sqlite(path)).out
    other = path.with_name("other.db")
    said = tool("import", *sqlite(other), backup)
    assert said == Outcome(0, b"3 jobs added; 0 were there already\n", "")
    assert content(other) == content(path) == [*JOBS]


def test_importing_again_does_no_harm(path: Path) -> None:
    lines = tool("export", *sqlite(path)).out
    said = tool("import", *sqlite(path), stdin=lines)
    assert said == Outcome(0, b"0 jobs added; 3 were there already\n", "")
    assert content(path) == [*JOBS]


def test_job_whose_number_is_taken_gets_another(path: Path) -> None:
    other = path.with_name("other.db")
    fill(other, JOBS[0]._replace(workload=b"else"))
    said = tool("copy", *sqlite(path), *to_sqlite(other))
    assert said.out == (
        b"3 jobs added, 1 of them under another number; 0 were there already\n"
    )
    said = tool("copy", *sqlite(path), *to_sqlite(other))
    assert said.out == b"0 jobs added; 3 were there already\n"
    assert len(content(other)) == 4
    assert content(path) == [*JOBS]


def test_copy_can_be_of_one_function(path: Path) -> None:
    other = path.with_name("other.db")
    tool("copy", *sqlite(path), *to_sqlite(other), "--function", "mail")
    assert content(other) == [*JOBS[1:]]


def test_copy_brings_many_jobs_and_shows_how_far_it_is(path: Path) -> None:
    jobs = [JOBS[2]._replace(number=n, handle=b"") for n in range(1, 3001)]
    fill(path, *jobs)
    other = path.with_name("other.db")
    with Terminal(command("copy", *sqlite(path), *to_sqlite(other))) as shown:
        shown.until(r"\[#*-*\] +\d+%  \d+ jobs")
        assert "3003 jobs added; 0 were there already" in shown.rest()
    assert len(content(other)) == 3003


def test_import_shows_how_far_it_is(path: Path) -> None:
    backup = path.with_suffix(".jsonl")
    with Terminal(command("export", *sqlite(path), backup)) as shown:
        assert re.search(r"\[-*\]   0%  0 jobs", shown.rest())
    with Terminal(command("import", *sqlite(path), backup)) as shown:
        assert re.search(r"\[#*-*\] +\d+%  0 jobs", shown.rest())


# -- errors


def test_what_cannot_be_read_is_told_and_counts(path: Path) -> None:
    sql(path, f"UPDATE gearman_queue_records SET priority = 9 WHERE number = {NOW + 1}")
    other = path.with_name("other.db")
    for said in (
        tool("list", *sqlite(path)),
        tool("export", *sqlite(path), path.with_suffix(".jsonl")),
        tool("copy", *sqlite(path), *to_sqlite(other)),
    ):
        assert failed(said) == (
            f"stored job row {NOW + 1} of the table gearman_queue_records is left"
            " alone: its priority is 9"
        )
    assert content(other) == [JOBS[0], JOBS[2]]


def test_store_in_use_is_one_sentence(path: Path) -> None:
    with closing(opened(path)):
        sentence = failed(tool("list", *sqlite(path)))
    assert "another process uses it: end that one" in sentence


def test_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for operation in "list", "count", "export":
        sentence = failed(tool(operation, *sqlite(tmp_path / "x.db")))
        assert sentence.startswith(f"there is no {tmp_path}/x.db to read jobs from")
    assert os.listdir(tmp_path) == []


def test_store_is_not_copied_to_itself(path: Path) -> None:
    sentence = failed(tool("copy", *sqlite(path), *to_sqlite(path)))
    assert sentence == "a store cannot be copied to itself: name another one"


def test_wrong_option_is_one_sentence() -> None:
    assert failed(tool("list", "-q", "sqlite", "--bogus")) == (
        "unrecognized arguments: --bogus; gearman-queue --help lists the options"
    )


def test_missing_driver_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('no psycopg')")
    environment = f"PYTHONPATH={tmp_path}:{servers.package_environment()['PYTHONPATH']}"
    words = [w if "PYTHONPATH" not in w else environment for w in command("list")]
    said = outcome([*words, "-q", "postgres"])
    assert failed(said) == (
        "the queue plugin 'postgres' needs psycopg (no psycopg): install it by"
        " pip install 'gearman-py[postgres]'"
    )


def test_line_that_is_no_job_ends_the_import(path: Path) -> None:
    other = path.with_name("other.db")
    lines = tool("export", *sqlite(path)).out + b"oops\n"
    said = tool("import", *sqlite(other), stdin=lines)
    assert said.out == b"0 jobs added; 0 were there already\n"
    assert failed(said).startswith("line 4 of the file is not a job: it is not JSON")


def test_reader_that_left_is_status_141(path: Path) -> None:
    jobs = [JOBS[2]._replace(number=n, handle=b"") for n in range(1, 20_001)]
    fill(path, *jobs)
    for operation in "list", "export":
        said = subprocess.Popen(
            command(operation, *sqlite(path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert said.stdout
        said.stdout.readline()
        said.stdout.close()
        _, errors = said.communicate(timeout=DEADLINE)
        assert (said.returncode, errors) == (141, b"")


def test_full_disk_is_one_sentence(path: Path) -> None:
    assert failed(tool("export", *sqlite(path), "/dev/full")) == (
        "/dev/full cannot be written: No space left on device"
    )
    with open("/dev/full", "wb") as full:
        said = subprocess.run(
            command("export", *sqlite(path)),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
        )
    assert (said.returncode, said.stderr) == (
        1,
        b"gearman-queue: No space left on device\n",
    )


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_ctrl_c_tells_what_was_done(path: Path, number: int, status: int) -> None:
    lines = tool("export", *sqlite(path)).out
    other = path.with_name("other.db")
    process = subprocess.Popen(
        command("import", *sqlite(other)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    # More than a pipe can hold, so the tool is reading when it is written.
    process.stdin.write(lines + b"\n" * 300_000)
    process.stdin.flush()
    process.send_signal(number)
    out, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, errors) == (status, b"")
    assert out == b"0 jobs added; 0 were there already\n"
    assert content(other) == []


# -- servers and their stores

# Those that are other programs have mark.any_python.
LASTING = marked(name for name in BACKENDS if name != "memory")


@pytest.fixture(scope="module", params=LASTING)
def backend(
    request: pytest.FixtureRequest, backends: Callable[[str], Backend]
) -> Backend:
    return backends(request.param)


def words_of(backend: Backend, arguments: Arguments, prefix: str = "") -> list[str]:
    """Return the options of a store on a command line."""
    words = [f"--{prefix.rstrip('-')}" if prefix else "-q", backend.name]
    for option in backend.plugin.options:
        if option.keyword in arguments:
            value = arguments[option.keyword]
            words.append(f"--{prefix}{option.names[0]}={value}")
    return words


def submitted(words: list[str], jobs: int, path: Path | None) -> list[bytes]:
    """Let a server store jobs, kill it, and return their handles."""
    with servers.ours(*words, path=path) as server, Peer(server.port) as client:
        handles = []
        for number in range(jobs):
            client.send("SUBMIT_JOB_BG", b"f", b"u%d" % number, ALL_BYTES)
            handles += client.expect("JOB_CREATED")
        server.process.kill()
        server.process.wait(DEADLINE)
    return handles


def finished(words: list[str], jobs: int, path: Path | None) -> dict[bytes, bytes]:
    """Take jobs from a server, and return their workloads by their handles."""
    done = {}
    with servers.ours(*words, path=path) as server, Peer(server.port) as worker:
        worker.send("CAN_DO", b"f")
        for _ in range(jobs):
            worker.send("GRAB_JOB")
            handle, function, *workload = worker.expect("JOB_ASSIGN")
            assert function == b"f"
            done[handle] = b"\0".join(workload)
            worker.send("WORK_COMPLETE", handle, b"")
        worker.send("GRAB_JOB")
        worker.expect("NO_JOB")
    return done


def test_jobs_of_a_killed_server_go_to_another_by_a_file(
    store: Store,
) -> None:
    path = store.backend.package
    words = words_of(store.backend, store.arguments)
    handles = submitted(words, 5, path)
    listed = tool("list", *words, path=path)
    kept = "handle" not in store.backend.forgets
    if kept:
        assert re.findall(rb"^\d+\t(\S+)\tf\t", listed.out, re.M) == handles
    assert len(listed.out.splitlines()) == 5
    exported = tool("export", *words, path=path)
    assert (exported.status, exported.err) == (0, "")
    with store.backend.store() as other:
        others = words_of(other.backend, other.arguments)
        said = tool("import", *others, stdin=exported.out, path=path)
        assert said.out == b"5 jobs added; 0 were there already\n"
        done = finished(others, 5, path)
    assert list(done.values()) == [ALL_BYTES] * 5
    assert not kept or list(done) == handles


def test_jobs_are_copied_from_and_to_every_back_end(
    store: Store, tmp_path: Path
) -> None:
    path, back = tmp_path / "jobs.db", tmp_path / "back.db"
    package = store.backend.package
    fill(path, *JOBS)
    here = words_of(store.backend, store.arguments)
    there = words_of(store.backend, store.arguments, "to-")
    for added, present in (3, 0), (0, 3):
        said = tool("copy", *sqlite(path), *there, path=package)
        assert said == Outcome(
            0, b"%d jobs added; %d were there already\n" % (added, present), ""
        )
    said = tool("copy", *here, *to_sqlite(back), path=package)
    assert said == Outcome(0, b"3 jobs added; 0 were there already\n", "")
    assert content(back) == [store.backend.kept(job) for job in JOBS]
    assert content(path) == [*JOBS]


def test_store_of_a_running_server_is_in_use(store: Store) -> None:
    if not store.backend.exclusive:
        pytest.skip("it can't tell that the store is in use")
    path = store.backend.package
    words = words_of(store.backend, store.arguments)
    with servers.ours(*words, path=path):
        failed(tool("list", *words, path=path))
