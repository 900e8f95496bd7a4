"""`gearman-queue` with the table of a cluster."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from gearman.cli.gearman_queue import membership
from gearman.cli.gearman_queue.stores import Store
from gearman.errors import StartupError
from gearman.queue import (
    Claim,
    Member,
    Queue,
    Register,
    Roll,
    Shard,
    StoredJob,
    Unreadable,
    load,
)
from tests.cli.tools import our_tool, outcome
from tests.queues.backend_postgres import Database
from tests.queues.shared_tables import Table, in_postgres
from tests.queues.test_register_contract import ONE, Server
from tests.servers import until


def words(database: Database, *more: str) -> list[str]:
    return ["-q", "postgres", "--postgres-conninfo", database.conninfo, *more]


def store(database: Database) -> Store:
    return Store("postgres", load("postgres"), {"conninfo": database.conninfo}, "fleet")


@pytest.fixture
def table(database: Database) -> Table:
    return in_postgres(database)


@pytest.fixture
def former(database: Database, server: Callable[..., Server]) -> Server:
    """A server that owns the jobs of the table, and has stored one."""
    former = server("gear1:4730")
    former.owns()
    former.queue.commit([ONE], [])
    return former


def told_by(operation: str, *words: str) -> str:
    """Run the tool, which fails, and return what it says."""
    said = outcome(our_tool("gearman_queue", None, operation, *words))
    assert said.status == 1
    return said.err


def test_table_of_a_cluster_needs_its_name(database: Database, former: Server) -> None:
    told = told_by("list", *words(database))
    assert "belongs to the cluster 'fleet': name that with --cluster, or" in told


def test_owner_that_is_alive_is_named(database: Database, former: Server) -> None:
    told = told_by("export", *words(database, "--cluster", "fleet"))
    assert (
        "these servers of the cluster are there: gear1:4730; stop all of them" in told
    )


def test_jobs_of_a_cluster_without_servers_are_copied(
    database: Database, former: Server, tmp_path: Path
) -> None:
    former.register.leave(0)
    former.close()
    file = str(tmp_path / "jobs.db")
    theirs = words(database, "--cluster", "fleet")
    there = [*theirs, "--to", "sqlite", "--to-sqlite-db", file]
    back = ["-q", "sqlite", "--sqlite-db", file, "--to", "postgres"]
    back += ["--to-postgres-conninfo", database.conninfo, "--to-cluster", "fleet"]
    for options in (there, back):
        said = outcome(our_tool("gearman_queue", None, "copy", *options))
        assert (said.status, said.err) == (0, "")
    with store(database).open() as queue:
        assert list(queue.replay()) == [ONE]


def test_servers_get_no_jobs_while_the_tool_works(
    database: Database,
    former: Server,
    server: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(membership, "STEP", 0.01)
    former.register.leave(0)
    other = server("gear2:4730")

    def seen() -> Member:
        (member,) = other.register.look().members
        return member

    with store(database).open() as queue:
        assert seen().address.startswith("gearman-queue on ")
        until(lambda: seen().renewals > 2)
        told = "these servers of the cluster are there: gearman-queue on "
        with pytest.raises(StartupError, match=told), store(database).open():
            pass
        other.joins()
        other.register.take(frozenset(range(64)))
        assert {each.server for each in other.register.look().shards} != {0}
        queue.commit([], [ONE.number])
    assert {each.server for each in other.register.look().shards} == {0}


def test_server_that_has_failed_is_buried(database: Database, former: Server) -> None:
    former.close()
    database.sql("UPDATE gearman_jobs_leases SET expires = now() - interval '1 s'")
    with store(database).open() as queue:
        assert list(queue.replay()) == [ONE]


class Late(Queue):
    """A store whose register finds that another server was faster."""

    def register(self) -> Register:
        return LateRegister()

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        return iter(())

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        """Store nothing."""

    def close(self) -> None:
        """Nothing is open."""


class LateRegister(Register):
    left = False

    def look(self) -> Roll:
        return Roll((), (Shard(7, 1, 1),))

    def join(self) -> Claim:
        return Claim(8, 2)

    def renew(self, next_number: int) -> bool:
        return False

    def bury(self, dead: Member) -> bool:
        return False

    def take(self, shards: AbstractSet[int]) -> None:
        """Another one has it."""

    def give(self, shards: AbstractSet[int], taker: int, next_number: int) -> None:
        """There is nothing to give."""

    def drain(self) -> None:
        """Nobody wants to know."""

    def leave(self, next_number: int) -> None:
        LateRegister.left = True

    def close(self) -> None:
        """Nothing is open."""


def test_server_that_starts_at_the_same_moment_wins() -> None:
    told = "a server of the cluster has just started"
    with pytest.raises(StartupError, match=told), membership.owning(Late()):
        pass
    assert LateRegister.left


def test_queue_that_cannot_be_shared_has_no_cluster() -> None:
    told = told_by("list", "-q", "sqlite", "--sqlite-db", "x", "--cluster", "a")
    expected = "the queue sqlite cannot be shared by the servers of a cluster"
    assert told == f"gearman-queue: {expected}\n"
