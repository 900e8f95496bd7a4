"""Options of the server that belong to a plugin."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the server that belongs to a plugin.

    If the option is given, its value is passed to the plugin's constructor as the
    argument `keyword`. `names` are without the leading dashes; the help shows the first
    one, and the others are aliases. `help` and `metavar` are for the help text. `kind`
    is "text", "path" (passed as an absolute path), "number" (an int from 0 to
    2**63 - 1), "flag" (True if given), or a tuple of the allowed words.
    """

    keyword: str
    names: tuple[str, ...]
    help: str
    metavar: str = ""
    kind: str | tuple[str, ...] = "text"

    @property
    def key(self) -> str:
        """The key of its value among the parsed options."""
        return self.names[0].replace("-", "_")


class HasOptions(Protocol):
    """A class whose constructor takes the values of its options by keyword."""

    options: ClassVar[tuple[Option, ...]]


def plugin_arguments(
    options: Mapping[str, Any], plugin: type[HasOptions]
) -> dict[str, Any]:
    """Return the constructor's arguments for a plugin from the parsed options."""
    return {
        option.keyword: options[option.key]
        for option in plugin.options
        if option.key in options
    }
