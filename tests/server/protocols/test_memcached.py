"""The protocol memcached: jobs by `set`, handles and status by `get`."""

import socket
from dataclasses import replace

import pytest
from pymemcache import Client, MemcacheClientError, MemcacheServerError
from pymemcache.exceptions import MemcacheIllegalInputError

from gearman.commands import MAX_FUNCTION, Command
from gearman.errors import QueueError
from gearman.server.protocols.memcached import (
    MAX_LINE,
    MAX_REMEMBERED,
    MAX_UNACKNOWLEDGED,
    READ_AHEAD,
    Memcached,
)
from gearman.server.settings.config import Endpoint
from gearman.server.settings.protocols import ChosenProtocol
from tests.server.net.test_listener import LOCAL, running
from tests.server.storage.slow_queue import Slow
from tests.servers import DEADLINE, HOST

__all__ = ["running"]

SPOKEN = ChosenProtocol("memcached", Memcached, (Endpoint(HOST, 0),), {})
CONFIG = replace(LOCAL, protocols=(SPOKEN,))


class Cache:
    """A client of the protocol, without sockets."""

    def __init__(self, server, address="127.0.0.1", trace=None):
        self._server = server
        self.protocol = Memcached(server.site).connect(address, 7, trace)
        server.broker.connect(self.protocol.peer)

    def send(self, data, piece=0):
        """Send bytes, in pieces of a size if one is given, and return the answers."""
        for start in range(0, len(data), piece or len(data)):
            self.protocol.receive(data[start : start + (piece or len(data))])
        return self.came()

    def came(self):
        came = self.protocol.data_to_send()
        while self.protocol.ready:
            self.protocol.resume()
            came += self.protocol.data_to_send()
        return came


class Late:
    """A broker that does not acknowledge jobs, as one that waits for a store."""

    def __init__(self, broker):
        self._broker = broker
        self.submitted = []

    def submit(self, peer, function, unique, workload, *arguments):
        self.submitted.append((function, workload))

    def __getattr__(self, name):
        return getattr(self._broker, name)


@pytest.fixture
def cache(server):
    return Cache(server)


@pytest.fixture
def late(server):
    server.site.broker = Late(server.broker)
    return Cache(server)


@pytest.mark.parametrize("piece", [0, 1, 5])
class TestSet:
    @pytest.mark.parametrize("workload", [b"", b"work", b"a\r\nb\0\xff"])
    def test_job_is_submitted_for_the_background(self, server, cache, workload, piece):
        data = b"set f 0 0 %d\r\n%b\r\n" % (len(workload), workload)
        assert (
            cache.send(data + b"version\r\n", piece) == b"STORED\r\nVERSION 1.2.3\r\n"
        )
        (job,) = server.broker.jobs.known.values()
        assert (job.function.name, job.workload, job.unique) == (b"f", workload, b"")
        assert (job.background, job.priority) == (True, 1)

    def test_nothing_is_said_if_nothing_is_to_be_said(self, server, cache, piece):
        assert cache.send(b"set f 0 0 1 noreply\r\nx\r\n", piece) == b""
        assert len(server.broker.jobs.known) == 1

    @pytest.mark.parametrize(
        ("data", "answer"),
        [
            (b"add f 0 0 4\r\nquit\r\n", b"CLIENT_ERROR only set submits a job\r\n"),
            (b"cas f 0 0 4 1\r\nquit\r\n", b"CLIENT_ERROR only set submits a job\r\n"),
            (b"ms f 4 T0\r\nquit\r\n", b"CLIENT_ERROR only set submits a job\r\n"),
            (b"append f 0 0 4 noreply\r\nquit\r\n", b""),
            (
                b"set f\0 0 0 4\r\nquit\r\n",
                b"CLIENT_ERROR a function has no NUL in its name\r\n",
            ),
            (
                b"set %b 0 0 4\r\nquit\r\n" % (b"f" * (MAX_FUNCTION + 1)),
                b"CLIENT_ERROR Function name too large\r\n",
            ),
            (
                b"set f 0 0 1001\r\nquit\r\n%b\r\n" % bytes(995),
                b"SERVER_ERROR object too large for cache\r\n",
            ),
            (b"set f 0 0\r\n", b"ERROR\r\n"),
            (b"set\r\n", b"ERROR\r\n"),
        ],
    )
    def test_value_of_what_is_refused_is_no_command(
        self, server, cache, data, answer, piece
    ):
        server.site.max_packet = 1000
        assert cache.send(data + b"version\n", piece) == answer + b"VERSION 1.2.3\r\n"
        assert server.broker.jobs.known == {}

    @pytest.mark.parametrize(
        ("data", "answer"),
        [
            (b"set f 0 0 -1\r\n", b"CLIENT_ERROR bad command line format\r\n"),
            (b"set f 0 0 x\r\n", b"CLIENT_ERROR bad command line format\r\n"),
            (b"set f 0 0 " + b"9" * 20, b"CLIENT_ERROR bad command line format\r\n"),
            (b"set f 0 0 1\r\nx\n\n", b"CLIENT_ERROR bad data chunk\r\n"),
            (b"set f 0 0 1\r\nxyz", b"CLIENT_ERROR bad data chunk\r\n"),
        ],
    )
    def test_value_without_a_clear_end_ends_the_connection(
        self, server, cache, data, answer, piece
    ):
        assert cache.send(data + b"\r\nversion\r\n", piece).startswith(answer)
        assert cache.protocol.finished
        assert server.broker.jobs.known == {}


class TestRefusals:
    def test_full_queue_is_told(self, server, cache):
        server.connect().ask(b"maxqueue f 1")
        data = b"set f 0 0 1\r\nx\r\n"
        answer = b"STORED\r\nSERVER_ERROR Job queue is full\r\n"
        assert cache.send(data + data) == answer

    def test_draining_server_takes_no_jobs(self, server, cache):
        server.site.draining = True
        answer = b"SERVER_ERROR the server is shutting down\r\n"
        assert cache.send(b"set f 0 0 1\r\nx\r\n") == answer

    @pytest.mark.parametrize("data", [b"\n", b"\r\n", b"flush_all\r\n", b"GET f\r\n"])
    def test_unknown_command_is_an_error(self, cache, data):
        assert cache.send(data + b"version\r\n") == b"ERROR\r\nVERSION 1.2.3\r\n"

    def test_endless_line_ends_the_connection(self, cache):
        assert (
            cache.send(b"get " + b"x" * MAX_LINE) == b"CLIENT_ERROR line too long\r\n"
        )
        assert cache.protocol.finished

    @pytest.mark.parametrize(
        "line", [b"POST / HTTP/1.1", b"GET /version HTTP/1.0", b"get f HTTP/1.1"]
    )
    def test_http_request_ends_the_connection_before_its_body(
        self, server, cache, line
    ):
        data = line + b"\r\nHost: h\r\n\r\nset f 0 0 1\r\nx\r\n"
        answer = b"CLIENT_ERROR an HTTP request on the port of memcached\r\n"
        assert cache.send(data) == answer
        assert cache.protocol.finished
        assert server.broker.jobs.known == {}

    def test_binary_protocol_ends_the_connection(self, cache):
        assert cache.send(b"version\r\n\x80\n" + bytes(20)) == b"VERSION 1.2.3\r\n"
        assert "binary protocol" in str(cache.protocol.error)


class TestGet:
    def test_function_has_the_handle_of_its_last_job(self, cache):
        data = b"set f 0 0 1\r\nx\r\n"
        cache.send(data + data + data.replace(b"f", b"g"))
        assert cache.send(b"get f g h\r\n") == (
            b"VALUE f 0 8\r\nH:test:2\r\nVALUE g 0 8\r\nH:test:3\r\nEND\r\n"
        )

    def test_handle_has_its_status(self, server, cache):
        worker = server.connect().can_do()
        cache.send(b"set f 0 0 1\r\nx\r\n")
        waiting = b"VALUE H:test:1 0 7\r\n1 0 0 0\r\nEND\r\n"
        assert cache.send(b"get H:test:1\r\n") == waiting
        handle = worker.grab()
        worker.send(Command.WORK_STATUS, handle, b"3", b"10")
        assert Cache(server).send(b"gets H:test:1\r\n") == (
            b"VALUE H:test:1 0 8 0\r\n1 1 3 10\r\nEND\r\n"
        )
        worker.send(Command.WORK_COMPLETE, handle, b"")
        assert cache.send(b"get H:test:1\r\n") == b"END\r\n"

    def test_other_connections_know_handles_only(self, server, cache):
        cache.send(b"set f 0 0 1\r\nx\r\n")
        assert Cache(server).send(b"get f\r\n") == b"END\r\n"

    @pytest.mark.parametrize("command", [b"get", b"gets"])
    def test_nothing_asked_for_is_an_error(self, cache, command):
        assert cache.send(command + b"\r\n") == b"ERROR\r\n"

    def test_only_so_many_functions_are_remembered(self, cache):
        count = MAX_REMEMBERED + 1
        cache.send(b"".join(b"set f%d 0 0 0\r\n\r\n" % n for n in range(count)))
        assert cache.send(b"get f0\r\n") == b"END\r\n"
        assert b"VALUE" in cache.send(b"get f1\r\n")


class TestOthers:
    def test_delete_cancels(self, server, cache):
        cache.send(b"set f 0 0 1\r\nx\r\n")
        assert cache.send(b"delete H:test:1\r\n") == b"DELETED\r\n"
        assert server.broker.jobs.known == {}
        assert cache.send(b"delete H:test:1\r\n") == b"NOT_FOUND\r\n"
        assert cache.send(b"delete H:test:1 noreply\r\n") == b""
        assert cache.send(b"delete\r\n") == b"ERROR\r\n"

    def test_delete_is_for_those_who_may_change_something(self, server):
        cache = Cache(server, address="192.0.2.1")
        cache.send(b"set f 0 0 1\r\nx\r\n")
        answer = cache.send(b"delete H:test:1\r\n")
        assert answer == (
            b"CLIENT_ERROR only hosts named with --admin-from may cancel\r\n"
        )
        assert len(server.broker.jobs.known) == 1

    def test_stats_are_few(self, cache):
        cache.send(b"set f 0 0 1\r\nx\r\n")
        assert cache.send(b"stats\r\n").split(b"\r\n") == [
            b"STAT version 1.2.3",
            b"STAT time 1700000000",
            b"STAT curr_connections 1",
            b"STAT functions 1",
            b"STAT jobs 1",
            b"END",
            b"",
        ]
        assert cache.send(b"stats items\r\n") == b"END\r\n"

    def test_verbosity_changes_nothing(self, cache):
        assert cache.send(b"verbosity 1\r\nverbosity 1 noreply\r\n") == b"OK\r\n"

    def test_quit_ends_the_connection(self, cache):
        assert cache.send(b"quit\r\nversion\r\n") == b""
        assert cache.protocol.finished

    def test_requests_and_answers_are_traced(self, server):
        trace: list[str] = []
        Cache(server, trace=trace.append).send(b"set f\xff 0 0 1\r\nx\r\n")
        assert trace == ["received set f\ufffd", "sent STORED"]


class TestOrder:
    SET = b"set f 0 0 1\r\nx\r\n"

    def test_jobs_are_submitted_in_a_row_and_answered_in_order(self, server, late):
        assert late.send(self.SET + self.SET.replace(b"f", b"g")) == b""
        assert server.site.broker.submitted == [(b"f", b"x"), (b"g", b"x")]
        late.protocol.peer.send(Command.JOB_CREATED, (b"H:1",))
        late.protocol.peer.refuse(b"QUEUE_ERROR", b"the disk\nis full")
        assert late.came() == b"STORED\r\nSERVER_ERROR the disk\\x0ais full\r\n"

    def test_other_commands_wait_for_the_answers(self, server, late):
        assert late.send(self.SET + b"get f\r\nversion\r\n" + self.SET) == b""
        assert late.protocol.buffered == 0
        late.protocol.peer.send(Command.JOB_CREATED, (b"H:1",))
        answer = b"STORED\r\nVALUE f 0 3\r\nH:1\r\nEND\r\nVERSION 1.2.3\r\n"
        assert late.came() == answer
        assert len(server.site.broker.submitted) == 2

    def test_jobs_are_not_submitted_without_end(self, server, late):
        late.send(self.SET * (MAX_UNACKNOWLEDGED + 1))
        assert len(server.site.broker.submitted) == MAX_UNACKNOWLEDGED
        assert not late.protocol.paused
        late.send(self.SET * (READ_AHEAD // len(self.SET) + 1))
        assert late.protocol.paused
        late.protocol.peer.send(Command.JOB_CREATED, (b"H:1",))
        late.came()
        assert len(server.site.broker.submitted) == MAX_UNACKNOWLEDGED + 1

    def test_what_waits_for_its_rest_is_counted(self, server, cache):
        cache.send(b"set f 0 0 5\r\nab")
        assert cache.protocol.buffered == 2
        server.site.max_packet = 4
        late = Cache(server)
        late.send(b"set f 0 0 5\r\nab")
        assert late.protocol.buffered == 5


@pytest.fixture
def client(running):
    """A client library of others, connected to a real server."""
    with running(CONFIG) as server:
        client = Client(server.others[0][:2], timeout=DEADLINE)
        yield client
        client.close()


class TestPymemcache:
    def test_job_has_a_handle_and_a_status(self, client):
        assert client.set("f", b"work", noreply=False)
        handle = client.get("f")
        assert client.get(handle) == b"1 0 0 0"
        assert client.delete(handle, noreply=False)
        assert client.get(handle) is None
        assert client.get("f") == handle

    def test_many_jobs_at_once(self, client):
        values = {f"f{number}": b"x" * 1000 for number in range(500)}
        assert client.set_many(values, noreply=False) == []
        assert len(client.get_many(list(values))) == 500
        assert client.stats()[b"jobs"] == 500

    def test_jobs_without_a_reply(self, client):
        for _ in range(10):
            client.set("f", b"work", noreply=True)
        assert client.stats()[b"jobs"] == 10

    def test_errors_are_told(self, client):
        with pytest.raises(MemcacheClientError, match="only set submits a job"):
            client.add("f", b"work", noreply=False)
        with pytest.raises(MemcacheIllegalInputError):
            client.set("f g", b"work")
        assert client.version() is not None
        client.quit()


def test_job_is_stored_when_it_is_durable(running):
    queue = Slow()
    with running(CONFIG, queue=queue) as server:
        with socket.create_connection(server.others[0][:2], DEADLINE) as client:
            client.sendall(b"set f 0 0 1\r\nx\r\nversion\r\n")
            queue.call()
            assert client.recv(100).startswith(b"STORED\r\n")
        client = Client(server.others[0][:2], timeout=DEADLINE)
        for _ in range(20):
            queue.results.put(QueueError("no disk"))
        with pytest.raises(MemcacheServerError, match="cannot store jobs for now"):
            client.set("f", b"work", noreply=False)
        client.close()
