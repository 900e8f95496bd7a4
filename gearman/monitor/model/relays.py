"""Relays: what servers say of passing jobs on to others."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...address import format_address
from .readings import as_text, count
from .views import ServerView

# Relays of a server that are shown.
MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class RelayView:
    """A relay of a server; `target` is the server that it uses or tries.

    `waiting` jobs of its functions are queued, and `unanswered` ones were sent and not
    acknowledged yet. `passed_on`, `refused` and `failures` are counted. `error` is the
    last reason why it had to wait, empty if it works.
    """

    server: str
    name: str
    target: str
    connected: bool
    waiting: int
    unanswered: int
    passed_on: int
    refused: int
    failures: int
    error: str


def relays(views: Iterable[ServerView]) -> list[RelayView]:
    """Return the relays of some servers; those that have no connection are first."""
    found = [relay for view in views for relay in _of(view)]
    return sorted(found, key=lambda relay: relay.connected)


def _of(view: ServerView) -> Iterator[RelayView]:
    listed = view.facts.get("relays")
    for row in listed[:MOST] if isinstance(listed, list) else ():
        if isinstance(row, Mapping):
            yield _relay(view.address, row)


def _relay(server: str, row: Mapping[str, Any]) -> RelayView:
    return RelayView(
        server=server,
        name=as_text(row.get("name")),
        target=_target(row.get("server")),
        connected=row.get("connected") is True,
        waiting=count(row.get("waiting")),
        unanswered=count(row.get("unanswered")),
        passed_on=count(row.get("passed_on")),
        refused=count(row.get("refused")),
        failures=count(row.get("failures")),
        error=as_text(row.get("error")),
    )


def _target(value: object) -> str:
    if isinstance(value, list) and len(value) == 2:
        return format_address(as_text(value[0]), count(value[1]))
    return ""
