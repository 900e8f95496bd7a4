"""Run a cluster under load with many faults: python -m tests.cluster --faults 200."""

import argparse
import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager

from tests.queues import backend_mysql, backend_postgres

from .grounds import Database
from .nemesis import survive


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m tests.cluster")
    reader.add_argument("--faults", type=int, default=200)
    reader.add_argument("--database", choices=("postgres", "mysql"), default="postgres")
    reader.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = reader.parse_args()
    print(f"--seed {options.seed}")
    with database(options.database) as jobs:
        asyncio.run(survive(jobs, options.seed, options.faults))


@contextmanager
def database(name: str) -> Iterator[Database]:
    """Run a database, and yield an empty one in it."""
    if name == "mysql":
        with backend_mysql.daemon() as daemon:
            yield backend_mysql.Database(daemon, "jobs")
    else:
        with backend_postgres.cluster() as cluster:
            yield backend_postgres.Database(cluster, "jobs")


if __name__ == "__main__":
    main()
