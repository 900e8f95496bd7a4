"""The admin commands that steer: policies, jobs that wait or are dead, and schedules.

A command for all jobs of a function is carried out in pieces. It counts for the jobs
that are there when it begins. If the connection is closed before its answer, the rest
is not done.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import inf
from typing import Final

from ...errors import ConfigurationError, OptionError
from ...options import Policy, format_options, parse_policy
from ...text import printable, split
from ..broker import Broker, Function, Job
from ..broker.states import RUNNING
from ..broker.steering.schedules import NOT_FOUND
from .job_lists import walk
from .lines import (
    MUCH,
    NO_FUNCTION,
    NO_JOB,
    OK,
    Answer,
    counted,
    incomplete,
    invalid,
    pieces,
    too_long,
)
from .links.later import Later

_NOTHING_SET: Final = b"ERR nothing was set for this function\r\n"
_TOO_MANY: Final = (
    b"ERR something is set for too many functions: use 'unset function NAME'\r\n"
)
_NO_LINK: Final = (
    b"ERR there is no link to the server of the cluster that keeps the settings:"
    b" try again, or ask that one\r\n"
)
_NO_ANSWER: Final = (
    b"ERR the server of the cluster that keeps the settings has not answered:"
    b" look whether it is done, or try again\r\n"
)

# The server of a cluster that keeps the settings carries these out.
_SETTINGS: Final = frozenset(
    {
        *((verb, b"function") for verb in (b"set", b"unset", b"pause", b"resume")),
        *((verb, b"schedule") for verb in (b"set", b"unset", b"pause", b"resume")),
        (b"run", b"schedule"),
    }
)


class Steering:
    """Carries out the commands of the form VERB NOUN NAME.

    `set` has an argument more. `verbs` are the first words.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        forget, revive = broker.dead.forget, broker.dead.revive
        # By verb and noun: how many arguments a command has, and what it does.
        self._commands: dict[tuple[bytes, bytes], tuple[int, Callable[..., Answer]]] = {
            (b"set", b"function"): (2, self._set),
            (b"unset", b"function"): (1, self._unset),
            (b"pause", b"function"): (1, partial(self._pause, True)),
            (b"resume", b"function"): (1, partial(self._pause, False)),
            (b"purge", b"function"): (1, self._purge),
            (b"retry", b"job"): (1, partial(self._dead_job, revive)),
            (b"retry", b"function"): (1, partial(self._dead_jobs, revive)),
            (b"forget", b"job"): (1, partial(self._dead_job, forget)),
            (b"forget", b"function"): (1, partial(self._dead_jobs, forget)),
            (b"set", b"schedule"): (2, self._set_schedule),
            (b"unset", b"schedule"): (1, self._unset_schedule),
            (b"run", b"schedule"): (1, self._run_schedule),
            (b"pause", b"schedule"): (1, partial(self._pause_schedule, True)),
            (b"resume", b"schedule"): (1, partial(self._pause_schedule, False)),
        }
        self.verbs = sorted({verb for verb, _ in self._commands})

    def answer(self, verb: bytes, words: list[bytes]) -> Answer | Later:
        """Carry out a command; `words` are those after the verb."""
        noun = words[0].lower() if words else b""
        count, run = self._commands.get((verb, noun), (-1, None))
        if run is None or len(words) != count + 1:
            return incomplete(verb)
        if (verb, noun) in _SETTINGS and not self._broker.jobs.keeps_settings:
            return self._elsewhere(b" ".join((verb, *words)))
        return run(*words[1:])

    # -- the settings of a cluster

    def _elsewhere(self, line: bytes) -> Answer | Later:
        """Pass a command on to the server that keeps the settings."""
        links = self._broker.links
        if links is None or not links.settings.is_linked():
            return _NO_LINK
        pass_on = links.settings.pass_on
        return Later(
            self._broker, lambda told: pass_on(line, lambda a: told(a or _NO_ANSWER))
        )

    def change(self, line: bytes) -> bytes | None:
        """Carry out a command that changes a setting, for another server.

        Returns None if this server does not keep the settings.
        """
        if not self._broker.jobs.keeps_settings:
            return None
        verb, *words = split(line)
        answer = self.answer(verb, words)
        assert isinstance(answer, bytes)  # noqa: S101
        return answer

    # -- policies

    def policies(self) -> Answer:
        """Answer `show policies`."""
        return pieces(map(self._policy_line, self._broker.policies.names()), MUCH)

    def _policy_line(self, name: bytes) -> bytes:
        policy = self._broker.policies.of(name) or Policy()
        function = self._broker.functions.known.get(name)
        limits = b""
        if function is not None and self._is_limited(function):
            policy = replace(policy, max_queue=None)
            numbers = map(str, dict.fromkeys(function.limits))
            if len(set(function.limits)) > 1:
                numbers = map(str, function.limits)
            limits = b"max-queue=" + ",".join(numbers).encode()
        text = b"&".join(filter(None, (format_options(policy), limits)))
        return printable(name) + b"\t%b\n" % text if text else b""

    def _is_limited(self, function: Function) -> bool:
        """Whether a function has limits of its own, by its policy or `maxqueue`."""
        usual = self._broker.limits.jobs_per_function
        limited: bool = function.limits != [usual] * 3
        return limited

    def _set(self, name: bytes, text: bytes) -> Answer:
        try:
            policy = parse_policy(text)
        except OptionError as error:
            return invalid(str(error))
        return self._put(name, policy)

    def _pause(self, paused: bool, name: bytes) -> Answer:
        return self._put(name, Policy(paused=paused))

    def _put(self, name: bytes, policy: Policy) -> Answer:
        refusal = too_long(name)
        if not refusal and not self._broker.policies.admits(name):
            refusal = _TOO_MANY
        if not refusal:
            self._broker.policies.set(name, policy)
        return refusal or OK

    def _unset(self, name: bytes) -> Answer:
        return OK if self._broker.policies.unset(name) else _NOTHING_SET

    # -- jobs that wait

    def _purge(self, name: bytes) -> Answer:
        function = self._broker.functions.known.get(name)
        if function is None:
            return NO_FUNCTION
        return counted(self._purged(function))

    def _purged(self, function: Function) -> Iterator[bool]:
        """Drop the jobs of a function that do not run."""
        broker = self._broker
        end = broker.jobs.next_number
        # From the head of a queue a job is removed at once.
        for queue in function.queues:
            job = queue.first()
            while job is not None and job.number < end:
                broker.drop(job)
                yield True
                job = queue.first()
        if function.total() == function.running:
            return
        for each in walk(-1, broker.jobs):
            if each is None or each.function is not function:
                yield False
            elif each.number < end and each.state != RUNNING:
                broker.drop(each)
                yield True

    # -- dead jobs

    def _dead_job(self, act: Callable[[Job], None], handle: bytes) -> Answer:
        job = self._broker.dead.find(handle)
        if job is None:
            return NO_JOB
        act(job)
        return OK

    def _dead_jobs(self, act: Callable[[Job], None], name: bytes) -> Answer:
        return counted(self._each_dead(act, name))

    def _each_dead(self, act: Callable[[Job], None], name: bytes) -> Iterator[bool]:
        dead = self._broker.dead
        # A job that is tried again may be dead again soon: it is not counted twice.
        for _ in range(dead.count(name)):
            for job in dead.of(name, 1):
                act(job)
                yield True

    # -- schedules

    def schedules(self) -> Answer:
        """Answer `show schedules`."""
        names = list(self._broker.schedules.known)
        return pieces(map(self._schedule_line, names), MUCH)

    def _schedule_line(self, name: str) -> bytes:
        """Return a line of the list.

        Columns: name, cron, function, next and last run, paused (0 or 1), source, and
        owner.
        """
        entry = self._broker.schedules.known.get(name)
        if entry is None:
            return b""
        schedule = entry.schedule
        # Between the fields of cron, there may be more than a space.
        cron = " ".join(schedule.cron.split())
        texts = (name.encode(), cron.encode(), schedule.function)
        times = (_time(entry.next), _time(max(entry.last, entry.told)))
        paused = b"%d" % entry.is_paused()
        source = b"file" if schedule.owner is None else b"command"
        owner = printable((schedule.owner or "-").encode())
        cells = (*map(printable, texts), *times, paused, source, owner)
        return b"\t".join(cells) + b"\n"

    def _set_schedule(self, name: bytes, text: bytes) -> Answer:
        broker = self._broker
        try:
            refusal = broker.schedules.set(_name_of_schedule(name), text, broker.wall)
        except ConfigurationError as error:
            return invalid(str(error))
        return _done_unless(refusal)

    def _unset_schedule(self, name: bytes) -> Answer:
        return _done_unless(self._broker.schedules.unset(_name_of_schedule(name)))

    def _run_schedule(self, name: bytes) -> Answer:
        schedules, text = self._broker.schedules, _name_of_schedule(name)
        if text not in schedules.known:
            return _done_unless(NOT_FOUND)
        refusal = schedules.run(text)
        return _done_unless(refusal and f"its job was refused: {refusal}")

    def _pause_schedule(self, paused: bool, name: bytes) -> Answer:
        broker = self._broker
        found = broker.schedules.pause(_name_of_schedule(name), paused, broker.wall)
        return _done_unless("" if found else NOT_FOUND)


def _done_unless(refusal: str) -> bytes:
    return b"ERR %b\r\n" % printable(refusal.encode()) if refusal else OK


def _name_of_schedule(name: bytes) -> str:
    # No schedule has a name with bytes that are not UTF-8.
    return name.decode(errors="surrogateescape")


def _time(time: float) -> bytes:
    return b"%d" % time if 0 < time < inf else b"-"
