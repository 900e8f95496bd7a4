"""Schedules: background jobs that the broker submits by itself at their times.

The time of the last run is stored after the job of that run, and this job names its
schedule and its time. So whatever was stored when a server ended, the next one knows
which run was the last.
"""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC
from math import inf
from typing import Protocol

from ....errors import ConfigurationError, OptionError
from ....options import JobOptions, Schedule
from ..constants import JOB_CREATED
from ..jobs import Jobs
from ..model import Peer, Record
from ..places import Places
from .records import SCHEDULE, SETTING, Fields, join

# A run that is so late (seconds) is not a missed one.
LATE = 60.0

# When a run was refused, it is tried again after so many seconds.
PAUSE = 5.0

# The time of a run that somebody asked for.
BY_HAND = -1.0

STOPPED = "the server is shutting down"
ELSEWHERE = "another server of the cluster runs the schedules: ask that one"

# So many schedules may be set while the server runs.
MOST_SET = 1000

NOT_FOUND = "schedule not found"
IN_FILE = "it is in the settings file"
TOO_MANY = "too many schedules are set: use 'unset schedule NAME'"

Submit = Callable[[Peer, bytes, bytes, bytes, JobOptions], None]


# Makes a schedule of its name and what a command says of it; raises ConfigurationError.
Read = Callable[[str, bytes], Schedule]


class Times(Protocol):
    """Knows the times of schedules, in seconds since the epoch."""

    def following(self, schedule: Schedule, after: float) -> float:
        """Return the first time after this one; inf if there is none."""
        ...

    def preceding(self, schedule: Schedule, until: float) -> float:
        """Return the last time up to this one; -inf if there is none."""
        ...


class Entry:
    """A schedule with its next and its last run, in seconds since the epoch.

    `last` is 0 if it never ran. `paused` is None if nobody has paused or resumed it.
    `number` is that of its record, 0 if it has none. A run `again` was refused. `told`
    is the last run that another server has told, which runs the schedules.
    """

    __slots__ = ("again", "last", "next", "number", "paused", "schedule", "told")

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.next = inf
        self.last = 0.0
        self.paused: bool | None = None
        self.number = 0
        self.again = 0.0
        self.told = 0.0

    def is_paused(self) -> bool:
        return self.schedule.paused if self.paused is None else self.paused


class Caller(Peer):
    """The client of one run: it gets the answer to the submission.

    `refusal` says why there is no job, as soon as that is known.
    """

    def __init__(self, schedules: "Schedules", entry: Entry, time: float) -> None:
        super().__init__("schedule")
        self.refusal = ""
        self._schedules = schedules
        self._entry = entry
        self._time = time

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        if command != JOB_CREATED:
            self.refusal = arguments[-1].decode(errors="replace")
            self._schedules.refused(self._entry, self._time, self.refusal)


class Schedules:
    """Submits the jobs of schedules.

    `first` is when to call `run_due`, in seconds since the epoch. `notices` has lines
    for the log. While it is `stopped`, nothing is submitted, nor if another server runs
    the schedules `elsewhere`. Those of the settings file are loaded; others are set
    while the server runs, and `read` understands them. With `persistent` the store
    keeps these, too.
    """

    def __init__(
        self, places: Places, jobs: Jobs, submit: Submit, persistent: bool
    ) -> None:
        self.first = inf
        self.stopped = self.elsewhere = False
        self.known: dict[str, Entry] = {}
        self.notices: list[str] = []
        self.read: Read = _not_here
        self._places = places
        self._jobs = jobs
        self._submit = submit
        self._persistent = persistent
        self._times: Times | None = None
        # Those of the file, and those that were set, with what was said of them.
        self._file: dict[str, Schedule] = {}
        self._set: dict[str, tuple[Schedule, bytes]] = {}
        # What was stored of schedules that are not there now.
        self._absent: dict[str, Entry] = {}

    def load(self, schedules: Iterable[Schedule], times: Times, wall: float) -> None:
        """Replace the schedules of the settings file.

        Those that stay keep their last run and their pause. They come before those that
        are set. `wall` is the time, in seconds since the epoch.
        """
        self._times = times
        self._file = {schedule.name: schedule for schedule in schedules}
        there, self.known = self.known, {}
        for name, schedule in self._file.items():
            self._put(schedule, there.pop(name, None), wall)
        for name, (schedule, _) in self._set.items():
            if name not in self._file:
                self._put(schedule, there.pop(name, None), wall)
        self._absent.update(there)
        self._set_first()

    def _put(self, schedule: Schedule, entry: Entry | None, wall: float) -> None:
        """Make a schedule known; `entry` is what was known by its name until now."""
        assert self._times is not None  # noqa: S101
        if entry is None:
            # It has missed nothing while it was not there.
            entry = self._absent.pop(schedule.name, None) or Entry(schedule)
            entry.again, entry.next = 0.0, inf
        changed = entry.schedule.cron != schedule.cron
        changed = changed or entry.schedule.timezone != schedule.timezone
        entry.schedule = schedule
        if changed or entry.next == inf:
            entry.next = self._times.following(schedule, wall)
        self.known[schedule.name] = entry
        self._places.steered = True

    def set(self, name: str, text: bytes, wall: float) -> str:
        """Set or replace a schedule; return why this is refused, or "".

        It keeps its last run, and whether it was paused. Raises ConfigurationError if
        the text is not that of a schedule.
        """
        if self.elsewhere:
            return ELSEWHERE
        schedule = self.read(name, text)
        before, known = self._set.get(name), self.known.get(name)
        if name in self._file:
            return IN_FILE
        if before is None and len(self._set) >= MOST_SET:
            return TOO_MANY
        if before is not None and before[0].owner != schedule.owner:
            owner = before[0].owner or "nobody"
            return f"{owner} has set it: use 'unset schedule NAME' before"
        if before is None or before[1] != text:
            self._set[name] = schedule, text
            self._put(schedule, known, wall)
            self._store(self.known[name])
            self._set_first()
        return ""

    def unset(self, name: str) -> str:
        """Forget a schedule that was set; return why this is refused, or ""."""
        if name not in self._set:
            return IN_FILE if name in self._file else NOT_FOUND
        del self._set[name]
        entry = self.known[name]
        if name in self._file:
            self._store(entry)
        else:
            del self.known[name]
            if entry.number:
                self._jobs.records.append(Record(entry.number, b""))
            self._set_first()
            self._tell(name)
        return ""

    def run_due(self, wall: float) -> None:
        """Submit the jobs whose time has come."""
        for entry in self.known.values():
            if entry.again and entry.again <= wall:
                self._run_again(entry, wall)
            if entry.next <= wall:
                self._run_next(entry, wall)
        self._set_first()

    def run(self, name: str) -> str:
        """Submit the job of a known schedule now; return why it was refused, or "".

        This does not count as a run at one of the schedule's times.
        """
        if self.stopped or self.elsewhere:
            return STOPPED if self.stopped else ELSEWHERE
        return str(self._call(self.known[name], BY_HAND))

    def pause(self, name: str, paused: bool, wall: float) -> bool:
        """Pause or resume a schedule. Returns False if there is none."""
        entry = self.known.get(name)
        if entry is None or self._times is None:
            return False
        entry.paused = paused
        entry.again = 0.0
        entry.next = self._times.following(entry.schedule, wall)
        self._store(entry)
        self._set_first()
        return True

    def refused(self, entry: Entry, time: float, reason: str) -> None:
        """Try a run again for which the server took no job, if it may be late."""
        schedule = entry.schedule
        text = f"schedule {schedule.name}: its job was refused: {reason}"
        self.notices.append(text)
        if schedule.catch_up > 0 and entry.last == time:
            entry.again = time + PAUSE
            self._set_first()

    def forget_numbers(self) -> None:
        """Leave the records in the store to another server."""
        for entry in (*self.known.values(), *self._absent.values()):
            entry.number = 0

    # -- the settings of a cluster

    def record_of(self, name: str) -> tuple[Fields, bytes]:
        """Return what is kept of a schedule, and what was said of it if it was set.

        That is nothing if there is no such schedule.
        """
        entry = self.known.get(name)
        if entry is None:
            return {}, b""
        fields: Fields = {b"last": b"%.6f" % entry.last}
        if entry.paused is not None:
            fields[b"paused"] = b"%d" % entry.paused
        _, text = self._set.get(name, (None, b""))
        return fields, text

    def told(self, name: str, fields: Fields, text: bytes) -> None:
        """Take up what the server tells that runs the schedules."""
        if not text:
            self._remove_set(name)
        else:
            self._restore_set(name, text)
        entry = self._entry(name)
        entry.told = float(fields.get(b"last", b"0"))
        entry.paused = fields[b"paused"] == b"1" if b"paused" in fields else None
        if self._times is not None and name in self.known:
            entry.next = self._times.following(entry.schedule, self._places.wall)
        self._set_first()

    def forget_told(self) -> None:
        """Forget what the store does not have; it was told by another server."""
        for name, entry in list(self.known.items()):
            entry.told = 0.0
            if self._persistent and not entry.number:
                entry.paused = None
                self._remove_set(name)

    def _remove_set(self, name: str) -> None:
        if self._set.pop(name, None) is not None and name not in self._file:
            self._absent[name] = self.known.pop(name)

    def _tell(self, name: str) -> None:
        if self._places.links is not None:
            self._places.links.settings.changed(SCHEDULE, name.encode())

    # -- restoring

    def restore(self, number: int, name: str, fields: Fields, text: bytes) -> None:
        """Take up what an earlier run of the server has stored of a schedule.

        `text` is what was said of it if it was set.
        """
        entry = self._entry(name)
        entry.number = number
        entry.last = max(entry.last, float(fields.get(b"last", b"0")))
        if b"paused" in fields:
            entry.paused = fields[b"paused"] == b"1"
        if text:
            self._restore_set(name, text)

    def _restore_set(self, name: str, text: bytes) -> None:
        try:
            schedule = self.read(name, text)
        except ConfigurationError as error:
            # Its record stays in the store: the next run may understand it.
            self.notices.append(f"schedule {name}: it is not used: {error}")
            return
        self._set[name] = schedule, text
        if name not in self._file:
            self._put(schedule, self.known.get(name), self._places.wall)

    def restore_run(self, name: str, time: float) -> None:
        """Take up that a stored job is the run of a schedule for this time."""
        entry = self._entry(name)
        entry.last = max(entry.last, time)

    def restored(self, wall: float) -> None:
        """Make up for runs that were missed while no server ran.

        In a cluster, a run is not missed because another server takes over.
        """
        least = LATE if self._jobs.sharded else 0.0
        for entry in self.known.values():
            if self._times is not None and entry.last:
                missed = self._times.preceding(entry.schedule, wall)
                late = max(entry.schedule.catch_up, least)
                if entry.last < missed and wall - missed <= late:
                    entry.next = missed
        self._set_first()

    def _entry(self, name: str) -> Entry:
        entry = self.known.get(name) or self._absent.get(name)
        if entry is None:
            # It gets its schedule when it is loaded.
            entry = self._absent[name] = Entry(Schedule(name, "", UTC, b""))
        return entry

    # -- runs

    def _run_next(self, entry: Entry, wall: float) -> None:
        assert self._times is not None  # noqa: S101
        time = entry.next
        entry.next = self._times.following(entry.schedule, wall)
        if self.stopped or self.elsewhere or entry.is_paused() or time <= entry.last:
            return
        if wall - time > max(entry.schedule.catch_up, LATE):
            name = entry.schedule.name
            self.notices.append(f"schedule {name}: a run was missed by too much")
            return
        entry.last = time
        entry.again = 0.0
        self._call(entry, time)
        self._store(entry)

    def _run_again(self, entry: Entry, wall: float) -> None:
        late = wall - entry.last
        entry.again = 0.0
        if not (self.stopped or self.elsewhere) and late <= entry.schedule.catch_up:
            self._call(entry, entry.last)
            if entry.again:
                entry.again = wall + PAUSE

    def _call(self, entry: Entry, time: float) -> str:
        """Submit the job of a run, and note in it which run it is.

        Returns why it was refused, or "".
        """
        jobs, schedule = self._jobs, entry.schedule
        number = jobs.number_for(schedule.unique, schedule.workload)
        options = replace(schedule.options, background=True)
        peer, name = Caller(self, entry, time), schedule.function
        self._submit(peer, name, schedule.unique, schedule.workload, options)
        job = jobs.known.get(number)
        if job is not None and job.stored and time != BY_HAND:
            extra = jobs.extend(job)
            extra.run = (schedule.name, time)
            jobs.store(job)
        return peer.refusal

    def _store(self, entry: Entry) -> None:
        self._tell(entry.schedule.name)
        if not self._persistent or not self._jobs.keeps_settings:
            return
        if not entry.number:
            entry.number = self._jobs.take_number()
        fields: Fields = {b"kind": SETTING, b"what": SCHEDULE}
        more, text = self.record_of(entry.schedule.name)
        fields.update(more)
        name = entry.schedule.name.encode()
        self._jobs.records.append(Record(entry.number, join(fields), b"", name, text))

    def store_again(self, numbers: AbstractSet[int]) -> None:
        """Store the schedules of these numbers that are still there."""
        for entry in self.known.values():
            if entry.number in numbers:
                self._store(entry)

    def _set_first(self) -> None:
        self.first = inf
        for entry in self.known.values():
            self.first = min(self.first, entry.next, entry.again or inf)


def _not_here(name: str, text: bytes) -> Schedule:
    raise OptionError("schedules cannot be set here")
