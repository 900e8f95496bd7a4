"""All processes of the runner: which to start, drain and kill, and when.

    STARTING -> (ready) -> SERVING -> (replaced, or it wants to end) -> DRAINING
        |                     |                                            |
        +---------------------+---- killed, ended by itself, crashed ------+-> gone

Each place has one process. One that is to be replaced, after HUP, or because it is old
or large, goes on taking jobs until another one in its place is ready. Only one process
is replaced at a time; the old ones may still drain when the next is replaced. Killing
takes the jobs that a process runs; the server gives them to another one.

The caller tells what happens, with the time of its clock, and does what `take` returns.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from .actions import (
    ERROR,
    INFO,
    WARNING,
    Action,
    Drain,
    Kill,
    Note,
    RunningJob,
    Start,
)
from .pools import Pool
from .processes import Place, Process, State, delay

# A process that serves for so many seconds, or has run a job, has not failed at its
# start.
HEALTHY: Final = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of processes: times in seconds, memory in bytes; 0 is none.

    grace: how long running jobs may take when the runner is stopped.
    kill_after: by how much a job may exceed its timeout.
    start_within: how long a process may take to import the app.
    """

    grace: float = 30.0
    kill_after: float = 5.0
    max_age: float = 0.0
    max_memory: int = 0
    start_within: float = 60.0


class Fleet:
    """The processes. Call `tick` when `due` says so, and after each other call.

    The `limits` may be replaced at any time.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._places: list[Place] = []
        self._processes: dict[int, Process] = {}
        self._generation = 0
        self._numbers = 0
        self._stop_at = inf
        self._stopping = False
        self._actions: list[Action] = []

    # What the caller asks.

    def take(self) -> list[Action]:
        """Return what is to be done, once."""
        actions, self._actions = self._actions, []
        return actions

    @property
    def processes(self) -> Iterable[Process]:
        """All processes, in the order of their starts."""
        return self._processes.values()

    @property
    def stopping(self) -> bool:
        return self._stopping

    @property
    def finished(self) -> bool:
        """Whether it was stopped, and no process is left."""
        return self._stopping and not self._processes

    @property
    def settled(self) -> bool:
        """Whether each place has a process of the last generation that takes jobs."""
        currents = [place.current for place in self._places]
        return not self._stopping and all(
            process is not None
            and process.state is State.SERVING
            and process.generation == self._generation
            for process in currents
        )

    # What the user wants.

    def staff(self, now: float, pools: Sequence[Pool]) -> None:
        """Have processes for these pools; replace all that were started before."""
        self._generation += 1
        kept: list[Place] = []
        old = list(self._places)
        for pool in pools:
            same = [place for place in old if place.pool.only == pool.only]
            for index in range(pool.count):
                place = same[index] if index < len(same) else Place(pool)
                place.pool = pool
                kept.append(place)
        self._places = kept
        for place in old:
            if place not in kept:
                self._close(now, place)

    def stop(self, now: float) -> None:
        """Drain all processes, within `grace`."""
        self._stopping = True
        self._stop_at = min(self._stop_at, now + self.limits.grace)
        self._note(INFO, "stopping: no more jobs are taken")
        for place in self._places:
            self._close(now, place)

    def stop_now(self, now: float) -> None:
        """Kill all processes."""
        self._stopping = True
        self._stop_at = now
        for process in list(self._processes.values()):
            self._kill(now, process, "the runner was told twice to stop")

    # What happens.

    def ready(self, now: float, number: int) -> bool:
        """A process takes jobs; return whether it still should."""
        process = self._processes[number]
        if process.state is not State.STARTING:
            return False
        process.enter(State.SERVING, now)
        place = process.place
        if place.incoming is process:
            place.incoming = None
            old, place.current = place.current, process
            if old is not None:
                self._drain(now, old)
                why = old.worn or "started before the code was read again"
                text = "process %d replaces %d: %s"
                self._note(INFO, text, number, old.number, why)
        return True

    def leaving(self, now: float, number: int, why: str) -> None:
        """A process takes no more jobs, as it has decided itself."""
        process = self._processes[number]
        if process.state in (State.STARTING, State.SERVING):
            process.enter(State.DRAINING, now)
            process.place.forget(process)
            self._note(INFO, "process %d ends: %s", number, why)

    def failed(self, number: int, why: str) -> None:
        """A process says why it is about to end."""
        self._processes[number].failure = why

    def ended(self, now: float, number: int, problem: str) -> None:
        """A process is gone; `problem` says how, "" if it has ended as it should."""
        process = self._processes.pop(number)
        place = process.place
        place.forget(process)
        if process.state is State.KILLED and not process.failure:
            return
        lost = "".join(f"; {job} was lost with it" for job in process.jobs)
        if process.state is State.DRAINING:
            if problem:
                text = "process %d, which took no more jobs, %s%s"
                self._note(WARNING, text, number, problem, lost)
            return
        served = process.state is State.SERVING and now - process.since
        if served >= HEALTHY or process.done:
            place.failures = 0
        place.failures += 1
        pause = delay(place.failures)
        place.due = now + pause
        when = f"in {pause:g} s" if pause else "now"
        again = "" if place.closed else f"; another one is started {when}"
        why = process.failure or f"it {problem or 'has ended by itself'}"
        text = "process %d%s has failed: %s%s%s"
        self._note(ERROR, text, number, place.name, why, lost, again)

    def observe(
        self,
        now: float,
        number: int,
        jobs: Sequence[RunningJob],
        done: int = 0,
        memory: int = 0,
    ) -> None:
        """A process runs these jobs, has run `done`, and uses so many bytes."""
        process = self._processes[number]
        process.jobs = jobs
        process.done = done
        if jobs:
            process.busy = now
        elif process.state is State.DRAINING:
            self._see_to_its_end(now, process)
        for job in jobs:
            over = now - job.started - job.timeout
            if job.timeout and over >= self.limits.kill_after:
                text = f"{job} runs for {now - job.started:.1f} s, and"
                self._kill(now, process, f"{text} its timeout is {job.timeout:g} s")
                return
            if job.timeout and over >= 0:
                process.worn = process.worn or f"{job} is over its timeout"
        if self.limits.max_memory and memory > self.limits.max_memory:
            size = f"{memory / 1024**2:.0f} MiB"
            process.worn = process.worn or f"it uses {size}, more than --max-memory"

    def _see_to_its_end(self, now: float, process: Process) -> None:
        allowed = self.limits.start_within
        if now >= max(process.since, process.busy) + allowed:
            why = f"it has had no job for {allowed:g} s, and has not ended"
            self._kill(now, process, why)

    def tick(self, now: float) -> None:
        """Do what is due."""
        for process in list(self._processes.values()):
            self._check(now, process)
        if self._stopping:
            return
        for place in self._places:
            if place.current is None and place.incoming is None and place.due <= now:
                place.current = self._start(now, place)
        worn = self._next_to_replace(now)
        if worn is not None:
            worn.incoming = self._start(now, worn)

    def due(self, now: float) -> float:
        """Return when `tick` must be called next, if nothing happens before."""
        return min((time for time in self._times() if time > now), default=inf)

    # Decisions.

    def _times(self) -> Iterator[float]:
        for process in self._processes.values():
            if process.state is State.STARTING:
                yield process.since + self.limits.start_within
            elif process.state is State.SERVING:
                yield process.since + (self.limits.max_age or inf)
            if process.state is not State.KILLED:
                yield self._stop_at
        if not self._stopping:
            yield from (
                place.due
                for place in self._places
                if place.incoming is None
                and (place.current is None or self._is_to_go(place.current))
            )

    def _check(self, now: float, process: Process) -> None:
        """Kill a process whose time is over, or let it be replaced."""
        limits = self.limits
        if now >= self._stop_at:
            self._kill(now, process, f"the grace of {limits.grace:g} s is over")
        elif process.state is State.STARTING:
            if now >= process.since + limits.start_within:
                process.failure = f"it is not ready after {limits.start_within:g} s"
                process.place.due = now + delay(process.place.failures + 1)
                self._kill(now, process, process.failure)
        elif now >= process.since + (limits.max_age or inf):
            process.worn = process.worn or "it is as old as --max-age allows"

    def _is_to_go(self, process: Process) -> bool:
        old = process.generation < self._generation
        return process.state is State.SERVING and (old or process.worn != "")

    def _next_to_replace(self, now: float) -> Place | None:
        """Return the place whose process is replaced next, None if not now."""
        if any(p.incoming and p.current for p in self._places):
            return None
        oldest: tuple[int, float] | None = None
        found = None
        for place in self._places:
            process = place.current
            if process is None or place.due > now or not self._is_to_go(process):
                continue
            age = process.generation, process.since
            if oldest is None or age < oldest:
                oldest, found = age, place
        return found

    def _start(self, now: float, place: Place) -> Process:
        self._numbers += 1
        process = Process(self._numbers, place, self._generation, now)
        self._processes[process.number] = process
        self._actions.append(Start(process.number, place.pool))
        return process

    def _close(self, now: float, place: Place) -> None:
        """Drain the processes of a place, which gets no more."""
        place.closed = True
        for process in (place.incoming, place.current):
            if process is not None:
                self._drain(now, process)

    def _drain(self, now: float, process: Process) -> None:
        # Even if it is not ready, it may have a job.
        process.place.forget(process)
        process.enter(State.DRAINING, now)
        self._actions.append(Drain(process.number))

    def _kill(self, now: float, process: Process, why: str) -> None:
        if process.state is State.KILLED:
            return
        process.place.forget(process)
        process.enter(State.KILLED, now)
        lost = "".join(f"; {job} is lost with it" for job in process.jobs)
        self._note(WARNING, "process %d is killed: %s%s", process.number, why, lost)
        self._actions.append(Kill(process.number))

    def _note(self, level: int, text: str, *details: object) -> None:
        self._actions.append(Note(level, text % details if details else text))
