"""Running the monitor: the tasks that read servers, and the web server."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import uvicorn

from ...address import format_address
from ...errors import ConfigurationError, StartupError
from ...streams import say
from ..access.browsers import is_loopback
from ..access.patience import Attempts
from ..access.sessions import Sessions
from ..access.users import Users
from ..history.archive import Archive
from ..history.file import MEMORY, File
from ..model.fleet import Fleet
from ..model.readings import Reading
from ..options import NAME, Options
from ..reading.attention import Attention
from ..reading.events import Watch
from ..reading.link import Target
from ..reading.poller import Poller
from .app import create
from .service import Service

_BACKLOG: Final = 128
# Seconds for requests that are being answered when the monitor ends.
_PATIENCE: Final = 1


def run(options: Options, targets: Sequence[Target]) -> int:
    """Run the monitor until a signal ends it. Raises GearmanError."""
    users = Users(options.users) if options.users else None
    listener = _listen(options.host, options.port, only_local=users is None)
    with listener:
        _make_folder(options.database)
        file = File(options.database)
        host, port = listener.getsockname()[:2]
        say(f"{NAME}: http://{format_address(host, port)}/\n", sys.stdout)
        with _logging():
            asyncio.run(_run(options, targets, users, file, listener))
    return 0


async def _run(
    options: Options,
    targets: Sequence[Target],
    users: Users | None,
    file: File,
    listener: socket.socket,
) -> None:
    service = Service(
        targets={target.address: target for target in targets},
        fleet=Fleet((target.address for target in targets), time.time()),
        attention=Attention(),
        archive=Archive(file),
        sessions=Sessions(users, time.monotonic),
        attempts=Attempts(time.monotonic),
        users=users,
        hide_workloads=options.hide_workloads,
        keeps_events=options.keep_events is not None,
    )
    config = uvicorn.Config(
        create(service),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        # Only a proxy on this machine may say who asks, and that it used https.
        proxy_headers=True,
        forwarded_allow_ips=["127.0.0.1", "::1"],
        timeout_graceful_shutdown=_PATIENCE,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        service.ending.set()
        server.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    tasks = [asyncio.create_task(poller.run()) for poller in _pollers(service)]
    if options.keep_events is not None:
        tasks.append(asyncio.create_task(_keep_events(service, options.keep_events)))
    writing = asyncio.create_task(service.archive.run())
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in (*tasks, writing):
            task.cancel()
        await asyncio.gather(*tasks, writing, return_exceptions=True)
        await service.archive.close()


class _Server(uvicorn.Server):
    """uvicorn's server, whose signals the monitor handles."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        # The second signal waits for nobody.
        self.force_exit = self.should_exit
        self.should_exit = True


def _pollers(service: Service) -> list[Poller]:
    def took(address: str, reading: Reading) -> None:
        service.fleet.take(address, reading)
        service.archive.take(address, reading)
        service.news.publish()

    def lost(address: str, reason: str, now: float) -> None:
        service.fleet.lose(address, reason, now)
        service.news.publish()

    return [
        Poller(target, service.attention, took, lost)
        for target in service.targets.values()
    ]


async def _keep_events(service: Service, names: Sequence[str]) -> None:
    """Follow the events of all servers for the pages of jobs, until cancelled."""
    async with Watch.on([*service.targets.values()], names) as watch:
        while True:
            service.archive.see(await watch.next())


def _listen(host: str, port: int, *, only_local: bool) -> socket.socket:
    """Return a listening socket. Raises StartupError or ConfigurationError."""
    where = format_address(host, port)
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise StartupError(f"--listen {where}: unknown host ({error})") from error
    family, kind, protocol, _, address = found[0]
    if only_local and not is_loopback(str(address[0])):
        raise ConfigurationError(
            f"--listen {where} is open to other machines: say with --users FILE who may"
            " use the monitor, or listen on 127.0.0.1"
        )
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartupError(
            f"cannot listen on {where}: {error.strerror}; choose another address with"
            " --listen"
        ) from error
    return listener


def _make_folder(path: str) -> None:
    """Make the folder of the history, if it is not there. Raises StartupError."""
    if path == MEMORY:
        return
    folder = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
    except OSError as error:
        raise StartupError(
            f"the folder {folder!r} of the history cannot be made: {error.strerror};"
            " name another file with --db"
        ) from error


@contextmanager
def _logging() -> Iterator[None]:
    """Write what goes wrong in the monitor and in uvicorn to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{NAME}: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("gearman.monitor", "uvicorn")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
