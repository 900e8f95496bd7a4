"""Plays random scenes with three servers, and prints what their peers have got.

python -m tests.server.broker.links.script SCENES
"""

import sys
from random import Random
from typing import Any

from gearman.commands import Command
from gearman.framing import BUILD
from tests.server.conftest import Wire
from tests.server.joined import LEASE, Joined

LINKS = ((1, 2), (1, 3), (2, 3))
SUBMITS = (Command.SUBMIT_JOB, Command.SUBMIT_JOB_BG, Command.SUBMIT_JOB_HIGH)
ENDS = (Command.WORK_COMPLETE, Command.WORK_FAIL, Command.WORK_EXCEPTION)
OPTIONS = (b"retries=1&backoff=fixed:0", b"keep=60&background=1", b"delay=1", b"ttl=1")


class Scene:
    """One scene; `told` is what the peers have got, in order."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._joined = Joined(3)
        self._peers = [self._joined.member(n % 3 + 1).connect() for n in range(6)]
        self._handles = [b"H:test:1"]
        self.told: list[tuple[int, tuple[Any, ...]]] = []

    def play(self, steps: int) -> None:
        acts = (*[self._submit] * 4, *[self._work] * 6, self._drain)
        acts += (self._ask, self._change)
        for _ in range(steps):
            self._random.choice(acts)(self._random.choice(self._peers))
            if self._random.random() < 0.7:
                self._joined.run()
                self._joined.check()
            for number, peer in enumerate(self._peers):
                self._note(number, peer.got())

    def _note(self, number: int, packets: list[tuple[Any, ...]]) -> None:
        for packet in packets:
            self.told.append((number, packet))
            if packet[0] in (Command.JOB_CREATED, Command.JOB_ASSIGN):
                self._handles.append(packet[1])

    def _send(self, peer: Wire, command: Command, *arguments: bytes) -> None:
        self._note(self._peers.index(peer), peer.send(command, *arguments))

    def _submit(self, peer: Wire) -> None:
        command = self._random.choice(SUBMITS)
        unique = self._random.choice((b"", b"-", b"u1", b"u2", b"u3", b"u4"))
        workload = b"%d" % self._random.randrange(5)
        if self._random.random() < 0.3:
            options = self._random.choice(OPTIONS)
            self._send(peer, Command.SUBMIT_JOB_WITH, b"f", unique, options, workload)
        else:
            self._send(peer, command, b"f", unique, workload)

    def _work(self, peer: Wire) -> None:
        act = self._random.randrange(6)
        handle = self._random.choice([*peer.peer.jobs, self._handles[-1]])
        if act == 0:
            self._send(peer, Command.CAN_DO_TIMEOUT, b"f", b"2000")
        elif act == 1:
            self._send(peer, Command.PRE_SLEEP)
        elif act in (2, 3):
            self._send(peer, Command.GRAB_JOB)
        elif act == 4:
            self._send(peer, Command.WORK_STATUS, handle, b"1", b"2")
        else:
            end = self._random.choice(ENDS)
            data = () if end == Command.WORK_FAIL else (b"r",)
            self._send(peer, end, handle, *data)

    def _drain(self, peer: Wire) -> None:
        """Have a worker do what it gets, until it has to sleep."""
        self._send(peer, Command.CAN_DO, b"f")
        for _ in range(30):
            for handle in list(peer.peer.jobs):
                self._send(peer, Command.WORK_COMPLETE, handle, b"r")
            if self._random.random() < 0.7:
                self._joined.run()
            self._send(peer, Command.GRAB_JOB)
            if not peer.peer.jobs:
                break
        self._send(peer, Command.PRE_SLEEP)

    def _ask(self, peer: Wire) -> None:
        handle = self._random.choice(self._handles)
        asks = (Command.GET_STATUS, Command.GET_RESULT, Command.WATCH_JOB)
        self._send(peer, self._random.choice(asks), handle)
        self._send(peer, Command.GET_STATUS_UNIQUE, b"u1")

    def _change(self, peer: Wire) -> None:
        act = self._random.randrange(5)
        if act == 0:
            self._joined.cut(*self._random.choice(LINKS))
        elif act in (1, 2):
            for link in LINKS:
                self._joined.join(*link)
        elif act == 3:
            self._joined.after(self._random.choice((0.06, 0.2, 1.1, 3.0, LEASE + 6)))
        else:
            number = self._peers.index(peer)
            peer.leave()
            self._peers[number] = self._joined.member(number % 3 + 1).connect()


def main(scenes: int) -> None:
    print(BUILD, file=sys.stderr)
    for seed in range(scenes):
        scene = Scene(seed)
        scene.play(200)
        print(seed, scene.told)


if __name__ == "__main__":
    main(int(sys.argv[1]))
