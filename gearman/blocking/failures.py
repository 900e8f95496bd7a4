"""The reasons why connections are not open."""

from collections.abc import Sequence

from ..connection import GearmanConnection
from ..errors import ServerUnavailable


class Failures:
    """The last error of each connection."""

    def __init__(self) -> None:
        self._texts: dict[GearmanConnection, str] = {}

    def note(self, connection: GearmanConnection, trouble: object) -> None:
        """Remember the error of a connection."""
        self._texts[connection] = str(trouble)

    def unavailable(
        self,
        connections: Sequence[GearmanConnection],
        text: str,
    ) -> ServerUnavailable:
        """Return an error that says why no connection is open.

        Its text begins as in python-gearman 2.0.2.
        """
        if connections:
            known = [self._texts.get(connection, "") for connection in connections]
            reasons = "; ".join(filter(None, known)) or "all are closed"
        else:
            reasons = "there are no servers: name some"
            reasons += ", such as host_list=['localhost:4730']"
        return ServerUnavailable(f"{text}: {connections!r}: {reasons}")
