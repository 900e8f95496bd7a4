"""Servers of asyncio in tests."""

import asyncio

# A connection is with its handler so many turns of the loop after it was accepted.
TURNS = 5


async def stop(server: asyncio.Server) -> None:
    """Accept no more; return when the handler has all that were accepted.

    It may then close them. Else asyncio drops what was accepted just now, and never
    closes it.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    server.close()
