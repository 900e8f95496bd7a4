"""What the store's thread does after the changes before it."""

from hypothesis import given
from hypothesis import strategies as st

from gearman.server.storage.errands import Errands


def nothing(queue):
    """Do nothing."""


def test_errand_without_changes_is_due_at_once():
    errands = Errands()
    assert not errands
    assert errands.due() is None
    errands.add(nothing, 0)
    assert errands
    assert errands.due() is nothing
    errands.done()
    assert not errands


def test_errand_waits_for_the_commit_under_way_and_for_waiting_changes():
    errands = Errands()
    errands.taken(2)
    errands.add(nothing, 3)
    errands.committed()
    assert errands.due() is None
    errands.taken(3)
    assert errands.due() is None
    errands.committed()
    assert errands.due() is nothing


def test_failed_changes_are_waited_for_again():
    errands = Errands()
    errands.add(nothing, 2)
    errands.taken(2)
    errands.failed(2)
    assert errands.due() is None
    errands.taken(2)
    errands.committed()
    assert errands.due() is nothing


actions = st.lists(st.sampled_from(["write", "errand", "take", "end", "fail"]))


@given(actions)
def test_errand_is_due_when_all_changes_before_it_are_committed(drawn):
    errands = Errands()
    waiting: list[int] = []
    taken: list[int] = []
    # The changes before each errand that are not committed yet.
    before: list[set[int]] = []
    for number, action in enumerate(drawn):
        if action == "write":
            waiting.append(number)
        elif action == "errand":
            errands.add(nothing, len(waiting))
            before.append({*waiting, *taken})
        elif action == "take" and not taken:
            taken, waiting = waiting[:2], waiting[2:]
            errands.taken(len(taken))
        elif action == "end" and taken:
            for one in before:
                one.difference_update(taken)
            taken = []
            errands.committed()
        elif action == "fail" and taken:
            waiting, taken = taken + waiting, []
            errands.failed(len(waiting))
        while errands.due() is not None:
            assert not before.pop(0)
            errands.done()
    # And it is due at last.
    while waiting or taken:
        errands.taken(len(taken) or len(waiting))
        errands.committed()
        waiting, taken = ([] if not taken else waiting), []
    assert not before or errands.due() is not None
