"""Who owns which jobs of a table: leases and shards of a cluster in Postgres."""

import secrets
from collections.abc import Set as AbstractSet
from typing import Any, Final

from psycopg.sql import SQL

from gearman.queue import NOBODY, SHARDS, SPARE, Claim, Cluster, Member, Roll, Shard
from gearman.queue import Register as BaseRegister

from .fence import ClusterTables, end_backend
from .session import WRITABLE, Connection, Session, limits, settled

# The parts of a lease that connecting, waiting for a lock, and a statement may take;
# and the part after which a silent server counts as lost.
PART: Final = 4
PART_OF_SILENCE: Final = 2

ALL: Final = list(range(SHARDS))

# In one statement, since it should show one moment.
LOOK: Final = SQL("""
    WITH members AS (
        SELECT servers.*, extract(epoch FROM joined)::float8 AS since, renewals,
            expires < clock_timestamp() AS over
        FROM {servers} AS servers JOIN {leases} AS leases USING (id)
    )
    SELECT array(SELECT id FROM members ORDER BY id),
        array(SELECT address FROM members ORDER BY id),
        array(SELECT epoch FROM members ORDER BY id),
        array(SELECT draining FROM members ORDER BY id),
        array(SELECT since FROM members ORDER BY id),
        array(SELECT renewals FROM members ORDER BY id),
        array(SELECT over FROM members ORDER BY id),
        array(SELECT server FROM {shards} ORDER BY shard),
        array(SELECT epoch FROM {shards} ORDER BY shard),
        array(SELECT first_number FROM {shards} ORDER BY shard)
""")
# The columns of LOOK that are about servers.
OF_MEMBERS: Final = 7

LOCK_LEASE: Final = SQL("""
    SELECT id FROM {leases} WHERE id = $1::bigint AND renewals = $2::bigint FOR UPDATE
""")
LOCK_SERVER: Final = SQL("SELECT id FROM {servers} WHERE id = $1::bigint FOR UPDATE")
# While they are locked so, they can commit, but not be buried.
HOLD_SERVERS: Final = SQL("""
    SELECT id FROM {servers} WHERE id = ANY($1::bigint[]) ORDER BY id FOR SHARE
""")
REMOVE_SERVER: Final = SQL("DELETE FROM {servers} WHERE id = $1::bigint")
REMOVE_LEASE: Final = SQL("DELETE FROM {leases} WHERE id = $1::bigint")
ADD_SERVER: Final = SQL("""
    INSERT INTO {servers} (id, address, epoch, session, draining, joined)
    VALUES ($1::bigint, $2::text, $3::bigint, 0, false, clock_timestamp())
""")
ADD_LEASE: Final = SQL("""
    INSERT INTO {leases} VALUES (
        $1::bigint, 0, clock_timestamp() + $2::float8 * interval '1 second', 0
    )
""")
NEXT_EPOCH: Final = SQL("UPDATE {cluster} SET epoch = epoch + 1 RETURNING epoch")
TAKE: Final = SQL("""
    UPDATE {shards} SET server = $1::bigint, epoch = epoch + 1,
        first_number = greatest(
            first_number, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
        )
    WHERE shard = ANY($2::int[]) AND server = 0
""")
GIVE: Final = SQL("""
    UPDATE {shards} SET server = $2::bigint, epoch = epoch + 1,
        first_number = greatest(first_number, $4::bigint)
    WHERE shard = ANY($3::int[]) AND server = $1::bigint
""")
# A server has used numbers up to SPARE above those that it has told with its lease,
# and above those with which its shards began.
FREE: Final = SQL("""
    UPDATE {shards} SET server = 0, first_number = greatest(
        (SELECT numbers FROM {leases} WHERE id = $1::bigint),
        (SELECT max(first_number) FROM {shards} WHERE server = $1::bigint) + $2::bigint
    )
    WHERE server = $1::bigint
""")
RENEW: Final = SQL("""
    UPDATE {leases} SET renewals = renewals + 1,
        expires = clock_timestamp() + $2::float8 * interval '1 second',
        numbers = greatest(numbers, $3::bigint)
    WHERE id = $1::bigint
""")
NUMBERS: Final = SQL("""
    UPDATE {leases} SET numbers = greatest(numbers, $2::bigint) WHERE id = $1::bigint
""")
DRAIN: Final = SQL("UPDATE {servers} SET draining = true WHERE id = $1::bigint")


class Register(BaseRegister):
    """The leases and shards of the cluster that shares a table."""

    def __init__(self, conninfo: str, tables: ClusterTables, cluster: Cluster) -> None:
        part = cluster.lease / PART
        settings, silence = limits(part, part, cluster.lease / PART_OF_SILENCE)
        more = {**WRITABLE, "connect_timeout": f"{max(int(part), 2)}"}
        self._session = Session(conninfo, settings, more, silence)
        self._tables = tables
        self._cluster = cluster
        # That of the last claim.
        self._id = NOBODY

    def look(self) -> Roll:
        with self._session.connection() as connection:
            [row] = settled(lambda: self._execute(connection, LOOK))
        members = zip(*row[:OF_MEMBERS], strict=True)
        shards = zip(*row[OF_MEMBERS:], strict=True)
        return Roll(
            tuple(Member(*values) for values in members),
            tuple(Shard(*values) for values in shards),
        )

    def join(self) -> Claim:
        former, self._id = self._id, secrets.randbelow(2**62) + 1
        with self._session.connection() as connection:
            return settled(lambda: self._join(connection, former))

    def _join(self, connection: Connection, former: int) -> Claim:
        with connection.transaction():
            if former != NOBODY:
                self._remove(connection, former)
            [(epoch,)] = self._execute(connection, NEXT_EPOCH)
            self._execute(
                connection, ADD_SERVER, self._id, self._cluster.address, epoch
            )
            self._execute(connection, ADD_LEASE, self._id, self._cluster.lease)
        return Claim(self._id, epoch)

    def bury(self, dead: Member) -> bool:
        with self._session.connection() as connection:
            return settled(lambda: self._bury(connection, dead))

    def _bury(self, connection: Connection, dead: Member) -> bool:
        with connection.transaction():
            if not self._execute(connection, LOCK_LEASE, dead.id, dead.renewals):
                return False
            self._remove(connection, dead.id)
        return True

    def _remove(
        self, connection: Connection, id: int, next_number: int | None = None
    ) -> None:
        """Free the shards of a server, and remove it.

        It has used numbers below `next_number`; None if only the table knows.
        """
        end_backend(connection, self._tables, id)
        # It waits for a commit that is under way.
        self._execute(connection, LOCK_SERVER, id)
        if next_number is None:
            self._execute(connection, FREE, id, SPARE)
        else:
            self._execute(connection, GIVE, id, NOBODY, ALL, next_number)
        self._execute(connection, REMOVE_SERVER, id)
        self._execute(connection, REMOVE_LEASE, id)

    def take(self, shards: AbstractSet[int]) -> None:
        def change() -> None:
            with connection.transaction():
                if self._hold(connection, self._id):
                    self._execute(connection, TAKE, self._id, sorted(shards))

        with self._session.connection() as connection:
            settled(change)

    def give(self, shards: AbstractSet[int], taker: int, next_number: int) -> None:
        def change() -> None:
            with connection.transaction():
                if self._hold(connection, self._id, taker):
                    values = [self._id, taker, sorted(shards), next_number]
                    self._execute(connection, GIVE, *values)
                    self._execute(connection, NUMBERS, self._id, next_number + SPARE)

        with self._session.connection() as connection:
            settled(change)

    def _hold(self, connection: Connection, *ids: int) -> bool:
        """Lock servers so that they can't be buried; return whether all are there."""
        return len(self._execute(connection, HOLD_SERVERS, list(ids))) == len(ids)

    def renew(self, next_number: int) -> bool:
        with self._session.connection() as connection:
            values = [self._id, self._cluster.lease, next_number + SPARE]
            statement = self._tables.on(RENEW)
            changed = settled(lambda: connection.execute(statement, values).rowcount)
        return changed == 1

    def drain(self) -> None:
        with self._session.connection() as connection:
            settled(lambda: self._execute(connection, DRAIN, self._id))

    def leave(self, next_number: int) -> None:
        def change() -> None:
            with connection.transaction():
                self._remove(connection, self._id, next_number)

        with self._session.connection() as connection:
            settled(change)

    def close(self) -> None:
        self._session.close()

    def _execute(
        self, connection: Connection, statement: SQL, *values: Any
    ) -> list[tuple[Any, ...]]:
        cursor = connection.execute(self._tables.on(statement), values)
        return cursor.fetchall() if cursor.description else []
