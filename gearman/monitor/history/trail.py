"""The last events of jobs that the monitor has seen, in the file of the history.

Several pages may see the same event: it is kept once.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ...text import text_or_base64
from ..model.readings import as_bytes, as_text, seconds

Record = dict[str, Any]

# Events that are kept, in some 8 MB. Older ones are dropped.
MOST_EVENTS: Final = 20_000
# Bytes of an event; longer ones are not kept.
LONGEST: Final = 4096
# Events of a job that are shown.
MOST_OF_JOB: Final = 200

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, handle BLOB NOT NULL, server TEXT NOT NULL,
    time REAL NOT NULL, event TEXT NOT NULL, data TEXT NOT NULL,
    UNIQUE (handle, server, time, event)
)
"""


class Trail:
    """The table of events in an open file. Methods raise sqlite3.Error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute(_TABLE)

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Keep events as `Watch` has them; those of no job are left out."""
        with self._database:
            self._database.executemany(
                "INSERT OR IGNORE INTO event (handle, server, time, event, data)"
                " VALUES (?, ?, ?, ?, ?)",
                _rows(records),
            )

    def tidy(self) -> None:
        """Drop the oldest events, if there are too many."""
        with self._database:
            self._database.execute(
                "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?",
                (MOST_EVENTS,),
            )

    def of(self, address: str, handle: bytes) -> list[Record]:
        """Return the events of a job of a server, newest first."""
        rows = self._database.execute(
            "SELECT time, event, data FROM event WHERE handle = ? AND server = ?"
            " ORDER BY time DESC, id DESC LIMIT ?",
            (handle, address, MOST_OF_JOB),
        )
        job = {"handle": text_or_base64(handle), "server": address}
        return [
            {"time": time, "event": event, **job, **json.loads(data)}
            for time, event, data in rows
        ]


_COLUMNS: Final = frozenset({"handle", "server", "time", "event"})


def _rows(
    records: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[bytes, str, float, str, str]]:
    for record in records:
        try:
            handle = as_bytes(record.get("handle"))
        except ValueError:
            continue
        time = seconds(record.get("time"))
        rest = {key: value for key, value in record.items() if key not in _COLUMNS}
        data = json.dumps(rest, separators=(",", ":"))
        if time is not None and len(data) <= LONGEST:
            event = as_text(record.get("event"))
            yield handle, str(record.get("server")), time, event, data
