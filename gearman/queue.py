"""What a queue plugin is: where background jobs are kept, so that none is lost.

A plugin is a module with a class `Queue`, derived from the one below. Plugins of
this package are the modules `gearman.queues.NAME`; those of other packages are
found by the entry point group `gearman.queues`. A plugin is plain blocking code:
the server calls it from one thread at a time, which is not that of its event loop.

The server keeps every job in memory as well, so a plugin is only ever asked to
read at start. While it runs there is one call, `commit`, which takes what came
since the last one, whole: many jobs then cost one transaction, and one wait for the
disk.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from . import entries
from .commands import MAX_FUNCTION, MAX_UNIQUE
from .errors import ConfigurationError
from .text import shown as shown

HIGH, NORMAL, LOW = 0, 1, 2

_GROUP: Final = "gearman.queues"

# What comes with this package, and what gearmand calls it.
NAMES: Final = ("sqlite", "postgres", "memcached", "flatfile")
ALIASES: Final = {
    "libsqlite3": "sqlite",
    "Postgres": "postgres",
    "libmemcached": "memcached",
}


class StoredJob(NamedTuple):
    """A background job as it is stored.

    `number` identifies it in its store: a positive number below 2**63, higher for a
    later submission. `handle` is empty if the job has none yet, and ends with a
    colon and `number` otherwise. `function` and `unique` are of any bytes, NUL
    excepted; several jobs may have the same. `priority` is 0, 1 or 2 for high,
    normal and low; `when` is in seconds since the epoch, 0 for at once.
    """

    number: int
    handle: bytes
    function: bytes
    unique: bytes
    workload: bytes
    priority: int = NORMAL
    when: int = 0
    retries: int = 0
    reducer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something in a store that is no job; `key` tells an operator where it is."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the server that belongs to a plugin.

    Its value is handed to the plugin's constructor as the argument `keyword`, if the
    option was given. The first of `names`, which are without dashes, is the one shown
    by the help; the others mean the same. `kind` is "text", "path" (handed over as an
    absolute path), "number" (a whole one, not negative) or "flag" (True if given), or
    a tuple of the words that are allowed.
    """

    keyword: str
    names: tuple[str, ...]
    help: str
    metavar: str = ""
    kind: str | tuple[str, ...] = "text"

    @property
    def key(self) -> str:
        """The name under which its value is kept among parsed options."""
        return self.names[0].replace("-", "_")


class HasOptions(Protocol):
    """A class whose constructor takes the values of options by keyword."""

    options: ClassVar[tuple[Option, ...]]


class Queue(ABC):
    """A store of background jobs.

    The constructor takes the values of `options` by keyword and opens the store, which
    it creates if there is none. It raises ConfigurationError if an option can't be
    used and StartupError if the store can't be opened; the text of either says what
    to do. A store serves one process at a time: opening it while another process has
    it open is a StartupError, wherever the back end can tell.
    """

    options: ClassVar[tuple[Option, ...]] = ()

    @classmethod  # noqa: B027
    def prepare(cls) -> None:
        """Import all that the plugin will need.

        Called once, before the constructor, by the user who starts the server. That
        which the server becomes then (--user) might not be able to read this Python.
        Raises ConfigurationError if something is missing.
        """

    @classmethod  # noqa: B027
    def check(cls, options: Mapping[str, Any]) -> None:
        """Find what would keep the constructor from opening the store.

        Called after `prepare`, by `gearmand --check-args`, with the constructor's
        arguments. Nothing must be opened, created or changed, as a server may be at
        work. Raises ConfigurationError or StartupError as the constructor does.
        """

    @abstractmethod
    def replay(self) -> Iterator[StoredJob | Unreadable]:
        """Yield every stored job, in the order of their numbers.

        Called once, before the first `commit`. What can't be read is yielded as
        Unreadable and stays where it is, or is set aside: it is neither removed nor a
        reason to stop. Raises QueueError if the back end fails.
        """

    @abstractmethod
    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        """Store jobs and remove others, for good: on return both are durable.

        A job whose number is stored already replaces the stored one; a number that
        is not stored needs no removing. No number is in both. If both are empty, find
        out whether the back end works.

        Raises QueueError if the back end fails. Then any part of the batch may or may
        not be durable, the caller counts none of it as such, and calls again, after a
        while, with what is still to be done; a lost connection is to be opened again
        by that call. Raises JobsLost, which is one such failure, if the store finds
        that it has forgotten jobs; the caller adds those again. Raises JobRefused, with
        nothing changed, if some of the jobs can never be stored; the others are then
        committed by another call.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the store. Does not fail, and may be called after any failure."""


def load(name: str) -> type[Queue]:
    """Return the plugin of this name. Raises ConfigurationError if there is none."""
    name = ALIASES.get(name, name)
    if name in NAMES:
        module: Any = import_module(f"gearman.queues.{name}")
        plugin: type[Queue] = module.Queue
        return plugin
    found: type[Queue] | None = entries.load(_GROUP, name, "queue plugin")
    if found is not None:
        return found
    known = ", ".join(("builtin", *NAMES, *entries.names(_GROUP)))
    raise ConfigurationError(
        f"there is no queue plugin {name!r}: choose one of {known}, or install the"
        " package that has it"
    )


def require(module: str, extra: str) -> ModuleType:
    """Import what a plugin needs. Raises ConfigurationError if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"the queue plugin {extra!r} needs {module} ({error}): install it by"
            f" pip install 'gearman-py[{extra}]'"
        ) from error


def check(job: StoredJob) -> str:
    """Return what makes a job one that no server would have stored, "" if nothing."""
    if not 0 < job.number < 2**63:
        return f"its number is {job.number}"
    if len(job.function) > MAX_FUNCTION or b"\0" in job.function:
        return f"its function is too long or has a NUL: {shown(job.function)}"
    if len(job.unique) > MAX_UNIQUE or b"\0" in job.unique:
        return f"its unique is too long or has a NUL: {shown(job.unique)}"
    if job.priority not in (HIGH, NORMAL, LOW):
        return f"its priority is {job.priority}"
    if not 0 <= job.when < 2**63:
        return f"its time is {job.when}"
    return ""


def replayed(queue: Queue) -> Iterator[StoredJob | Unreadable]:
    """Yield what a store has, each job that `check` objects to as Unreadable."""
    for item in queue.replay():
        if isinstance(item, StoredJob) and (wrong := check(item)):
            yield Unreadable(str(item.number), wrong)
        else:
            yield item


def plugin_arguments(
    options: Mapping[str, Any], plugin: type[HasOptions]
) -> dict[str, Any]:
    """Return the arguments for a plugin's constructor among parsed options."""
    return {
        option.keyword: options[option.key]
        for option in plugin.options
        if option.key in options
    }
