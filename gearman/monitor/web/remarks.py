"""What became of an action, for the page that is shown after it."""

import secrets
from dataclasses import dataclass, field
from typing import Final

# Remarks that are kept; older ones are dropped.
MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence, and what went wrong with which job or function."""

    text: str
    is_good: bool = True
    details: tuple[str, ...] = ()
    # Where a new job is seen.
    link: str = ""


@dataclass(slots=True)
class Remarks:
    """Remarks by keys that nobody can guess, which are in the address of the page."""

    _kept: dict[str, Remark] = field(default_factory=dict)

    def add(self, remark: Remark) -> str:
        """Keep a remark, and return its key."""
        key = secrets.token_urlsafe(9)
        self._kept[key] = remark
        while len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]
        return key

    def find(self, key: str) -> Remark | None:
        return self._kept.get(key)
