"""Compare client libraries: ``python benchmarks/clients.py``.

All of them use the same build of this project's server, and the same worker.
See docs/performance.md.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gearman  # noqa: E402
from benchmarks import machine  # noqa: E402
from benchmarks.client_play import BARE, LOADS  # noqa: E402
from benchmarks.options import add_names, add_repeat, repeat  # noqa: E402
from benchmarks.play import Outcome  # noqa: E402
from benchmarks.servers import (  # noqa: E402
    Server,
    ServerError,
    find,
    output,
    with_gearman,
)
from benchmarks.table import aligned, medians  # noqa: E402

_SCRIPT = str(Path(__file__).with_name("client_play.py"))

# Seconds that one play may take.
_PATIENCE = 300.0

# Jobs of a play, and of a play with --quick.
JOBS = {
    "submit": (30_000, 2_000),
    "submit-at-once": (50_000, 5_000),
    "submit-million": (1_000_000, 50_000),
    "round-trip": (10_000, 500),
    "large-result": (10, 2),
}


@dataclass(frozen=True, slots=True)
class Client:
    """A client library: a Python, a module of it, and its environment."""

    label: str
    version: str
    python: str
    module: str
    environment: Mapping[str, str]
    loads: Collection[str] = frozenset(LOADS)

    def play(self, load: str, port: int, jobs: int) -> Outcome:
        """Play a load once."""
        command = [self.python, _SCRIPT, load, str(port), str(jobs), self.module]
        try:
            said = output(command, _PATIENCE, self.environment)
        except ServerError as error:
            return Outcome(load, self.label, failure=str(error))
        return Outcome(load, self.label, json.loads(said))


def ours(server: Server) -> list[Client]:
    """Return this project's library: pure, and with the speedups if they are built."""
    version = f"gearman-py {gearman.__version__}"
    builds = {"ours-pure": "1"}
    if server.group == "ours-speedups":
        builds["ours-speedups"] = "0"
    return [
        Client(
            *(label, version, sys.executable, "gearman"),
            with_gearman({"GEARMAN_PURE_PYTHON": pure}),
        )
        for label, pure in builds.items()
    ]


def bare() -> Client:
    """Return the client that is only a socket; it submits one job at a time."""
    loads = {"submit", "round-trip"}
    return Client("socket", "a bare socket", sys.executable, BARE, os.environ, loads)


def other(where: str) -> Client:
    """Return the library that a Python imports as `gearman`, or as another module.

    `where` is "python" or "python:module". Raises ServerError if there is none.
    """
    python, _, module = where.partition(":")
    module = module or "gearman"
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    version = output([python, _SCRIPT, "version", module], _PATIENCE, own)
    label = version.partition(" ")[0] or module
    return Client(label, version or "unknown", python, module, own)


@contextmanager
def served(server: Server, *ca_file: str) -> Iterator[tuple[int, int]]:
    """Run a server and a worker; yields the server's process id and the port.

    With a file of trusted certificates, the worker uses TLS.
    """
    with server.running() as (pid, port):
        worker = subprocess.Popen(
            [sys.executable, _SCRIPT, "worker", str(port), *ca_file],
            env=with_gearman({}),
            stdin=subprocess.DEVNULL,
        )
        try:
            yield pid, port
        finally:
            worker.kill()
            worker.wait()


def play_all(
    server: Server, clients: Sequence[Client], options: argparse.Namespace
) -> Iterator[Outcome]:
    """Play every load, each with the clients in turn, so that noise affects all."""
    for load in options.loads:
        jobs = JOBS[load][options.quick]
        for number in range(options.repeat):
            for client in (each for each in clients if load in each.loads):
                text = f"{load} {number + 1}/{options.repeat}: {client.label}"
                print(text, file=sys.stderr, flush=True)
                with served(server) as (_, port):
                    yield client.play(load, port, jobs)


def table(clients: Sequence[Client], outcomes: Sequence[Outcome]) -> str:
    """Return a table in Markdown; ratios are to the first client's figures."""
    headings = ["load", "client", "jobs/s", "ratio", "CPU µs/job", "ratio"]
    lines: list[list[str]] = []
    for load in dict.fromkeys(outcome.load for outcome in outcomes):
        figures = {
            client.label: _figures(client, load, outcomes)
            for client in clients
            if load in client.loads
        }
        first = next(iter(figures.values()))
        lines += [
            [load, label, *_cells(mine, first)] for label, mine in figures.items()
        ]
    return "\n".join(aligned(headings, lines))


def _figures(
    client: Client, load: str, outcomes: Sequence[Outcome]
) -> Mapping[str, float]:
    played = [o for o in outcomes if (o.load, o.server) == (load, client.label)]
    if any(outcome.failure for outcome in played):
        return {}
    return medians([outcome.figures for outcome in played])


def _cells(mine: Mapping[str, float], first: Mapping[str, float]) -> Iterator[str]:
    for figure, decimals in (("rate", 0), ("cpu", 1)):
        yield f"{mine[figure]:,.{decimals}f}" if mine else "-"
        yield f"{mine[figure] / first[figure]:.2f}x" if mine and first else "-"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/clients.py",
        description="Compare blocking client libraries under several loads.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="smaller loads, each played once"
    )
    parser.add_argument(
        "--other",
        action="append",
        default=[],
        metavar="PYTHON[:MODULE]",
        help="compare with the library that this Python imports as gearman, or as "
        "MODULE; may be given several times, and the first is what ratios refer to",
    )
    add_names(parser, "--loads", LOADS)
    add_repeat(parser, 5)
    options = parser.parse_args(argv)
    options.repeat = repeat(options, 5)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Compare clients, and print the table on standard output."""
    options = parse(sys.argv[1:] if argv is None else argv)
    server = next(found for found in find(None) if found.group.startswith("ours"))
    try:
        clients = [*map(other, options.other), bare(), *ours(server)]
    except ServerError as error:
        print(f"benchmarks/clients.py: {error}", file=sys.stderr)
        return 2
    header = [*machine.describe([server]), machine.noise()]
    header += [f"client {client.label}: {client.version}" for client in clients]
    print("\n".join(filter(None, header)), flush=True)
    try:
        outcomes = list(play_all(server, clients, options))
    except KeyboardInterrupt:
        return 130
    print(f"\n{table(clients, outcomes)}")
    for outcome in outcomes:
        if outcome.failure:
            print(f"- {outcome.load}, {outcome.server}: {outcome.failure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
