"""Who owns which jobs of a table: leases and shards of a cluster in MariaDB or MySQL.

Statements of a transaction are sent one by one: see COMPOUND in `connection`.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

from gearman.queue import NOBODY, SHARDS, SPARE, Claim, Cluster, Member, Roll, Shard
from gearman.queue import Register as BaseRegister

from .connection import Connection, Limits, Result, usual
from .fence import ClusterTables, wait_for_others
from .session import Session, settled
from .statements import BEGIN, COMMIT

T = TypeVar("T")

ALL: Final = frozenset(range(SHARDS))

# Microseconds since the epoch.
NOW: Final = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
# When a lease ends that begins now.
END: Final = "UTC_TIMESTAMP(6) + INTERVAL {microseconds} MICROSECOND"

# In one statement, since it should show one moment. Of a shard, `id` is its owner.
LOOK: Final = """
    SELECT -1 AS shard, servers.id AS id, address, epoch, draining,
        TIMESTAMPDIFF(MICROSECOND, '1970-01-01', joined), renewals,
        expires < UTC_TIMESTAMP(6)
    FROM {servers} AS servers JOIN {leases} AS leases ON leases.id = servers.id
    UNION ALL SELECT shard, server, '', epoch, 0, first_number, 0, 0 FROM {shards}
    ORDER BY shard, id
"""
LOCK_LEASE: Final = """
    SELECT id FROM {leases} WHERE id = {other} AND renewals = {renewals} FOR UPDATE
"""
# It is a change, since that is what Galera lets collide with a removal.
HOLD_SERVERS: Final = "UPDATE {servers} SET commits = commits + 1 WHERE id IN ({ids})"
# It waits for a commit that is under way.
REMOVE_SERVER: Final = "DELETE FROM {servers} WHERE id = {other}"
REMOVE_LEASE: Final = "DELETE FROM {leases} WHERE id = {other}"
ADD_SERVER: Final = """
    INSERT INTO {servers} VALUES ({id}, {address}, {epoch}, 0, 0, 0, UTC_TIMESTAMP(6))
"""
ADD_LEASE: Final = f"INSERT INTO {{leases}} VALUES ({{id}}, 0, {END}, 0)"
NEXT_EPOCH: Final = "UPDATE {cluster} SET epoch = epoch + 1"
EPOCH: Final = "SELECT epoch FROM {cluster} FOR UPDATE"
TAKE: Final = f"""
    UPDATE {{shards}} SET server = {{id}}, epoch = epoch + 1,
        first_number = GREATEST(first_number, {NOW})
    WHERE shard IN ({{some}}) AND server = {NOBODY}
"""
GIVE: Final = """
    UPDATE {shards} SET server = {other}, epoch = epoch + 1,
        first_number = GREATEST(first_number, {next_number})
    WHERE shard IN ({some}) AND server = {id}
"""
# A server has used numbers up to SPARE above those that it has told with its lease,
# and above those with which its shards began.
TOLD: Final = "SELECT numbers FROM {leases} WHERE id = {other} FOR UPDATE"
BEGUN: Final = """
    SELECT first_number FROM {shards} WHERE server = {other}
    ORDER BY first_number DESC LIMIT 1 FOR UPDATE
"""
FREE: Final = f"""
    UPDATE {{shards}} SET server = {NOBODY}, first_number = {{next_number}}
    WHERE server = {{other}}
"""
RENEW: Final = f"""
    UPDATE {{leases}} SET renewals = renewals + 1, expires = {END},
        numbers = GREATEST(numbers, {{numbers}})
    WHERE id = {{id}}
"""
NUMBERS: Final = """
    UPDATE {leases} SET numbers = GREATEST(numbers, {numbers}) WHERE id = {id}
"""
DRAIN: Final = "UPDATE {servers} SET draining = 1 WHERE id = {id}"


class Register(BaseRegister):
    """The leases and shards of the cluster that shares a table."""

    def __init__(
        self,
        places: Sequence[Mapping[str, Any]],
        tables: ClusterTables,
        cluster: Cluster,
    ) -> None:
        self._session = Session(places, limits_of_register(cluster.lease))
        self._tables = tables
        self._cluster = cluster
        self._waiting: Connection | None = None
        # That of the last claim.
        self._id = NOBODY

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._session.connection() as connection:
            if connection is not self._waiting:
                wait_for_others(connection)
                self._waiting = connection
            yield connection

    def _transaction(self, change: Callable[[Connection], T]) -> T:
        def attempt() -> T:
            connection.run(BEGIN)
            result = change(connection)
            connection.run(COMMIT)
            return result

        with self._connection() as connection:
            return settled(connection, attempt)

    def look(self) -> Roll:
        with self._connection() as connection:
            rows = self._run(connection, LOOK).rows
        members, shards = [], []
        for shard, id, address, epoch, draining, number, renewals, over in rows:
            if shard < 0:
                found = str(address, "utf-8"), epoch, bool(draining), number / 1_000_000
                members.append(Member(id, *found, renewals, bool(over)))
            else:
                shards.append(Shard(id, epoch, number))
        return Roll(tuple(members), tuple(shards))

    def join(self) -> Claim:
        former, self._id = self._id, secrets.randbelow(2**62) + 1
        return self._transaction(partial(self._join, former))

    def _join(self, former: int, connection: Connection) -> Claim:
        if former != NOBODY:
            self._remove(connection, former)
        self._run(connection, NEXT_EPOCH)
        [(epoch,)] = self._run(connection, EPOCH).rows
        self._run(connection, ADD_SERVER, address=self._cluster.address, epoch=epoch)
        self._run(connection, ADD_LEASE)
        return Claim(self._id, epoch)

    def bury(self, dead: Member) -> bool:
        return self._transaction(partial(self._bury, dead))

    def _bury(self, dead: Member, connection: Connection) -> bool:
        values = {"other": dead.id, "renewals": dead.renewals}
        if not self._run(connection, LOCK_LEASE, **values).rows:
            return False
        self._remove(connection, dead.id)
        return True

    def _remove(self, connection: Connection, id: int) -> None:
        """Free the shards of a server, and remove it."""
        self._run(connection, REMOVE_SERVER, other=id)
        told = self._run(connection, TOLD, other=id).rows
        begun = self._run(connection, BEGUN, other=id).rows
        next_number = max([n for (n,) in told] + [n + SPARE for (n,) in begun] + [0])
        self._run(connection, FREE, other=id, next_number=next_number)
        self._run(connection, REMOVE_LEASE, other=id)

    def take(self, shards: AbstractSet[int]) -> None:
        def change(connection: Connection) -> None:
            if self._hold(connection, self._id):
                self._run(connection, TAKE, some=shards)

        self._transaction(change)

    def give(self, shards: AbstractSet[int], taker: int, next_number: int) -> None:
        def change(connection: Connection) -> None:
            if self._hold(connection, self._id, taker):
                values = {"other": taker, "next_number": next_number}
                self._run(connection, GIVE, some=shards, **values)
                self._run(connection, NUMBERS, numbers=next_number + SPARE)

        self._transaction(change)

    def _hold(self, connection: Connection, *ids: int) -> bool:
        """Keep servers from being buried; return whether all are there."""
        return self._run(connection, HOLD_SERVERS, ids=frozenset(ids)).found == len(ids)

    def renew(self, next_number: int) -> bool:
        numbers = next_number + SPARE
        with self._connection() as connection:
            renew = partial(self._run, connection, RENEW, numbers=numbers)
            return settled(connection, renew).found == 1

    def drain(self) -> None:
        with self._connection() as connection:
            settled(connection, partial(self._run, connection, DRAIN))

    def leave(self, next_number: int) -> None:
        def change(connection: Connection) -> None:
            self._run(connection, REMOVE_SERVER, other=self._id)
            values = {"other": NOBODY, "next_number": next_number}
            self._run(connection, GIVE, some=ALL, **values)
            self._run(connection, REMOVE_LEASE, other=self._id)

        self._transaction(change)

    def close(self) -> None:
        self._session.close()

    def _run(
        self,
        connection: Connection,
        statement: str,
        **values: float | str | AbstractSet[int],
    ) -> Result:
        microseconds = int(self._cluster.lease * 1_000_000)
        values = {"id": self._id, "microseconds": microseconds, **values}
        [result] = connection.run(self._tables.on(statement, **values))
        return result


# In a cluster, the database ends the connection of a server that is stopped or cut off,
# before another server takes over. So locks of a commit that does not go on are free
# by then. These are parts of the lease, and for idleness the least time in seconds.
SHORTEST_IDLE: Final = 2.0
SHORTEST_CONNECT: Final = 1.0


def limits_of_register(lease: float) -> Limits:
    return _limits(lease / 8, lease / 4, lease / 4, lease / 2, lease / 2)


def limits_of_store(lease: float) -> Limits:
    """Return limits with which clients know of a failure when another takes over."""
    return _limits(lease / 4, lease / 2, lease, 2 * lease, lease)


def _limits(
    connect: float, lock: float, statement: float, silence: float, idle: float
) -> Limits:
    wanted = Limits(
        *(max(connect, SHORTEST_CONNECT), lock, statement, silence),
        max(idle, SHORTEST_IDLE),
    )
    return Limits(*map(min, wanted, usual()))
