"""Soak a server: ``python -m tests.soak``, see CONTRIBUTING.md."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path
from traceback import print_exception

from gearman.framing import BUILD
from tests.crash.run import NAMES

from .memory import table
from .run import Soak, timed

# Seconds of load of each wave.
WAVE = 20

# Jobs are only in the server's memory.
MEMORY = "memory"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Let clients and workers of all kinds loose on a job server, and"
        " check that every job is accounted for and that nothing is left of them.",
    )
    parser.add_argument("--minutes", type=float, default=10, help="default: 10")
    parser.add_argument(
        "--queue",
        choices=[MEMORY, *NAMES],
        default=MEMORY,
        help="the back end; default: memory, which is none",
    )
    parser.add_argument("--tls", action="store_true", help="speak TLS on every port")
    parser.add_argument("--http", action="store_true", help="speak HTTP as well")
    parser.add_argument("--seed", type=int, help="how the players begin")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.randrange(1 << 32)
    sys.exit(_run(options))


def _run(options: argparse.Namespace) -> str | None:
    """Return the message to print if something went wrong."""
    waves = max(3, round(options.minutes * 60 / WAVE))
    with tempfile.TemporaryDirectory(prefix="gearman-soak-") as folder:
        soak = Soak(
            Path(folder),
            options.seed,
            "" if options.queue == MEMORY else options.queue,
            tls=options.tls,
            http=options.http,
        )
        try:
            seconds = asyncio.run(timed(soak, options.minutes, waves))
        except (AssertionError, TimeoutError, ExceptionGroup) as error:
            print_exception(error)
            return f"failed: seed {options.seed}"
        finally:
            for what, count in sorted(soak.counts.items()):
                print(f"{count:9d} {what}")
            print(table(soak.used))
    print(f"{BUILD} build, {waves} waves, {seconds:.0f} seconds: all is well")
    return None


if __name__ == "__main__":
    main()
