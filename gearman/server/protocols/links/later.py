"""Answers of admin commands that another server of the cluster has to give."""

from ...broker import Broker, Peer
from ...broker.constants import RAW
from ..lines import NO_JOB, OK


class Later:
    """The answer to `cancel job` for a job that is not known here."""

    def __init__(self, broker: Broker, handle: bytes) -> None:
        self._broker = broker
        self._handle = handle

    def begin(self, peer: Peer) -> None:
        """Ask the others, and give a peer the answer in its turn."""
        answers, links = self._broker.answers, self._broker.links
        assert links is not None  # noqa: S101
        receipt = answers.promise(peer)
        links.lookup.cancel(
            self._handle,
            lambda known: answers.fulfil(receipt, RAW, (OK if known else NO_JOB,)),
        )
