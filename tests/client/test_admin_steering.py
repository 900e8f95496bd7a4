"""The admin client steers functions and jobs of this server."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gearman
from gearman.client_core.steering import ScheduleValues
from gearman.errors import OptionError, ProtocolError
from tests import servers
from tests.client.stage import HandServer, meanwhile, working
from tests.servers import DEADLINE


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    with servers.ours() as started:
        yield started


def dead(client: Any, worker: Any, admin: Any, task: str) -> str:
    """Have a job go to the dead list, and return its handle."""
    assert admin.set_function(task, dead="list", keep=60) == "OK"
    request = client.submit_job(task, "", background=True)
    handle: str = request.job.handle

    def fail(worker: Any, job: Any) -> str:
        raise ValueError

    worker.register_task(task, fail)
    with working(worker):
        client.submit_job(task, "", poll_timeout=DEADLINE)
    worker.unregister_task(task)
    return handle


def test_policies_are_set_and_shown(admin: Any, task: str) -> None:
    assert admin.set_function(task, retries=3, max_running=2, backoff="fixed:1") == "OK"
    policy = {"retries": "3", "backoff": "fixed:1", "max-running": "2"}
    assert {"task": task, "policy": policy} in admin.get_policies()
    assert admin.unset_function(task.encode()) == "OK"
    assert task not in [row["task"] for row in admin.get_policies()]
    assert admin.unset_function(task).startswith("ERR ")


@pytest.mark.parametrize("values", [{}, {"retries": -1}, {"x": 1}, {"delay": 1}])
def test_wrong_policies_are_not_sent(admin: Any, values: Any) -> None:
    with pytest.raises(OptionError):
        admin.set_function("task", **values)


def test_functions_are_paused_and_purged(client: Any, admin: Any, task: str) -> None:
    client.submit_multiple_jobs([{"task": task, "data": ""}] * 3, background=True)
    assert admin.pause_function(task) == "OK"
    assert {"task": task, "policy": {"paused": "1"}} in admin.get_policies()
    assert admin.resume_function(task) == "OK"
    assert admin.purge_function(task) == 3
    with pytest.raises(ProtocolError, match="function not found"):
        admin.purge_function(f"{task} of nobody".replace(" ", "-"))


def test_dead_jobs_are_tried_again_or_forgotten(
    client: Any, worker: Any, admin: Any, task: str
) -> None:
    handle = dead(client, worker, admin, task)
    (row,) = [row for row in admin.get_dead_jobs() if row["task"] == task]
    assert (row["handle"], row["attempts"]) == (handle, 1)
    job = admin.get_job(handle)
    assert (job["state"], job["reason"]) == ("dead", row["reason"])
    workload = admin.get_workload(handle)
    assert (workload["handle"], workload["size"]) == (handle, job["size"])
    assert len(workload["workload"]) == job["size"]
    assert admin.retry_job(handle) == "OK"
    assert admin.retry_job(handle) == "ERR UNKNOWN_JOB"
    assert admin.get_job(handle)["state"] == "waiting"
    assert admin.retry_function(task) == admin.forget_function(task) == 0
    assert admin.forget_job(handle) == "ERR UNKNOWN_JOB"
    assert admin.cancel_job(handle) == "OK"
    with pytest.raises(ProtocolError, match="ERR UNKNOWN_JOB"):
        admin.get_job(handle)
    with pytest.raises(ProtocolError, match="ERR UNKNOWN_JOB"):
        admin.get_workload(handle)
    assert admin.ping_server() < DEADLINE


def test_jobs_are_listed_by_pages(client: Any, admin: Any, task: str) -> None:
    jobs = [{"task": task, "data": "", "unique": f"{n}"} for n in range(3)]
    requests = client.submit_multiple_jobs(jobs, background=True)
    handles = [request.job.handle for request in requests]
    first = admin.list_jobs(task=task, limit=2)
    assert [job["handle"] for job in first] == handles[:2]
    (last,) = admin.list_jobs(task=task, limit=2, after=first[-1]["handle"])
    assert last["handle"] == handles[2]
    assert admin.list_jobs(task=task, unique="1") == first[1:]
    assert admin.list_jobs(state="dead", task=task) == ()
    assert last in admin.list_jobs()
    with pytest.raises(ProtocolError, match="state must be one of waiting"):
        admin.list_jobs(state="odd")


def test_schedules_are_shown_run_and_paused(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[schedules.s]\ncron = '@yearly'\nfunction = 'f'")
    with (
        servers.ours("--settings", str(file)) as server,
        gearman.GearmanAdminClient([server.address]) as admin,
    ):
        (schedule,) = admin.get_schedules()
        following = schedule["next"]
        assert following is not None
        assert time.time() < following < time.time() + 367 * 86400
        rest = {"name": "s", "cron": "@yearly", "task": "f", "last": None}
        rest |= {"source": "file", "owner": None}
        assert schedule == {**rest, "next": following, "paused": False}
        assert admin.pause_schedule("s") == admin.run_schedule("s") == "OK"
        assert [job["function"] for job in admin.list_jobs()] == ["f"]
        assert admin.get_schedules()[0]["paused"]
        assert admin.resume_schedule("s") == "OK"
        assert not admin.get_schedules()[0]["paused"]
        assert admin.resume_schedule("x") == "ERR schedule not found"


def test_schedule_is_set_and_forgotten() -> None:
    with (
        servers.ours() as server,
        gearman.GearmanAdminClient([server.address]) as admin,
    ):
        values: ScheduleValues = {
            "workload": b"\0",
            "timezone": "Europe/Berlin",
            "unique": None,
            "priority": "low",
            "options": "retries=3&ttl=60",
            "catch_up": 3600,
            "paused": True,
            "owner": "shop",
        }
        assert admin.set_schedule("s", "0 3 * * *", "f", **values) == "OK"
        assert admin.set_schedule("t", "@daily", b"g", paused=False) == "OK"
        assert admin.set_schedule("s", "@daily", "f").startswith("ERR shop has set it")
        first, second = admin.get_schedules()
        assert (first["cron"], first["paused"]) == ("0 3 * * *", True)
        assert (first["source"], first["owner"]) == ("command", "shop")
        assert (second["task"], second["owner"]) == ("g", None)
        assert admin.run_schedule("s") == "OK"
        (job,) = admin.list_jobs()
        assert (job["priority"], job["size"]) == ("low", 1)
        assert job["options"] == "ttl=60&retries=3&background=1&priority=low"
        assert admin.unset_schedule("s") == "OK"
        assert admin.unset_schedule("s") == "ERR schedule not found"


def test_server_without_these_commands_says_so() -> None:
    with (
        HandServer() as server,
        gearman.GearmanAdminClient([server.address]) as admin,
    ):
        answer = meanwhile(admin.list_jobs)
        side = server.accept()
        assert side.read_line() == b"list jobs\r\n"
        side.send_bytes(b"ERR UNKNOWN_COMMAND Unknown+server+command\r\n")
        with pytest.raises(ProtocolError, match="UNKNOWN_COMMAND"):
            answer.result(DEADLINE)
