"""The pages in headless Chromium, with real servers, real workers and gearmand."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from gearman.monitor.access.users import make_hash, new_salt
from tests import servers
from tests.monitor import readings
from tests.monitor.chromium import DARK, LIGHT, NARROW, WIDE, Page, chromium, page
from tests.monitor.monitors import Browser, monitor
from tests.monitor.pages_of import HOSTILE
from tests.monitor.told import hostile_cluster, hostile_relays, telling
from tests.servers import Server, free_port, until
from tests.wire import Peer

pytestmark = [pytest.mark.interop, pytest.mark.any_build]

SETTINGS = """
[functions.breaks]
dead = "list"

[functions.breaks_too]
dead = "list"

[schedules.yearly]
cron = "0 0 1 1 *"
function = "report"
workload = "demo"
"""
PATHS = (
    *("/", "/?span=day", "/function?function=works", "/function?function=breaks"),
    "/function?function=both",
    *("/function?function=foreign", "/workers", "/dead", "/schedules", "/limits"),
    *("/events", "/audit", "/submit", "/find?q=nothing-has-this"),
    *("/clusters", "/relays"),
)


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = tmp_path_factory.mktemp("settings") / "settings.toml"
    settings.write_text(SETTINGS)
    with servers.ours("--settings", str(settings)) as running:
        yield running


@pytest.fixture(scope="module")
def foreign() -> Iterator[Server]:
    with servers.gearmand() as running:
        yield running


@contextmanager
def worker(server: Server, function: str, *command: str) -> Iterator[None]:
    """Run a worker that gives each job to a command."""
    tool = [sys.executable, "-P", "-m", "gearman.cli.gearman"]
    process = subprocess.Popen(
        [*tool, "-h", server.host, "-p", str(server.port), "-w", "-f", function]
        + ["--", *command],
        env=servers.package_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def browser(server: Server, foreign: Server) -> Iterator[Browser]:
    """A monitor of both servers, with workers and with jobs of all kinds."""
    with ExitStack() as stack:
        stack.enter_context(worker(server, "works", "cat"))
        stack.enter_context(worker(server, "breaks", "false"))
        found = stack.enter_context(monitor(server.address, foreign.address))
        for name in HOSTILE.values():
            queue(server, name)
        for _ in range(3):
            queue(server, b"works")
            queue(server, b"breaks", b'{"text": "<b>"}')
        queue(foreign, b"foreign")
        for each in (server, foreign):
            queue(each, b"both")
        until(lambda: found.function("breaks").get("total", {}).get("dead", 0) >= 3)
        until(lambda: found.function("works").get("total", {}).get("workers"))
        until(lambda: found.function("foreign"))
        until(lambda: len(found.function("both").get("servers", ())) == 2)
        yield found


@pytest.fixture
def tab(driver: webdriver.Chrome, browser: Browser) -> Iterator[Page]:
    """The browser at that monitor; at the end its console must be clean."""
    found = page(driver, browser)
    found.complaints()
    yield found
    assert found.complaints() == []


def queue(server: Server, function: bytes, data: bytes = b"data") -> str:
    with Peer(server.port) as peer:
        return peer.request("SUBMIT_JOB_BG", function, b"", data).body.decode()


def job_path(server: Server, handle: str) -> str:
    return f"/job?server={quote(server.address)}&handle={handle}"


@pytest.mark.parametrize("path", PATHS)
def test_page_is_accessible_in_both_themes_and_fits(tab: Page, path: str) -> None:
    for width, theme in ((WIDE, LIGHT), (NARROW, DARK)):
        tab.look(width, theme)
        tab.go(path)
        assert tab.violations() == []
        assert not tab.scrolls_sideways()
    tab.look(WIDE, DARK)
    assert tab.violations() == []
    tab.look(NARROW, LIGHT)
    assert not tab.scrolls_sideways()


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_name_harms_nothing(tab: Page, server: Server, name: bytes) -> None:
    tab.look(NARROW)
    tab.go(f"/find?q={quote(name)}")
    tab.find("h1")
    assert not tab.scrolls_sideways()
    assert tab.violations() == []


def leave(tab: Page) -> None:
    """Leave a page before its monitor ends, which it would complain of."""
    tab.driver.get("about:blank")
    tab.complaints()


@pytest.mark.parametrize("path", ["/", "/clusters", "/relays"])
def test_cluster_in_trouble_with_hostile_texts_is_accessible(
    driver: webdriver.Chrome, path: str
) -> None:
    text = "<script>alert(1)</script>" + "x" * 300
    facts = {"cluster": hostile_cluster(text), "relays": hostile_relays(text)}
    with telling(**facts) as address, monitor(address) as found:
        tab = page(driver, found)
        tab.complaints()
        for width, theme in ((WIDE, LIGHT), (NARROW, DARK)):
            tab.look(width, theme)
            tab.go(path)
            tab.until_text("main", text)
            assert tab.violations() == []
            assert not tab.scrolls_sideways()
        assert tab.complaints() == []
        leave(tab)


def test_long_numbers_and_times_fit_into_a_narrow_page(
    driver: webdriver.Chrome,
) -> None:
    busy = readings.function("busy", queued=1 << 40, running=1 << 30, oldest=754.0)
    with telling(busy) as address, monitor(address) as found:
        tab = page(driver, found)
        tab.look(NARROW)
        for path in ("/", "/function?function=busy"):
            tab.go(path)
            tab.until_text("main", "1,099,511,627,776")
            assert not tab.scrolls_sideways()
        assert "12 min 34 s" in tab.text("#state")
        leave(tab)


def test_server_is_drained_by_keys_after_a_question(driver: webdriver.Chrome) -> None:
    with telling(cluster=hostile_cluster("a")) as address, monitor(address) as found:
        tab = page(driver, found)
        tab.go("/clusters")
        tab.until_text("#clusters", "lease in doubt")
        tab.run("document.querySelector('button[value=drain]').focus()")
        tab.keys(Keys.ENTER)
        tab.until_text("dialog[open]", "give its 99 shards away, and end?")
        # What is chosen first changes nothing.
        tab.keys(Keys.ENTER)
        tab.until(lambda: not tab.text("dialog[open]"))
        tab.keys(Keys.ENTER)
        tab.answer("Drain")
        tab.until_text(".remark", "this server has no such command")
        leave(tab)


def test_themes_differ(tab: Page) -> None:
    colour = "return getComputedStyle(document.body).backgroundColor"
    tab.go("/")
    light = tab.run(colour)
    tab.look(WIDE, DARK)
    assert tab.run(colour) != light


def test_numbers_change_by_themselves(tab: Page, server: Server) -> None:
    tab.go("/?search=fresh")
    tab.run("window.same = true")
    tab.until_text("#functions", "No function has")
    queue(server, b"fresh")
    tab.until_text("#functions", "fresh", "1 job waiting, and no worker")
    queue(server, b"fresh")
    tab.until_text("#functions", "2 jobs waiting, and no worker")
    assert tab.run("return window.same")


def test_focus_stays_when_the_page_is_updated(tab: Page, server: Server) -> None:
    queue(server, b"focused")
    tab.go("/?search=focused")
    tab.until_text("#functions", "1 job waiting")
    tab.run("document.querySelector('#functions a.name').focus()")
    queue(server, b"focused")
    tab.until_text("#functions", "2 jobs waiting")
    assert tab.run("return document.activeElement.textContent") == "focused"


def test_row_under_the_pointer_stays_where_it_is(tab: Page, server: Server) -> None:
    for function in (b"order.a", b"order.b", b"order.b"):
        queue(server, function)
    tab.go("/?search=order")
    tab.until_text("#functions tbody tr:first-child", "order.b", "2 jobs")
    pointer = ActionChains(tab.driver)
    pointer.move_to_element(tab.find("#functions tbody tr:last-child")).perform()
    for _ in range(20):
        queue(server, b"order.a")
    tab.until_text("#functions tbody tr:last-child", "order.a", "21")
    pointer.move_to_element(tab.find(".brand")).perform()
    tab.until_text("#functions tbody tr:first-child", "order.a", "21")


def test_page_that_is_not_seen_rests(tab: Page, server: Server) -> None:
    tab.go("/?search=unseen")
    tab.until_text("#functions", "No function has")
    hide = """
        const value = {value: arguments[0], configurable: true};
        Object.defineProperty(document, "hidden", value);
        document.dispatchEvent(new Event("visibilitychange"));
    """
    tab.run(hide, True)
    pages = "return performance.getEntriesByType('resource').length"
    before = tab.run(pages)
    queue(server, b"unseen")
    number = tab.run("return performance.now()")
    # Without resting it would have been read again by then.
    tab.until(lambda: tab.run("return performance.now()") > number + 3000)
    assert tab.run(pages) <= before + 1
    tab.run(hide, False)
    tab.until_text("#functions", "unseen")


def test_function_on_two_servers_has_parts_and_a_choice(
    tab: Page, server: Server, foreign: Server
) -> None:
    tab.go("/function?function=both")
    tab.until_text("#by-server", server.address, foreign.address)
    assert tab.text("#where").startswith("on all servers")
    tab.press("Pause")
    tab.until_text(".remark", "done for 1 of 2", "this server has no such command")


def test_skip_link_and_chart_are_used_by_keyboard(tab: Page) -> None:
    tab.go("/")
    tab.keys(Keys.TAB)
    assert tab.run("return document.activeElement.textContent") == "Skip to the content"
    tab.keys(Keys.ENTER)
    tab.until(lambda: tab.run("return document.activeElement.id") == "main")
    tab.run("document.querySelector('.plot').focus()")
    tab.keys(Keys.ARROW_LEFT)
    tab.until_text(".readout", ":")
    first = tab.text(".readout")
    tab.keys(Keys.HOME)
    tab.until(lambda: tab.text(".readout") not in ("", first))


def test_function_is_paused_and_resumed(tab: Page, server: Server) -> None:
    tab.go("/function?function=works")
    tab.press("Pause")
    tab.until_text(".remark", "Pause: works on", "done")
    tab.press("Resume")
    tab.until_text(".remark", "Resume: works on", "done")


def test_purge_asks_in_a_dialog(tab: Page, browser: Browser, server: Server) -> None:
    queue(server, b"full")
    until(lambda: browser.function("full"))
    tab.go("/function?function=full")
    tab.press("Purge")
    assert tab.violations() == []
    tab.answer("Keep it as it is")
    assert tab.run("return document.activeElement.textContent") == "Purge"
    tab.until_text("#jobs", "waiting")
    tab.press("Purge")
    tab.answer("Purge")
    tab.until_text(".remark", "Purge: full on", "done, 1 job")


def test_policy_is_set_and_forgotten(
    tab: Page, browser: Browser, server: Server
) -> None:
    queue(server, b"ruled")
    until(lambda: browser.function("ruled"))
    tab.go("/function?function=ruled")
    tab.click(".policy summary")
    tab.type("[name='policy.retries']", "4")
    tab.press("Set policy")
    tab.until_text(".remark", "Set policy: ruled on", "done")
    tab.until_text(".policy code", "retries=4")
    tab.click(".policy summary")
    tab.press("Forget what was set")
    tab.answer("Forget policy")
    tab.until_text(".remark", "Forget policy", "done")


def test_job_is_submitted_looked_at_and_cancelled(tab: Page, server: Server) -> None:
    tab.go("/submit")
    tab.type("#job-function", "by.hand")
    tab.type("#job-workload", "hello")
    tab.press("Submit job")
    tab.click(".remark a")
    tab.until_text("#job", "by.hand", "5 B", "waiting")
    assert tab.violations() == []
    tab.press("Cancel")
    tab.answer("Cancel the job")
    tab.until_text(".remark", "Cancel: H:", "done")
    tab.until_text("main", "does not have this job any more")
    # The answer of the page has the status 404.
    assert all("404" in each for each in tab.complaints())


def test_dead_jobs_are_retried_and_forgotten_in_bulk(tab: Page, server: Server) -> None:
    tab.go("/dead?function=breaks")
    buttons = "form.bulk button[value=retry]"
    assert not tab.find(buttons).is_enabled()
    tab.click(".choose-all")
    tab.until_text(".chosen", "chosen")
    tab.click(buttons)
    tab.until_text("dialog", "again?")
    tab.answer("Retry")
    tab.until_text(".remark", "Retry: done for all")
    # Their worker fails again.
    tab.until(lambda: tab.run("return document.querySelectorAll('#dead-1 tr').length"))
    tab.go("/dead?function=breaks")
    tab.click("#dead-1 tbody input")
    tab.click("form.bulk button[value=forget]")
    tab.until_text("dialog", "Forget 1 job?")
    tab.answer("Forget")
    tab.until_text(".remark", "Forget: H:", "done")
    tab.press("Forget all")
    tab.answer("Forget all")
    tab.until_text(".remark", "Forget all dead jobs: breaks on")


def test_ticked_boxes_stay_ticked(tab: Page, browser: Browser, server: Server) -> None:
    for _ in range(2):
        queue(server, b"breaks")
    until(lambda: browser.function("breaks").get("total", {}).get("dead", 0) >= 2)
    tab.go("/dead?function=breaks")
    tab.click("#dead-1 tbody input")
    rows = "return document.querySelectorAll('#dead-1 tbody tr').length"
    before = tab.run(rows)
    queue(server, b"breaks")
    tab.until(lambda: tab.run(rows) > before)
    assert tab.text(".chosen") == "1 chosen"


def test_schedule_is_paused_and_run(tab: Page) -> None:
    tab.go("/schedules")
    tab.until_text("#schedules", "yearly", "0 0 1 1 *", "in ")
    tab.press("Run now")
    tab.until_text(".remark", "Run now: yearly", "done")
    tab.press("Pause")
    tab.until_text("#schedules", "paused")
    tab.press("Resume")
    tab.until_text(".remark", "Resume: yearly", "done")


def test_events_are_shown_as_they_happen(tab: Page, server: Server) -> None:
    tab.go(f"/events?function=works&server={quote(server.address)}")
    tab.until_text(".told", "Nothing has happened")
    handle = queue(server, b"works")
    queue(server, b"other")
    tab.until_text(".events tbody", handle, "submitted", "completed", "ran")
    assert "other" not in tab.text(".events tbody")
    assert tab.violations() == []
    tab.press("Pause")
    assert tab.find(".pause").get_attribute("aria-pressed") == "true"
    later = queue(server, b"works")
    tab.press("Go on")
    tab.until_text(".events tbody", later)


def test_events_of_one_job(tab: Page, server: Server) -> None:
    handle = queue(server, b"watched")
    tab.go(job_path(server, handle))
    tab.until_text(".told", "Nothing has happened")
    with Peer(server.port) as peer:
        assert peer.ask(b"cancel job " + handle.encode()) == b"OK\r\n"
    tab.until_text(".events tbody", "cancelled")
    tab.until(lambda: all("404" in each for each in tab.complaints()))


def test_gearmand_has_gauges_and_the_pages_say_so(tab: Page, foreign: Server) -> None:
    tab.go("/")
    tab.until_text("#servers", "gauges only", "not told")
    tab.go("/function?function=foreign")
    tab.until_text("#state", "does not count jobs")
    tab.until_text("#jobs", "does not say which function a job has")
    assert not tab.text("button[value=pause]")
    tab.go("/events")
    tab.until_text(".told", foreign.address)


def test_server_that_dies_and_comes_back(driver: webdriver.Chrome) -> None:
    port = free_port()
    with ExitStack() as stack:
        running = stack.enter_context(servers.ours(port=port))
        found = stack.enter_context(monitor(running.address))
        tab = page(driver, found)
        tab.go("/")
        tab.until_text("#servers", "up")
        servers.end(running.process)
        tab.until_text("#servers", "down", "refused")
        assert tab.violations() == []
        stack.enter_context(servers.ours(port=port))
        tab.until(lambda: "down" not in tab.text("#servers"))
        tab.until_text("#servers", "up")
        assert not tab.find("#servers").text.count("refused")


def test_monitor_that_is_gone_is_told(driver: webdriver.Chrome) -> None:
    with servers.ours() as running:
        with monitor(running.address) as found:
            tab = page(driver, found)
            tab.go("/")
            tab.until_text("#servers", "up")
        tab.find("#connection")
    tab.complaints()


def test_log_in_and_out(
    driver: webdriver.Chrome, server: Server, tmp_path: Path
) -> None:
    users = tmp_path / "users"
    users.write_text(f"eva:act:{make_hash('secret', new_salt())}\n")
    with monitor(server.address, options=("--users", str(users))) as found:
        tab = page(driver, found)
        tab.go("/workers")
        assert tab.violations() == []
        tab.type("#name", "eva")
        tab.type("#password", "wrong")
        tab.press("Log in")
        tab.until_text(".remark", "the name or the password is wrong")
        tab.type("#password", "secret")
        tab.press("Log in")
        tab.until_text("h1", "Workers")
        assert tab.violations() == []
        tab.press("Log out")
        tab.until_text("h1", "Log in")


def test_page_is_complete_without_scripts(
    driver: webdriver.Chrome, browser: Browser
) -> None:
    tab = page(driver, browser)
    switch = "Emulation.setScriptExecutionDisabled"
    driver.execute_cdp_cmd(switch, {"value": True})
    try:
        tab.go("/")
        for part in ("#servers", "#functions", "#charts"):
            assert tab.text(part)
        tab.go("/function?function=works")
        tab.press("Purge")
        tab.until_text("h1", "Purge?")
        tab.press("Purge")
        tab.until_text(".remark", "Purge: works on", "done")
    finally:
        driver.execute_cdp_cmd(switch, {"value": False})
