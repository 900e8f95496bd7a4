"""Who may use the monitor over HTTP: hosts, users, tokens, other sites."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gearman.monitor.access.users import make_hash
from gearman.monitor.web.guard import HEADERS
from tests import servers
from tests.monitor.monitors import Browser, monitor
from tests.servers import Server

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PASSWORDS = {"ann": "secret of ann", "bob": "secret of bob"}


@pytest.fixture(scope="module")
def users_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users"
    roles = {"ann": "act", "bob": "view"}
    lines = [
        f"{name}:{role}:{make_hash(PASSWORDS[name], name.encode())}\n"
        for name, role in roles.items()
    ]
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def port(server: Server, users_file: Path) -> Iterator[int]:
    """The port of a monitor with users."""
    with monitor(server.address, options=("--users", str(users_file))) as found:
        yield found.port


@pytest.fixture
def stranger(port: int) -> Browser:
    """A browser that has not logged in."""
    return Browser(port)


def logged_in(port: int, name: str) -> Browser:
    browser = Browser(port)
    assert browser.log_in(name, PASSWORDS[name]).status == 200
    return browser


def pause(browser: Browser, server: Server, **headers: str) -> int:
    target = {"server": server.address, "name": "mail"}
    body = {"action": "pause", "targets": [target]}
    return browser.send("POST", "/api/actions", body, **headers).status


# -- without users


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]", "a.localhost"])
def test_without_users_names_of_this_machine_are_served(
    host: str, browser: Browser
) -> None:
    assert browser.get("/", Host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
@pytest.mark.parametrize("path", ["/", "/api/overview", "/static/monitor.css", "/x"])
def test_without_users_other_names_are_refused(
    host: str, path: str, browser: Browser
) -> None:
    answer = browser.get(path, Host=host)
    assert answer.status == 403
    assert "only for http://localhost" in answer.json()["detail"]


def test_without_users_who_comes_through_a_proxy_is_refused(browser: Browser) -> None:
    answer = browser.get("/", **{"X-Forwarded-For": "192.0.2.1"})
    assert answer.status == 403
    assert "only this machine" in answer.json()["detail"]


def test_without_users_nobody_logs_in(browser: Browser) -> None:
    answer = browser.log_in("ann", "secret")
    assert answer.status == 409
    assert "without --users" in answer.json()["detail"]


def test_without_users_a_change_needs_the_token(
    browser: Browser, server: Server
) -> None:
    assert pause(browser, server) == 200
    assert pause(Browser(browser.port), server) == 403
    assert pause(Browser(browser.port, token="guess"), server) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_change_that_a_page_of_another_site_asks_for_is_refused(
    headers: dict[str, str], browser: Browser, server: Server
) -> None:
    assert pause(browser, server, **headers) == 403
    assert pause(browser, server, Origin=f"http://127.0.0.1:{browser.port}") == 200


# -- headers


@pytest.mark.parametrize(
    "path", ["/", "/api/servers", "/api/nothing", "/static/monitor.css", "/nothing"]
)
def test_every_answer_has_the_headers(path: str, browser: Browser) -> None:
    found = browser.get(path).headers
    for name, value in HEADERS.items():
        assert found[name.lower()] == value
    caching = "no-cache" if path.startswith("/static/") else "no-store"
    assert found["cache-control"] == caching
    assert "server" not in found


def test_policy_allows_nothing_inline_and_nothing_from_outside() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "http" not in policy


# -- with users


@pytest.mark.parametrize(
    "path", ["/api/overview", "/api/session", "/api/audit", "/api/events", "/api/live"]
)
def test_stranger_gets_nothing_from_the_api(path: str, stranger: Browser) -> None:
    answer = stranger.get(path)
    assert answer.status == 401
    assert "facts" not in answer.text


def test_stranger_is_sent_to_the_login(stranger: Browser) -> None:
    answer = stranger.get("/?a=b")
    assert answer.status == 303
    assert answer.headers["location"] == "/login?next=/%3Fa%3Db"
    assert stranger.get("/login").status == 200


def test_stranger_cannot_act(stranger: Browser, server: Server) -> None:
    assert pause(stranger, server) == 401


def test_host_does_not_matter_with_users(stranger: Browser) -> None:
    assert stranger.get("/login", Host="monitor.example.org").status == 200


def test_user_who_may_act_acts(port: int, server: Server) -> None:
    ann = logged_in(port, "ann")
    assert ann.json("/api/session") == {
        "name": "ann",
        "role": "act",
        "token": ann.token,
    }
    assert pause(ann, server) == 200
    (note,) = ann.json("/api/audit", limit=1)["notes"]
    assert (note["who"], note["action"], note["result"]) == ("ann", "pause", "done")


def test_user_who_may_look_cannot_act(port: int, server: Server) -> None:
    bob = logged_in(port, "bob")
    assert bob.json("/api/overview")["servers"]
    assert pause(bob, server) == 403
    job = {"server": server.address, "function": "mail"}
    assert bob.send("POST", "/api/jobs", job).status == 403


def test_token_of_another_session_is_none(port: int, server: Server) -> None:
    ann, again = (logged_in(port, "ann") for _ in range(2))
    ann.token = again.token
    assert pause(ann, server) == 403


def test_cookie_is_for_this_site_only(port: int, stranger: Browser) -> None:
    body = {"name": "ann", "password": PASSWORDS["ann"]}
    cookie = stranger.send("POST", "/api/session", body).headers["set-cookie"]
    assert "; HttpOnly" in cookie
    assert "; SameSite=strict" in cookie
    assert "; Path=/" in cookie
    assert "Secure" not in cookie
    https = {"X-Forwarded-Proto": "https"}
    answer = stranger.send("POST", "/api/session", body, **https)
    assert "; Secure" in answer.headers["set-cookie"]


def test_who_logs_out_gets_nothing_more(port: int) -> None:
    ann = logged_in(port, "ann")
    cookies = dict(ann.cookies)
    assert ann.request("DELETE", "/api/session").status == 403
    answer = ann.request("DELETE", "/api/session", None, {"X-CSRF-Token": ann.token})
    assert answer.status == 204
    ann.cookies = cookies
    assert ann.get("/api/overview").status == 401


def test_login_of_another_site_is_refused(stranger: Browser) -> None:
    body = {"name": "ann", "password": PASSWORDS["ann"]}
    foreign = {"Origin": "http://evil.example"}
    assert stranger.send("POST", "/api/session", body, **foreign).status == 403
    assert stranger.post_form("/login", body, **foreign).status == 403


def test_form_logs_in_and_out(port: int, stranger: Browser) -> None:
    wrong = stranger.post_form("/login", {"name": "ann<b>", "password": "wrong"})
    assert wrong.status == 401
    assert 'role="alert"' in wrong.text
    assert "ann<b>" not in wrong.text
    fields = {"name": "ann", "password": PASSWORDS["ann"]}
    answer = stranger.post_form("/login?next=/%3Fa%3Db", fields)
    assert (answer.status, answer.headers["location"]) == (303, "/?a=b")
    page = stranger.get("/")
    assert page.status == 200
    token = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    assert stranger.post_form("/logout", {"csrf": "guess"}).status == 403
    answer = stranger.post_form("/logout", {"csrf": token})
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert stranger.get("/").status == 303


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil"])
def test_form_leads_to_this_site_only(path: str, stranger: Browser) -> None:
    fields = {"name": "ann", "password": PASSWORDS["ann"]}
    answer = stranger.post_form(f"/login?next={path}", fields)
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"name=%FF", FORM, 400),
        (b"name=" + b"x" * (65 << 10), FORM, 413),
    ],
)
def test_form_that_is_none_is_refused(
    body: bytes, headers: dict[str, str], status: int, stranger: Browser
) -> None:
    assert stranger.request("POST", "/login", body, headers).status == status


def test_wrong_passwords_need_pauses(server: Server, users_file: Path) -> None:
    with monitor(server.address, options=("--users", str(users_file))) as browser:
        statuses = [browser.log_in("ann", "wrong").status for _ in range(5)]
        assert statuses == [401] * 5

        def is_long() -> bool:
            answer = browser.log_in("ann", "wrong")
            return int(answer.headers.get("retry-after", 0)) >= 4

        servers.until(is_long)
        assert browser.log_in("ann", PASSWORDS["ann"]).status == 429
        # It is the same address.
        form = {"name": "bob", "password": PASSWORDS["bob"]}
        page = browser.post_form("/login", form)
        assert page.status == 429
        assert "retry-after" in page.headers
        # The pause ends.
        servers.until(lambda: browser.log_in("bob", PASSWORDS["bob"]).status == 200)
