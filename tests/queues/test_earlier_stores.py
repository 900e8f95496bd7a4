"""Stores of the version before `extra` are opened with everything in them.

Files and items are those that this version has written; for tables its SQL is here.
"""

import fcntl
import os
import sqlite3
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from gearman.queues._shared.records import Header, encode_body
from gearman.queues.flatfile.segments import Segment

from gearman.errors import StartupError
from gearman.queue import LOW, NORMAL, StoredJob, load
from tests.queues.backend import Backend, Store
from tests.queues.backend_postgres import Database, ordinary
from tests.queues.sqlite_files import sql
from tests.servers import HOST

# A third one was stored and removed.
STORED = [
    StoredJob(1, b"H:host:1", b"f", b"u\xff", b"w\0", LOW, 9, 3, b"sum"),
    StoredJob(2, b"", b"", b"", b"", NORMAL),
]
NEW = StoredJob(4, b"H:host:4", b"f", b"v", b"w", extra=b"\0extra")

SQLITE = """
    CREATE TABLE "gearman_queue_jobs" (number INTEGER PRIMARY KEY, handle BLOB,
        "function" BLOB, "unique" BLOB, workload BLOB, priority INTEGER, "when" INTEGER,
        retries INTEGER, reducer BLOB);
    INSERT INTO gearman_queue_jobs VALUES
        (1, x'483a686f73743a31', x'66', x'75ff', x'7700', 2, 9, 3, x'73756d'),
        (2, x'', x'', x'', x'', 1, 0, 0, NULL)
"""
SQLITE_IN_GEARMANDS_FORMAT = """
    CREATE TABLE "gearman_queue" (unique_key TEXT, function_name TEXT, priority INTEGER,
        data BLOB, when_to_run INTEGER, handle BLOB, own_unique BLOB, retries INTEGER,
        reducer BLOB, PRIMARY KEY (unique_key, function_name));
    INSERT INTO gearman_queue (rowid, handle, function_name, unique_key, data, priority,
        when_to_run, retries, reducer, own_unique) VALUES
        (1, x'483a686f73743a31', 'f', CAST(x'75ff' AS TEXT), x'7700', 2, 9, 3,
            x'73756d', NULL),
        (2, x'', '', 'gearman-py:0123456789abcdef01234567', x'', 1, 0, 0, NULL, x'')
"""
POSTGRES = """
    CREATE TABLE gearman_jobs (number bigint PRIMARY KEY, handle bytea NOT NULL,
        function_name bytea NOT NULL, unique_key bytea NOT NULL,
        workload bytea NOT NULL, priority smallint NOT NULL,
        when_to_run bigint NOT NULL, retries bigint NOT NULL, reducer bytea);
    INSERT INTO gearman_jobs VALUES
        (1, 'H:host:1', 'f', '\\x75ff', '\\x7700', 2, 9, 3, 'sum'),
        (2, '', '', '', '', 1, 0, 0, NULL)
"""
SEGMENT = "000000000001-bc38208d.jobs"
FLATFILE = (
    "vDggjREAAADx1S7CUwAAAAAAAAAAAAAAAAAAAAC8OCCNOgAAADxTmkhKAQAAAAAAAAACCQAAAAAAAAADAAAA"
    "AAAAAAgAAAABAAAAAgAAAAMAAABIOmhvc3Q6MWZ1/3N1bXcAvDggjSoAAACLDrFSSgIAAAAAAAAAAQAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAD/////vDggjTgAAADhRTqDSgMAAAAAAAAAAQAAAAAAAAAAAAAAAAAA"
    "AAAIAAAAAQAAAAEAAAD/////SDpob3N0OjNmdWRvbmW8OCCNCQAAAO4enSVSAwAAAAAAAAA="
)
MEMCACHED = {
    "old_root": "AQAAAAAAAAAAAAAA",
    "old_page-0": "AQAAAAAAAADAAAAAAAAAAAMAAAAD",
    "old_jobs-1-0": (
        "qWpvYjoAAAASslZ2SgEAAAAAAAAAAgkAAAAAAAAAAwAAAAAAAAAIAAAAAQAAAAIAAAADAAAASDpob3N0"
        "OjFmdf9zdW13AKlqb2IqAAAAlcqbOUoCAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "/////6lqb2I4AAAAwtC+ckoDAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAACAAAAAEAAAABAAAA/////0g6"
        "aG9zdDozZnVkb25l"
    ),
}


def assert_taken_over(plugin: str, **arguments: str) -> None:
    """Check that a store has the jobs, and that jobs with extra can be added."""
    store = Store(Backend(load(plugin), dict), arguments)
    assert store.content() == STORED
    store.fill(NEW, STORED[1]._replace(extra=b"x"))
    expected = [STORED[0], STORED[1]._replace(extra=b"x"), NEW]
    assert store.content() == expected
    with closing(store.open_replayed()) as queue:
        queue.commit([], [1, 2])
    assert store.content() == [NEW]


@pytest.mark.parametrize("format", ["native", "gearmand"])
@pytest.mark.parametrize("before", [SQLITE, SQLITE_IN_GEARMANDS_FORMAT])
def test_file_of_sqlite(tmp_path: Path, before: str, format: str) -> None:
    path = tmp_path / "jobs.db"
    sql(path, *before.split(";"))
    assert_taken_over("sqlite", db=str(path), format=format)


def test_file_of_sqlite_with_two_queues(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    sql(path, *SQLITE.split(";"))
    sql(path, *SQLITE.replace("gearman_queue_jobs", "Other_Jobs").split(";"))
    for _ in range(2):
        for table in "gearman_queue", "other":
            store = Store(Backend(load("sqlite"), dict), {"db": path, "table": table})
            assert store.content() == STORED


@pytest.mark.parametrize("format", ["native", "gearmand"])
@pytest.mark.parametrize("before", [SQLITE, SQLITE_IN_GEARMANDS_FORMAT, "SELECT 1"])
def test_earlier_version_does_not_start_with_the_file(
    tmp_path: Path, before: str, format: str
) -> None:
    path = tmp_path / "jobs.db"
    sql(path, *before.split(";"))
    for _ in range(2):
        Store(Backend(load("sqlite"), dict), {"db": path, "format": format}).fill(NEW)
    # In its own format it reads the table, in gearmand's it looks for columns.
    for statement in (
        "SELECT rowid FROM gearman_queue_jobs",
        "PRAGMA table_info(gearman_queue_jobs)",
    ):
        with pytest.raises(sqlite3.OperationalError, match="a later version of gear"):
            sql(path, statement)


@ordinary
def test_table_of_postgres(database: Database) -> None:
    database.sql(POSTGRES)
    assert_taken_over("postgres", conninfo=database.conninfo)


@ordinary
def test_table_of_postgres_with_another_column(database: Database) -> None:
    database.sql(POSTGRES)
    database.sql("ALTER TABLE gearman_jobs ADD since timestamptz DEFAULT now()")
    assert_taken_over("postgres", conninfo=database.conninfo)


@ordinary
def test_table_of_postgres_beside_one_that_gearmand_had(database: Database) -> None:
    database.sql(POSTGRES)
    database.sql("ALTER TABLE gearman_jobs RENAME TO queue_jobs")
    assert_taken_over("postgres", conninfo=database.conninfo, table="queue")


@ordinary
def test_table_of_postgres_can_be_changed_only_by_its_owner(database: Database) -> None:
    database.sql(POSTGRES)
    role = f"user_{database.name}"
    database.sql(f"CREATE ROLE {role} LOGIN")
    database.sql(f"GRANT SELECT, INSERT, DELETE ON gearman_jobs TO {role}")
    weak = {"conninfo": f"{database.conninfo} user={role}"}
    store = Store(Backend(load("postgres"), dict), weak)
    with pytest.raises(StartupError, match=r"only its owner .*: start the server once"):
        store.open()
    assert_taken_over("postgres", conninfo=database.conninfo)
    assert store.content() == [NEW]


@ordinary
@pytest.mark.parametrize("before", [POSTGRES, "SELECT 1"])
def test_table_of_postgres_lacks_a_column_of_earlier_versions(
    database: Database, before: str
) -> None:
    database.sql(before)
    Store(Backend(load("postgres"), dict), {"conninfo": database.conninfo}).fill(NEW)
    columns = database.sql(
        "SELECT attname FROM pg_attribute WHERE attnum > 0"
        " AND attrelid = 'gearman_jobs'::regclass ORDER BY attnum"
    )
    names = [name for (name,) in columns]
    assert "reducer" not in names
    assert names[-2:] == ["reducer_name", "extra"]


def test_folder_of_flatfile(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / SEGMENT).write_bytes(b64decode(FLATFILE))
    assert_taken_over("flatfile", folder=str(tmp_path))


@pytest.mark.parametrize("before", ["earlier", "new"])
def test_lock_of_flatfile_is_none_of_an_earlier_version(
    tmp_path: Path, before: str
) -> None:
    if before == "earlier":
        (tmp_path / "lock").touch()
        (tmp_path / SEGMENT).write_bytes(b64decode(FLATFILE))
    for _ in range(2):
        Store(Backend(load("flatfile"), dict), {"folder": str(tmp_path)}).fill(NEW)
        # So does an earlier version; it ends with this error.
        with pytest.raises(IsADirectoryError):
            os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)


def test_folder_of_flatfile_that_an_earlier_version_uses_is_in_use(
    tmp_path: Path,
) -> None:
    """If folders cannot be locked, only the file shows that."""
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StartupError, match="in use by another server"):
            load("flatfile")(**{"folder": str(tmp_path)})
    assert (tmp_path / "lock").is_file()


def test_record_of_a_later_version_of_flatfile_is_refused(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path, 1, Header(0, 0))
    segment.append(encode_body(b"Z later", segment.seal))
    segment.close()
    store = Store(Backend(load("flatfile"), dict), {"folder": str(tmp_path)})
    for _ in range(2):
        with pytest.raises(StartupError, match="written by a later version of gear"):
            store.open()


@contextmanager
def memcached(items: Mapping[str, str]) -> Iterator[tuple[Any, dict[str, str]]]:
    """A context with memcached that has these items: a client, and arguments."""
    pytest.importorskip("pymemcache")
    client = import_module("pymemcache.client.base").Client
    running = import_module("tests.queues.backend_memcached").running
    with (
        running() as port,
        closing(client((HOST, port), default_noreply=False)) as connected,
    ):
        for key, item in items.items():
            assert connected.set(key, b64decode(item))
        yield connected, {"servers": f"{HOST}:{port}", "prefix": "old_"}


def test_items_of_memcached() -> None:
    with memcached(MEMCACHED) as (_, arguments):
        assert_taken_over("memcached", **arguments)


@pytest.mark.parametrize("before", [MEMCACHED, {}], ids=["earlier", "new"])
def test_root_in_memcached_is_not_that_of_an_earlier_version(
    before: dict[str, str],
) -> None:
    with memcached(before) as (client, arguments):
        store = Store(Backend(load("memcached"), dict), arguments)
        store.content()
        if not before:
            store.fill(NEW)
        # An earlier version reads so many servers, and has one.
        assert int.from_bytes(client.get("old_root")[:4], "little") == 65537


def test_root_of_a_later_version_in_memcached_is_refused() -> None:
    with memcached({"old_root": "AQACAA=="}) as (_, arguments):
        store = Store(Backend(load("memcached"), dict), arguments)
        with pytest.raises(StartupError, match="stored by a later version"):
            store.open()
