"""The last events of jobs, in the file of the history."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gearman.monitor.history import trail
from gearman.monitor.history.file import MEMORY, File
from gearman.monitor.history.trail import LONGEST, Trail

A = "a:4730"


@pytest.fixture
def found() -> Iterator[Trail]:
    database = sqlite3.connect(":memory:")
    yield Trail(database)
    database.close()


def event(time: float, name: str = "started", **keys: Any) -> dict[str, Any]:
    return {"time": time, "event": name, "handle": "H:a:1", "server": A, **keys}


def test_events_of_a_job_are_kept_newest_first(found: Trail) -> None:
    found.write([event(1, "submitted"), event(3, "completed", ran=1.5), event(2)])
    assert found.of(A, b"H:a:1") == [
        event(3, "completed", ran=1.5),
        event(2),
        event(1, "submitted"),
    ]


def test_other_jobs_and_servers_have_events_of_their_own(found: Trail) -> None:
    found.write([event(1), event(2, handle="H:a:2"), event(3, server="b:4730")])
    assert found.of(A, b"H:a:2") == [event(2, handle="H:a:2")]
    assert found.of("b:4730", b"H:a:1") == [event(3, server="b:4730")]
    assert found.of(A, b"H:a:3") == []


def test_event_that_several_pages_see_is_kept_once(found: Trail) -> None:
    found.write([event(1), event(1, "completed")])
    found.write([event(1)])
    assert len(found.of(A, b"H:a:1")) == 2


def test_handle_may_be_any_bytes(found: Trail) -> None:
    found.write([event(1, handle={"base64": "/wA="})])
    assert len(found.of(A, b"\xff\x00")) == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        {"event": "worker_came", "time": 1, "server": A},
        event(1, handle=7),
        event(1, handle={"base64": "!"}),
        {**event(1), "time": "now"},
        event(1, reason="x" * LONGEST),
    ],
)
def test_what_is_no_event_of_a_job_is_left_out(
    found: Trail, nonsense: dict[str, Any]
) -> None:
    found.write([nonsense, event(2)])
    assert found.of(A, b"H:a:1") == [event(2)]


def test_oldest_events_are_dropped(
    found: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "MOST_EVENTS", 2)
    found.write(event(time) for time in range(5))
    found.tidy()
    assert [each["time"] for each in found.of(A, b"H:a:1")] == [4, 3]


def test_file_of_before_gets_the_table(tmp_path: Path) -> None:
    path = str(tmp_path / "history.db")
    first = File(path)
    first.database.execute("DROP TABLE event")
    first.close()
    second = File(path)
    second.trail.write([event(1)])
    second.tidy(0)
    assert second.trail.of(A, b"H:a:1") == [event(1)]


def test_events_of_a_full_table_take_less_than_8_mb() -> None:
    file = File(MEMORY)
    before = file.size()
    worker = {"descriptor": 12, "address": "10.0.0.1:45678", "id": "worker-7"}
    file.trail.write(
        event(
            1.7e9 + number / 7,
            handle=f"H:jobs.example:{number}",
            function="mail.send",
            unique=f"{number:032x}",
            state="running",
            priority="normal",
            background=True,
            waited=0.001234,
            worker=worker,
        )
        for number in range(trail.MOST_EVENTS)
    )
    assert file.size() - before < 8 * 10**6
