"""The text of the progress line."""

from gearman.cli.progress import bar


def test_it_shows_part_rate_and_what_is_left() -> None:
    line = bar(0.25, 500, 0, 2.0, 80)
    assert line.endswith("]  25%  500 jobs, 250/s, 0:06 left")
    assert line.startswith("[##########-")
    assert len(line) < 80


def test_failed_jobs_are_counted() -> None:
    assert " 10 jobs, 3 failed, " in bar(0.5, 10, 3, 1.0, 80)


def test_nothing_done_yet_is_no_error() -> None:
    assert bar(0.0, 0, 0, 0.0, 80).endswith("]   0%  0 jobs")


def test_long_waits_are_shown_in_hours() -> None:
    assert bar(0.5, 1, 0, 3723.0, 80).endswith("1:02:03 left")


def test_it_never_fills_the_line() -> None:
    for columns in range(1, 120):
        assert len(bar(0.5, 10, 1, 1.0, columns)) < columns
