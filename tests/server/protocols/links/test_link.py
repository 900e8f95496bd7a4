"""A link, beside what the tests with real connections show."""

from collections.abc import Mapping

from gearman.server.broker import Peer
from gearman.server.cluster.links import Course, Identity
from gearman.server.protocols.links.link import Link
from gearman.server.protocols.links.verbs import Verb

ME = Identity("test", 1, 1, "127.0.0.1:4730")


class Owner:
    def __init__(self) -> None:
        self.ended: list[Link] = []

    def time(self) -> float:
        return 0.0

    def proved(self, link: Link) -> Mapping[int, Verb]:
        raise AssertionError

    def end(self, link: Link) -> None:
        self.ended.append(link)


def test_link_without_a_connection_ends() -> None:
    owner = Owner()
    link = Link(Course(ME, b"0" * 32), Peer(), owner, 0)
    link.end("the connection is gone")
    assert owner.ended == [link]
    assert link.reason == "the connection is gone"
