"""A relay without sockets: two brokers in memory, or one and packets written here."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from math import inf
from typing import Any

import pytest

from gearman import _framing
from gearman.commands import REQUEST, RESPONSE, Command
from gearman.errors import ProtocolError
from gearman.options import Policies, Policy
from gearman.server.broker.making import number_of
from gearman.server.relay.flight import FIRST_WINDOW
from gearman.server.relay.lane import IDLE, SILENCE, Lane, State
from gearman.server.relay.model import Relay
from gearman.server.relay.pauses import FIRST, LONGEST
from tests.server.conftest import Server, Wire

HERE = b"here-1"
PLAIN = Relay("far", (("far", 4730), ("farther", 4730)), (b"f", b"mail.*"))
BG = Command.SUBMIT_JOB_BG
OK = Command.JOB_CREATED
CREATED = _framing.encode(OK, (b"H:far:1",))
FULL = _framing.encode(Command.ERROR, (b"QUEUE_ERROR", b"Job queue is full"))
NO_OPTIONS = _framing.encode(Command.ERROR, (b"UNKNOWN_OPTION", b"no"))
EXTENDED = _framing.encode(Command.OPTION_RES, (b"extensions",))


class Near:
    """A server with a relay, whose connection the test has in its hands."""

    def __init__(self, relay: Relay = PLAIN, **options: Any) -> None:
        self.server = Server(**options)
        self.broker = self.server.broker
        self.woken = 0
        self.lane = Lane(self.broker, relay, HERE, self._wake, lambda: 1.0)
        self.client = self.server.connect()
        self._decoder = _framing.Decoder(REQUEST)

    def _wake(self) -> None:
        self.woken += 1

    def open(self, answer: bytes = NO_OPTIONS) -> "Near":
        """Connect to a server that gives this answer to the first question."""
        self.lane.opened()
        assert self.sent() == [(Command.OPTION_REQ, b"extensions")]
        return self.answer(answer)

    def answer(self, data: bytes, times: int = 1) -> "Near":
        self.lane.receive(data * times)
        self.lane.pump()
        return self

    def submit(self, *workloads: bytes, **more: Any) -> list[bytes]:
        more = {"command": BG, **more}
        return [self.client.submit(workload=each, **more) for each in workloads]

    def submit_with(self, text: bytes) -> bytes:
        arguments = (b"f", b"", text + b"&background=1", b"w")
        ((_, handle),) = self.client.send(Command.SUBMIT_JOB_WITH, *arguments)
        assert isinstance(handle, bytes)
        return handle

    def packets(self) -> list[tuple[Any, ...]]:
        """Pump, and return what was sent since the last call."""
        self.lane.pump()
        return self.sent()

    def sent(self) -> list[tuple[Any, ...]]:
        packets: list[tuple[Any, ...]] = []
        for number, arguments in self._decoder.feed(self.lane.data_to_send()):
            assert not isinstance(arguments, ProtocolError), arguments
            packets.append((Command(number), *arguments))
        return packets

    def workloads(self) -> list[bytes]:
        return [packet[-1] for packet in self.packets()]

    def lose(self) -> float:
        return self.lane.lost("gone")

    @property
    def facts(self) -> Any:
        return self.lane.facts()


@pytest.fixture
def near() -> Near:
    return Near()


@pytest.fixture
def make_near() -> Callable[..., Near]:
    return Near


def keep(near: Near) -> list[int]:
    """Let the store have done everything; return what it has removed."""
    changes = list(near.broker.jobs.changes)
    near.broker.jobs.changes.clear()
    near.broker.stored.durable([each for each in changes if not isinstance(each, int)])
    return [each for each in changes if isinstance(each, int)]


def test_background_jobs_are_passed_on_with_a_unique_of_their_handle(near):
    (first,) = near.submit(b"1")
    near.open()
    (second,) = near.submit(b"2", function=b"mail.send")
    assert near.packets() == [
        (BG, b"f", b"far:" + first, b"1"),
        (BG, b"mail.send", b"far:" + second, b"2"),
    ]
    assert near.server.broker.functions.known[b"f"].workers == 1
    near.answer(CREATED, 2)
    assert not near.broker.jobs.known
    assert near.facts == {
        "name": "far",
        "connected": True,
        "server": ["far", 4730],
        "waiting": 0,
        "unanswered": 0,
        "passed_on": 2,
        "refused": 0,
        "failures": 0,
        "error": None,
    }
    assert near.broker.functions.known[b"f"].stats.passed_on == 1


def test_jobs_of_other_functions_stay(near):
    near.submit(b"1", function=b"g")
    assert near.open().packets() == []
    assert near.facts["waiting"] == 0


def test_new_job_wakes_the_relay(near):
    near.submit(b"0")
    near.open()
    assert near.workloads() == [b"0"]
    near.woken = 0
    near.submit(b"1")
    assert near.woken == 1
    assert near.workloads() == [b"1"]
    near.woken = 0
    near.submit(b"2", function=b"mail.new")
    assert near.woken
    assert near.workloads() == [b"2"]


def test_foreground_jobs_wait_for_workers_here(near):
    near.open()
    foreground = near.client.submit(workload=b"fore")
    near.submit(b"back")
    assert near.workloads() == [b"back"]
    near.submit(b"more")
    assert near.workloads() == [b"more"]
    worker = near.server.connect().can_do()
    assert worker.grab() == foreground


def test_job_whose_result_is_awaited_is_not_passed_on(near):
    (handle,) = near.submit(b"1")
    near.client.send(Command.WATCH_JOB, handle)
    assert near.open().packets() == []
    near.client.leave()
    assert near.workloads() == [b"1"]


def test_client_that_joins_late_gets_no_result(near):
    near.open()
    (handle,) = near.submit(b"1", unique=b"u")
    assert near.packets() == [(BG, b"f", b"far:" + handle, b"1")]
    client = near.server.connect()
    assert client.submit(unique=b"u") == handle
    near.answer(CREATED)
    assert client.got() == [(Command.WORK_FAIL, handle)]


def test_job_with_a_reducer_stays(near):
    near.open()
    words = (b"f", b"", b"r", b"", b"w")
    near.client.send(Command.SUBMIT_REDUCE_JOB_BACKGROUND, *words)
    assert near.packets() == []


def test_priorities_come_first_and_are_kept(near):
    near.submit(b"low", command=Command.SUBMIT_JOB_LOW_BG)
    near.submit(b"1", b"2")
    near.submit(b"high", command=Command.SUBMIT_JOB_HIGH_BG)
    near.open()
    found = [(command, data) for command, _, _, data in near.packets()]
    assert found == [
        (Command.SUBMIT_JOB_HIGH_BG, b"high"),
        (BG, b"1"),
        (BG, b"2"),
        (Command.SUBMIT_JOB_LOW_BG, b"low"),
    ]


def test_functions_take_turns(near):
    near.submit(*[b"f"] * 20)
    near.submit(b"m", function=b"mail.x")
    near.open()
    workloads = near.workloads()
    assert len(workloads) == FIRST_WINDOW
    near.answer(CREATED, FIRST_WINDOW)
    assert b"m" in workloads + near.workloads()


def test_long_unique_is_hashed(make_near):
    name = "n" * 60
    near = make_near(replace(PLAIN, name=name)).open()
    (handle,) = near.submit(b"1")
    unique = sha256(name.encode() + b":" + handle).hexdigest().encode()
    assert near.packets() == [(BG, b"f", unique, b"1")]


def test_uniques_are_kept_if_that_is_wished():
    near = Near(replace(PLAIN, keep_uniques=True)).open()
    (first, _) = near.submit(b"1"), near.submit(b"2", unique=b"u")
    uniques = [packet[2] for packet in near.packets()]
    assert uniques == [b"far:" + first[0], b"u"]


# -- options


def options(near: Near) -> list[bytes]:
    return [text for _, _, _, text, _ in near.packets()]


def test_options_go_to_a_server_that_has_them(near):
    near.open(EXTENDED)
    near.submit_with(b"retries=3&timeout=5&keep=60&need-worker=0&delay=0&priority=high")
    assert options(near) == [
        b"timeout=5&retries=3&keep=60&background=1&priority=high&via=here-1"
    ]


def test_what_is_left_of_the_time_to_live_goes_with_the_job(near):
    near.submit_with(b"ttl=10")
    near.server.after(4)
    near.open(EXTENDED)
    assert options(near) == [b"ttl=6&background=1&via=here-1"]
    near.server.after(20)
    near.lose()
    near.open(EXTENDED)
    assert options(near) == [b"ttl=0.001&background=1&via=here-1"]


def test_timeout_is_not_that_of_passing_on(near):
    near.broker.policies.load(Policies({b"f": Policy(timeout=1.0, retries=0)}))
    near.open()
    near.submit(b"1")
    assert near.workloads() == [b"1"]
    near.server.after(60)
    assert near.broker.functions.known[b"f"].running == 1
    near.answer(CREATED)
    assert not near.broker.jobs.known


def test_scheduled_job_is_passed_on_at_its_time(near):
    near.open(EXTENDED)
    near.submit_with(b"delay=5")
    assert near.packets() == []
    near.server.after(5)
    assert options(near) == [b"background=1&via=here-1"]


@pytest.mark.parametrize("names", [HERE, b",".join(b"s%d" % n for n in range(16))])
def test_job_that_has_been_here_stays(near, names):
    near.open(EXTENDED)
    near.submit_with(b"via=" + names)
    assert near.packets() == []


def test_job_that_came_from_elsewhere_goes_on(near):
    near.open(EXTENDED)
    near.submit_with(b"via=there")
    assert options(near) == [b"background=1&via=there,here-1"]


def test_two_relays_in_a_circle_end_with_a_job_that_stays():
    one, two = Near(), Near()
    two.lane = Lane(two.broker, PLAIN, b"there", lambda: None, lambda: 1.0)
    links = {one: two.server.connect(), two: one.server.connect()}
    for near, link in links.items():
        near.lane.opened()
        link.protocol.receive(near.lane.data_to_send())
        near.answer(link.data())
    one.submit(b"1")
    for _ in range(4):
        for near, link in links.items():
            near.lane.pump()
            link.protocol.receive(near.lane.data_to_send() or b"\n")
            answers = link.data().removeprefix(b"ERR UNKNOWN_COMMAND ")
            if answers.startswith(RESPONSE):
                near.answer(answers)
    assert (one.facts["passed_on"], two.facts["passed_on"]) == (1, 1)
    assert one.facts["waiting"] == 1
    assert not two.broker.jobs.known


# -- connections that fail


def test_unanswered_jobs_are_sent_again_in_their_order(near):
    near.open()
    near.submit(b"1", b"2", b"3")
    assert near.workloads() == [b"1", b"2", b"3"]
    near.answer(CREATED)
    near.submit(b"4")
    near.lose()
    assert near.broker.functions.known[b"f"].workers == 0
    assert near.packets() == []
    near.open()
    assert near.workloads() == [b"2", b"3", b"4"]
    near.answer(CREATED, 3)
    assert not near.broker.jobs.known


def test_no_attempt_is_counted_when_the_connection_is_lost(make_near):
    near = make_near(retries=1).open()
    near.submit(b"1")
    for _ in range(5):
        assert near.workloads() == [b"1"]
        near.lose()
        near.open()
    assert near.broker.functions.known[b"f"].stats.lost == 0


def test_job_that_is_cancelled_is_not_sent_again(near):
    near.open()
    (handle, _) = near.submit(b"1", b"2")
    near.packets()
    near.client.ask(b"cancel job " + handle)
    near.lose()
    near.open()
    assert near.workloads() == [b"2"]
    near.client.ask(b"cancel job " + near.submit(b"3")[0])
    near.answer(CREATED)
    assert near.facts["passed_on"] == 1


def test_answer_for_a_cancelled_job_is_ignored(near):
    near.open()
    for answer in (CREATED, FULL):
        (handle,) = near.submit(b"1")
        assert near.workloads() == [b"1"]
        near.client.ask(b"cancel job " + handle)
        near.answer(answer)
    assert near.facts["unanswered"] == 0


def test_few_jobs_are_sent_at_first_and_more_with_each_answer(near):
    near.submit(*[b"w"] * 100)
    near.open()
    assert len(near.packets()) == FIRST_WINDOW
    near.answer(CREATED, 10)
    assert len(near.packets()) == 20
    near.lose()
    near.open()
    assert len(near.packets()) == FIRST_WINDOW


def test_no_more_jobs_are_unanswered_than_allowed(make_near):
    near = make_near(replace(PLAIN, jobs=2))
    near.submit(b"1", b"2", b"3")
    near.open()
    assert near.workloads() == [b"1", b"2"]
    near.woken = 0
    near.submit(b"4")
    assert near.woken == 0
    near.answer(CREATED)
    assert near.workloads() == [b"3"]


def test_no_more_bytes_are_unanswered_than_allowed(make_near):
    near = make_near(replace(PLAIN, size=10))
    near.submit(b"x" * 11, b"1" * 6, b"2" * 4, b"3")
    near.open()
    for expected in ([b"x" * 11], [b"1" * 6, b"2" * 4]):
        assert near.workloads() == expected
        near.answer(CREATED, len(expected))
    assert near.workloads() == [b"3"]


def test_servers_are_tried_in_turn_and_then_after_pauses(near):
    pauses = []
    for _ in range(20):
        pauses.append((near.lane.route.server[0], near.lose()))
    assert pauses[:4] == [("far", 0.0), ("farther", FIRST), ("far", 0.0)] + [
        ("farther", FIRST * 2)
    ]
    assert pauses[-1] == ("farther", LONGEST)
    assert near.facts["error"] == "gone"
    assert near.facts["failures"] == 20
    assert near.facts["connected"] is False
    near.open().submit(b"1")
    near.packets()
    near.answer(CREATED)
    assert near.facts["error"] is None
    assert [near.lose(), near.lose()] == [0.0, FIRST]


def test_server_that_is_silent_is_asked_for_an_echo(near):
    near.open()
    assert near.lane.due() == near.server.now + IDLE
    near.server.after(IDLE)
    assert near.lane.check(False)
    assert near.sent() == [(Command.ECHO_REQ, b"relay")]
    assert near.lane.due() == near.server.now + SILENCE
    near.server.after(1)
    near.answer(_framing.encode(Command.ECHO_RES, (b"relay",)))
    assert near.lane.due() == near.server.now + IDLE
    assert near.lane.check(False)
    assert near.sent() == []


def test_server_that_does_not_answer_is_lost(near):
    near.open()
    near.server.after(9)
    near.submit(b"1")
    near.packets()
    near.server.after(SILENCE - 1)
    assert near.lane.check(False)
    near.server.after(1)
    assert not near.lane.check(False)
    # A long packet is on its way.
    assert near.lane.check(True)
    near.lose()
    assert near.lane.due() == inf
    assert near.lane.check(False)


def test_server_that_says_nothing_at_first_is_lost(near):
    near.lane.opened()
    assert near.lane.state == State.ASKING
    near.lane.pump()
    near.server.after(SILENCE)
    assert not near.lane.check(False)


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad", CREATED, FULL])
def test_answer_that_nobody_has_asked_for_is_an_error(near, data):
    near.open()
    with pytest.raises(ProtocolError):
        near.lane.receive(data)


# -- refusals


def test_refused_jobs_are_sent_again_after_a_pause_in_their_order(near):
    near.open()
    near.submit(b"1", b"2", b"3")
    near.submit(b"m", function=b"mail.x")
    near.packets()
    near.answer(CREATED).answer(FULL, 3)
    near.submit(b"4")
    near.submit(b"n", function=b"mail.x")
    assert near.workloads() == [b"n"]
    near.answer(CREATED)
    assert near.lane.notices == [
        "relay far: jobs of f wait: QUEUE_ERROR: Job queue is full"
    ]
    assert near.lane.due() == near.server.now + FIRST
    near.server.after(FIRST)
    assert near.workloads() == [b"1", b"2", b"3", b"4"]
    near.answer(FULL, 4)
    assert near.lane.due() == near.server.now + 2 * FIRST
    near.submit(b"n", function=b"mail.x")
    assert near.workloads() == [b"n"]
    near.lose()
    near.server.after(60)
    near.open()
    assert near.workloads() == [b"1", b"2", b"3", b"4", b"n"]
    near.answer(CREATED, 5)
    assert not near.broker.jobs.known


def test_jobs_that_wait_again_do_not_exceed_the_window(make_near):
    near = make_near(replace(PLAIN, jobs=2)).open()
    near.submit(b"1", b"2", b"3", b"4")
    near.packets()
    near.lose()
    near.open()
    assert near.workloads() == [b"1", b"2"]
    near.answer(FULL, 2)
    near.submit(b"m", b"n", function=b"mail.x")
    assert near.workloads() == [b"m", b"n"]
    near.server.after(FIRST)
    assert near.workloads() == []
    near.answer(CREATED, 2)
    assert near.workloads() == [b"1", b"2"]


def test_job_that_is_refused_for_good_goes_to_the_dead_list(near):
    refusal = _framing.encode(Command.ERROR, (b"ARGUMENT_TOO_LARGE", b"too large"))
    near.open()
    (handle,) = near.submit(b"1")
    near.packets()
    near.answer(refusal)
    dead = near.broker.dead.find(handle)
    reason = b"relay far: ARGUMENT_TOO_LARGE: too large"
    assert dead is not None
    assert dead.extra.reason == reason
    assert near.lane.notices == [
        f"relay far: job {handle.decode()} is given up: ARGUMENT_TOO_LARGE: too large"
    ]
    assert near.facts["refused"] == 1
    other = near.submit_with(b"dead=none&keep=60")
    near.packets()
    near.answer(refusal)
    assert near.broker.dead.find(other) is None
    assert near.broker.results.of(other) == (b"failed", reason)


# -- the store, and the end


def test_stored_job_is_removed_when_it_is_accepted(make_near):
    near = make_near(persistent=True).open()
    near.client.send(BG, b"f", b"", b"1")
    assert near.packets() == []
    keep(near)
    ((_, handle),) = near.client.got()
    assert near.workloads() == [b"1"]
    assert keep(near) == []
    near.answer(CREATED)
    assert keep(near) == [number_of(handle)]


def test_draining_server_leaves_stored_jobs_when_the_other_one_is_gone(make_near):
    near = make_near(persistent=True)
    near.client.send(BG, b"f", b"", b"1")
    near.client.send(BG, b"f", b"", b"2")
    keep(near)
    near.open()
    near.packets()
    near.broker.stored.shelve()
    near.lane.drain()
    near.answer(CREATED)
    assert len(near.broker.jobs.known) == 1
    near.lose()
    assert not near.broker.jobs.known
    assert len(keep(near)) == 1


def test_shard_can_leave_while_the_other_server_is_gone(make_near):
    near = make_near(persistent=True)
    near.client.send(BG, b"f", b"", b"1")
    near.client.send(BG, b"f", b"", b"2")
    keep(near)
    near.open()
    near.packets()
    near.lose()
    first, second = near.broker.jobs.known
    near.broker.stored.leave(frozenset({first % 64}))
    near.lose()
    assert list(near.broker.jobs.known) == [second]
    near.open()
    assert near.workloads() == [b"2"]


def test_draining_server_without_a_store_passes_on_all_it_has(near):
    near.open()
    near.submit(b"1")
    near.packets()
    near.lose()
    near.lane.drain()
    assert near.facts["waiting"] == 1
    near.open()
    assert near.workloads() == [b"1"]
    near.answer(CREATED)
    assert not near.broker.jobs.known


def test_relay_that_is_removed_gives_its_jobs_back(near):
    near.open()
    near.submit(b"1", b"2")
    (cancelled,) = near.submit(b"3")
    near.packets()
    near.client.ask(b"cancel job " + cancelled)
    near.lane.close()
    assert near.broker.functions.newcomers == []
    worker = near.server.connect().can_do()
    assert [worker.grab_workload(), worker.grab_workload()] == [b"1", b"2"]


def test_relay_ends_with_its_server(near):
    near.open()
    near.submit(b"1")
    near.packets()
    near.lane.close()
    assert list(near.broker.peers) == [near.client.peer]


# -- beside other workers


def test_paused_function_is_not_passed_on(near):
    near.open()
    near.client.ask(b"pause function f")
    near.submit(b"1")
    assert near.packets() == []
    near.client.ask(b"resume function f")
    assert near.workloads() == [b"1"]


def test_rate_of_a_function_holds_for_passing_on(near):
    near.broker.policies.load(Policies({b"f": Policy(max_running=1)}))
    near.open()
    near.submit(b"1", b"2")
    assert near.workloads() == [b"1"]
    near.answer(CREATED)
    assert near.workloads() == [b"2"]


def test_relay_that_was_woken_for_nothing_wakes_another_worker(make_near):
    near = make_near(wakeup=1)
    near.submit(b"0")
    near.open()
    near.packets()
    worker = near.server.worker()
    near.client.submit(workload=b"fore")
    near.lane.pump()
    assert worker.got() == [(Command.NOOP,)]


def test_limit_of_functions_is_told(make_near):
    near = make_near()
    near.broker.limits.functions_per_worker = 1
    near.submit(b"1")
    near.submit(b"m", function=b"mail.x")
    near.open()
    assert near.workloads() == [b"1"]
    assert "functions" in near.facts["error"]


def test_worker_of_a_relay_is_listed(near: Near) -> None:
    near.submit(b"1")
    near.open()
    assert b"-1 relay:far far : f\n" in near.client.ask(b"workers")


def test_events_tell_what_was_passed_on(near: Near) -> None:
    watcher: Wire = near.server.connect()
    watcher.protocol.receive(b"watch events events=started,passed_on\n")
    watcher.data()
    near.open()
    near.submit(b"1")
    near.packets()
    near.answer(CREATED)
    lines = watcher.data().splitlines()
    assert [b'"passed_on"' in line for line in lines] == [False, True]
