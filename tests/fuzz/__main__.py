"""Fuzz the server: python -m tests.fuzz --inputs 10000000 --seed 1"""

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.fuzz import check, script
from tests.fuzz.builds import names
from tests.fuzz.sockets import WAYS
from tests.fuzz.write import Writer

# Inputs between two lines of progress, and the allowed growth in bytes from the first
# of these lines to the end.
PROGRESS = 100_000
GROWTH = 24 * 1024 * 1024
PAGE = 4096


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    checks = _check(options.build)
    known = script.corpus()
    inputs = index = memory = 0
    start = time.monotonic()
    while inputs < options.inputs:
        # Each script has a seed of its own, so that it can be made again by itself.
        rng = Random(options.seed << 32 | index)
        written = Writer(rng, known).script(options.steps)
        error = check.failure(checks, written)
        if error is not None:
            return _report(checks, written, error, f"{options.seed}-{index}")
        index += 1
        before, inputs = inputs, inputs + written.inputs
        if before // PROGRESS != inputs // PROGRESS:
            rate = inputs / (time.monotonic() - start)
            used = _memory()
            memory = memory or used
            text = f"{inputs} inputs, {rate:.0f} a second, {used >> 20} MiB"
            print(text, flush=True)
    if memory and _memory() > memory + GROWTH:
        print(f"FAILED: memory has grown from {memory} to {_memory()} bytes")
        return 1
    seconds = time.monotonic() - start
    print(f"{inputs} inputs in {index} scripts, {seconds:.0f} seconds: nothing found")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60, help="of each script")
    parser.add_argument(
        "--build",
        default="both",
        choices=["both", *names(), *WAYS],
        help="both compares the builds with each other; asyncio and engine compare"
        " listeners, by socket pairs, with the protocols alone (default: %(default)s)",
    )
    return parser


def _check(build: str) -> check.Check:
    if build in WAYS:
        return check.same_by_sockets(build)
    return check.same_in_builds(names() if build == "both" else [build])


def _report(
    checks: check.Check, failed: script.Script, error: Exception, name: str
) -> int:
    traceback.print_exception(error)
    shorter = check.shortened(checks, failed)
    path = Path(f"fuzz-{name}.script").absolute()
    path.write_text(shorter.text())
    print(f"FAILED: {type(error).__name__}: {error}\n\n{shorter.text()}", flush=True)
    print(f"This script is in {path}: name it for what it shows, and keep it in")
    print(f"{script.CORPUS} once it passes.")
    return 1


def _memory() -> int:
    """Return how many bytes are in use, 0 if the system does not tell."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * PAGE if path.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
