"""Each page, as it is without a script: what it shows, and hostile names."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

import pytest

from gearman.monitor.access.users import make_hash, new_salt
from gearman.monitor.text import name_text
from tests import servers
from tests.monitor.monitors import Browser, monitor
from tests.monitor.pages_of import HOSTILE, Shown, act, remark, show, until_shown
from tests.servers import Server, free_port, until
from tests.wire import Peer, packet

pytestmark = pytest.mark.any_build

PAGES = (
    *("/", "/?span=year", "/dead", "/workers", "/schedules", "/limits", "/events"),
    *("/audit", "/submit", "/find?q=nothing-has-this"),
)


@pytest.fixture(scope="module", autouse=True)
def hostile(server: Server) -> Iterator[Peer]:
    """A worker of functions with hostile names, each with a job that waits."""
    with Peer(server.port) as peer:
        for name in HOSTILE.values():
            peer.send("SUBMIT_JOB_BG", name, name[:60], b"\x00<b>")
            peer.expect("JOB_CREATED")
            peer.send("CAN_DO", name)
        peer.send("SET_CLIENT_ID", b"<i>worker\xff")
        peer.fence()
        yield peer


def queue(server: Server, function: bytes, data: bytes = b"data") -> bytes:
    """Submit a job, and return its handle."""
    with Peer(server.port) as peer:
        return peer.request("SUBMIT_JOB_BG", function, b"", data).body


def admin(server: Server, line: bytes) -> bytes:
    """Return the line that answers an admin command."""
    with Peer(server.port) as peer:
        return peer.ask(line)


def listed(server: Server, line: bytes) -> list[bytes]:
    """Return the lines of a list that answers an admin command."""
    with Peer(server.port) as peer:
        return peer.ask_list(line)


@pytest.mark.parametrize("path", PAGES)
def test_page_is_well_formed_with_hostile_names(browser: Browser, path: str) -> None:
    assert show(browser, path).find_all("main")


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_function_with_a_hostile_name_has_a_page(
    browser: Browser, server: Server, name: bytes
) -> None:
    address = f"/function?function={quote_from_bytes(name, safe='')}"
    until(lambda: browser.get(address).status == 200)
    assert address in show(browser, "/").links("/function")
    page = show(browser, address)
    assert name_text(name) in page.text
    (job,) = page.links("/job")
    found = show(browser, job)
    assert name_text(name) in found.text
    assert "waiting" in found.text
    assert "4 B" in found.text
    assert "000000 00 3c 62 3e .<b>" in found.text


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_name_is_paused_and_resumed(
    browser: Browser, server: Server, name: bytes
) -> None:
    target = f"{server.address} {quote_from_bytes(name, safe='')}"
    for action, verb in (("pause", "Pause"), ("resume", "Resume")):
        told = remark(browser, act(browser, action, target))
        assert told == f"{verb}: {name_text(name)} on {server.address}: done".strip()


def test_hostile_search_finds_nothing_and_is_escaped(browser: Browser) -> None:
    page = show(browser, "/?search=%3Cscript%3E%22%3E")
    assert '<script>">' in page.text or "No function has" in page.text
    assert show(browser, "/find?q=%00%FF%3Cb%3E").find_all("h1")


def test_workers_are_listed_with_hostile_ids(browser: Browser) -> None:
    page = show(browser, "/workers")
    assert "<i>worker" in page.text
    name = quote_from_bytes(HOSTILE["quotes"], safe="")
    assert "1 worker" in show(browser, f"/workers?function={name}").text
    assert "No worker is connected" in show(browser, "/workers?function=nobody").text


def test_worker_is_shown_with_its_job_and_for_how_long(
    browser: Browser, server: Server
) -> None:
    handle = queue(server, b"lengthy").decode()
    with Peer(server.port) as worker:
        worker.send("CAN_DO", b"lengthy")
        worker.send("GRAB_JOB")
        worker.expect("JOB_ASSIGN")
        page = show(browser, "/workers?function=lengthy")
        assert re.search(rf"{handle} for \d", page.text)
        page = show(browser, page.links("/job")[0])
        assert re.search(r"Runs for \d", page.text)
        assert "127.0.0.1" in page.text


def test_function_that_is_gone_says_so_and_shows_the_past(browser: Browser) -> None:
    page = show(browser, "/function?function=gone", 404)
    assert "No server has this function now" in page.text
    assert page.find_all("figure")


def test_job_that_is_gone_says_so(browser: Browser, server: Server) -> None:
    address = f"/job?server={quote(server.address)}&handle=H:x:99999999"
    assert "does not have this job any more" in show(browser, address, 404).text


def test_workload_is_shown_as_text_json_or_numbers(
    browser: Browser, server: Server
) -> None:
    handle = queue(server, b"loaded", b'{"key": ["<script>"]}').decode()
    address = f"/job?server={quote(server.address)}&handle={handle}"
    assert '"key": [ "<script>" ]' in show(browser, address).text
    assert '{"key": ["<script>"]}' in show(browser, f"{address}&form=text").text
    assert "000000 7b 22 6b" in show(browser, f"{address}&form=hex").text
    large = queue(server, b"loaded", b"x" * 3_000_000).decode()
    address = f"/job?server={quote(server.address)}&handle={large}"
    assert "2.8 MiB more are not shown" in show(browser, address).text
    empty = queue(server, b"loaded", b"").decode()
    address = f"/job?server={quote(server.address)}&handle={empty}"
    assert "It is empty" in show(browser, address).text


def test_workload_is_hidden_if_that_is_asked_for(server: Server) -> None:
    handle = queue(server, b"loaded", b"secret").decode()
    with monitor(server.address, options=("--hide-workloads",)) as browser:
        address = f"server={quote(server.address)}&handle={handle}"
        page = show(browser, f"/job?{address}")
        assert "secret" not in page.text
        assert "are hidden" in page.text
        assert "workload" not in browser.get(f"/api/job?{address}").json()


def test_job_of_an_unknown_server_is_a_problem(browser: Browser) -> None:
    page = show(browser, "/job?server=nowhere:1&handle=H:x:1", 404)
    assert "no server of this monitor" in page.text


def test_handle_that_no_command_can_name_is_refused(
    browser: Browser, server: Server
) -> None:
    address = f"/job?server={quote(server.address)}&handle=a%20b"
    assert "no admin command can name it" in show(browser, address).text


def test_job_is_found_by_handle_and_by_unique(browser: Browser, server: Server) -> None:
    with Peer(server.port) as peer:
        handle = peer.request("SUBMIT_JOB_BG", b"findme", b"my-unique", b"").body
    answer = browser.get(f"/find?q={quote_from_bytes(handle)}")
    assert answer.status == 303
    assert "findme" in show(browser, answer.headers["location"]).text
    assert handle.decode() in show(browser, "/find?q=my-unique").text


def test_function_is_found_by_a_part_of_its_name(
    browser: Browser, server: Server
) -> None:
    for name in (b"look.one", b"look.two"):
        queue(server, name)
    until_shown(browser, "/?search=look", "look.two")
    assert len(show(browser, "/find?q=look.").links("/function")) == 2
    answer = browser.get("/find?q=look.o")
    assert answer.headers["location"] == "/function?function=look.one"
    assert browser.get("/find?q=%20").headers["location"] == "/"


def test_jobs_of_a_function_are_listed_by_state_and_in_pages(
    browser: Browser, server: Server
) -> None:
    data = b"".join(packet("SUBMIT_JOB_BG", b"many", b"", b"x") for _ in range(150))
    with Peer(server.port) as peer:
        peer.send_bytes(data)
        for _ in range(150):
            peer.expect("JOB_CREATED")
    until(lambda: browser.function("many"))
    first = show(browser, "/function?function=many&state=waiting")
    assert len(first.rows("jobs")) == 100
    (following,) = [each for each in first.links() if "after=" in each]
    second = show(browser, following.partition("#")[0])
    assert len(second.rows("jobs")) == 50
    assert any("The first ones" in "".join(a.itertext()) for a in second.find_all("a"))
    assert (
        "No dead jobs now" in show(browser, "/function?function=many&state=dead").text
    )


def test_grave_action_asks_before(browser: Browser, server: Server) -> None:
    queue(server, b"grave")
    until(lambda: browser.function("grave"))
    answer = act(browser, "purge", f"{server.address} grave")
    assert answer.status == 200
    assert "Keep it as it is" in answer.text
    assert len(listed(server, b"show jobs of grave")) == 1
    answer = act(browser, "purge", f"{server.address} grave", confirm="yes")
    assert remark(browser, answer) == f"Purge: grave on {server.address}: done, 1 job"
    assert listed(server, b"show jobs of grave") == []


def test_action_on_all_servers_of_a_function(browser: Browser, server: Server) -> None:
    queue(server, b"everywhere")
    until(lambda: browser.function("everywhere"))
    assert "done" in remark(browser, act(browser, "pause", "* everywhere"))
    assert b"everywhere\tpaused=1" in listed(server, b"show policies")


def test_policy_is_set_and_forgotten(browser: Browser, server: Server) -> None:
    queue(server, b"steered")
    until(lambda: browser.function("steered"))
    target = f"{server.address} steered"
    given = {"policy.retries": "3", "policy.dead": "list", "policy.rate": " "}
    assert "done" in remark(browser, act(browser, "set-policy", target, **given))
    page = show(browser, "/function?function=steered")
    assert page.find_all("input", name="policy.retries", value="3")
    assert "retries=3&dead=list" in page.text
    bad = act(browser, "set-policy", target, **{"policy.retries": "many"})
    assert "failed" in remark(browser, bad)
    answer = act(browser, "unset-policy", target, confirm="yes")
    assert "done" in remark(browser, answer)
    assert "No policy" in show(browser, "/function?function=steered").text


def test_several_failures_are_told_one_by_one(browser: Browser, server: Server) -> None:
    targets = [f"{server.address} H:x:{number}" for number in (1, 2)]
    assert "2 job" in act(browser, "forget", *targets).text
    told = remark(browser, act(browser, "forget", *targets, confirm="yes"))
    assert told.startswith("Forget: done for 0 of 2")
    assert f"H:x:2 on {server.address}: there is no such job any more" in told


@pytest.mark.parametrize(
    ("action", "target"),
    [("nonsense", "{} f"), ("pause", "nowhere:1 f"), ("pause", "* nobody-has-it")],
)
def test_action_that_makes_no_sense_is_a_problem(
    browser: Browser, server: Server, action: str, target: str
) -> None:
    answer = act(browser, action, target.format(server.address))
    assert answer.status in (400, 404)


def test_action_needs_the_token(browser: Browser, server: Server) -> None:
    answer = act(browser, "pause", f"{server.address} f", csrf="wrong")
    assert answer.status == 403


@pytest.mark.parametrize(
    ("back", "place"),
    [
        ("/function?function=a%26b&note=old", "/function?function=a%26b&note="),
        ("//evil.example/x", "/?note="),
        ("https://evil.example/x", "/?note="),
        ("/\\evil.example", "/?note="),
        ("javascript:alert(1)", "/?note="),
        ("", "/?note="),
    ],
)
def test_browser_is_sent_back_to_a_page_of_ours(
    browser: Browser, server: Server, back: str, place: str
) -> None:
    answer = act(browser, "pause", f"{server.address} back", back=back)
    assert answer.headers["location"].startswith(place)


def test_job_is_submitted_by_hand(browser: Browser, server: Server) -> None:
    form = {
        "csrf": browser.token,
        "back": "/",
        "function": "by.hand",
        "server": server.address,
        "workload": "two\r\nlines",
        "unique": "hand",
        "priority": "high",
        "options": "retries=2 delay=3600",
    }
    answer = browser.post_form("/submit/job", form)
    assert remark(browser, answer).startswith("Submitted as H:")
    (link,) = show(browser, answer.headers["location"]).links("/job")
    page = show(browser, link)
    for text in ("scheduled", "by.hand", "high", "retries=2", "9 B"):
        assert text in page.text


def test_job_that_is_refused_leaves_the_form(browser: Browser, server: Server) -> None:
    form = {"csrf": browser.token, "server": server.address, "options": "retries=x"}
    answer = browser.post_form("/submit/job", form)
    assert answer.status == 400
    assert "A job needs the name of a function" in answer.text
    answer = browser.post_form("/submit/job", {**form, "name": "%FFx"})
    assert answer.status == 400
    assert "The job was not submitted" in answer.text
    assert "\\xffx" in answer.text


def test_actions_are_in_the_audit(browser: Browser, server: Server) -> None:
    act(browser, "pause", f"{server.address} noted%FF")
    row = show(browser, "/audit").rows("audit")[0]
    for text in ("local", "pause", "noted\\xff", server.address, "done"):
        assert text in row


def test_audit_is_in_pages(browser: Browser, server: Server) -> None:
    for _ in range(2):
        targets = [f"{server.address} H:y:{number}" for number in range(60)]
        act(browser, "cancel", *targets, confirm="yes")
    page = show(browser, "/audit")
    assert len(page.rows("audit")) == 100
    (older,) = [each for each in page.links("/audit") if "before" in each]
    assert "The newest ones" in show(browser, older).text


def test_limits_have_units_and_shares(browser: Browser, server: Server) -> None:
    rows = show(browser, "/limits").rows("limits")
    assert any(row.startswith("max-connections ") for row in rows)
    assert any("max-packet" in row and "GiB" in row for row in rows)
    assert any("request-timeout" in row and "5 min" in row for row in rows)


def test_parameters_that_make_no_sense_are_problems(browser: Browser) -> None:
    for path in ("/?span=aeon", "/?nonsense=1", "/function", "/dead?after=H:x:1"):
        assert show(browser, path, 400).find_all("h1")
    assert "there is nothing" in show(browser, "/nowhere", 404).text


def test_static_files_may_be_kept_for_long(browser: Browser) -> None:
    page = show(browser, "/")
    (style,) = page.find_all("link", rel="stylesheet")
    (script,) = page.find_all("script")
    for path in (style.get("href"), script.get("src")):
        answer = browser.get(str(path))
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
    folder = str(script.get("src")).rpartition("/")[0]
    assert browser.get(f"{folder}/../app.py").status == 404


def test_ten_thousand_dead_jobs_are_shown_in_pages(
    browser: Browser, server: Server
) -> None:
    assert admin(server, b"set function doomed ttl=0.001&dead=list").startswith(b"OK")
    with Peer(server.port) as peer:
        for _ in range(10):
            job = packet("SUBMIT_JOB_BG", b"doomed", b"", b"x")
            peer.send_bytes(job * 1000)
            for _ in range(1000):
                peer.expect("JOB_CREATED")
    until(lambda: browser.function("doomed").get("total", {}).get("dead") == 10_000)
    page = show(browser, "/dead")
    assert page.rows("dead-functions")[0].startswith("doomed")
    assert "10,000" in page.rows("dead-functions")[0]
    assert len(page.rows("dead-1")) == 100
    chosen = [
        str(box.get("value")) for box in page.find_all("input", type="checkbox")[1:]
    ]
    answer = act(browser, "forget", *chosen, confirm="yes")
    assert remark(browser, answer).startswith("Forget: done for all 100")
    answer = act(browser, "forget-all", f"{server.address} doomed", confirm="yes")
    assert remark(browser, answer).endswith("done, 9,900 jobs")
    until_shown(browser, "/dead", "There are no dead jobs")


def test_dead_jobs_of_one_function(browser: Browser, server: Server) -> None:
    admin(server, b"set function dying ttl=0.001&dead=list")
    queue(server, b"dying")
    until(lambda: browser.function("dying").get("total", {}).get("dead"))
    (row,) = show(browser, "/dead?function=dying").rows("dead-1")
    assert "dying dead" in row
    assert "There are no dead jobs" in show(browser, "/dead?function=alive").text
    answer = act(browser, "retry-all", f"{server.address} dying", confirm="yes")
    assert remark(browser, answer).endswith("done, 1 job")


def test_five_hundred_functions_are_in_pages(browser: Browser, server: Server) -> None:
    data = (
        packet("SUBMIT_JOB_BG", b"crowd.%03d" % number, b"", b"")
        for number in range(500)
    )
    with Peer(server.port) as peer:
        peer.send_bytes(b"".join(data))
        for _ in range(500):
            peer.expect("JOB_CREATED")
    page = until_shown(browser, "/?search=crowd", "of 500")
    names: set[bytes] = set()
    while True:
        links = page.links("/function?function=crowd")
        names |= {unquote_to_bytes(each.partition("=")[2]) for each in links}
        following = _link(page, "The next ones")
        if not following:
            break
        page = show(browser, following)
    assert len(names) == 500
    assert show(browser, _link(page, "Those before")).links("/function")
    assert "no more functions" in show(browser, "/?offset=100000").text


def _link(page: Shown, text: str) -> str:
    found = [
        str(each.get("href"))
        for each in page.find_all("a")
        if "".join(each.itertext()) == text
    ]
    return found[0] if found else ""


def test_server_that_is_down_is_shown_with_the_reason() -> None:
    port = free_port()
    with monitor(f"{servers.HOST}:{port}") as browser:
        page = until_shown(browser, "/", "refused")
        (row,) = page.rows("servers")
        assert "down" in row
        assert "No server has a function yet" in page.text
        for path in PAGES:
            show(browser, path)
        problem = show(browser, f"/job?server={servers.HOST}:{port}&handle=H:x:1")
        assert "the server can't be asked" in problem.text


def test_viewer_sees_no_buttons_and_a_stranger_must_log_in(
    server: Server, tmp_path: Path
) -> None:
    users = tmp_path / "users"
    users.write_text(f"eva:view:{make_hash('secret', new_salt())}\n")
    with monitor(server.address, options=("--users", str(users))) as browser:
        answer = browser.get("/dead")
        assert answer.headers["location"] == "/login?next=/dead"
        page = show(browser, "/login?next=/dead")
        assert not page.find_all("nav")
        wrong = browser.post_form("/login", {"name": "eva", "password": "x"})
        assert wrong.status == 401
        assert "the name or the password is wrong" in wrong.text
        browser.post_form("/login", {"name": "eva", "password": "secret"})
        until(lambda: browser.function(HOSTILE["quotes"]))
        page = show(browser, "/")
        assert "eva (may only look)" in page.text
        assert not page.links("/submit")
        name = quote_from_bytes(HOSTILE["quotes"], safe="")
        assert not show(browser, f"/function?function={name}").find_all("textarea")
        assert "may only look" in show(browser, "/submit").text
        assert act(browser, "pause", f"{server.address} f").status == 403


@pytest.mark.interop
def test_gearmand_alone_has_charts_of_gauges() -> None:
    with servers.gearmand() as running, monitor(running.address) as browser:
        handle = queue(running, b"old").decode()
        page = until_shown(browser, "/", "1 job waiting, and no worker")
        assert "gauges only" in page.text
        charts = [each.get("id") for each in page.find_all("figure")]
        assert charts == ["chart-waiting", "chart-running"]
        for path in PAGES:
            show(browser, path)
        address = f"/job?server={quote(running.address)}&handle={handle}"
        assert "does not tell about single jobs" in show(browser, address).text
        told = remark(browser, act(browser, "pause", f"{running.address} old"))
        assert told.endswith("failed: this server has no such command")
        for path in ("/schedules", "/limits"):
            assert running.address in show(browser, path).text
