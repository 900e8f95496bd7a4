"""Actions, each an admin command, with the name of a function, job or schedule.

Those on a server itself have no name in their command.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ...errors import OptionError
from ...options import format_options, policy
from ..reading.failures import reason
from ..reading.link import Link, Refused, Target
from ..reading.queries import word

# Seconds that an action may take: a function may have a million jobs.
PATIENCE: Final = 120.0

FUNCTION: Final = "function"
JOB: Final = "job"
SCHEDULE: Final = "schedule"
SERVER: Final = "server"


@dataclass(frozen=True, slots=True)
class Action:
    """What may be done to one function, job or schedule of a server, or to itself.

    `command` has the words before its name; the name of a server is its address, and
    not in the command. If `has_policy`, the keys of a policy are given with it.
    `meaning` ends the sentence "The user asked to ...".
    """

    noun: str
    command: bytes
    meaning: str
    has_policy: bool = False


ACTIONS: Final[Mapping[str, Action]] = {
    "pause": Action(FUNCTION, b"pause function", "start no more jobs"),
    "resume": Action(FUNCTION, b"resume function", "start jobs again"),
    "purge": Action(FUNCTION, b"purge function", "drop all jobs that do not run"),
    "set-policy": Action(
        FUNCTION, b"set function", "set keys of the policy", has_policy=True
    ),
    "unset-policy": Action(FUNCTION, b"unset function", "forget what was set"),
    "retry-all": Action(FUNCTION, b"retry function", "try all dead jobs again"),
    "forget-all": Action(FUNCTION, b"forget function", "drop all dead jobs"),
    "drop": Action(FUNCTION, b"drop function", "forget the function"),
    "cancel": Action(JOB, b"cancel job", "cancel the job"),
    "retry": Action(JOB, b"retry job", "try the dead job again"),
    "forget": Action(JOB, b"forget job", "drop the dead job"),
    "run": Action(SCHEDULE, b"run schedule", "submit the job at once"),
    "pause-schedule": Action(SCHEDULE, b"pause schedule", "submit no more jobs"),
    "resume-schedule": Action(SCHEDULE, b"resume schedule", "submit jobs again"),
    "drain": Action(
        SERVER, b"drain server", "give all shards to the other servers, and end"
    ),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether an action succeeded, on how many jobs (None: not said), and why not."""

    ok: bool
    count: int | None = None
    error: str = ""


async def perform(
    action: Action,
    target: Target,
    names: list[bytes],
    values: Mapping[str, object] | None = None,
) -> list[Outcome]:
    """Do something to each of several functions, jobs or schedules of a server.

    `values` are the keys of a policy. An action on the server itself has one name.
    """
    try:
        last = _policy(values or {}) if action.has_policy else b""
    except OptionError as error:
        return [Outcome(False, error=str(error))] * len(names)
    outcomes: list[Outcome] = []
    try:
        async with Link.to(target) as link:
            for name in names:
                outcomes.append(await _one(link, target, action, name, last))
    except (OSError, ValueError) as error:
        missing = len(names) - len(outcomes)
        outcomes += [Outcome(False, error=reason(error))] * missing
    return outcomes


def _policy(values: Mapping[str, object]) -> bytes:
    text = format_options(policy(values))
    if not text:
        raise OptionError("a policy needs at least one key")
    return text


async def _one(
    link: Link, target: Target, action: Action, name: bytes, last: bytes
) -> Outcome:
    try:
        command = _command(target, action, name, last)
        answer = await link.line(command, PATIENCE)
    except Refused as refused:
        return Outcome(False, error=_SENTENCES.get(str(refused), str(refused)))
    count = answer.removeprefix(b"OK").strip()
    return Outcome(True, int(count) if count.isdigit() else None)


def _command(target: Target, action: Action, name: bytes, last: bytes) -> bytes:
    """Return the line of an action. Raises Refused."""
    if action.noun == SERVER:
        if name != target.address.encode():
            raise Refused(f"the name of a server is its address, {target.address}")
        return action.command
    named = word(name, f"the name of the {action.noun}")
    return b" ".join(filter(None, (action.command, named, last)))


_SENTENCES: Final = {"UNKNOWN_JOB": "there is no such job any more"}
