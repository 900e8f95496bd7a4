"""The client with real servers: jobs, results, errors, status."""

import asyncio

import pytest

from gearman.aio import Client
from gearman.errors import (
    JobFailed,
)
from tests.aio.stage import run
from tests.servers import Server


@pytest.mark.parametrize("workload", [b"", b"a\0b", "tschüß", b"x" * 1_000_000])
def test_a_call_returns_the_result(
    server: Server, echo: str, workload: str | bytes
) -> None:
    async def main() -> None:
        async with Client(server.address) as client:
            result = await client.call(echo, workload)
            assert type(result) is bytes
            assert result == (
                workload.encode() if isinstance(workload, str) else workload
            )

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
