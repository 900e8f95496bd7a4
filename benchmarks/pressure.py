"""The effect of a hostile client on a polite one: ``python benchmarks/pressure.py``.

During each attack of `attacks`, a polite client repeatedly sends an echo and waits for
the answer. See docs/performance.md.
"""

import argparse
import re
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine  # noqa: E402
from benchmarks.attacks import ATTACKS, packet  # noqa: E402
from benchmarks.beside import beside  # noqa: E402
from benchmarks.options import add_number  # noqa: E402
from benchmarks.run import tell  # noqa: E402
from benchmarks.servers import HOST, Server, ServerError, find  # noqa: E402
from gearman.commands import Command  # noqa: E402

# Limits for the polite client, in milliseconds: the median, and the longest time
# without an answer.
P50 = {"ours-speedups": 5.0, "ours-pure": 50.0}
SILENCE = 250.0

# The value of --max-memory in megabytes, and the most that the process may take:
# Python, its code, and unused memory are not part of the budget.
BUDGET = 768
MEMORY = BUDGET * 9 / 8


class Play(NamedTuple):
    """The effect of an attack: the client's milliseconds, the server's megabytes."""

    p50: float
    p99: float
    silence: float
    memory: float


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/pressure.py",
        description="Measure what one hostile client costs a polite one.",
    )
    parser.add_argument(
        "attacks",
        nargs="*",
        metavar="ATTACK",
        help=f"the attacks to play (default: all): {', '.join(ATTACKS)}",
    )
    parser.add_argument(
        "--server",
        action="append",
        choices=[*P50, "gearmand"],
        help="a server to measure (default: both builds)",
    )
    add_number(parser, "--seconds", 5, "how long each attack lasts")
    options = parser.parse_args(argv)
    unknown = set(options.attacks) - set(ATTACKS)
    if unknown:
        parser.error(f"no attack is called {', '.join(sorted(unknown))}")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 1 if an attack exceeds the limits."""
    options = parse(sys.argv[1:] if argv is None else argv)
    groups = options.server or list(P50)
    chosen = [_limited(server) for server in find(None) if server.group in groups]
    print("\n".join([*machine.describe(chosen), machine.noise()]).rstrip())
    bad = []
    for server in chosen:
        print(f"\n{server.label}\n")
        print("| attack | p50 ms | p99 ms | longest silence ms | memory MB |")
        print("| ------ | -----: | -----: | -----------------: | --------: |")
        for name in options.attacks or ATTACKS:
            tell(f"{server.label} {name}")
            try:
                play = _play(server, name, options.seconds)
            except ServerError as error:
                print(f"| {name:<16} | {error} |")
                bad.append(f"{name} ({server.label})")
                continue
            times = f"{play.p50:8.2f} | {play.p99:8.2f} | {play.silence:8.0f}"
            print(f"| {name:<16} | {times} | {play.memory:6.0f} |", flush=True)
            if _is_bad(server, play):
                bad.append(f"{name} ({server.label})")
    if bad:
        print(f"\nover the limits: {', '.join(bad)}")
    return 1 if bad else 0


def _limited(server: Server) -> Server:
    if server.group not in P50:
        return server
    return replace(server, command=(*server.command, f"--max-memory={BUDGET}M"))


def _is_bad(server: Server, play: Play) -> bool:
    slow = play.p50 > P50.get(server.group, P50["ours-pure"]) or play.silence > SILENCE
    return slow or play.memory > MEMORY


def _play(server: Server, name: str, seconds: int) -> Play:
    with server.running() as (pid, port), beside("attacks", name, port) as attack:
        with socket.create_connection((HOST, port), 60) as connection:
            polite = _Polite(connection)
            polite.ask()
            attack.tell("begin")
            times = polite.ask_for(seconds)
        parts = quantiles(times, n=100) if len(times) > 1 else times * 99
        return Play(parts[49], parts[98], max(times), _peak(pid))


class _Polite:
    """A client that sends an echo and waits for the answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._packet = packet(Command.ECHO_REQ, b"polite")

    def ask(self) -> float:
        """Return how many milliseconds the answer took."""
        start = time.perf_counter()
        self._socket.sendall(self._packet)
        wanted = len(self._packet)
        try:
            while wanted:
                data = self._socket.recv(wanted)
                if not data:
                    raise ServerError("the server has closed the polite client")
                wanted -= len(data)
        except OSError as error:
            raise ServerError(f"the polite client got no answer: {error}") from error
        return (time.perf_counter() - start) * 1000

    def ask_for(self, seconds: float) -> list[float]:
        end = time.perf_counter() + seconds
        times = []
        while time.perf_counter() < end:
            times.append(self.ask())
            time.sleep(0.001)
        return times


def _peak(pid: int) -> float:
    """Return the most memory that a process had, in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
