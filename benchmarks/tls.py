"""Compare a server with and without TLS: ``python benchmarks/tls.py``.

The same client and worker, of this project's library, connect in both ways. The CPU and
memory of the server are measured. See docs/performance.md.
"""

import argparse
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trustme

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gearman  # noqa: E402
from benchmarks import machine  # noqa: E402
from benchmarks.clients import served  # noqa: E402
from benchmarks.options import add_number  # noqa: E402
from benchmarks.run import exit_status, tell  # noqa: E402
from benchmarks.servers import HOST, Server, find  # noqa: E402
from benchmarks.table import aligned, medians  # noqa: E402

LARGE = 1024 * 1024
CONNECTIONS = 500
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Way:
    """A way to connect to a server: options of the server, and the client's host."""

    label: str
    options: tuple[str, ...]
    ca_file: str

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context of a client."""
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None


@contextmanager
def ways() -> Iterator[list[Way]]:
    """Yield plain TCP, and TLS with new certificates."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        certificate = authority.issue_cert(HOST)
        files = {
            key: str(folder / f"{key}.pem") for key in ("ca", "certificate", "key")
        }
        authority.cert_pem.write_to_path(files["ca"])
        certificate.cert_chain_pems[0].write_to_path(files["certificate"])
        certificate.private_key_pem.write_to_path(files["key"])
        options = ("--ssl", "--ssl-certificate", files["certificate"])
        yield [
            Way("plain", (), ""),
            Way("TLS", (*options, "--ssl-key", files["key"]), files["ca"]),
        ]


def submit_at_once(client: gearman.GearmanClient, jobs: int) -> None:
    """Submit background jobs with one call."""
    descriptions = [{"task": "none", "data": b"x" * 64} for _ in range(jobs)]
    client.submit_multiple_jobs(descriptions, background=True)


def round_trip(client: gearman.GearmanClient, jobs: int) -> None:
    """Run jobs one after the other."""
    for _ in range(jobs):
        client.submit_job("echo", b"x" * 64)


def large(client: gearman.GearmanClient, jobs: int) -> None:
    """Run jobs of 1 MiB one after the other."""
    for _ in range(jobs):
        client.submit_job("echo", b"x" * LARGE)


# Each with its number of jobs.
LOADS: dict[str, tuple[Callable[[gearman.GearmanClient, int], None], int]] = {
    "submit-at-once": (submit_at_once, 50_000),
    "round-trip": (round_trip, 5_000),
    "large": (large, 200),
}


def processor_time(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory(pid: int) -> int:
    """Return the bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


@contextmanager
def served_by(server: Server, way: Way) -> Iterator[tuple[int, str]]:
    """Run a server and a worker; yields the server's process id and its address."""
    changed = replace(server, command=(*server.command, *way.options))
    with served(changed, *filter(None, [way.ca_file])) as (pid, port):
        yield pid, f"{HOST}:{port}"


def play(server: Server, way: Way, load: str) -> dict[str, float]:
    """Return jobs per second, and the server's CPU microseconds per job."""
    run, jobs = LOADS[load]
    with (
        served_by(server, way) as (pid, address),
        gearman.GearmanClient([address], ssl_context=way.context()) as client,
    ):
        round_trip(client, 1)
        used, start = processor_time(pid), time.perf_counter()
        run(client, jobs)
        seconds = time.perf_counter() - start
        return {
            "rate": jobs / seconds,
            "cpu": (processor_time(pid) - used) / jobs * 1e6,
        }


def connect(server: Server, way: Way) -> dict[str, float]:
    """Return connections per second, CPU microseconds and bytes of memory of each."""
    with ExitStack() as stack:
        pid, address = stack.enter_context(served_by(server, way))
        context = way.context()
        stack.enter_context(closing(_connected(address, context)))
        before, used, start = memory(pid), processor_time(pid), time.perf_counter()
        for _ in range(CONNECTIONS):
            stack.enter_context(closing(_connected(address, context)))
        seconds = time.perf_counter() - start
        return {
            "rate": CONNECTIONS / seconds,
            "cpu": (processor_time(pid) - used) / CONNECTIONS * 1e6,
            "memory": (memory(pid) - before) / CONNECTIONS,
        }


def _connected(
    address: str, context: ssl.SSLContext | None
) -> gearman.GearmanAdminClient:
    client = gearman.GearmanAdminClient([address], ssl_context=context)
    client.ping_server()
    return client


def main(argv: Sequence[str] | None = None) -> int:
    """Compare plain and TLS, and print the table on standard output."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/tls.py", description="Compare a server with and without TLS."
    )
    add_number(parser, "--repeat", 3, "plays")
    options = parser.parse_args(argv)
    return exit_status("tls.py", lambda: _compare(options.repeat))


def _compare(repeat: int) -> None:
    server = next(found for found in find(None) if found.group.startswith("ours"))
    print("\n".join([*machine.describe([server]), machine.noise()]), flush=True)
    headings = ["load", "way", "per s", "server CPU µs", "bytes of memory"]
    with ways() as both:
        lines = [
            line
            for load in (*LOADS, "connect")
            for line in _lines(server, both, load, repeat)
        ]
    print("\n".join(aligned(headings, lines)))


def _lines(
    server: Server, both: Sequence[Way], load: str, repeat: int
) -> Iterator[list[str]]:
    """Play a load, the two ways in turn, and yield a line for each way."""
    figures: dict[str, list[dict[str, float]]] = {way.label: [] for way in both}
    for number in range(repeat):
        for way in both:
            tell(f"{load} {number + 1}/{repeat}: {way.label}")
            found = (
                connect(server, way) if load == "connect" else play(server, way, load)
            )
            figures[way.label].append(found)
    for label, plays in figures.items():
        middle = medians(plays)
        size = f"{middle['memory']:,.0f}" if "memory" in middle else "-"
        yield [load, label, f"{middle['rate']:,.0f}", f"{middle['cpu']:,.1f}", size]


if __name__ == "__main__":
    sys.exit(main())
