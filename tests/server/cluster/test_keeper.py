"""The thread that keeps a lease, with a register in memory."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from gearman.errors import QueueError
from gearman.queue import SPARE, Claim, Cluster, Member
from gearman.server.cluster.keeper import Keeper
from gearman.server.cluster.lease import State
from tests.server.cluster.memory import Memory
from tests.servers import DEADLINE, until

# Seconds of a lease that is soon over, and of one that is not.
SHORT = 0.2
LONG = 60.0


@pytest.fixture
def register() -> Memory:
    return Memory()


@pytest.fixture
def keep(register: Memory) -> Iterator[Callable[..., Keeper]]:
    """A function that starts a keeper, and returns it when it has joined."""
    started: list[Keeper] = []

    def start(lease: float = SHORT, joins: bool = True) -> Keeper:
        register.lease = LONG
        keeper = Keeper(register, Cluster("fleet", "me:4730", lease))
        started.append(keeper)
        keeper.start()
        if joins:
            until(lambda: keeper.roll is not None)
        return keeper

    yield start
    register.error = None
    for keeper in started:
        keeper.close()


def happens(register: Memory, name: str, times: int = 1) -> None:
    """Wait for so many more calls of a method."""
    enough = register.calls.count(name) + times
    until(lambda: register.calls.count(name) >= enough)


def is_state(keeper: Keeper, state: State) -> None:
    until(lambda: keeper.state == state)


def dies(register: Memory, claim: Claim) -> None:
    register.database.ends[claim.id] = -1.0


def burials(keep, register, messages, lease=LONG):
    """Let the owner of all shards die; return how often that is told."""
    other = register.database.join("other:1")
    register.database.take(other.id, frozenset(range(64)))
    keep(lease)
    dies(register, other)
    until(lambda: len(register.database.owned(register.id)) == 64)
    return messages.count("other:1 has not renewed its lease: its 64 shards are free")


def test_first_server_joins_and_takes_all(keep, register):
    keeper = keep(LONG)
    assert keeper.state == State.MEMBER
    assert keeper.claim == Claim(register.id, 1)
    assert register.calls[:4] == ["join", "look", "take", "look"]
    assert len(register.database.owned(register.id)) == 64


def test_lease_is_renewed(keep, register):
    keeper = keep()
    before = keeper.until
    happens(register, "renew", 2)
    until(lambda: keeper.until > before)


def test_changes_are_told(keep, register):
    changes = threading.Event()
    keeper = keep(LONG)
    keeper.changed = changes.set
    keeper.drain()
    assert changes.wait(DEADLINE)


def test_number_of_the_next_job_goes_with_the_lease(keep, register):
    keeper = keep()
    keeper.next_number = lambda: 5000
    until(lambda: register.database.numbers.get(register.id) == 5000 + SPARE)


def test_second_server_takes_nothing_of_a_living_one(keep, register):
    other = register.database.join("other:1")
    register.database.take(other.id, frozenset(range(64)))
    keep()
    happens(register, "look", 2)
    assert register.database.owned(register.id) == set()


def test_dead_server_is_buried_and_its_shards_are_taken(keep, register, messages):
    assert burials(keep, register, messages) == 1


def test_burial_whose_answer_is_lost_is_told_when_it_is_seen(keep, register, messages):
    bury = register.bury

    def bury_without_an_answer(dead: Member) -> bool:
        register.bury = bury
        bury(dead)
        raise QueueError("the connection is lost")

    register.bury = bury_without_an_answer
    assert burials(keep, register, messages, lease=2.0) == 1


def test_burial_that_has_failed_is_not_told(keep, register, messages):
    other = register.database.join("other:1")
    look = register.look

    def renew_and_look() -> Any:
        register.database.renew(other.id, 0, LONG)
        return look()

    def fail(dead: Member) -> bool:
        register.look = renew_and_look
        raise QueueError("the database is down")

    register.bury = fail
    keep(2.0)
    dies(register, other)
    until(lambda: register.look is renew_and_look)
    happens(register, "look", 2)
    assert not messages.count("has not renewed")


def test_server_that_another_one_has_buried_before_is_no_failure(
    keep, register, messages
):
    other = register.database.join("other:1")
    register.database.ends[other.id] = -1.0
    register.bury = lambda dead: False
    keep()
    happens(register, "look", 2)
    assert not messages.count("has not renewed")


def test_shards_are_given(keep, register):
    keeper = keep(LONG)
    other = register.database.join("other:1")
    keeper.give({other.id: {3, 4}}, 7000)
    assert keeper.giving or register.database.owned(other.id)
    until(lambda: not keeper.giving)
    assert register.database.owned(other.id) == {3, 4}
    assert register.database.shards[3].first_number == 7000
    assert keeper.roll.shards[3].server == other.id


def test_gift_is_repeated_after_a_failure(keep, register):
    keeper = keep(1.0)
    other = register.database.join("other:1")
    give = register.give

    def fail(*_: object) -> None:
        register.calls.append("give")
        raise QueueError("the database is down")

    # Renewals go on: while they fail, nothing else is tried.
    register.give = fail
    keeper.give({other.id: {3}}, 7000)
    happens(register, "give", 2)
    register.give = give
    until(lambda: register.database.owned(other.id) == {3})


def test_drain_is_told_once(keep, register):
    keeper = keep()
    keeper.drain()
    happens(register, "drain")
    happens(register, "look", 2)
    assert register.calls.count("drain") == 1


def test_buried_server_joins_again_when_it_has_given_up_its_jobs(
    keep, register, messages
):
    keeper = keep()
    first = keeper.claim
    register.database.remove(register.id, 0)
    is_state(keeper, State.LOST)
    until(lambda: messages.count("another server has taken over the shards of this"))
    keeper.give_up()
    until(lambda: keeper.roll is not None)
    assert keeper.claim != first
    assert "leave" not in register.calls


def test_refused_renewal_is_noticed(keep, register):
    keeper = keep()
    register.renew = lambda number: False
    is_state(keeper, State.LOST)


def test_server_that_gives_up_leaves(keep, register):
    keeper = keep()
    keeper.give_up(pause=60)
    happens(register, "leave")
    assert keeper.state == State.OUTSIDE
    assert keeper.roll is None
    keeper.give_up()
    assert register.calls.count("leave") == 1


@pytest.mark.parametrize("name", ["renew", "look"])
def test_answer_that_comes_after_the_jobs_were_given_up_does_not_count(
    keep, register, name
):
    keeper = keep()
    method: Any = getattr(register, name)

    def give_up(*arguments: Any) -> Any:
        keeper.give_up(pause=60)
        register.database.remove(register.id, 0)
        return method(*arguments)

    setattr(register, name, give_up)
    happens(register, "leave")
    assert keeper.state == State.OUTSIDE
    assert keeper.roll is None


def test_failures_are_told_once_and_make_the_server_doubt(keep, register, messages):
    keeper = keep()
    register.error = QueueError("the database is down")
    is_state(keeper, State.IN_DOUBT)
    until(lambda: messages.count("stored jobs are held until it is renewed"))
    happens(register, "renew", 3)
    assert not keeper.answers
    assert messages.count("cannot be asked for: the database is down") == 1
    register.error = None
    is_state(keeper, State.MEMBER)
    until(lambda: messages.count("stored jobs are handed out again"))
    assert keeper.answers
    assert messages.count("can be asked for again") == 1


def test_server_that_cannot_join_tries_again(keep, register):
    register.error = QueueError("the database is down")
    keeper = keep(joins=False)
    happens(register, "join", 3)
    register.error = None
    is_state(keeper, State.MEMBER)


def test_bug_of_a_plugin_is_logged(keep, register, messages):
    register.error = ValueError("oops")
    keep(joins=False)
    happens(register, "join", 2)
    assert messages.count("the queue plugin has a bug")
    assert messages.count("ValueError: oops")


def test_cluster_is_left_at_the_end(register):
    with closing(Keeper(register, Cluster("fleet", "me:4730", LONG))) as keeper:
        keeper.start()
        is_state(keeper, State.MEMBER)
    assert register.calls[-2:] == ["leave", "close"]
    assert register.database.members == {}


def test_cluster_that_cannot_be_left_is_told(register, messages):
    with closing(Keeper(register, Cluster("fleet", "me:4730", LONG))) as keeper:
        keeper.start()
        until(lambda: keeper.roll is not None)
        register.error = QueueError("the database is down")
    assert register.calls[-1] == "close"
    assert messages.count("the cluster could not be left: the database is down")


def test_calm_ends_when_a_server_comes(keep, register):
    keeper = keep(1.0)
    assert keeper.calm
    seen: list[bool] = []
    keeper.changed = lambda: seen.append(keeper.calm)
    register.database.join("other:1")
    until(lambda: False in seen)
    until(lambda: keeper.calm)


def test_look_that_is_answered_after_the_jobs_were_given_up_does_not_count(
    keep, register
):
    keeper = keep()
    look = register.look

    def give_up() -> Any:
        keeper.give_up(pause=60)
        return look()

    register.look = give_up
    happens(register, "leave")
    assert keeper.roll is None


def test_gift_that_is_made_during_a_look_is_given_with_the_next_one(keep, register):
    keeper = keep(LONG)
    other = register.database.join("other:1")
    look = register.look

    def give_more() -> Any:
        register.look = look
        keeper.give({other.id: {5}}, 8000)
        return look()

    register.look = give_more
    keeper.drain()
    until(lambda: register.database.owned(other.id) == {5})
