"""Answers of admin commands that another server of the cluster has to give."""

from collections.abc import Callable
from typing import TypeAlias

from ...broker import Broker, Peer
from ...broker.constants import RAW

# Asks another server, and gives its answer to the function; that may be at once.
Ask: TypeAlias = Callable[[Callable[[bytes], None]], None]


class Later:
    """The answer to a command, which another server is asked for."""

    def __init__(self, broker: Broker, ask: Ask) -> None:
        self._broker = broker
        self._ask = ask

    def begin(self, peer: Peer) -> None:
        """Ask, and give a peer the answer in its turn."""
        answers = self._broker.answers
        receipt = answers.promise(peer)
        self._ask(lambda answer: answers.fulfil(receipt, RAW, (answer,)))
