"""Reading the two files of scripts: the same answers, and the differences.

An unindented line is a title, the indented lines after it are its script, and a line
that begins with # is a comment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Difference:
    """A deliberate difference between this server and gearmand 1.1.20.

    `lines` are the lines that differ when both play the script: a minus and a line that
    only gearmand answers, or a plus and a line that only this server answers.
    """

    name: str
    why: str
    script: str
    lines: list[str]


def same_answers() -> list[tuple[str, str]]:
    """Return titles and scripts for which both servers give the same answers."""
    titled = _titled(_HERE / "same_answers.txt")
    return [(title, "\n".join(lines)) for title, lines in titled]


def differences() -> list[Difference]:
    """Return the table of deliberate differences."""
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
