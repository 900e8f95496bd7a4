"""Learning of the other servers of a cluster, and using them as if they were given."""

import random
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Unpack

from ...client_core.discovery import (
    LONGEST_ANSWER,
    PATIENCE,
    QUESTION,
    Address,
    Answer,
    Change,
    Knowledge,
    Servers,
)
from ...client_core.server_order import rested_first
from ...connection import GearmanConnection
from ...connection_manager import GearmanConnectionManager, gearman_logger
from ...errors import ConnectionError
from ..options import Options, Server
from ..sockets import open_socket


class Discovering(GearmanConnectionManager):
    """A GearmanConnectionManager that may learn of servers; see its `discover`."""

    discover = False

    def __init__(
        self, host_list: Iterable[Server] | None = None, **options: Unpack[Options]
    ) -> None:
        self._knowledge = Knowledge()
        super().__init__(host_list=host_list, **options)

    def handle_error(self, current_connection: GearmanConnection) -> None:
        """Give up a connection; if servers are to be found, ask for others soon."""
        if self.discover:
            lost = current_connection.get_address()
            self._knowledge.lost(lost, time.monotonic())
        super().handle_error(current_connection)

    def _find_servers(self, *, opening: bool) -> bool:
        """Ask for servers if it is time to; return whether there are new ones.

        Servers with an open connection are asked. If there is none, the first one that
        can be reached is connected to, if `opening`.
        """
        now = time.monotonic()
        if not self.discover or now < self._knowledge.due:
            return False
        connected = [each for each in self.connection_list if each.connected]
        if opening and not connected:
            connected = self._first_open(now)
        if not connected:
            return False
        self._knowledge.asked(now)
        return self._learn(random.sample(connected, len(connected)))

    def _first_open(self, now: float) -> list[GearmanConnection]:
        order = random.sample(self.connection_list, len(self.connection_list))
        for connection in rested_first(order, now):
            # Others are tried for a request, if there is no better one.
            if connection.allowed_connect_time <= now:
                with suppress(ConnectionError):
                    return [self.establish_connection(connection)]
        return []

    def _learn(self, connected: list[GearmanConnection]) -> bool:
        places = {each.get_address(): each for each in connected}
        learned = answered = False
        for address in self._knowledge.to_ask(places):
            if answered and self._knowledge.is_named(address):
                break
            told = servers_told(places[address])
            answered = answered or told is not None
            servers = [each.get_address() for each in self.connection_list]
            change = self._knowledge.told(address, told, servers)
            self._follow(change, places[address])
            learned = learned or bool(change.new)
        return learned

    def _follow(self, change: Change, source: GearmanConnection) -> None:
        """Add servers as the `source` of that knowledge is, and drop unused ones."""
        for address in change.new:
            gearman_logger.debug("learned of the server %s:%s", *address)
            self._add_like(source, address)
        for connection in list(self.connection_list):
            address = connection.get_address()
            if address in change.gone and not connection.connected:
                gearman_logger.debug("the server %s:%s is gone", *address)
                self.connection_list.remove(connection)
                self._knowledge.forget(address)

    def _add_like(self, source: GearmanConnection, address: Address) -> None:
        if source.keyfile and source.certfile and source.ca_certs:
            files = (source.keyfile, source.certfile, source.ca_certs)
            added = self.add_ssl_connection(*address, *files)
        else:
            added = self.add_connection(address)
        if source.ssl_context is not None:
            added.ssl_context = source.ssl_context


def servers_told(connection: GearmanConnection) -> Servers | None:
    """Ask a server, over a connection of its own, for the servers of its cluster.

    Returns None if it tells of none within PATIENCE seconds. Foreign servers may close
    a connection with such a question.
    """
    host, port = connection.get_address()
    given = connection.connect_timeout
    timeout = PATIENCE if given is None else min(given, PATIENCE)
    end = time.monotonic() + timeout
    answer, size = Answer(), 0
    try:
        with open_socket(host, port, timeout, connection._tls()) as opened:
            opened.sendall(QUESTION)
            while not answer.complete and size < LONGEST_ANSWER:
                opened.settimeout(max(0.001, end - time.monotonic()))
                data = opened.recv(1 << 16)
                if not data:
                    break
                size += len(data)
                answer.feed(data)
    except (OSError, UnicodeError) as error:
        gearman_logger.debug("%s:%s did not tell of servers: %s", host, port, error)
        return None
    return answer.servers()
