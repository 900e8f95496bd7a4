"""Measure a job's way over a link: ``python benchmarks/hop.py``.

Foreground jobs of clients at one server of a cluster, with workers at the same server
or at the other one: the CPU that both servers use for a job, and how long it takes. See
docs/performance.md.
"""

import argparse
import selectors
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine  # noqa: E402
from benchmarks.metrics import processor_seconds  # noqa: E402
from benchmarks.options import add_number  # noqa: E402
from benchmarks.run import exit_status  # noqa: E402
from tests.cluster.anywhere import site  # noqa: E402
from tests.crash.process import Server  # noqa: E402
from tests.queues.backend_postgres import cluster  # noqa: E402
from tests.wire import NAMES, Peer, packet  # noqa: E402

# The function has another name for each place of the workers.
LOCAL, HOP = b"local", b"hop"

GRAB, SLEEP = packet("GRAB_JOB"), packet("PRE_SLEEP")


class Figures(NamedTuple):
    """Microseconds of a job: CPU of both servers, and from submission to its end."""

    cpu: float
    time: float


class Wire:
    """A connection whose packets are read without waiting."""

    def __init__(self, peer: Peer) -> None:
        self.socket = peer.socket
        self._data = b""

    def received(self) -> list[tuple[str, bytes]]:
        """Return the names and bodies of the packets that have come."""
        data = self._data + self.socket.recv(1 << 16)
        found, at = [], 0
        while len(data) - at >= 12:
            size = int.from_bytes(data[at + 8 : at + 12], "big")
            if len(data) - at < 12 + size:
                break
            name = NAMES[int.from_bytes(data[at + 4 : at + 8], "big")]
            found.append((name, data[at + 12 : at + 12 + size]))
            at += 12 + size
        self._data = data[at:]
        return found


class Play:
    """Clients that have jobs done, each with so many at a time, and workers."""

    def __init__(self, clients: list[Peer], workers: list[Peer], name: bytes) -> None:
        self._clients = [Wire(peer) for peer in clients]
        self._selector = selectors.DefaultSelector()
        self._submit = packet("SUBMIT_JOB", name, b"", b"x" * 64)
        self._left = self._open = 0
        for wire in self._clients:
            self._selector.register(wire.socket, selectors.EVENT_READ, (wire, True))
        for peer in workers:
            peer.send("CAN_DO", name)
            peer.send_bytes(GRAB)
            wire = Wire(peer)
            self._selector.register(wire.socket, selectors.EVENT_READ, (wire, False))

    def run(self, jobs: int, at_once: int) -> float:
        """Have jobs done, and return the microseconds of each."""
        self._left = jobs
        began = time.perf_counter()
        for wire in self._clients:
            self._send(wire, at_once)
        while self._open:
            for key, _ in self._selector.select(20.0):
                wire, is_client = key.data
                (self._client if is_client else _work)(wire)
        return (time.perf_counter() - began) / jobs * 1e6

    def _send(self, wire: Wire, count: int) -> None:
        count = min(count, self._left)
        self._left -= count
        self._open += count
        wire.socket.sendall(self._submit * count)

    def _client(self, wire: Wire) -> None:
        done = sum(name == "WORK_COMPLETE" for name, _ in wire.received())
        self._open -= done
        self._send(wire, done)


def _work(wire: Wire) -> None:
    answers = []
    for name, body in wire.received():
        if name == "JOB_ASSIGN":
            handle = body.partition(b"\0")[0]
            answers += [packet("WORK_COMPLETE", handle, b"x" * 64), GRAB]
        elif name == "NO_JOB":
            answers.append(SLEEP)
        elif name == "NOOP":
            answers.append(GRAB)
    wire.socket.sendall(b"".join(answers))


def used(server: Server) -> float:
    """Return the seconds of CPU that a server has used, to the nanosecond."""
    return processor_seconds(server.process.pid)


def measure(
    servers: Sequence[Server], clients: int, at_once: int, jobs: int, rounds: int
) -> dict[bytes, list[Figures]]:
    """Return the figures of each round, for both places of the workers."""
    found: dict[bytes, list[Figures]] = {LOCAL: [], HOP: []}
    with ExitStack() as stack:
        plays = {}
        for name, place in ((LOCAL, servers[0]), (HOP, servers[1])):
            ours, theirs = (
                [stack.enter_context(Peer(port)) for _ in range(clients)]
                for port in (servers[0].port, place.port)
            )
            plays[name] = Play(ours, theirs, b"%s-%d" % (name, clients))
            plays[name].run(jobs // 10 + 1, at_once)
        for _ in range(rounds):
            for name, play in plays.items():
                before = sum(map(used, servers))
                seconds = play.run(jobs, at_once)
                cpu = (sum(map(used, servers)) - before) / jobs * 1e6
                found[name].append(Figures(cpu, seconds * clients * at_once))
    return found


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_number(parser, "--jobs", 20_000, "jobs of a round")
    add_number(parser, "--rounds", 5, "rounds of each kind, in turns")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a line for each figure on standard output."""
    options = parse(sys.argv[1:] if argv is None else argv)
    return exit_status("hop.py", lambda: _measure(options))


def _measure(options: argparse.Namespace) -> None:
    print(machine.noise(), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="gearman-benchmark-") as folder,
        cluster() as postgres,
        site(postgres, Path(folder), "hop", 2, near=True) as found,
    ):
        for clients, at_once in ((1, 1), (8, 16)):
            figures = measure(
                *(found.servers, clients, at_once),
                *(options.jobs // (4 if clients == 1 else 1), options.rounds),
            )
            print(_line(clients, at_once, figures), flush=True)


def _line(clients: int, at_once: int, found: dict[bytes, list[Figures]]) -> str:
    local, hop = (
        Figures(median(each.cpu for each in kind), median(each.time for each in kind))
        for kind in (found[LOCAL], found[HOP])
    )
    return (
        f"{clients} x {at_once}: CPU {local.cpu:.1f} µs local, {hop.cpu:.1f} over a"
        f" link ({hop.cpu / local.cpu:.2f}x); a job takes {local.time:.0f} and"
        f" {hop.time:.0f} µs ({hop.time / local.time:.2f}x)"
    )


if __name__ == "__main__":
    sys.exit(main())
