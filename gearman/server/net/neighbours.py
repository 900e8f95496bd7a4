"""The other servers of a cluster, as a listener and its broker see them."""

from collections.abc import Callable, Mapping

from ..broker import Links as BrokerLinks
from ..cluster.links import Identity
from ..cluster.links import Member as Linked
from ..cluster.shards import Map
from ..protocols.links.link import Link, Verb
from ..protocols.links.verbs import verbs
from .links import Links
from .listener import Listener


class Neighbours:
    """Gives a listener its links to the servers that a map shows.

    The broker learns which of them there are, and which shards they own. This server
    is `me`; see `Links` for the `secret`. `lease` is in seconds.
    """

    def __init__(
        self,
        listener: Listener,
        map: Map,
        me: Identity,
        secret: bytes | None,
        lease: float,
    ) -> None:
        self._map = map
        self._known = set(map.members())
        self._jobs = BrokerLinks(listener.broker, lease)
        self._jobs.own(map.owners())
        self.links = Links(me, self._listening, secret, lease, self._use, map.has_left)
        listener.links = self.links
        map.listeners.append(self._changed)

    def leave(self) -> None:
        """Note no more changes of the map."""
        self._map.listeners.remove(self._changed)

    def ask(self, shards: frozenset[int], then: Callable[[], None]) -> None:
        """Ask the others which jobs of new shards they run, and then do something."""
        self.links.begin_turn()
        self._jobs.taking_over.ask(shards, then)

    def _use(self, link: Link) -> Mapping[int, Verb]:
        remote = self._jobs.up(link.peer, link.id, link.course)
        link.peer.connection.carry(self._jobs, remote)
        return verbs(self._jobs, remote)

    def _changed(self) -> None:
        members = self._map.members()
        self._jobs.own(self._map.owners())
        gone = self._known - members.keys()
        self._known = set(members)
        for server in gone & self._jobs.remotes.keys():
            self.links.part(server)
            self._jobs.gone(server)
        self.links.changed()

    def _listening(self) -> Mapping[int, Linked]:
        """Return the servers that listen: those that own shards, or did until now."""
        owners = set(self._map.owners())
        return {
            server: member
            for server, member in self._map.members().items()
            if server in owners or member.draining
        }
