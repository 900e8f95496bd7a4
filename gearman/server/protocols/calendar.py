"""When a job of SUBMIT_JOB_SCHED is to run.

The PROTOCOL gives it a minute (0 to 59), an hour (0 to 23), a day of the month (1 to
31), a month (1 to 12) and a day of the week (0 to 6, 0 is Monday). It does not say what
else: here an empty field, or "*", stands for all of its values, a minute must fit all
fields, and the job runs once, in the first such minute from now on, by the time zone of
the server.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime
from typing import Final

# Least and largest value of each field, in the order of the packet.
FIELDS: Final = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day of the month": (1, 31),
    "month": (1, 12),
    "day of the week": (0, 6),
}

# After so many years every day of a month has been every day of the week.
_YEARS = 41
_LONGEST_NUMBER = 2


def next_time(fields: tuple[bytes, ...], now: float) -> int:
    """Return the first minute that fits, in seconds since the epoch.

    If the minute of `now` fits, that is a time of the past. Raises ValueError, with a
    sentence, if a field is none, or there is no such day.
    """
    limits = zip(fields, FIELDS.items(), strict=True)
    minutes, hours, days, months, weekdays = (
        _values(text, name, least, most) for text, (name, (least, most)) in limits
    )
    first = int(now) - int(now) % 60
    today = date.fromtimestamp(first)
    for day in _days(today, days, months, weekdays):
        for hour in hours:
            for minute in minutes:
                moment = datetime(day.year, day.month, day.day, hour, minute)
                seconds = _seconds(moment, first)
                if seconds is not None:
                    return seconds
    raise ValueError("There is no such day of the month")


def _values(text: bytes, name: str, least: int, most: int) -> range:
    if text in (b"", b"*"):
        return range(least, most + 1)
    if text.isdigit() and len(text) <= _LONGEST_NUMBER and least <= int(text) <= most:
        return range(int(text), int(text) + 1)
    raise ValueError(f"The {name} is a number from {least} to {most}, or *")


def _days(first: date, days: range, months: range, weekdays: range) -> Iterator[date]:
    """Yield the days that fit, from the first one on."""
    for year in range(first.year, first.year + _YEARS):
        for month in months:
            if (year, month) >= (first.year, first.month):
                for day in _days_of(year, month, days):
                    if day >= first and day.weekday() in weekdays:
                        yield day


def _days_of(year: int, month: int, days: range) -> Iterator[date]:
    last = monthrange(year, month)[1]
    for number in days:
        if number <= last:
            yield date(year, month, number)


def _seconds(moment: datetime, first: int) -> int | None:
    """Return when a clock shows this, in seconds since the epoch, not before `first`.

    None if it does not: when summer begins the clocks leave out an hour. At its end
    they have one twice.
    """
    for fold in (0, 1):
        seconds = moment.replace(fold=fold).timestamp()
        if seconds >= first and datetime.fromtimestamp(seconds) == moment:
            return int(seconds)
    return None
