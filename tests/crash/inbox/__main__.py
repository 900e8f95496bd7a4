"""Many transactions: ``python -m tests.crash.inbox``, see CONTRIBUTING.md."""

import argparse
import random
import sys
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from .places import PLACES
from .play import play


def main() -> str | None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash.inbox",
        description="Insert rows from 8 connections, roll back half of them, kill the"
        " job server and the database meanwhile, and check that the jobs of exactly the"
        " committed transactions ran.",
    )
    parser.add_argument("--queue", choices=PLACES, default="postgres")
    parser.add_argument("--transactions", type=int, default=10_000)
    parser.add_argument(
        "--alive",
        action="store_true",
        help="kill the database only; then each job must run exactly once",
    )
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gearman-crash-") as folder:
        try:
            # Databases print their logs.
            with redirect_stdout(StringIO()):
                result = play(
                    options.queue,
                    Path(folder),
                    options.transactions,
                    seed,
                    kill_server=not options.alive,
                )
            result.check(once=options.alive)
        except AssertionError as error:
            log = Path(folder, "server.log")
            print(log.read_text(errors="replace")[-5000:])
            return f"failed with --seed {seed}: {error}"
    again = sum(result.done.values()) - len(result.done)
    kills = ", ".join(f"{victim} {count}" for victim, count in result.kills.items())
    print(
        f"{options.queue}: {options.transactions} transactions, {len(result.orders)}"
        f" committed, all of them ran, no other; {again} ran again; killed: {kills};"
        f" {time.monotonic() - began:.0f} s"
    )
    return None


if __name__ == "__main__":
    sys.exit(main())
