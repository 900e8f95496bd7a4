"""What a scrape of /metrics costs the server: ``python benchmarks/metrics.py``.

Each function has jobs that waited and ran, so that it has all metrics. The processor
time is the server's, by /proc/PID/schedstat, over many scrapes: of functions that have
had no job since the last scrape, and then with a job of each function before each. Then
another peer sends echoes one by one, without scrapes and beside them: what its longest
waits have in common is the machine. See docs/performance.md.
"""

import argparse
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.options import add_number  # noqa: E402
from benchmarks.servers import HOST, Server, find, free_port  # noqa: E402
from gearman._framing import encode  # noqa: E402
from gearman.commands import REQUEST, Command  # noqa: E402

BUILDS = ("ours-speedups", "ours-pure")

# Jobs of each function.
JOBS = 20

# The bound for 1,000 functions: milliseconds of the server's processor time.
BOUND = 10.0

_ECHO = encode(Command.ECHO_REQ, (b"this is the end",), REQUEST)
_END = b"this is the end"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/metrics.py",
        description="Measure what a scrape of /metrics costs the server.",
    )
    parser.add_argument("--server", choices=BUILDS, action="append")
    add_number(parser, "--functions", 1000, "functions with jobs")
    add_number(parser, "--scrapes", 100, "how many scrapes are measured")
    add_number(parser, "--seconds", 5, "how long echoes are sent")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return the status of the command."""
    options = parse(sys.argv[1:] if argv is None else argv)
    names = options.server or BUILDS
    print(
        "| server        |     bytes | CPU ms | after jobs | echo µs: p50 | p99 |",
        end="",
    )
    print(" max | beside scrapes: p50 | p99 | max |")
    over: list[str] = []
    for server in find(None):
        if server.group in names and _measure(server, options) > BOUND:
            over.append(server.group)
    if over and options.functions <= 1000:
        print(f"over {BOUND:g} ms: {', '.join(over)}")
        return 1
    return 0


def _measure(server: Server, options: argparse.Namespace) -> float:
    """Print a row, and return the milliseconds of a scrape."""
    port = free_port()
    words = ("--metrics-port", str(port), "-l", "none")
    with replace(server, command=(*server.command, *words)).running() as (
        process,
        gear,
    ):
        fill(gear, options.functions)
        scrape(port, 5)
        before = processor_seconds(process)
        size = scrape(port, options.scrapes)
        cost: float = 1000 * (processor_seconds(process) - before) / options.scrapes
        after_jobs = _after_jobs(process, gear, port, options)
        alone = echoes(gear, options.seconds)
        # Not in this process, where it would hold up the echoes itself.
        with subprocess.Popen([sys.executable, "-c", _SCRAPER, str(port)]) as scraper:
            beside = echoes(gear, options.seconds)
            scraper.terminate()
    row = [server.label.ljust(13), f"{size:9,}", f"{cost:6.2f}", f"{after_jobs:6.2f}"]
    print("| " + " | ".join([*row, *_cells(alone), *_cells(beside)]) + " |")
    return max(cost, after_jobs)


def _after_jobs(
    process: int, gear: int, port: int, options: argparse.Namespace
) -> float:
    """Return the milliseconds of a scrape after a job of each function."""
    spent = 0.0
    times: int = max(options.scrapes // 5, 1)
    for _ in range(times):
        fill(gear, options.functions, 1)
        before = processor_seconds(process)
        scrape(port, 1)
        spent += processor_seconds(process) - before
    return 1000 * spent / times


# Ten scrapes a second; Prometheus makes one in 15 seconds, or in 60.
_SCRAPER = f"""
import sys, time, urllib.request
while True:
    urllib.request.urlopen(f"http://{HOST}:{{sys.argv[1]}}/metrics").read()
    time.sleep(0.1)
"""


def processor_seconds(process: int) -> float:
    """Return the processor time that a process has used."""
    nanoseconds = Path(f"/proc/{process}/schedstat").read_text().split()[0]
    return int(nanoseconds) / 1_000_000_000


def fill(port: int, functions: int, jobs: int = JOBS) -> None:
    """Have jobs of each function wait and run."""
    with socket.create_connection((HOST, port)) as peer:
        reader = threading.Thread(target=_read, args=(peer,))
        reader.start()
        for packet in _packets(functions, jobs):
            peer.sendall(packet)
        peer.sendall(_ECHO)
        reader.join()


def _packets(functions: int, jobs: int) -> Iterator[bytes]:
    for number in range(functions):
        name = b"a_function_%d" % number
        yield encode(Command.CAN_DO, (name,), REQUEST)
        for _ in range(jobs):
            yield encode(Command.SUBMIT_JOB_BG, (name, b"", b"work"), REQUEST)
            yield encode(Command.GRAB_JOB, (), REQUEST)


def _read(peer: socket.socket) -> None:
    """Drop all answers up to that to the echo."""
    last = b""
    while _END not in last:
        last = last[-len(_END) :] + peer.recv(65536)


def scrape(port: int, times: int) -> int:
    """Scrape so many times, and return the bytes of a scrape."""
    connection = HTTPConnection(HOST, port)
    size = 0
    for _ in range(times):
        connection.request("GET", "/metrics")
        size = len(connection.getresponse().read())
    connection.close()
    return size


def echoes(port: int, seconds: float) -> list[float]:
    """Send echoes one by one, and return how long each took, in order."""
    times = []
    until = time.perf_counter() + seconds
    with socket.create_connection((HOST, port)) as peer:
        while (start := time.perf_counter()) < until:
            peer.sendall(_ECHO)
            peer.recv(100)
            times.append(time.perf_counter() - start)
            time.sleep(0.0002)
    return sorted(times)


def _cells(times: list[float]) -> list[str]:
    """Return the median, the 99th percentile and the longest time, in microseconds."""
    chosen = times[len(times) // 2], times[len(times) * 99 // 100], times[-1]
    return [f"{1e6 * each:,.0f}" for each in chosen]


if __name__ == "__main__":
    sys.exit(main())
