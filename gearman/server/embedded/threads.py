"""A server in a thread of this process.

It changes nothing of the process: no signal handlers, no logging, no limits.
"""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from threading import Thread

from ..__main__ import open_queue
from ..imports import import_all
from ..net.listener import Listener
from ..net.loop import Selector, run
from ..settings.certificates import open_certificates
from ..settings.config import Config
from ..settings.settings_file import open_settings


@contextmanager
def running(config: Config, groups: Sequence[list[socket.socket]]) -> Iterator[None]:
    """Run a server on these sockets until the end of this context.

    `groups` has the sockets of gear and those of the protocols of `config`. Raises
    ConfigurationError or StartupError.
    """
    import_all(config)
    selector = Selector()
    try:
        listener = _listener(config, groups, selector)
    except BaseException:
        selector.close()
        raise
    thread = _Thread(listener, selector)
    thread.start()
    try:
        thread.ready.result()
        yield
    finally:
        thread.stop()


def _listener(
    config: Config, groups: Sequence[list[socket.socket]], selector: Selector
) -> Listener:
    certificates = open_certificates(config.tls)
    settings = open_settings(config.settings)
    queue = open_queue(config)
    try:
        listener = Listener(
            config,
            groups[0],
            selector,
            groups[1:],
            queue=queue,
            certificates=certificates,
            settings=settings,
        )
        listener.replay()
    except BaseException:
        if queue is not None:
            queue.close()
        raise
    return listener


class _Thread(Thread):
    """Runs a listener. `ready` is done when connections are accepted."""

    def __init__(self, listener: Listener, selector: Selector) -> None:
        super().__init__(name="gearman.server", daemon=True)
        self.ready: Future[asyncio.AbstractEventLoop] = Future()
        self._listener = listener
        self._selector = selector

    def run(self) -> None:
        try:
            run(self._serve(), self._selector)
        except BaseException as error:
            if self.ready.done():
                raise
            self.ready.set_exception(error)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        await self._listener.serve(lambda: self.ready.set_result(loop))

    def stop(self) -> None:
        """Stop the listener, unless it has ended, and wait for the thread's end."""
        if self.ready.exception() is None:
            # The loop is closed if the server has ended by a request.
            with suppress(RuntimeError):
                self.ready.result().call_soon_threadsafe(self._listener.stop)
        self.join()
