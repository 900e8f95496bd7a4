"""When a worker sleeps and asks for jobs, without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.client_core.grabbing import Grabbing, Slots
from gearman.errors import InvalidWorkerState


def grabbed(grabbing: Grabbing, slots: Slots) -> int:
    """Grab as long as that is allowed; return how often that was."""
    count = 0
    while slots.free > 0 and grabbing.may_grab():
        grabbing.grab()
        count += 1
    return count


def test_it_asks_for_more_while_there_are_jobs() -> None:
    slots = Slots(5)
    grabbing = Grabbing(slots, 5)
    assert grabbed(grabbing, slots) == 0
    grabbing.noop()
    assert grabbed(grabbing, slots) == 1
    grabbing.assigned()
    assert grabbed(grabbing, slots) == 2
    grabbing.assigned()
    assert grabbed(grabbing, slots) == 2
    assert not grabbing.no_job()
    assert (grabbing.owed, grabbing.running, slots.free) == (2, 2, 1)
    assert not grabbing.no_job()
    assert grabbing.no_job()
    assert grabbed(grabbing, slots) == 0
    grabbing.ended()
    assert slots.free == 4


def test_a_job_that_was_not_asked_for_is_an_error() -> None:
    with pytest.raises(InvalidWorkerState):
        Grabbing(Slots(1), 1).assigned()


def test_a_late_job_runs_without_a_slot() -> None:
    slots = Slots(1)
    silent, other = Grabbing(slots, 1), Grabbing(slots, 1)
    silent.noop()
    other.noop()
    assert grabbed(silent, slots) == 1
    assert silent.awaits
    silent.lose_patience()
    assert grabbed(other, slots) == 1
    other.assigned()
    silent.assigned()
    assert slots.free == -1
    silent.ended()
    other.ended()
    assert slots.free == 1


@given(st.lists(st.sampled_from(range(8)), max_size=100), st.integers(1, 4))
def test_slots_are_neither_lost_nor_won(steps: list[int], most: int) -> None:
    slots = Slots(3)
    grabbing = Grabbing(slots, most)
    for step in steps:
        if step == 0:
            grabbing.noop()
        elif step == 1 and grabbing.owed:
            grabbing.no_job()
        elif step in (2, 3) and grabbing.owed:
            grabbing.assigned()
        elif step == 4 and grabbing.running:
            grabbing.ended()
        elif step == 5:
            grabbing.lose_patience()
        elif step == 6:
            grabbing.refused()
        elif step == 7:
            grabbing.lost()
        grabbed(grabbing, slots)
        assert grabbing.owed >= 0
    while grabbing.owed:
        grabbing.no_job()
    while grabbing.running:
        grabbing.ended()
    assert slots.free == 3
