"""Jobs as tables."""

import os
import time
from collections.abc import Iterator

import pytest

from gearman.cli.gearman_queue.job_tables import (
    Counts,
    aligned,
    records,
    tabbed,
)
from gearman.queue import HIGH, LOW, StoredJob

ONE = StoredJob(7, b"H:a:7", b"resize", b"u1", b"12345", HIGH, 0, 2, extra=b"\0x")
PLAIN = ONE._replace(extra=b"submitted=1")
TWO = StoredJob(1_700_000_000_000_000, b"", b"mail", b"", b"", LOW, 1_700_000_000)
NAUGHTY = StoredJob(8, b"", b"a\tb\n\x1b", b"\xff\x00"[:1], b"")


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    if before is None:
        monkeypatch.delenv("TZ")
    else:
        monkeypatch.setenv("TZ", before)
    time.tzset()


def test_programs_get_tabs_and_seconds() -> None:
    assert list(tabbed([ONE, TWO])) == [
        "7\tH:a:7\tresize\tu1\thigh\t0\t2\t5\t2\tunknown",
        "1700000000000000\t\tmail\t\tlow\t1700000000\t0\t0\t0\twaiting",
    ]


@pytest.mark.usefixtures("utc")
def test_people_get_columns_and_times() -> None:
    assert list(aligned([ONE, TWO])) == [
        "          Number  Handle  Function  Unique  Priority  When"
        "                 Retries  Bytes  Extra bytes  Kind",
        "               7  H:a:7   resize    u1      high      -"
        "                          2      5            2  unknown",
        "1700000000000000          mail              low       2023-11-14 22:13:20"
        "        0      0            0  waiting",
    ]


def test_columns_become_wider_from_page_to_page() -> None:
    jobs = [ONE] * 1000 + [TWO._replace(handle=b"H:long:1")] * 1001
    lines = list(aligned(jobs))
    assert len(lines) == 2002
    assert len({len(line) for line in lines[1:1001]}) == 1
    assert len({len(line) for line in lines[1001:]}) == 1


def test_time_beyond_all_calendars_is_a_number() -> None:
    assert str(2**63 - 1) in list(aligned([ONE._replace(when=2**63 - 1)]))[1]


def test_no_name_makes_up_a_column_or_a_line() -> None:
    (line,) = tabbed([NAUGHTY])
    assert line.split("\t")[2:4] == [r"a\x09b\x0a\x1b", "\udcff"]
    assert len(list(aligned([NAUGHTY]))[1].splitlines()) == 1


def test_records_tell_the_bytes_instead_of_workload_and_extra() -> None:
    assert list(records([NAUGHTY])) == [
        {
            "number": 8,
            "handle": "",
            "function": "a\tb\n\x1b",
            "unique": {"base64": "/w=="},
            "priority": "normal",
            "when": 0,
            "retries": 0,
            "bytes": 0,
            "extra_bytes": 0,
            "kind": "waiting",
        }
    ]


class TestCounts:
    JOBS = (PLAIN, TWO, PLAIN, TWO._replace(when=1_700_000_001), NAUGHTY)
    OTHERS = (
        ONE._replace(extra=b"kind=dead&died=1"),
        ONE._replace(extra=b"kind=result&state=done&expires=9"),
        ONE._replace(extra=b"kind=setting&what=policy"),
        ONE._replace(extra=b"kind=setting&what=schedule&last=0"),
        ONE._replace(extra=b"kind=other"),
    )

    def test_functions_are_counted_and_the_last_line_is_all(self) -> None:
        assert list(Counts(self.JOBS, 1_700_000_000).tabbed()) == [
            "a\\x09b\\x0a\\x1b\t1\t0\t1\t0\t0\t0\t0\t0\t0",
            "mail\t2\t0\t0\t2\t1\t0\t0\t0\t0",
            "resize\t2\t2\t0\t0\t0\t0\t0\t0\t0",
            "\t5\t2\t1\t2\t1\t0\t0\t0\t0",
        ]

    def test_only_jobs_that_wait_count_as_jobs(self) -> None:
        assert list(Counts(self.OTHERS, 0).tabbed()) == [
            "resize\t0\t0\t0\t0\t0\t1\t1\t2\t1",
            "\t0\t0\t0\t0\t0\t1\t1\t2\t1",
        ]

    def test_job_that_waits_for_its_next_attempt_is_scheduled(self) -> None:
        job = ONE._replace(extra=b"submitted=1&due=100.5&attempts=1")
        assert list(Counts([job], 100)._rows())[0][1][4] == 1
        assert list(Counts([job], 101)._rows())[0][1][4] == 0

    def test_people_get_a_heading(self) -> None:
        assert Counts([PLAIN], 0).aligned() == [
            "Function  Jobs  High  Normal  Low  Scheduled  Dead  Results  Settings"
            "  Unknown",
            "resize       1     1       0    0          0     0        0         0"
            "        0",
            "(all)        1     1       0    0          0     0        0         0"
            "        0",
        ]

    def test_record_of_all_has_no_function(self) -> None:
        jobs = {"jobs": 1, "high": 1, "normal": 0, "low": 0, "scheduled": 0}
        counts = jobs | {"dead": 0, "results": 0, "settings": 0, "unknown": 0}
        assert list(Counts([PLAIN], 0).records()) == [
            {"function": "resize", **counts},
            counts,
        ]

    def test_empty_store_has_no_jobs(self) -> None:
        assert list(Counts([], 0).tabbed()) == ["\t0" * 9]
