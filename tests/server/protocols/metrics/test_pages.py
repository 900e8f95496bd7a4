"""The pages of --metrics-port, and long answers beside other requests."""

from typing import Any

import pytest

from gearman.server.protocols.http.connection import (
    MOST_AT_ONCE,
    READ_AHEAD,
    HttpProtocol,
)
from gearman.server.protocols.metrics.service import Metrics
from tests.server.protocols.http.web import Web, answers, request


class Monitor(Web):
    """A client of --metrics-port."""

    def __init__(self, server, host: str = "") -> None:
        super().__init__(server)
        Metrics.prepare()
        service = Metrics(server.site, host)
        protocol = service.connect("127.0.0.1", 7, self.trace.append)
        assert isinstance(protocol, HttpProtocol)
        self.protocol = protocol
        server.broker.connect(self.protocol.peer)


@pytest.fixture
def web(server):
    return Monitor(server)


def many(server, number: int = 2000) -> None:
    for each in range(number):
        server.broker.functions.of(b"f%d" % each)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/metrics", b"# HELP gearman_up Whether the server runs.\n"),
        ("/metrics?name[]=x", b"# HELP gearman_up Whether the server runs.\n"),
        ("http://host/metrics", b"# HELP gearman_up Whether the server runs.\n"),
        ("/healthz", b"alive\n"),
        ("/readyz", b"ready\n"),
    ],
)
def test_page_is_there(web, method, path, body):
    answer = web.ask(request(method, path))
    assert answer.status == 200
    assert answer.body.startswith(body if method == "GET" else b"")
    assert method == "GET" or not answer.body


def test_format_is_named(web):
    answer = web.ask(request("GET", "/metrics"))
    assert answer.headers["content-type"] == (
        "text/plain; version=0.0.4; charset=utf-8"
    )


@pytest.mark.parametrize("path", ["/", "/f", "/metrics/", "//metrics", "/jobs/x", "*"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_nothing_else_is_there(server, web, method, path):
    server.worker()
    answer = web.ask(request(method, path))
    assert answer.status == 404
    assert b"/metrics, /healthz, /readyz" in answer.body
    assert server.broker.jobs.known == {}


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_pages_can_only_be_read(server, web, method, path):
    answer = web.ask(request(method, path))
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert server.broker.jobs.known == {}


def test_path_without_a_slash_is_refused(web):
    assert web.ask(request("GET", "metrics")).status == 400


def test_request_with_a_body_is_refused(server, web):
    answer = web.ask(request("GET", "/metrics", b"x"))
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert web.protocol.finished


def test_browser_that_uses_a_foreign_name_is_refused(server, web):
    agent: dict[str, Any] = {"User_Agent": "Mozilla/5.0"}
    assert web.ask(request("GET", "/metrics", Host="evil", **agent)).status == 403
    named = Monitor(server, "stats.example, evil")
    assert named.ask(request("GET", "/metrics", Host="evil", **agent)).status == 200


def test_readyz_tells_of_an_outage(server, web):
    server.broker.outage = b"The store is away"
    answer = web.ask(request("GET", "/readyz"))
    assert (answer.status, answer.body) == (
        503,
        b"The store is away. Try again later.\n",
    )
    assert web.ask(request("GET", "/healthz")).status == 200
    assert web.ask(request("GET", "/metrics")).status == 200


def test_readyz_tells_of_the_end(server, web):
    server.site.draining = True
    answer = web.ask(request("GET", "/readyz"))
    assert answer.status == 503
    assert b"shutting down" in answer.body


def test_one_connection_is_scraped_many_times(web):
    both = web.send(request("GET", "/metrics") * 2 + request("GET", "/healthz"))
    first, second, third = answers(both)
    assert (first.status, second.status, third.body) == (200, 200, b"alive\n")
    assert web.send(request("GET", "/healthz"))
    assert "sent 200" in web.trace


def test_http_1_0_gets_all_until_the_end(web):
    data = web.send(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert b"chunked" not in data
    assert b"gearman_up 1\n" in data
    assert web.protocol.finished


class TestLongAnswer:
    def test_others_are_served_in_between(self, server, web):
        many(server)
        server.site.half_late = lambda: True
        web.protocol.receive(request("GET", "/metrics"))
        turns = 0
        data = web.protocol.data_to_send()
        while web.protocol.ready:
            turns += 1
            web.protocol.resume()
            data += web.protocol.data_to_send()
        assert turns > 100
        (answer,) = answers(data)
        assert answer.body.count(b"gearman_workers{") == 1001

    def test_no_more_is_made_while_much_waits(self, server):
        server.site.metrics_functions = 10_000
        web = Monitor(server)
        many(server, 10_000)
        web.protocol.receive(request("GET", "/metrics"))
        assert web.protocol.ready
        assert MOST_AT_ONCE < web.protocol.peer.size < 2 * MOST_AT_ONCE
        web.protocol.resume()
        assert web.protocol.peer.size < 2 * MOST_AT_ONCE
        (answer,) = answers(web.came())
        assert answer.body.count(b"gearman_workers{") == 10_000

    def test_next_request_waits_for_its_end(self, server, web):
        many(server)
        server.site.half_late = lambda: True
        web.protocol.receive(request("GET", "/metrics"))
        web.protocol.receive(request("GET", "/healthz"))
        first, second = answers(web.came())
        assert first.body.endswith(b"# TYPE gearman_job_run_seconds histogram\n")
        assert second.body == b"alive\n"

    def test_much_input_is_not_read_before_its_end(self, server, web):
        many(server)
        server.site.half_late = lambda: True
        web.protocol.receive(request("GET", "/metrics"))
        web.protocol.receive(request("GET", "/healthz") * (READ_AHEAD // 20))
        assert web.protocol.paused
        assert web.came()
        assert not web.protocol.paused

    def test_it_has_no_time_limit_of_its_own(self, server, web):
        many(server)
        server.site.half_late = lambda: True
        web.protocol.receive(request("GET", "/metrics"))
        web.after(1000)
        assert not web.protocol.finished
        assert answers(web.came())
