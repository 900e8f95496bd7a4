"""The admin client with real servers."""

import asyncio
import inspect
from collections.abc import Iterator

import pytest

import gearman
from gearman.aio import Admin, Client
from gearman.errors import OptionError, ProtocolError, ServerUnavailable
from tests import servers
from tests.aio.scripted import scripted
from tests.aio.stage import run
from tests.client.stage import unanswered
from tests.servers import Server


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    with servers.ours() as server:
        yield server


def test_commands_of_all_servers(server: Server, task: str) -> None:
    async def main() -> None:
        async with Admin(server.address) as admin, Client(server.address) as client:
            assert await admin.ping() > 0
            assert str(server.process.pid) in await admin.pid()
            assert "." in await admin.version()
            assert (await admin.verbosity()).startswith("OK")
            assert await admin.create_function(task) == "OK"
            assert await admin.maxqueue(task, 5) == "OK"
            job = await client.submit(task.encode().decode(), unique=task)
            statuses = {row["task"]: row for row in await admin.status()}
            assert statuses[task]["queued"] == 1
            priorities = {row["task"]: row for row in await admin.priority_status()}
            assert priorities[task]["normal"] == 1
            assert job.handle in [row["handle"] for row in await admin.jobs()]
            assert task in [row["unique"] for row in await admin.unique_jobs()]
            assert await admin.cancel_job(job.handle) == "OK"
            assert len(await admin.workers()) >= 2
            assert (await admin.drop_function(task)).startswith(("OK", "ERR"))

    run(main())


def test_commands_of_this_server(ours: Server, task: str) -> None:
    async def main() -> None:
        async with Admin(ours.address) as admin, Client(ours.address) as client:
            assert await admin.set_function(task, retries=3) == "OK"
            with pytest.raises(OptionError):
                await admin.set_function(task)
            assert {"task": task, "policy": {"retries": "3"}} in await admin.policies()
            assert await admin.unset_function(task) == "OK"
            assert await admin.pause_function(task) == "OK"
            assert await admin.resume_function(task.encode()) == "OK"
            job = await client.submit(task)
            assert (await admin.job(job.handle))["function"] == task
            (row,) = await admin.list_jobs(task, state="waiting", limit=1)
            assert row["handle"] == job.handle
            assert len(await admin.list_jobs()) >= 1
            assert await admin.purge_function(task) == 1
            assert await admin.retry_function(task) == 0
            assert await admin.forget_function(task) == 0
            for call in (admin.retry_job, admin.forget_job):
                assert (await call("H:1")).startswith("ERR")
            for name in ("run", "pause", "resume"):
                call = getattr(admin, f"{name}_schedule")
                assert (await call("nightly")).startswith("ERR")
            assert await admin.dead_jobs() == ()
            assert await admin.set_schedule(task, "@yearly", "f", owner="o") == "OK"
            (schedule,) = await admin.schedules()
            assert (schedule["name"], schedule["owner"]) == (task, "o")
            assert await admin.unset_schedule(task) == "OK"
            assert await admin.schedules() == ()
            assert (await admin.stats())[0]["kind"] == "server"
            with pytest.raises(ProtocolError, match="UNKNOWN_JOB"):
                await admin.job("H:1")
            with pytest.raises(ProtocolError, match="cannot be part"):
                await admin.pause_function("two words")

    run(main())


def test_answers_go_to_who_has_asked(ours: Server, task: str) -> None:
    async def main() -> None:
        async with Admin(ours.address) as admin:
            calls = [admin.version(), admin.pid(), admin.status(), admin.version()]
            version, pid, status, again = await asyncio.gather(*calls)
            assert version == again
            assert str(ours.process.pid) in str(pid)
            assert isinstance(status, tuple)

    run(main())


@pytest.mark.parametrize("graceful", [True, False])
def test_a_server_is_stopped(graceful: bool) -> None:
    async def main(address: str) -> None:
        async with Admin(address) as admin:
            await admin.shutdown(graceful)

    with servers.ours("--allow-shutdown") as server:
        run(main(server.address))
        assert server.process.wait(servers.DEADLINE) == 0


def test_an_answer_that_cannot_be_read_is_an_error() -> None:
    async def main() -> None:
        async with scripted() as script, Admin(script.address) as admin:
            first = asyncio.create_task(admin.status())
            second = asyncio.create_task(admin.version())
            talk = await script.accept()
            for _ in range(2):
                await talk.line()
            talk.send("ERROR", b"SOME", b"thing")
            talk.writer.write(b"no status\n")
            with pytest.raises(ProtocolError, match="tokens"):
                await first
            with pytest.raises(ServerUnavailable, match="tokens"):
                await second
            # It opens another connection.
            third = asyncio.create_task(admin.version())
            talk = await script.accept()
            await talk.line()
            talk.writer.write(b"OK 1\n")
            assert await third == "OK 1"

    run(main())


def test_a_late_answer_is_not_that_of_the_next_command() -> None:
    async def main() -> None:
        async with scripted() as script, Admin(script.address) as admin:
            call = asyncio.create_task(admin.version())
            talk = await script.accept()
            await talk.line()
            talk.writer.write(b"OK 0\n")
            assert await call == "OK 0"
            admin.timeout = 0.01
            with pytest.raises(TimeoutError):
                await admin.version()
            admin.timeout = None
            await talk.line()
            call = asyncio.create_task(admin.version())
            await talk.line()
            talk.writer.write(b"OK 1\nOK 2\n")
            assert await call == "OK 2"
            call = asyncio.create_task(admin.version())
            await talk.line()
            call.cancel()
            await asyncio.wait([call])

    run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        async with Admin(unanswered()) as admin:
            with pytest.raises(ServerUnavailable):
                await admin.ping()

    run(main())


def test_an_admin_client_has_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEARMAN_SERVERS", "one two")
    with pytest.raises(ValueError, match="not 2"):
        Admin()


def test_it_has_all_methods_of_the_blocking_admin_client() -> None:
    other = {
        *("get_job", "ping_server", "send_maxqueue", "send_shutdown", "close"),
        *("establish_admin_connection", "wait_until_server_responds"),
    }
    base = {name for name, _ in inspect.getmembers(gearman.GearmanClient)}
    names = {name for name, _ in inspect.getmembers(gearman.GearmanAdminClient)}
    for name in names - base - other:
        if not name.startswith("_"):
            assert hasattr(Admin, name.removeprefix("get_")), name
