"""Settings are kept by the owner of shard 0, and count at all servers."""

from datetime import UTC

import pytest

from gearman.commands import Command
from gearman.options import Policy, Schedule
from tests.server.broker.steering.test_schedules import (
    Minutes,
    Store,
    jobs,
    load,
    read,
    schedule,
)
from tests.server.joined import Joined, Member, got

C = Command
OK = b"OK\r\n"
END = b".\n"


@pytest.fixture
def three() -> Joined:
    return joined()


def joined(**options: bool) -> Joined:
    """Return three servers; the first one owns shard 0, and no schedule is known."""
    servers = Joined(3, **options)
    for member in servers:
        member.broker.schedules.read = read
        load(member)
    return servers


def tell(three: Joined, number: int, line: bytes) -> bytes:
    """Send a command to a server, and return its answer."""
    admin = three.member(number).connect()
    answer = admin.ask(line)
    three.run()
    return answer + admin.data()


def shown(three: Joined, what: bytes) -> list[bytes]:
    """Return what each server shows, without the end."""
    return [tell(three, n, b"show " + what).removesuffix(END) for n in (1, 2, 3)]


def own_settings(three: Joined, number: int) -> None:
    """Let another server own shard 0, and load what belongs to it."""
    before = three.owners[0]
    three.own([number if owner == before else owner for owner in three.owners])
    three.member(number).broker.stored.restored()
    three.run()


def take_up(member: Member, store: Store) -> None:
    """Let a server load what is stored."""
    for number in sorted(store.rows):
        member.broker.stored.restore(*store.rows[number])  # type: ignore[arg-type]
    member.broker.stored.restored()


def notices(member: Member) -> list[str]:
    return member.broker.schedules.notices


class TestPolicies:
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_policy_is_set_at_all_servers_by_any(self, three, number):
        assert tell(three, number, b"set function f retries=3&dead=list") == OK
        assert shown(three, b"policies") == [b"f\tretries=3&dead=list\n"] * 3

    def test_answer_comes_when_it_is_set_at_the_asked_server(self, three):
        admin = three.member(2).connect()
        assert admin.ask(b"pause function f") == b""
        three.pass_on_to(2, 1)
        assert admin.data() == b""
        three.pass_on(1, 2)
        assert admin.data() == OK
        assert three.member(2).broker.policies.of(b"f").paused

    def test_paused_function_starts_no_job_at_any_server(self, three):
        tell(three, 2, b"pause function f")
        worker = three.member(3).connect().can_do()
        handle = three.member(3).connect().submit()
        assert worker.grab() is None
        worker.send(C.PRE_SLEEP)
        tell(three, 2, b"resume function f")
        assert worker.got() == [(C.NOOP,)]
        assert worker.grab() == handle

    def test_policy_is_unset_at_all(self, three):
        tell(three, 1, b"set function f max-queue=5")
        assert tell(three, 2, b"unset function f") == OK
        assert shown(three, b"policies") == [b""] * 3
        answer = tell(three, 2, b"unset function f")
        assert answer == b"ERR nothing was set for this function\r\n"

    def test_what_was_not_set_may_be_unset(self, three):
        member = three.member(2)
        told = member.links.settings.told
        told(member.links.remotes[1], b"policy", b"name=f&text=")
        assert notices(member) == []

    def test_refusal_of_the_owner_is_told(self, three):
        answer = tell(three, 2, b"set function f retries=x")
        assert answer == tell(three, 1, b"set function f retries=x")
        assert answer.startswith(b"ERR INVALID_ARGUMENTS ")

    def test_functions_of_any_name(self, three):
        name = b"a&b=%\xff"
        tell(three, 2, b"set function " + name + b" ttl=5")
        assert shown(three, b"policies") == [name + b"\tttl=5\n"] * 3

    def test_other_commands_stay_here(self, three):
        three.cut(1, 2)
        assert tell(three, 2, b"retry function f") == b"OK 0\r\n"

    def test_words_are_counted_first(self, three):
        assert tell(three, 2, b"pause function").startswith(b"ERR INVALID_ARGUMENTS")

    def test_policy_that_is_not_understood_is_a_notice(self, three):
        member = three.member(2)
        record = b"name=f&text=%s" % b"color%3Dred"
        member.links.settings.told(member.links.remotes[1], b"policy", record)
        (line,) = notices(member)
        assert line.startswith("a policy was told: ")


class TestLinks:
    def test_without_a_link_to_the_owner_nothing_is_set(self, three):
        three.cut(1, 2)
        answer = tell(three, 2, b"pause function f")
        assert answer.startswith(b"ERR there is no link to the server of the cluster")
        assert shown(three, b"policies") == [b""] * 3

    def test_server_of_a_cluster_without_links_sets_nothing(self, make_server):
        server = make_server()
        server.broker.stored.own(frozenset({1}))
        answer = server.connect().ask(b"set function f retries=1")
        assert answer.startswith(b"ERR there is no link to the server of the cluster")

    def test_link_that_breaks_is_told(self, three):
        admin = three.member(2).connect()
        admin.ask(b"pause function f")
        three.cut(1, 2)
        answer = admin.data()
        assert answer.startswith(b"ERR the server of the cluster that keeps the")

    def test_owner_that_does_not_answer_is_waited_for_two_seconds(self, three):
        admin = three.member(2).connect()
        admin.ask(b"pause function f")
        three.member(2).after(1.9)
        assert admin.data() == b""
        three.member(2).after(0.1)
        assert b"has not answered" in admin.data()

    def test_server_that_is_linked_again_learns_what_was_set(self, three):
        tell(three, 1, b"set function old retries=1")
        tell(three, 1, b"set function both retries=1")
        three.cut(1, 2)
        tell(three, 1, b"unset function old")
        tell(three, 1, b"set function new retries=2")
        assert tell(three, 2, b"show policies").count(b"\n") == 3
        three.join(1, 2)
        assert len(set(shown(three, b"policies"))) == 1

    def test_server_that_is_not_the_owner_any_more_refuses(self, three):
        admin = three.member(2).connect()
        three.member(1).broker.stored.own(frozenset({1}))
        admin.ask(b"pause function f")
        three.run()
        assert b"has not answered" in admin.data()

    def test_others_than_the_owner_are_not_believed(self, three):
        member = three.member(2)
        record = b"name=f&text=paused%3D1"
        member.links.settings.told(member.links.remotes[3], b"policy", record)
        three.member(1).links.settings.told(
            three.member(1).links.remotes[3], b"policy", record
        )
        assert shown(three, b"policies") == [b""] * 3

    def test_others_than_the_owner_tell_nothing(self, three):
        three.member(2).links.settings.loaded()
        assert got(three) == []
        three.member(2).links.settings.changed(b"policy", b"f")
        assert not three.step()


class TestOwners:
    def test_next_owner_tells_what_it_has(self, three):
        tell(three, 3, b"set function f retries=3")
        own_settings(three, 2)
        assert tell(three, 3, b"set function g retries=4") == OK
        lines = b"f\tretries=3\ng\tretries=4\n"
        assert shown(three, b"policies") == [lines] * 3

    def test_next_owner_forgets_what_the_store_has_not(self):
        three = joined(persistent=True)
        store = Store()
        tell(three, 1, b"set function kept retries=3")
        tell(three, 1, b"set schedule kept 1")
        store.commit(three.member(1))
        tell(three, 1, b"set function lost retries=3")
        tell(three, 1, b"set schedule lost 1")
        three.cut(1, 2)
        three.cut(1, 3)
        second = three.member(2)
        three.own([2 if owner == 1 else owner for owner in three.owners])
        take_up(second, store)
        three.run()
        for number in (2, 3):
            assert tell(three, number, b"show policies") == b"kept\tretries=3\n.\n"
            assert list(three.member(number).broker.schedules.known) == ["kept"]

    def test_owner_that_others_see_late_is_asked_later(self, three):
        tell(three, 1, b"set function f retries=3")
        owners = [2 if owner == 1 else owner for owner in three.owners]
        second = three.member(2).broker
        second.policies.set(b"g", Policy(retries=3))
        second.stored.own(frozenset({0}))
        second.stored.restored()
        three.run()
        assert tell(three, 3, b"show policies").count(b"\n") == 2
        three.own(owners)
        three.run()
        assert tell(three, 3, b"show policies").count(b"\n") == 3


class TestSchedules:
    def test_schedule_is_set_and_shown_at_all_servers(self, three):
        assert tell(three, 2, b"set schedule s *") == OK
        first, *others = shown(three, b"schedules")
        assert first.startswith(b"s\t*\tf\t")
        assert others == [first, first]

    def test_runs_are_told(self, three):
        tell(three, 2, b"set schedule s *")
        three.after(40)
        first, *others = shown(three, b"schedules")
        assert others == [first, first]
        assert b"\t1700000040\t0\t" in first
        assert [len(jobs(member)) for member in three] == [1, 0, 0]

    def test_schedule_is_paused_at_all_servers(self, three):
        tell(three, 2, b"set schedule s *")
        assert tell(three, 3, b"pause schedule s") == OK
        assert all(b"\t1\tcommand" in text for text in shown(three, b"schedules"))
        three.after(40)
        assert [len(jobs(member)) for member in three] == [0, 0, 0]
        assert tell(three, 3, b"resume schedule s") == OK
        assert all(b"\t0\tcommand" in text for text in shown(three, b"schedules"))

    def test_schedule_is_unset_at_all_servers(self, three):
        tell(three, 2, b"set schedule s *")
        assert tell(three, 2, b"unset schedule s") == OK
        assert shown(three, b"schedules") == [b""] * 3
        assert tell(three, 2, b"unset schedule s").startswith(b"ERR schedule not found")

    def test_schedule_of_the_file_is_paused_at_all_servers(self, three):
        for member in three:
            load(member, schedule())
        tell(three, 2, b"pause schedule s")
        assert [m.broker.schedules.known["s"].is_paused() for m in three] == [True] * 3

    def test_schedule_that_only_the_file_of_the_owner_has(self, three):
        load(three.member(1), schedule())
        assert tell(three, 2, b"pause schedule s") == OK
        assert tell(three, 2, b"show schedules") == END

    def test_file_of_a_server_comes_before_what_is_set(self, three):
        load(three.member(2), schedule())
        tell(three, 1, b"set schedule s never")
        assert three.member(2).broker.schedules.known["s"].schedule.cron == "* * * * *"
        tell(three, 1, b"unset schedule s")
        assert three.member(2).broker.schedules.known["s"].schedule.cron == "* * * * *"

    def test_schedule_is_run_by_the_owner(self, three):
        tell(three, 1, b"set schedule s *")
        assert tell(three, 2, b"run schedule s") == OK
        assert [len(jobs(member)) for member in three] == [1, 0, 0]

    def test_server_without_a_calendar_may_be_told(self):
        pair = Joined(2)
        member = pair.member(2)
        member.links.settings.told(
            member.links.remotes[1], b"schedule", b"name=s&text=&last=5&paused=1"
        )
        assert member.broker.schedules.known == {}
        load(member, schedule())
        assert member.broker.schedules.known["s"].is_paused()


class TestTakeOver:
    """A schedule runs once for the cluster."""

    def take_over(self, catch_up: float, seconds: float) -> Joined:
        """Kill the owner, which has run a schedule of each minute.

        Another one takes over so many seconds after the next run.
        """
        three = joined(persistent=True)
        for member in three:
            load(member, schedule(catch_up=catch_up, unique=three.unique_of(3)))
        three.after(40)
        store = Store()
        store.commit(three.member(1))
        three.cut(1, 2)
        three.cut(1, 3)
        for member in three.members[1:]:
            member.after(60 + seconds)
        three.own([2 if owner == 1 else owner for owner in three.owners])
        second = three.member(2)
        take_up(second, store)
        second.after(0)
        three.run()
        return three

    def last(self, three: Joined) -> float:
        """Return the time of the last run of the second server."""
        last = three.member(2).broker.schedules.known["s"].last
        assert isinstance(last, float)
        return last

    def test_next_owner_goes_on(self):
        three = self.take_over(catch_up=0, seconds=-10)
        assert self.last(three) == 1_700_000_040
        for member in three.members[1:]:
            member.after(10)
        assert self.last(three) == 1_700_000_100
        assert jobs(three.member(3)) == []

    @pytest.mark.parametrize("catch_up", [0, 600])
    def test_run_that_was_missed_is_made_up(self, catch_up):
        three = self.take_over(catch_up, 9)
        assert self.last(three) == 1_700_000_100
        # Its unique has its home elsewhere; but both runs are for one job.
        assert [len(jobs(member)) for member in three.members[1:]] == [1, 0]

    def test_run_that_was_told_and_not_stored_is_made_up(self):
        three = joined(persistent=True)
        for member in three:
            load(member, schedule(catch_up=600))
        store = Store()
        three.after(40)
        store.commit(three.member(1))
        three.after(60)
        assert three.member(2).broker.schedules.known["s"].told == 1_700_000_100
        three.cut(1, 2)
        three.own([2 if owner == 1 else owner for owner in three.owners])
        second = three.member(2)
        take_up(second, store)
        second.after(0)
        assert self.last(three) == 1_700_000_100
        assert len(jobs(second)) == 2


def test_all_kinds_of_schedules_are_told(three: Joined) -> None:
    """A schedule of the file that never ran has nothing to tell but its name."""
    other = Schedule("other", "* * * * *", UTC, b"f")
    three.member(1).broker.schedules.load([other], Minutes(), 0.0)
    three.member(1).links.settings.loaded()
    three.run()
    assert three.member(2).broker.schedules.known == {}
