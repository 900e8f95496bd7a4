"""The times of cron, by the library cronsim, which follows Debian's cron.

When the clocks go forward, a time that does not exist is passed over to the next that
does; when they go back, a time that comes twice counts once.
"""

from datetime import UTC, datetime
from math import inf
from types import ModuleType

from ...errors import ConfigurationError
from ...options import Schedule
from ...options.schedule import NAMED_TIMES
from ...text import shown


def check_cron(text: str) -> str:
    """Return a text in cron's form. Raises ConfigurationError if it is not one."""
    cronsim = _cronsim()
    fields = NAMED_TIMES.get(text, text)
    try:
        # With a sixth field, cronsim would take the first one for seconds.
        if len(fields.split()) != 5:
            raise cronsim.CronSimError("there are not five fields")
        cronsim.CronSim(fields, datetime.now(UTC))
    except (cronsim.CronSimError, ValueError) as error:
        raise ConfigurationError(
            "cron must be minute, hour, day of month, month and day of week, such as"
            f" '30 3 * * *', or one of {', '.join(NAMED_TIMES)}, not"
            f" '{shown(text.encode(errors='surrogateescape'))}' ({error})"
        ) from error
    return text


class CronTimes:
    """The times of schedules, in seconds since the epoch."""

    def following(self, schedule: Schedule, after: float) -> float:
        """Return the first time after this one; inf if there is none."""
        return _first(schedule, after, inf)

    def preceding(self, schedule: Schedule, until: float) -> float:
        """Return the last time up to this one; -inf if there is none."""
        # In reverse, cronsim returns times before the start, which is a whole minute.
        return _first(schedule, until - until % 60 + 60, -inf, reverse=True)


def _first(
    schedule: Schedule, start: float, nothing: float, *, reverse: bool = False
) -> float:
    begin = datetime.fromtimestamp(start, schedule.timezone)
    found = next(_cronsim().CronSim(schedule.fields, begin, reverse=reverse), None)
    return nothing if found is None else float(found.timestamp())


def _cronsim() -> ModuleType:
    try:
        import cronsim
    except ImportError as error:
        raise ConfigurationError(
            f"schedules need cronsim ({error}): install it by"
            " pip install 'gearman-py[cron]'"
        ) from error
    return cronsim
