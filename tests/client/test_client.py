"""How clients submit jobs, wait for results and ask for a status."""

import gc
import time
import weakref
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

import gearman
from gearman.blocking.servers.order import server_order
from gearman.errors import (
    ExceededConnectionAttempts,
    InvalidClientState,
    ProtocolError,
    ServerUnavailable,
)
from tests import servers
from tests.client.stage import HandServer, meanwhile, unanswered, working
from tests.servers import DEADLINE, Server, until


def upper(worker: Any, job: Any) -> Any:
    return job.data.upper()


@pytest.mark.parametrize("name", [str, str.encode], ids=["str", "bytes"])
def test_a_job_gives_its_result(name: Any, client: Any, worker: Any, task: str) -> None:
    worker.register_task(name(task), upper)
    with working(worker):
        request = client.submit_job(name(task), "héllo", poll_timeout=DEADLINE)
    assert request.result == "HéLLO"
    assert (request.state, request.complete, request.timed_out) == (
        gearman.JOB_COMPLETE,
        True,
        False,
    )


def test_all_eight_arguments_can_be_positional(
    client: Any, worker: Any, task: str
) -> None:
    seen = []
    worker.register_task(task, lambda worker, job: seen.append(job.unique))
    with working(worker):
        request = client.submit_job(
            task, "", "key", gearman.PRIORITY_HIGH, False, True, 0, DEADLINE
        )
    assert request.complete
    assert seen == ["key"]


def test_a_background_job_is_complete_when_it_is_accepted(
    client: Any, task: str
) -> None:
    request = client.submit_job(task, "", background=True, poll_timeout=DEADLINE)
    assert request.complete
    assert request.state == gearman.JOB_CREATED
    assert request.job.handle.startswith("H:")


@pytest.mark.parametrize("background", [False, True])
def test_jobs_are_run_by_priority(
    background: bool, client: Any, worker: Any, task: str
) -> None:
    ran: list[str] = []
    worker.register_task(task, lambda worker, job: ran.append(str(job.data)))
    jobs = [
        {"task": task, "data": str(priority), "priority": priority}
        for priority in (gearman.PRIORITY_LOW, gearman.PRIORITY_NONE, "HIGH")
    ]
    client.submit_multiple_jobs(
        jobs, background=background, wait_until_complete=False, poll_timeout=DEADLINE
    )
    with working(worker):
        client.submit_job(task, "last", priority="LOW", poll_timeout=DEADLINE)
    assert ran == ["HIGH", "None", "LOW", "last"]


def test_requests_come_back_in_the_order_of_their_jobs(
    client: Any, worker: Any, task: str
) -> None:
    worker.register_task(task, upper)
    jobs = [{"task": task, "data": str(number)} for number in range(3000)]
    with working(worker):
        requests = client.submit_multiple_jobs(jobs, poll_timeout=DEADLINE)
    assert [int(request.result) for request in requests] == list(range(3000))


def test_no_jobs_are_no_requests(client: Any) -> None:
    assert client.submit_multiple_jobs([]) == []


def test_one_job_is_not_several(client: Any, task: str) -> None:
    with pytest.raises(AssertionError):
        client.submit_multiple_jobs({"task": task, "data": ""})


@pytest.mark.parametrize("kind", [list, tuple, set])
def test_the_container_comes_back(kind: Any, client: Any, task: str) -> None:
    job = {"task": task, "data": ""}
    requests = kind(
        client._create_request_from_dictionary(job, background=True) for _ in range(3)
    )
    returned = client.submit_multiple_requests(requests, poll_timeout=DEADLINE)
    assert returned is requests
    assert all(request.complete for request in requests)


def test_results_can_be_waited_for_later(client: Any, worker: Any, task: str) -> None:
    worker.register_task(task, upper)
    jobs = [{"task": task, "data": "a"}, {"task": task, "data": "b"}]
    requests = client.submit_multiple_jobs(jobs, wait_until_complete=False)
    assert [request.state for request in requests] == [gearman.JOB_CREATED] * 2
    with working(worker):
        client.wait_until_jobs_completed(requests, poll_timeout=DEADLINE)
    assert [request.result for request in requests] == ["A", "B"]


def test_running_out_of_time_raises_nothing(client: Any, task: str) -> None:
    request = client.submit_job(task, "", poll_timeout=0.01)
    assert request.timed_out
    assert not request.complete


def test_with_no_time_a_job_is_queued_only(client: Any, task: str) -> None:
    jobs = [{"task": task, "data": ""}] * 3000
    requests = client.submit_multiple_jobs(jobs, background=True, poll_timeout=0)
    assert {request.state for request in requests} == {gearman.JOB_PENDING}
    assert all(request.timed_out for request in requests)
    client.wait_until_jobs_accepted(requests, poll_timeout=DEADLINE)
    assert all(request.complete for request in requests)


def test_a_job_without_a_unique_gets_one_of_its_own(client: Any, task: str) -> None:
    requests = client.submit_multiple_jobs(
        [{"task": task, "data": ""}, {"task": task, "data": "", "unique": ""}],
        background=True,
    )
    uniques = {request.job.unique for request in requests}
    assert [len(unique) for unique in uniques] == [32, 32]


def test_the_length_of_uniques_can_be_chosen(server: Server, task: str) -> None:
    with gearman.GearmanClient([server.address], 4) as client:
        request = client.submit_job(task, "", background=True)
    assert len(str(request.job.unique)) == 8


def test_requests_of_one_unique_share_a_job(
    client: Any, worker: Any, task: str
) -> None:
    ran: list[Any] = []

    def once(worker: Any, job: Any) -> str:
        ran.append(job)
        worker.send_job_data(job, "part")
        worker.send_job_status(job, 1, 2)
        return "done"

    worker.register_task(task, once)
    jobs = [{"task": task, "data": "", "unique": "same"}] * 2
    requests = client.submit_multiple_jobs(jobs, wait_until_complete=False)
    with working(worker):
        client.wait_until_jobs_completed(requests, poll_timeout=DEADLINE)
    assert [request.result for request in requests] == ["done", "done"]
    assert [list(request.data_updates) for request in requests] == [["part"]] * 2
    assert len(ran) == 1


def test_the_status_of_a_job_can_be_asked(
    client: Any, worker: Any, server: Server, task: str
) -> None:
    def slow(worker: Any, job: Any) -> None:
        worker.send_job_status(job, 3, 4)
        with gearman.GearmanClient([server.address]) as other:
            statuses.append(until(lambda: seen_by(other)))

    def seen_by(other: gearman.GearmanClient) -> Any:
        status: Any = other.get_unique_status("the unique", DEADLINE)
        return None if status["known"] and not status["denominator"] else status

    statuses: list[Any] = []
    worker.register_task(task, slow)
    request = client.submit_job(task, "", "the unique", background=True)
    waiting = dict(client.get_job_status(request, poll_timeout=DEADLINE).status)
    assert (waiting["known"], waiting["running"]) == (True, False)
    with working(worker):
        client.submit_job(task, "", priority="LOW", poll_timeout=DEADLINE)
    (status, _) = statuses
    assert (status["running"], status["numerator"], status["denominator"]) == (
        True,
        3,
        4,
    )
    gone = client.get_job_status(request, poll_timeout=DEADLINE).status
    assert (gone["known"], gone["running"]) == (False, False)
    assert gone["time_received"] > waiting["time_received"]
    assert gone["handle"] == request.job.handle


def test_an_unknown_unique_has_a_status_too(client: Any) -> None:
    status = client.get_unique_status(b"never submitted", poll_timeout=DEADLINE)
    assert (status["known"], status["unique"], status["clients"]) == (
        False,
        "never submitted",
        0,
    )


@pytest.mark.parametrize("name", ["x" * 65, "x\0y", b"\0", "ü" * 33])
def test_what_can_be_no_unique_or_handle_is_not_asked_for(
    client: Any, name: str | bytes
) -> None:
    with pytest.raises(gearman.errors.ProtocolError, match="no unique"):
        client.get_unique_status(name)
    with pytest.raises(gearman.errors.ProtocolError, match="no handle"):
        client.get_job_status(name)


def test_each_question_for_a_unique_is_answered() -> None:
    told: list[dict[str, Any]] = [{}, {}]
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        client.establish_connection(client.connection_list[0])
        handler: Any = client.connection_to_handler_map[client.connection_list[0]]
        for status in told:
            handler.send_get_status_of_unique("u", status)
        handler.recv_status_res_unique("u", "1", "0", "1", "2", "3")
        handler.recv_status_res_unique("cut", "1", "0", "3", "4", "5")
        # No client has asked for this.
        assert handler.recv_status_res_unique("u", "1", "0", "5", "6", "7")
    assert [status["numerator"] for status in told] == [1, 3]
    assert [status["clients"] for status in told] == [3, 5]
    assert not handler.expects_answer()


def test_a_job_for_later_is_not_run_now(
    client: Any, worker: Any, admin: Any, task: str
) -> None:
    ran: list[str] = []
    worker.register_task(task, lambda worker, job: ran.append(str(job.data)))
    later = time.time() + 3600
    request = client.submit_job(task, "later", background=True, when_to_run=later)
    assert request.complete
    with working(worker):
        client.submit_job(task, "now", poll_timeout=DEADLINE)
    assert ran == ["now"]
    admin.cancel_job(request.job.handle)


@pytest.mark.parametrize(
    ("when", "epoch"),
    [(5, b"5"), (5.0, b"5"), (5.001, b"6"), (Decimal("5.5"), b"6"), (-5.5, b"-5")],
)
def test_a_job_for_later_is_not_run_a_part_of_a_second_early(
    when: Any, epoch: bytes, task: str
) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        submission = meanwhile(
            client.submit_job, task, "", background=True, when_to_run=when
        )
        side = server.accept()
        assert side.expect("OPTION_REQ", "SUBMIT_JOB_EPOCH")[2] == epoch
        side.send("JOB_CREATED", b"H:1")
        assert submission.result(DEADLINE).complete


def test_a_time_that_is_no_number_is_refused(client: Any, task: str) -> None:
    when = datetime.fromtimestamp(5)
    with pytest.raises(TypeError, match="not datetime; a datetime has it as timestamp"):
        client.submit_job(task, "", background=True, when_to_run=when)


@pytest.mark.parametrize("poll_timeout", [1e10, float("inf")])
def test_a_timeout_may_be_longer_than_a_poll_can_be(
    poll_timeout: float, client: Any, task: str
) -> None:
    options = {"background": True, "poll_timeout": poll_timeout}
    assert client.submit_job(task, "", **options).complete
    (request,) = client.submit_multiple_jobs([{"task": task, "data": ""}], **options)
    assert request.complete


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"when_to_run": 5}, "needs background=True"),
        ({"when_to_run": 5, "background": True, "priority": "LOW"}, "priority"),
        ({"when_to_run": 5, "reducer": "r"}, "both"),
    ],
)
def test_what_cannot_be_combined_is_refused(
    options: dict[str, Any], sentence: str, client: Any, task: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        client.submit_job(task, "", **options)


@pytest.mark.parametrize("background", [False, True])
def test_a_reduce_job_names_its_reducer(
    background: bool, client: Any, server: Server, task: str
) -> None:
    with gearman.GearmanWorker([server.address], grab_all=True) as worker:
        seen: list[Any] = []
        worker.register_task(task, lambda worker, job: seen.append(job.reducer))
        client.submit_job(
            task, "", reducer="sum", background=background, wait_until_complete=False
        )
        with working(worker):
            client.submit_job(task, "", priority="LOW", poll_timeout=DEADLINE)
    assert seen == ["sum", None]


def test_without_a_server_nothing_can_be_submitted(task: str) -> None:
    with (
        gearman.GearmanClient([unanswered()]) as client,
        pytest.raises(ServerUnavailable, match="refused"),
    ):
        client.submit_job(task, "")


def test_a_server_that_is_down_is_passed_over(server: Server, task: str) -> None:
    hosts = [unanswered(), server.address]
    with gearman.GearmanClient(hosts) as client:
        jobs = [{"task": task, "data": ""}] * 20
        requests = client.submit_multiple_jobs(jobs, background=True)
    assert all(request.complete for request in requests)


def test_a_job_that_may_have_arrived_is_not_submitted_again(task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        submission = meanwhile(client.submit_job, task, "", background=True)
        first = server.accept()
        first.expect("OPTION_REQ", "SUBMIT_JOB_BG")
        first.close()
        assert isinstance(submission.exception(DEADLINE), ExceededConnectionAttempts)
        assert not client.connection_list[0].connected


def test_a_job_that_was_accepted_is_not_submitted_again(task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        submission = meanwhile(client.submit_job, task, "", max_retries=5)
        first = server.accept()
        first.expect("OPTION_REQ", "SUBMIT_JOB")
        first.send("JOB_CREATED", b"H:1")
        first.close()
        assert isinstance(submission.exception(DEADLINE), ServerUnavailable)


def test_the_jobs_of_a_lost_server_are_unknown_and_the_others_stay(task: str) -> None:
    with servers.ours() as one, servers.ours() as two:
        client = gearman.GearmanClient([one.address, two.address])
        jobs = [{"task": task, "data": ""}] * 50
        requests = client.submit_multiple_jobs(jobs, wait_until_complete=False)
        servers.end(one.process)
        dead = next(c for c in client.connection_list if c.gearman_port == one.port)

        def noticed() -> bool:
            client.wait_until_jobs_completed(requests, poll_timeout=0.1)
            return not dead.connected

        servers.until(noticed)
        lost = [request for request in requests if request.job.connection is dead]
        assert {request.state for request in lost} == {gearman.JOB_UNKNOWN}
        others = {request.state for request in requests if request not in lost}
        assert others == {gearman.JOB_CREATED}
        assert all(request.timed_out for request in requests)
        client.close()


def test_a_job_that_the_server_refuses_has_failed(client: Any, task: str) -> None:
    jobs = [
        {"task": task, "data": "", "unique": "x" * 65},
        {"task": task, "data": "", "unique": "good"},
    ]
    refused, accepted = client.submit_multiple_jobs(
        jobs, background=True, poll_timeout=DEADLINE
    )
    assert refused.state == gearman.JOB_FAILED
    assert "ARGUMENT_TOO_LARGE" in refused.exception
    assert accepted.complete


def test_a_payload_that_cannot_be_encoded_leaves_the_client_usable(
    client: Any, task: str
) -> None:
    with pytest.raises(TypeError):
        client.submit_job(task, 5)
    with pytest.raises(ProtocolError):
        client.submit_job(5, "")
    assert client.submit_job(task, "", background=True).complete


def test_a_status_can_be_asked_for_by_handle(
    client: Any, server: Server, task: str
) -> None:
    request = client.submit_job(task, "", background=True)
    with (
        servers.ours() as other,
        gearman.GearmanClient([other.address, server.address]) as stranger,
    ):
        handle = request.job.handle
        told = stranger.get_job_status(handle, poll_timeout=DEADLINE)
        assert (told.status["handle"], told.status["known"]) == (handle, True)
        assert (told.job.handle, told.state) == (handle, gearman.JOB_CREATED)
        assert (told.timed_out, told.complete) == (False, True)
        again = stranger.get_job_status(told, poll_timeout=DEADLINE)
        assert again is told
        assert again.status["known"]
        handles = [handle.encode(), "H:nobody:1", told]
        statuses = stranger.get_job_statuses(handles, poll_timeout=DEADLINE)
        assert [one.status["known"] for one in statuses] == [True, False, True]
        assert statuses[2] is told


def test_a_status_by_handle_does_not_take_the_result_of_a_request(
    client: Any, worker: Any, task: str
) -> None:
    request = client.submit_job(task, "", wait_until_complete=False)
    assert client.get_job_status(request.job.handle, DEADLINE).status["known"]
    worker.register_task(task, lambda worker, job: "done")
    with working(worker):
        client.wait_until_jobs_completed([request], poll_timeout=DEADLINE)
    assert request.result == "done"


def test_a_status_that_no_server_tells_in_time_is_empty(task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        told = client.get_job_status("H:1", poll_timeout=0.01)
        assert told.timed_out
        assert not told.status


def test_the_status_of_what_was_not_submitted_is_an_error(client: Any) -> None:
    job = {"task": "task", "data": "x" * 1000}
    request = client._create_request_from_dictionary(job)
    with pytest.raises(InvalidClientState, match="not submitted by this client"):
        client.get_job_status(request)


def test_a_client_without_servers_says_so() -> None:
    client = gearman.GearmanClient([])
    for call in (client.submit_job, lambda *_: client.get_job_status("H:1")):
        with pytest.raises(ServerUnavailable, match="there are no servers: name some"):
            call("task", "")


def test_a_handle_that_nobody_asked_for_is_an_error() -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        submission = meanwhile(client.submit_job, "task", "", background=True)
        side = server.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB_BG")
        side.send("JOB_CREATED", b"H:1")
        request = submission.result(DEADLINE)
        side.send("JOB_CREATED", b"H:2")
        with pytest.raises(InvalidClientState, match="no pending requests"):
            client.get_job_status(request, poll_timeout=DEADLINE)


def test_requests_go_when_nobody_holds_them(client: Any, task: str) -> None:
    references = [
        weakref.ref(client.submit_job(task, "", background=True)) for _ in range(5)
    ]
    gc.collect()
    assert [reference() for reference in references] == [None] * 5


def test_an_old_request_is_not_kept_alive_by_many_later_ones(
    client: Any, task: str
) -> None:
    jobs = [{"task": task, "data": ""}] * 3000
    client.submit_multiple_jobs(jobs, background=True)
    client.submit_multiple_jobs(jobs, background=True)
    (handler,) = client.handler_to_connection_map
    assert not handler.handle_to_request_map
    assert not client.request_to_rotating_connection_queue


def test_consistent_hashing_keeps_a_unique_on_its_server(task: str) -> None:
    hosts = [f"10.0.0.{number}" for number in range(1, 6)]

    def placed(hosts: list[str], unique: str) -> str:
        client = gearman.GearmanClient(hosts)
        job = {"task": task, "data": "", "unique": unique}
        request = client._create_request_from_dictionary(job)
        order = server_order().queue(request, client.connection_list, by_unique=True)
        return order[0].gearman_host

    uniques = [f"unique {number}" for number in range(200)]
    before = [placed(hosts, unique) for unique in uniques]
    after = [placed(hosts[:-1], unique) for unique in uniques]
    assert set(before) == set(hosts)
    moved = [old for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {hosts[-1]}


@pytest.mark.parametrize("size", [0, 1, 70_000, 5_000_000])
def test_payloads_of_any_size_arrive(
    size: int, client: Any, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: job.data)
    data = bytes(range(256)) * (size // 256 + 1)
    with working(worker):
        request = client.submit_job(task, data[:size], poll_timeout=DEADLINE)
    assert request.result == data[:size]


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="no option 'timeout'"):
        gearman.GearmanClient([], timeout=5)  # type: ignore[call-arg]
