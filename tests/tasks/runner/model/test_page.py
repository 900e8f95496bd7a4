"""The lines of the page of `--watch`."""

from dataclasses import replace

from gearman.tasks.runner.model.actions import RunningJob
from gearman.tasks.runner.model.page import Page, Row, duration

ROW = Row(
    number=7,
    pid=4711,
    state="serving",
    only="",
    age=75.5,
    memory=50 << 20,
    done=12,
    failed=0,
    jobs=(),
)


def line(row: Row) -> str:
    return Page("title").lines(100.0, [row], 200, 10)[1]


def test_idle_process_has_a_line() -> None:
    assert line(ROW) == "[7]      4711 serving      1:15    50 MiB 12 jobs"


def test_line_tells_what_is_special() -> None:
    row = replace(ROW, only="resize", failed=3)
    assert line(row).endswith("12 jobs (3 failed) for resize")


def test_line_shows_the_oldest_job() -> None:
    jobs = [RunningJob("resize", "H:x:2", 99.0), RunningJob("mail", "H:x:1", 90.0)]
    assert line(replace(ROW, jobs=jobs)).endswith(" mail H:x:1 10.0 s and 1 more")


def test_bar_shows_how_much_of_the_time_is_over() -> None:
    job = RunningJob("resize", "H:x:2", 97.0, timeout=10.0)
    assert line(replace(ROW, jobs=[job])).endswith(
        "[###-------] resize H:x:2 3.0 s of 10 s"
    )


def test_bar_is_full_when_the_time_is_over() -> None:
    job = RunningJob("resize", "H:x:2", 0.0, timeout=10.0)
    assert "[##########]" in line(replace(ROW, jobs=[job]))


def test_bar_shows_the_progress_that_the_job_tells() -> None:
    job = RunningJob("resize", "H:x:2", 97.0, timeout=10.0, progress=0.95)
    assert "[#########-] resize" in line(replace(ROW, jobs=[job]))


def test_head_counts_the_jobs_of_all_processes() -> None:
    page = Page("title")
    (head,) = page.lines(100.0, [], 80, 10)
    assert head == "title  0 processes, 0 jobs, 0 failed"
    page.add(8, 1)
    head, _ = page.lines(102.0, [replace(ROW, failed=2)], 80, 10)
    assert head == "title  1 processes, 20 jobs, 3 failed, 10/s"
    head, _ = page.lines(102.0, [ROW], 80, 10)
    assert head == "title  1 processes, 20 jobs, 1 failed"


def test_page_fits_into_the_terminal() -> None:
    lines = Page("title").lines(100.0, [ROW] * 9, 20, 5)
    assert [len(each) for each in lines] == [19, 19, 19, 19, 14]
    assert lines[-1] == "... and 6 more"


def test_durations_have_hours_if_need_be() -> None:
    assert [duration(each) for each in (5.9, 65, 3600, 90061)] == [
        *("0:05", "1:05", "1:00:00", "25:01:01"),
    ]
