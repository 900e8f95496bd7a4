"""Pages of the jobs of some shards, for tables that the servers of a cluster share."""

from collections.abc import Callable, Iterable
from typing import Any

from gearman.queue import Page, StoredJob, Unreadable

Row = tuple[Any, ...]


def page_of(
    rows: Iterable[Row], read: Callable[[Row], StoredJob | Unreadable], most: int
) -> Page:
    """Return a page of rows, which begin with their numbers, in the order of these.

    It ends with the row that makes it larger than `most` bytes. `read` makes an item of
    a row.
    """
    items: list[StoredJob | Unreadable] = []
    size, last = 0, None
    for row in rows:
        item = read(row)
        items.append(item)
        last = row[0]
        if isinstance(item, StoredJob):
            size += len(item.workload) + len(item.extra)
        if size > most:
            break
    return Page(items, last)
