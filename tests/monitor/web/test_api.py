"""The API of a monitor of one real server: what it shows and does."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import gearman
from gearman.monitor.history.file import File
from gearman.monitor.history.recorder import Moment
from tests.monitor.monitors import Browser, monitor
from tests.servers import Server, until
from tests.wire import Peer

HOSTILE = {
    "script": b"<script>alert(1)</script>",
    "control": b"a\tb\x1b[31m",
    "bytes": b"\xff\xfename",
    "quotes": b"\"'&%/?#",
    "long": b"x" * 500,
}


@pytest.fixture
def client(server: Server) -> Iterator[gearman.GearmanClient]:
    with gearman.GearmanClient([server.address]) as found:
        yield found


def queue(client: gearman.GearmanClient, function: str | bytes, **options: Any) -> str:
    """Submit a background job, and return its handle."""
    request = client.submit_job(function, b"data", background=True, **options)
    handle = request.job.handle
    assert handle
    return handle if isinstance(handle, str) else handle.decode()


def test_server_is_up(browser: Browser, server: Server) -> None:
    until(lambda: browser.server(server.address)["health"] == "up")
    found = browser.server(server.address)
    assert found["version"] == gearman.__version__
    assert found["counts"] is True
    assert found["facts"]["process"] == server.process.pid


def test_overview_has_servers_functions_and_totals(
    browser: Browser, client: gearman.GearmanClient
) -> None:
    queue(client, "overview")
    until(lambda: browser.function("overview"))
    found = browser.json("/api/overview", limit=10_000)
    assert len(found["servers"]) == 1
    assert found["totals"]["queued"] >= 1
    names = [function["name"] for function in found["functions"]]
    assert "overview" in names
    assert found["count"] == len(names)
    assert browser.json("/api/overview", limit=0)["functions"] == []


def test_function_has_counters_trouble_parts_and_policies(
    browser: Browser, client: gearman.GearmanClient, server: Server
) -> None:
    queue(client, "detail")
    until(lambda: browser.function("detail").get("total", {}).get("queued"))
    target = {"server": server.address, "name": "detail"}
    (result,) = browser.act("set-policy", target, policy={"retries": 2, "keep": "60"})
    assert result["ok"]
    found = browser.function("detail")
    assert found["trouble"] == "1 job waiting, and no worker"
    assert found["total"]["counters"]["submitted"] == 1
    assert found["parts"][0]["server"] == server.address
    policy = {"server": server.address, "policy": "retries=2&keep=60"}
    assert found["policies"] == [policy]
    listed = browser.json("/api/policies")["policies"]
    assert {"function": "detail", **policy} in listed


def test_functions_are_searched_and_in_pages(
    browser: Browser, client: gearman.GearmanClient
) -> None:
    for number in range(3):
        queue(client, f"page.{number}")
    until(lambda: browser.json("/api/functions", search="PAGE.")["count"] == 3)
    first = browser.json("/api/functions", search="page.", limit=2)
    second = browser.json("/api/functions", search="page.", limit=2, offset=2)
    names = [each["name"] for each in first["functions"] + second["functions"]]
    assert sorted(names) == ["page.0", "page.1", "page.2"]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_name_goes_through(
    name: bytes, browser: Browser, client: gearman.GearmanClient
) -> None:
    handle = queue(client, name)

    def job() -> Any:
        jobs = browser.json("/api/jobs", function=name)["jobs"]
        return [each["handle"] for each in jobs] == [handle]

    until(job)
    found = until(lambda: browser.function(name))
    assert found["total"]["queued"] == 1
    page = browser.get("/")
    assert page.status == 200
    assert b"<script>alert" not in page.body
    assert b"\x1b" not in page.body


def test_function_that_nobody_has_is_not_found(browser: Browser) -> None:
    answer = browser.get("/api/function?function=never")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no server has this function now",
    }


def test_history_that_is_damaged_is_an_answer(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with closing(File(str(path))) as file:
        file.write([Moment(0, server.address, 0, {})])
        [[page]] = file.database.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'moment'"
        )
        [[size]] = file.database.execute("PRAGMA page_size")
    with path.open("r+b") as damaged:
        damaged.seek((page - 1) * size)
        damaged.write(b"\xff" * size)
    with monitor(server.address, options=("--db", str(path))) as browser:
        for place in "/", "/api/history":
            answer = browser.get(place)
            assert answer.status == 503
            assert "be read: database disk image is malformed" in answer.text
            assert "--db" in answer.text


def test_workers_have_their_jobs(
    browser: Browser, client: gearman.GearmanClient, server: Server
) -> None:
    handle = queue(client, "working")
    with Peer(server.port) as worker:
        worker.send("SET_CLIENT_ID", b"me")
        worker.send("CAN_DO", b"working")
        worker.send("GRAB_JOB")
        worker.expect("JOB_ASSIGN")
        (found,) = browser.json("/api/workers", function="working")["workers"]
        assert found["id"] == "me"
        assert found["functions"] == ["working"]
        assert [job["handle"] for job in found["jobs"]] == [handle]
        assert found["running"] == 1
        everybody = browser.json("/api/workers", server=server.address)["workers"]
        # How long the job has run changes meanwhile.
        same = [each for each in everybody if each["id"] == "me"]
        assert [set(each) for each in same] == [set(found)]
    until(lambda: not browser.json("/api/workers", function="working")["workers"])


def test_of_very_many_jobs_of_a_worker_the_first_ones_are_told(
    browser: Browser,
    client: gearman.GearmanClient,
    server: Server,
) -> None:
    # They are read in pages of 1,000.
    count = 1100
    handles = [queue(client, "piled") for _ in range(count)]
    with Peer(server.port) as worker:
        worker.send("CAN_DO", b"piled")
        for _ in handles:
            worker.send("GRAB_JOB")
            worker.expect("JOB_ASSIGN")
        (found,) = browser.json("/api/workers", function="piled")["workers"]
        assert found["running"] == count
        assert {job["handle"] for job in found["jobs"]} < {*handles}
        assert len(found["jobs"]) == 100


def test_job_is_found_by_its_handle(
    browser: Browser, client: gearman.GearmanClient, server: Server
) -> None:
    handle = queue(client, "one", unique="mine")
    found = browser.json("/api/job", server=server.address, handle=handle)
    assert (found["function"], found["unique"]) == ("one", "mine")
    listed = browser.json("/api/jobs", unique="mine", state="waiting")
    assert [job["handle"] for job in listed["jobs"]] == [handle]
    answer = browser.get(f"/api/job?server={server.address}&handle=H:none:1")
    assert answer.status == 404
    answer = browser.get(f"/api/job?server={server.address}&handle=with%20blank")
    assert answer.status == 409


def test_jobs_are_in_pages(
    browser: Browser, client: gearman.GearmanClient, server: Server
) -> None:
    handles = [queue(client, "paged") for _ in range(3)]
    query: dict[str, str | int] = {
        "server": server.address,
        "function": "paged",
        "limit": 2,
    }
    first = browser.json("/api/jobs", **query)["jobs"]
    after = first[-1]["handle"]
    second = browser.json("/api/jobs", **query, after=after)["jobs"]
    assert [job["handle"] for job in first + second] == handles


def test_submitted_job_is_there(browser: Browser, server: Server) -> None:
    body = {
        "server": server.address,
        "function": "by hand",
        "workload": {"base64": "AP8="},
        "unique": "u1",
        "priority": "high",
        "options": {"retries": 1, "delay": "3600"},
    }
    answer = browser.send("POST", "/api/jobs", body)
    assert answer.status == 200, answer.text
    handle = answer.json()["handle"]
    found = browser.json("/api/job", server=server.address, handle=handle)
    assert (found["state"], found["priority"], found["size"]) == (
        "scheduled",
        "high",
        2,
    )
    (note,) = browser.json("/api/audit", limit=1)["notes"]
    assert (note["who"], note["action"], note["target"]) == (
        "local",
        "submit",
        "by hand",
    )
    assert note["result"] == handle


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"options": {"retries": "many"}}, 409, "retries must be a whole number"),
        ({"options": {"color": 1}}, 409, "'color' is no"),
        ({"function": ""}, 400, "function of the body must not be empty"),
        ({"server": "unknown:1"}, 404, "is no server of this monitor"),
        ({"priority": "highest"}, 400, "must be one of high, normal, low"),
        ({"color": "red"}, 400, "has an unknown key: 'color'"),
    ],
)
def test_job_that_cannot_be_submitted(
    changes: dict[str, object],
    status: int,
    sentence: str,
    browser: Browser,
    server: Server,
) -> None:
    body = {"server": server.address, "function": "wrong", **changes}
    answer = browser.send("POST", "/api/jobs", body)
    assert answer.status == status
    assert sentence in answer.json()["detail"]


def test_pause_resume_and_purge(
    browser: Browser, client: gearman.GearmanClient, server: Server
) -> None:
    for _ in range(2):
        queue(client, "held")
    target = {"server": server.address, "name": "held"}
    assert browser.act("pause", target)[0]["ok"]
    until(lambda: browser.function("held").get("total", {}).get("held"))
    assert browser.act("resume", target)[0]["ok"]
    until(lambda: not browser.function("held")["total"]["held"])
    (purged,) = browser.act("purge", target)
    assert (purged["ok"], purged["count"]) == (True, 2)
    notes = browser.json("/api/audit", limit=3)["notes"]
    assert [note["action"] for note in notes] == ["purge", "resume", "pause"]
    assert notes[0]["result"] == "done: 2"
    (older,) = browser.json("/api/audit", limit=1, before=notes[0]["id"])["notes"]
    assert older == notes[1]


def dead_jobs(client: gearman.GearmanClient, server: Server, count: int) -> list[str]:
    """Return the handles of jobs that have failed for good."""
    handles = [queue(client, "dying", dead="list") for _ in range(count)]
    with Peer(server.port) as worker:
        worker.send("CAN_DO", b"dying")
        for _ in range(count):
            worker.send("GRAB_JOB")
            worker.send("WORK_FAIL", worker.expect("JOB_ASSIGN")[0])
    return handles


def test_dead_jobs_are_retried_and_forgotten_in_bulk(
    browser: Browser, client: gearman.GearmanClient, server: Server
) -> None:
    handles = dead_jobs(client, server, 4)
    until(lambda: len(browser.json("/api/jobs", state="dead")["jobs"]) == 4)
    first, second, *others = [
        {"server": server.address, "name": handle} for handle in handles
    ]
    assert [each["ok"] for each in browser.act("forget", first, second)] == [True, True]
    results = browser.act("retry", first, others[0])
    assert [each["ok"] for each in results] == [False, True]
    assert results[0]["error"] == "there is no such job any more"
    function = {"server": server.address, "name": "dying"}
    assert browser.act("retry-all", function)[0]["count"] == 1
    assert browser.act("cancel", *others)[0]["ok"]
    assert browser.act("forget-all", function)[0]["count"] == 0


@pytest.mark.parametrize(
    ("action", "name", "sentence"),
    [
        ("pause", "with blank", "is empty or has blanks"),
        ("pause", "a\r\nshutdown", "is empty or has blanks"),
        ("cancel", "H:none:1", "there is no such job any more"),
        ("drop", "never", "function not found"),
        ("run", "never", "schedule not found"),
    ],
)
def test_action_that_fails_says_why(
    action: str, name: str, sentence: str, browser: Browser, server: Server
) -> None:
    (result,) = browser.act(action, {"server": server.address, "name": name})
    assert not result["ok"]
    assert sentence in result["error"]


def test_policy_with_a_mistake_says_why(browser: Browser, server: Server) -> None:
    target = {"server": server.address, "name": "mail"}
    (result,) = browser.act("set-policy", target, policy={"retries": "many"})
    assert "retries must be a whole number" in result["error"]
    (result,) = browser.act("set-policy", target, policy={})
    assert result["error"] == "a policy needs at least one key"


def test_policy_is_for_one_action_only(browser: Browser, server: Server) -> None:
    targets = [{"server": server.address, "name": "mail"}]
    for body in (
        {"action": "set-policy", "targets": targets},
        {"action": "pause", "targets": targets, "policy": {}},
    ):
        answer = browser.send("POST", "/api/actions", body)
        assert answer.status == 409
        assert "set-policy" in answer.json()["detail"]


def test_actions_are_listed(browser: Browser) -> None:
    found = browser.json("/api/actions")["actions"]
    assert {"pause", "set-policy", "cancel", "run"} <= {e["action"] for e in found}


def test_limits_and_schedules_are_listed(browser: Browser, server: Server) -> None:
    rows = browser.json("/api/limits", server=server.address)["limits"]
    assert "max-connections" in {row["name"] for row in rows}
    assert browser.json("/api/schedules") == {"schedules": [], "problems": []}


def test_history_has_what_was_read(
    browser: Browser, client: gearman.GearmanClient
) -> None:
    queue(client, "charted")
    until(lambda: browser.function("charted"))

    def seen() -> Any:
        chart = browser.json(
            "/api/history", function="charted", fields="submitted,queued,wait_p50"
        )
        assert (chart["step"], len(chart["fields"]["queued"])) == (1, 600)
        return 1 in chart["fields"]["queued"]

    until(seen)
    total = browser.json("/api/history", fields="queued", span="hour")
    assert len(total["fields"]["queued"]) == 360
    lines = browser.json("/api/sparklines", field="queued", limit=200)["lines"]
    (line,) = [each for each in lines if each["name"] == "charted"]
    assert 1 in line["values"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/api/history?fields=color", "fields must be of submitted, started"),
        ("/api/history?span=decade", "span must be one of 10m, hour"),
        ("/api/overview?limit=many", "limit must be a number from 0 to 10000"),
        ("/api/overview?limit=1&limit=2", "limit is given twice"),
        ("/api/overview?color=red", "'color' is no parameter: there are limit"),
        ("/api/servers?color=red", "there are none at all"),
        ("/api/function", "function is missing"),
        ("/api/function?function=", "function is empty"),
        ("/api/functions?search=%FF", "search must be UTF-8"),
        (f"/api/functions?search={'x' * 2000}", "has more than 1024 bytes"),
        ("/api/events?events=color", "events must be of abandoned, cancelled"),
        ("/api/jobs?state=done", "state must be one of"),
    ],
)
def test_query_with_a_mistake_is_refused(
    path: str, sentence: str, browser: Browser
) -> None:
    answer = browser.get(path)
    assert answer.status == 400
    assert sentence in answer.json()["detail"]


def test_unknown_server_is_not_found(browser: Browser) -> None:
    for path in ("functions", "workers", "jobs", "limits", "history", "events"):
        assert browser.get(f"/api/{path}?server=unknown").status == 404


def test_after_is_for_one_server() -> None:
    with monitor("127.0.0.1:1", "127.0.0.1:2") as browser:
        answer = browser.get("/api/jobs?after=H:a:1")
        assert answer.status == 400
        found = browser.json("/api/jobs")
        assert found["jobs"] == []
        reasons = [each["reason"] for each in found["problems"]]
        assert reasons == ["Connection refused"] * 2


@pytest.mark.parametrize(
    ("body", "kind", "status", "sentence"),
    [
        (b"{}", "application/json", 400, "the body has no action"),
        (b"[]", "application/json", 400, "the body must be of type object"),
        (b"{", "application/json", 400, "the body is no JSON"),
        (b'{"a": NaN}', "application/json", 400, "the body is no JSON"),
        (b"[" * 100_000, "application/json", 400, "the body is no JSON"),
        (b"{}", "text/plain", 415, "must be JSON"),
        (b" " * (17 << 20), "application/json", 413, "bytes at most"),
    ],
)
def test_body_with_a_mistake_is_refused(
    body: bytes, kind: str, status: int, sentence: str, browser: Browser
) -> None:
    headers = {"Content-Type": kind, "X-CSRF-Token": browser.token}
    answer = browser.request("POST", "/api/actions", body, headers)
    assert answer.status == status
    assert sentence in answer.json()["detail"]


def test_unknown_path_and_method_are_problems(browser: Browser) -> None:
    answer = browser.get("/api/nothing")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    answer = browser.request("PUT", "/api/jobs")
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    page = browser.get("/nothing")
    assert page.status == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
