"""Lists in columns and as records."""

from gearman.cli.tables import (
    DEAD,
    JOBS,
    RECORDS,
    SCHEDULES,
    STATUS,
    UNIQUES,
    WORKERS,
    aligned,
)


def test_columns_are_aligned_and_numbers_to_the_right() -> None:
    assert aligned(STATUS, ["f\t1\t0\t12", "longer name\t100\t2\t0"]) == [
        "Function     Total  Running  Workers",
        "f                1        0       12",
        "longer name    100        2        0",
    ]


def test_an_empty_list_has_its_heading() -> None:
    assert aligned(JOBS, []) == ["Handle  Retries  Ignored  Queued"]


def test_an_id_with_spaces_is_one_column() -> None:
    lines = ["7 127.0.0.1 my worker : f g", "8 ::1 - :"]
    assert aligned(WORKERS, lines) == [
        "Descriptor  Address    Id         Functions",
        "7           127.0.0.1  my worker  f g",
        "8           ::1        -",
    ]


def test_a_line_that_is_short_of_columns_is_shown() -> None:
    assert aligned(STATUS, ["odd"])[1] == "odd"
    assert STATUS.record("odd") == {"function": "odd"}


def test_numbers_are_numbers_in_records() -> None:
    assert STATUS.record("12\t1\t0\tx") == {
        "function": "12",
        "total": 1,
        "running": 0,
        "workers": "x",
    }


def test_a_worker_s_functions_are_a_list_in_its_record() -> None:
    assert WORKERS.record("7 127.0.0.1 my worker : f g") == {
        "descriptor": 7,
        "address": "127.0.0.1",
        "id": "my worker",
        "functions": ["f", "g"],
    }
    assert WORKERS.record("8 ::1 - :")["functions"] == []


def test_uniques_are_records_of_one_field() -> None:
    assert UNIQUES.record("a\tb") == {"unique": "a\tb"}


def test_texts_are_left_aligned_and_stay_texts() -> None:
    line = "H:h:1\t12\t3\t1700000000\t5"
    assert aligned(DEAD, [line]) == [
        "Handle  Function  Attempts        Died  Reason",
        "H:h:1   12               3  1700000000  5",
    ]
    assert DEAD.record(line) == {
        "handle": "H:h:1",
        "function": "12",
        "attempts": 3,
        "died": 1700000000,
        "reason": "5",
    }


def test_objects_are_shown_as_they_are() -> None:
    assert aligned(RECORDS, ['{"a": 1}']) == ['{"a": 1}']
    assert RECORDS.record('{"a": 1}') == {"a": 1}


def test_schedules_have_a_cron_with_spaces() -> None:
    line = "nightly\t30 3 * * *\treport\t1700000000\t-\t0\tfile\t-"
    assert aligned(SCHEDULES, [line]) == [
        "Schedule  Cron        Function        Next  Last  Paused  Source  Owner",
        "nightly   30 3 * * *  report    1700000000     -       0  file    -",
    ]
    assert SCHEDULES.record(line) == {
        "schedule": "nightly",
        "cron": "30 3 * * *",
        "function": "report",
        "next": 1700000000,
        "last": "-",
        "paused": 0,
        "source": "file",
        "owner": "-",
    }
