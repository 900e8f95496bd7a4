"""The packets of a link that is up, and what the broker does for them.

They come from a server of the same cluster that has proved who it is. What can't be
read in them raises ValueError, before anything is changed: then the link ends.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Final, TypeAlias

from ....commands import RESPONSES, Command
from ....text import shown
from ...broker import Links, Remote
from ...broker.constants import LINK_TELL
from ...broker.links.questions import COMMAND
from ..steering import Steering

# It is called with the arguments of a packet.
Verb: TypeAlias = Callable[..., None]

# What fields of a job begin with.
_PRIORITIES: Final = (b"0 ", b"1 ", b"2 ")

# No number of a packet has more digits, so that each fits 64 bits.
_MOST_DIGITS: Final = 18


def verbs(links: Links, remote: Remote) -> Mapping[int, Verb]:
    """Return what is done for the packets of a link, by their numbers.

    RESPONSES is added to those of responses.
    """
    requests = {**_of_client(links, remote), **_of_worker(links, remote)}
    answers = {RESPONSES + number: run for number, run in _answers(links, remote)}
    return {**requests, **answers}


def _of_client(links: Links, remote: Remote) -> dict[int, Verb]:
    """What the other server may ask for as a client, and as an owner of jobs."""
    taking_over, steering = links.taking_over, Steering(links.settings.broker)
    return {
        Command.LINK_SUBMIT: partial(_submitted, links, remote),
        Command.LINK_LEAVE: partial(links.left, remote),
        Command.LINK_ASK: partial(_asked, links, remote, steering),
        Command.LINK_SETTING: partial(links.settings.told, remote),
        Command.LINK_TOKENS: partial(links.sharing.asked, remote),
        Command.LINK_READY: partial(_ready, links, remote),
        Command.LINK_RUNNING: partial(taking_over.running, remote),
        Command.LINK_ADOPT: partial(taking_over.adopted, remote),
    }


def _of_worker(links: Links, remote: Remote) -> dict[int, Verb]:
    """What the other server may send as a worker."""
    lending, workers, worker = links.lending, links.workers, remote.worker
    return {
        Command.CAN_DO: partial(lending.offered, remote),
        Command.CANT_DO: partial(lending.withdrawn, remote),
        Command.GRAB_JOBS: partial(_grab_jobs, links, remote),
        Command.LINK_BACK: partial(links.back, remote),
        Command.LINK_RUNS: partial(links.settle, remote),
        Command.WORK_DATA: partial(workers.data, worker),
        Command.WORK_WARNING: partial(workers.warning, worker),
        Command.WORK_STATUS: partial(workers.status, worker),
        Command.WORK_COMPLETE: partial(workers.complete, worker),
        Command.WORK_FAIL: partial(workers.fail, worker),
        Command.WORK_EXCEPTION: partial(workers.exception, worker),
        Command.WORK_RETRY: partial(_work_retry, links, remote),
    }


def _answers(links: Links, remote: Remote) -> list[tuple[int, Verb]]:
    """What the other server may answer, and tell of jobs that this one waits for."""
    away, borrowing = links.away, links.borrowing
    updates = (Command.WORK_DATA, Command.WORK_WARNING, Command.WORK_STATUS)
    ends = (Command.WORK_COMPLETE, Command.WORK_FAIL, Command.WORK_EXCEPTION)
    return [
        (Command.LINK_CREATED, partial(_created, links, remote)),
        (Command.LINK_REFUSED, partial(_refused, links, remote)),
        (Command.LINK_STARTED, partial(away.started, remote)),
        (Command.LINK_TELL, partial(_tell, links, remote)),
        (Command.LINK_GRANT, partial(_granted, links, remote)),
        (Command.LINK_JOB, partial(_borrow, links, remote)),
        (Command.WORK_CANCEL, borrowing.cancelled),
        (Command.LINK_RUNS, partial(links.taking_over.runs, remote)),
        *((command, partial(_update, links, remote, command)) for command in updates),
        *((command, partial(_end, links, remote, command)) for command in ends),
    ]


def _asked(
    links: Links,
    remote: Remote,
    steering: Steering,
    token: bytes,
    what: bytes,
    key: bytes,
) -> None:
    if what != COMMAND:
        return links.lookup.asked(remote, token, what, key)
    answer = steering.change(key)
    known = b"0" if answer is None else b"1"
    return remote.respond(LINK_TELL, (token, known, answer or b""))


def _ready(
    links: Links, remote: Remote, name: bytes, count: bytes, unmet: bytes
) -> None:
    links.borrowing.ready(remote, name, _number(count), _number(unmet))


def _submitted(links: Links, remote: Remote, *arguments: bytes) -> None:
    _check_priority(arguments[3])
    links.submitted(remote, *arguments)


def _borrow(links: Links, remote: Remote, *arguments: bytes) -> None:
    _check_priority(arguments[4])
    links.borrowing.borrow(remote, *arguments)


def _check_priority(fields: bytes) -> None:
    """Check the first one of the fields of a job. Raises ValueError."""
    if fields[:2] not in _PRIORITIES:
        raise ValueError(f"a priority is wrong in {shown(fields)}")


def _grab_jobs(
    links: Links, remote: Remote, name: bytes, count: bytes, ahead: bytes
) -> None:
    links.lending.grab(remote, name, _number(count), _number(ahead))


def _work_retry(
    links: Links, remote: Remote, handle: bytes, seconds: bytes, reason: bytes
) -> None:
    pause, counts = float(seconds.removesuffix(b"+")), not seconds.endswith(b"+")
    if not 0 <= pause < inf:
        raise ValueError(f"a time is {shown(seconds)}")
    links.workers.retry(remote.worker, handle, pause, reason, counts)


def _number(text: bytes) -> int:
    """Return a number that a packet has. Raises ValueError."""
    if not text.isdigit() or len(text) > _MOST_DIGITS:
        raise ValueError(f"a number is {shown(text)}")
    return int(text)


def _created(links: Links, remote: Remote, token: bytes, handle: bytes) -> None:
    if not handle:
        raise ValueError("a handle is empty")
    links.away.created(remote, _number(token), handle)


def _refused(
    links: Links, remote: Remote, token: bytes, code: bytes, text: bytes
) -> None:
    links.away.refused(remote, _number(token), code, text)


def _tell(
    links: Links, remote: Remote, token: bytes, known: bytes, data: bytes
) -> None:
    links.lookup.told(remote, _number(token), known == b"1", data)


def _granted(
    links: Links, remote: Remote, name: bytes, running: bytes, starts: bytes
) -> None:
    links.sharing.granted(remote, name, _number(running), _number(starts))


def _update(links: Links, remote: Remote, command: int, *arguments: bytes) -> None:
    links.away.update(remote, command, arguments)


def _end(
    links: Links, remote: Remote, command: int, handle: bytes, *data: bytes
) -> None:
    links.away.ended(remote, command, handle, data)
