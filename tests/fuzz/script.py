"""Scripts, and their files: one Python literal on each line."""

from ast import literal_eval
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).with_name("corpus")

# ("join", who, kind), ("send", who, data), ("leave", who), ("wait", seconds),
# ("store", whether it works), ("outage", whether there is one), ("drain",), ("policy",
# function, text), ("dead", whether to revive the first dead job or to drop it)
Step = tuple[Any, ...]

# All handles of a script's jobs have this length, so that one can replace another.
FIRST_HANDLE = 1_000_001

# Placeholders in sent data: the handle of the job that the peer was assigned last, and
# of the job that was created last.
ASSIGNED = b"<my job!>"
CREATED = b"<the job>"


@dataclass
class Script:
    """`options` are those of the broker; `trace` turns the log of packets on."""

    options: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    trace: bool = False
    name: str = ""

    @property
    def limits(self) -> dict[str, int]:
        limits: dict[str, int] = self.options.get("limits", {})
        return limits

    @property
    def inputs(self) -> int:
        return sum(step[0] == "send" for step in self.steps)

    @property
    def policies(self) -> dict[bytes, bytes]:
        """The policies of functions at the start."""
        policies: dict[bytes, bytes] = self.options.get("policies", {})
        return policies

    @property
    def scheduled(self) -> bool:
        """Whether there is a schedule, which admin commands may run."""
        scheduled: bool = self.options.get("scheduled", False)
        return scheduled

    @property
    def of_broker(self) -> dict[str, Any]:
        """The options that a broker is made with, without those of its parts."""
        other = ("limits", "policies", "scheduled")
        return {name: it for name, it in self.options.items() if name not in other}

    def without(self, start: int, end: int) -> "Script":
        steps = self.steps[:start] + self.steps[end:]
        return Script(self.options, steps, self.trace, self.name)

    def text(self) -> str:
        head = {**self.options, "trace": self.trace}
        return "".join(f"{line!r}\n" for line in [head, *self.steps])


def read(path: Path) -> Script:
    """Return the script in a file. Lines that begin with # are comments."""
    lines = path.read_text().splitlines()
    options, *steps = [literal_eval(it) for it in lines if it and it[0] != "#"]
    trace = options.pop("trace", False)
    return Script(options, steps, trace, path.stem)


def corpus() -> list[Script]:
    return [read(path) for path in sorted(CORPUS.glob("*.script"))]
