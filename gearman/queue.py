"""The interface of queue plugins, which store background jobs so that none is lost.

A plugin is a class derived from `Queue` below. Plugins of this package are the
classes `Queue` of the packages `gearman.queues.NAME`; those of other packages are
found by the entry point group `gearman.queues`. A plugin is plain blocking code: the
server calls it from one thread at a time, which is not the event loop's.

The server keeps every job in memory as well, so a plugin reads its store only at the
start. After that the server only calls `commit`, with all changes since the last
call: many jobs then cost one transaction, and one wait for the disk.

docs/queues.md has a complete example and the rules.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from . import entries
from .commands import MAX_FUNCTION, MAX_UNIQUE
from .errors import ConfigurationError
from .register import Claim, Register
from .text import shown as shown

HIGH, NORMAL, LOW = 0, 1, 2

# Bytes of the longest `extra` of a stored job.
MAX_EXTRA: Final = 64 * 1024 * 1024

_GROUP: Final = "gearman.queues"

# The plugins of this package, and gearmand's names for them.
NAMES: Final = ("sqlite", "postgres", "mysql", "redis", "memcached", "flatfile")
ALIASES: Final = {
    "libsqlite3": "sqlite",
    "Postgres": "postgres",
    "MySQL": "mysql",
    "libdrizzle": "mysql",
    "libmemcached": "memcached",
}


class StoredJob(NamedTuple):
    """A background job as it is stored, or another record of the server.

    `number` is its key in the store: from 1 to 2**63 - 1, higher for a later
    submission. `handle` is empty, or ends with a colon and `number`. `function` (up to
    8180 bytes) and `unique` (up to 64) are any bytes but NUL; several jobs may have the
    same ones, and `unique` may be empty. `workload` is any bytes, up to 4 GiB.
    `priority` is 0, 1 or 2 for high, normal and low. `when` is in seconds since the
    epoch, 0 for immediately. `retries` counts how often the job was queued again.
    `reducer` is bytes without NUL, or None.

    `extra` is any bytes, up to MAX_EXTRA, usually none or some hundred. Only the server
    knows what they mean: a plugin stores and returns them, and does not look inside. By
    them the server also tells its other records from jobs that wait; to a plugin these
    are jobs like all others.
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
    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item in a store that cannot be read as a job.

    `key` says where an operator finds it, `reason` what is wrong with it. Both appear
    in the log.
    """

    key: str
    reason: str


class InboxRow(NamedTuple):
    """A row of an inbox: a job that another program has submitted by SQL.

    `id` is its key, above 0. `function`, `unique` and `workload` are bytes, as a client
    would send them. `priority` is 0, 1 or 2, or None; `when` is in seconds since the
    epoch, 0 for immediately. `options` is the text of options that clients send.
    `fault` says why it can't be a job, "" if the plugin sees no reason.
    """

    id: int
    function: bytes
    unique: bytes = b""
    workload: bytes = b""
    priority: int | None = None
    when: int = 0
    options: bytes = b""
    fault: str = ""


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


class Inbox(ABC):
    """A table beside the jobs of a store, into which other programs insert rows.

    They do so in transactions of their own. Each row becomes a job; it leaves the table
    in the transaction that stores the job. So none is lost, and none is taken twice,
    whatever ends when. Methods are called in the thread of the store.
    """

    @abstractmethod
    def take(
        self, most: int, size: int, without: Collection[bytes]
    ) -> Sequence[InboxRow]:
        """Return committed rows that were not refused, by ascending ids.

        At most `most` of them, with at most `size` bytes of workloads, unless the first
        one alone has more; and none of the functions in `without`. They stay in the
        table. A row of a transaction that ends late may have a lower id than rows that
        were returned earlier. Raises QueueError if the back end fails.
        """

    @abstractmethod
    def commit(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        taken: Sequence[int],
        refused: Mapping[int, str],
    ) -> None:
        """Do what `Queue.commit` does, and change rows in the same transaction.

        The rows with the ids in `taken` are removed. Those in `refused` are marked with
        the reason, and are not returned by `take` any more. Ids of rows that are not
        there are ignored. Not all arguments are empty.
        """

    @abstractmethod
    def listen(self, ring: Callable[[], None]) -> None:
        """Call `ring`, from any thread, when there may be new rows.

        That is only a hint: the server looks every second. Called once, before the
        first `take`. `Queue.close` ends it. A plugin that can't tell does nothing.
        """


class Queue(ABC):
    """A store of background jobs: the base class of plugins.

    The constructor takes the values of `options` by keyword, and opens the store, or
    creates it if it does not exist. It raises ConfigurationError if an option can't be
    used, and StartupError if the store can't be opened; the text is a sentence that
    says what to do. Only one process may use a store at a time: if another process has
    it open, and the back end can tell, the constructor raises StartupError.
    """

    options: ClassVar[tuple[Option, ...]] = ()

    # Whether it has an inbox (--queue-inbox). If so, the constructor takes the argument
    # `inbox`, which is True if the inbox is wanted.
    has_inbox: ClassVar[bool] = False

    # Whether it has functions of SQL that run a job and return its result.
    has_results: ClassVar[bool] = False

    # Whether servers of a cluster can share a store. If so, the constructor takes the
    # argument `cluster`, a Cluster or None.
    has_cluster: ClassVar[bool] = False

    @classmethod  # noqa: B027
    def prepare(cls) -> None:
        """Import all modules that the plugin needs.

        Called once, before the constructor, while the process still runs as the user
        who started it. The user of --user may not be allowed to read the files of this
        Python. Raises ConfigurationError if a module is missing.
        """

    @classmethod  # noqa: B027
    def check(cls, options: Mapping[str, Any]) -> None:
        """Check whether the constructor could open the store.

        Called after `prepare`, by `gearmand --check-args`, with the constructor's
        arguments by keyword. A server may be using the store, so nothing may be opened,
        created or changed. Raises ConfigurationError or StartupError as the
        constructor would.
        """

    @classmethod
    def sql(cls, options: Mapping[str, Any]) -> str:
        """Return statements that create the inbox, and functions that use it.

        `options` are the constructor's arguments by keyword. The store is not opened.
        Raises ConfigurationError if the options can't be used.
        """
        raise NotImplementedError

    @classmethod
    def install_sql(cls, options: Mapping[str, Any]) -> None:
        """Execute what `sql` returns; a server may be using the store.

        Raises ConfigurationError or StartupError as the constructor would.
        """
        raise NotImplementedError

    @classmethod
    def results_sql(cls, options: Mapping[str, Any]) -> str:
        """Return statements that create functions which return results of jobs.

        The arguments and errors are those of `sql`.
        """
        raise NotImplementedError

    @classmethod
    def install_results_sql(cls, options: Mapping[str, Any]) -> None:
        """Execute what `results_sql` returns. Raises what `install_sql` would."""
        raise NotImplementedError

    @abstractmethod
    def replay(self) -> Iterator[StoredJob | Unreadable]:
        """Yield every stored job, in the order of their numbers.

        Called once, before the first `commit`. An item that can't be read is yielded
        as Unreadable; it is not removed, and does not end the iteration. Raises
        QueueError if the back end fails.
        """

    @abstractmethod
    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        """Store the jobs `added`, and remove those whose numbers are in `done`.

        On return both changes are durable. A job replaces a stored one of the same
        number. A number in `done` that is not stored is ignored. No number is in both.
        If both are empty, check whether the back end works, including writing.

        Raises QueueError if the back end fails. Any part of the batch may then be
        durable; the caller assumes that nothing is, and calls again later with the
        changes that are still needed. That call must open a lost connection again.
        Raises JobsLost, a kind of QueueError, if the store has lost stored jobs; the
        caller adds these again. Raises JobRefused, without having changed anything, if
        some of the jobs can never be stored; the caller then commits the others.
        Every wait must end: jobs and their clients wait for this call.
        """

    def inbox(self) -> Inbox:
        """Return the inbox, whose table was created if it did not exist.

        Called once, before the first `commit`, if `has_inbox`, and if the constructor
        had the argument `inbox=True`. If `has_inbox`, a plugin also has `sql` and
        `install_sql`.
        """
        raise NotImplementedError

    def register(self) -> Register:
        """Return the register of the cluster, if the constructor has got one.

        It does not need this Queue any more.
        """
        raise NotImplementedError

    def own(self, claim: Claim) -> None:
        """Own the jobs, as the register of another Queue for this store has allowed.

        Called once in a cluster, before `replay`; before that nothing was changed. From
        now on `commit` raises Fenced if this claim does not count any more. Raises
        QueueError.
        """
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Release the store.

        Raises nothing. May be called after any failure, and more than once.
        """


def load(name: str) -> type[Queue]:
    """Return the plugin class of this name, which may be gearmand's name.

    Raises ConfigurationError if there is none, or if it cannot be imported.
    """
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
    """Import and return a module that a plugin of this package needs.

    Raises ConfigurationError if it is not installed, naming the `extra` to install.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"the queue plugin {extra!r} needs {module} ({error}): install it by"
            f" pip install 'gearman-py[{extra}]'"
        ) from error


def check(job: StoredJob) -> str:
    """Return why no server can have stored this job, "" if it is valid."""
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
    if not isinstance(job.extra, bytes):
        return f"its extra is {job.extra!r:.80}"
    if len(job.extra) > MAX_EXTRA:
        return f"its extra has {len(job.extra)} bytes"
    return ""


def replayed(queue: Queue) -> Iterator[StoredJob | Unreadable]:
    """Yield the items of `queue.replay()`, with each invalid job as Unreadable."""
    for item in queue.replay():
        if isinstance(item, StoredJob) and (wrong := check(item)):
            yield Unreadable(str(item.number), wrong)
        else:
            yield item


def plugin_arguments(
    options: Mapping[str, Any], plugin: type[HasOptions]
) -> dict[str, Any]:
    """Return the constructor's arguments for a plugin from the parsed options."""
    return {
        option.keyword: options[option.key]
        for option in plugin.options
        if option.key in options
    }
