"""Every result that differs from python-gearman 2.0.2's, and why it does."""

from dataclasses import dataclass
from typing import Any

BOTH = ("gearmand", "ours")


@dataclass(frozen=True)
class Difference:
    """A result of a scene: what 2.0.2 gives, what this library gives."""

    scene: str
    label: str
    original: Any
    ours: Any
    reason: str
    servers: tuple[str, ...] = BOTH


DIFFERENCES: tuple[Difference, ...] = ()


def expected(scene: str, server: str) -> dict[str, tuple[Any, Any]]:
    """Return what must differ in a scene, by its labels."""
    return {
        row.label: (row.original, row.ours)
        for row in DIFFERENCES
        if row.scene == scene and server in row.servers
    }
