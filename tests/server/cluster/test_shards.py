"""The map of the shards, and what a server does with its own."""

import random

import pytest

from gearman.queue import NOBODY, Member, Roll, Shard
from gearman.server.cluster.home import ALL_SHARDS, first_spare, home_of, steps_to
from gearman.server.cluster.shards import MOVES, Event, Map, State

ME = Member(7, "me:1", 1, False, 0.0, 0, over=False)
OTHER = Member(8, "other:1", 2, False, 0.0, 0, over=False)


def roll(*mine, members=(ME, OTHER), other=8, first=100):
    """Return what a look shows: shards of this server; all others are the other's."""
    owners = (7 if shard in mine else other for shard in range(64))
    return Roll(members, tuple(Shard(owner, 1, first) for owner in owners))


@pytest.fixture
def map_():
    found = Map()
    found.me = 7
    return found


def test_at_first_nobody_owns_anything():
    empty = Map()
    assert empty.owner(3) == NOBODY
    assert empty.mine() == empty.served() == empty.leaving() == frozenset()
    assert empty.members() == {}
    assert empty.first_number(frozenset()) == 0


def test_gained_shards_are_loaded_and_served(map_):
    assert map_.see(roll(1, 2)) == {1, 2}
    assert map_.mine() == {1, 2}
    assert map_.served() == frozenset()
    assert map_.see(roll(1, 2)) == frozenset()
    map_.change(Event.LOADED, {1})
    assert map_.served() == {1}
    assert map_.owner(1) == 7
    assert map_.owner(3) == 8
    assert map_.epoch(3) == 1
    assert map_.owners()[:4] == [8, 7, 7, 8]
    assert map_.first_number({1, 2}) == 100
    assert map_.members()[8] == OTHER


def test_server_that_is_not_seen_has_left_unless_it_has_joined_after_all_others(map_):
    assert not map_.has_left(OTHER.id, OTHER.epoch)
    map_.see(roll())
    assert not map_.has_left(OTHER.id, OTHER.epoch)
    assert not map_.has_left(9, OTHER.epoch + 1)
    assert map_.has_left(9, OTHER.epoch - 1)
    map_.see(roll(members=(ME,), other=NOBODY))
    assert map_.has_left(OTHER.id, OTHER.epoch)
    assert not map_.has_left(9, OTHER.epoch + 1)


def served(map_, *shards):
    map_.see(roll(*shards))
    map_.change(Event.LOADED, frozenset(shards))


def test_shard_that_leaves_is_not_served_until_another_server_has_it(map_):
    served(map_, 1, 2)
    map_.change(Event.LEAVES, {1})
    assert map_.served() == {2}
    assert map_.mine() == {1, 2}
    map_.see(roll(1, 2))
    assert map_.leaving() == {1}
    map_.see(roll(2))
    assert map_.leaving() == frozenset()
    assert map_.mine() == {2}
    assert map_.stolen() == frozenset()


def test_shard_that_stays_is_loaded_again(map_):
    served(map_, 1, 2)
    map_.change(Event.LEAVES, {1})
    map_.change(Event.STAYS, {1})
    assert map_.states[1] == State.LOADING


def test_shard_that_another_server_has_without_a_gift_is_noticed(map_):
    served(map_, 1, 2)
    map_.see(roll(2))
    assert map_.stolen() == {1}


def test_server_that_leaves_owns_nothing(map_):
    served(map_, 1, 2)
    map_.leave()
    assert map_.mine() == frozenset()
    map_.me = 9
    assert map_.see(roll(1)) == frozenset()


def test_listeners_are_told_of_changes_only(map_):
    told = []
    map_.listeners.append(lambda: told.append(map_.mine()))
    map_.see(roll(1))
    assert told.pop() == {1}
    map_.see(roll(1, members=(ME._replace(renewals=9), OTHER)))
    assert told == []
    map_.see(roll(1, members=(ME, OTHER._replace(draining=True))))
    assert len(told) == 1
    map_.change(Event.LOADED, {1})
    assert len(told) == 2


def test_table_of_moves_is_complete():
    assert set(MOVES) == set(Event)
    reached = {state for moves in MOVES.values() for state in moves.values()}
    assert reached == set(State)


@pytest.mark.parametrize("seed", range(20))
def test_state_agrees_with_the_database_whatever_happens(map_, seed):
    numbers = random.Random(seed)
    owned: set[int] = set()
    for _ in range(100):
        shard = numbers.randrange(64)
        if map_.states[shard] == State.FOREIGN:
            owned.add(shard)
        elif map_.states[shard] == State.LOADING:
            map_.change(Event.LOADED, {shard})
        elif map_.states[shard] == State.SERVED:
            map_.change(Event.LEAVES, {shard})
        elif numbers.random() < 0.5:
            map_.change(Event.STAYS, {shard})
        else:
            owned.discard(shard)
        map_.see(roll(*owned))
        assert map_.mine() == owned
        assert map_.served() | map_.leaving() <= owned


def test_home_depends_on_the_unique():
    homes = {home_of(b"%d" % n, b"w") for n in range(2000)}
    assert homes == ALL_SHARDS
    assert home_of(b"u", b"one") == home_of(b"u", b"two")


def test_home_of_the_unique_that_stands_for_the_workload():
    assert home_of(b"-", b"w") == home_of(b"w", b"")


@pytest.mark.parametrize(("unique", "workload"), [(b"", b"w"), (b"-", b"")])
def test_what_joins_nothing_has_no_home(unique, workload):
    assert home_of(unique, workload) == -1


@pytest.mark.parametrize("shards", [{0}, {63}, {5, 9}, set(range(64))])
def test_steps_lead_to_the_next_shard(shards):
    steps = steps_to(frozenset(shards))
    for number in range(1000, 1128):
        following = next(n for n in range(number, number + 64) if n % 64 in shards)
        assert number + steps[number % 64] == following


def test_without_shards_all_numbers_are_as_good():
    assert steps_to(frozenset()) == bytes(64)


def test_spare_numbers_of_servers_are_far_apart_and_above_all_others():
    assert first_spare(0) == 2**62
    assert first_spare(8) - first_spare(7) == 2**36
    assert first_spare(2**26 - 1) + 2**36 == 2**63
    assert first_spare(2**26) == first_spare(0)
