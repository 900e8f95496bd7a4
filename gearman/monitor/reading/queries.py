"""Questions that a page asks a server: workers, jobs, policies, schedules, limits.

Each opens a connection of its own, and raises what `Link` raises; Refused if the server
does not know the command.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_from_bytes

from ..model.readings import Worker, json_object, unreadable, worker
from .link import Link, Refused, Target

Record = dict[str, Any]

# Words of an admin command may not have these, and they can't be escaped.
_NOT_IN_WORDS: Final = (b" ", b"\r", b"\n", b"\0")


def word(value: bytes, what: str) -> bytes:
    """Return a value as a word of an admin command. Raises Refused if it can't be."""
    if not value or any(each in value for each in _NOT_IN_WORDS):
        raise Refused(f"{what} is empty or has blanks: no admin command can name it")
    return value


@dataclass(frozen=True, slots=True)
class Jobs:
    """Which jobs are asked for; empty values mean all. `after` is a handle."""

    function: bytes = b""
    unique: bytes = b""
    state: str = ""
    limit: int = 100
    after: bytes = b""

    def command(self) -> bytes:
        values: dict[str, bytes] = {
            "function": self.function,
            "unique": self.unique,
            "state": self.state.encode(),
            "limit": b"%d" % self.limit,
            "after": self.after,
        }
        pairs = (f"{key}={quote_from_bytes(v, '')}" for key, v in values.items() if v)
        return f"list jobs {'&'.join(pairs)}".encode()


async def workers(target: Target) -> list[Worker]:
    """Return the connections that have functions."""
    async with Link.to(target) as link:
        lines = await link.lines(b"workers")
    return [each for each in map(worker, lines) if each.functions]


async def jobs(target: Target, wanted: Jobs) -> list[Record]:
    """Return a page of jobs as `list jobs` has them.

    Of a server without that command, all jobs with little more than their handles, if
    jobs of no certain function, unique or state are asked for.
    """
    async with Link.to(target) as link:
        try:
            return list(map(json_object, await link.lines(wanted.command())))
        except Refused:
            if await _counts(link):
                raise
        if wanted.function or wanted.unique or wanted.state:
            raise Refused("this server does not say which function a job has")
        found = list(map(_shown_job, await link.lines(b"show jobs")))
    handles = [record["handle"] for record in found]
    after = wanted.after.decode(errors="backslashreplace")
    first = handles.index(after) + 1 if after in handles else 0
    return found[first : first + wanted.limit]


async def _counts(link: Link) -> bool:
    """Whether it is a server of this package."""
    try:
        await link.lines(b"show limits")
    except Refused:
        return False
    return True


async def job(
    target: Target, handle: bytes, *, workload: bool = False
) -> Record | None:
    """Return a job by its handle, None if the server has none.

    With `workload` it has the beginning of its workload, or `unshown`: the sentence
    why the server does not show it.
    """
    command = b"show job " + word(handle, "the handle")
    async with Link.to(target) as link:
        try:
            lines = await link.lines(command)
        except Refused as refused:
            if str(refused) == "UNKNOWN_JOB":
                return None
            raise
        if not lines:
            return None
        record = json_object(lines[0])
        if workload:
            try:
                lines = await link.lines(b"workload " + handle)
                found = json_object(b"".join(lines[:1]))
                record["workload"] = found.get("workload", "")
            except Refused as refused:
                record["unshown"] = str(refused)
    return record


async def policies(target: Target) -> dict[bytes, str]:
    """Return the policies of functions as text, by the functions' printable names."""
    rows = await _rows(target, b"show policies", 2)
    return {name: text.decode(errors="backslashreplace") for name, text in rows}


async def schedules(target: Target) -> list[Record]:
    """Return the schedules; times are in seconds since 1970, None if there is none."""
    rows = await _rows(target, b"show schedules", 8)
    return [
        {
            "name": _text(name),
            "cron": _text(cron),
            "function": _text(function),
            "next": _number(following, float),
            "last": _number(last, float),
            "paused": paused == b"1",
            "source": _text(source),
            "owner": None if owner == b"-" else _text(owner),
        }
        for name, cron, function, following, last, paused, source, owner in rows
    ]


async def limits(target: Target) -> list[Record]:
    """Return the limits; 0 is no limit, and None stands for what does not exist."""
    rows = await _rows(target, b"show limits", 4)
    return [
        {
            "name": _text(name),
            "limit": _number(limit, float),
            "used": _number(used, int),
            "hits": _number(hits, int) or 0,
        }
        for name, limit, used, hits in rows
    ]


async def _rows(target: Target, command: bytes, columns: int) -> list[Sequence[bytes]]:
    async with Link.to(target) as link:
        lines = await link.lines(command)
    rows = [line.split(b"\t") for line in lines]
    for row, line in zip(rows, lines, strict=True):
        if len(row) != columns:
            raise unreadable(line)
    return [*rows]


def _shown_job(line: bytes) -> Record:
    """Return a job of `show jobs`: handle, retries, ignored, background."""
    handle, *numbers = line.split(b"\t")
    if len(numbers) != 3:
        raise unreadable(line)
    return {
        "handle": _text(handle),
        "retries": _number(numbers[0], int) or 0,
        "ignored": numbers[1] == b"1",
        "background": numbers[2] == b"1",
    }


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def _number(value: bytes, kind: Callable[[bytes], Any]) -> Any:
    if value == b"-":
        return None
    try:
        return kind(value)
    except ValueError:
        raise unreadable(value) from None
