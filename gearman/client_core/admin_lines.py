"""The lines of admin commands: their words, and what is checked of these."""

from collections.abc import Mapping

from ..errors import OptionError, ProtocolError
from ..options import format_options, policy
from ..payload import as_text, excerpt
from .steering import pairs


def line(command: str, *arguments: object) -> str:
    """Return a command with its arguments.

    Raises ProtocolError if an argument is empty or has white space in it.
    """
    words = [as_text(a) if isinstance(a, bytes) else str(a) for a in arguments]
    for word in words:
        if not word or any(character.isspace() for character in word):
            raise ProtocolError(f"{excerpt(word)} cannot be part of an admin command")
    return " ".join([command, *words])


def policy_text(values: Mapping[str, object]) -> bytes:
    """Return the values of a policy as a word.

    Raises OptionError if one is not allowed, or if there is none.
    """
    text = format_options(policy(values))
    if not text:
        raise OptionError("set_function needs a value, such as retries=3")
    return text


def wanted_jobs(
    task: str | bytes | None,
    unique: str | bytes | None,
    state: str | None,
    limit: int | None,
    after: str | bytes | None,
) -> list[str]:
    """Return the word that says which jobs are listed, or nothing for all."""
    wanted = {"function": task, "unique": unique, "state": state}
    text = pairs(wanted | {"limit": limit, "after": after})
    return [text] if text else []
