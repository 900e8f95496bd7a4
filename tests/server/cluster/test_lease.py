"""The lease of a cluster: one server's decisions, and several servers together."""

from math import inf
from random import Random

import pytest

from gearman.queue import Holder
from gearman.server.cluster.lease import MOVES, Claimant, Event, State
from tests.server.cluster.simulation import LEASE, SLOW, Database, Server

# How often the simulated clocks move on.
STEP = 0.05

OTHER = Holder(7, "other:1", 3, over=False)


def owner(sent: float = 0.0) -> Claimant:
    claimant = Claimant(LEASE)
    claimant.claimed(sent)
    return claimant


def test_server_stands_by_at_first_and_looks_at_once():
    claimant = Claimant(LEASE)
    assert claimant.state.name == "STANDING_BY"
    assert claimant.delay(100.0) == 0
    assert claimant.until == -inf


def test_lease_that_nobody_has_is_claimed():
    assert Claimant(LEASE).may_claim(0.0, None)


def test_lease_that_is_over_is_claimed():
    assert Claimant(LEASE).may_claim(0.0, OTHER._replace(over=True))


def test_lease_of_another_is_looked_at_again():
    claimant = Claimant(LEASE)
    assert not claimant.may_claim(5.0, OTHER)
    assert claimant.delay(5.0) == 1.0
    assert claimant.delay(5.5) == 0.5


def test_short_lease_is_looked_at_more_often():
    claimant = Claimant(2.0)
    claimant.may_claim(5.0, OTHER)
    assert claimant.delay(5.0) == pytest.approx(0.2)


def test_lease_that_is_not_renewed_for_its_time_is_claimed_whatever_its_clock_says():
    claimant = Claimant(LEASE)
    assert not claimant.may_claim(0.0, OTHER)
    assert not claimant.may_claim(9.9, OTHER)
    assert claimant.may_claim(10.0, OTHER)


def test_renewal_is_noticed():
    claimant = Claimant(LEASE)
    claimant.may_claim(0.0, OTHER)
    assert not claimant.may_claim(10.0, OTHER._replace(renewals=4))
    assert not claimant.may_claim(19.9, OTHER._replace(renewals=4))
    assert claimant.may_claim(20.0, OTHER._replace(renewals=4))


def test_another_owner_is_noticed():
    claimant = Claimant(LEASE)
    claimant.may_claim(0.0, OTHER)
    assert not claimant.may_claim(10.0, OTHER._replace(id=8))


def test_owner_hands_out_jobs_for_a_lease_after_its_request_was_sent():
    claimant = owner(sent=3.0)
    assert claimant.state.name == "OWNER"
    assert claimant.until == 13.0
    claimant.renewed(sent=5.0)
    assert claimant.until == 15.0
    assert claimant.delay(6.0) == 1.0


def test_failure_is_tried_again_soon():
    claimant = owner()
    claimant.failed(2.5)
    assert claimant.state.name == "OWNER"
    assert claimant.delay(2.5) == 0.5
    assert claimant.until == 10.0


def test_owner_without_answers_is_in_doubt_and_may_be_owner_again():
    claimant = owner()
    claimant.failed(10.0)
    assert claimant.state.name == "IN_DOUBT"
    claimant.failed(11.0)
    assert claimant.state.name == "IN_DOUBT"
    claimant.renewed(12.0)
    assert claimant.state.name == "OWNER"
    assert claimant.until == 22.0


@pytest.mark.parametrize("late", [False, True])
def test_refused_owner_hands_out_nothing_until_it_has_given_up(late):
    claimant = owner()
    if late:
        claimant.failed(10.0)
    claimant.refused()
    assert claimant.state.name == "LOST"
    assert claimant.until == -inf
    assert claimant.delay(5.0) == inf
    claimant.gave_up(5.0)
    assert claimant.state.name == "STANDING_BY"
    assert claimant.delay(5.0) == 0


def test_server_that_could_not_take_up_the_jobs_pauses():
    claimant = owner()
    claimant.gave_up(5.0, pause=3.0)
    assert claimant.state.name == "STANDING_BY"
    assert claimant.until == -inf
    assert claimant.delay(6.0) == 2.0


def test_every_event_is_in_the_table():
    assert set(MOVES) == set(Event)
    reached = {state for moves in MOVES.values() for state in moves.values()}
    assert reached == set(State)


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
        serving = [server for server in self.servers if server.serves]
        if self.database.skew >= 0:
            assert len(serving) <= 1
        for server in serving:
            assert server.claimant.state in (State.OWNER, State.IN_DOUBT)

    def owner(self) -> Server:
        (owner,) = (server for server in self.servers if server.serves)
        assert owner.id == self.database.owner
        return owner

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


@pytest.mark.parametrize("seed", range(20))
def test_one_server_at_most_hands_out_jobs_whatever_happens(seed):
    world = World(seed)
    for _ in range(60):
        world.fault()
        world.run(world.random.uniform(0, 12))
    world.heal()
    world.run(LEASE + 10 * SLOW)
    world.owner()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("how", ["running", "connected"])
def test_another_takes_over_in_time(seed, how):
    world = World(seed)
    world.run(20)
    old = world.owner()
    setattr(old, how, False)
    # A look and a claim, each with a request and an answer, after a pause.
    world.run(LEASE + 1 + 4 * SLOW)
    new = world.owner()
    assert new is not old
    setattr(old, how, True)
    world.run(5)
    assert world.owner() is new
    assert old.claimant.state.name == "STANDING_BY"


def test_released_lease_is_taken_at_once():
    world = World(1)
    world.run(20)
    old = world.owner()
    world.database.release(old.id)
    old.kill()
    old.connected = False
    world.run(1 + 4 * SLOW)
    assert world.owner() is not old


@pytest.mark.parametrize("skew", [-300, 300])
def test_clock_of_the_database_that_is_set_delays_nothing(skew):
    world = World(2)
    world.run(20)
    old = world.owner()
    world.database.skew = skew
    world.run(5)
    old.connected = False
    world.run(LEASE + 1 + 4 * SLOW)
    assert world.database.owner != old.id
    old.connected = True
    world.run(5)
    world.owner()
