"""The SQLite file of the history: its tables, writing, packing and pruning."""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ...errors import StartupError
from .packing import (
    moment_entries,
    pack_chunk,
    pack_moment,
    point_of,
    unpack_chunk,
)
from .points import FIELDS, Point
from .recorder import Moment
from .tiers import COARSE, DAY, MIDDLE, TIERS, Tier
from .trail import Trail

# So that `file` and we know the file: "gmon".
APPLICATION: Final = 0x676D6F6E
VERSION: Final = 1

# Bytes of the file, above which the oldest days are dropped.
MOST_BYTES: Final = 190 << 20
# Functions of all servers that have a history of their own; what happens to others is
# in the sums of their servers only.
MOST_FUNCTIONS: Final = 50_000
MOST_NOTES: Final = 100_000
NOTES_KEPT: Final = 366 * DAY

MEMORY: Final = ":memory:"

# The key of a moment has its tier, its time and its server; that of a chunk its number
# and its function. So new rows are at the end of a table, old ones at its beginning, no
# index is needed, and pages are full.
_TABLES: Final = f"""
CREATE TABLE server (id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE);
CREATE TABLE function (
    id INTEGER PRIMARY KEY AUTOINCREMENT, server INTEGER NOT NULL, name BLOB NOT NULL,
    day INTEGER NOT NULL, UNIQUE (server, name)
);
CREATE TABLE moment (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
{
    "".join(
        f"CREATE TABLE chunk{tier.number} (id INTEGER PRIMARY KEY, data BLOB NOT NULL);"
        for tier in TIERS
    )
}
CREATE TABLE note (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, who TEXT NOT NULL,
    action TEXT NOT NULL, server TEXT NOT NULL, target TEXT NOT NULL,
    detail TEXT NOT NULL, result TEXT NOT NULL
);
"""
_SERVER_BITS: Final = 16
_TIME_BITS: Final = 40
_FUNCTION_BITS: Final = 20


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody did, to what, and what came of it."""

    who: str
    action: str
    server: str
    target: str
    detail: str
    result: str


def moment_key(tier: int, start: int, server: int) -> int:
    """Return the key of a moment, which begins at this second."""
    return (tier << _TIME_BITS | start) << _SERVER_BITS | server


def chunk_key(chunk: int, function: int) -> int:
    """Return the key of a chunk in the table of its tier."""
    return chunk << _FUNCTION_BITS | function


class File:
    """One file, used by one thread at a time. Methods raise sqlite3.Error."""

    def __init__(self, path: str) -> None:
        """Open or create a file. Raises StartupError, with a sentence."""
        self._path = path
        try:
            self._database = _open(path)
            self.trail = Trail(self._database)
        except sqlite3.Error as error:
            raise StartupError(_sentence(path, error)) from error
        self._servers: dict[str, int] = {}
        self._functions: dict[tuple[int, bytes], tuple[int, int]] = {}
        self._load()

    def close(self) -> None:
        self._database.close()

    @property
    def database(self) -> sqlite3.Connection:
        return self._database

    def size(self) -> int:
        """Return how many bytes are in use."""
        (pages,), (free,), (size,) = (
            self._database.execute(f"PRAGMA {name}").fetchone()
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _load(self) -> None:
        rows = self._database.execute("SELECT address, id FROM server")
        self._servers = dict(rows.fetchall())
        self._functions.clear()
        for server, name, number, day in self._database.execute(
            "SELECT server, name, id, day FROM function"
        ):
            self._functions[server, name] = number, day

    # -- names and numbers

    def server(self, address: str) -> int | None:
        return self._servers.get(address)

    def function(self, server: int, name: bytes) -> int | None:
        found = self._functions.get((server, name))
        return None if found is None else found[0]

    def _server_number(self, address: str) -> int:
        number = self._servers.get(address)
        if number is None:
            insert = "INSERT INTO server (address) VALUES (?)"
            number = self._database.execute(insert, (address,)).lastrowid
            assert number is not None  # noqa: S101
            self._servers[address] = number
        return number

    def _function_number(self, server: int, name: bytes, day: int) -> int | None:
        """Return the number of a function, None if there are too many."""
        found = self._functions.get((server, name))
        if found is not None and found[1] >= day:
            return found[0]
        if found is not None:
            number = found[0]
            update = "UPDATE function SET day = ? WHERE id = ?"
            self._database.execute(update, (day, number))
        elif len(self._functions) < MOST_FUNCTIONS:
            insert = "INSERT INTO function (server, name, day) VALUES (?, ?, ?)"
            cursor = self._database.execute(insert, (server, name, day))
            assert cursor.lastrowid is not None  # noqa: S101
            number = cursor.lastrowid
        else:
            return None
        self._functions[server, name] = number, day
        return number

    # -- writing

    def write(self, moments: Iterable[Moment]) -> None:
        """Store moments."""
        try:
            with self._database:
                for moment in moments:
                    self._write_one(moment)
        except sqlite3.Error:
            # Numbers that were given meanwhile are not in the file.
            self._load()
            raise

    def _write_one(self, moment: Moment) -> None:
        server = self._server_number(moment.address)
        points: dict[int, Point] = {}
        for name, point in moment.points.items():
            number = self._function_number(server, name, moment.time // DAY)
            if number is not None:
                points[number] = point
        key = moment_key(moment.tier, moment.time, server)
        self._database.execute(
            "INSERT OR REPLACE INTO moment VALUES (?, ?)", (key, pack_moment(points))
        )

    def tidy(self, now: float) -> None:
        """Pack what is over, and drop what is too old."""
        for tier in TIERS:
            self._pack(tier, int(now) // tier.chunk)
        with self._database:
            self._prune(int(now))
        self.trail.tidy()
        while self.size() > MOST_BYTES and self._drop_oldest_day():
            pass

    def _pack(self, tier: Tier, current: int) -> None:
        """Pack the moments of a tier that are before the current chunk."""
        end = current * tier.chunk
        first = moment_key(tier.number, 0, 0)
        last = moment_key(tier.number, end, 0)
        found = self._database.execute(
            "SELECT DISTINCT (id >> ?1 & ?2) / ?3, id & ?4 FROM moment"
            " WHERE id >= ?5 AND id < ?6",
            (
                _SERVER_BITS,
                (1 << _TIME_BITS) - 1,
                tier.chunk,
                (1 << _SERVER_BITS) - 1,
                first,
                last,
            ),
        ).fetchall()
        for chunk, server in found:
            with self._database:
                self._pack_one(tier, chunk, server)

    def _pack_one(self, tier: Tier, chunk: int, server: int) -> None:
        """Pack the moments of a server that are in a chunk, and remove them."""
        start = chunk * tier.chunk
        keys = [
            moment_key(tier.number, start + slot * tier.seconds, server)
            for slot in range(tier.slots)
        ]
        entries: dict[int, dict[int, bytes]] = defaultdict(dict)
        for slot, key in enumerate(keys):
            for (data,) in self._database.execute(
                "SELECT data FROM moment WHERE id = ?", (key,)
            ):
                for function, entry in moment_entries(data).items():
                    entries[function][slot] = entry
        for function in sorted(entries):
            points = self._known(tier, chunk, function)
            points |= {slot: point_of(e) for slot, e in entries[function].items()}
            self.put_chunk(tier, chunk, function, points)
        self._database.executemany(
            "DELETE FROM moment WHERE id = ?", ((key,) for key in keys)
        )

    def put_chunk(
        self, tier: Tier, chunk: int, function: int, points: Mapping[int, Point]
    ) -> None:
        """Store the points of a function, by their slots in a chunk."""
        self._database.execute(
            f"INSERT OR REPLACE INTO chunk{tier.number} VALUES (?, ?)",
            (
                chunk_key(chunk, function),
                pack_chunk(points, tier.slots, dense=tier.is_dense),
            ),
        )

    def _known(self, tier: Tier, chunk: int, function: int) -> dict[int, Point]:
        """Return what is packed already, as after the clock was set back."""
        for (data,) in self._database.execute(
            f"SELECT data FROM chunk{tier.number} WHERE id = ?",
            (chunk_key(chunk, function),),
        ):
            slots, columns = unpack_chunk(data, tier.slots, range(len(FIELDS)))
            rows = zip(*(columns[field] for field in range(len(FIELDS))), strict=True)
            return dict(zip(slots, rows, strict=True))
        return {}

    # -- pruning

    def _prune(self, now: int) -> None:
        execute = self._database.execute
        for tier in TIERS:
            oldest = now - tier.keep
            execute(
                "DELETE FROM moment WHERE id >= ? AND id < ?",
                (
                    moment_key(tier.number, 0, 0),
                    moment_key(tier.number, max(oldest, 0), 0),
                ),
            )
            self._drop_chunks(tier, oldest // tier.chunk)
        # After a year without points nothing is left of a function.
        gone = execute(
            "DELETE FROM function WHERE day < ? RETURNING server, name",
            ((now - COARSE.keep) // DAY - 1,),
        ).fetchall()
        for server, name in gone:
            del self._functions[server, name]
        execute(
            "DELETE FROM note WHERE time < ? OR id <= (SELECT max(id) FROM note) - ?",
            (now - NOTES_KEPT, MOST_NOTES),
        )

    def _drop_chunks(self, tier: Tier, before: int) -> None:
        self._database.execute(
            f"DELETE FROM chunk{tier.number} WHERE id < ?", (chunk_key(before, 0),)
        )

    def _drop_oldest_day(self) -> bool:
        """Drop the oldest day, or the oldest hour of the last day; False: none left."""
        for tier in (COARSE, MIDDLE):
            (key,) = self._database.execute(
                f"SELECT min(id) FROM chunk{tier.number}"
            ).fetchone()
            if key is not None:
                with self._database:
                    self._drop_chunks(tier, (key >> _FUNCTION_BITS) + 1)
                return True
        return False

    # -- reading

    def moments(
        self, tier: Tier, server: int, start: int, end: int, functions: Container[int]
    ) -> Iterator[tuple[int, dict[int, bytes]]]:
        """Yield times that are not packed, with the entries of these functions."""
        rows = self._database.execute(
            "SELECT id, data FROM moment WHERE id >= ? AND id < ? AND id & ? = ?"
            " ORDER BY id",
            (
                moment_key(tier.number, start, 0),
                moment_key(tier.number, end, 0),
                (1 << _SERVER_BITS) - 1,
                server,
            ),
        )
        for key, data in rows:
            time = key >> _SERVER_BITS & (1 << _TIME_BITS) - 1
            yield time, moment_entries(data, functions)

    def chunks(
        self,
        tier: Tier,
        function: int,
        start: int,
        end: int,
        fields: Sequence[int],
    ) -> Iterator[tuple[Sequence[int], dict[int, list[int]]]]:
        """Yield times that rise, and the values of fields then, a chunk at a time."""
        for chunk in range(start // tier.chunk, (end - 1) // tier.chunk + 1):
            row = self._database.execute(
                f"SELECT data FROM chunk{tier.number} WHERE id = ?",
                (chunk_key(chunk, function),),
            ).fetchone()
            if row is not None:
                slots, columns = unpack_chunk(row[0], tier.slots, fields)
                first = chunk * tier.chunk
                yield _times(slots, first, tier), columns

    # -- notes

    def note(self, notes: Iterable[Note], now: float) -> None:
        with self._database:
            self._database.executemany(
                "INSERT INTO note (time, who, action, server, target, detail, result)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (now, *(getattr(note, name) for name in Note.__slots__))
                    for note in notes
                ],
            )

    def notes(self, limit: int, before: int) -> list[tuple[object, ...]]:
        """Return notes with numbers and times, newest first; `before` a number or 0."""
        return self._database.execute(
            "SELECT id, time, who, action, server, target, detail, result FROM note"
            " WHERE id < ? OR ? = 0 ORDER BY id DESC LIMIT ?",
            (before, before, limit),
        ).fetchall()


def _times(slots: Sequence[int], first: int, tier: Tier) -> Sequence[int]:
    """Return the times of slots of a chunk that begins at the first one."""
    if isinstance(slots, range):
        return range(first, first + tier.chunk, tier.seconds)
    return [first + slot * tier.seconds for slot in slots]


def _open(path: str) -> sqlite3.Connection:
    if path != MEMORY:
        _private(path)
    database = sqlite3.connect(path, timeout=0.2, check_same_thread=False)
    try:
        execute = database.execute
        # Nobody else writes to it, as long as this process has it.
        execute("PRAGMA locking_mode = EXCLUSIVE")
        (application,), (version,), (tables,) = (
            execute(question).fetchone()
            for question in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_schema",
            )
        )
        if (application, version) != (APPLICATION, VERSION) and (application or tables):
            raise _Foreign
        execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; a machine that loses power the last seconds.
        execute("PRAGMA synchronous = NORMAL")
        execute("PRAGMA cache_size = -8192")
        execute("PRAGMA journal_size_limit = 4194304")
        if not tables:
            execute(f"PRAGMA application_id = {APPLICATION}")
            execute(f"PRAGMA user_version = {VERSION}")
            database.executescript(_TABLES)
        # Taken now, and not at the first write.
        execute("BEGIN IMMEDIATE")
        database.commit()
    except BaseException:
        database.close()
        raise
    return database


def _private(path: str) -> None:
    """Create the file for its owner only: names of functions may be secrets."""
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


class _Foreign(sqlite3.DatabaseError):
    pass


def _sentence(path: str, error: sqlite3.Error) -> str:
    text = str(error)
    if isinstance(error, _Foreign) or "not a database" in text:
        why = "is no history of this monitor: name another file with --db"
    elif "malformed" in text:
        why = "is damaged: remove it, or name another file with --db"
    elif "locked" in text:
        why = "is in use, maybe by another gearman-monitor: name another with --db"
    elif "readonly" in text:
        why = "cannot be written"
    else:
        why = f"cannot be used: {text}"
    return f"the history {path!r} {why}"
