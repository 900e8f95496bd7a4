"""Whatever peers and the store do: acknowledged jobs are durable, and in order."""

from collections import Counter, deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gearman import _framing
from gearman.commands import REQUEST, Command
from gearman.options import parse_policy
from gearman.server.broker import Record
from gearman.server.broker.model import joins_of
from gearman.server.broker.states import PENDING
from gearman.server.broker.steering.records import job_extra, job_record, split
from gearman.server.storage.journal import Journal, jobs_of
from tests.server.broker.sizes import counted, counted_for
from tests.server.broker.steered import policies_of
from tests.server.conftest import Server
from tests.servers import DEADLINE

UNIQUES = (b"u", b"")
ANSWERS = (Command.JOB_CREATED, Command.ERROR)
ENDS = (Command.WORK_COMPLETE, Command.WORK_FAIL)
OPTIONS = (
    *(b"retries=2&backoff=fixed:0", b"dead=list", b"keep=1000", b"delay=5&ttl=3"),
    *(b"retries=1&backoff=fixed:5&keep=1000&dead=list", b"dead=function:g"),
)
POLICIES = (b"retries=1&backoff=fixed:0", b"dead=list", b"keep=1000", b"paused=1")
KEPT = (b"done", b"failed", b"exception")
indexes = st.integers(0, 3)


class Client:
    """A peer, with its submissions that are not answered yet."""

    def __init__(self, server):
        self.wire = server.connect().can_do(b"f", b"g")
        self.unanswered: deque[tuple[Command, bytes]] = deque()
        self.holds = []
        # How many ends of jobs it must still be told, by handle.
        self.awaits: Counter[bytes] = Counter()


def divided(added):
    """Return jobs, and the numbers of records."""
    jobs = [each for each in added if not isinstance(each, Record)]
    return jobs, [each.number for each in added if isinstance(each, Record)]


class Crashes(RuleBasedStateMachine):
    """A server that is killed from time to time, and its store."""

    @initialize(retries=st.sampled_from((-1, 1)))
    def begin(self, retries):
        self.stored = {}
        self.retries = retries
        # Handles of background jobs that are acknowledged and have not ended.
        self.promised = set()
        # Numbers of jobs that have ended, and whose removal is durable.
        self.over = set()
        # The ends of jobs that somebody has asked for, and was told, by handle.
        self.told = {}
        self.next_number = 1
        self.start()

    def start(self):
        self.server = Server(
            persistent=True, retries=self.retries, first_handle=self.next_number
        )
        self.broker = self.server.broker
        self.journal = Journal()
        for number in sorted(self.stored):
            self.broker.stored.restore(number, *self.stored[number])
        self.broker.stored.restored()
        self.clients = [Client(self.server) for _ in range(3)]

    @rule(index=indexes, unique=st.sampled_from(UNIQUES))
    def submit(self, index, unique):
        self.send(index, Command.SUBMIT_JOB, unique)

    @rule(index=indexes, unique=st.sampled_from(UNIQUES))
    def submit_background(self, index, unique):
        self.send(index, Command.SUBMIT_JOB_BG, unique)

    @rule(index=indexes, unique=st.sampled_from(UNIQUES), first=st.booleans())
    def submit_both(self, index, unique, first):
        """Submit a job in both ways, as in one write, and have a worker take it."""
        commands = [Command.SUBMIT_JOB_BG, Command.SUBMIT_JOB]
        for command in commands if first else reversed(commands):
            self.send(index, command, unique)
        self.grab(index + 1)

    @rule(
        index=indexes,
        unique=st.sampled_from(UNIQUES),
        options=st.sampled_from(OPTIONS),
        after=indexes,
    )
    def submit_with(self, index, unique, options, after):
        options = b"background=1&" + options
        handles = sorted(job.handle for job in self.broker.jobs.known.values())
        if after and handles:
            options += b"&after=" + handles[after % len(handles)]
        self.send(index, Command.SUBMIT_JOB_WITH, unique, options)

    @rule(which=indexes)
    def ask_for_a_result(self, which):
        handles = sorted(it.handle for it in self.broker.results.known.values())
        if handles:
            handle = handles[which % len(handles)]
            state, data = self.broker.results.of(handle)
            if state in KEPT:
                self.told[handle] = state, data

    @rule(policy=st.sampled_from((*POLICIES, b"")))
    def set_policy(self, policy):
        if policy:
            self.broker.policies.set(b"f", parse_policy(policy))
        else:
            self.broker.policies.unset(b"f")
        self.listen()

    @rule(which=indexes, revives=st.booleans())
    def decide_about_the_dead(self, which, revives):
        dead = list(self.broker.dead.known.values())
        if dead:
            job = dead[which % len(dead)]
            if revives:
                self.broker.dead.revive(job)
            else:
                self.broker.dead.forget(job)
                self.promised.discard(job.handle)

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds):
        before = self.here()
        self.server.after(seconds)
        self.promised -= before - self.here()
        self.listen()

    def here(self):
        """Return the handles of the jobs that are known or dead."""
        known = {job.handle for job in self.broker.jobs.known.values()}
        return known | {job.handle for job in self.broker.dead.known.values()}

    def send(self, index, command, unique, *options):
        client = self.clients[index % len(self.clients)]
        client.unanswered.append((command, unique))
        packet = _framing.encode(command, (b"f", unique, *options, b"w"), REQUEST)
        client.wire.protocol.receive(packet)
        self.listen()

    def listen(self):
        """Record the packets that peers have got."""
        for client in self.clients:
            for command, *arguments in client.wire.got():
                if command in ANSWERS:
                    self.answered(client, command, arguments)
                elif command in ENDS:
                    client.awaits[arguments[0]] -= 1
                elif command == Command.JOB_ASSIGN:
                    client.holds.append(arguments[0])

    def answered(self, client, command, arguments):
        submitted, unique = client.unanswered.popleft()
        if command == Command.ERROR:
            assert arguments[0] == b"QUEUE_ERROR"
            return
        if submitted == Command.SUBMIT_JOB:
            client.awaits[arguments[0]] += 1
        job = self.broker.jobs.find(arguments[0])
        if job is not None:
            assert job.unique == unique
            if submitted != Command.SUBMIT_JOB:
                assert job.number in self.stored
                self.promised.add(job.handle)

    @rule(index=indexes)
    def grab(self, index):
        client = self.clients[index % len(self.clients)]
        grab = _framing.encode(Command.GRAB_JOB, (), REQUEST)
        client.wire.protocol.receive(grab)
        self.listen()

    @rule(index=indexes, fails=st.booleans())
    def finish(self, index, fails):
        client = self.clients[index % len(self.clients)]
        if client.holds:
            handle = client.holds.pop()
            if fails:
                self.broker.workers.fail(client.wire.peer, handle)
            else:
                self.broker.workers.complete(client.wire.peer, handle, b"")
            if handle not in self.here():
                self.promised.discard(handle)
            self.listen()

    @rule(
        index=indexes,
        options=st.sampled_from(OPTIONS),
        fails=st.booleans(),
        later=st.booleans(),
    )
    def store_and_work(self, index, options, fails, later):
        """Submit a job, store it, and have a worker end it; store that, or not."""
        self.submit_with(index, b"", options, 0)
        self.commit(False)
        self.grab(index + 1)
        self.finish(index + 1, fails)
        if later:
            self.commit(False)

    @rule(index=indexes)
    def leave(self, index):
        client = self.clients.pop(index % len(self.clients))
        before = self.here()
        client.wire.leave()
        if self.retries >= 0:
            self.promised -= before - self.here()
        self.clients.append(Client(self.server))
        self.listen()

    @rule(which=indexes)
    def cancel(self, which):
        jobs = list(self.broker.jobs.known.values())
        if jobs:
            handle = jobs[which % len(jobs)].handle
            self.broker.cancel(handle)
            self.listen()
            self.promised.discard(handle)

    def hand_over(self):
        self.journal.write(self.broker.jobs.changes)
        self.broker.jobs.changes.clear()
        self.journal.write_records(self.broker.jobs.records)
        self.broker.jobs.records.clear()
        self.broker.answers.deferring.clear()

    def apply(self, changes):
        for number, job in changes.items():
            if job is None:
                self.stored.pop(number, None)
                if number not in self.broker.jobs.known:
                    self.over.add(number)
            elif isinstance(job, Record):
                # A result has the number of its job.
                row = (job.handle, job.name, b"", job.workload, 1, 0, 0, None)
                self.stored[number] = (*row, job.extra)
            else:
                assert number not in self.over
                self.stored[number] = (
                    *(job.handle, job.function.name, job.unique, job.workload),
                    *(job.priority, job.when, job.retries, job.reducer),
                    b"" if job.extra is None else job.extra.record,
                )

    @rule(later=st.booleans())
    def commit(self, later):
        self.hand_over()
        changes = self.journal.take()
        self.apply(changes)
        if later:
            # A plugin gets further changes while a commit runs.
            for client in self.clients:
                self.broker.cancel(b"".join(client.holds[:1]))
                self.promised -= set(client.holds[:1])
            self.hand_over()
        self.journal.landed()
        jobs, records = divided(jobs_of(changes))
        self.broker.stored.durable(jobs)
        self.broker.stored.recorded(records)
        self.listen()

    @rule(applied=st.booleans())
    def fail(self, applied):
        """A commit fails, perhaps after everything was stored."""
        self.hand_over()
        changes = self.journal.take()
        if applied:
            self.apply(changes)
        self.journal.landed()
        self.journal.put_back(changes)
        jobs, records = divided([*jobs_of(changes), *self.journal.drop_jobs()])
        self.broker.stored.failed(jobs, b"down")
        self.broker.stored.record_again(records)
        self.broker.stored.store_again([job.number for job in jobs])
        self.listen()

    @rule()
    def crash(self):
        self.next_number = self.broker.jobs.next_number
        self.start()

    @invariant()
    def what_is_promised_is_stored_and_known(self):
        assert self.promised <= self.here()
        assert self.promised <= {handle for handle, *_ in self.stored.values()}

    @invariant()
    def what_is_over_does_not_come_back(self):
        assert not self.over & self.stored.keys()

    @invariant()
    def what_was_told_of_an_end_is_kept(self):
        for handle, told in self.told.items():
            assert self.broker.results.of(handle) == told

    @invariant()
    def clients_are_told_the_end_of_their_jobs_or_wait_for_it(self):
        for client in self.clients:
            waits: Counter[bytes] = Counter()
            for awaited in client.wire.peer.waiting:
                assert self.broker.jobs.known[awaited.number] is awaited
                assert (awaited.clients or []).count(client.wire.peer) == 1
                waits[awaited.handle] = joins_of(awaited, client.wire.peer)
            owed = sum(c == Command.SUBMIT_JOB for c, _ in client.unanswered)
            awaits = +client.awaits
            assert awaits <= waits
            assert (waits - awaits).total() <= owed

    @invariant()
    def memory_is_counted(self):
        memory = self.broker.memory
        assert (memory.jobs, memory.peers) == counted(self.broker)
        for peer in self.broker.peers:
            assert self.broker.memory_of(peer) == counted_for(peer)

    @invariant()
    def pending_jobs_are_those_that_somebody_is_owed_an_answer_for(self):
        jobs = self.broker.jobs.known.values()
        pending = [job for job in jobs if job.state == PENDING]
        assert all(job.receipts is not None for job in pending)
        functions = self.broker.functions.known.values()
        assert sum(function.pending for function in functions) == len(pending)

    @invariant()
    def nothing_is_owed_or_left_once_all_is_stored(self):
        changes = self.broker.jobs.changes or self.broker.jobs.records
        if not (changes or len(self.journal)):
            assert not any(client.unanswered for client in self.clients)
            jobs = self.broker.jobs.known.values()
            stored = {job.number: job for job in jobs if job.stored}
            stored |= {
                n: job for n, job in self.broker.dead.known.items() if job.stored
            }
            kept = self.broker.results.known.keys()
            others = self.stored.keys() - stored.keys() - kept
            assert stored.keys() | kept <= self.stored.keys()
            assert all(b"kind=setting" in self.stored[n][8] for n in others)
            assert len(others) == len(policies_of(self.broker))
            assert all(job.retries == self.stored[n][6] for n, job in stored.items())
            for number, job in stored.items():
                if job.extra is not None and number not in kept:
                    known = job_extra(split(job_record(job.extra)))
                    told = job_extra(split(self.stored[number][8]))
                    assert lasting(told) == lasting(known)


def lasting(extra):
    """Return what must be stored whenever it changes."""
    end = (extra.died, extra.reason, extra.error)
    return extra.options, extra.attempts, extra.moved, extra.due, *end


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(max_examples=400, stateful_step_count=30)
# It takes no time but the processor's, which other programs may have.
pytestmark = pytest.mark.timeout(30 * DEADLINE)
