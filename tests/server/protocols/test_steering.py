"""The admin commands that steer: functions, jobs that wait or are dead, schedules."""

from datetime import UTC
from ipaddress import ip_network
from typing import Any

import pytest

from gearman.commands import MAX_FUNCTION, Command
from gearman.options import Policies, Policy, Schedule, parse_policy
from gearman.server.broker.making import number_of
from gearman.server.broker.steering.policies import MOST_SET
from gearman.server.protocols.admin import Admin, Identity
from gearman.server.protocols.lines import MUCH, PIECE_LINES
from gearman.server.settings.tables.schedules import set_schedule
from tests.server.broker.steering.test_schedules import MINUTE, load, schedule
from tests.server.conftest import Server

OK = b"OK\r\n"
# Jobs that are dropped, or settings that are listed, in a step.
STEP = PIECE_LINES // MUCH
INCOMPLETE = (
    b"ERR INVALID_ARGUMENTS "
    b"An+incomplete+set+of+arguments+was+sent+to+this+command+%b\r\n"
)
VERBS = [
    *(b"set", b"unset", b"pause", b"resume", b"purge", b"retry", b"forget"),
    b"run",
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("rest", [b"", b" function", b" x y", b" function a b c"])
def test_command_without_all_its_words_is_incomplete(server, verb, rest):
    line = verb.upper() + rest
    assert server.connect().ask(line) == INCOMPLETE % verb


def test_set_needs_its_keys(server):
    assert server.connect().ask(b"set function f") == INCOMPLETE % b"set"


@pytest.mark.parametrize("verb", VERBS)
def test_only_some_hosts_may_steer_if_that_is_asked_for(server, verb):
    admin = Admin(server.broker, Identity("1", 2, "INFO"), (ip_network("192.0.2.1"),))

    def ask(line: bytes, address: str) -> bytes:
        answer: Any = admin.answer(line, address)
        return answer if isinstance(answer, bytes) else b"".join(answer)

    denied = ask(verb + b" function f x=1", "192.0.2.2")
    assert denied.startswith(b"ERR PERMISSION_DENIED %b+is" % verb)
    assert not ask(verb, "192.0.2.1").startswith(b"ERR PERMISSION_DENIED")
    for line in (b"show policies", b"show dead", b"show schedules", b"list jobs"):
        assert ask(line, "192.0.2.2") == b".\n"


@pytest.mark.parametrize("verb", [*VERBS, b"workload"])
def test_only_this_machine_may_steer_unless_others_are_named(server, verb):
    for address in ("127.0.0.1", "unix"):
        assert server.gear.admin.answer(verb, address) == INCOMPLETE % verb
    answer = server.gear.admin.answer(verb, "192.0.2.2")
    assert isinstance(answer, bytes)
    assert answer.startswith(b"ERR PERMISSION_DENIED")


class TestPolicies:
    def test_what_is_set_is_shown(self, server):
        admin = server.connect()
        assert admin.ask(b"set function f retries=3&ttl=60") == OK
        assert admin.ask(b"SET Function f ttl=30&paused=0") == OK
        admin.can_do(b"other")
        assert admin.ask(b"show policies") == b"f\tttl=30&retries=3&paused=0\n.\n"

    def test_policies_of_the_settings_file_are_shown_for_known_functions(self, server):
        rows = {b"mail*": parse_policy(b"retries=5"), b"x": parse_policy(b"ttl=1")}
        server.broker.policies.load(Policies(rows))
        admin = server.connect().can_do(b"mailing")
        assert admin.ask(b"show policies") == b"mailing\tretries=5\n.\n"
        admin.ask(b"set function x paused=1")
        assert b"x\tttl=1&paused=1\n" in admin.ask(b"show policies")

    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            (b"maxqueue f 7", b"max-queue=7"),
            (b"maxqueue f 7 8 9", b"max-queue=7,8,9"),
            (b"set function f max-queue=5&weight=2", b"weight=2&max-queue=5"),
        ],
    )
    def test_limits_of_queues_are_shown(self, server, line, shown):
        admin = server.connect()
        admin.ask(b"create function f")
        assert admin.ask(line) == OK
        assert admin.ask(b"show policies") == b"f\t" + shown + b"\n.\n"

    def test_limit_of_a_function_that_is_not_known_is_shown(self, server):
        admin = server.connect()
        admin.ask(b"set function f max-queue=5")
        assert admin.ask(b"show policies") == b"f\tmax-queue=5\n.\n"

    def test_unset_leaves_nothing(self, server):
        admin = server.connect()
        admin.ask(b"set function f retries=3")
        assert admin.ask(b"unset function f") == OK
        assert admin.ask(b"show policies") == b".\n"
        answer = b"ERR nothing was set for this function\r\n"
        assert admin.ask(b"unset function f") == answer

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            (b"x=1", b"'x' is no key of a policy: there are ttl, timeout,"),
            (b"delay=1", b"'delay' is no key of a policy"),
            (b"retries=many", b"retries must be a whole number from 0 to"),
            (b"retries", b"'retries' must be key=value, and has no ="),
            (b"a\x07=1", rb"'a\x07' is no key of a policy"),
        ],
    )
    def test_wrong_key_or_value_is_a_sentence(self, server, text, sentence):
        answer = server.connect().ask(b"set function f " + text)
        assert answer.startswith(b"ERR INVALID_ARGUMENTS " + sentence)
        assert answer.count(b"\n") == 1
        assert server.connect().ask(b"show policies") == b".\n"

    @pytest.mark.parametrize("line", [b"pause function %b", b"set function %b ttl=1"])
    def test_name_over_the_limit_is_refused(self, server, line):
        answer = server.gear.admin.answer(line % (b"f" * (MAX_FUNCTION + 1)), "unix")
        assert answer.startswith(b"ERR ARGUMENT_TOO_LARGE")
        assert server.gear.admin.answer(line % (b"f" * MAX_FUNCTION), "unix") == OK

    def test_number_of_functions_is_limited(self, server):
        admin = server.gear.admin
        for number in range(MOST_SET):
            assert admin.answer(b"pause function %d" % number, "unix") == OK
        assert admin.answer(b"pause function x", "unix") == (
            b"ERR something is set for too many functions:"
            b" use 'unset function NAME'\r\n"
        )
        assert admin.answer(b"resume function 5", "unix") == OK


def test_paused_function_starts_no_job_until_it_is_resumed(server):
    admin, worker = server.connect(), server.worker(b"f")
    assert admin.ask(b"pause function f") == OK
    handle = admin.submit()
    assert worker.got() == []
    assert worker.grab() is None
    worker.send(Command.PRE_SLEEP)
    assert admin.ask(b"resume function f") == OK
    assert worker.got() == [(Command.NOOP,)]
    assert worker.grab() == handle


def test_cancelled_job_that_runs_tells_its_clients_and_frees_its_place(server):
    admin, client = server.connect(), server.connect()
    admin.ask(b"set function f max-running=1")
    first, second = client.submit(), client.submit(workload=b"2")
    worker = server.connect().can_do()
    assert worker.grab() == first
    other = server.worker()
    assert admin.ask(b"cancel job " + first) == OK
    assert client.got() == [(Command.WORK_FAIL, first)]
    assert other.got() == [(Command.NOOP,)]
    assert other.grab() == second
    assert worker.send(Command.WORK_COMPLETE, first, b"late") == []
    assert client.got() == []


class TestPurge:
    def test_drops_what_waits_and_tells_clients(self, server):
        client, admin = server.connect(), server.connect()
        running = client.submit(workload=b"0")
        server.connect().can_do().grab()
        queued = [
            client.submit(workload=b"1", command=command)
            for command in (
                Command.SUBMIT_JOB_LOW,
                Command.SUBMIT_JOB,
                Command.SUBMIT_JOB_HIGH_BG,
            )
        ]
        when = b"%d" % (server.wall + 60)
        client.send(Command.SUBMIT_JOB_EPOCH, b"f", b"", when, b"scheduled")
        after = b"after=" + running
        client.send(Command.SUBMIT_JOB_WITH, b"f", b"", after, b"awaiting")
        other = client.submit(b"g")
        client.got()
        assert admin.ask(b"purge function f") == b"OK 5\r\n"
        failed = [arguments[0] for _, *arguments in client.got()]
        assert set(queued[:2]) < set(failed)
        assert len(failed) == 3
        assert admin.ask(b"status") == b"f\t1\t1\t1\ng\t1\t0\t0\n.\n"
        assert server.broker.jobs.find(other) is not None
        assert admin.ask(b"purge function f") == b"OK 0\r\n"

    def test_drops_what_is_being_stored_and_acknowledges_it(self, make_server):
        server = make_server(persistent=True)
        client = server.connect()
        assert client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w") == []
        assert server.connect().ask(b"purge function f") == b"OK 1\r\n"
        ((answer, handle),) = client.got()
        assert answer == Command.JOB_CREATED
        assert server.broker.jobs.find(handle) is None
        (job, number) = server.broker.jobs.changes
        assert number == job.number

    def test_jobs_between_those_that_are_gone(self, server):
        client = server.connect()
        _, second, _ = (client.submit() for _ in range(3))
        server.broker.cancel(second)
        assert server.connect().ask(b"purge function f") == b"OK 2\r\n"
        assert server.broker.jobs.known == {}

    def test_unknown_function_has_nothing(self, server):
        answer = server.connect().ask(b"purge function f")
        assert answer == b"ERR function not found\r\n"

    def test_is_done_in_pieces_for_the_jobs_that_are_there(self, server):
        client = server.connect()
        count = 5 * PIECE_LINES + 1
        for number in range(count):
            client.submit(workload=b"%d" % number)
        when = b"%d" % (server.wall + 60)
        for number in range(count):
            data = b"%d" % number
            client.send(Command.SUBMIT_JOB_EPOCH, b"f", b"", when, data)
        pieces = server.gear.admin.answer(b"purge function f", "unix")
        assert next(pieces) == b""
        assert server.broker.functions.known[b"f"].total() == 2 * count - STEP
        late = server.connect().submit()
        *others, last = pieces
        assert set(others) == {b""}
        assert last == b"OK %d\r\n" % (2 * count)
        assert list(server.broker.jobs.known) == [number_of(late)]

    def test_leaves_jobs_that_have_been_given_a_worker_meanwhile(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handles = [client.submit() for _ in range(2 * PIECE_LINES)]
        pieces = server.gear.admin.answer(b"purge function f", "unix")
        next(pieces)
        running = worker.grab()
        assert running == handles[STEP]
        assert b"".join(pieces) == b"OK %d\r\n" % (2 * PIECE_LINES - 1)


class TestDeadJobs:
    def test_job_is_tried_again(self, server):
        handle = server.die()
        admin = server.connect()
        assert admin.ask(b"status") == b"f\t0\t0\t0\n.\n"
        assert admin.ask(b"retry job " + handle) == OK
        assert admin.ask(b"show dead") == b".\n"
        worker = server.connect().can_do()
        assert worker.grab() == handle
        worker.send(Command.WORK_COMPLETE, handle, b"")
        assert admin.ask(b"retry job " + handle) == b"ERR UNKNOWN_JOB\r\n"

    def test_job_is_forgotten(self, server):
        handle = server.die()
        admin = server.connect()
        assert admin.ask(b"forget job " + handle) == OK
        assert admin.ask(b"show dead") == b".\n"
        assert admin.ask(b"forget job " + handle) == b"ERR UNKNOWN_JOB\r\n"

    @pytest.mark.parametrize(("verb", "left"), [(b"retry", 3), (b"forget", 0)])
    def test_all_of_a_function(self, server, verb, left):
        for _ in range(3):
            server.die()
        other = server.die(b"g")
        admin = server.connect()
        assert admin.ask(verb + b" function f") == b"OK 3\r\n"
        assert admin.ask(verb + b" function f") == b"OK 0\r\n"
        assert admin.ask(verb + b" function unknown") == b"OK 0\r\n"
        assert admin.ask(b"show dead").startswith(other + b"\tg\t1\t")
        assert server.broker.functions.known[b"f"].total() == left

    def test_job_that_dies_again_meanwhile_is_tried_once(self, server):
        handles = [server.die() for _ in range(3)]
        steps = server.gear.admin._steering._each_dead(server.broker.dead.revive, b"f")
        next(steps)
        worker = server.connect().can_do()
        assert worker.grab() == handles[0]
        worker.send(Command.WORK_FAIL, handles[0])
        assert sum(1 for _ in steps) == 2
        (dead,) = server.broker.dead.known.values()
        assert dead.handle == handles[0]

    def test_job_that_is_gone_meanwhile_is_not_counted(self, server):
        handles = [server.die() for _ in range(2)]
        pieces = server.gear.admin.answer(b"forget function f", "unix")
        dead = server.broker.dead
        dead.forget(dead.find(handles[0]))
        assert b"".join(pieces) == b"OK 1\r\n"
        steps = server.gear.admin._steering._each_dead(dead.forget, b"f")
        server.die(), server.die()
        next(steps)
        dead.drop_old(dead.first)
        assert list(steps) == []


class TestSchedules:
    NOT_FOUND = b"ERR schedule not found\r\n"

    def test_schedules_are_shown(self, server: Server) -> None:
        cron = "30  3\t* * *"
        never = Schedule("\xfcb", "never", UTC, b"\xff\t")
        load(server, schedule("s", cron), never, schedule("t", "@daily", paused=True))
        row = b"s\t30 3 * * *\tf\t%d\t%b\t0\tfile\t-\n"
        others = b"\xc3\xbcb\tnever\t\xff\\x09\t-\t-\t0\tfile\t-\n"
        others += b"t\t@daily\tf\t%d\t-\t1\tfile\t-\n.\n"
        shown = server.connect().ask(b"show schedules")
        assert shown == row % (MINUTE, b"-") + others % MINUTE
        server.after(41)
        shown = server.connect().ask(b"SHOW Schedules")
        ran = row % (MINUTE + 60, b"%d" % MINUTE)
        assert shown == ran + others % (MINUTE + 60)

    def test_server_without_schedules_has_none(self, server: Server) -> None:
        admin = server.connect()
        assert admin.ask(b"show schedules") == b".\n"
        for verb in (b"run", b"pause", b"resume", b"unset"):
            assert admin.ask(verb + b" schedule s") == self.NOT_FOUND

    def test_schedule_is_paused_and_resumed(self, server: Server) -> None:
        load(server, schedule())
        admin = server.connect()
        assert admin.ask(b"pause schedule s") == OK
        assert admin.ask(b"show schedules").endswith(b"\t-\t1\tfile\t-\n.\n")
        server.after(41)
        assert admin.ask(b"list jobs") == b".\n"
        assert admin.ask(b"resume schedule s") == OK
        assert admin.ask(b"show schedules").endswith(b"\t-\t0\tfile\t-\n.\n")
        server.after(60)
        assert admin.ask(b"list jobs").count(b"\n") == 2

    def test_schedule_is_run_at_once_even_if_it_is_paused(self, server: Server) -> None:
        load(server, schedule(paused=True))
        admin = server.connect()
        before = admin.ask(b"show schedules")
        assert admin.ask(b"Run Schedule s") == OK
        assert admin.ask(b"status") == b"f\t1\t0\t0\n.\n"
        assert admin.ask(b"show schedules") == before

    def test_refused_run_is_an_error_with_the_reason(self, server: Server) -> None:
        server.broker.policies.load(Policies({b"f": Policy(need_worker=True)}))
        load(server, schedule())
        answer = server.connect().ask(b"run schedule s")
        assert answer.startswith(b"ERR its job was refused: No worker")
        server.broker.schedules.stopped = True
        answer = b"ERR its job was refused: the server is shutting down\r\n"
        assert server.connect().ask(b"run schedule s") == answer

    @pytest.mark.parametrize("name", [b"S", b"\xff", b"\xef\xbf\xbd"])
    def test_other_names_are_not_found(self, server: Server, name: bytes) -> None:
        load(server, schedule())
        for verb in (b"run", b"pause", b"resume", b"unset"):
            assert server.connect().ask(verb + b" schedule " + name) == self.NOT_FOUND

    def test_schedule_is_set_and_forgotten(self, server: Server) -> None:
        load(server, schedule())
        server.broker.schedules.read = set_schedule
        admin = server.connect()
        text = b"cron=@daily&function=g%FF&workload=%00&owner=shop"
        assert admin.ask(b"set schedule t " + text) == OK
        assert admin.ask(b"SET Schedule u cron=0+3&function=g").startswith(
            b"ERR INVALID_ARGUMENTS cron must be minute, hour"
        )
        assert admin.ask(b"set schedule v cron=@daily&function=h") == OK
        _, t, v, _ = admin.ask(b"show schedules").split(b"\n")[:4]
        assert t == b"t\t@daily\tg\xff\t%d\t-\t0\tcommand\tshop" % MINUTE
        assert v.endswith(b"\tcommand\t-")
        assert admin.ask(b"set schedule t cron=@daily&function=g") == (
            b"ERR shop has set it: use 'unset schedule NAME' before\r\n"
        )
        assert admin.ask(b"unset schedule t") == OK
        assert admin.ask(b"unset schedule v") == OK
        for command in (b"unset schedule s", b"set schedule s " + text):
            answer = b"ERR it is in the settings file\r\n"
            assert admin.ask(command) == answer
        assert admin.ask(b"show schedules").startswith(b"s\t")

    def test_schedules_cannot_be_set_without_a_reader(self, server: Server) -> None:
        answer = server.connect().ask(b"set schedule s x")
        assert answer == b"ERR INVALID_ARGUMENTS schedules cannot be set here\r\n"

    def test_schedule_that_is_gone_has_no_line(self, server: Server) -> None:
        many = [schedule(f"s{number}") for number in range(STEP + 1)]
        load(server, *many)
        answer: Any = server.gear.admin.answer(b"show schedules", "unix")
        assert next(answer) == b""
        load(server)
        assert b"".join(answer).count(b"\n") == STEP + 1
