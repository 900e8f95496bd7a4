"""How connections are opened, and what happens when they are lost."""

import os
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gearman
from gearman.blocking.sockets import Keepalive
from gearman.connection import GearmanConnection
from gearman.errors import ConnectionError, ProtocolError, ServerUnavailable
from tests import servers
from tests.client.stage import HandServer, meanwhile, tls_front, unanswered, working
from tests.servers import DEADLINE, Server
from tests.wire import RESPONSE, packet


def test_a_connection_needs_a_host() -> None:
    with pytest.raises(ServerUnavailable):
        GearmanConnection()


def test_nothing_is_connected_before_it_is_needed() -> None:
    client = gearman.GearmanClient(["nowhere.invalid"])
    assert [connection.connected for connection in client.connection_list] == [False]


def test_a_name_that_does_not_exist_is_unavailable() -> None:
    with pytest.raises(ServerUnavailable):
        gearman.GearmanClient(["nowhere.invalid"]).submit_job("task", "")


@pytest.mark.parametrize("hosts", ["localhost", "localhost:4730", b"localhost"])
def test_one_server_is_no_list_of_servers(hosts: Any) -> None:
    with pytest.raises(ValueError, match="write \\["):
        gearman.GearmanClient(hosts)


@pytest.mark.parametrize(
    "server", [None, 4730, {"host": "h", "port": 1, "keyfile": "k", "certfile": "c"}]
)
def test_what_describes_no_server_is_refused(server: Any) -> None:
    with pytest.raises(gearman.errors.GearmanError):
        gearman.GearmanClient([server])


def exchange(address: Any, task: str, **options: Any) -> None:
    """Run a job on the server at an address."""
    with (
        gearman.GearmanClient([address], **options) as client,
        gearman.GearmanWorker([address], **options) as worker,
    ):
        worker.register_task(task, lambda worker, job: job.data)
        with working(worker):
            data = "x" * 3_000_000
            request = client.submit_job(task, data, poll_timeout=DEADLINE)
    assert request.result == data


def test_a_server_can_be_reached_over_ipv6(task: str) -> None:
    with HandServer() as probe:
        port = probe.listener.getsockname()[1]
    try:
        socket.create_server(("::1", port), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with servers.ours("-L", "::1", port=port):
        exchange(f"[::1]:{port}", task)


def test_a_server_can_be_reached_over_a_unix_socket(task: str, tmp_path: Path) -> None:
    with servers.ours("-L", f"unix:{tmp_path}/socket"):
        exchange(f"unix:{tmp_path}/socket", task)


@pytest.fixture(scope="module")
def tls_port(certificate: dict[str, str]) -> Iterator[int]:
    """The port of a server with TLS that asks for certificates."""
    with servers.ours() as server, tls_front(certificate, server.port) as port:
        yield port


def test_a_server_can_be_reached_over_tls(
    task: str, certificate: dict[str, str], tls_port: int
) -> None:
    exchange({"host": "localhost", "port": tls_port, **certificate}, task)


def test_the_tls_context_can_be_given(
    task: str, certificate: dict[str, str], tls_port: int
) -> None:
    context = ssl.create_default_context(cafile=certificate["ca_certs"])
    context.load_cert_chain(certificate["certfile"], certificate["keyfile"])
    exchange(("localhost", tls_port), task, ssl_context=context)


def test_a_server_with_an_unknown_certificate_is_unavailable(tls_port: int) -> None:
    client = gearman.GearmanClient(
        [("localhost", tls_port)], ssl_context=ssl.create_default_context()
    )
    with pytest.raises(ServerUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        client.submit_job("task", "")


def test_a_server_without_tls_is_unavailable_over_tls(
    server: Server, certificate: dict[str, str]
) -> None:
    hosts = [{"host": server.host, "port": server.port, **certificate}]
    with pytest.raises(ServerUnavailable):
        gearman.GearmanClient(hosts).submit_job("task", "")


def test_sockets_send_at_once_and_are_probed(client: Any, task: str) -> None:
    client.submit_job(task, "", background=True)
    opened = client.connection_list[0].gearman_socket
    assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


@pytest.mark.parametrize(("keepalive", "probed"), [(None, 0), (Keepalive(9, 3, 2), 1)])
def test_probing_is_an_option(
    keepalive: Keepalive | None, probed: int, server: Server, task: str
) -> None:
    with gearman.GearmanClient([server.address], keepalive=keepalive) as client:
        client.submit_job(task, "", background=True)
        opened = client.connection_list[0].gearman_socket
        assert opened is not None
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == probed


def test_opening_a_connection_has_a_time_limit(task: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    address = listener.getsockname()
    # They fill the backlog, so the next connection is not answered.
    others = [socket.socket() for _ in range(3)]
    with listener:
        for other in others:
            other.setblocking(False)
            other.connect_ex(address)
        client = gearman.GearmanClient([address], connect_timeout=0.1)
        with pytest.raises(ServerUnavailable, match="timed out"):
            client.submit_job(task, "")
        for other in others:
            other.close()


def test_a_server_that_owes_an_answer_for_too_long_is_lost(task: str) -> None:
    with (
        HandServer() as server,
        gearman.GearmanClient([server.address], read_timeout=0.05) as client,
    ):
        submission = meanwhile(client.submit_job, task, "")
        server.accept().expect("OPTION_REQ", "SUBMIT_JOB")
        error = submission.exception(DEADLINE)
        assert isinstance(error, gearman.errors.ExceededConnectionAttempts)
        assert not client.connection_list[0].connected


def test_the_end_of_a_job_is_not_owed(task: str) -> None:
    with (
        HandServer() as server,
        gearman.GearmanClient([server.address]) as client,
    ):
        submission = meanwhile(client.submit_job, task, "", wait_until_complete=False)
        side = server.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB")
        side.send("JOB_CREATED", b"H:1")
        request = submission.result(DEADLINE)
        client.read_timeout = 0.02
        client.wait_until_jobs_completed([request], poll_timeout=0.1)
        assert (request.state, request.timed_out) == (gearman.JOB_CREATED, True)
        assert client.connection_list[0].connected


def test_a_result_may_be_as_large_as_the_limit_and_no_larger(task: str) -> None:
    with (
        HandServer() as server,
        gearman.GearmanClient([server.address], max_packet=1000) as client,
    ):
        side = None
        for size in (996, 997):
            submission = meanwhile(client.submit_job, task, "")
            side = side or server.accept()
            side.expect(*(["OPTION_REQ"] if size == 996 else []), "SUBMIT_JOB")
            side.send("JOB_CREATED", b"H:1")
            side.send("WORK_COMPLETE", b"H:1", bytes(size))
            if size == 996:
                assert len(submission.result(DEADLINE).result) == 996
        error = submission.exception(DEADLINE)
        assert isinstance(error, ProtocolError)
        assert str(error) == "Packet of 1001 bytes is over the limit of 1000"
        assert side is not None
        assert side.ended()


def test_a_worker_gives_up_a_server_that_owes_a_job(task: str) -> None:
    with (
        HandServer() as server,
        gearman.GearmanWorker([server.address], read_timeout=0.05) as worker,
    ):
        worker.register_task(task, lambda worker, job: "")
        work = meanwhile(worker.work)
        side = server.accept()
        side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
        side.send("NOOP")
        side.expect("GRAB_JOB_UNIQ")
        assert isinstance(work.exception(DEADLINE), ServerUnavailable)


def test_each_failure_makes_the_rest_longer() -> None:
    connection = GearmanConnection(*_host_and_port(unanswered()))
    connection.connect_cooldown_seconds = 100.0
    connection.max_cooldown_seconds = 10_000.0
    ends = []
    for _ in range(4):
        with pytest.raises(ConnectionError, match="refused"):
            connection.connect()
        ends.append(connection.allowed_connect_time)
    assert ends[-1] - ends[0] > 200


def _host_and_port(address: str) -> tuple[str, int]:
    host, port = address.split(":")
    return host, int(port)


def test_a_server_that_just_failed_is_tried_last(server: Server, task: str) -> None:
    with gearman.GearmanClient([unanswered(), server.address]) as client:
        first = client.connection_list[0]
        first.connect_cooldown_seconds = 1000.0
        with pytest.raises(ConnectionError):
            client.establish_connection(first)
        for _ in range(20):
            request = client.submit_job(task, "", background=True)
            queue = client.request_to_rotating_connection_queue
            order = list(queue.get(request, client.connection_list[1:]))
            assert order[0] is client.connection_list[1]


def test_what_is_no_protocol_ends_the_connection(task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        submission = meanwhile(client.submit_job, task, "", background=True)
        side = server.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB_BG")
        side.send_bytes(b"\0RES\xff\xff\xff\xff\0\0\0\0")
        with pytest.raises(ProtocolError):
            submission.result(DEADLINE)
        assert side.ended()
        assert not client.connection_list[0].connected


def test_a_command_that_clients_do_not_get_is_an_error(task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        submission = meanwhile(client.submit_job, task, "", background=True)
        side = server.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB_BG")
        side.send("NO_JOB")
        with pytest.raises(gearman.errors.UnknownCommandError, match="NO_JOB"):
            submission.result(DEADLINE)


def test_packets_may_arrive_in_pieces(task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        submission = meanwhile(client.submit_job, task, "", poll_timeout=DEADLINE)
        side = server.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB")
        stream = packet("JOB_CREATED", b"H:1", magic=RESPONSE)
        stream += packet("WORK_COMPLETE", b"H:1", b"done", magic=RESPONSE)
        for number in stream:
            side.send_bytes(bytes([number]))
        assert submission.result(DEADLINE).result == "done"


def test_a_client_may_be_used_again_after_it_was_closed(
    server: Server, task: str
) -> None:
    client = gearman.GearmanClient([server.address])
    for _ in range(2):
        with client:
            assert client.submit_job(task, "", background=True).complete
        assert not client.connection_list[0].connected
        assert not client.handler_to_connection_map


def test_descriptors_over_1024_are_no_problem(server: Server, task: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("this machine allows no more than 2000 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1200)]
    try:
        exchange(server.address, task)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Python 3.12 warns of threads, and threads of other tests may still run.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_parent_and_child_do_not_share_a_connection(server: Server, task: str) -> None:
    """Both processes get their own answers, and the parent's job continues."""
    with (
        gearman.GearmanClient([server.address]) as client,
        gearman.GearmanWorker([server.address]) as worker,
    ):
        worker.register_task(task, lambda worker, job: job.data)
        (early,) = client.submit_multiple_jobs(
            [{"task": task, "data": "early"}], wait_until_complete=False
        )
        child = os.fork()
        if child == 0:
            try:
                states: list[object] = [early.state]
                for number in range(50):
                    data = f"child {number}"
                    request = client.submit_job(task, data, poll_timeout=DEADLINE)
                    states.append(request.result == data and request.complete)
                os._exit(0 if all(states) and early.state == "UNKNOWN" else 1)
            except BaseException:
                os._exit(2)
        with working(worker):
            for number in range(50):
                data = f"parent {number}"
                request = client.submit_job(task, data, poll_timeout=DEADLINE)
                assert request.result == data
            assert os.waitpid(child, 0)[1] == 0
        client.wait_until_jobs_completed([early], poll_timeout=DEADLINE)
        assert early.result == "early"
