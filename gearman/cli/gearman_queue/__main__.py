"""The tool `gearman-queue`: ``python -m gearman.cli.gearman_queue``."""

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from ...errors import ConfigurationError
from ...queue import StoredJob
from ...streams import say
from .. import program
from ..progress import Progress
from . import job_files, job_lines, job_tables
from .intake import Intake
from .queue_options import parse
from .stores import Store, readable

NAME: Final = "gearman-queue"

# Jobs between two looks at the progress.
_STEP: Final = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    return program.run(NAME, partial(_run, arguments))


def _run(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    trouble = Trouble()
    _OPERATIONS[options.operation](options, trouble)
    sys.stdout.flush()
    return program.FAILURE if trouble.count else 0


class Trouble:
    """Prints and counts the problems: jobs that can't be read or stored."""

    def __init__(self) -> None:
        self.count = 0
        self._progress = Progress(None)

    def __call__(self, sentence: str) -> None:
        self.count += 1
        self._progress.hide()
        program.complain(NAME, sentence)

    def watched(
        self,
        jobs: Iterable[StoredJob],
        total: int | None,
        position: Callable[[], int] | None = None,
    ) -> Iterator[StoredJob]:
        """Yield the jobs, and show the progress.

        `total` is a number of jobs; or, if there is a `position`, in the unit of what
        that returns.
        """
        self._progress = Progress(total)
        try:
            for number, job in enumerate(jobs):
                if not number % _STEP:
                    done = position() if position else number
                    self._progress.draw(done, number, self.count)
                yield job
        finally:
            self._progress.hide()


def _list(options: Namespace, trouble: Trouble) -> None:
    with _reading(options, trouble) as jobs:
        if options.json:
            _write(map(json.dumps, job_tables.records(jobs)))
        elif sys.stdout.isatty():
            _write(job_tables.aligned(jobs))
        else:
            _write(job_tables.tabbed(jobs))


def _count(options: Namespace, trouble: Trouble) -> None:
    with _reading(options, trouble) as jobs:
        counts = job_tables.Counts(jobs, time.time())
    if options.json:
        _write(map(json.dumps, counts.records()))
    elif sys.stdout.isatty():
        _write(counts.aligned())
    else:
        _write(counts.tabbed())


def _export(options: Namespace, trouble: Trouble) -> None:
    if options.file in (None, "-"):
        with _reading(options, trouble) as jobs:
            _write(map(job_lines.encode, jobs))
    else:
        total = _total(options.source)
        with (
            _reading(options, trouble, total) as jobs,
            job_files.replaced(options.file) as file,
        ):
            file.writelines(f"{job_lines.encode(job)}\n".encode() for job in jobs)


def _import(options: Namespace, trouble: Trouble) -> None:
    with job_files.source(options.file) as file:
        size = job_files.size(file)
        position = None if size is None else file.tell
        seen = trouble.watched(job_files.read(file), size, position)
        _fill(options.source, _wanted(seen, options.function), trouble)


def _copy(options: Namespace, trouble: Trouble) -> None:
    if options.source == options.target:
        raise ConfigurationError("a store cannot be copied to itself: name another one")
    with _reading(options, trouble, _total(options.source)) as jobs:
        _fill(options.target, jobs, trouble)


def _sql(options: Namespace, trouble: Trouble) -> None:
    store: Store = options.source
    plugin = store.plugin
    if options.results:
        if not plugin.has_results:
            raise ConfigurationError(
                f"the queue {store.name} has no functions that wait for results"
            )
        statements, install = plugin.results_sql, plugin.install_results_sql
    else:
        if not plugin.has_inbox:
            raise ConfigurationError(
                f"the queue {store.name} has no inbox, so that there are no statements"
            )
        statements, install = plugin.sql, plugin.install_sql
    if options.install:
        install(store.arguments)
    else:
        _write(statements(store.arguments).splitlines())


_OPERATIONS: Final[Mapping[str, Callable[[Namespace, Trouble], None]]] = {
    "list": _list,
    "count": _count,
    "export": _export,
    "import": _import,
    "copy": _copy,
    "sql": _sql,
}


@contextmanager
def _reading(
    options: Namespace, trouble: Trouble, total: int | None = None
) -> Iterator[Iterator[StoredJob]]:
    """Open the source, and yield its jobs of --function, in the order of numbers."""
    options.source.check_it_exists()
    with options.source.open() as queue:
        jobs = trouble.watched(readable(queue, trouble), total)
        yield _wanted(jobs, options.function)


def _wanted(jobs: Iterator[StoredJob], function: str | None) -> Iterator[StoredJob]:
    if function is None:
        return jobs
    name = os.fsencode(function)
    return (job for job in jobs if job.function == name)


def _total(store: Store) -> int | None:
    """Return how many jobs a store has, if the progress is shown."""
    store.check_it_exists()
    return store.count() if sys.stderr.isatty() else None


def _fill(store: Store, jobs: Iterable[StoredJob], trouble: Trouble) -> None:
    """Add jobs to a store, and print how many were added, even if it fails."""
    with store.open() as queue:
        intake = Intake(queue, readable(queue, trouble), trouble)
        try:
            intake.take(jobs)
        finally:
            say(_result(intake), sys.stdout)


def _result(intake: Intake) -> str:
    moved = f", {intake.moved} of them under another number" if intake.moved else ""
    return f"{intake.added} jobs added{moved}; {intake.present} were there already\n"


def _write(lines: Iterable[str]) -> None:
    # Bytes that are not UTF-8 are written unchanged.
    sys.stdout.buffer.writelines(
        f"{line}\n".encode(errors="surrogateescape") for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
