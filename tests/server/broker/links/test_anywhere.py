"""Whatever clients, workers and links do: each job ends, and nothing is left behind."""

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gearman.commands import Command
from tests.server.broker.sizes import counted
from tests.server.conftest import Wire
from tests.server.joined import LEASE, Joined

FUNCTIONS = (b"f", b"g")
UNIQUES = (b"", b"", b"u0", b"u1", b"u2", b"u3", b"-")
ENDS = (Command.WORK_COMPLETE, Command.WORK_FAIL, Command.WORK_EXCEPTION)
LINKS = ((1, 2), (1, 3), (2, 3))
FOREGROUND = (Command.SUBMIT_JOB, Command.SUBMIT_JOB_HIGH, Command.SUBMIT_JOB_LOW)
members = st.integers(1, 3)
indexes = st.integers(0, 5)


class Player:
    """A client or worker, and what it waits for."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        # Submissions that are not answered: whether each is a foreground one.
        self.unanswered: list[bool] = []
        # How many ends of each job are to come.
        self.waits: Counter[bytes] = Counter()
        self.created: list[bytes] = []
        # The jobs that it runs, with their workloads.
        self.runs: dict[bytes, bytes] = {}
        self.functions: list[bytes] = []
        self.asleep = False


class Anywhere(RuleBasedStateMachine):
    """Three servers, whose links break."""

    def __init__(self) -> None:
        super().__init__()
        self.joined = Joined(3)
        self.clients: list[Player] = []
        self.workers: list[Player] = []
        self.workload = 0
        # Workloads of background jobs that were acknowledged; of all that were done.
        self.promised: set[bytes] = set()
        self.done: Counter[bytes] = Counter()
        # Workloads of jobs without a unique. They may run twice after a link was broken
        # for long.
        self.plain: set[bytes] = set()
        self.parted = False

    # -- peers

    @rule(number=members)
    def client(self, number: int) -> None:
        if len(self.clients) < 4:
            client = Player(self.joined.member(number).connect())
            client.wire.send(Command.OPTION_REQ, b"exceptions")
            self.clients.append(client)

    @rule(number=members, names=st.sampled_from((FUNCTIONS, FUNCTIONS[:1])))
    def worker(self, number: int, names: tuple[bytes, ...]) -> None:
        if len(self.workers) < 4:
            worker = Player(self.joined.member(number).connect())
            worker.wire.can_do(*names)
            self.workers.append(worker)

    @precondition(lambda self: self.clients)
    @rule(index=indexes)
    def client_leaves(self, index: int) -> None:
        client = self.clients.pop(index % len(self.clients))
        client.wire.leave()

    @precondition(lambda self: self.workers)
    @rule(index=indexes)
    def worker_leaves(self, index: int) -> None:
        self.workers.pop(index % len(self.workers)).wire.leave()

    # -- what they do

    @precondition(lambda self: self.clients)
    @rule(
        index=indexes,
        command=st.sampled_from((*FOREGROUND, Command.SUBMIT_JOB_BG)),
        name=st.sampled_from(FUNCTIONS),
        unique=st.sampled_from(UNIQUES),
    )
    def submit(self, index: int, command: Command, name: bytes, unique: bytes) -> None:
        client = self.clients[index % len(self.clients)]
        self.workload += 1
        workload = b"%d" % self.workload
        if not unique:
            self.plain.add(workload)
        client.unanswered.append(command in FOREGROUND)
        client.created.append(workload if not unique else b"")
        self.take(client, client.wire.send(command, name, unique, workload))

    @precondition(lambda self: self.workers)
    @rule(index=indexes)
    def grab(self, index: int) -> None:
        worker = self.workers[index % len(self.workers)]
        worker.asleep = False
        self.work(worker, worker.wire.send(Command.GRAB_JOB))

    @precondition(lambda self: self.workers)
    @rule(index=indexes)
    def sleep(self, index: int) -> None:
        worker = self.workers[index % len(self.workers)]
        worker.asleep = True
        self.work(worker, worker.wire.send(Command.PRE_SLEEP))

    @precondition(lambda self: any(w.runs for w in self.workers))
    @rule(index=indexes, end=st.sampled_from((*ENDS, Command.WORK_COMPLETE)))
    def end(self, index: int, end: Command) -> None:
        running = [worker for worker in self.workers if worker.runs]
        self.finish(running[index % len(running)], end)

    def finish(self, worker: Player, end: Command) -> None:
        handle, workload = worker.runs.popitem()
        self.done[workload] += 1
        data = () if end == Command.WORK_FAIL else (workload,)
        self.work(worker, worker.wire.send(end, handle, *data))

    @precondition(lambda self: self.workers)
    @rule(index=indexes, name=st.sampled_from(FUNCTIONS))
    def cannot(self, index: int, name: bytes) -> None:
        worker = self.workers[index % len(self.workers)]
        self.work(worker, worker.wire.send(Command.CANT_DO, name))

    @precondition(lambda self: any(w.runs for w in self.workers))
    @rule(index=indexes)
    def say(self, index: int) -> None:
        running = [worker for worker in self.workers if worker.runs]
        worker = running[index % len(running)]
        handle = next(iter(worker.runs))
        self.work(worker, worker.wire.send(Command.WORK_STATUS, handle, b"1", b"2"))

    # -- links and time

    @rule(link=st.sampled_from(LINKS))
    def cut(self, link: tuple[int, int]) -> None:
        self.joined.cut(*link)

    @rule(link=st.sampled_from(LINKS))
    def join(self, link: tuple[int, int]) -> None:
        self.joined.join(*link)

    @rule()
    def step(self) -> None:
        self.joined.step()

    @rule()
    def run(self) -> None:
        self.joined.run()

    @rule(seconds=st.sampled_from((0.06, 0.2, 1.1, LEASE + 6)))
    def wait(self, seconds: float) -> None:
        if seconds > LEASE and not self.joined.is_whole():
            self.parted = True
        self.joined.after(seconds)

    # -- what the servers count

    @invariant()
    def memory_is_counted(self) -> None:
        for member in self.joined:
            memory = member.broker.memory
            assert (memory.jobs, memory.peers) == counted(member.broker)

    # -- what they get

    @invariant()
    def read(self) -> None:
        for client in self.clients:
            self.take(client, client.wire.got())
        for worker in self.workers:
            self.work(worker, worker.wire.got())

    def take(self, client: Player, packets: list[tuple[Any, ...]]) -> None:
        for command, *arguments in packets:
            if command == Command.JOB_CREATED:
                if client.unanswered.pop(0):
                    client.waits[arguments[0]] += 1
                    client.created.pop(0)
                else:
                    self.promised.add(client.created.pop(0))
            elif command in ENDS:
                assert client.waits[arguments[0]] > 0, (command, arguments)
                client.waits[arguments[0]] -= 1
            elif command == Command.WORK_STATUS:
                assert client.waits[arguments[0]] > 0
            else:
                assert command == Command.OPTION_RES, (command, arguments)

    def work(self, worker: Player, packets: list[tuple[Any, ...]]) -> None:
        for command, *arguments in packets:
            if command == Command.JOB_ASSIGN:
                if arguments[2] in self.plain and not self.parted:
                    running = [w for w in self.workers if arguments[0] in w.runs]
                    assert running == []
                assert arguments[0] not in worker.runs
                worker.runs[arguments[0]] = arguments[2]
            elif command == Command.NOOP:
                worker.asleep = False
            else:
                assert command == Command.NO_JOB, (command, arguments)

    # -- the end

    def teardown(self) -> None:
        for link in LINKS:
            self.joined.join(*link)
        for worker in self.workers:
            while worker.runs:
                self.finish(worker, Command.WORK_COMPLETE)
        last = Player(self.joined.member(1).connect())
        last.wire.can_do(*FUNCTIONS)
        self.workers.append(last)
        for _ in range(200):
            self.joined.after(1.1)
            for worker in self.workers:
                self.work(worker, worker.wire.send(Command.GRAB_JOB))
                while worker.runs:
                    self.finish(worker, Command.WORK_COMPLETE)
                self.work(worker, worker.wire.send(Command.PRE_SLEEP))
            self.read()
            if not any(member.broker.jobs.known for member in self.joined):
                break
        self.joined.after(LEASE + 6)
        self.read()
        for client in self.clients:
            assert not client.unanswered
            assert not +client.waits, client.waits
        for workload in self.promised - {b""}:
            assert self.done[workload], workload
        for each in (*self.clients, *self.workers):
            each.wire.leave()
        self.joined.run()
        for member in self.joined:
            broker, links = member.broker, member.links
            assert broker.jobs.known == {}
            assert not links.borrowing.jobs
            assert links.first == float("inf")
            for function in broker.functions.known.values():
                assert function.total() == 0
                assert function.lenders is None
                assert function.borrowers is None
                assert function.workers == 0
            for remote in links.remotes.values():
                left = [remote.tokens, remote.away, remote.asked, remote.told]
                left += [remote.owner.kept, remote.worker.jobs]
                left += [remote.client.waiting, remote.owner.waiting]
                assert not any(left)


TestAnywhere = Anywhere.TestCase
TestAnywhere.settings = settings(max_examples=100, stateful_step_count=40)
