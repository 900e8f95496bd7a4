"""`max-running` and `rate` hold for all servers of a cluster together."""

from random import Random

import pytest

from gearman.commands import Command
from gearman.options import Policies, Policy
from gearman.server.cluster.home import home_of
from gearman.server.cluster.tokens import HOLD, SPAN, TERM
from tests.server.conftest import Wire
from tests.server.joined import Joined

C = Command


def joined(text: bytes, count: int = 3) -> Joined:
    """Return servers with this policy for the function f; the homes grant shares."""
    servers = Joined(count)
    servers.after(TERM)
    servers.member(1).connect().ask(b"set function f " + text)
    servers.run()
    return servers


def home_in(servers: Joined) -> int:
    """Return the number of the server that is home of the function f."""
    return servers.owners[home_of(b"f", b"f")]


def others_of(servers: Joined) -> list[int]:
    home = home_in(servers)
    return [m.number for m in servers if m.number != home]


def submit(servers: Joined, number: int, count: int) -> None:
    client = servers.member(number).connect()
    for _ in range(count):
        client.submit(command=C.SUBMIT_JOB_BG)
    settle(servers)


def settle(servers: Joined) -> None:
    """Let all servers do what they can do at this time."""
    for _ in range(3):
        servers.after(0.021)


def workers(servers: Joined, number: int, count: int) -> list[Wire]:
    return [servers.member(number).connect().can_do() for _ in range(count)]


def start(peers: list[Wire]) -> int:
    """Have workers ask for jobs; return how many have got one."""
    return sum(peer.grab() is not None for peer in peers)


def running(servers: Joined) -> int:
    """Return how many jobs run that belong to any of the servers."""
    return sum(
        function.running - function.borrowed
        for member in servers
        for function in member.broker.functions.known.values()
    )


def test_home_grants_itself_a_share():
    servers = joined(b"max-running=2")
    home = home_in(servers)
    peers = workers(servers, home, 3)
    submit(servers, home, 3)
    assert start(peers) == 2


def test_share_stays_when_another_server_than_the_home_is_lost():
    servers = joined(b"max-running=2")
    one, other = others_of(servers)
    peers = workers(servers, one, 2)
    submit(servers, one, 2)
    servers.cut(one, other)
    assert start(peers) == 2


@pytest.mark.parametrize("text", [b"max-running=2", b"rate=2/m"])
def test_limit_holds_for_all_servers(text):
    servers = joined(text)
    peers = [peer for n in (1, 2, 3) for peer in workers(servers, n, 2)]
    for number in (1, 2, 3):
        submit(servers, number, 2)
    for _ in range(10):
        servers.after(SPAN)
        start(peers)
        assert running(servers) <= 2
    assert running(servers) == 2


def test_worker_that_sleeps_is_woken_by_a_grant():
    servers = joined(b"max-running=1")
    number = others_of(servers)[0]
    worker = servers.member(number).worker()
    submit(servers, number, 1)
    assert worker.got() == [(C.NOOP,)]
    assert worker.grab() is not None


def test_share_goes_to_the_next_server():
    servers = joined(b"max-running=1")
    first, second = others_of(servers)
    for number in (first, second):
        submit(servers, number, 9)
    one, other = workers(servers, first, 1), workers(servers, second, 1)
    settle(servers)
    done = [0, 0]
    for _ in range(60):
        for at, (worker,) in enumerate((one, other)):
            handle = worker.grab()
            if handle is not None:
                assert running(servers) == 1
                worker.send(C.WORK_COMPLETE, handle, b"")
                done[at] += 1
            servers.after(HOLD / 4)
    assert done == [9, 9]


def test_share_is_over_without_a_link():
    servers = joined(b"max-running=4")
    home, number = home_in(servers), others_of(servers)[0]
    peers = workers(servers, number, 4)
    submit(servers, number, 4)
    assert start(peers[:1]) == 1
    servers.cut(*sorted((home, number)))
    servers.after(TERM - 0.2)
    assert start(peers[1:2]) == 1
    servers.after(0.2)
    assert start(peers[2:]) == 0
    servers.after(TERM)
    servers.join(*sorted((home, number)))
    servers.after(TERM)
    settle(servers)
    assert start(peers[2:]) == 2


def test_jobs_of_another_server_count_there():
    servers = joined(b"max-running=1", 2)
    lender, borrower = 1, 2
    peers = [servers.member(borrower).worker() for _ in range(3)]
    servers.run()
    submit(servers, lender, 3)
    servers.run()
    settle(servers)
    assert start(peers) == 1
    assert running(servers) == 1
    assert servers.member(borrower).broker.functions.known[b"f"].borrowed == 1


def test_ended_job_makes_room_for_the_next():
    servers = joined(b"max-running=1", 2)
    (worker,) = workers(servers, 2, 1)
    submit(servers, 1, 3)
    for _ in range(3):
        worker.send(C.PRE_SLEEP)
        settle(servers)
        handle = worker.grab()
        assert handle is not None
        worker.send(C.WORK_COMPLETE, handle, b"")
        settle(servers)
    assert running(servers) == 0


def test_server_that_is_not_sure_to_own_grants_nothing():
    servers = joined(b"max-running=4")
    home, number = home_in(servers), others_of(servers)[0]
    servers.member(home).broker.own(0.0)
    peers = workers(servers, number, 1)
    submit(servers, number, 1)
    assert start(peers) == 0


def test_new_home_waits_for_what_was_granted():
    servers = joined(b"max-running=1")
    home, (number, next_home) = home_in(servers), others_of(servers)
    peers = workers(servers, number, 2)
    submit(servers, number, 2)
    assert start(peers) == 1
    servers.own([next_home if owner == home else owner for owner in servers.owners])
    own = workers(servers, next_home, 1)
    submit(servers, next_home, 1)
    for _ in range(20):
        servers.after(SPAN)
        assert start(own) == start(peers[1:]) == 0
    assert running(servers) == 1


def test_policy_that_is_unset_holds_nobody():
    servers = joined(b"max-running=1")
    number = others_of(servers)[0]
    peers = workers(servers, number, 3)
    submit(servers, number, 3)
    assert start(peers) == 1
    servers.member(1).connect().ask(b"unset function f")
    servers.run()
    servers.after(SPAN)
    assert start(peers[1:]) == 2


def test_function_that_is_paused_gives_its_share_back():
    servers = joined(b"max-running=1")
    first, second = others_of(servers)
    submit(servers, first, 2)
    servers.member(first).connect().can_do()
    settle(servers)
    servers.member(first).broker.policies.load(Policies({b"f": Policy(paused=True)}))
    submit(servers, second, 1)
    peers = workers(servers, second, 1)
    for _ in range(4):
        servers.after(SPAN)
    assert start(peers) == 1


def test_link_that_is_back_at_once():
    servers = joined(b"max-running=1")
    home, number = home_in(servers), others_of(servers)[0]
    peers = workers(servers, number, 1)
    servers.member(number).connect().submit(command=C.SUBMIT_JOB_BG)
    member = servers.member(number)
    # Its report is lost.
    member.after(0)
    servers.cut(*sorted((home, number)))
    servers.join(*sorted((home, number)))
    servers.after(SPAN)
    assert start(peers) == 1


def test_paused_function_needs_no_share():
    servers = joined(b"max-running=1&paused=1")
    first, second = others_of(servers)
    submit(servers, first, 1)
    servers.after(SPAN)
    assert start(workers(servers, first, 1)) == 0


def test_idle_servers_send_nothing():
    servers = joined(b"max-running=1")
    number = others_of(servers)[0]
    (worker,) = workers(servers, number, 1)
    submit(servers, number, 1)
    handle = worker.grab()
    worker.send(C.WORK_COMPLETE, handle or b"", b"")
    for _ in range(4):
        servers.after(SPAN)
    before = [member.packets for member in servers]
    servers.after(10 * SPAN)
    assert [member.packets for member in servers] == before


def test_function_that_was_dropped_and_is_back():
    servers = joined(b"max-running=1")
    number = others_of(servers)[0]
    (worker,) = workers(servers, number, 1)
    submit(servers, number, 1)
    handle = worker.grab()
    worker.send(C.WORK_COMPLETE, handle or b"", b"")
    worker.leave()
    for member in servers:
        if b"f" in member.broker.functions.known:
            member.broker.functions.drop(b"f")
    (worker,) = workers(servers, number, 1)
    submit(servers, number, 1)
    servers.after(TERM)
    assert start([worker]) == 1


def test_late_and_strange_grants_are_dropped():
    servers = joined(b"max-running=1")
    member = servers.member(1)
    remote = member.links.remotes[2]
    member.links.sharing.granted(remote, b"unknown", 1, 1)
    limits = member.broker.functions.of(b"f").starts
    member.links.sharing.granted(remote, b"f", 1, 1)
    assert limits is not None
    assert limits.may_run == 0


@pytest.mark.parametrize("seed", range(8))
def test_limit_holds_whatever_happens_but_for_cuts(seed: int) -> None:
    """Jobs that run when a link breaks go on; the rest is never above the limit."""
    random = Random(seed)
    most = random.choice((1, 2, 4))
    servers = joined(b"max-running=%d" % most)
    peers = [peer for n in (1, 2, 3) for peer in workers(servers, n, 3)]
    started = 0
    for _ in range(300):
        dice = random.random()
        if dice < 0.2:
            submit(servers, random.randrange(3) + 1, random.randrange(3))
        elif dice < 0.22:
            servers.own(random.sample(servers.owners, len(servers.owners)))
        peer = random.choice(peers)
        if peer.peer.jobs:
            peer.send(C.WORK_COMPLETE, next(iter(peer.peer.jobs)), b"")
        elif random.random() < 0.5:
            started += peer.grab() is not None
        else:
            peer.send(C.PRE_SLEEP)
        servers.after(random.choice((0.0, 0.1, 0.5)))
        assert running(servers) <= most
    assert started > 10
