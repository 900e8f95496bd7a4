"""Answers to submissions, in the order of the submissions.

The answers of one connection are sent in order, since a client can match them to its
submissions by the order only. So while a background job of a peer is being stored, the
peer's later foreground submissions wait too. Other peers do not wait.

A verb ends before another verb begins. Requests that waited behind an answer are
carried out by `pay`, which a verb calls last, when every job is in its place again.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from .constants import RAW
from .memory import RECEIPT_MEMORY, REQUEST_MEMORY, Memory, extra_size
from .model import Job, Peer, Receipt


class Answers:
    """The answers that peers still have to get.

    `deferring` has peers whose requests must wait, so that the server should not read
    from them; with `links`, `caught_up` has peers that have got all their answers since
    then. `carry_out` is called with a receipt and its request, when the request
    can be carried out. It must give the answer.
    """

    def __init__(
        self, memory: Memory, carry_out: Callable[[Receipt, tuple[Any, ...]], None]
    ) -> None:
        self.deferring: list[Peer] = []
        self.links = False
        self.caught_up: list[Peer] = []
        self._memory = memory
        self._carry_out = carry_out
        # Peers whose next answers can be sent when the current verb ends.
        self._payable: list[Peer] = []

    def answer(
        self,
        receipt: Receipt | None,
        peer: Peer,
        command: int,
        arguments: tuple[bytes, ...],
    ) -> None:
        """Answer a submission, after the answers to earlier submissions.

        A submission that had to wait has a receipt.
        """
        if receipt is None:
            if not peer.receipts:
                return peer.send(command, arguments)
            receipt = Receipt(peer)
            self._keep(peer, receipt)
        receipt.command = command
        receipt.arguments = arguments
        return None

    def write(self, peer: Peer, data: bytes) -> None:
        """Send data after the answers of other servers, if there are links."""
        if self.links and peer.receipts:
            return self.answer(None, peer, RAW, (data,))
        return peer.write(data)

    def promise(self, peer: Peer) -> Receipt:
        """Keep a place for the answer to a request of any kind; see `fulfil`."""
        receipt = Receipt(peer)
        if peer.receipts is None:
            peer.receipts = deque()
        self._keep(peer, receipt)
        return receipt

    def fulfil(
        self, receipt: Receipt, command: int, arguments: tuple[bytes, ...]
    ) -> None:
        """Set an answer that was promised; `pay` sends it."""
        receipt.command = command
        receipt.arguments = arguments
        self._payable.append(receipt.peer)

    def owe(self, receipt: Receipt | None, peer: Peer, job: Job) -> None:
        """Let a submission wait until its job is stored."""
        if receipt is None:
            receipt = Receipt(peer)
            if peer.receipts is None:
                peer.receipts = deque()
            self._keep(peer, receipt)
        assert job.receipts is not None  # noqa: S101
        job.receipts.append(receipt)
        self._memory.peers += RECEIPT_MEMORY

    def defer(self, peer: Peer, request: tuple[Any, ...]) -> None:
        """Let a request wait until the answers to earlier ones are sent."""
        receipt = Receipt(peer)
        receipt.request = request
        self._memory.peers += _request_size(request)
        self._keep(peer, receipt)
        self.deferring.append(peer)

    def settle(self, job: Job, command: int, arguments: tuple[bytes, ...]) -> None:
        """Set the answer to all submissions that wait for a job; `pay` sends it."""
        receipts, job.receipts = job.receipts, None
        if receipts is None:
            return
        self._memory.peers -= RECEIPT_MEMORY * len(receipts)
        for receipt in receipts:
            receipt.command = command
            receipt.arguments = arguments
            if not self._payable or self._payable[-1] is not receipt.peer:
                self._payable.append(receipt.peer)

    def forget(self, peer: Peer) -> None:
        """Drop the answers and requests of a peer that has disconnected."""
        self._memory.peers -= self.size(peer)
        peer.receipts = None

    def size(self, peer: Peer) -> int:
        """Return how many bytes of memory a peer's answers and requests take."""
        size = 0
        for receipt in peer.receipts or ():
            size += RECEIPT_MEMORY
            if receipt.request is not None:
                size += _request_size(receipt.request)
        return size

    def pay(self) -> None:
        """Send the answers that were set, and carry out the requests behind them.

        These are requests of other peers, so all states must be consistent before.
        """
        if self._payable:
            peers, self._payable = self._payable, []
            for peer in peers:
                self._pay_to(peer)

    def _pay_to(self, peer: Peer) -> None:
        """Send a peer its answers, up to the first one that is not set."""
        while peer.receipts:
            receipt = peer.receipts[0]
            if receipt.request is not None:
                request, receipt.request = receipt.request, None
                self._memory.peers -= _request_size(request)
                self._carry_out(receipt, request)
            if not receipt.command:
                return
            peer.receipts.popleft()
            self._memory.peers -= RECEIPT_MEMORY
            if receipt.command == RAW:
                peer.write(receipt.arguments[0])
            else:
                peer.send(receipt.command, receipt.arguments)
        if self.links:
            self.caught_up.append(peer)

    def _keep(self, peer: Peer, receipt: Receipt) -> None:
        assert peer.receipts is not None  # noqa: S101
        peer.receipts.append(receipt)
        self._memory.peers += RECEIPT_MEMORY


def _request_size(request: tuple[Any, ...]) -> int:
    """Return how many bytes of memory a waiting request takes."""
    name, unique, workload, _, _, _, reducer, options = request
    size = REQUEST_MEMORY + len(name) + len(unique) + len(workload)
    if options is not None:
        size += extra_size(options)
    return size if reducer is None else size + len(reducer)
