"""The protocol http of real servers, with other clients and all kinds of sockets."""

import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPConnection, IncompleteRead
from threading import Thread

import pytest

from gearman.errors import QueueError
from gearman.server.protocols.http.connection import READ_AHEAD
from gearman.server.protocols.http.service import Http
from gearman.server.settings.config import Endpoint
from gearman.server.settings.protocols import ChosenProtocol
from gearman.server.storage.store import OUTAGE
from tests import servers
from tests.server.net.test_listener import LOCAL, TestBackPressure, fill, running
from tests.server.protocols.http.web import answers, request
from tests.server.storage.slow_queue import Slow
from tests.servers import DEADLINE, HOST, until
from tests.wire import Peer, packet

__all__ = ["running"]

WEB = replace(
    LOCAL, protocols=(ChosenProtocol("http", Http, (Endpoint(HOST, 0),), {}),)
)
LARGE = bytes(range(256)) * 20_000


class Worker(Thread):
    """Answers jobs of one function in a thread, with the results of `work`."""

    def __init__(
        self, peer: Peer, work=lambda workload: workload, function: bytes = b"f"
    ) -> None:
        super().__init__(daemon=True)
        self._peer, self._work = peer, work
        peer.send("CAN_DO", function)
        peer.fence()
        self.start()

    def run(self) -> None:
        try:
            while True:
                self._peer.send("PRE_SLEEP")
                self._peer.expect("NOOP")
                self._peer.send("GRAB_JOB")
                _, body = self._peer.receive()
                handle, _, workload = body.split(b"\0", 2)
                self._peer.send("WORK_COMPLETE", handle, self._work(workload))
        except (OSError, EOFError):
            pass


@pytest.fixture
def web(running):
    """A server with a worker, and a function that connects to its HTTP port."""
    with running(WEB) as server, server.peer() as peer:
        Worker(peer)
        yield server


def port(server) -> int:
    number: int = server.others[0][1]
    return number


def connect(server) -> socket.socket:
    return socket.create_connection((HOST, port(server)), DEADLINE)


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while more := sock.recv(65536):
        data += more
    return data


class TestClients:
    @pytest.mark.parametrize("workload", [b"", b"work", LARGE])
    def test_python_keeps_its_connection(self, web, workload):
        client = HTTPConnection(HOST, port(web), timeout=DEADLINE)
        for _ in range(3):
            client.request("POST", "/f", workload)
            response = client.getresponse()
            assert (response.status, response.read()) == (200, workload)
            assert not response.will_close
        client.close()

    def test_python_sends_in_chunks(self, web):
        client = HTTPConnection(HOST, port(web), timeout=DEADLINE)
        client.request("PUT", "/f", iter([b"one ", LARGE]), encode_chunked=True)
        assert client.getresponse().read() == b"one " + LARGE
        client.close()

    def test_urllib_raises_what_is_wrong(self, web):
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(f"http://{HOST}:{port(web)}/functions/")
        caught.value.close()

    def test_both_protocols_exchange_jobs(self, web):
        """A worker does a background job of HTTP, and admin commands list it."""
        client = HTTPConnection(HOST, port(web), timeout=DEADLINE)
        with web.peer() as admin:
            headers = {"X-Gearman-Background": "true", "X-Gearman-Unique": "u"}
            client.request("POST", "/g", b"work", headers)
            response = client.getresponse()
            handle = response.headers["X-Gearman-Job-Handle"].encode()
            assert (response.status, response.read()) == (200, b"")
            assert admin.ask_list(b"show unique jobs") == [b"u"]
            admin.send("CAN_DO", b"g")
            admin.send("GRAB_JOB_UNIQ")
            assert admin.expect("JOB_ASSIGN_UNIQ") == [handle, b"g", b"u", b"work"]
            client.request("GET", f"/jobs/{handle.decode()}")
            assert b'"running": true' in client.getresponse().read()
        client.close()


class TestSockets:
    def test_many_requests_at_once_are_answered_in_order(self, web):
        with connect(web) as client:
            data = b"".join(request("POST", "/f", b"%d" % n) for n in range(500))
            close = request("GET", "/healthz", connection="close")
            Thread(target=client.sendall, args=(data + close,)).start()
            found = answers(read_all(client))
        assert [answer.body for answer in found[:-1]] == [b"%d" % n for n in range(500)]

    def test_large_refused_request_can_read_why(self, running):
        with running(replace(WEB, max_packet=100_000)) as server:
            with connect(server) as client:
                client.sendall(request("POST", "/f", b"x" * 5_000_000))
                (answer,) = answers(read_all(client))
            assert (answer.status, answer.headers["connection"]) == (413, "close")

    def test_data_is_streamed(self, running):
        with running(WEB) as server, server.peer() as worker:
            client = HTTPConnection(HOST, port(server), timeout=DEADLINE)
            client.request("POST", "/f")
            handle = self.grab(worker)
            worker.send("WORK_DATA", handle, b"one")
            response = client.getresponse()
            assert response.read(3) == b"one"
            worker.send("WORK_DATA", handle, LARGE)
            worker.send("WORK_COMPLETE", handle, b"end")
            assert response.read() == LARGE + b"end"
            client.close()

    def test_job_that_fails_halfway_leaves_an_incomplete_answer(self, running):
        with running(WEB) as server, server.peer() as worker:
            client = HTTPConnection(HOST, port(server), timeout=DEADLINE)
            client.request("POST", "/f")
            handle = self.grab(worker)
            worker.send("WORK_DATA", handle, b"one")
            response = client.getresponse()
            assert response.read(3) == b"one"
            worker.send("WORK_FAIL", handle)
            with pytest.raises(IncompleteRead):
                response.read()
            client.close()

    def test_hanging_up_drops_the_job(self, running):
        with running(WEB) as server, server.peer() as admin:
            with connect(server) as client:
                client.sendall(request("POST", "/f"))
                until(lambda: admin.ask_list(b"status") == [b"f\t1\t0\t0"])
            until(lambda: admin.ask_list(b"status") == [b"f\t0\t0\t0"])

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tell")
    def test_hanging_up_after_more_than_is_read_drops_the_job(self, running):
        with running(WEB) as server, server.peer() as admin:
            with connect(server) as client:
                client.sendall(request("POST", "/f") + b"x" * 4 * READ_AHEAD)
                until(lambda: admin.ask_list(b"status") == [b"f\t1\t0\t0"])
            until(lambda: admin.ask_list(b"status") == [b"f\t0\t0\t0"])

    def test_worker_waits_for_a_client_that_does_not_read(self, running):
        limit = TestBackPressure.LIMIT
        with running(WEB) as server, server.peer() as worker, ExitStack() as stack:
            client = stack.enter_context(connect(server))
            client.sendall(request("POST", "/f"))
            handle = self.grab(worker)
            data = packet("WORK_DATA", handle, b"x" * 100_000)
            sent = fill(server, worker, data, limit)
            assert sent < limit
            stack.callback(worker.close)

    def test_slow_request_and_idle_connection_are_closed(self, running):
        config = replace(WEB, request_timeout=0.1)
        with running(config) as server:
            # It does not wait between the connection and what comes over it.
            with server.standing_still():
                slow = connect(server)
                slow.sendall(b"GET / HTTP/1.1\r\n")
            with slow:
                (answer,) = answers(read_all(slow))
            assert answer.status == 408
            with connect(server) as idle:
                assert read_all(idle) == b""

    def test_timeout_of_a_request_is_kept(self, running):
        with running(WEB) as server, connect(server) as client:
            client.sendall(request("POST", "/f", x_gearman_timeout="0.1"))
            (answer,) = answers(read_all(client))
            assert answer.status == 504

    def test_draining_server_finishes_what_it_has_and_takes_no_more(self, running):
        with running(WEB) as server, server.peer() as worker:
            with connect(server) as client, connect(server) as other:
                other.sendall(request("GET", "/healthz"))
                other.recv(65536)
                client.sendall(request("POST", "/f", b"work"))
                handle = self.grab(worker)
                server.call(server.listener.drain)
                other.sendall(request("POST", "/f", b"work"))
                assert answers(read_all(other))[0].status == 503
                worker.send("WORK_COMPLETE", handle, b"done")
                assert answers(read_all(client))[0].body == b"done"
            server.join()

    def grab(self, worker: Peer) -> bytes:
        worker.send("CAN_DO", b"f")
        worker.send("PRE_SLEEP")
        worker.expect("NOOP")
        worker.send("GRAB_JOB")
        return worker.expect("JOB_ASSIGN")[0]


def test_background_job_is_acknowledged_when_it_is_durable(running):
    queue = Slow()
    data = request("POST", "/f", b"work", x_gearman_background="true")
    with running(WEB, queue=queue) as server, connect(server) as client:
        client.sendall(data + request("GET", "/healthz", connection="close"))
        queue.started()
        with connect(server) as other:
            other.sendall(request("GET", "/healthz", connection="close"))
            assert answers(read_all(other))[0].status == 200
        queue.results.put(None)
        created, alive = answers(read_all(client))
        assert created.headers["x-gearman-command"] == "JOB_CREATED"
        assert alive.body == b"alive\n"
        for _ in range(20):
            queue.results.put(None)


def test_job_that_cannot_be_stored_is_refused(running):
    queue = Slow()
    data = request("POST", "/f", b"work", x_gearman_background="true")
    with running(WEB, queue=queue) as server, connect(server) as client:
        client.sendall(data + request("GET", "/readyz", connection="close"))
        for _ in range(2):
            queue.call(QueueError("the disk is full"))
        refused, unready = answers(read_all(client))
        assert (refused.status, unready.status) == (503, 503)
        assert OUTAGE in refused.body
        for _ in range(20):
            queue.results.put(None)


class TestCurl:
    @pytest.fixture
    def url(self):
        number = servers.free_port()
        words = ("-r", "http", "--http-port", str(number))
        with servers.ours(*words) as server, Peer(server.port) as peer:
            Worker(peer, lambda workload: workload.upper())
            yield f"http://{HOST}:{number}"

    def curl(self, *words: str, data: bytes = b"") -> bytes:
        program = shutil.which("curl")
        if program is None:
            servers.missing("curl")
        done = subprocess.run(
            [program, "-sS", "--max-time", str(DEADLINE), *words],
            input=data,
            capture_output=True,
            check=True,
        )
        return done.stdout

    def test_sends_and_gets(self, url):
        assert self.curl("-d", "work", f"{url}/f") == b"WORK"

    def test_waits_to_be_asked_for_a_large_body(self, url):
        answer = self.curl(
            *("-T", "-", "-H", "Expect: 100-continue", f"{url}/f"), data=LARGE
        )
        assert answer == LARGE.upper()

    def test_speaks_the_old_version(self, url):
        assert self.curl("-0", "-d", "work", f"{url}/f") == b"WORK"

    def test_reuses_its_connection(self, url):
        answer = self.curl("-w", "%{num_connects}", *[f"{url}/healthz"] * 2)
        assert answer == b"alive\n1alive\n0"


class TestStart:
    def test_protocol_is_not_spoken_unless_asked_for(self):
        number = servers.free_port()
        with servers.ours("--http-port", str(number)) as server:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((HOST, number), DEADLINE)
            assert "--http-port has no effect" in server.log.read_text()

    def test_protocol_is_not_spoken_on_the_gear_port(self):
        with servers.ours("-r", "http", "--http-port", "0") as server:
            with Peer(server.port) as peer:
                peer.send_bytes(request("GET", "/"))
                assert peer.receive_end() == b""
            assert "for http" in server.log.read_text()
