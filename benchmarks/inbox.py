"""Measure the inbox of queues: ``python benchmarks/inbox.py``.

How many rows a second become durable jobs, how soon a row is a job, and what an empty
inbox costs. See docs/performance.md.
"""

import argparse
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine  # noqa: E402
from benchmarks.backends import Store, new_store  # noqa: E402
from benchmarks.options import add_names, add_number  # noqa: E402
from benchmarks.run import exit_status, tell  # noqa: E402
from benchmarks.servers import HOST, Server, ServerError, find  # noqa: E402
from gearman.queue import load  # noqa: E402
from tests.queues.backend_postgres import psycopg  # noqa: E402
from tests.queues.inboxes import MySQL  # noqa: E402

# Seconds of idling, and rows whose time to become a job is measured.
IDLE, SINGLE = 10.0, 50
# Seconds after which a server counts as hung.
PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Program:
    """How another program uses the inbox of a back end: a connection, and statements.

    `many` inserts as many rows as its parameter says, `one` inserts a row.
    """

    connect: Any
    many: str
    one: str


def postgres(store: Store) -> Program:
    return Program(
        lambda: psycopg().connect(store.arguments["conninfo"]),
        "INSERT INTO gearman_jobs_inbox (function_name, workload) SELECT 'f',"
        " decode(repeat('00', 64), 'hex') FROM generate_series(1, %s)",
        "INSERT INTO gearman_jobs_inbox (function_name) VALUES ('f')",
    )


def sqlite(store: Store) -> Program:
    return Program(
        lambda: sqlite3.connect(store.arguments["db"]),
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?)"
        " INSERT INTO gearman_queue_inbox (function_name, workload)"
        " SELECT 'f', zeroblob(64) FROM n",
        "INSERT INTO gearman_queue_inbox (function_name) VALUES ('f')",
    )


def mysql(store: Store) -> Program:
    place = dict(store.arguments)
    database = place.pop("db")
    return Program(
        lambda: MySQL(**place, database=database),
        # MariaDB has a table of this name for each number.
        "INSERT INTO gearman_jobs_inbox (function_name, workload)"
        " SELECT 'f', REPEAT('x', 64) FROM seq_1_to_%s",
        "INSERT INTO gearman_jobs_inbox (function_name) VALUES ('f')",
    )


PROGRAMS = {"postgres": postgres, "mysql": mysql, "sqlite": sqlite}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/inbox.py", description="Measure the inbox of queues."
    )
    add_names(parser, "--queues", PROGRAMS)
    add_number(parser, "--rows", 200_000, "rows")
    add_number(parser, "--repeat", 3, "measurements")
    return parser.parse_args(argv)


def execute(program: Program, statement: str, *values: object) -> None:
    """Execute a statement in a transaction of its own."""
    with closing(program.connect()) as connection:
        connection.execute(statement, values)
        connection.commit()


def jobs(peer: socket.socket) -> int:
    """Return how many jobs the server has."""
    peer.sendall(b"status\n")
    answer = b""
    while not answer.endswith(b".\n"):
        if not (data := peer.recv(65536)):
            raise ServerError("ended before it answered")
        answer += data
    return sum(int(line.split(b"\t")[1]) for line in answer.splitlines()[:-1])


def wait_for(peer: socket.socket, count: int, pause: float) -> None:
    """Return when the server has so many jobs."""
    deadline = time.perf_counter() + PATIENCE
    while jobs(peer) < count:
        if time.perf_counter() > deadline:
            raise ServerError("does not take the rows of its inbox")
        time.sleep(pause)


@contextmanager
def running(
    server: Server, store: Store, *options: str
) -> Iterator[tuple[int, socket.socket]]:
    command = (*server.command, *store.ours, *options)
    with (
        replace(server, command=command).running() as (pid, port),
        socket.create_connection((HOST, port), 60) as peer,
    ):
        # It has opened its store when it answers.
        jobs(peer)
        yield pid, peer


def rate(name: str, server: Server, rows: int) -> float:
    """Return how many rows a second become jobs, while a server has nothing to do."""
    with new_store(name) as store:
        program = PROGRAMS[name](store)
        # It creates the table.
        load(name)(**{**store.arguments, "inbox": True}).close()
        execute(program, program.many, rows)
        with running(server, store, "--queue-inbox") as (_, peer):
            first = jobs(peer)
            start = time.perf_counter()
            wait_for(peer, rows, 0.02)
            return (rows - first) / (time.perf_counter() - start)


def delay(name: str, server: Server) -> float:
    """Return the median time from a commit until the row is a job, in milliseconds."""
    times = []
    with new_store(name) as store:
        program = PROGRAMS[name](store)
        with (
            running(server, store, "--queue-inbox") as (_, peer),
            closing(program.connect()) as connection,
        ):
            for number in range(1, SINGLE + 1):
                # Not in step with the server's clock.
                time.sleep(0.013 * (number % 7))
                connection.execute(program.one)
                connection.commit()
                start = time.perf_counter()
                wait_for(peer, number, 0.0005)
                times.append(time.perf_counter() - start)
    return median(times) * 1e3


def idle(name: str, server: Server, *options: str) -> float:
    """Return what part of a core a server uses that has nothing to do, in percent."""
    with new_store(name) as store, running(server, store, *options) as (pid, _):
        time.sleep(1)
        before = used(pid)
        time.sleep(IDLE)
        return (used(pid) - before) / IDLE * 100


def used(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a line for each figure on standard output."""
    options = parse(sys.argv[1:] if argv is None else argv)
    return exit_status("inbox.py", lambda: _measure(options))


def _measure(options: argparse.Namespace) -> None:
    servers = [s for s in find(None) if s.group in ("ours-speedups", "ours-pure")]
    print("\n".join([*machine.describe(servers), machine.noise()]), flush=True)
    for name in options.queues:
        for server in servers:
            tell(f"{name}: {server.label}")
            rates = [rate(name, server, options.rows) for _ in range(options.repeat)]
            print(
                f"{name}, {server.label}: {median(rates):,.0f} rows a second"
                f" ({min(rates):,.0f} to {max(rates):,.0f}),"
                f" a row is a job after {delay(name, server):.1f} ms, idle"
                f" {idle(name, server, '--queue-inbox'):.2f} % of a core,"
                f" without the inbox {idle(name, server):.2f} %",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
