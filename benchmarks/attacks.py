"""Attacks by a hostile or careless client: ``python -m benchmarks.attacks NAME PORT``.

An attack is prepared first. Then it prints a line, waits for a line on standard input,
and goes on until standard input ends. It uses plain sockets, and a server with default
options.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from select import select
from threading import Thread

from benchmarks.servers import HOST
from gearman.commands import REQUEST, Command
from gearman.framing import encode

# A function that prepares an attack, and returns its step: a function that is called
# again and again until it returns False.
Step = Callable[[], bool]
Attack = Callable[[int], Step]

CROWD = 10


def packet(command: Command, *arguments: bytes) -> bytes:
    return encode(command, arguments, REQUEST)


class Client:
    """A connection that reads and drops data, or does not read at all."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port))
        self._marks = count()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def carried_out(self, data: bytes) -> None:
        """Send requests, and return when the server has answered all of them."""
        mark = b"mark %d" % next(self._marks)
        sender = Thread(
            target=self.socket.sendall, args=(data + packet(Command.ECHO_REQ, mark),)
        )
        sender.start()
        seen = b""
        while mark not in seen:
            seen = seen[-len(mark) :] + self.socket.recv(1 << 20)
        sender.join()

    def flood(self, data: bytes, *, reads: bool) -> bool:
        """Send as much as the socket accepts; return whether that was anything."""
        self.socket.setblocking(False)
        readable, writable, _ = select(
            [self.socket] if reads else [], [self.socket], [], 0
        )
        try:
            if readable and not self.socket.recv(1 << 20):
                return False
            if writable:
                self.socket.send(data)
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True


def _names(number: int, size: int = 0) -> Iterator[bytes]:
    for each in range(number):
        yield b"name-%d-" % each + b"x" * size


def _able(port: int, number: int, size: int = 0) -> Client:
    """Return a worker with so many functions."""
    worker = Client(port)
    able = (packet(Command.CAN_DO, name) for name in _names(number, size))
    worker.carried_out(b"".join(able))
    return worker


def _in_background(port: int, names: Iterator[bytes], unique: bytes = b"") -> None:
    jobs = (packet(Command.SUBMIT_JOB_BG, name, unique, b"") for name in names)
    Client(port).carried_out(b"".join(jobs))


def _flooded(clients: Sequence[Client], data: bytes, *, reads: bool = True) -> Step:
    """Return a step that repeats a request by all these clients."""
    many = data * max(1 << 16 >> len(data).bit_length(), 1)

    def step() -> bool:
        alive = [client.flood(many, reads=reads) for client in clients]
        if not reads:
            time.sleep(0.001)
        return any(alive)

    return step


def listings(port: int) -> Step:
    """Repeatedly ask for the status of 2,000 functions, and read nothing."""
    _able(port, 2000, 50)
    return _flooded([Client(port)], b"status\n", reads=False)


def long_names(port: int) -> Step:
    """The same with names of 500 bytes, most of which are printed as escapes."""
    worker = Client(port)
    able = (packet(Command.CAN_DO, n + b"\x9b" * 500) for n in _names(3000))
    worker.carried_out(b"".join(able))
    return _flooded([Client(port)], b"status\n", reads=False)


def all_jobs(port: int) -> Step:
    """Ask for the list of a million jobs, once."""
    _in_background(port, (b"f" for _ in range(1_000_000)))
    client = Client(port)
    asked: list[bool] = []

    def step() -> bool:
        if not asked:
            client.send(b"show jobs\n")
            asked.append(True)
        client.socket.recv(1 << 20)
        return True

    return step


def all_jobs_often(port: int) -> Step:
    """Ask for the list of 300,000 jobs by fifty connections at a time."""
    _in_background(port, (b"f" for _ in range(300_000)))
    return _flooded([Client(port) for _ in range(50)], b"show jobs\n")


def joins(port: int) -> Step:
    """Submit one job 100,000 times, and give it a result of 32 KB."""
    worker = Client(port)
    worker.carried_out(packet(Command.CAN_DO, b"f"))
    client = Client(port)
    client.carried_out(packet(Command.SUBMIT_JOB, b"f", b"unique", b"") * 100_000)
    worker.send(packet(Command.GRAB_JOB))
    handle = worker.socket.recv(1000)[12:].split(b"\0")[0]
    done: list[bool] = []

    def step() -> bool:
        if not done:
            worker.send(packet(Command.WORK_COMPLETE, handle, bytes(32 * 1024)))
            done.append(True)
        return bool(client.socket.recv(1 << 20))

    return step


def uniques(port: int) -> Step:
    """Ask for the status of uniques, with a job in each of 9,900 functions."""
    _in_background(port, _names(9900), b"unique")
    question = packet(Command.GET_STATUS_UNIQUE, b"no such unique")
    return _flooded([Client(port) for _ in range(CROWD)], question)


def sleepers(port: int) -> Step:
    """Repeatedly send PRE_SLEEP, as a worker with 1,000 functions."""
    workers = [_able(port, 1000) for _ in range(CROWD)]
    return _flooded(workers, packet(Command.PRE_SLEEP))


def turning_sleepers(port: int) -> Step:
    """Repeatedly send GRAB_JOB and PRE_SLEEP, with 1,000 functions."""
    workers = [_able(port, 1000) for _ in range(CROWD)]
    return _flooded(workers, packet(Command.GRAB_JOB) + packet(Command.PRE_SLEEP))


def grabs(port: int) -> Step:
    """Ask for jobs with 1,000 functions, while 9,000 other functions have jobs."""
    _in_background(port, (name + b"other" for name in _names(9000)))
    workers = [_able(port, 1000) for _ in range(CROWD)]
    return _flooded(workers, packet(Command.GRAB_JOB))


def abilities(port: int) -> Step:
    """Register and remove 2,000 functions."""
    names = list(_names(2000))
    requests = [packet(Command.CAN_DO, name) for name in names]
    requests += [packet(Command.CANT_DO, name) for name in names]
    clients = [Client(port) for _ in range(CROWD)]
    return _all_of([_stream(client, b"".join(requests)) for client in clients])


def _all_of(steps: Sequence[Step]) -> Step:
    """Return a step that does all these steps, until all have ended."""

    def step() -> bool:
        alive = [each() for each in steps]
        return any(alive)

    return step


def _stream(client: Client, data: bytes) -> Step:
    """Return a step that sends these bytes again and again."""
    at = [0]
    client.socket.setblocking(False)

    def step() -> bool:
        try:
            at[0] += client.socket.send(data[at[0] : at[0] + (1 << 16)])
            at[0] %= len(data)
        except BlockingIOError:
            time.sleep(0.0001)
        except OSError:
            return False
        return True

    return step


def lines(port: int) -> Step:
    """Ask for the version, by ten connections that read."""
    return _flooded([Client(port) for _ in range(CROWD)], b"version\n")


def echoes(port: int) -> Step:
    """Request echoes of 64 KB without reading them, by fifty connections."""
    data = packet(Command.ECHO_REQ, bytes(64 * 1024))
    return _flooded([Client(port) for _ in range(50)], data, reads=False)


def halves(port: int) -> Step:
    """Send packets of 60 MB without their last byte, by fifty connections."""
    half = packet(Command.ECHO_REQ, bytes(60 << 20))[:-1]
    return _halves([Client(port) for _ in range(50)], half)


def _halves(clients: Sequence[Client], half: bytes) -> Step:
    """Return a step that sends the next part of a packet by each of these clients."""
    data = memoryview(half)
    sent = dict.fromkeys(clients, 0)
    for client in clients:
        client.socket.setblocking(False)

    def step() -> bool:
        for client, at in list(sent.items()):
            try:
                sent[client] += client.socket.send(data[at : at + (1 << 18)])
            except BlockingIOError:
                pass
            except OSError:
                del sent[client]
        time.sleep(0.001)
        return True

    return step


def names(port: int) -> Step:
    """Register functions with names of 8,000 bytes without end, by ten connections."""
    streams = [
        b"".join(
            packet(Command.CAN_DO, b"%d-%d-" % (number, each) + b"x" * 8000)
            for each in range(10_000)
        )
        for number in range(CROWD)
    ]
    return _all_of([_stream(Client(port), data) for data in streams])


def submissions(port: int) -> Step:
    """Submit jobs of 20 KB without end, by ten connections that read."""
    job = packet(Command.SUBMIT_JOB_BG, b"f", b"", bytes(20_000))
    return _flooded([Client(port) for _ in range(CROWD)], job)


def scheduled(port: int) -> Step:
    """Schedule a million jobs for the same second."""
    due = time.time() + 45
    job = packet(Command.SUBMIT_JOB_EPOCH, b"f", b"", b"%d" % due, b"")
    client = Client(port)
    client.carried_out(job * 1_000_000)
    time.sleep(max(due - time.time() - 2, 0))

    def step() -> bool:
        time.sleep(0.1)
        return True

    return step


ATTACKS: dict[str, Attack] = {
    each.__name__.replace("_", "-"): each
    for each in (
        listings,
        long_names,
        all_jobs,
        all_jobs_often,
        joins,
        uniques,
        sleepers,
        turning_sleepers,
        grabs,
        abilities,
        lines,
        echoes,
        halves,
        names,
        submissions,
        scheduled,
    )
}


def _ended() -> bool:
    """Whether standard input has ended."""
    return bool(select([sys.stdin], [], [], 0)[0])


def main() -> None:
    name, port = sys.argv[1], int(sys.argv[2])
    # It represents other machines, and must not use the server's processor.
    os.nice(19)
    step = ATTACKS[name](port)
    print("prepared", flush=True)
    sys.stdin.readline()
    while not _ended() and step():
        pass


if __name__ == "__main__":
    main()
