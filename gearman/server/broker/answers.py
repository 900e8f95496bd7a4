"""Answers to submissions, in the order of the submissions.

Those of one connection go out in order, since clients tell them apart by nothing else.
So while a peer waits for the store, what it submits for the foreground waits as well;
nobody else does.

A verb ends before another one begins: what waited behind an answer is carried out by
`pay`, as the last thing that a verb does, when every job is in its place again.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from .memory import RECEIPT_MEMORY, REQUEST_MEMORY, Memory
from .model import Job, Peer, Receipt


class Answers:
    """What peers are owed.

    `deferring` are peers with requests that have to wait, and are better not read from.
    `carry_out` gets a receipt whose request can be carried out now; it has to see to
    the answer.
    """

    def __init__(
        self, memory: Memory, carry_out: Callable[[Receipt, tuple[Any, ...]], None]
    ) -> None:
        self.deferring: list[Peer] = []
        self._memory = memory
        self._carry_out = carry_out
        # Peers that can be sent answers, once the verb at work is done.
        self._payable: list[Peer] = []

    def answer(
        self,
        receipt: Receipt | None,
        peer: Peer,
        command: int,
        arguments: tuple[bytes, ...],
    ) -> None:
        """Answer a submission, after those that came before it.

        The receipt is the submission's if it had to wait.
        """
        if receipt is None:
            if not peer.receipts:
                return peer.send(command, arguments)
            receipt = Receipt(peer)
            self._keep(peer, receipt)
        receipt.command = command
        receipt.arguments = arguments
        return None

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
        """Let a request wait until the answers before it are sent."""
        receipt = Receipt(peer)
        receipt.request = request
        self._memory.peers += _request_size(request)
        self._keep(peer, receipt)
        self.deferring.append(peer)

    def settle(self, job: Job, command: int, arguments: tuple[bytes, ...]) -> None:
        """Decide on the answer to all who are owed one for a job; `pay` sends it."""
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
        """Forget what a peer is owed that is gone."""
        self._memory.peers -= self.size(peer)
        peer.receipts = None

    def size(self, peer: Peer) -> int:
        """Return how many bytes of memory it takes what a peer is owed."""
        size = 0
        for receipt in peer.receipts or ():
            size += RECEIPT_MEMORY
            if receipt.request is not None:
                size += _request_size(receipt.request)
        return size

    def pay(self) -> None:
        """Send the answers that were decided on, and carry out what waited for them.

        That is requests of others, so nothing may be half done when this is called.
        """
        if self._payable:
            peers, self._payable = self._payable, []
            for peer in peers:
                self._pay_to(peer)

    def _pay_to(self, peer: Peer) -> None:
        """Send a peer the answers that have not to wait for another any longer."""
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
            peer.send(receipt.command, receipt.arguments)

    def _keep(self, peer: Peer, receipt: Receipt) -> None:
        assert peer.receipts is not None  # noqa: S101
        peer.receipts.append(receipt)
        self._memory.peers += RECEIPT_MEMORY


def _request_size(request: tuple[Any, ...]) -> int:
    """Return how many bytes of memory a request takes that waits."""
    name, unique, workload, _, _, _, reducer = request
    size = REQUEST_MEMORY + len(name) + len(unique) + len(workload)
    return size if reducer is None else size + len(reducer)
