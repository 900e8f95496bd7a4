"""A fleet of linked servers in a thread, for blocking clients and workers."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from gearman.server.cluster.home import home_of
from tests.crash.process import Server
from tests.queues.backend_postgres import Cluster, Database
from tests.servers import DEADLINE
from tests.wire import Packet, Peer

from .fleet import LONG_LEASE, Fleet, fleet

T = TypeVar("T")


class Site:
    """Servers that are linked; what is done to them is done in the fleet's loop."""

    def __init__(self, running: Fleet, loop: asyncio.AbstractEventLoop) -> None:
        self.fleet = running
        self._loop = loop

    @property
    def servers(self) -> list[Server]:
        return list(self.fleet.servers)

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(2 * DEADLINE)

    def call(self, action: Callable[[], None]) -> None:
        async def run() -> None:
            action()

        self.do(run())

    def cut(self, how: str) -> None:
        """Cut all links, or `heal` them."""
        for server in self.servers:
            self.call(getattr(self.fleet.links(server), how))

    def linked(self, state: str = "up") -> None:
        """Return when all links are in this state, and each shard has an owner."""

        def reached(server: Server) -> bool:
            try:
                first, *others = shown(server)
            except (OSError, EOFError):
                # It has lost its lease, and joins again.
                return False
            links = sorted(str(other["link"]) for other in others)
            wanted = sorted(["self", *[state] * (len(self.servers) - 1)])
            return links == wanted and first["unowned"] == 0

        until(lambda: all(map(reached, self.servers)))

    def unique_of(self, server: Server) -> bytes:
        """Return a new unique whose home is this server."""
        port = self.fleet.links(server).port
        for line in shown(server):
            if str(line.get("address", "")).endswith(f":{port}"):
                mine = numbers(str(line["shards"]))
        return next(
            unique
            for unique in (b"%s%d" % (_stamp(), n) for n in range(10_000))
            if home_of(unique, b"") in mine
        )

    def stored(self) -> int:
        [(count,)] = self.fleet.database.sql("SELECT count(*) FROM gearman_jobs")
        return int(count)


def _stamp() -> bytes:
    return b"%d-" % time.monotonic_ns()


def numbers(text: str) -> set[int]:
    """Return the numbers of a text such as "0-3,7"."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def shown(server: Server) -> list[dict[str, object]]:
    with Peer(server.port) as peer:
        return [json.loads(line) for line in peer.ask_list(b"show cluster")]


def until(condition: Callable[[], object]) -> None:
    """Return when a condition is met."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def take(worker: Peer) -> list[bytes]:
    """Return the handle, the unique and the workload of a worker's next job.

    A worker that was woken may get none: a job of another server is given back if the
    worker does not ask for it soon.
    """
    while True:
        worker.send("GRAB_JOB_UNIQ")
        found = skip(worker, "NOOP")
        if found.name == "JOB_ASSIGN_UNIQ":
            handle, _, unique, workload = found.arguments
            return [handle, unique, workload]
        assert found.name == "NO_JOB"
        worker.send("PRE_SLEEP")
        worker.expect("NOOP")


def skip(peer: Peer, name: str) -> Packet:
    """Return the next packet with another name."""
    return next(found for found in iter(peer.receive, None) if found.name != name)


@contextmanager
def site(
    postgres: Cluster,
    folder: Path,
    name: str,
    servers: int = 3,
    near: bool = False,
) -> Iterator[Site]:
    """Run servers that are linked.

    If they are `near`, their links are direct, and can't be cut.
    """
    secret = folder / "secret"
    secret.write_text("only for this test")
    secret.chmod(0o600)
    more = ["--cluster-secret-file", str(secret)]
    database = Database(postgres, name)
    context = fleet(database, servers, LONG_LEASE, options=more, near=near)
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        enter = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop)
        found = Site(enter.result(3 * DEADLINE), loop)
        try:
            found.linked()
            yield found
        finally:
            found.do(context.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
