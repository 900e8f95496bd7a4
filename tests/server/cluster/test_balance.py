"""Which server should own which shards."""

from hypothesis import given
from hypothesis import strategies as st

from gearman.queue import NOBODY, Member, Shard
from gearman.server.cluster.balance import free_for, moves, targets


def member(id, draining=False):
    return Member(id, f"host:{id}", id, draining, 0.0, 0, over=False)


def members(*ids, draining=()):
    return {id: member(id, id in draining) for id in (*ids, *draining)}


def shards(owners, epoch=1):
    return [Shard(owner, epoch, 0) for owner in owners]


ALL = set(range(64))


def test_first_server_takes_all():
    assert free_for(1, shards([NOBODY] * 64, epoch=0), members(1, 2)) == ALL


def test_free_shards_are_divided():
    free = shards([NOBODY] * 64)
    parts = [free_for(id, free, members(1, 2, 3)) for id in (1, 2, 3)]
    assert sorted(map(len, parts)) == [21, 21, 22]
    assert set().union(*parts) == ALL


def test_shards_of_the_living_are_not_free():
    assert free_for(2, shards([1] * 64), members(1, 2)) == set()


def test_shard_of_an_unknown_server_is_left_alone():
    assert targets([9] * 64, members(1, 2)) == [9] * 64


def test_new_server_gets_its_part_and_shard_0_stays():
    found = moves([1] * 64, members(1, 2))
    assert len(found) == 32
    assert {(move.giver, move.taker) for move in found} == {(1, 2)}
    assert 0 not in {move.shard for move in found}


def test_busy_shards_stay_if_others_can_go():
    busy = set(range(40, 64))
    found = {move.shard for move in moves([1] * 64, members(1, 2), busy)}
    assert len(found) == 32
    assert not busy & found


def test_busy_shards_go_if_there_are_no_others():
    assert len(moves([1] * 64, members(1, 2), ALL)) == 32


def test_balanced_servers_move_nothing():
    assert moves([1] * 32 + [2] * 32, members(1, 2)) == []


def test_one_shard_more_is_no_reason_to_move():
    assert moves([1] * 22 + [2] * 21 + [3] * 21, members(1, 2, 3)) == []
    assert moves([1] * 21 + [2] * 21 + [3] * 22, members(1, 2, 3)) == []


def test_draining_server_gives_all():
    found = moves([1] * 32 + [2] * 32, members(1, draining=(2,)))
    assert len(found) == 32
    assert {(move.giver, move.taker) for move in found} == {(2, 1)}


def test_if_all_drain_nothing_moves():
    everybody = members(draining=(1, 2))
    assert moves([1] * 64, everybody) == []
    assert free_for(1, shards([NOBODY] * 64), everybody) == set()


servers = st.integers(min_value=1, max_value=70)


@st.composite
def clusters(draw):
    """Draw owners of the shards, and members; some owners are nobody, or unknown."""
    ids = draw(st.sets(servers, min_size=1, max_size=20))
    draining = draw(st.sets(st.sampled_from(sorted(ids)), max_size=len(ids)))
    owner = st.sampled_from([NOBODY, 99, *sorted(ids)])
    owners = draw(st.lists(owner, min_size=64, max_size=64))
    return owners, {id: member(id, id in draining) for id in ids}


@given(clusters())
def test_each_active_server_gets_its_part(drawn):
    owners, everybody = drawn
    wanted = targets(owners, everybody)
    active = [id for id, each in everybody.items() if not each.draining]
    if not active:
        assert wanted == owners
        return
    known = sum(owner != 99 for owner in owners)
    counts = [wanted.count(id) for id in active]
    most = -(-64 // len(active))
    assert sum(counts) == known
    assert max(counts) <= most
    if known == 64:
        assert min(counts) >= 64 // len(active)
    # Nobody both gives and gets.
    for id in active:
        given = {n for n in range(64) if owners[n] == id != wanted[n]}
        got = {n for n in range(64) if wanted[n] == id != owners[n]}
        assert not (given and got)


@given(clusters())
def test_moves_lead_to_balance_whatever_their_order(drawn):
    owners, everybody = drawn
    owners = list(owners)
    while True:
        found = moves(owners, everybody)
        if not found:
            break
        for move in found[:4]:
            assert owners[move.shard] == move.giver
            owners[move.shard] = move.taker
    free = {shard for shard, owner in enumerate(owners) if owner == NOBODY}
    parts = [free_for(id, shards(owners), everybody) for id in everybody]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert set().union(*parts) <= free
