"""Leases of a cluster: one server's decisions, and several servers together."""

from math import inf
from random import Random

import pytest

from gearman.queue import Member
from gearman.server.cluster.lease import MOVES, Claimant, Event, Neighbours, State
from tests.server.cluster.memory import LEASE, Database
from tests.server.cluster.simulation import SLOW, Server

# How often the simulated clocks move on.
STEP = 0.05

OTHER = Member(7, "other:1", 1, False, 0.0, 3, over=False)


def member(sent: float = 0.0) -> Claimant:
    claimant = Claimant(LEASE)
    claimant.joined(sent)
    claimant.looked(sent)
    return claimant


def test_server_joins_at_once():
    claimant = Claimant(LEASE)
    assert claimant.state.name == "OUTSIDE"
    assert claimant.delay(100.0) == 0
    assert claimant.until == -inf


def test_member_hands_out_jobs_for_a_lease_after_its_request_was_sent():
    claimant = member(sent=3.0)
    assert claimant.state.name == "MEMBER"
    assert claimant.until == 13.0
    assert not claimant.renews(4.0)
    assert claimant.renews(5.0)
    claimant.renewed(sent=5.0)
    assert claimant.until == 15.0
    assert not claimant.renews(6.0)


def test_others_are_looked_at_each_second():
    claimant = member(sent=5.0)
    assert claimant.delay(5.0) == 1.0
    assert claimant.delay(5.5) == 0.5
    assert claimant.delay(7.5) == 0.0


def test_short_lease_makes_it_look_more_often():
    claimant = Claimant(2.0)
    claimant.joined(5.0)
    claimant.looked(5.0)
    assert claimant.delay(5.0) == pytest.approx(0.2)


def test_server_in_a_hurry_looks_at_once():
    claimant = member()
    claimant.hurry()
    assert claimant.delay(0.0) == 0.0


def test_failure_is_tried_again_soon():
    claimant = member()
    claimant.failed(2.5)
    assert claimant.state.name == "MEMBER"
    assert claimant.delay(2.5) == 0.5
    assert claimant.until == 10.0


def test_member_without_answers_is_in_doubt_and_may_go_on_later():
    claimant = member()
    claimant.failed(10.0)
    assert claimant.state.name == "IN_DOUBT"
    claimant.failed(11.0)
    assert claimant.state.name == "IN_DOUBT"
    claimant.renewed(12.0)
    assert claimant.state.name == "MEMBER"
    assert claimant.until == 22.0


@pytest.mark.parametrize("late", [False, True])
def test_buried_server_hands_out_nothing_until_it_has_given_up(late):
    claimant = member()
    if late:
        claimant.failed(10.0)
    claimant.refused()
    assert claimant.state.name == "LOST"
    assert claimant.until == -inf
    assert claimant.delay(5.0) == inf
    claimant.gave_up(5.0)
    assert claimant.state.name == "OUTSIDE"
    assert claimant.delay(5.0) == 0


def test_server_that_could_not_take_up_the_jobs_pauses():
    claimant = member()
    claimant.gave_up(5.0, pause=3.0)
    assert claimant.state.name == "OUTSIDE"
    assert claimant.until == -inf
    assert claimant.delay(6.0) == 2.0


def test_every_event_is_in_the_table():
    assert set(MOVES) == set(Event)
    reached = {state for moves in MOVES.values() for state in moves.values()}
    assert reached == set(State)


def silent(now, *members, neighbours):
    return [member.id for member in neighbours.silent(now, members)]


@pytest.fixture
def neighbours():
    return Neighbours(LEASE)


def test_lease_that_is_over_is_noticed(neighbours):
    assert silent(0.0, OTHER, OTHER._replace(id=8, over=True), neighbours=neighbours)


def test_lease_that_is_not_renewed_for_its_time_is_over_whatever_its_clock_says(
    neighbours,
):
    assert not silent(0.0, OTHER, neighbours=neighbours)
    assert not silent(9.9, OTHER, neighbours=neighbours)
    assert silent(10.0, OTHER, neighbours=neighbours) == [7]


def test_renewal_is_noticed(neighbours):
    again = OTHER._replace(renewals=4)
    assert not silent(0.0, OTHER, neighbours=neighbours)
    assert not silent(10.0, again, neighbours=neighbours)
    assert not silent(19.9, again, neighbours=neighbours)
    assert silent(20.0, again, neighbours=neighbours) == [7]


def test_calm_ends_when_a_server_comes_or_goes(neighbours):
    assert neighbours.calm(0.0)
    silent(0.0, OTHER, neighbours=neighbours)
    assert not neighbours.calm(4.9)
    silent(4.9, OTHER._replace(renewals=9), neighbours=neighbours)
    assert neighbours.calm(5.0)
    silent(6.0, neighbours=neighbours)
    assert not neighbours.calm(6.0)


class World:
    """Some servers and a database, and what must hold at each moment."""

    def __init__(self, seed: int, servers: int = 3) -> None:
        self.random = Random(seed)
        self.database = Database()
        self.servers = [Server(self.database, self.random) for _ in range(servers)]

    def run(self, seconds: float) -> None:
        until = self.database.time + seconds
        while self.database.time < until:
            self.database.time += STEP
            for server in self.servers:
                server.tick()
            self.check()

    def check(self) -> None:
        serving = [server.serves for server in self.servers]
        if self.database.skew >= 0:
            assert sum(map(len, serving)) == len(frozenset().union(*serving))

    def served(self) -> frozenset[int]:
        return frozenset().union(*(server.serves for server in self.servers))

    def owner(self) -> Server:
        """Return a server that owns shards."""
        return max(self.servers, key=lambda server: len(server.serves))

    def fault(self) -> None:
        server = self.random.choice(self.servers)
        kind = self.random.choice(["kill", "stop", "cut", "heal"])
        if kind == "kill":
            server.kill()
        elif kind == "stop":
            server.running = not server.running
        elif kind == "cut":
            server.connected = not server.connected
        else:
            self.heal()

    def heal(self) -> None:
        for server in self.servers:
            server.connected = server.running = True


ALL = frozenset(range(64))


@pytest.mark.parametrize("seed", range(20))
def test_one_server_at_most_hands_out_jobs_of_a_shard_whatever_happens(seed):
    world = World(seed)
    for _ in range(60):
        world.fault()
        world.run(world.random.uniform(0, 12))
    world.heal()
    world.run(LEASE + 20 * SLOW)
    assert world.served() == ALL


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("how", ["running", "connected"])
def test_others_take_over_in_time(seed, how):
    world = World(seed)
    world.run(20)
    old = world.owner()
    setattr(old, how, False)
    # A look, a burial, and a claim, each with a request and an answer.
    world.run(LEASE + 1 + 8 * SLOW)
    assert world.served() == ALL
    assert old.serves == frozenset()
    setattr(old, how, True)
    world.run(5)
    assert world.served() == ALL
    assert old.claimant.state.name == "MEMBER"


@pytest.mark.parametrize("skew", [-300, 300])
def test_clock_of_the_database_that_is_set_delays_nothing(skew):
    world = World(2)
    world.run(20)
    world.database.skew = skew
    world.run(5)
    world.owner().connected = False
    world.run(LEASE + 10 * SLOW)
    assert world.served() == ALL
