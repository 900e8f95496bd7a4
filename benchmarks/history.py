"""How large a year of gearman-monitor's history is: fills one, and prints the sizes.

    python -m benchmarks.history --servers 10 --functions 500 --days 365

Of the functions, `--busy` in a hundred have jobs all the time, `--daily` in a hundred
for some hours of each weekday, and the others a few jobs on one day of seven. The last
day is also filled with points of 10 seconds, the last ten minutes with points of a
second. Then a year of one function and of all functions is read.
"""

import argparse
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gearman.monitor.history import spans
from gearman.monitor.history.file import File
from gearman.monitor.history.points import FIELDS, Point, code, summed
from gearman.monitor.history.recorder import ALL, Moment
from gearman.monitor.history.spans import SPANS
from gearman.monitor.history.tiers import COARSE, DAY, FINE, HOUR, MIDDLE, Tier

MIB = 1 << 20


class Source:
    """A function with jobs: how many a second, and when."""

    def __init__(self, number: int, kind: str, seed: random.Random) -> None:
        self.number = number
        self.name = b"function.%d" % number
        self.kind = kind
        self._random = seed
        self._rate = 10 ** seed.uniform(-1, 1.5)
        self._first = seed.randrange(6, 12)
        self._day = seed.randrange(7)
        self._run = 10 ** seed.uniform(-2, 1)
        self._workers = seed.randrange(1, 20)

    def is_active(self, moment: int) -> bool:
        day, hour = moment // DAY, moment % DAY // HOUR
        if self.kind == "busy":
            return True
        if self.kind == "daily":
            return day % 7 < 5 and self._first <= hour < self._first + 4
        return day % 7 == self._day and hour == self._first and moment % HOUR < 1200

    def point(self, moment: int, seconds: int) -> Point:
        """Return what happened in these seconds."""
        rate = self._rate if self.kind != "seldom" else 0.01
        # More by day than by night.
        swing = 1.0 + 0.5 * abs(12 - moment % DAY / HOUR) / 12
        mean = rate * seconds * swing
        submitted = max(0, round(self._random.gauss(mean, mean**0.5)))
        started = max(0, submitted + round(self._random.gauss(0, 1)))
        failed = sum(self._random.random() < 0.01 for _ in range(min(started, 1000)))
        retried = failed // 2
        times = [self._run * self._random.uniform(0.8, 1.2) for _ in range(2)]
        return (
            *(submitted, started, started - failed, failed, retried, 0, 0),
            *(self._random.randrange(5), min(self._workers, started), 0, 0),
            *(self._workers, self._random.randrange(2)),
            *(code(0.001), code(times[0] / 10), code(times[1] / 5)),
            *(code(self._run), code(times[0] * 2), code(times[1] * 4)),
        )


def sources(options: argparse.Namespace, seed: random.Random) -> Iterator[Source]:
    for number in range(options.functions):
        share = number * 100 / options.functions
        kind = "seldom"
        if share < options.busy:
            kind = "busy"
        elif share < options.busy + options.daily:
            kind = "daily"
        yield Source(number, kind, seed)


def fill(file: File, options: argparse.Namespace, end: int) -> None:
    """Write the days before `end`, and finer points of the last one."""
    seed = random.Random(options.seed)
    for server in range(options.servers):
        address = f"server{server}:4730"
        several = list(sources(options, seed))
        _fill(file, COARSE, address, several, end - options.days * DAY, end)
        _fill(file, MIDDLE, address, several, end - DAY, end)
        _fill(file, FINE, address, several, end - FINE.keep, end)
        print(f"{address}: {file.size() / MIB:.1f} MiB", flush=True)


def _fill(
    file: File, tier: Tier, address: str, several: list[Source], start: int, end: int
) -> None:
    for chunk in range(-(-start // tier.chunk), end // tier.chunk):
        first = chunk * tier.chunk
        points: dict[bytes, dict[int, Point]] = {}
        times = [(slot, first + slot * tier.seconds) for slot in range(tier.slots)]
        for source in several:
            found = {
                slot: source.point(moment, tier.seconds)
                for slot, moment in times
                if source.is_active(moment)
            }
            if found:
                points[source.name] = found
        points[ALL] = {
            slot: _sum([each[slot] for each in points.values() if slot in each])
            for slot, _ in times
        }
        # Once, for the names; the chunks are written as the monitor packs them.
        file.write([Moment(tier.number, address, first, dict.fromkeys(points, ZERO))])
        server = file.server(address)
        assert server is not None
        with file.database:
            for name, found in points.items():
                function = file.function(server, name)
                assert function is not None
                file.put_chunk(tier, chunk, function, found)
            file.database.execute("DELETE FROM moment")


ZERO: Point = (0,) * len(FIELDS)


def _sum(points: list[Point]) -> Point:
    return summed(points) if points else ZERO


# What the page of a function shows.
PAGE = (
    *("queued", "running", "submitted", "completed", "failed"),
    *("wait_p50", "wait_p95", "wait_p99", "run_p50", "run_p95", "run_p99"),
)


def measure(file: File, addresses: list[str], end: int) -> None:
    for title, name in (("one function", b"function.0"), ("all functions", ALL)):
        for span in ("10m", "day", "year"):
            began = time.process_time()
            spans.charts(file, addresses, [name], SPANS[span], PAGE, end)
            took = time.process_time() - began
            print(f"charts of {title}, {span}, of all servers: {took * 1000:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=10)
    parser.add_argument("--functions", type=int, default=500, help="of each server")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--busy", type=float, default=5, help="in a hundred")
    parser.add_argument("--daily", type=float, default=15, help="in a hundred")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    end = 5200 * COARSE.chunk
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "history.db")
        file = File(path)
        fill(file, options, end)
        file.tidy(end)
        measure(file, [f"server{n}:4730" for n in range(options.servers)], end)
        for tier in (COARSE, MIDDLE, FINE):
            count, size = file.database.execute(
                f"SELECT count(*), sum(length(data)) FROM chunk{tier.number}"
            ).fetchone()
            print(
                f"points of {tier.seconds} s: {count} chunks, {(size or 0) / MIB:.1f}"
                " MiB of data"
            )
        file.close()
        size = sum(each.stat().st_size for each in Path(folder).iterdir())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"files: {size / MIB:.1f} MiB; memory of this process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
