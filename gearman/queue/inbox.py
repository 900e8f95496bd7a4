"""The part of a queue plugin that takes jobs which other programs insert by SQL."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from .jobs import StoredJob


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
    def count(self, most: int) -> int:
        """Return how many committed rows there are that were not refused.

        If there are more than `most`, return `most`, without counting all of them.
        Raises QueueError if the back end fails.
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
