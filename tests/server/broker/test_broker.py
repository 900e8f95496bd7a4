"""The broker's decisions, as peers see them: packets in, packets out."""

from math import inf
from sys import getrefcount

import pytest

from gearman.commands import MAX_FUNCTION, MAX_UNIQUE, Command
from gearman.server.broker.assignment.choice import FEW
from gearman.server.broker.assignment.losses import MAX_LATE
from gearman.server.broker.assignment.sleepers import WAKE_PATIENCE
from gearman.server.broker.constants import SWEEP
from gearman.server.broker.model import SWEEP_BYTES
from gearman.server.broker.places import MANY_DUE

NOOP = (Command.NOOP,)
NO_JOB = (Command.NO_JOB,)
TOO_LARGE = b"ARGUMENT_TOO_LARGE"
NOT_FOUND = (
    Command.ERROR,
    b"JOB_NOT_FOUND",
    b"Job given in work result not found",
)
NOT_EXISTING = (Command.ERROR, b"JOB_NOT_FOUND", b"Job does not exist on server")
NO_SUCH_EXCEPTION = (
    Command.ERROR,
    b"JOB_NOT_FOUND",
    b"An exception was received for a job that does not exist",
)


def status(peer, handle):
    """Return known, running, numerator, denominator."""
    ((answer, echoed, *numbers),) = peer.send(Command.GET_STATUS, handle)
    assert (answer, echoed) == (Command.STATUS_RES, handle)
    return tuple(map(int, numbers))


UNKNOWN = (0, 0, 0, 0)
WAITS = (1, 0, 0, 0)
RUNS = (1, 1, 0, 0)


class TestSubmit:
    def test_job_goes_to_a_worker_and_its_result_to_the_client(self, server):
        client, worker = server.connect(), server.worker()
        handle = client.submit(b"f", b"u", b"work\0load")
        assert worker.got() == [NOOP]
        assert worker.send(Command.GRAB_JOB) == [
            (Command.JOB_ASSIGN, handle, b"f", b"work\0load")
        ]
        assert worker.send(Command.WORK_COMPLETE, handle, b"re\0sult") == []
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"re\0sult")]
        assert status(client, handle) == UNKNOWN

    def test_handles_count_from_the_first_one(self, make_server):
        client = make_server(first_handle=41).connect()
        assert [client.submit(), client.submit()] == [b"H:test:41", b"H:test:42"]

    @pytest.mark.parametrize(
        ("command", "order"),
        [
            (Command.SUBMIT_JOB_HIGH, b"xn"),
            (Command.SUBMIT_JOB_HIGH_BG, b"xn"),
            (Command.SUBMIT_JOB, b"nx"),
            (Command.SUBMIT_JOB_BG, b"nx"),
            (Command.SUBMIT_JOB_LOW, b"nx"),
            (Command.SUBMIT_JOB_LOW_BG, b"nx"),
        ],
    )
    def test_priority_decides_the_order(self, server, command, order):
        client, worker = server.connect(), server.connect().can_do()
        client.submit(workload=b"n")
        client.submit(workload=b"x", command=command)
        assert worker.grab_workload() + worker.grab_workload() == order

    def test_low_priority_comes_after_normal(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.submit(workload=b"l", command=Command.SUBMIT_JOB_LOW)
        client.submit(workload=b"n")
        assert worker.grab_workload() + worker.grab_workload() == b"nl"

    def test_background_client_hears_nothing_of_the_result(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit(command=Command.SUBMIT_JOB_BG)
        assert worker.grab() == handle
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert client.got() == []

    @pytest.mark.parametrize("size", [MAX_UNIQUE - 1, MAX_UNIQUE])
    def test_unique_up_to_the_limit_is_kept_whole(self, server, size):
        client, worker = server.connect(), server.connect().can_do()
        unique = b"u" * size
        handle = client.submit(unique=unique)
        assert worker.send(Command.GRAB_JOB_UNIQ) == [
            (Command.JOB_ASSIGN_UNIQ, handle, b"f", unique, b"w")
        ]
        assert client.send(Command.GET_STATUS_UNIQUE, unique)[0][2] == b"1"

    def test_unique_over_the_limit_is_refused(self, server):
        client = server.connect()
        assert client.send(Command.SUBMIT_JOB, b"f", b"u" * (MAX_UNIQUE + 1), b"w") == [
            (Command.ERROR, TOO_LARGE, b"Unique value too large")
        ]
        assert server.broker.jobs.known == {}

    def test_function_up_to_the_limit_is_accepted(self, server):
        client, name = server.connect(), b"f" * MAX_FUNCTION
        worker = server.worker(name)
        assert client.submit(name)
        assert worker.got() == [NOOP]

    def test_function_over_the_limit_is_refused(self, server):
        client, name = server.connect(), b"f" * (MAX_FUNCTION + 1)
        error = [(Command.ERROR, TOO_LARGE, b"Function name too large")]
        assert client.send(Command.SUBMIT_JOB, name, b"", b"") == error
        assert client.send(Command.CAN_DO, name) == error
        assert (
            client.send(Command.SUBMIT_REDUCE_JOB, b"f", b"", name, b"", b"") == error
        )
        assert server.broker.functions.known == {}

    def test_empty_function_unique_and_workload_are_fine(self, server):
        client, worker = server.connect(), server.worker(b"")
        handle = client.submit(b"", b"", b"")
        assert worker.send(Command.GRAB_JOB)[-1] == (
            Command.JOB_ASSIGN,
            handle,
            b"",
            b"",
        )


class TestUnique:
    def test_same_function_and_unique_is_one_job_for_all_clients(self, server):
        one, two, worker = server.connect(), server.connect(), server.connect()
        handle = one.submit(unique=b"u", workload=b"first")
        assert two.submit(unique=b"u", workload=b"second") == handle
        assert worker.can_do().grab_workload() == b"first"
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        result = [(Command.WORK_COMPLETE, handle, b"r")]
        assert one.got() == two.got() == result
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]

    def test_client_that_submits_twice_gets_the_result_twice(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit(unique=b"u")
        assert client.submit(unique=b"u") == handle
        worker.grab()
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")] * 2

    def test_joins_a_running_job(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit(unique=b"u")
        worker.grab()
        assert server.connect().submit(unique=b"u") == handle

    def test_finished_job_is_not_joined(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit(unique=b"u")
        worker.grab()
        worker.send(Command.WORK_FAIL, handle)
        client.got()
        assert client.submit(unique=b"u") != handle

    def test_other_function_is_another_job(self, server):
        client = server.connect()
        assert client.submit(b"f", b"u") != client.submit(b"g", b"u")

    def test_empty_unique_joins_nothing(self, server):
        client = server.connect()
        assert client.submit(unique=b"") != client.submit(unique=b"")

    def test_dash_stands_for_the_workload(self, server):
        client = server.connect()
        handle = client.submit(unique=b"-", workload=b"a")
        assert client.submit(unique=b"-", workload=b"a") == handle
        assert client.submit(unique=b"-", workload=b"b") != handle

    def test_dash_joins_nothing_once_the_job_is_finished(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit(unique=b"-", workload=b"a")
        worker.grab()
        worker.send(Command.WORK_COMPLETE, handle, b"")
        client.got()
        assert client.submit(unique=b"-", workload=b"a") != handle

    def test_dash_with_an_empty_workload_joins_nothing(self, server):
        client = server.connect()
        first = client.submit(unique=b"-", workload=b"")
        assert client.submit(unique=b"-", workload=b"") != first

    def test_dash_with_an_empty_workload_can_be_cancelled(self, server):
        handle = server.connect().submit(unique=b"-", workload=b"")
        assert server.broker.cancel(handle)
        assert server.broker.jobs.find(handle) is None

    def test_background_job_survives_a_foreground_client_that_joined(self, server):
        client, other = server.connect(), server.connect()
        worker = server.connect().can_do()
        handle = client.submit(unique=b"u", command=Command.SUBMIT_JOB_BG)
        other.submit(unique=b"u")
        other.leave()
        assert worker.grab() == handle

    def test_background_submission_keeps_a_foreground_job_alive(self, server):
        client, other = server.connect(), server.connect()
        worker = server.connect().can_do()
        handle = client.submit(unique=b"u")
        other.submit(unique=b"u", command=Command.SUBMIT_JOB_BG)
        client.leave()
        assert worker.grab() == handle

    def test_abandoned_running_job_answers_a_new_client(self, server):
        client, other = server.connect(), server.connect()
        worker = server.connect().can_do()
        handle = client.submit(unique=b"u")
        worker.grab()
        client.leave()
        assert other.submit(unique=b"u") == handle
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert other.got() == [(Command.WORK_COMPLETE, handle, b"r")]


class TestStatus:
    @pytest.mark.parametrize(
        "handle",
        [b"H:test:99", b"H:else:1", b"H:test:01", b"H:test:+1", b"", b"1", b"H:test:x"]
        + [b"H:test:%d" % (2**63), b"H:test:%d" % 10**19],
    )
    def test_of_an_unknown_handle(self, server, handle):
        assert server.connect().submit() == b"H:test:1"
        assert status(server.connect(), handle) == UNKNOWN

    def test_follows_the_job(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        assert status(client, handle) == WAITS
        worker.grab()
        assert status(client, handle) == RUNS
        worker.send(Command.WORK_STATUS, handle, b"3", b"10")
        assert client.got() == [(Command.WORK_STATUS, handle, b"3", b"10")]
        assert status(client, handle) == (1, 1, 3, 10)

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            (b"abc", 0),
            (b"", 0),
            (b"-1", 0),
            (b"33.5", 33),
            (b" +7", 7),
            (b"4294967295", 4294967295),
            (b"4294967296", 4294967295),
            (b"12345678901", 4294967295),
            (b"9" * 100_000, 4294967295),
        ],
    )
    def test_odd_numbers_are_passed_on_as_sent_and_kept_as_leading_digits(
        self, server, sent, kept
    ):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        worker.grab()
        worker.send(Command.WORK_STATUS, handle, sent, sent)
        assert client.got() == [(Command.WORK_STATUS, handle, sent, sent)]
        assert status(client, handle) == (1, 1, kept, kept)

    def test_by_unique_counts_the_clients(self, server):
        client = server.connect()
        client.submit(b"other", b"x")
        client.submit(unique=b"u")
        client.submit(unique=b"u")
        assert client.send(Command.GET_STATUS_UNIQUE, b"u") == [
            (Command.STATUS_RES_UNIQUE, b"u", b"1", b"0", b"0", b"0", b"2")
        ]

    def test_by_unique_is_that_of_the_first_job_that_is_left(self, server):
        client = server.connect()
        names = [b"f", b"g", b"h"]
        handles = {name: client.submit(name, b"u") for name in names}
        for count, name in enumerate(names, 1):
            for _ in range(count):
                assert client.submit(name, b"u") == handles[name]
        for name, clients in zip(names, (b"2", b"3", b"4"), strict=True):
            answer = client.send(Command.GET_STATUS_UNIQUE, b"u")
            assert answer[0][2:] == (b"1", b"0", b"0", b"0", clients)
            assert server.broker.cancel(handles[name])
            client.got()
        answer = client.send(Command.GET_STATUS_UNIQUE, b"u")
        assert answer[0][2:] == (b"0", b"0", b"0", b"0", b"0")

    def test_one_unique_is_a_job_of_each_function(self, server):
        client = server.connect()
        first, second = client.submit(b"f", b"u"), client.submit(b"g", b"u")
        assert first != second
        assert server.broker.cancel(second)
        client.got()
        third = client.submit(b"g", b"u")
        assert third not in (first, second)
        assert client.submit(b"f", b"u") == first

    def test_by_unique_of_a_background_job_has_no_clients(self, server):
        client = server.connect()
        client.submit(unique=b"u", command=Command.SUBMIT_JOB_BG)
        answer = client.send(Command.GET_STATUS_UNIQUE, b"u")
        assert answer[0][2:] == (b"1", b"0", b"0", b"0", b"0")

    @pytest.mark.parametrize("unique", [b"", b"nope", b"-"])
    def test_by_unknown_unique(self, server, unique):
        client = server.connect()
        client.submit(unique=b"")
        assert client.send(Command.GET_STATUS_UNIQUE, unique) == [
            (Command.STATUS_RES_UNIQUE, unique, b"0", b"0", b"0", b"0", b"0")
        ]

    def test_of_a_handle_or_unique_that_is_too_long_is_refused(self, server):
        client = server.connect()
        assert client.send(Command.GET_STATUS, b"h" * 65) == [
            (Command.ERROR, TOO_LARGE, b"Job handle too large")
        ]
        assert client.send(Command.GET_STATUS_UNIQUE, b"u" * 65) == [
            (Command.ERROR, TOO_LARGE, b"Unique value too large")
        ]

    def test_of_the_longest_handle_is_answered(self, server):
        assert status(server.connect(), b"h" * 64) == UNKNOWN


class TestResults:
    @pytest.mark.parametrize("command", [Command.WORK_DATA, Command.WORK_WARNING])
    def test_updates_reach_the_client_and_the_job_goes_on(self, server, command):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        worker.grab()
        worker.send(command, handle, b"a\0b")
        worker.send(command, handle, b"")
        assert client.got() == [(command, handle, b"a\0b"), (command, handle, b"")]
        assert status(client, handle) == RUNS

    def test_failure_is_final(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        worker.grab()
        assert worker.send(Command.WORK_FAIL, handle) == []
        assert client.got() == [(Command.WORK_FAIL, handle)]
        assert worker.send(Command.WORK_COMPLETE, handle, b"") == [NOT_FOUND]

    def test_exception_is_final_and_told_to_those_who_asked(self, server):
        client, other = server.connect(), server.connect()
        worker = server.connect().can_do()
        assert client.send(Command.OPTION_REQ, b"exceptions") == [
            (Command.OPTION_RES, b"exceptions")
        ]
        handle = client.submit(unique=b"u")
        other.submit(unique=b"u")
        worker.grab()
        worker.send(Command.WORK_EXCEPTION, handle, b"what\0why")
        assert client.got() == [(Command.WORK_EXCEPTION, handle, b"what\0why")]
        assert other.got() == [(Command.WORK_FAIL, handle)]

    def test_failure_right_after_an_exception_is_part_of_it(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        worker.grab()
        worker.send(Command.WORK_EXCEPTION, handle, b"e")
        assert worker.send(Command.WORK_FAIL, handle) == []
        assert worker.send(Command.WORK_FAIL, handle) == [NOT_FOUND]
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_server_can_turn_exceptions_on_for_everyone(self, make_server):
        server = make_server(exceptions=True)
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        worker.grab()
        worker.send(Command.WORK_EXCEPTION, handle, b"e")
        assert client.got() == [(Command.WORK_EXCEPTION, handle, b"e")]

    def test_exception_of_a_background_job_ends_it(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit(command=Command.SUBMIT_JOB_BG)
        worker.grab()
        assert worker.send(Command.WORK_EXCEPTION, handle, b"e") == []
        assert status(client, handle) == UNKNOWN

    @pytest.mark.parametrize(
        ("command", "arguments", "error"),
        [
            (Command.WORK_STATUS, (b"1", b"2"), NOT_FOUND),
            (Command.WORK_COMPLETE, (b"r",), NOT_FOUND),
            (Command.WORK_FAIL, (), NOT_FOUND),
            (Command.WORK_EXCEPTION, (b"e",), NO_SUCH_EXCEPTION),
            (Command.WORK_DATA, (b"d",), NOT_EXISTING),
            (Command.WORK_WARNING, (b"d",), NOT_EXISTING),
        ],
    )
    def test_of_a_job_that_the_worker_does_not_hold_is_refused(
        self, server, command, arguments, error
    ):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        assert server.connect().send(command, handle, *arguments) == [error]
        assert worker.grab() == handle
        assert server.connect().send(command, handle, *arguments) == [error]
        assert status(client, handle) == RUNS

    def test_worker_may_hold_several_jobs_and_finish_them_in_any_order(self, server):
        client, worker = server.connect(), server.connect().can_do()
        one, two = client.submit(), client.submit()
        assert [worker.grab(), worker.grab()] == [one, two]
        worker.send(Command.WORK_COMPLETE, two, b"2")
        worker.send(Command.WORK_COMPLETE, one, b"1")
        assert [packet[1] for packet in client.got()] == [two, one]


class TestGrab:
    def test_without_functions_or_jobs_answers_no_job(self, server):
        worker = server.connect()
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]
        worker.can_do()
        assert worker.send(Command.GRAB_JOB_UNIQ) == [NO_JOB]
        assert worker.send(Command.GRAB_JOB_ALL) == [NO_JOB]

    def test_all_names_the_reducer_of_a_reduce_job_only(self, server):
        client, worker = server.connect(), server.connect().can_do()
        plain = client.submit(unique=b"p")
        ((_, reduced),) = client.send(
            Command.SUBMIT_REDUCE_JOB, b"f", b"r", b"reducer", b"", b"w"
        )
        assert worker.send(Command.GRAB_JOB_ALL) == [
            (Command.JOB_ASSIGN_UNIQ, plain, b"f", b"p", b"w")
        ]
        assert worker.send(Command.GRAB_JOB_ALL) == [
            (Command.JOB_ASSIGN_ALL, reduced, b"f", b"r", b"reducer", b"w")
        ]

    def test_reduce_job_can_be_grabbed_as_a_plain_one(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.send(
            Command.SUBMIT_REDUCE_JOB_BACKGROUND, b"f", b"r", b"reducer", b"", b"w"
        )
        ((answer, _, *arguments),) = worker.send(Command.GRAB_JOB)
        assert (answer, arguments) == (Command.JOB_ASSIGN, [b"f", b"w"])

    def test_reduce_job_in_the_foreground_is_answered(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.send(Command.SUBMIT_REDUCE_JOB, b"f", b"r", b"reducer", b"", b"w")
        handle = worker.grab()
        worker.send(Command.WORK_COMPLETE, handle, b"done")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"done")]


def fill(server, *jobs):
    """Submit background jobs given as function and priority: b"aH", b"bN"."""
    client = server.connect()
    commands = {
        b"H": Command.SUBMIT_JOB_HIGH_BG,
        b"N": Command.SUBMIT_JOB_BG,
        b"L": Command.SUBMIT_JOB_LOW_BG,
    }
    for job in jobs:
        client.submit(job[:1], workload=job, command=commands[job[1:]])


JOBS = (b"aN", b"aN", b"aH", b"bL", b"bN", b"bN", b"cN", b"cN")


class TestOrder:
    @pytest.mark.parametrize(
        ("options", "order"),
        [
            ({}, "aH cN bN aN cN bN aN bL"),
            ({"round_robin": False}, "aH cN cN bN bN aN aN bL"),
            ({"priority_first": False}, "cN bN aH cN bN aN bL aN"),
            (
                {"priority_first": False, "round_robin": False},
                "cN cN bN bN bL aH aN aN",
            ),
        ],
    )
    def test_by_priority_scope_and_round_robin(self, make_server, options, order):
        server = make_server(**options)
        fill(server, *JOBS)
        worker = server.connect().can_do(b"a", b"b", b"c")
        got = [worker.grab_workload().decode() for _ in JOBS]
        assert " ".join(got) == order

    @pytest.mark.parametrize("priority_first", [True, False])
    def test_jobs_of_one_function_come_by_priority(self, make_server, priority_first):
        server = make_server(priority_first=priority_first)
        fill(server, b"aL", b"aN", b"aH")
        worker = server.connect().can_do(b"a")
        assert [worker.grab_workload() for _ in range(3)] == [b"aH", b"aN", b"aL"]


class TestManyFunctions:
    """A worker may have thousands of functions, but only few of them have jobs."""

    OTHERS = tuple(b"%d" % number for number in range(FEW))

    def test_gets_what_there_is_and_then_nothing(self, server):
        worker = server.connect().can_do(*self.OTHERS, b"f")
        client = server.connect()
        handles = [client.submit(), client.submit(b"0"), client.submit(b"unknown")]
        assert {worker.grab(), worker.grab()} == set(handles[:2])
        assert worker.grab() is None
        assert worker.send(Command.PRE_SLEEP) == []
        third = client.submit(b"1")
        assert worker.got() == [NOOP]
        assert worker.grab() == third

    @pytest.mark.parametrize("priority_first", [True, False])
    def test_priority_and_order_are_the_same_as_with_few(
        self, make_server, priority_first
    ):
        server = make_server(priority_first=priority_first, round_robin=False)
        client = server.connect()
        few = server.connect().can_do(b"a", b"b")
        many = server.connect().can_do(*self.OTHERS, b"a", b"b")
        orders = []
        for worker in few, many:
            client.submit(b"a", command=Command.SUBMIT_JOB_HIGH, workload=b"a-high")
            client.submit(b"a", command=Command.SUBMIT_JOB_LOW, workload=b"a-low")
            client.submit(b"b", workload=b"b")
            orders.append([worker.grab_workload() for _ in range(3)])
            assert worker.grab() is None
        assert orders[0] == orders[1]

    def test_function_that_goes_takes_its_place_among_those_with_jobs(self, server):
        client = server.connect()
        server.broker.cancel(client.submit())
        client.got()
        assert client.ask(b"drop function f") == b"OK\r\n"
        assert not any(server.broker.choice.listed)

    def test_worker_that_sleeps_again_is_put_back_only_where_it_is_missing(
        self, server
    ):
        worker = server.worker(*self.OTHERS)
        client = server.connect()
        client.submit(b"3")
        assert worker.got() == [NOOP]
        assert [f.name for f in worker.peer.unlisted] == [b"3"]
        worker.grab()
        client.submit(b"4")
        worker.grab()
        assert worker.send(Command.PRE_SLEEP) == []
        client.submit(b"4")
        assert worker.got() == [NOOP]

    def test_worker_finds_its_jobs_among_still_more_of_others(self, server):
        names = [b"f%d" % number for number in range(FEW + 1)]
        client, worker = server.connect(), server.connect().can_do(*names)
        for number in range(3 * FEW):
            client.submit(b"other%d" % number)
        assert worker.grab() is None
        handle = client.submit(names[3])
        assert worker.grab() == handle


class TestSleep:
    def test_one_of_few_that_are_woken_is_told_when_it_falls_asleep_again(
        self, make_server
    ):
        server = make_server(wakeup=1)
        first, second = server.worker(), server.worker()
        server.connect().submit()
        assert (first.got(), second.got()) == ([NOOP], [])
        assert second.send(Command.PRE_SLEEP) == [NOOP]

    def test_falling_asleep_again_changes_nothing(self, server):
        client, worker = server.connect(), server.worker()
        assert worker.send(Command.PRE_SLEEP) == []
        client.submit()
        assert worker.got() == [NOOP]
        assert worker.send(Command.PRE_SLEEP) == [NOOP]

    def test_before_sleep_a_waiting_job_is_announced(self, server):
        worker = server.connect().can_do()
        server.connect().submit()
        assert worker.send(Command.PRE_SLEEP) == [NOOP]

    def test_job_of_another_function_wakes_nobody(self, server):
        worker = server.worker(b"f")
        server.connect().submit(b"g")
        assert worker.got() == []

    def test_worker_that_is_awake_is_not_woken(self, server):
        worker = server.connect().can_do()
        server.connect().submit()
        assert worker.got() == []

    def test_one_wake_up_for_each_sleep(self, server):
        client, worker = server.connect(), server.worker()
        client.submit()
        client.submit()
        assert worker.got() == [NOOP]

    def test_worker_that_sleeps_again_without_a_grab_is_woken_again(self, server):
        client, worker, other = server.connect(), server.worker(), server.connect()
        client.submit()
        assert worker.got() == [NOOP]
        other.can_do().grab()
        assert worker.send(Command.PRE_SLEEP) == []
        client.submit()
        assert worker.got() == [NOOP]

    def test_all_sleepers_are_woken(self, server):
        workers = [server.worker() for _ in range(5)]
        server.connect().submit()
        assert [worker.got() for worker in workers] == [[NOOP]] * 5

    def test_wake_up_limit_wakes_so_many_and_takes_turns(self, make_server):
        server = make_server(wakeup=2)
        workers = [server.worker() for _ in range(3)]
        client = server.connect()
        client.submit()
        assert [worker.got() for worker in workers] == [[NOOP], [NOOP], []]
        client.submit()
        assert [worker.got() for worker in workers] == [[], [], [NOOP]]

    def test_wake_up_is_passed_on_by_a_worker_that_takes_another_job(self, make_server):
        server = make_server(wakeup=1)
        first, second = server.worker(b"g", b"f"), server.worker(b"g")
        client = server.connect()
        client.submit(b"g")
        client.submit(b"f")
        assert (first.got(), second.got()) == ([NOOP], [])
        ((_, _, function, _),) = first.send(Command.GRAB_JOB)
        assert function == b"f"
        assert second.got() == [NOOP]

    def test_wake_up_is_passed_on_when_the_woken_worker_leaves(self, make_server):
        server = make_server(wakeup=1)
        first, second = server.worker(), server.worker()
        server.connect().submit()
        assert (first.got(), second.got()) == ([NOOP], [])
        first.leave()
        assert second.got() == [NOOP]

    def test_woken_worker_that_asks_for_nothing_is_passed_over(self, make_server):
        server = make_server(wakeup=1)
        hung, idle = server.worker(), server.worker()
        handle = server.connect().submit()
        assert (hung.got(), idle.got()) == ([NOOP], [])
        assert server.after(0.4) == pytest.approx(WAKE_PATIENCE - 0.4)
        assert idle.got() == []
        assert server.after(WAKE_PATIENCE) == pytest.approx(WAKE_PATIENCE)
        assert (hung.got(), idle.got()) == ([], [NOOP])
        assert idle.grab() == handle
        assert server.after(WAKE_PATIENCE) == inf

    def test_worker_that_answers_its_wake_up_is_not_passed_over(self, make_server):
        server = make_server(wakeup=1)
        worker, idle = server.worker(), server.worker()
        client = server.connect()
        client.submit()
        worker.grab()
        assert server.after(10) == inf
        assert idle.got() == []

    def test_each_wake_up_has_its_own_patience(self, make_server):
        server = make_server(wakeup=1)
        busy, hung, idle = (server.worker() for _ in range(3))
        client = server.connect()
        client.submit()
        server.after(0.5)
        busy.grab()
        client.submit()
        server.after(0.7)
        assert (hung.got(), idle.got()) == ([NOOP], [])
        server.after(0.3)
        assert idle.got() == [NOOP]

    def test_woken_worker_that_leaves_is_waited_for_no_longer(self, make_server):
        server = make_server(wakeup=1)
        worker = server.worker()
        server.connect().submit()
        worker.leave()
        assert list(server.broker.sleepers._woken) == []
        assert server.after(WAKE_PATIENCE) == inf

    def test_with_all_woken_nobody_is_waited_for(self, server):
        server.worker()
        server.connect().submit()
        assert server.after(0.0) == inf

    def test_function_learned_while_asleep_wakes_for_waiting_jobs(self, server):
        worker = server.worker(b"g")
        server.connect().submit(b"f")
        assert worker.send(Command.CAN_DO, b"f") == [NOOP]

    def test_function_learned_while_asleep_is_woken_for_later(self, server):
        worker = server.worker(b"g")
        worker.can_do(b"f")
        server.connect().submit(b"f")
        assert worker.got() == [NOOP]

    def test_forgotten_function_wakes_no_more(self, server):
        worker = server.worker(b"f", b"g")
        worker.send(Command.CANT_DO, b"f")
        server.connect().submit(b"f")
        assert worker.got() == []
        server.connect().submit(b"g")
        assert worker.got() == [NOOP]

    def test_sleeper_woken_for_one_function_is_not_woken_for_another(self, server):
        worker, client = server.worker(b"f", b"g"), server.connect()
        client.submit(b"f")
        client.submit(b"g")
        assert worker.got() == [NOOP]


class TestAbilities:
    def test_registering_twice_counts_once(self, server):
        worker = server.connect().can_do(b"f", b"f")
        assert server.connect().ask(b"status") == b"f\t0\t0\t1\n.\n"
        worker.send(Command.CANT_DO, b"f")
        assert server.connect().ask(b"status") == b"f\t0\t0\t0\n.\n"

    def test_taking_back_what_was_never_registered_is_nothing(self, server):
        worker = server.connect().can_do(b"g")
        assert worker.send(Command.CANT_DO, b"f") == []

    @pytest.mark.parametrize(
        ("command", "arguments"),
        [(Command.CANT_DO, (b"f",)), (Command.RESET_ABILITIES, ())],
    )
    def test_running_job_may_be_finished_after(self, server, command, arguments):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        worker.grab()
        worker.send(command, *arguments)
        client.submit()
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]


class TestLoss:
    def test_job_of_a_lost_worker_is_queued_behind_the_others(self, server):
        client, worker = server.connect(), server.connect().can_do()
        first, second = client.submit(), client.submit()
        worker.grab()
        worker.send(Command.WORK_STATUS, first, b"1", b"2")
        client.got()
        worker.leave()
        assert client.got() == []
        assert status(client, first) == WAITS
        other = server.connect().can_do()
        assert [other.grab(), other.grab()] == [second, first]
        assert client.ask(b"show jobs").startswith(first + b"\t1\t0\t0\n")

    def test_lost_job_wakes_another_worker(self, server):
        worker = server.connect().can_do()
        server.connect().submit()
        worker.grab()
        sleeper = server.worker()
        worker.leave()
        assert sleeper.got() == [NOOP]

    @pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 1), (2, 2), (4, 4)])
    def test_retries_are_the_number_of_attempts(self, make_server, retries, attempts):
        server = make_server(retries=retries)
        client = server.connect()
        handle = client.submit()
        for attempt in range(attempts):
            assert client.got() == [], attempt
            worker = server.connect().can_do()
            assert worker.grab() == handle
            worker.leave()
        assert client.got() == [(Command.WORK_FAIL, handle)]
        assert server.broker.jobs.known == {}
        events = [notice[0] for notice in server.broker.losses.notices]
        assert events == ["queued again"] * (attempts - 1) + ["given up"]

    def test_each_loss_is_noted_with_the_job_its_worker_and_the_reason(self, server):
        handle = server.connect().submit()
        workers = [server.connect().can_do() for _ in range(2)]
        for worker in workers:
            assert worker.grab() == handle
            worker.leave()
        assert server.broker.losses.notices == [
            ("queued again", handle, b"f", worker.peer, "its worker was lost", count)
            for count, worker in enumerate(workers, 1)
        ]

    def test_loss_of_a_job_that_nobody_wants_is_not_noted(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.submit()
        worker.grab()
        client.leave()
        worker.leave()
        assert server.broker.losses.notices == []

    def test_retries_are_unlimited_by_default(self, server):
        handle = server.connect().submit()
        for _ in range(300):
            worker = server.connect().can_do()
            assert worker.grab() == handle
            worker.leave()
        assert server.connect().can_do().grab() == handle

    def test_foreground_job_goes_when_its_last_client_leaves(self, server):
        client, other = server.connect(), server.connect()
        handle = client.submit(unique=b"u")
        other.submit(unique=b"u")
        client.leave()
        assert status(server.connect(), handle) == WAITS
        other.leave()
        assert status(server.connect(), handle) == UNKNOWN
        assert server.connect().ask(b"status") == b"f\t0\t0\t0\n.\n"
        assert server.connect().can_do().send(Command.GRAB_JOB) == [NO_JOB]

    def test_client_that_submitted_twice_leaves_at_once(self, server):
        client = server.connect()
        client.submit(unique=b"u")
        client.submit(unique=b"u")
        client.leave()
        assert server.broker.jobs.known == {}

    def test_running_job_whose_client_left_is_finished_for_nobody(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        worker.grab()
        client.leave()
        assert worker.send(Command.WORK_DATA, handle, b"d") == []
        assert worker.send(Command.WORK_COMPLETE, handle, b"r") == []

    def test_running_job_whose_client_left_is_not_tried_again(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.submit()
        worker.grab()
        client.leave()
        worker.leave()
        assert server.broker.jobs.known == {}
        assert server.connect().can_do().send(Command.GRAB_JOB) == [NO_JOB]

    def test_peer_that_works_for_itself_leaves_nothing(self, server):
        peer = server.connect().can_do()
        peer.submit()
        peer.grab()
        peer.leave()
        assert server.connect().ask(b"status") == b"f\t0\t0\t0\n.\n"

    def test_peer_that_left_is_sent_nothing(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit(command=Command.SUBMIT_JOB_BG)
        client.leave()
        worker.grab()
        server.broker.touched.clear()
        worker.send(Command.WORK_COMPLETE, handle, b"")
        assert server.broker.touched == []

    def test_many_abandoned_jobs_leave_no_trace(self, server):
        worker = server.connect().can_do()
        keeper = server.connect()
        kept = keeper.submit(workload=b"keep")
        for _ in range(20 * SWEEP):
            client = server.connect()
            client.submit()
            client.leave()
        queue = server.broker.functions.known[b"f"].queues[1]
        assert len(queue._entries) <= SWEEP + 2
        assert worker.grab() == kept
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]

    def test_large_abandoned_jobs_are_freed_before_the_queue_is_empty(self, server):
        server.connect().submit(workload=b"keep")
        workload = bytes(SWEEP_BYTES // 4)
        known = getrefcount(workload)
        for _ in range(SWEEP // 2):
            client = server.connect()
            client.submit(workload=workload)
            client.leave()
        assert getrefcount(workload) <= known + 4


class TestTimeout:
    def start(self, server, milliseconds=b"2000"):
        """Return a client, its job's handle and the worker that runs it."""
        client, worker = server.connect(), server.connect()
        assert worker.send(Command.CAN_DO_TIMEOUT, b"f", milliseconds) == []
        handle = client.submit()
        assert worker.grab() == handle
        return client, handle, worker

    def test_slow_job_is_queued_again(self, server):
        client, handle, worker = self.start(server)
        other = server.worker()
        server.after(1.9)
        assert status(client, handle) == RUNS
        server.after(0.1)
        assert status(client, handle) == WAITS
        assert other.got() == [NOOP]
        assert other.grab() == handle
        other.send(Command.WORK_COMPLETE, handle, b"good")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"good")]
        assert worker.send(Command.WORK_COMPLETE, handle, b"late") == [NOT_FOUND]

    def test_next_look_is_at_the_deadline(self, server):
        assert server.after(0.0) == inf
        self.start(server)
        assert server.after(0.5) == pytest.approx(1.5)

    def test_below_a_second_is_a_second(self, server):
        client, handle, _ = self.start(server, b"1")
        server.after(0.9)
        assert status(client, handle) == RUNS
        server.after(0.1)
        assert status(client, handle) == WAITS

    @pytest.mark.parametrize("milliseconds", [b"0", b"-5"])
    def test_zero_or_less_is_none(self, server, milliseconds):
        client, handle, _ = self.start(server, milliseconds)
        server.after(1e9)
        assert status(client, handle) == RUNS

    def test_job_that_was_finished_in_time_leaves_no_timer_behind(self, server):
        client, handle, worker = self.start(server)
        worker.send(Command.WORK_COMPLETE, handle, b"")
        client.got()
        other = client.submit(workload=b"other")
        fast = server.connect().can_do()
        assert fast.grab() == other
        server.after(10)
        assert status(client, other) == RUNS

    def test_can_fail_the_job_instead(self, make_server):
        server = make_server(timeout_fails=True)
        client, handle, worker = self.start(server)
        server.after(2)
        assert client.got() == [(Command.WORK_FAIL, handle)]
        assert status(client, handle) == UNKNOWN
        assert worker.send(Command.WORK_FAIL, handle) == [NOT_FOUND]
        assert len(server.broker.losses.notices) == 1

    def test_counts_as_a_retry(self, make_server):
        server = make_server(retries=1)
        client, handle, _ = self.start(server)
        server.after(2)
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_registering_again_changes_it(self, server):
        client, worker = server.connect(), server.connect().can_do()
        worker.send(Command.CAN_DO_TIMEOUT, b"f", b"5000")
        handle = client.submit()
        worker.grab()
        server.after(5)
        assert status(client, handle) == WAITS

    def test_many_finished_jobs_leave_no_timers(self, server):
        client, worker = server.connect(), server.connect()
        worker.send(Command.CAN_DO_TIMEOUT, b"f", b"3600000")
        for _ in range(20 * SWEEP):
            client.submit()
            worker.send(Command.WORK_FAIL, worker.grab())
            client.got()
        assert len(server.broker.places.deadlines._entries) <= SWEEP + 2

    def test_finished_job_is_freed_before_its_deadline(self, server):
        client, worker = server.connect(), server.connect()
        worker.send(Command.CAN_DO_TIMEOUT, b"f", b"3600000")
        workload = bytes(1000)
        known = getrefcount(workload)
        client.submit(workload=workload)
        worker.send(Command.WORK_FAIL, worker.grab())
        client.got()
        assert getrefcount(workload) == known


class TestLateResult(TestTimeout):
    """The job is then queued again or has another worker, and is still needed."""

    ENDS = (
        ((Command.WORK_COMPLETE, b"late"), (Command.WORK_COMPLETE, b"late")),
        ((Command.WORK_FAIL,), (Command.WORK_FAIL,)),
        ((Command.WORK_EXCEPTION, b"late"), (Command.WORK_FAIL,)),
    )
    ends = pytest.mark.parametrize(("end", "told"), ENDS)

    def end(self, worker, handle, end):
        return worker.send(end[0], handle, *end[1:])

    @ends
    def test_ends_a_job_that_is_queued_again(self, server, end, told):
        client, handle, worker = self.start(server)
        server.after(2)
        assert self.end(worker, handle, end) == []
        assert client.got() == [(told[0], handle, *told[1:])]
        assert status(client, handle) == UNKNOWN
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]
        assert self.end(worker, handle, end)[0][:2] == NOT_FOUND[:2]

    @ends
    def test_ends_a_job_that_another_worker_runs(self, server, end, told):
        client, handle, worker = self.start(server)
        other = server.worker()
        server.after(2)
        assert other.grab() == handle
        assert self.end(worker, handle, end) == []
        assert client.got() == [(told[0], handle, *told[1:])]
        assert other.send(Command.WORK_COMPLETE, handle, b"own") == [NOT_FOUND]
        assert client.got() == []
        assert client.ask(b"status") == b"f\t0\t0\t2\n.\n"

    def test_ends_a_job_that_the_same_worker_took_again(self, server):
        client, handle, worker = self.start(server)
        server.after(2)
        assert worker.grab() == handle
        assert worker.send(Command.WORK_COMPLETE, handle, b"late") == []
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"late")]
        assert worker.peer.jobs == {}
        server.after(10)
        assert client.got() == []

    def test_counts_after_sleep_and_other_jobs(self, server):
        client, handle, worker = self.start(server)
        server.after(2)
        other = server.connect().can_do()
        assert other.grab() == handle
        assert worker.send(Command.PRE_SLEEP) == []
        second = client.submit()
        assert worker.grab() == second
        worker.send(Command.WORK_COMPLETE, second, b"")
        client.got()
        assert worker.send(Command.WORK_COMPLETE, handle, b"late") == []
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"late")]

    def test_counts_when_the_other_worker_was_lost(self, server):
        client, handle, worker = self.start(server)
        other = server.worker()
        server.after(2)
        other.grab()
        other.leave()
        worker.send(Command.WORK_COMPLETE, handle, b"late")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"late")]
        assert server.broker.jobs.known == {}

    def test_is_refused_from_a_worker_that_connected_again(self, server):
        _, handle, worker = self.start(server)
        server.after(2)
        worker.leave()
        again = server.connect().can_do()
        assert again.send(Command.WORK_COMPLETE, handle, b"late") == [NOT_FOUND]

    def test_job_that_always_takes_too_long_ends_in_its_first_run(self, server):
        client, handle, worker = self.start(server, b"1000")
        server.after(4)
        worker.send(Command.WORK_COMPLETE, handle, b"late")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"late")]

    def test_is_refused_once_nobody_wants_the_job(self, server):
        client, handle, worker = self.start(server)
        other = server.worker()
        server.after(2)
        other.grab()
        client.leave()
        assert worker.send(Command.WORK_COMPLETE, handle, b"late") == [NOT_FOUND]
        assert other.send(Command.WORK_COMPLETE, handle, b"own") == []

    def test_is_refused_if_a_part_of_it_was_refused(self, server):
        client, handle, worker = self.start(server)
        server.after(2)
        assert worker.send(Command.WORK_DATA, handle, b"part") == [NOT_EXISTING]
        assert worker.send(Command.WORK_COMPLETE, handle, b"rest") == [NOT_FOUND]
        assert status(client, handle) == WAITS

    def test_worker_that_owes_many_may_bring_the_latest(self, server):
        client, worker = server.connect(), server.connect()
        worker.send(Command.CAN_DO_TIMEOUT, b"f", b"1000")
        handles = [client.submit() for _ in range(MAX_LATE + 1)]
        assert [worker.grab() for _ in handles] == handles
        while server.after(2) < inf:
            pass
        first, second, *_, last = handles
        assert worker.send(Command.WORK_COMPLETE, first, b"") == [NOT_FOUND]
        assert worker.send(Command.WORK_COMPLETE, second, b"") == []
        assert worker.send(Command.WORK_COMPLETE, last, b"") == []


class TestEpoch:
    def submit_at(self, server, seconds, unique=b""):
        client = server.connect()
        when = b"%d" % (server.wall + seconds)
        ((answer, handle),) = client.send(
            Command.SUBMIT_JOB_EPOCH, b"f", unique, when, b"w"
        )
        assert answer == Command.JOB_CREATED
        return handle

    def test_job_waits_for_its_time_and_wakes_a_sleeper_then(self, server):
        handle = self.submit_at(server, 10)
        worker = server.worker()
        assert server.after(9) == pytest.approx(1)
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]
        assert worker.send(Command.PRE_SLEEP) == []
        server.after(1)
        assert worker.got() == [NOOP]
        assert worker.grab() == handle

    def test_scheduled_job_hides_no_other(self, server):
        self.submit_at(server, 10)
        low = server.connect().submit(command=Command.SUBMIT_JOB_LOW_BG)
        assert server.connect().can_do().grab() == low

    @pytest.mark.parametrize("seconds", [0, -100, -1_700_000_000, -1_800_000_000])
    def test_time_that_has_passed_is_now(self, server, seconds):
        handle = self.submit_at(server, seconds)
        assert server.connect().can_do().grab() == handle

    def test_is_counted_while_it_waits(self, server):
        handle = self.submit_at(server, 10)
        peer = server.connect()
        assert status(peer, handle) == WAITS
        assert peer.ask(b"status") == b"f\t1\t0\t0\n.\n"
        assert peer.ask(b"prioritystatus") == b"f\t0\t1\t0\t0\n.\n"

    def test_cancelled_job_does_not_run(self, server):
        handle = self.submit_at(server, 10)
        peer = server.worker()
        assert peer.ask(b"cancel job " + handle) == b"OK\r\n"
        assert peer.ask(b"prioritystatus") == b"f\t0\t0\t0\t1\n.\n"
        server.after(10)
        assert peer.got() == []

    def test_earlier_of_deadline_and_schedule_is_looked_at_first(self, server):
        worker = server.connect()
        worker.send(Command.CAN_DO_TIMEOUT, b"f", b"5000")
        server.connect().submit(command=Command.SUBMIT_JOB_BG)
        worker.grab()
        self.submit_at(server, 10)
        assert server.after(0) == pytest.approx(5)
        self.submit_at(server, 3)
        assert server.after(0) == pytest.approx(3)

    def test_wall_clock_alone_decides(self, server):
        handle = self.submit_at(server, 3600)
        server.wall += 3600
        server.after(0)
        assert server.connect().can_do().grab() == handle

    def test_very_many_that_are_due_become_so_in_several_turns(self, server):
        self.submit_at(server, 5)
        for _ in range(2 * MANY_DUE):
            self.submit_at(server, 5)
        function = server.broker.functions.known[b"f"]
        ready = []
        assert server.after(6) <= 0
        ready.append(function.queues[1].count)
        assert server.after(0) <= 0
        ready.append(function.queues[1].count)
        assert server.after(0) == inf
        ready.append(function.queues[1].count)
        assert ready == [MANY_DUE, 2 * MANY_DUE, 2 * MANY_DUE + 1]


class TestCancel:
    def test_queued_job_fails_and_is_gone(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit(unique=b"u")
        assert worker.ask(b"cancel job " + handle) == b"OK\r\n"
        assert client.got() == [(Command.WORK_FAIL, handle)]
        assert status(client, handle) == UNKNOWN
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]
        assert worker.ask(b"cancel job " + handle) == b"ERR UNKNOWN_JOB\r\n"

    def test_running_job_fails_once_and_is_finished_for_nobody(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        worker.grab()
        client.ask(b"cancel job " + handle)
        server_side = server.connect()
        assert server_side.ask(b"cancel job " + handle) == b"ERR UNKNOWN_JOB\r\n"
        assert worker.send(Command.WORK_DATA, handle, b"d") == []
        assert worker.send(Command.WORK_COMPLETE, handle, b"r") == []
        assert client.got() == []
        assert server_side.ask(b"status") == b"f\t0\t0\t1\n.\n"

    def test_running_job_is_told_to_its_client(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        worker.grab()
        worker.ask(b"cancel job " + handle)
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_running_background_job_is_not_tried_again(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit(command=Command.SUBMIT_JOB_BG)
        worker.grab()
        client.ask(b"cancel job " + handle)
        worker.leave()
        assert server.connect().can_do().send(Command.GRAB_JOB) == [NO_JOB]

    @pytest.mark.parametrize("run", [False, True])
    def test_new_job_with_its_unique_is_a_job_of_its_own(self, server, run):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit(unique=b"u")
        if run:
            worker.grab()
        worker.ask(b"cancel job " + handle)
        client.got()
        other = client.submit(unique=b"u")
        assert other != handle
        if run:
            worker.send(Command.WORK_COMPLETE, handle, b"")
        assert worker.grab() == other
        worker.send(Command.WORK_COMPLETE, other, b"r")
        assert client.got() == [(Command.WORK_COMPLETE, other, b"r")]

    def test_timeout_of_a_cancelled_job_tells_nobody(self, server):
        client, worker = server.connect(), server.connect()
        worker.send(Command.CAN_DO_TIMEOUT, b"f", b"2000")
        handle = client.submit()
        worker.grab()
        worker.ask(b"cancel job " + handle)
        client.got()
        server.after(2)
        assert client.got() == []
        assert client.ask(b"status") == b"f\t0\t0\t1\n.\n"

    def test_cancelled_jobs_leave_no_memory_behind_when_none_waits(self, server):
        workload = bytes(1000)
        before = getrefcount(workload)
        client, admin = server.connect(), server.connect()
        for _ in range(3):
            server.broker.submit(client.peer, b"f", b"", workload)
        assert getrefcount(workload) == before + 3
        client.leave()
        assert admin.ask(b"status") == b"f\t0\t0\t0\n.\n"
        assert getrefcount(workload) == before

    def test_dropped_function_takes_its_cancelled_jobs_along(self, server):
        workload = bytes(1000)
        before = getrefcount(workload)
        first, other = server.connect(), server.connect().can_do()
        server.broker.submit(other.peer, b"f", b"", b"")
        server.broker.submit(first.peer, b"f", b"", workload)
        first.leave()
        handle = other.grab()
        other.send(Command.WORK_COMPLETE, handle, b"")
        other.send(Command.CANT_DO, b"f")
        assert other.ask(b"drop function f") == b"OK\r\n"
        assert getrefcount(workload) == before


class TestMemory:
    def test_workload_goes_with_the_job_whoever_still_refers_to_it(self, server):
        client, worker = server.connect(), server.worker()
        handle = client.submit(workload=b"x" * 1000)
        job = server.broker.jobs.find(handle)
        worker.grab()
        worker.send(Command.WORK_COMPLETE, handle, b"")
        assert job.workload == b""
        assert server.broker.memory.jobs == 0

    def test_reducer_counts(self, server):
        client = server.connect()
        names = (b"f", b"", b"reducer" * 100, b"", b"w")
        ((_, handle),) = client.send(Command.SUBMIT_REDUCE_JOB, *names)
        assert server.broker.memory.jobs > 700
        server.broker.cancel(handle)
        assert server.broker.memory.jobs == 0

    def test_workers_share_the_name_of_a_function(self, server):
        workers = [server.connect().can_do(b"name" * 100) for _ in range(3)]
        names = {id(name) for worker in workers for name in worker.peer.abilities}
        assert names == {id(server.broker.functions.known[b"name" * 100].name)}

    def test_what_is_sent_several_times_is_there_once(self, server):
        client, worker = server.connect(), server.worker()
        for _ in range(3):
            handle = client.submit(unique=b"u")
        worker.grab()
        worker.send(Command.WORK_COMPLETE, handle, b"x" * 1000)
        assert len({id(data) for data in client.peer.outbox}) == 1
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"x" * 1000)] * 3


class TestLimits:
    def full(self, client, command=Command.SUBMIT_JOB):
        answer = client.send(command, b"f", b"", b"w")
        error = [(Command.ERROR, b"QUEUE_ERROR", b"Job queue is full")]
        return answer == error

    def test_full_queue_refuses(self, server):
        client = server.connect()
        client.ask(b"maxqueue f 2")
        client.submit()
        client.submit()
        assert self.full(client)

    def test_running_jobs_count(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.ask(b"maxqueue f 1")
        client.submit()
        worker.grab()
        assert self.full(client)

    def test_joining_a_job_is_not_limited(self, server):
        client = server.connect()
        client.ask(b"maxqueue f 1")
        handle = client.submit(unique=b"u")
        assert client.submit(unique=b"u") == handle

    @pytest.mark.parametrize(
        ("limits", "high", "normal", "low"),
        [
            (b"", False, False, False),
            (b"0", False, False, False),
            (b"abc", False, False, False),
            (b"1", True, True, True),
            (b"1 0", True, False, False),
            (b"0 1", False, True, False),
            (b"0 0 1", False, False, True),
        ],
    )
    def test_by_priority(self, server, limits, high, normal, low):
        client = server.connect()
        client.submit()
        client.ask(b"maxqueue f " + limits if limits else b"maxqueue f")
        assert self.full(client, Command.SUBMIT_JOB_HIGH) == high
        assert self.full(client, Command.SUBMIT_JOB) == normal
        assert self.full(client, Command.SUBMIT_JOB_LOW) == low

    def test_is_kept_for_a_function_that_comes_later(self, server):
        client = server.connect()
        client.ask(b"maxqueue f 1")
        client.submit()
        assert self.full(client)


class TestCongestion:
    def test_producer_of_a_blocked_client_is_named(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        worker.grab()
        worker.send(Command.WORK_DATA, handle, b"d")
        assert server.broker.jobs.congested == []
        client.peer.blocked = True
        worker.send(Command.WORK_DATA, handle, b"d")
        assert server.broker.jobs.congested == [(worker.peer, client.peer)]

    def test_cancelling_for_a_blocked_client_blames_nobody(self, server):
        client = server.connect()
        handle = client.submit()
        client.peer.blocked = True
        server.connect().ask(b"cancel job " + handle)
        assert server.broker.jobs.congested == []

    def test_touched_peers_are_named_once(self, server):
        client, worker = server.connect(), server.worker()
        server.broker.touched.clear()
        client.submit(unique=b"a")
        worker.got()
        assert server.broker.touched == [worker.peer, client.peer]
