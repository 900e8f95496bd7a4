"""Waiting inside of Postgres, so that each wait ends if the query is cancelled.

The client is that for asyncio, as nothing in it blocks. So a wait can be cut into
slices, and after each of them Postgres may say that the query was cancelled. A process
of Postgres serves one session, so the loop and its connections stay for the next call.
"""

import asyncio
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from ...aio import Client
from ...errors import JobFailed
from .plpy import Plpy
from .settings import Settings

T = TypeVar("T")

# Seconds after which a wait looks whether the query was cancelled.
_SLICE: Final = 0.1

# Turns of a loop after which it has seen what has happened since it ran last, and
# after which tasks that were cancelled have ended.
_TURNS: Final = 3
_LAST_TURNS: Final = 20


class Session:
    """A loop and a client, which are used with the same settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tls = settings.tls.context() if settings.tls is not None else None
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(_executor())
        self.client = Client(
            *settings.servers, tls=self.tls, connect_timeout=settings.connecting
        )

    def run(self, work: Coroutine[Any, Any, T], plpy: Plpy) -> T:
        """Run to the end, or until the query is cancelled, which raises plpy's error.

        All connections are closed if it fails, but not if only the job has failed.
        """
        try:
            return self.loop.run_until_complete(_watched(work, plpy))
        except JobFailed:
            raise
        except BaseException:
            close()
            raise

    def close(self) -> None:
        """Close at once: what was not sent is lost, and no job is waited for."""
        for server in self.client.servers:
            if server.link is not None:
                server.link.abort("the query has ended")
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(_turn(_LAST_TURNS))
        self.loop.close()


_session: Session | None = None


def current(settings: Settings) -> Session:
    """Return the session for these settings; one with others is closed."""
    global _session
    if _session is None or _session.settings != settings:
        close()
        _session = Session(settings)
    return _session


def close() -> None:
    """Close the session, if there is one."""
    global _session
    closed, _session = _session, None
    if closed is not None:
        closed.close()


def _executor() -> ThreadPoolExecutor:
    """Return a thread for resolving names; signals are for Postgres' own thread."""
    return ThreadPoolExecutor(
        1,
        initializer=signal.pthread_sigmask,
        initargs=(signal.SIG_SETMASK, signal.valid_signals()),
    )


async def _turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _watched(work: Coroutine[Any, Any, T], plpy: Plpy) -> T:
    # Servers may have closed connections since the last call.
    await _turn(_TURNS)
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait({task}, timeout=_SLICE))[0]:
        # Postgres looks whether the query was cancelled, and raises an error then.
        plpy.execute("SELECT 1")
    return task.result()
