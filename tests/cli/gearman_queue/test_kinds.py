"""What records are, by the field that a server writes; and their way to a store."""

import json
from pathlib import Path

import pytest

from gearman.cli.gearman_queue.job_lines import decode
from gearman.cli.gearman_queue.kinds import kind, start
from gearman.queue import StoredJob
from tests import servers
from tests.cli.gearman_queue.test_gearman_queue import sqlite, to_sqlite, tool
from tests.cli.tools import gearadmin, gearman
from tests.queues.sqlite_files import fill
from tests.servers import Server

JOB = StoredJob(7, b"H:a:7", b"resize", b"", b"")

SCHEDULE = b"kind=setting&what=schedule&last=0.000000&paused=1"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (b"", "waiting"),
        (b"submitted=1.5&attempts=2", "waiting"),
        (b"submitted=1&kind=dead&died=2&reason=so", "dead"),
        (b"kind=result&state=done&expires=3", "result"),
        (b"kind=setting&what=policy", "policy"),
        (b"kind=setting&what=schedule&last=0&paused=1", "schedule"),
        (b"kind=setting&what=tomorrow", "unknown"),
        (b"kind=setting", "unknown"),
        (b"kind=tomorrow", "unknown"),
        (b"\0\xff", "unknown"),
    ],
)
def test_record_is_what_its_field_says(extra: bytes, expected: str) -> None:
    assert kind(JOB._replace(extra=extra)) == expected


@pytest.mark.parametrize(
    ("extra", "expected"),
    [(b"", 5), (b"due=4", 5), (b"due=6.5", 6.5), (b"due=x", 5), (b"?", 5)],
)
def test_job_starts_at_the_later_of_its_times(extra: bytes, expected: float) -> None:
    assert start(JOB._replace(when=5, extra=extra)) == expected


def fill_with_all_kinds(path: Path) -> str:
    """Have a server store records of each kind; return the handle of the result."""
    fill(path, StoredJob(7, b"", b"nightly", b"", b"", extra=SCHEDULE))
    with servers.ours(*sqlite(path)) as server:
        done(server, "--set-function", "mail", "dead=list", "keep=3600")
        said = gearman(server, "-b", "-v", "-f", "mail", "hello").out.decode()
        assert gearman(server, "-w", "-c", "1", "-f", "mail", "--", "cat").status == 0
        gearman(server, "-b", "-f", "mail", "bad")
        gearman(server, "-w", "-c", "1", "-f", "mail", "--", "false")
        gearman(server, "-b", "-f", "mail", "waits")
    return said.split()[-1]


def done(server: Server, *words: str) -> None:
    assert gearadmin(server, *words).out == b"OK\n"


def kinds(path: Path) -> list[str]:
    lines = tool("list", *sqlite(path), "--json").out.splitlines()
    return [json.loads(line)["kind"] for line in lines]


def test_dead_jobs_results_and_settings_move_to_another_store(tmp_path: Path) -> None:
    path, other = tmp_path / "a.db", tmp_path / "b.db"
    handle = fill_with_all_kinds(path)
    assert sorted(kinds(path)) == ["dead", "policy", "result", "schedule", "waiting"]
    jobs = map(decode, tool("export", *sqlite(path)).out.splitlines())
    (dead,) = [job for job in jobs if kind(job) == "dead"]
    # The number of the dead job is taken in the other store.
    fill(other, StoredJob(dead.number, b"", b"another", b"", b""))
    said = tool("copy", *sqlite(path), *to_sqlite(other))
    assert (
        said.out
        == b"5 jobs added, 1 of them under another number; 0 were there already\n"
    )
    with servers.ours(*sqlite(other)) as server:
        assert gearman(server, "--result", handle).out == b"hello"
        assert gearadmin(server, "--show-policies").out.startswith(
            b"mail\tkeep=3600&dead=list\n"
        )
        row, _ = gearadmin(server, "--show-dead").out.decode().splitlines()
        moved, function, attempts, *_ = row.split("\t")
        assert (function, attempts) == ("mail", "1")
        assert moved != dead.handle.decode()
        done(server, "--retry-job", moved)
        assert b"mail\t2\t0\t0\n" in gearadmin(server, "--status").out


def test_import_of_an_export_again_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    fill_with_all_kinds(path)
    lines = tool("export", *sqlite(path)).out
    said = tool("import", *sqlite(path), stdin=lines)
    assert said.out == b"0 jobs added; 5 were there already\n"
