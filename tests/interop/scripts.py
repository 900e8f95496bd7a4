"""Read the scripts beside this module, which are the same answers and the differences.

An unindented line is a title, what follows it indented belongs to it, and a line that
begins with # is a comment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Difference:
    """What this server deliberately does otherwise than gearmand 1.1.20.

    `lines` are those that differ when both play the script: first a minus and a line
    that only gearmand answers, or a plus and one that only this server answers.
    """

    name: str
    why: str
    script: str
    lines: list[str]


def same_answers() -> list[tuple[str, str]]:
    """Return titles and scripts to which both servers give the same answers."""
    titled = _titled(_HERE / "same_answers.txt")
    return [(title, "\n".join(lines)) for title, lines in titled]


def differences() -> list[Difference]:
    """Return the one table of deliberate differences."""
    return [_difference(*titled) for titled in _titled(_HERE / "differences.txt")]


def _difference(title: str, lines: list[str]) -> Difference:
    why = lines[0].removeprefix("because ")
    assert why != lines[0], f"{title}: there is no reason"
    differing = [line for line in lines[1:] if line[0] in "+-"]
    script = [line for line in lines[1:] if line[0] not in "+-"]
    return Difference(title, why, "\n".join(script), differing)


def _titled(path: Path) -> Iterator[tuple[str, list[str]]]:
    for block in path.read_text().split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if lines:
            assert not lines[0].startswith(" "), f"{lines[0]!r} is no title"
            yield lines[0], [line.removeprefix("    ") for line in lines[1:]]
