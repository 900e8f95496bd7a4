"""Policies by the names of functions."""

import re
from collections.abc import Mapping
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any, Final

from .model import Policy


def merged(lower: Policy | None, upper: Policy | None) -> Policy:
    """Return a policy with the fields of both; what `upper` sets, it sets finally."""
    values: dict[str, Any] = {}
    for each in (lower, upper):
        for field in fields(Policy):
            value = getattr(each, field.name, None)
            if value is not None:
                values[field.name] = value
    return Policy(**values)


class Policies:
    """The policies of functions by name, or by a glob: a name with *, ? or [.

    `rows` has them in the order of their source. A glob matches the bytes of a name;
    upper and lower case differ.
    """

    __slots__ = ("_exact", "_globs", "rows")

    def __init__(self, rows: Mapping[bytes, Policy] | None = None) -> None:
        self.rows: Final = dict(rows or {})
        globs = [name for name in self.rows if re.search(rb"[*?[]", name)]
        # From general to special; of equal lengths the later one beats the earlier.
        self._globs = [
            (glob.decode("latin-1"), self.rows[glob]) for glob in sorted(globs, key=len)
        ]
        self._exact = {n: p for n, p in self.rows.items() if n not in globs}

    def of(self, name: bytes) -> Policy | None:
        """Return the policy of a function, None if there is none.

        Fields come from the function's own policy, then from the longest glob, and so
        on.
        """
        text = name.decode("latin-1")
        found = [policy for glob, policy in self._globs if fnmatchcase(text, glob)]
        if name in self._exact:
            found.append(self._exact[name])
        result = None
        for each in found:
            result = merged(result, each)
        return result
