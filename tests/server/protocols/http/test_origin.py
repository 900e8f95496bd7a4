"""Which requests of browsers are refused, since any web page may have caused them."""

from typing import Any

import pytest

from tests.server.protocols.http.web import Web, request

BROWSER: dict[str, Any] = {"User_Agent": "Mozilla/5.0 (X11) Firefox/130.0"}
LOCAL: dict[str, Any] = {"Host": "localhost:8080"}
UNKNOWN = b"--http-host"
FOREIGN = b"a page of another site"


@pytest.fixture
def web(server):
    server.connect().can_do(b"f")
    return Web(server, hosts=["jobs.example"])


def refused(web: Web, method: str, path: str, **headers: Any) -> bytes:
    """Return the reason with which a request is refused."""
    answer = web.ask(request(method, path, **headers))
    assert answer.status == 403
    assert not web.server.broker.jobs.known
    return answer.body


def runs(server: Any, web: Web, method: str = "POST", **headers: Any) -> bool:
    """Whether a request runs a job."""
    web.send(request(method, "/f", b"" if method == "GET" else b"w", **headers))
    return len(server.broker.jobs.known) == 1


@pytest.mark.parametrize("host", ["here", "evil.example:8080", "gearman"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"User_Agent": "curl/8.5"},
        {"Accept_Language": "*", "Sec_Fetch_Mode": "cors"},
    ],
)
def test_programs_may_call_the_server_what_they_like(
    server, web, host, method, headers
):
    assert runs(server, web, method, Host=host, **headers)


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "LocalHost.", "a.localhost", "127.0.0.1:8080"]
    + ["192.0.2.7", "[::1]:8080", "jobs.example:8080", "Jobs.Example"],
)
def test_browsers_may_call_it_by_its_names_and_addresses(web, host):
    answer = web.ask(request("GET", "/", Host=host, **BROWSER))
    assert answer.status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8080", "jobs"]
)
@pytest.mark.parametrize("path", ["/", "/f", "/jobs/H:x:1", "/readyz"])
@pytest.mark.parametrize(
    "headers",
    [
        BROWSER,
        {"Origin": "http://evil.example"},
        {"Referer": "http://evil.example/page"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Accept_Language": "de", "X_Gearman_Background": "true"},
    ],
)
def test_name_that_may_belong_to_anybody_is_refused(web, host, path, headers):
    assert UNKNOWN in refused(web, "GET", path, Host=host, **headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://localhost:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"Referer": "http://evil.example/page"},
        BROWSER,
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_page_of_another_origin_runs_nothing(web, method, headers):
    assert FOREIGN in refused(web, method, "/f", **LOCAL, **headers)


def test_page_of_another_origin_cancels_nothing(server, web):
    client = server.connect()
    handle = client.submit().decode()
    answer = web.ask(request("DELETE", f"/jobs/{handle}", **LOCAL, **BROWSER))
    assert (answer.status, len(server.broker.jobs.known)) == (403, 1)
    answer = web.ask(
        request("DELETE", f"/jobs/{handle}", Sec_Fetch_Site="none", **LOCAL, **BROWSER)
    )
    assert (answer.status, len(server.broker.jobs.known)) == (200, 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "http://evil.example", "X_Gearman_Background": "true"},
        {"X_Gearman_Priority": "low"},
    ],
)
def test_own_page_or_one_that_may_send_our_headers_runs_jobs(server, web, headers):
    assert runs(server, web, **LOCAL, **BROWSER, **headers)


def test_no_page_is_allowed_to_send_our_headers(web):
    answer = web.ask(
        request(
            "OPTIONS",
            "/f",
            Origin="http://evil.example",
            Access_Control_Request_Headers="x-gearman-background",
            **LOCAL,
        )
    )
    allowed = [name for name in answer.headers if name.startswith("access-control")]
    assert allowed == []


def test_page_may_look_at_what_changes_nothing(web):
    answer = web.ask(request("GET", "/readyz", Sec_Fetch_Site="cross-site", **LOCAL))
    assert answer.status == 200
