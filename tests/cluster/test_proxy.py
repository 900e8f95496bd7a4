"""The networks that tests cut leave nothing behind."""

import asyncio
import socket

import pytest

from tests.cluster.proxy import Proxy
from tests.servers import DEADLINE, HOST

pytestmark = pytest.mark.any_build


@pytest.mark.parametrize("turns", range(6))
def test_connection_that_came_just_before_the_end_is_ended(turns: int) -> None:
    async def come_late(target: socket.socket) -> bytes | None:
        proxy = Proxy(target.getsockname()[1])
        await proxy.start()
        with socket.create_connection((HOST, proxy.port), DEADLINE) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            await proxy.close()
            try:
                return client.recv(1)
            except ConnectionResetError:
                return None

    with socket.create_server((HOST, 0)) as target:
        assert not asyncio.run(come_late(target))
