"""Who owns the jobs of a table: the lease of a cluster in Postgres."""

import secrets
from typing import Any, Final

from psycopg import Rollback
from psycopg.sql import SQL

from gearman.queue import Claim, Cluster, Holder
from gearman.queue import Register as BaseRegister

from .fence import ClusterTables, end_backend
from .session import WRITABLE, Connection, Session, limits, settled

# The parts of a lease that connecting, waiting for a lock, and a statement may take;
# and the part after which a silent server counts as lost.
PART: Final = 4
PART_OF_SILENCE: Final = 2

# A server that does not know the outcome of its claim may claim again.
LOOK: Final = SQL("""
    SELECT servers.id, servers.address, leases.renewals,
        leases.expires < clock_timestamp() OR servers.id = $1::bigint
    FROM {shards} AS shards JOIN {servers} AS servers ON servers.id = shards.server
    JOIN {leases} AS leases ON leases.id = servers.id WHERE shards.shard = 0
""")
LOCK_LEASE: Final = SQL("""
    SELECT id FROM {leases} WHERE id = $1::bigint AND renewals = $2::bigint FOR UPDATE
""")
LOCK_SERVER: Final = SQL("SELECT id FROM {servers} WHERE id = $1::bigint FOR UPDATE")
REMOVE_SERVER: Final = SQL("DELETE FROM {servers} WHERE id = $1::bigint")
REMOVE_LEASE: Final = SQL("DELETE FROM {leases} WHERE id = $1::bigint")
ADD_SERVER: Final = SQL("""
    INSERT INTO {servers} (id, address, session, joined)
    VALUES ($1::bigint, $2::text, 0, clock_timestamp())
""")
ADD_LEASE: Final = SQL("""
    INSERT INTO {leases}
    VALUES ($1::bigint, 0, clock_timestamp() + $2::float8 * interval '1 second')
""")
TAKE: Final = SQL("""
    UPDATE {shards} SET server = $1::bigint, epoch = epoch + 1
    WHERE server = $2::bigint
    RETURNING epoch, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
""")
RENEW: Final = SQL("""
    UPDATE {leases} SET renewals = renewals + 1,
        expires = clock_timestamp() + $2::float8 * interval '1 second'
    WHERE id = $1::bigint
""")
RELEASE: Final = SQL("""
    UPDATE {leases} SET expires = to_timestamp(0) WHERE id = $1::bigint
""")

# The server of shards that nobody has ever owned.
NOBODY: Final = 0


class Register(BaseRegister):
    """The lease of the cluster that shares a table."""

    def __init__(self, conninfo: str, tables: ClusterTables, cluster: Cluster) -> None:
        part = cluster.lease / PART
        settings, silence = limits(part, part, cluster.lease / PART_OF_SILENCE)
        more = {**WRITABLE, "connect_timeout": f"{max(int(part), 2)}"}
        self._session = Session(conninfo, settings, more, silence)
        self._tables = tables
        self._cluster = cluster
        # That of the last claim.
        self._id = NOBODY

    def look(self) -> Holder | None:
        with self._session.connection() as connection:
            rows = self._execute(connection, LOOK, self._id)
        return Holder(*rows[0]) if rows else None

    def claim(self, seen: Holder | None) -> Claim | None:
        self._id = secrets.randbelow(2**62) + 1
        with self._session.connection() as connection:
            return settled(lambda: self._claim(connection, seen))

    def _claim(self, connection: Connection, seen: Holder | None) -> Claim | None:
        claim = None
        with connection.transaction():
            if seen is None or self._remove(connection, seen):
                claim = self._add(connection, seen.id if seen else NOBODY)
            if claim is None:
                raise Rollback
        return claim

    def _remove(self, connection: Connection, seen: Holder) -> bool:
        """Remove the owner. Returns False if it has renewed its lease."""
        if not self._execute(connection, LOCK_LEASE, seen.id, seen.renewals):
            return False
        end_backend(connection, self._tables, seen.id)
        # It waits for a commit that is under way.
        self._execute(connection, LOCK_SERVER, seen.id)
        self._execute(connection, REMOVE_SERVER, seen.id)
        self._execute(connection, REMOVE_LEASE, seen.id)
        return True

    def _add(self, connection: Connection, former: int) -> Claim | None:
        """Own all that the former owner has. Returns None if that is nothing."""
        self._execute(connection, ADD_SERVER, self._id, self._cluster.address)
        self._execute(connection, ADD_LEASE, self._id, self._cluster.lease)
        rows = self._execute(connection, TAKE, self._id, former)
        return max(Claim(self._id, *row) for row in rows) if rows else None

    def renew(self) -> bool:
        with self._session.connection() as connection:
            values = [self._id, self._cluster.lease]
            statement = self._tables.on(RENEW)
            changed = settled(lambda: connection.execute(statement, values).rowcount)
        return changed == 1

    def release(self) -> None:
        with self._session.connection() as connection:
            settled(lambda: self._execute(connection, RELEASE, self._id))

    def close(self) -> None:
        self._session.close()

    def _execute(
        self, connection: Connection, statement: SQL, *values: Any
    ) -> list[tuple[Any, ...]]:
        cursor = connection.execute(self._tables.on(statement), values)
        return cursor.fetchall() if cursor.description else []
