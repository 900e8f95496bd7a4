"""The thread that claims the lease and renews it, with a register in memory."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from gearman.errors import QueueError
from gearman.queue import Claim, Cluster, Holder, Register
from gearman.server.cluster.keeper import Keeper
from gearman.server.cluster.lease import State
from tests.servers import until

OTHER = Holder(7, "other:4730", 0, over=False)


@dataclass
class Memory(Register):
    """Does as its fields say; `calls` are the names of the methods that were called."""

    holder: Holder | None = None
    given: Claim | None = Claim(1, 5, 1000)
    renews: bool = True
    error: Exception | None = None
    calls: list[str] = field(default_factory=list)
    renewing: Callable[[], None] = lambda: None

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.error is not None:
            raise self.error

    def look(self) -> Holder | None:
        self._call("look")
        return self.holder

    def claim(self, seen: Holder | None) -> Claim | None:
        self._call("claim")
        return self.given

    def renew(self) -> bool:
        self._call("renew")
        self.renewing()
        return self.renews

    def release(self) -> None:
        self._call("release")

    def close(self) -> None:
        self.calls.append("close")

    def happens(self, name: str, times: int = 1) -> None:
        """Wait for so many more calls of a method."""
        enough = self.calls.count(name) + times
        until(lambda: self.calls.count(name) >= enough)


@pytest.fixture
def register() -> Memory:
    return Memory()


@pytest.fixture
def keeper(register: Memory) -> Iterator[Keeper]:
    """A keeper with a lease that is soon over, which the test starts."""
    with closing(Keeper(register, Cluster("fleet", "me:4730", 0.2))) as keeper:
        yield keeper
        register.error = None


def is_state(keeper: Keeper, state: State) -> None:
    until(lambda: keeper.state == state)


def test_lease_is_claimed_and_renewed(keeper, register):
    changes = threading.Event()
    keeper.changed = changes.set
    keeper.start()
    is_state(keeper, State.OWNER)
    assert keeper.claim == register.given
    assert changes.wait(5)
    before = keeper.until
    register.happens("renew", 2)
    assert keeper.until > before
    assert register.calls[:2] == ["look", "claim"]


def test_server_stands_by_for_another_one(register, messages):
    register.holder = OTHER
    with closing(Keeper(register, Cluster("fleet", "me:4730", 2.0))) as keeper:
        keeper.start()
        until(lambda: keeper.stands_by)
        register.happens("look", 2)
        assert keeper.state == State.STANDING_BY
    assert messages.count("standing by: other:4730 owns the jobs") == 1


def test_lease_that_is_over_is_claimed(keeper, register):
    register.holder = OTHER._replace(over=True)
    keeper.start()
    is_state(keeper, State.OWNER)
    assert not keeper.stands_by


def test_claim_of_a_faster_server_is_no_failure(keeper, register):
    register.given = None
    keeper.start()
    register.happens("claim", 2)
    assert keeper.state == State.STANDING_BY
    register.given = Claim(2, 6, 1000)
    is_state(keeper, State.OWNER)


def test_refused_owner_looks_again_when_it_has_given_up_the_jobs(
    keeper, register, messages
):
    keeper.start()
    is_state(keeper, State.OWNER)
    register.renews = False
    is_state(keeper, State.LOST)
    until(lambda: messages.count("another server has become the owner of the jobs"))
    register.renews = True
    keeper.give_up()
    is_state(keeper, State.OWNER)
    assert "release" not in register.calls


def test_owner_that_gives_up_releases_the_lease(keeper, register):
    keeper.start()
    is_state(keeper, State.OWNER)
    keeper.give_up(pause=60)
    register.happens("release")
    assert keeper.state == State.STANDING_BY
    keeper.give_up()
    assert register.calls.count("release") == 1


def test_renewal_that_is_answered_after_the_jobs_were_given_up_does_not_count(
    keeper, register
):
    register.renewing = lambda: keeper.give_up(pause=60)
    keeper.start()
    register.happens("release")
    assert keeper.state == State.STANDING_BY


def test_failures_are_told_once_and_make_the_owner_doubt(keeper, register, messages):
    keeper.start()
    is_state(keeper, State.OWNER)
    register.error = QueueError("the database is down")
    is_state(keeper, State.IN_DOUBT)
    until(lambda: messages.count("stored jobs are held until it is renewed"))
    register.happens("renew", 3)
    assert messages.count("cannot be asked for: the database is down") == 1
    register.error = None
    is_state(keeper, State.OWNER)
    until(lambda: messages.count("stored jobs are handed out again"))
    assert messages.count("can be asked for again") == 1


def test_server_that_stands_by_goes_on_after_failures(keeper, register):
    register.error = QueueError("the database is down")
    keeper.start()
    register.happens("look", 3)
    register.error = None
    is_state(keeper, State.OWNER)


def test_bug_of_a_plugin_is_logged(keeper, register, messages):
    register.error = ValueError("oops")
    keeper.start()
    register.happens("look", 2)
    assert messages.count("the queue plugin has a bug")
    assert messages.count("ValueError: oops")


def test_lease_is_released_at_the_end(register):
    with closing(Keeper(register, Cluster("fleet", "me:4730", 60.0))) as keeper:
        keeper.start()
        is_state(keeper, State.OWNER)
    assert register.calls[-2:] == ["release", "close"]


def test_lease_that_cannot_be_released_ends_by_itself(register, messages):
    with closing(Keeper(register, Cluster("fleet", "me:4730", 60.0))) as keeper:
        keeper.start()
        is_state(keeper, State.OWNER)
        register.error = QueueError("the database is down")
    assert register.calls[-1] == "close"
    assert messages.count("the lease could not be released: the database is down")
