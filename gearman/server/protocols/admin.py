"""The admin text protocol of the server: each line gets an answer.

A list may be long, so it is made in pieces, and other peers are served in between. It
has the items that exist when it is asked for, without those that are gone before their
line is made.

The answers are the same bytes as gearmand's, including line ends, which differ between
commands. Where gearmand's answer does harm, this server's differs:
docs/compatibility.md lists these cases.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple
from weakref import ref

from ...text import printable, split
from ..broker import HIGH, LOW, NORMAL, Broker, Function, Job, Peer, is_wanted
from ..networks import LOOPBACK, Network, contains
from .events import Wish, parse_wish
from .job_lists import JobLists
from .lines import (
    NO_FUNCTION,
    NO_JOB,
    OK,
    Answer,
    denied,
    full,
    incomplete,
    invalid,
    pieces,
    too_long,
    unknown,
)
from .links.later import Later
from .stats import Statistics, no_facts
from .steering import Steering

_HAS_JOBS: Final = (
    b"ERR it still has %d jobs, and no worker: let a worker run them, or cancel each"
    b" that 'show jobs of NAME' lists with 'cancel job HANDLE'\r\n"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What the server says about itself, and how it is stopped.

    `shutdown` is called with True for a graceful shutdown. If it is None, the admin
    protocol may not stop the server. `drain` makes a server of a cluster give its
    shards away, and end then.
    """

    version: str
    pid: int
    verbosity: str
    shutdown: Callable[[bool], None] | None = None
    drain: Callable[[], None] | None = None


class Usage(NamedTuple):
    """One row of `show limits`: name, limit, how much is used, how often it was hit.

    A limit of 0 is no limit. None stands for a value that does not exist.
    """

    name: str
    limit: float | None
    used: int | None
    hits: int


# Commands for peers in the networks of --admin-from. Without that option those that
# gearmand has are for everyone, as with gearmand, and the others for this machine.
_SHUTDOWN: Final = b"shutdown"
_CHANGING: Final = frozenset({b"cancel", b"create", b"drop", b"maxqueue"})
_OURS: Final = frozenset(
    {
        *(b"set", b"unset", b"pause", b"resume", b"purge", b"retry", b"forget"),
        # Workloads are for workers, and for those who may change something.
        *(b"run", b"workload", b"drain", _SHUTDOWN),
    }
)


class _Numbers(list[int]):
    """A list that weak references can point to."""


class Admin:
    """Answers admin lines, with the broker's data.

    Peers in the networks `changers`, and those on a Unix socket, may use all commands;
    others may use those that change nothing. If there are no `changers`, all peers may
    use the commands that gearmand has, too, and this machine all. `limits` returns the
    rows of `show limits`, `facts` what the broker does not know for `show stats`.
    """

    def __init__(
        self,
        broker: Broker,
        identity: Identity,
        changers: Sequence[Network] = (),
        limits: Callable[[], Iterable[Usage]] = lambda: (),
        facts: Callable[[], Mapping[str, object]] = no_facts,
    ) -> None:
        self._broker = broker
        self._limits = limits
        self._identity = identity
        self._changers = changers
        # The numbers for the last list of jobs, which further lists can share.
        self._last_numbers: Callable[[], _Numbers | None] = lambda: None
        self._last_state = (0, 0)
        self._jobs = JobLists(broker)
        self._steering = Steering(broker)
        self._statistics = Statistics(broker, facts)
        self._commands: dict[bytes, Callable[[list[bytes]], Answer | Wish | Later]] = {
            b"cancel": self._cancel,
            b"create": self._create,
            b"drop": self._drop,
            b"getpid": lambda _: b"OK %d\n" % identity.pid,
            b"list": self._list,
            b"maxqueue": self._maxqueue,
            b"prioritystatus": lambda _: self._list_functions(_priorities),
            b"show": self._show,
            b"status": lambda _: self._list_functions(_counts),
            b"verbose": lambda _: f"OK {identity.verbosity}\n".encode(),
            b"version": lambda _: f"OK {identity.version}\n".encode(),
            b"watch": _watch,
            b"workload": self._workload,
            b"workers": lambda _: pieces(self._peers(list(broker.peers))),
        }
        for verb in self._steering.verbs:
            self._commands[verb] = partial(self._steering.answer, verb)
        if identity.drain is not None:
            self._commands[b"drain"] = self._drain
        if identity.shutdown is not None:
            self._commands[_SHUTDOWN] = self._shutdown

    def answer(self, line: bytes, address: str) -> Answer | Wish | Later:
        """Carry out a line, given without its end, and return the answer.

        `address` is the peer's IP address, or `unix`. The pieces of a list are made
        when they are asked for. A Wish is that of a peer that wants to be told what
        happens from now on; a Later is given by another server. Raises
        ProtocolError (fatal) if the connection must be closed.
        """
        command, *words = split(line)
        name = command.lower()
        run = self._commands.get(name)
        if run is None:
            return unknown(command)
        if name in _CHANGING | _OURS and not self._may_change(name, address):
            return denied(name)
        return run(words)

    def _may_change(self, command: bytes, address: str) -> bool:
        if not self._changers and command not in _OURS:
            return True
        return contains(self._changers or LOOPBACK, address)

    def _list_functions(self, line: Callable[[Function], bytes]) -> Iterator[bytes]:
        known = self._broker.functions.known
        functions = list(known.values())
        return pieces(
            line(function) if function.name in known else b"" for function in functions
        )

    def _list_jobs(self, line: Callable[[Job], bytes]) -> Iterator[bytes]:
        jobs = map(self._broker.jobs.known.get, self._numbers())
        return pieces(b"" if job is None else line(job) for job in jobs)

    def _numbers(self) -> "_Numbers":
        """Return the numbers of all jobs, sharing a list in use if it is up to date."""
        broker = self._broker
        # If neither value has changed, no job was added and none was removed.
        state = (broker.jobs.next_number, len(broker.jobs.known))
        numbers = self._last_numbers()
        if numbers is None or self._last_state != state:
            numbers = _Numbers(broker.jobs.known)
            self._last_numbers, self._last_state = ref(numbers), state
        return numbers

    def _peers(self, peers: list[Peer]) -> Iterator[bytes]:
        known = self._broker.peers
        for peer in peers:
            if peer in known:
                yield from _worker(peer)

    def _show(self, words: list[bytes]) -> Answer:
        if not words:
            return unknown(b"show")
        match [word.lower() for word in words]:
            case [b"jobs"]:
                return self._list_jobs(_job)
            case [b"jobs", b"of", _]:
                return self._jobs_of(words[2])
            case [b"unique", b"jobs"]:
                return self._list_jobs(lambda job: printable(job.unique) + b"\n")
            case [b"limits"]:
                return pieces(map(_usage, self._limits()))
            case [b"cluster"]:
                return self._statistics.cluster()
            case [b"stats"]:
                return self._statistics.answer()
            case [b"policies"]:
                return self._steering.policies()
            case [b"schedules"]:
                return self._steering.schedules()
            case [b"dead"]:
                return self._jobs.dead()
            case [b"job", _]:
                return self._jobs.one(words[1])
        return b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"

    def _jobs_of(self, name: bytes) -> Answer:
        function = self._broker.functions.known.get(name)
        if function is None:
            return NO_FUNCTION
        return self._list_jobs(
            lambda job: _job(job) if job.function is function else b""
        )

    def _workload(self, words: list[bytes]) -> Answer:
        if len(words) != 1:
            return incomplete(b"workload")
        return self._jobs.workload(words[0])

    def _list(self, words: list[bytes]) -> Answer:
        if len(words) not in (1, 2) or words[0].lower() != b"jobs":
            return incomplete(b"list")
        return self._jobs.page(words[1] if len(words) > 1 else b"")

    def _cancel(self, words: list[bytes]) -> bytes | Later:
        if len(words) < 2:
            return unknown(b"cancel")
        if len(words) > 2 or words[0].lower() != b"job":
            return b"ERR UNKNOWN_ERROR\r\n"
        if self._broker.cancel(words[1]):
            return OK
        links = self._broker.links
        if links is None:
            return NO_JOB
        cancel = links.lookup.cancel
        return Later(
            self._broker,
            lambda told: cancel(words[1], lambda known: told(OK if known else NO_JOB)),
        )

    def _create(self, words: list[bytes]) -> bytes:
        name = _function_name(words)
        if name is None:
            return incomplete(b"create")
        if refusal := too_long(name):
            return refusal
        if not self._broker.functions.admits(name):
            return full("max-functions")
        self._broker.functions.of(name).offered = True
        return OK

    def _drop(self, words: list[bytes]) -> bytes:
        name = _function_name(words)
        if name is None:
            return incomplete(b"drop")
        function = self._broker.functions.known.get(name)
        if function is None:
            return NO_FUNCTION
        if self._broker.functions.drop(name):
            return OK
        if function.workers:
            return b"ERR there are still connected workers or executing clients\r\n"
        return _HAS_JOBS % function.total()

    def _maxqueue(self, words: list[bytes]) -> bytes:
        """Set the limits of a function: one for all priorities, or one for each.

        Two numbers are those of high and normal, three those of high, normal and low.
        A limit that is not given is --max-jobs-per-function. As with gearmand, a word
        that is not a number counts as 0, which is no limit.
        """
        if not words:
            return incomplete(b"maxqueue")
        name, *numbers = words
        if refusal := too_long(name):
            return refusal
        if not self._broker.functions.admits(name):
            return full("max-functions")
        usual = self._broker.limits.jobs_per_function
        limits = [_limit(number) for number in numbers] or [usual]
        if len(limits) == 1:
            limits *= 3
        self._broker.functions.of(name).limits = [*limits, usual, usual][:3]
        return OK

    def _drain(self, words: list[bytes]) -> bytes:
        if [word.lower() for word in words] != [b"server"]:
            return incomplete(b"drain")
        assert self._identity.drain is not None  # noqa: S101
        self._identity.drain()
        return OK

    def _shutdown(self, words: list[bytes]) -> bytes:
        graceful = [word.lower() for word in words] == [b"graceful"]
        if words and not graceful:
            return unknown(b"shutdown")
        assert self._identity.shutdown is not None  # noqa: S101
        self._identity.shutdown(graceful)
        return OK


def _watch(words: list[bytes]) -> bytes | Wish:
    """Return which events `watch events [key=value&...]` asks for."""
    if len(words) not in (1, 2) or words[0].lower() != b"events":
        return incomplete(b"watch")
    try:
        return parse_wish(words[1] if len(words) > 1 else b"")
    except ValueError as error:
        return invalid(str(error))


def _function_name(words: list[bytes]) -> bytes | None:
    """Return X of `function X`."""
    if len(words) == 2 and words[0].lower() == b"function":
        return words[1]
    return None


def _limit(number: bytes) -> int:
    if not number.isdigit():
        return 0
    # Only so many digits: int refuses longer numbers.
    return min(int(number.lstrip(b"0")[:20] or b"0"), 0xFFFFFFFF)


def _counts(function: Function) -> bytes:
    counts = (function.total(), function.running, function.workers)
    return printable(function.name) + b"\t%d\t%d\t%d\n" % counts


def _priorities(function: Function) -> bytes:
    high, normal, low = map(function.waiting, (HIGH, NORMAL, LOW))
    counts = (high, normal, low, function.workers)
    return printable(function.name) + b"\t%d\t%d\t%d\t%d\n" % counts


def _worker(peer: Peer) -> Iterator[bytes]:
    """Yield the line of a peer in parts, since it may have many functions."""
    ip, client_id = peer.address.encode(), printable(peer.client_id)
    yield b"%d %b %b :" % (peer.descriptor, ip, client_id)
    for function in peer.functions.copy():
        yield b" " + printable(function.name)
    yield b"\n"


def _job(job: Job) -> bytes:
    """Return a job's handle, retries, ignored (0 or 1), background (0 or 1)."""
    ignored = not is_wanted(job)
    return b"%b\t%d\t%d\t%d\n" % (job.handle, job.retries, ignored, job.background)


def _usage(usage: Usage) -> bytes:
    """Return a limit's name, the limit, how much is used, how often it was hit."""
    return b"\t".join(map(_cell, usage)) + b"\n"


def _cell(value: str | float | None) -> bytes:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return b"-" if value is None else text.encode()
