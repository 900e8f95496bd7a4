"""Which processes are started, drained and killed, with a clock of the test."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.tasks.runner.model.actions import (
    Action,
    Drain,
    Kill,
    Note,
    RunningJob,
    Start,
)
from gearman.tasks.runner.model.fleet import Fleet, Limits
from gearman.tasks.runner.model.pools import Pool
from gearman.tasks.runner.model.processes import State, delay

JOB = RunningJob("resize", "H:x:1", 100.0, 10.0)


class Stage:
    """A fleet with a clock; `notes` has what was logged."""

    def __init__(self, *pools: Pool, **limits: float) -> None:
        self.fleet = Fleet(Limits(**limits))  # type: ignore[arg-type]
        self.now = 100.0
        self.notes: list[str] = []
        self.fleet.staff(self.now, pools or [Pool(1)])

    def done(self, after: float = 0.0) -> list[Action]:
        """Return what is done when so many seconds have passed."""
        self.now += after
        self.fleet.tick(self.now)
        actions = self.fleet.take()
        self.notes += [each.text for each in actions if isinstance(each, Note)]
        return [each for each in actions if not isinstance(each, Note)]

    def ready(self, *numbers: int) -> list[Action]:
        for number in numbers:
            self.fleet.ready(self.now, number)
        return self.done()

    def ended(self, number: int, problem: str = "") -> list[Action]:
        self.fleet.ended(self.now, number, problem)
        return self.done()

    def observe(
        self, number: int, *jobs: RunningJob, done: int = 0, memory: int = 0
    ) -> list[Action]:
        self.fleet.observe(self.now, number, jobs, done, memory)
        return self.done()

    @property
    def due(self) -> float:
        return self.fleet.due(self.now)


def served(*pools: Pool, **limits: float) -> Stage:
    """Return a stage whose processes take jobs."""
    stage = Stage(*pools, **limits)
    starts = stage.done()
    stage.ready(*(each.number for each in starts if isinstance(each, Start)))
    return stage


def test_each_place_of_a_pool_gets_a_process() -> None:
    stage = Stage(Pool(2), Pool(1, only="x"))
    assert stage.done() == [
        *(Start(1, Pool(2)), Start(2, Pool(2)), Start(3, Pool(1, only="x"))),
    ]
    assert not stage.fleet.settled
    assert stage.ready(1, 2, 3) == []
    assert stage.fleet.settled
    assert stage.due == inf


# Replacing.


def test_old_process_is_drained_when_the_new_one_is_ready() -> None:
    stage = served()
    stage.fleet.staff(stage.now, [Pool(1)])
    assert stage.done() == [Start(2, Pool(1))]
    assert stage.ready(2) == [Drain(1)]
    assert stage.ended(1) == []
    assert stage.fleet.settled


def test_processes_are_replaced_one_by_one() -> None:
    stage = served(Pool(3))
    stage.fleet.staff(stage.now, [Pool(3)])
    assert stage.done() == [Start(4, Pool(3))]
    assert stage.done() == []
    assert stage.ready(4) == [Drain(1), Start(5, Pool(3))]
    assert stage.ready(5) == [Drain(2), Start(6, Pool(3))]
    assert stage.ready(6) == [Drain(3)]


def test_next_round_begins_with_the_processes_that_are_oldest() -> None:
    stage = served(Pool(2))
    stage.fleet.staff(stage.now, [Pool(2)])
    stage.done()
    stage.ready(3)
    stage.fleet.staff(stage.now, [Pool(2)])
    # Process 4 was on its way for the round before.
    assert stage.ready(4) == [Drain(2), Start(5, Pool(2))]
    assert stage.ready(5) == [Drain(3), Start(6, Pool(2))]
    assert stage.ready(6) == [Drain(4)]


def test_old_process_works_on_while_the_new_code_cannot_be_imported() -> None:
    stage = served()
    stage.fleet.staff(stage.now, [Pool(1)])
    stage.done()
    stage.fleet.failed(2, "no module")
    assert stage.ended(2, "ended with status 1") == [Start(3, Pool(1))]
    stage.fleet.failed(3, "no module")
    assert stage.ended(3, "ended with status 1") == []
    assert stage.notes == [
        "process 2 has failed: no module; another one is started now",
        "process 3 has failed: no module; another one is started in 1 s",
    ]
    assert stage.due == stage.now + 1
    assert stage.done(1) == [Start(4, Pool(1))]
    assert stage.ready(4) == [Drain(1)]


def test_processes_of_a_pool_that_has_gone_are_drained() -> None:
    stage = served(Pool(1), Pool(2, only="x"))
    stage.fleet.staff(stage.now, [Pool(1), Pool(1, only="x")])
    assert stage.done() == [Drain(3), Start(4, Pool(1))]


def test_process_that_is_not_ready_is_drained_with_its_place() -> None:
    stage = Stage(Pool(1))
    stage.done()
    stage.fleet.staff(stage.now, [Pool(1, only="x")])
    assert stage.done() == [Drain(1), Start(2, Pool(1, only="x"))]
    assert not stage.fleet.ready(stage.now, 1)
    assert stage.ended(1) == []
    assert stage.notes == []


def test_place_that_has_gone_gets_no_process_for_a_failed_one() -> None:
    stage = served(Pool(2))
    stage.fleet.failed(2, "it has failed")
    stage.fleet.staff(stage.now, [Pool(1)])
    stage.done()
    stage.fleet.ended(stage.now, 2, "")
    assert stage.done() == []


# Ending by itself.


def test_process_that_wants_to_end_is_replaced_at_once() -> None:
    stage = served()
    stage.fleet.leaving(stage.now, 1, "it has run 50 jobs")
    assert stage.done() == [Start(2, Pool(1))]
    assert stage.notes == ["process 1 ends: it has run 50 jobs"]
    stage.fleet.leaving(stage.now, 1, "again")
    assert stage.ended(1) == []
    assert stage.ready(2) == []


def test_successor_takes_over_from_a_process_that_ends_before() -> None:
    stage = served()
    stage.fleet.staff(stage.now, [Pool(1)])
    stage.done()
    stage.fleet.leaving(stage.now, 1, "it has run 50 jobs")
    assert stage.done() == []
    assert stage.ready(2) == []
    assert stage.fleet.settled


# Failures.


def test_failed_process_is_started_again_after_longer_and_longer_pauses() -> None:
    stage = Stage()
    stage.done()
    assert stage.ended(1, "was killed by signal 11") == [Start(2, Pool(1))]
    pauses = []
    for number in range(2, 10):
        assert stage.ended(number, "was killed by signal 11") == []
        pauses.append(stage.due - stage.now)
        stage.now = stage.due
        assert stage.done() == [Start(number + 1, Pool(1))]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert delay(1000) == 60


@pytest.mark.parametrize(("seconds", "jobs"), [(10, 0), (0, 1)])
def test_process_that_has_served_has_not_failed_in_a_row(
    seconds: float, jobs: int
) -> None:
    stage = Stage()
    for number in (1, 2):
        stage.done()
        stage.ended(number, "ended with status 1")
    stage.done(1)
    stage.ready(3)
    stage.now += seconds
    stage.observe(3, done=jobs)
    assert stage.ended(3) == [Start(4, Pool(1))]
    assert stage.notes[-1] == (
        "process 3 has failed: it has ended by itself; another one is started now"
    )


def test_jobs_that_are_lost_with_a_process_are_named() -> None:
    stage = served(Pool(1, only="resize"))
    stage.observe(1, JOB)
    stage.ended(1, "was killed by signal 9")
    assert stage.notes == [
        "process 1 for resize has failed: it was killed by signal 9; job H:x:1 of"
        " resize was lost with it; another one is started now"
    ]


def test_process_that_fails_while_it_drains_is_told_of() -> None:
    stage = served(Pool(1))
    stage.observe(1, JOB)
    stage.fleet.leaving(stage.now, 1, "it is full")
    stage.ended(1, "was killed by signal 9")
    assert stage.notes[-1] == (
        "process 1, which took no more jobs, was killed by signal 9; job H:x:1 of"
        " resize was lost with it"
    )


def test_process_that_does_not_get_ready_is_killed() -> None:
    stage = Stage(start_within=60)
    stage.done()
    assert stage.due == stage.now + 60
    assert stage.done(60) == [Kill(1), Start(2, Pool(1))]
    assert stage.ended(1, "was killed") == []
    assert stage.notes == [
        "process 1 is killed: it is not ready after 60 s",
        "process 1 has failed: it is not ready after 60 s; another one is started now",
    ]


# Limits.


def test_process_with_a_job_over_its_timeout_is_killed() -> None:
    stage = served(kill_after=5)
    stage.now = 109.9
    assert stage.observe(1, JOB) == []
    stage.now = 115.0
    assert stage.observe(1, JOB) == [Kill(1), Start(2, Pool(1))]
    assert stage.notes == [
        "process 1 is killed: job H:x:1 of resize runs for 15.0 s, and its timeout is"
        " 10 s; job H:x:1 of resize is lost with it"
    ]
    assert stage.observe(1, JOB) == []
    assert stage.ended(1, "was killed by signal 9") == []


def test_job_over_its_timeout_lets_its_process_be_replaced_before() -> None:
    stage = served(kill_after=5)
    stage.now = 110.0
    assert stage.observe(1, JOB) == [Start(2, Pool(1))]
    assert stage.ready(2) == [Drain(1)]
    stage.now = 115.0
    assert stage.observe(1, JOB) == [Kill(1)]


def test_job_without_timeout_may_run_for_ever() -> None:
    stage = served()
    stage.now = 1e9
    assert stage.observe(1, RunningJob("x", "H:x:1", 1.0)) == []


def test_old_process_is_replaced() -> None:
    stage = served(max_age=3600)
    assert stage.due == stage.now + 3600
    assert stage.done(3600) == [Start(2, Pool(1))]
    assert stage.ready(2) == [Drain(1)]
    assert stage.notes == ["process 2 replaces 1: it is as old as --max-age allows"]


def test_large_process_is_replaced() -> None:
    stage = served(max_memory=10 * 1024**2)
    assert stage.observe(1, memory=10 * 1024**2) == []
    assert stage.observe(1, memory=11 * 1024**2) == [Start(2, Pool(1))]
    stage.ready(2)
    assert stage.notes == [
        "process 2 replaces 1: it uses 11 MiB, more than --max-memory"
    ]


def test_drained_process_that_does_not_end_is_killed() -> None:
    stage = served(start_within=60)
    stage.fleet.leaving(stage.now, 1, "it is full")
    stage.done()
    stage.ready(2)
    stage.now += 59
    assert stage.observe(1, RunningJob("x", "H:x:1", 1.0)) == []
    stage.now += 59
    assert stage.observe(1) == []
    stage.now += 1
    assert stage.observe(1) == [Kill(1)]


# Stopping.


def test_stopped_runner_drains_all_and_kills_what_is_left_after_the_grace() -> None:
    stage = served(Pool(2), grace=30)
    stage.fleet.staff(stage.now, [Pool(2)])
    stage.done()
    stage.fleet.stop(stage.now)
    assert stage.fleet.stopping
    assert stage.done() == [Drain(3), Drain(1), Drain(2)]
    assert stage.due == stage.now + 30
    assert stage.ended(3) == []
    assert stage.ended(2) == []
    stage.observe(1, RunningJob("x", "H:x:7", 1.0))
    assert not stage.fleet.finished
    assert stage.done(30) == [Kill(1)]
    assert stage.notes[-1] == (
        "process 1 is killed: the grace of 30 s is over; job H:x:7 of x is lost with it"
    )
    stage.ended(1)
    assert stage.fleet.finished


def test_second_order_to_stop_kills_all() -> None:
    stage = served(Pool(2))
    stage.fleet.stop(stage.now)
    stage.done()
    stage.fleet.stop_now(stage.now)
    assert stage.done() == [Kill(1), Kill(2)]
    assert stage.due == inf
    stage.ended(1)
    stage.ended(2)
    assert stage.fleet.finished


EVENTS = st.sampled_from(["ready", "ended", "failed", "leaving", "staff", "observe"])


@given(st.lists(st.tuples(EVENTS, st.integers(0, 9), st.floats(0, 20))))
def test_places_are_never_without_a_process_unless_it_has_failed(
    events: list[tuple[str, int, float]],
) -> None:
    pool = Pool(2)
    stage = served(pool, max_age=50)
    fleet = stage.fleet
    for event, choice, pause in events:
        processes = list(fleet.processes)
        number = processes[choice % len(processes)].number if processes else 0
        stage.now += pause
        if event == "staff":
            fleet.staff(stage.now, [pool])
        elif not number:
            pass
        elif event == "ended":
            fleet.ended(stage.now, number, "was killed")
        elif event == "observe":
            fleet.observe(stage.now, number, [JOB])
        elif event == "failed":
            fleet.failed(number, "no")
        elif event == "ready":
            fleet.ready(stage.now, number)
        else:
            fleet.leaving(stage.now, number, "it is full")
        stage.done()
        assert stage.due > stage.now
        serving = [p for p in fleet.processes if p.state is State.SERVING]
        starting = [p for p in fleet.processes if p.state is State.STARTING]
        assert len(serving) <= 2
        assert len(serving) + len(starting) <= 3
        waiting = sum(p.current is None for p in fleet._places)
        assert all(p.due > stage.now for p in fleet._places if p.current is p.incoming)
        assert waiting <= 2
