"""The loads of the benchmark: one row each.

A load is played in phases; each is one run of the load generator. The figures of a
phase are reported with its prefix; a phase without a prefix only prepares the next one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One run of the load generator: its clients and workers, and when it ends.

    It ends after `jobs` jobs or after `seconds`, whichever is first. With `whole`, the
    figures of fewer jobs need a remark. With `window`, the rates of the first and the
    last `window` jobs are measured. `workload` is in bytes.
    """

    mode: str
    seconds: float
    jobs: int = 2_000_000
    prefix: str | None = ""
    clients: int = 0
    workers: int = 0
    in_flight: int = 1
    workload: int = 64
    functions: int = 1
    unique: bool = False
    whole: bool = False
    window: int = 0

    def arguments(self) -> Iterator[str]:
        """Yield the load generator's command line, without server and program."""
        yield from ("--mode", self.mode)
        for name, value in (
            ("jobs", self.jobs),
            ("milliseconds", round(self.seconds * 1000)),
            ("clients", self.clients),
            ("workers", self.workers),
            ("inflight", self.in_flight),
            ("payload", self.workload),
            ("functions", self.functions),
            ("window", self.window),
        ):
            yield from (f"--{name}", str(value))
        if self.unique:
            yield "--unique"


@dataclass(frozen=True, slots=True)
class Load:
    """A load, and the table that its figures belong to.

    `repeat` limits how often it is played, if it takes long or its figures hardly vary.
    """

    name: str
    text: str
    table: str
    phases: tuple[Phase, ...]
    repeat: int = 1000

    @property
    def descriptors(self) -> int:
        """How many files a server and the load generator must be able to open."""
        return 100 + max(phase.clients + phase.workers for phase in self.phases)


def loads(*, quick: bool) -> tuple[Load, ...]:
    """Return all loads; smaller and shorter ones for --quick."""
    return (
        *_one_after_another(0.4 if quick else 2.0),
        _drain(50_000 if quick else 200_000, 1.5 if quick else 15.0),
        _unique(50_000 if quick else 1_000_000, 3.0 if quick else 45.0),
        _memory(50_000 if quick else 200_000, 5.0 if quick else 20.0),
        _idle(2_000 if quick else 15_000),
    )


def _one_after_another(seconds: float) -> Iterator[Load]:
    """Yield the loads whose clients submit a job when one of theirs is done."""
    yield Load(
        *("echo", "8 clients x 16 in flight, 64 bytes", "speed"),
        (Phase(mode="echo", seconds=seconds, clients=8, in_flight=16),),
    )
    yield Load(
        *("single", "1 client, 1 worker, 1 job at a time", "speed"),
        (Phase(mode="foreground", seconds=seconds, clients=1, workers=1),),
    )
    for clients, in_flight in ((8, 16), (32, 16), (200, 4)):
        text = f"{clients} clients x {in_flight} in flight, {clients} workers"
        phase = Phase(
            mode="foreground",
            seconds=seconds,
            clients=clients,
            workers=clients,
            in_flight=in_flight,
        )
        yield Load(f"foreground-{clients}", text, "speed", (phase,))
    yield Load(
        *("functions", "as foreground-8, with 50 functions in turn", "speed"),
        (
            Phase(
                mode="foreground",
                seconds=seconds,
                clients=8,
                workers=8,
                in_flight=16,
                functions=50,
            ),
        ),
    )
    yield Load(
        *("large", "4 clients x 4 in flight, 4 workers, 1 MiB each way", "speed"),
        (
            Phase(
                mode="foreground",
                seconds=seconds,
                clients=4,
                workers=4,
                in_flight=4,
                workload=_MEBIBYTE,
            ),
        ),
    )
    yield Load(
        *("background", "8 clients x 64 in flight, no worker", "speed"),
        (_submit(500_000, seconds, ""),),
    )


def _submit(
    jobs: int,
    seconds: float,
    prefix: str | None,
    *,
    whole: bool = False,
    unique: bool = False,
    window: int = 0,
) -> Phase:
    return Phase(
        mode="background",
        jobs=jobs,
        seconds=seconds,
        prefix=prefix,
        clients=8,
        in_flight=64,
        whole=whole,
        unique=unique,
        window=window,
    )


def _drain(jobs: int, seconds: float) -> Load:
    text = f"8 workers take {jobs:,} queued jobs"
    drain = Phase(mode="drain", jobs=jobs, seconds=seconds, workers=8)
    # If queueing takes too long, the backlog is smaller, and is drained as well.
    return Load("drain", text, "speed", (_submit(jobs, seconds, None), drain), 3)


def _unique(jobs: int, seconds: float) -> Load:
    text = f"{jobs:,} background jobs with unique keys, then 8 workers take them"
    window = jobs // 10
    submit = _submit(jobs, seconds, "submit_", whole=True, unique=True, window=window)
    drain = Phase(
        mode="drain",
        jobs=jobs,
        seconds=seconds,
        prefix="drain_",
        workers=8,
        whole=True,
        window=window,
    )
    return Load("unique-million", text, "growth", (submit, drain), 1)


def _memory(jobs: int, seconds: float) -> Load:
    text = f"{jobs:,} queued jobs of 64 bytes"
    return Load("memory", text, "memory", (_submit(jobs, seconds, "", whole=True),), 1)


def _idle(connections: int) -> Load:
    text = f"{connections:,} workers that sleep"
    phase = Phase(mode="idle", seconds=60, workers=connections)
    return Load("idle", text, "memory", (phase,), 1)
