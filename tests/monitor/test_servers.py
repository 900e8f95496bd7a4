"""The monitor and servers of all kinds: several, other ones, those that die."""

import signal
import socket
from pathlib import Path

import pytest

import gearman
from tests import servers
from tests.certificates import Authority
from tests.monitor.monitors import Browser, monitor
from tests.servers import HOST, until
from tests.wire import Peer


def submit(address: str, *functions: str) -> None:
    with gearman.GearmanClient([address]) as client:
        for function in functions:
            client.submit_job(function, b"data", background=True)


def health(browser: Browser, address: str) -> str:
    found = browser.server(address)
    return f"{found['health']} {found['reason']}".strip()


def test_function_of_several_servers_is_summed() -> None:
    with servers.ours() as first, servers.ours() as second:
        submit(first.address, "mail")
        submit(second.address, "mail", "mail", "other")
        with monitor(first.address, second.address) as browser:
            until(lambda: browser.function("mail").get("total", {}).get("queued") == 3)
            parts = browser.function("mail")["parts"]
            queued = {part["server"]: part["queued"] for part in parts}
            assert queued == {first.address: 1, second.address: 2}
            found = browser.json("/api/functions", server=first.address)
            assert [each["name"] for each in found["functions"]] == ["mail"]


@pytest.mark.interop
def test_gearmand_has_gauges_only() -> None:
    with servers.gearmand() as other, monitor(other.address) as browser:
        submit(other.address, "mail")
        until(lambda: browser.function("mail"))
        found = browser.function("mail")
        assert (found["total"]["queued"], found["total"]["running"]) == (1, 0)
        assert found["total"]["counters"] is None
        assert found["total"]["rates"] is None
        assert found["trouble"] == "1 job waiting, and no worker"
        view = browser.server(other.address)
        assert (view["health"], view["counts"]) == ("up", False)
        assert view["version"].startswith("1.1")
        assert "gauges only" in browser.get("/").text

        def queued() -> bool:
            chart = browser.json("/api/history", fields="queued,submitted")["fields"]
            assert set(chart["submitted"]) == {None}
            return 1 in chart["queued"]

        until(queued)
        (line,) = browser.json("/api/sparklines")["lines"]
        assert set(line["values"]) == {None}


@pytest.mark.interop
def test_gearmand_shows_workers_and_jobs_and_refuses_the_rest() -> None:
    with (
        servers.gearmand() as other,
        monitor(other.address) as browser,
        Peer(other.port) as worker,
    ):
        worker.send("CAN_DO", b"mail")
        worker.fence()
        (found,) = browser.json("/api/workers")["workers"]
        assert (found["functions"], found["jobs"]) == (["mail"], [])
        worker.send("CANT_DO", b"mail")
        submit(other.address, "mail", "mail")
        jobs = browser.json("/api/jobs")["jobs"]
        assert len(jobs) == 2
        after = browser.json("/api/jobs", server=other.address, after=jobs[0]["handle"])
        assert after["jobs"] == jobs[1:]
        (problem,) = browser.json("/api/jobs", function="mail")["problems"]
        assert "does not say which function" in problem["reason"]
        assert browser.json("/api/schedules")["schedules"] == []
        target = {"server": other.address, "name": "mail"}
        (result,) = browser.act("pause", target)
        assert not result["ok"]
        target["name"] = jobs[0]["handle"]
        (result,) = browser.act("cancel", target)
        assert result["ok"]
        # gearmand keeps it until a worker asks for it.
        jobs = browser.json("/api/jobs")["jobs"]
        assert [job["ignored"] for job in jobs] == [True, False]


def test_server_that_is_not_there_is_down_and_does_not_block_others() -> None:
    with servers.ours() as server:
        gone = f"{HOST}:{servers.free_port()}"
        with monitor(gone, server.address) as browser:
            until(lambda: health(browser, server.address) == "up")
            until(lambda: health(browser, gone) == "down Connection refused")
            assert browser.json("/api/overview")["totals"]["health"] == "down"
            body = {"server": gone, "function": "mail"}
            answer = browser.send("POST", "/api/jobs", body)
            assert answer.status == 409
            assert (
                "cannot" in answer.json()["detail"].lower() or answer.json()["detail"]
            )
            (result,) = browser.act("pause", {"server": gone, "name": "mail"})
            assert result["error"] == "Connection refused"
            answer = browser.get(f"/api/job?server={gone}&handle=H:a:1")
            assert answer.status == 502
            assert "Connection refused" in answer.json()["detail"]


def test_server_that_dies_and_comes_back_is_read_again() -> None:
    port = servers.free_port()
    address = f"{HOST}:{port}"
    with monitor(address) as browser:
        with servers.ours(port=port) as server:
            submit(address, "mail")
            until(lambda: browser.function("mail"))
            server.process.send_signal(signal.SIGTERM)
            until(lambda: health(browser, address).startswith("down"))
            assert browser.get("/api/function?function=mail").status == 404
            assert address in browser.get("/").text
        with servers.ours(port=port):
            until(lambda: health(browser, address) == "up")


def test_peer_that_is_no_job_server_is_down() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        with monitor(f"{HOST}:{port}") as browser:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"220 mail.example.org ESMTP\r\n.\r\n")
                until(lambda: "can't be read" in health(browser, f"{HOST}:{port}"))


def test_five_hundred_functions_are_shown() -> None:
    with servers.ours() as server:
        submit(server.address, *(f"function.{number}" for number in range(500)))
        with monitor(server.address) as browser:
            until(lambda: browser.json("/api/functions", limit=1)["count"] == 500)
            found = browser.json("/api/functions", limit=1000)["functions"]
            assert len({each["name"] for each in found}) == 500
            assert "to 50 of 500" in browser.get("/").text


def test_exceptions_are_hidden() -> None:
    with servers.ours() as server:
        with gearman.GearmanClient([server.address]) as client:
            request = client.submit_job("mail", b"", background=True, dead="list")
        with Peer(server.port) as worker:
            worker.send("CAN_DO", b"mail")
            worker.send("GRAB_JOB")
            handle = worker.expect("JOB_ASSIGN")[0]
            worker.send("WORK_EXCEPTION", handle, b"secret")
            worker.fence()
        assert request.job.handle
        query: dict[str, str | bytes] = {"server": server.address, "handle": handle}
        with monitor(server.address) as browser:
            assert browser.json("/api/job", **query)["error"] == "secret"
        with monitor(server.address, options=("--hide-workloads",)) as browser:
            found = browser.json("/api/job", **query)
            assert "error" not in found
            assert found["hidden"] is True


@pytest.mark.parametrize("name", ["localhost", "::1"])
def test_address_is_shown_as_it_is_used(name: str) -> None:
    with monitor(name) as browser:
        (found,) = browser.json("/api/servers")["servers"]
        assert found["address"] == {"::1": "[::1]:4730"}.get(name, f"{name}:4730")


def test_servers_with_tls_are_read(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trust = authority.trust(authority.client)
    with servers.ours(*authority.options("required"), tls=trust) as server:
        with monitor(
            server.address, options=("--ssl",), environment=authority.environment()
        ) as browser:
            until(lambda: health(browser, server.address) == "up")
            body = {"server": server.address, "function": "mail"}
            assert browser.send("POST", "/api/jobs", body).status == 200
            until(lambda: browser.function("mail"))
        with monitor(server.address) as browser:
            until(lambda: health(browser, server.address).startswith("down"))
