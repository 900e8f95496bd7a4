"""Shares of a limit: never more than the limit in all, and nobody starves."""

from collections import deque
from random import Random

import pytest

from gearman.server.cluster.tokens import HOLD, SPAN, TERM, Shares

# Steps of the simulated clock, in seconds.
STEP = 0.05


def shares() -> Shares:
    """Return shares of a home that may grant since the time 0."""
    return Shares(-TERM)


def ask(
    home: Shares, server: int, kept: int, wanted: int, now: float, spent: int = 0
) -> int:
    return home.report(server, kept, wanted, spent, 10, 60.0 if spent else 0.0, now)


def test_one_server_gets_what_it_wants():
    assert ask(shares(), 1, 0, 7, 0.0) == 7


def test_there_is_not_more_than_the_limit():
    home = shares()
    assert ask(home, 1, 0, 20, 0.0) == 10
    assert ask(home, 2, 0, 20, 0.1) == 0


def test_what_one_does_not_need_is_for_others():
    home = shares()
    ask(home, 1, 0, 20, 0.0)
    ask(home, 2, 0, 2, 0.1)
    assert ask(home, 1, 10, 20, HOLD) == 8
    assert ask(home, 2, 0, 2, HOLD) == 0
    ask(home, 1, 8, 20, HOLD + 0.1)
    assert ask(home, 2, 0, 2, HOLD + 0.1) == 2


def test_share_lasts_for_some_time():
    home = shares()
    ask(home, 1, 0, 20, 1.0)
    ask(home, 2, 0, 20, 1.1)
    assert ask(home, 1, 10, 20, 1.0 + HOLD / 2) == 10
    assert ask(home, 1, 10, 20, 1.0 + HOLD) == 5


def test_what_is_kept_counts_until_it_is_given_back():
    home = shares()
    ask(home, 1, 0, 20, 0.0)
    ask(home, 2, 0, 20, 1.0)
    ask(home, 1, 10, 20, 1.0)
    assert ask(home, 1, 10, 20, HOLD) == 5
    assert ask(home, 1, 7, 20, HOLD) == 5
    assert ask(home, 2, 0, 20, HOLD) == 3


def test_share_of_a_silent_server_is_over_after_its_time():
    home = shares()
    ask(home, 1, 0, 20, 0.0)
    assert ask(home, 2, 0, 20, TERM - 0.01) == 0
    assert ask(home, 2, 0, 20, TERM) == 10


def test_new_home_waits():
    home = Shares(0.0)
    assert ask(home, 1, 4, 9, 0.1) == 4
    assert ask(home, 2, 0, 9, TERM - 0.1) == 0
    ask(home, 1, 4, 9, TERM - 0.1)
    assert ask(home, 2, 0, 9, TERM) == 5


def test_limit_that_is_lowered_counts_at_once():
    home = shares()
    ask(home, 1, 0, 8, 0.0)
    assert home.report(1, 8, 8, 0, 3, 0.0, 0.1) == 3
    assert home.report(2, 0, 8, 0, 3, 0.0, 0.1) == 0


def test_what_was_spent_is_not_granted_again():
    home = shares()
    assert ask(home, 1, 0, 20, 0.0, spent=4) == 6
    assert ask(home, 1, 1, 20, 1.0, spent=9) == 1
    assert ask(home, 1, 0, 20, 2.0, spent=10) == 0


def test_all_of_a_silent_server_counts_as_spent():
    home = shares()
    ask(home, 1, 0, 20, 0.0, spent=4)
    assert home.report(2, 0, 9, 0, 10, 60.0, 30.0) == 0
    assert home.report(2, 0, 9, 0, 10, 60.0, TERM + 59.9) == 0
    assert home.report(2, 0, 9, 0, 10, 60.0, TERM + 60.0) == 9


class Site:
    """A server of the simulation: jobs wait and run, and it has a share."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.home = 0
        self.share = 0
        self.until = 0.0
        self.asked = self.next = 0.0
        self.is_waiting = False
        self.queued = 0
        # When its running jobs end, and when it has started jobs.
        self.running: list[float] = []
        self.starts: deque[float] = deque()
        # Since when jobs wait and none was started.
        self.hungry = 0.0


class World:
    """Servers with links that are slow and break, and a home that changes.

    With `seconds`, the limit is for starts in any time as long; else for running jobs.
    """

    def __init__(self, seed: int, seconds: float) -> None:
        self.random = Random(seed)
        self.seconds = seconds
        self.most = self.random.choice((1, 2, 5, 10))
        self.sites = [Site(number) for number in range(4)]
        self.now = 0.0
        self.home = 0
        self.book = Shares(0.0)
        self.cut: dict[int, float] = {}
        # What is under way: when it arrives, and what is done then; in order.
        self.mail: dict[int, deque[tuple[float, int, tuple[int, ...]]]] = {}
        self.all_starts: deque[float] = deque()
        self.hungriest = 0.0

    def step(self, calm: bool) -> None:
        self.now += STEP
        if not calm:
            self.disturb()
        for site in self.sites:
            self.deliver(site)
            self.work(site)
            self.report(site)
        self.check()

    def disturb(self) -> None:
        dice = self.random.random()
        if dice < 0.005:
            number = self.random.randrange(4)
            self.cut[number] = self.now + self.random.choice((0.3, 1.0, 5.0))
            self.mail.pop(number, None)
            self.sites[number].is_waiting = False
        elif dice < 0.007:
            self.home = self.random.randrange(4)
            self.book = Shares(self.now)

    def deliver(self, site: Site) -> None:
        box = self.mail.get(site.number, deque())
        while box and box[0][0] <= self.now:
            _, home, (kind, *numbers) = box.popleft()
            if kind == 0:
                self.post(site, home, (1, self.grant(site, home, *numbers)))
            elif kind == 1 and home == site.home:
                site.share, site.is_waiting = numbers[0], False
                site.until = site.asked + TERM
                if self.seconds:
                    # Those that were used meanwhile are none any more.
                    site.share -= sum(t > site.asked for t in site.starts)

    def grant(self, site: Site, home: int, kept: int, wanted: int, spent: int) -> int:
        """Return the answer of a server that is the home, or was."""
        if home != self.home:
            return 0
        return self.book.report(
            *(site.number, kept, wanted, spent),
            *(self.most, self.seconds, self.now),
        )

    def post(self, site: Site, home: int, what: tuple[int, ...]) -> None:
        if self.cut.get(site.number, 0.0) > self.now:
            site.is_waiting = False
            return
        box = self.mail.setdefault(site.number, deque())
        last = box[-1][0] if box else 0.0
        delay = self.random.choice((0.0, 0.0, 0.1, 0.4))
        box.append((max(self.now + delay, last), home, what))

    def work(self, site: Site) -> None:
        site.running = [end for end in site.running if end > self.now]
        while site.starts and site.starts[0] + self.seconds <= self.now:
            site.starts.popleft()
        if self.random.random() < 0.2:
            site.queued = min(site.queued + self.random.randrange(4), 20)
        if not site.queued:
            site.hungry = self.now
        while site.queued and self.may_start(site):
            site.queued -= 1
            site.hungry = self.now
            site.running.append(self.now + self.random.choice((0.1, 0.5, 1.5)))
            if self.seconds:
                site.share -= 1
                site.starts.append(self.now)
                self.all_starts.append(self.now)
        self.hungriest = max(self.hungriest, self.now - site.hungry)

    def may_start(self, site: Site) -> bool:
        if site.until <= self.now:
            return False
        return site.share > (0 if self.seconds else len(site.running))

    def report(self, site: Site) -> None:
        if site.home != self.home and self.random.random() < 0.2:
            # It sees late which server is the home.
            site.home, site.is_waiting = self.home, False
            self.mail.pop(site.number, None)
        if site.is_waiting or self.now < site.next:
            return
        site.next, site.asked, site.is_waiting = self.now + SPAN, self.now, True
        if site.until <= self.now:
            site.share = 0
        running = 0 if self.seconds else len(site.running)
        wanted = running + site.queued
        site.share = min(site.share, wanted)
        kept = max(site.share, running)
        spent = len(site.starts) if self.seconds else 0
        self.post(site, site.home, (0, kept, wanted, spent))

    def check(self) -> None:
        held = sum(max(s.share, 0) for s in self.sites if s.until > self.now)
        while self.all_starts and self.all_starts[0] + self.seconds <= self.now:
            self.all_starts.popleft()
        assert held + len(self.all_starts) <= self.most, self.now


@pytest.mark.parametrize("seconds", [0.0, 3.0])
@pytest.mark.parametrize("seed", range(12))
def test_sum_of_shares_is_never_above_the_limit(seed: int, seconds: float) -> None:
    world = World(seed, seconds)
    for _ in range(1200):
        world.step(calm=False)


@pytest.mark.parametrize("seconds", [0.0, 3.0])
@pytest.mark.parametrize("seed", range(6))
def test_nobody_starves(seed: int, seconds: float) -> None:
    world = World(seed, seconds)
    for _ in range(2400):
        world.step(calm=True)
    assert world.hungriest < 30
