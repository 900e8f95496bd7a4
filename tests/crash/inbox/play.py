"""A play: programs commit and roll back, a worker works, and things are killed."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.servers import DEADLINE, HOST, free_port, package_environment, until
from tests.wire import Peer

from .places import ORDERS, PLACES, Place

CONNECTIONS = 8
# Seconds that a transaction takes at most, and seconds between two kills.
PAUSE = 0.06
LIVES = 0.2, 1.5


class JobServer:
    """A job server on a port that stays the same."""

    def __init__(self, options: tuple[str, ...], log: Path) -> None:
        self.port = free_port()
        # How often it had to be started again.
        self.starts = 0
        self._command = (
            *(sys.executable, "-P", "-m", "gearman.server", "-L", HOST),
            *("-p", str(self.port), "-l", str(log), *options, "--queue-inbox"),
        )
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, env=package_environment(), stdin=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(DEADLINE)
        self.start()

    def keep(self) -> None:
        """Start it again if it could not start, as a supervisor does."""
        if self._process.poll() is not None:
            self.starts += 1
            self.start()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(DEADLINE)


class Worker(threading.Thread):
    """Does the jobs, and counts how often it got each; it connects again and again."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.done: Counter[int] = Counter()
        self.ended = False
        self._port = port

    def run(self) -> None:
        while not self.ended:
            with suppress(OSError, AssertionError, EOFError), Peer(self._port) as peer:
                peer.send("CAN_DO", b"order")
                while not self.ended:
                    self._work(peer)
            time.sleep(0.01)

    def _work(self, peer: Peer) -> None:
        peer.send("GRAB_JOB")
        answer = peer.receive()
        if answer.name == "JOB_ASSIGN":
            handle, _, workload = answer.arguments
            self.done[int(workload)] += 1
            peer.send("WORK_COMPLETE", handle, b"")
        else:
            time.sleep(0.005)


class Programs:
    """Connections that insert orders with jobs, of which half are rolled back."""

    def __init__(self, place: Place, transactions: int, seed: int) -> None:
        self._place = place
        self._numbers: Iterator[int] = iter(range(1, transactions + 1))
        self._lock = threading.Lock()
        self._ended = False
        self._threads = [
            threading.Thread(
                target=self._run, args=(random.Random(seed + each),), daemon=True
            )
            for each in range(CONNECTIONS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin no more transactions."""
        self._ended = True

    @property
    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _next(self) -> int | None:
        with self._lock:
            return next(self._numbers, None)

    def _run(self, chance: random.Random) -> None:
        number = self._next()
        while number is not None and not self._ended:
            try:
                connection = self._place.connect()
            except Exception:
                time.sleep(0.02)
                continue
            # A failing transaction counts: it was committed, or it was not.
            with suppress(Exception), closing(connection):
                while number is not None:
                    current, number = number, self._next()
                    self._transact(connection, current, chance)

    def _transact(self, connection: Any, number: int, chance: random.Random) -> None:
        place = self._place
        connection.execute(
            f"INSERT INTO orders (number) VALUES ({place.mark})", (number,)
        )
        unique = f"order {number}" if chance.random() < 0.5 else ""
        connection.execute(
            f"INSERT INTO {place.inbox} (function_name, workload, unique_key)"
            f" VALUES ('order', {place.mark}, {place.mark})",
            (str(number).encode(), unique),
        )
        if self._place.kill is not None:
            # Others end earlier that began later. SQLite has one writer at a time.
            time.sleep(chance.uniform(0, PAUSE))
        if chance.random() < 0.5:
            connection.commit()
        else:
            connection.rollback()
        if self._place.kill is None:
            time.sleep(chance.uniform(0, PAUSE))


class Play:
    """What has happened: which orders there are, and how often each job was done."""

    def __init__(self) -> None:
        self.orders: set[int] = set()
        self.done: Counter[int] = Counter()
        self.kills: Counter[str] = Counter()

    def check(self, *, once: bool) -> None:
        """Raise AssertionError unless each order was done, and nothing else."""
        lost = self.orders - self.done.keys()
        assert not lost, f"{len(lost)} lost: {sorted(lost)[:10]}"
        never = self.done.keys() - self.orders
        assert not never, f"{len(never)} were not committed: {sorted(never)[:10]}"
        twice = [number for number, times in self.done.items() if times > 1]
        assert not (once and twice), f"{len(twice)} done twice: {twice[:10]}"


def _read(place: Place, statement: str) -> list[tuple[int, ...]]:
    with closing(place.connect()) as connection:
        cursor = connection.execute(statement)
        rows: list[tuple[int, ...]] = list(cursor.fetchall())
        return rows


def _left(place: Place, server: JobServer) -> bool:
    """Whether rows or jobs are left."""
    if _read(place, f"SELECT count(*) FROM {place.inbox}")[0][0]:
        return True
    with suppress(OSError, EOFError, AssertionError), Peer(server.port) as peer:
        (line,) = peer.ask_list(b"status") or [b"order\t0\t0\t0"]
        return int(line.split(b"\t")[1]) > 0
    return True


def _victims(
    place: Place, server: JobServer, kill_server: bool
) -> dict[str, Callable[[], None]]:
    victims: dict[str, Callable[[], None]] = {}
    if kill_server:
        victims["server"] = server.kill
    if place.kill is not None:
        victims["database"] = place.kill
    return victims


@contextmanager
def _created(place: Place) -> Iterator[None]:
    with closing(place.connect()) as connection:
        connection.execute(ORDERS)
        connection.commit()
    yield


def play(
    name: str, folder: Path, transactions: int, seed: int, *, kill_server: bool
) -> Play:
    """Make so many transactions, while the server and the database are killed."""
    chance, result = random.Random(seed), Play()
    with PLACES[name](folder) as place, _created(place):
        server = JobServer(place.options, folder / "server.log")
        worker = Worker(server.port)
        programs = Programs(place, transactions, seed)
        try:
            until(lambda: _is_ready(place, server))
            worker.start()
            programs.start()
            victims = _victims(place, server, kill_server)
            while programs.busy:
                time.sleep(chance.uniform(*LIVES))
                if victims and programs.busy:
                    victim = chance.choice([*victims])
                    victims[victim]()
                    result.kills[victim] += 1
                server.keep()
            deadline = time.monotonic() + 3 * DEADLINE
            while _left(place, server):
                assert time.monotonic() < deadline, "rows or jobs are left"
                server.keep()
                time.sleep(0.05)
            assert kill_server or not server.starts
        finally:
            programs.stop()
            worker.ended = True
            server.stop()
        worker.join(DEADLINE)
        result.orders = {number for (number,) in _read(place, "SELECT * FROM orders")}
        result.done = worker.done
    return result


def _is_ready(place: Place, server: JobServer) -> bool:
    """Whether the server runs, and has created the inbox."""
    with suppress(Exception):
        return not _left(place, server)
    return False
