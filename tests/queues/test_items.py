"""What the server and the tools check of each item that a plugin replays."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from gearman.queue import MAX_EXTRA, Queue, StoredJob, Unreadable, check, replayed

JOB = StoredJob(7, b"H:host:7", b"f", b"u", b"w")
NOT_BYTES: Any = "text"


class Fixed(Queue):
    """A plugin that replays these items."""

    def __init__(self, *items: StoredJob | Unreadable) -> None:
        self._items = items

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        yield from self._items

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def test_plugin_that_knows_no_extra_replays_jobs_without_it() -> None:
    assert JOB.extra == b""
    assert list(replayed(Fixed(JOB))) == [JOB]


@pytest.mark.parametrize("extra", [b"", b"\0", bytes(MAX_EXTRA)], ids=len)
def test_any_bytes_up_to_the_limit_are_an_extra(extra: bytes) -> None:
    assert check(JOB._replace(extra=extra)) == ""


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (NOT_BYTES, "its extra is 'text'"),
        (None, "its extra is None"),
        (bytes(MAX_EXTRA + 1), "its extra has 67108865 bytes"),
    ],
    ids=["text", "None", "too long"],
)
def test_job_with_another_extra_is_unreadable(extra: Any, reason: str) -> None:
    bad = Unreadable("7", reason)
    assert list(replayed(Fixed(JOB._replace(extra=extra), JOB))) == [bad, JOB]
