"""The times of schedules, also when the clocks change."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from gearman.options import Schedule
from gearman.server.settings.cron import CronTimes

BERLIN = ZoneInfo("Europe/Berlin")
TIMES = CronTimes()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def shown(time: float) -> str:
    return datetime.fromtimestamp(time, BERLIN).isoformat(" ")


def schedule(cron: str) -> Schedule:
    return Schedule("s", cron, BERLIN, b"f")


def following(cron: str, start: str, count: int) -> list[str]:
    """Return the next times, without the seconds."""
    time, found = at(start), []
    for _ in range(count):
        time = TIMES.following(schedule(cron), time)
        found.append(shown(time).replace(":00+", "+"))
    return found


def test_clocks_that_go_forward_move_a_time_that_does_not_exist() -> None:
    assert following("30 2 * * *", "2026-03-28 12:00", 2) == [
        "2026-03-29 03:00+02:00",
        "2026-03-30 02:30+02:00",
    ]


def test_clocks_that_go_back_do_not_repeat_a_time() -> None:
    assert following("30 2 * * *", "2026-10-24 12:00", 2) == [
        "2026-10-25 02:30+02:00",
        "2026-10-26 02:30+01:00",
    ]


def test_every_hour_is_every_hour_when_the_clocks_change() -> None:
    for day in ("2026-03-29", "2026-10-25"):
        time, steps = at(f"{day} 00:00"), []
        for _ in range(5):
            after = TIMES.following(schedule("@hourly"), time)
            steps.append(after - time)
            time = after
        assert steps == [3600.0] * 5


@pytest.mark.parametrize(
    ("seconds", "day"), [(-1, 28), (0, 29), (0.5, 29), (59, 29), (61, 29)]
)
def test_time_before_includes_this_very_second(seconds: float, day: int) -> None:
    time = TIMES.preceding(schedule("30 3 * * *"), at("2026-11-29 03:30") + seconds)
    assert time == at(f"2026-11-{day} 03:30")
