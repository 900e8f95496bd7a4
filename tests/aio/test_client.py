"""The client with real servers: jobs, results, errors, status."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gearman.aio import Client, Data, Job, NotAccepted, Progress, Status, Warned
from gearman.errors import (
    InvalidClientState,
    JobFailed,
    OptionError,
    ProtocolError,
    ResultNotReady,
    ServerUnavailable,
    UnknownJob,
)
from tests import servers
from tests.aio.scripted import scripted
from tests.aio.stage import run, soon
from tests.certificates import Authority
from tests.client.stage import unanswered
from tests.servers import Server


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    with servers.ours() as server:
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[Server]:
    with servers.ours() as server:
        yield server


def accepted(client: Client) -> bool:
    """Whether the first server will tell the client of the end of a job."""
    link = client.servers[0].link
    return link is not None and bool(link.open.by_handle)


@pytest.mark.parametrize("workload", [b"", b"a\0b", "tschüß", b"x" * 1_000_000])
def test_a_call_returns_the_result(
    server: Server, echo: str, workload: str | bytes
) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            result = await client.call(echo, workload)
            assert type(result) is bytes
            sent = workload.encode() if isinstance(workload, str) else workload
            assert result == sent

    run(main())


def test_a_failed_call_says_why(server: Server, echo: str) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            with pytest.raises(JobFailed) as caught:
                await client.call(echo, b"fail")
            assert caught.value.reason == "builtins.ValueError: as the client wants it"

    run(main())


def test_many_callers_get_their_own_results(server: Server, echo: str) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            calls = [client.call(echo, str(number)) for number in range(500)]
            results = await asyncio.gather(*calls)
            assert results == [str(number).encode() for number in range(500)]

    run(main())


def test_a_foreground_job_tells_its_updates_and_its_result(
    server: Server, echo: str
) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            job = await client.submit(echo, b"x", background=False)
            updates = [update async for update in job.updates()]
            assert updates == [Progress(1, 2), Data(b"part"), Warned(b"warning")]
            assert await job.result() == b"x"
            assert await job.result(wait=0) == b"x"
            assert await job.status() == Status(False, False, 0, 0)

    run(main())


def test_a_job_that_has_not_ended_has_no_result(server: Server, task: str) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            job = await client.submit(task, background=False)
            for wait in (0, 0.001):
                with pytest.raises(ResultNotReady):
                    await job.result(wait=wait)
            assert job._request is not None
            assert job._request.ending == ()
            assert await job.cancel()
            with pytest.raises(JobFailed):
                await job.result()

    run(main())


def test_a_background_job_tells_updates_while_it_is_there(ours: Server) -> None:
    async def main() -> None:
        async with Client(ours.address) as client:
            job = await client.submit("updates")
            updates = aiter(job.updates())
            waiting = asyncio.ensure_future(anext(updates, None))
            await soon(lambda: accepted(client))
            await job.cancel()
            assert await waiting is None
            with pytest.raises(UnknownJob):
                await anext(aiter(job.updates()))

    run(main())


def test_a_job_that_waits_has_a_status(server: Server, task: str) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            job = await client.submit(task, unique=task)
            assert await client.job(job.handle).status() == Status(True, False, 0, 0)
            status = await client.unique_status(task)
            assert (status["known"], status["clients"]) == (True, 0)
            assert repr(job) == f"<Job {job.handle} {task!r}>"

    run(main())


def test_many_jobs_are_submitted_at_once(server: Server, task: str) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            jobs = await client.submit_many(
                (task, str(n), {"unique": f"{task}-{n}"}) for n in range(1500)
            )
            assert len({job.handle for job in jobs}) == 1500
            assert jobs[7].unique == f"{task}-7"
            assert (await jobs[-1].status()).known
            assert await client.submit_many([]) == []

    run(main())


def test_foreground_jobs_may_be_submitted_at_once(server: Server, echo: str) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            jobs = await client.submit_many(
                [(echo, "a"), (echo, "b")], background=False
            )
            assert [await job.result() for job in jobs] == [b"a", b"b"]
            assert len([update async for update in jobs[0].updates()]) == 3

    run(main())


def test_results_come_in_the_order_of_the_workloads(server: Server, echo: str) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            workloads = [str(number) for number in range(200)]
            results = [
                each async for each in client.map(echo, workloads, concurrency=7)
            ]
            assert results == [each.encode() for each in workloads]

    run(main())


def test_a_failure_ends_a_map_and_cancels_its_other_jobs(
    server: Server, echo: str, task: str
) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            results = client.map(echo, ["a", "fail", "b"], concurrency=2)
            assert await anext(results) == b"a"
            with pytest.raises(JobFailed):
                await anext(results)
            with pytest.raises(StopAsyncIteration):
                await anext(results)

    run(main())


def test_a_map_that_is_closed_cancels_its_jobs(ours: Server, task: str) -> None:
    async def main() -> None:
        async with Client(ours.address) as client:
            results = client.map(task, ["a", "b", "c"], concurrency=2)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(results)
            more = client.map(task, ["a", "b", "c"], concurrency=2)
            waiting = asyncio.create_task(anext(more))
            await soon(lambda: len(more._requests) == 2)
            uniques = [str(request.job.unique) for request in more._requests]
            await soon(lambda: more._requests[-1].job.handle)
            await more.aclose()
            with pytest.raises(JobFailed):
                await waiting
            for unique in uniques:
                assert not (await client.unique_status(unique))["known"]

    run(main())


def test_a_cancelled_call_cancels_its_job(ours: Server, task: str) -> None:
    async def main() -> None:
        async with Client(ours.address) as client:
            call = asyncio.create_task(client.call(task))
            await soon(lambda: accepted(client))
            call.cancel()
            await asyncio.wait([call])
            # The command goes before the question.
            status = await client.unique_status(f"{client._uniques._start}-1")
            assert not status["known"]

    run(main())


def test_a_cancelled_call_with_a_unique_leaves_the_job_to_others(
    server: Server, task: str
) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            call = asyncio.create_task(client.call(task, unique=task))
            await soon(lambda: accepted(client))
            call.cancel()
            await asyncio.wait([call])
            assert (await client.unique_status(task))["known"]

    run(main())


def test_wrong_options_are_refused_before_anything_is_sent() -> None:
    async def main() -> None:
        async with Client(servers.HOST, "localhost:1") as client:
            first, second = (Job([server], "H:1") for server in client.servers)
            with pytest.raises(OptionError):
                await client.call("f", priority="highest")
            with pytest.raises(OptionError):
                await client.call("f", retries=-1)
            with pytest.raises(TypeError):
                await client.call("f", unknown=1)  # type: ignore[call-arg]
            with pytest.raises(TypeError):
                await client.call("f", 1)  # type: ignore[arg-type]
            with pytest.raises(OptionError):
                await client.submit("f", after=[first, second])
            with pytest.raises(ValueError, match="concurrency"):
                client.map("f", [], concurrency=0)
            with pytest.raises(ProtocolError):
                client.job("H:" + "1" * 99)

    run(main())


def test_options_of_a_job_are_sent(ours: Server) -> None:
    async def main() -> None:
        async with Client(ours.address) as client:
            before = await client.submit("options", delay=60.0, priority="high")
            job = await client.submit("options", unique="own", after=before)
            other = await client.submit("options", after=[before.handle], delay=None)
            assert (await client.submit("options", after=None)).handle
            assert (job.function, job.unique) == ("options", "own")
            assert other.server is job.server is before.server
            for each in (before, job, other):
                assert await each.cancel()
                assert not await each.cancel()

    run(main())


def test_many_jobs_may_be_accepted_in_part(ours: Server) -> None:
    async def main() -> None:
        async with Client(ours.address) as client:
            with pytest.raises(NotAccepted, match="2 of 3 jobs were not accepted") as c:
                await client.submit_many(
                    [
                        ("nobody", "", {"need_worker": True}),
                        ("with\0nul", ""),
                        ("accepted",),
                    ]
                )
            assert [job and job.function for job in c.value.jobs] == [
                *(None, None, "accepted")
            ]
            assert [type(error) for error in c.value.problems.values()] == [
                *(JobFailed, ProtocolError)
            ]
            with pytest.raises(JobFailed):
                await client.submit("nobody", need_worker=True)

    run(main())


def test_a_socket_that_is_connected_to_itself_has_no_server(
    ours: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.aio.servers.is_own_peer", lambda _: True)

    async def main() -> None:
        async with Client(ours.address) as client:
            with pytest.raises(ServerUnavailable, match="nobody listens"):
                await client.call("f")

    run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        async with Client(unanswered(), unanswered()) as client:
            with pytest.raises(ServerUnavailable, match=r"refused.*; .*refused"):
                await client.call("f")
            with pytest.raises(ServerUnavailable):
                await client.job("H:1").status()
            with pytest.raises(NotAccepted):
                await client.submit_many([("f", "")])

    run(main())


def test_a_closed_client_submits_no_more(server: Server, task: str) -> None:
    async def main() -> None:
        client = Client(server.address)
        calls = [asyncio.create_task(client.call(task, str(n))) for n in range(2)]
        job = await client.submit(task, background=False)
        await client.close()
        for call in calls:
            with pytest.raises(ServerUnavailable, match="the client was closed"):
                await call
        with pytest.raises(ServerUnavailable):
            await job.result()
        with pytest.raises(ServerUnavailable):
            _ = [update async for update in job.updates()]
        with pytest.raises(InvalidClientState):
            await client.call(task)
        with pytest.raises(ServerUnavailable, match="closed"):
            await job.status()

    run(main())


def test_a_client_that_is_closed_while_it_connects_leaves_nothing() -> None:
    async def main() -> None:
        async with scripted() as script:
            client = Client(script.address)
            call = asyncio.create_task(client.call("f"))
            await asyncio.sleep(0)
            await client.close()
            with pytest.raises(ServerUnavailable, match="closed"):
                await call

    run(main())


def test_another_server_takes_the_jobs_of_one_that_is_gone(
    server: Server, echo: str
) -> None:
    async def main() -> None:
        async with Client(unanswered(), server.address) as client:
            for number in range(20):
                assert await client.call(echo, str(number)) == str(number).encode()

    run(main())


def test_a_unique_stays_on_its_server(ours: Server, other: Server) -> None:
    async def main() -> None:
        addresses = (ours.address, other.address)
        async with Client(*addresses, consistent_hashing=True) as client:
            places = set()
            for number in range(20):
                pair = [await client.submit("u", unique=f"u{number}") for _ in "ab"]
                assert pair[0].server is pair[1].server
                places.add(pair[0].server)
                after = await client.submit("u", after=pair[0])
                assert after.server is pair[0].server
            assert len(places) == 2
            assert (await client.job(pair[0].handle).status()).known
            assert (await client.unique_status("u3"))["known"]
            async with Client(*addresses) as another:
                with pytest.raises(ServerUnavailable, match="there are no servers"):
                    await another.submit("u", after=pair[0])

    run(main())


def test_a_client_waits_for_a_server_if_it_should(echo: str, task: str) -> None:
    async def main() -> None:
        port = servers.free_port()
        async with Client(f"{servers.HOST}:{port}", reconnect=True) as client:
            submitting = asyncio.create_task(client.submit(task))
            await soon(lambda: client.servers[0].allowed_connect_time)
            with servers.ours(port=port):
                job = await submitting
                assert (await job.status()).known
                assert client.servers[0].allowed_connect_time == 0.0
        with pytest.raises(InvalidClientState):
            await client.submit(task)

    run(main())


def test_connections_may_use_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    for name, value in authority.environment().items():
        monkeypatch.setenv(name, value)

    async def main(address: str) -> None:
        for tls in (authority.trust(), True):
            async with Client(address, tls=tls, keepalive=None) as client:
                assert (await client.submit("f")).handle
        async with Client(address) as client:
            with pytest.raises(ServerUnavailable):
                await client.submit("f")
        monkeypatch.delenv("GEARMAN_CA_CERTIFICATE")
        async with Client(address, tls=True) as client:
            with pytest.raises(ServerUnavailable, match="TLS"):
                await client.submit("f")

    options = authority.options()
    with servers.ours(*options, tls=authority.trust()) as server:
        run(main(server.address))


def test_connections_may_use_unix_sockets(tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def main() -> None:
        async with Client(f"unix:{path}") as client:
            assert (await client.submit("f")).handle
            with pytest.raises(ResultNotReady):
                await client.job((await client.submit("f")).handle).result(wait=0)
            with pytest.raises(UnknownJob):
                await client.job("H:1").result()

    with servers.ours("-L", f"unix:{path}"):
        run(main())


def test_servers_come_from_the_environment(
    ours: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with Client() as client:
            assert (await client.submit("f")).handle

    monkeypatch.setenv("GEARMAN_SERVERS", ours.address)
    run(main())
    monkeypatch.delenv("GEARMAN_SERVERS")
    assert Client().servers[0].get_address() == ("localhost", 4730)
