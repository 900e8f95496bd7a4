"""Play loads against servers, each in a process of its own, one after the other."""

import json
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .loads import Load, Phase
from .servers import Server, ServerError, output

# Seconds that the load generator may take in addition to a phase's time.
_PATIENCE = 60.0

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one play of a load: figures, or the reason why there are none."""

    load: str
    server: str
    figures: Figures = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    failure: str = ""


def play_all(
    program: Path,
    loads: Sequence[Load],
    servers: Sequence[Server],
    repeat: int,
    tell: Callable[[str], None],
) -> Iterator[Outcome]:
    """Play every load, each with the servers in turn, so that noise affects all.

    If a server fails a load, it does not play it again. `tell` is called with a line
    for each play.
    """
    for load in loads:
        times = min(repeat, load.repeat)
        failed: set[str] = set()
        for number in range(times):
            for server in servers:
                if server.label in failed:
                    continue
                tell(f"{load.name} {number + 1}/{times}: {server.label}")
                outcome = play(program, load, server)
                if outcome.failure:
                    failed.add(server.label)
                yield outcome


def play(program: Path, load: Load, server: Server) -> Outcome:
    """Play a load once, against a server that is started for it."""
    figures: Figures = {}
    remarks: list[str] = []
    backlog: int | None = None
    try:
        allow_descriptors(load.descriptors)
        with server.running() as (pid, port):
            for phase in load.phases:
                # If the backlog is smaller than planned, only so many jobs can be
                # drained.
                drains = phase.mode == "drain" and backlog is not None
                jobs = min(backlog or 0, phase.jobs) if drains else phase.jobs
                found = run_phase(program, phase, pid, port, jobs)
                backlog = int(found["done"])
                if phase.prefix is None:
                    continue
                remarks += _remarks(phase, jobs, backlog)
                figures |= {phase.prefix + key: value for key, value in found.items()}
    except ServerError as error:
        return Outcome(load.name, server.label, failure=str(error))
    return Outcome(load.name, server.label, figures, tuple(remarks))


def allow_descriptors(number: int) -> None:
    """Allow this process, and those that it starts, to open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= number:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    except (ValueError, OSError) as error:
        text = f"needs {number} open files, and `ulimit -Hn` allows fewer"
        raise ServerError(text) from error


def run_phase(program: Path, phase: Phase, pid: int, port: int, jobs: int) -> Figures:
    command = [str(program), "--pid", str(pid), "--port", str(port)]
    command += [*phase.arguments(), "--jobs", str(jobs)]
    found: Figures = json.loads(output(command, phase.seconds + _PATIENCE))
    grown = found["memory"] - found["memory_before"]
    things = found["done"] or phase.clients + phase.workers
    return {**found, "each": grown / things}


def _remarks(phase: Phase, jobs: int, done: int) -> Iterator[str]:
    if phase.whole and done < jobs:
        yield f"{phase.mode} stopped after {phase.seconds:g} s and {done:,} jobs"
