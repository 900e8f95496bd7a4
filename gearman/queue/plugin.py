"""The base class of queue plugins."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from .inbox import Inbox
from .jobs import Page, StoredJob, Unreadable, check
from .options import Option
from .register import Claim, Register


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
        """Own the shards that the register of another Queue says.

        Called once in a cluster, instead of `replay`; before that nothing was changed.
        From now on `commit` raises Fenced if this claim does not count any more. Raises
        QueueError.
        """
        raise NotImplementedError

    def read(self, shards: AbstractSet[int], after: int) -> Page:
        """Return the next jobs of these shards whose numbers are above `after`.

        Called in a cluster, after `own`, for shards of this server, at any time in the
        thread that calls `commit`. A page has some MiB of jobs at most, unless there is
        a larger one, in the order of their numbers. Raises QueueError.
        """
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Release the store.

        Raises nothing. May be called after any failure, and more than once.
        """


def replayed(queue: Queue) -> Iterator[StoredJob | Unreadable]:
    """Yield the items of `queue.replay()`, with each invalid job as Unreadable."""
    for item in queue.replay():
        if isinstance(item, StoredJob) and (wrong := check(item)):
            yield Unreadable(str(item.number), wrong)
        else:
            yield item
