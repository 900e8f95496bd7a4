"""Routes: functions by their paths, headers, and reserved paths."""

import json

import pytest

from gearman.commands import MAX_FUNCTION, MAX_UNIQUE
from tests.server.protocols.http.web import Answer, Web, request


@pytest.fixture
def web(server):
    return Web(server)


def document(answer: Answer):
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return json.loads(answer.body)


def submitted(server, web, data: bytes):
    """Return the only job, which a request has submitted."""
    web.send(data)
    (job,) = server.broker.jobs.known.values()
    return job


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("/f", b"f"),
        ("//f", b"f"),
        ("/f/g", b"f/g"),
        ("/f/", b"f/"),
        ("/Ns::f", b"Ns::f"),
        ("/f?x=y/z", b"f"),
        ("/a%20b%2Fc%e2%82%ac", b"a b/c\xe2\x82\xac"),
        ("/a+b", b"a+b"),
        ("http://host:1/f?x", b"f"),
        ("/http://host/f", b"http://host/f"),
        ("/functions/healthz", b"healthz"),
        ("/functions/functions/f", b"functions/f"),
        ("/functions/jobs/x", b"jobs/x"),
        ("/functions", b"functions"),
        ("/jobs", b"jobs"),
        ("/Healthz", b"Healthz"),
        ("/" + "f" * MAX_FUNCTION, b"f" * MAX_FUNCTION),
        ("/" + "%66" * MAX_FUNCTION, b"f" * MAX_FUNCTION),
    ],
)
def test_path_is_the_function(server, method, path, function):
    web = Web(server, get="any")
    assert submitted(server, web, request(method, path)).function.name == function


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/functions/", 404),
        ("//", 404),
        ("/%", 400),
        ("/%4", 400),
        ("/%zz", 400),
        ("/a%00b", 400),
        ("f", 400),
        ("?", 400),
        ("/jobs/%xx", 400),
        ("/" + "f" * (MAX_FUNCTION + 1), 400),
    ],
)
def test_path_that_names_no_function_is_refused(server, path, status):
    web = Web(server, get="any")
    assert web.ask(request("GET", path)).status == status
    assert server.broker.jobs.known == {}
    assert web.ask(request("GET", "/healthz")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_workload_without_a_function_is_refused(web, method):
    answer = web.ask(request(method, "/"))
    assert (answer.status, answer.body) == (
        404,
        b"No function is named: its name is the path.\n",
    )


@pytest.mark.parametrize(
    ("header", "value", "field", "expected"),
    [
        ("X-Gearman-Unique", "u", "unique", b"u"),
        ("x-gearman-unique", "u v", "unique", b"u v"),
        ("X-Gearman-Unique", "u" * MAX_UNIQUE, "unique", b"u" * MAX_UNIQUE),
        ("X-Gearman-Background", "true", "background", True),
        ("X-Gearman-Background", "True", "background", True),
        ("X-Gearman-Background", "false", "background", False),
        ("X-Gearman-Priority", "high", "priority", 0),
        ("X-Gearman-Priority", "Normal", "priority", 1),
        ("X-Gearman-Priority", "low", "priority", 2),
    ],
)
def test_headers_say_how_the_job_is_run(server, web, header, value, field, expected):
    job = submitted(server, web, request("POST", "/f", **{header: value}))
    assert getattr(job, field) == expected


def test_job_has_no_unique_and_normal_priority_unless_asked_for(server, web):
    job = submitted(server, web, request("POST", "/f", b"work"))
    assert (job.unique, job.priority, job.background) == (b"", 1, False)
    assert job.workload == b"work"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Gearman-Background", "1"),
        ("X-Gearman-Background", ""),
        ("X-Gearman-Priority", "urgent"),
        ("X-Gearman-Timeout", "soon"),
        ("X-Gearman-Timeout", "-1"),
        ("X-Gearman-Unique", "u" * (MAX_UNIQUE + 1)),
    ],
)
def test_header_that_cannot_be_meant_is_refused(server, web, header, value):
    answer = web.ask(request("POST", "/f", **{header: value}))
    assert answer.status == 400
    assert server.broker.jobs.known == {}


def test_header_given_twice_is_refused(web):
    data = request("POST", "/f", X_Gearman_Unique="a", x_gearman_unique="b")
    assert web.ask(data).body == b"X-Gearman-Unique is given twice.\n"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
class TestGet:
    @pytest.mark.parametrize(
        "path", ["/f", "/wp-login.php", "/functions/f", "/status?auto", "/.env"]
    )
    def test_function_that_nobody_offered_is_not_found(self, server, web, method, path):
        assert web.ask(request(method, path)).status == 404
        assert web.ask(request(method, path)).status == 404
        assert server.broker.jobs.known == server.broker.functions.known == {}

    def test_reason_is_told(self, web, method):
        body = (
            b""
            if method == "HEAD"
            else (
                b"No worker has registered this function yet. GET runs only functions"
                b" that a worker has registered; POST runs any.\n"
            )
        )
        assert web.ask(request(method, "/f")).body == body

    def test_function_of_which_only_jobs_are_known_is_not_found(
        self, server, web, method
    ):
        server.connect().submit()
        assert web.ask(request(method, "/f")).status == 404
        assert len(server.broker.jobs.known) == 1

    def test_function_of_a_worker_is_run(self, server, web, method):
        server.worker()
        assert submitted(server, web, request(method, "/f")).function.name == b"f"

    def test_function_whose_worker_is_gone_is_run_when_it_comes_back(
        self, server, web, method
    ):
        server.worker().leave()
        assert submitted(server, web, request(method, "/f")).function.name == b"f"

    def test_function_that_an_admin_made_is_run(self, server, web, method):
        server.connect().ask(b"create function f")
        assert submitted(server, web, request(method, "/f")).function.name == b"f"

    def test_function_that_was_dropped_is_not_found(self, server, web, method):
        server.worker().leave()
        server.connect().ask(b"drop function f")
        assert web.ask(request(method, "/f")).status == 404

    @pytest.mark.parametrize("get", ["known", "any"])
    @pytest.mark.parametrize(
        "path",
        [
            *("/%6detrics", "//metrics", "/status"),
            *("/favicon.ico", "/robots.txt", "/sitemap.xml", "/browserconfig.xml"),
            "/apple-touch-icon-120x120-precomposed.png",
            "/.well-known/security.txt",
        ],
    )
    def test_what_browsers_and_scrapers_ask_for_by_themselves_is_no_job(
        self, server, method, path, get
    ):
        name = path.partition("?")[0].strip("/").replace("%6d", "m")
        server.worker(name.encode())
        answer = Web(server, get=get).ask(request(method, path))
        assert answer.status == 404
        assert server.broker.jobs.known == {}

    @pytest.mark.parametrize("get", ["known", "any", "never"])
    @pytest.mark.parametrize("path", ["/metrics", "/metrics?x"])
    def test_metrics_are_no_job(self, server, method, path, get):
        server.worker(b"metrics")
        answer = Web(server, get=get).ask(request(method, path))
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert (b"gearman_up 1\n" in answer.body) is (method == "GET")
        assert server.broker.jobs.known == {}

    def test_reserved_name_that_is_meant_is_run(self, server, web, method):
        server.worker(b"status")
        job = submitted(server, web, request(method, "/functions/status"))
        assert job.function.name == b"status"

    def test_any_function_is_run_if_that_is_wanted(self, server, method):
        web = Web(server, get="any")
        assert submitted(server, web, request(method, "/f")).function.name == b"f"

    def test_no_function_is_run_if_that_is_wanted(self, server, method):
        server.worker()
        web = Web(server, get="never")
        answer = web.ask(request(method, "/f"))
        assert (answer.status, answer.headers["allow"]) == (405, "POST, PUT, OPTIONS")
        assert web.ask(request(method, "/healthz")).status == 200
        assert web.ask(request("OPTIONS", "/f")).headers["allow"] == (
            "POST, PUT, OPTIONS"
        )
        assert server.broker.jobs.known == {}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("name", ["f", "metrics", "favicon.ico"])
@pytest.mark.parametrize("get", ["known", "any", "never"])
def test_whoever_sends_a_workload_may_name_any_function(server, method, name, get):
    job = submitted(server, Web(server, get=get), request(method, f"/{name}", b"w"))
    assert job.function.name == name.encode()


class TestMethods:
    @pytest.mark.parametrize(
        ("path", "allowed"),
        [
            ("/f", "GET, HEAD, POST, PUT, OPTIONS"),
            ("/", "GET, HEAD, OPTIONS"),
            ("/healthz", "GET, HEAD, OPTIONS"),
            ("/readyz", "GET, HEAD, OPTIONS"),
            ("/metrics", "GET, HEAD, POST, PUT, OPTIONS"),
            ("/jobs/x", "GET, HEAD, DELETE, OPTIONS"),
            ("*", "OPTIONS"),
        ],
    )
    def test_options_tells_them(self, server, web, path, allowed):
        answer = web.ask(request("OPTIONS", path))
        assert (answer.status, answer.headers["allow"]) == (204, allowed)
        assert server.broker.jobs.known == {}

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("DELETE", "/f"),
            ("PATCH", "/f"),
            ("TRACE", "/f"),
            ("CONNECT", "/f"),
            ("POST", "/healthz"),
            ("DELETE", "/"),
            ("PUT", "/jobs/x"),
            ("GET", "*"),
        ],
    )
    def test_others_are_not_allowed(self, server, web, method, path):
        answer = web.ask(request(method, path))
        assert answer.status == 405
        assert answer.body.endswith(f"only {answer.headers['allow']}.\n".encode())
        assert server.broker.jobs.known == {}

    @pytest.mark.parametrize("method", ["get", "BREW", "PRI"])
    @pytest.mark.parametrize("path", ["/f", "/healthz"])
    def test_unknown_ones_are_not_implemented(self, web, method, path):
        assert web.ask(request(method, path)).status == 501


class TestReserved:
    def test_root_describes_the_server(self, server, web):
        server.connect().submit()
        found = document(web.ask(request("GET", "/")))
        assert found["server"] == "Gearman/1.2.3"
        assert (found["jobs"], found["functions"], found["connections"]) == (1, 1, 2)
        assert "/jobs/HANDLE" in found["paths"].values()

    def test_root_without_a_path_is_the_same(self, web):
        assert document(web.ask(request("GET", "http://host")))["jobs"] == 0

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/readyz?verbose"])
    def test_server_that_works_is_healthy_and_ready(self, web, path):
        assert web.ask(request("GET", path)).status == 200

    def test_server_that_drains_is_healthy_but_not_ready(self, server, web):
        server.site.draining = True
        assert web.ask(request("GET", "/healthz")).status == 200
        answer = Web(server).ask(request("GET", "/readyz"))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")

    def test_server_that_cannot_store_jobs_is_not_ready(self, server, web):
        server.broker.outage = b"The store failed"
        answer = web.ask(request("GET", "/readyz"))
        assert answer.status == 503
        assert answer.body == b"The store failed. Try again later.\n"

    def test_server_that_drains_takes_no_jobs(self, server, web):
        server.site.draining = True
        answer = web.ask(request("POST", "/f", b"work"))
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert server.broker.jobs.known == {}


class TestJobs:
    def test_job_tells_how_far_it_is(self, server, web):
        handle = server.connect().submit(b"f\xff", b"u")
        assert document(web.ask(request("GET", f"/jobs/{handle.decode()}"))) == {
            "handle": "H:test:1",
            "function": "f\\xff",
            "unique": "u",
            "background": False,
            "priority": "normal",
            "retries": 0,
            "running": False,
            "numerator": 0,
            "denominator": 0,
        }

    def test_running_job_tells_what_its_worker_told(self, server, web):
        client, worker = server.connect(), server.connect()
        worker.can_do()
        handle = client.submit()
        worker.grab()
        worker.send(12, handle, b"3", b"10")
        found = document(web.ask(request("GET", "/jobs/H%3Atest%3A1?x")))
        assert (found["running"], found["numerator"]) == (True, 3)
        assert found["denominator"] == 10

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    @pytest.mark.parametrize("handle", ["", "H:test:1", "x" * 1000])
    def test_unknown_job_is_not_found(self, web, method, handle):
        assert web.ask(request(method, f"/jobs/{handle}")).status == 404

    def test_delete_is_for_those_who_may_change_something(self, server):
        client = server.connect()
        data = request("DELETE", f"/jobs/{client.submit().decode()}")
        answer = Web(server, address="192.0.2.1").ask(data)
        assert (answer.status, answer.body) == (
            403,
            b"That is only for hosts named with --admin-from.\n",
        )
        assert Web(server, address="unix").ask(data).status == 200

    def test_delete_cancels(self, server, web):
        client = server.connect()
        handle = client.submit()
        found = document(web.ask(request("DELETE", f"/jobs/{handle.decode()}")))
        assert found["cancelled"]
        assert client.got() == [(14, handle)]
        assert server.broker.jobs.known == {}
