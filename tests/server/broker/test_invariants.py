"""Whatever peers do, in whatever order: no job is lost, and no memory leaks."""

from collections import Counter
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gearman.commands import Command
from gearman.server.broker.choice import FEW
from gearman.server.broker.constants import SLEEPING, WOKEN
from gearman.server.broker.sleepers import WAKE_PATIENCE
from gearman.server.broker.states import GONE, QUEUED, RUNNING, SCHEDULED
from tests.server.broker.sizes import counted, counted_for
from tests.server.conftest import Server

FUNCTIONS = (b"f", b"g")
UNIQUES = (b"", b"", b"u", b"v", b"-")
FOREGROUND = (Command.SUBMIT_JOB, Command.SUBMIT_JOB_HIGH, Command.SUBMIT_JOB_LOW)
BACKGROUND = (
    Command.SUBMIT_JOB_BG,
    Command.SUBMIT_JOB_HIGH_BG,
    Command.SUBMIT_JOB_LOW_BG,
)
GRABS = (Command.GRAB_JOB, Command.GRAB_JOB_UNIQ, Command.GRAB_JOB_ALL)
ASSIGNMENTS = (Command.JOB_ASSIGN, Command.JOB_ASSIGN_UNIQ)
ENDS = (Command.WORK_COMPLETE, Command.WORK_FAIL, Command.WORK_EXCEPTION)

functions = st.sampled_from(FUNCTIONS)
uniques = st.sampled_from(UNIQUES)
indexes = st.integers(0, 5)


class Person:
    """A peer, with the answers that it must get and those that it has got."""

    def __init__(self, server):
        self.wire = server.connect()
        self.awaits: Counter[bytes] = Counter()
        self.holds = []

    def send(self, command, *arguments):
        """Send a packet, and record all packets that came since."""
        packets = self.wire.send(command, *arguments)
        for answer, *values in packets:
            if answer in ASSIGNMENTS:
                self.holds.append(values[0])
            elif answer in ENDS:
                self.awaits[values[0]] -= 1
        return packets


class Peers(RuleBasedStateMachine):
    @initialize(
        wakeup=st.integers(0, 2),
        priority_first=st.booleans(),
        round_robin=st.booleans(),
        timeout_fails=st.booleans(),
        limits=st.sampled_from([(0, 0), (3, 0), (0, 1), (6, 2)]),
        many=st.booleans(),
    )
    def start(self, limits, many, **options):
        self.server = Server(**options)
        self.broker = self.server.broker
        self.accepted = set()
        self.people = [Person(self.server) for _ in range(4)]
        # For a worker with more than a few functions, jobs are searched in another way.
        names = [*FUNCTIONS, *(b"%d" % number for number in range(many and FEW))]
        for person in self.people[1:]:
            person.wire.can_do(*names)
            person.send(Command.PRE_SLEEP)
        self.broker.limits.jobs, self.broker.limits.functions = limits

    def person(self, index):
        return self.people[index % len(self.people)]

    @rule()
    @precondition(lambda self: len(self.people) < 6)
    def arrive(self):
        self.people.append(Person(self.server))

    @rule(index=indexes)
    @precondition(lambda self: len(self.people) > 1)
    def leave(self, index):
        person = self.person(index)
        self.people.remove(person)
        person.wire.leave()

    @rule(index=indexes, name=functions, timeout=st.sampled_from((b"0", b"5000")))
    def can_do(self, index, name, timeout):
        self.person(index).send(Command.CAN_DO_TIMEOUT, name, timeout)

    @rule(index=indexes, name=functions)
    def cant_do(self, index, name):
        self.person(index).send(Command.CANT_DO, name)

    @rule(index=indexes)
    def reset_abilities(self, index):
        self.person(index).send(Command.RESET_ABILITIES)

    @rule(index=indexes)
    def pre_sleep(self, index):
        self.person(index).send(Command.PRE_SLEEP)

    @rule(
        index=indexes,
        name=functions,
        unique=uniques,
        command=st.sampled_from(FOREGROUND),
    )
    def submit(self, index, name, unique, command):
        person = self.person(index)
        handles = self.created(person.send(command, name, unique, b"w"))
        person.awaits.update(handles)

    @rule(
        index=indexes,
        name=functions,
        unique=uniques,
        command=st.sampled_from(BACKGROUND),
    )
    def submit_background(self, index, name, unique, command):
        packets = self.person(index).send(command, name, unique, b"w")
        self.accepted.update(self.created(packets))

    @rule(index=indexes, name=functions, unique=uniques, size=st.integers(0, 9))
    def submit_reduce(self, index, name, unique, size):
        person = self.person(index)
        arguments = (name, unique, b"r" * size, b"", b"w")
        handles = self.created(person.send(Command.SUBMIT_REDUCE_JOB, *arguments))
        person.awaits.update(handles)

    @rule(index=indexes, name=functions, unique=uniques, seconds=st.integers(-5, 50))
    def submit_epoch(self, index, name, unique, seconds):
        when = b"%d" % (self.server.wall + seconds)
        packets = self.person(index).send(
            Command.SUBMIT_JOB_EPOCH, name, unique, when, b"w"
        )
        self.accepted.update(self.created(packets))

    def handles(self):
        return {job.handle for job in self.broker.jobs.known.values()}

    def created(self, packets):
        """Return a list with the handle of a submission; empty if it is refused."""
        kinds = (Command.JOB_CREATED, Command.ERROR)
        ((kind, argument, *_),) = (p for p in packets if p[0] in kinds)
        if kind == Command.ERROR:
            assert self.broker.hits.counts, "refused without a reason"
        return [argument] if kind == Command.JOB_CREATED else []

    @rule(index=indexes, command=st.sampled_from(GRABS))
    def grab(self, index, command):
        self.person(index).send(command)

    @rule(index=indexes, which=indexes, command=st.sampled_from(ENDS))
    def finish(self, index, which, command):
        person = self.person(index)
        if person.holds:
            handle = person.holds.pop(which % len(person.holds))
            data = () if command == Command.WORK_FAIL else (b"r",)
            peer = person.wire.peer
            late = handle in (peer.late or ()) and self.broker.jobs.find(handle)
            counts = handle in peer.jobs or (late and late.wanted())
            person.send(command, handle, *data)
            if counts:
                self.accepted.discard(handle)
                assert self.broker.jobs.find(handle) is None

    @rule(which=indexes)
    def cancel(self, which):
        handles = sorted(self.handles())
        if handles:
            handle = handles[which % len(handles)]
            assert self.broker.cancel(handle)
            self.accepted.discard(handle)

    @rule(seconds=st.integers(0, 10))
    def wait(self, seconds):
        timed_out = self.handles()
        self.server.after(seconds)
        if self.broker.workers.timeout_fails:
            self.accepted -= timed_out - self.handles()

    @invariant()
    def accepted_background_jobs_are_there(self):
        assert self.accepted <= self.handles()

    @invariant()
    def clients_wait_for_what_they_were_promised(self):
        for person in self.people:
            person.send(Command.ECHO_REQ, b"")
            awaited: Counter[bytes] = Counter()
            for job in person.wire.peer.waiting:
                assert job.clients.count(person.wire.peer) == 1
                awaited[job.handle] = job.joined(person.wire.peer)
            assert +person.awaits == awaited

    @invariant()
    def each_job_is_in_one_place(self):
        broker = self.broker
        running = [
            job for person in self.people for job in person.wire.peer.jobs.values()
        ]
        assert all(job.state == RUNNING for job in running)
        places = Counter(job.handle for job in running)
        for function in broker.functions.known.values():
            for queue in function.queues:
                live = [job for job in queue._entries if job.state == QUEUED]
                assert queue.count == len(live)
                places.update(job.handle for job in live)
            mine = [job for job in running if job.function is function]
            assert function.running == len(mine)
        scheduled = [
            job for job in broker.jobs.known.values() if job.state == SCHEDULED
        ]
        places.update(job.handle for job in scheduled)
        assert set(places.values()) <= {1}
        assert self.handles() <= set(places)
        assert all(job.state != GONE for job in broker.jobs.known.values())

    @invariant()
    def counts_are_those_of_the_jobs(self):
        for function in self.broker.functions.known.values():
            jobs = [
                job
                for job in self.broker.jobs.known.values()
                if job.function is function
            ]
            for priority, count in enumerate(function.scheduled):
                held = [
                    j for j in jobs if (j.state, j.priority) == (SCHEDULED, priority)
                ]
                assert count == len(held)
            assert set(function.twins.values()) <= set(jobs)
            able = [p for p in self.broker.peers if function in p.functions]
            assert function.workers == len(able)
        workers = [f.workers for f in self.broker.functions.known.values()]
        assert self.broker.functions.staffed == sum(map(bool, workers))

    @invariant()
    def jobs_are_found_by_their_uniques(self):
        uniques = self.broker.jobs.uniques
        jobs = [
            j for j in self.broker.jobs.known.values() if j.unique not in (b"", b"-")
        ]
        for job in jobs:
            assert uniques.find(job.function, job.unique, job.workload) is job
            first = uniques.first(job.unique)
            assert first is not None
            assert first.unique == job.unique
        others = [j for known in uniques._others.values() for j in known.values()]
        assert len(uniques._first) + len(others) == len(jobs)
        assert all(uniques._others.values())

    @invariant()
    def those_that_have_something_are_found(self):
        functions = self.broker.functions.known.values()
        for priority, listed in enumerate(self.broker.choice.listed):
            queues = {function: function.queues[priority] for function in functions}
            assert set(listed) == {f for f, queue in queues.items() if queue.listed}
            assert all(queue.listed for queue in queues.values() if queue.count)
        for peer in self.broker.peers:
            absent = [f for f in peer.functions if peer not in f.sleepers]
            assert sorted(f.name for f in peer.unlisted) == sorted(
                f.name for f in absent
            )
            assert peer.sleep != SLEEPING or not absent

    @invariant()
    def limits_are_kept(self):
        broker = self.broker
        assert (broker.memory.jobs, broker.memory.peers) == counted(broker)
        for peer in broker.peers:
            assert broker.memory_of(peer) == counted_for(peer)
        assert len(broker.jobs.known) <= (broker.limits.jobs or inf)
        assert sorted(f.name for f in broker.functions._round) == sorted(
            broker.functions.known
        )

    @invariant()
    def nothing_holds_the_workload_of_a_job_that_is_gone(self):
        for function in self.broker.functions.known.values():
            for queue in function.queues:
                gone = [job for job in queue._entries if job.state == GONE]
                assert not any(job.workload for job in gone if not job.stored)

    @invariant()
    def nobody_sleeps_beside_a_waiting_job(self):
        for function in self.broker.functions.known.values():
            if function.ready():
                sleeps = {p.sleep for p in self.broker.peers if function in p.functions}
                assert SLEEPING not in sleeps or (
                    self.broker.sleepers.wakeup and WOKEN in sleeps
                )

    @invariant()
    def nobody_waits_beside_a_worker_that_hangs_for_long(self):
        for peer in self.broker.sleepers._woken:
            assert peer.patience - self.broker.now <= WAKE_PATIENCE
        if not self.broker.sleepers.wakeup:
            assert not self.broker.sleepers._woken

    @invariant()
    def nobody_is_known_who_left(self):
        peers = {person.wire.peer for person in self.people}
        assert set(self.broker.peers) == peers
        assert set(self.broker.sleepers._woken) <= peers
        for function in self.broker.functions.known.values():
            assert set(function.sleepers) <= peers
        for job in self.broker.jobs.known.values():
            assert set(job.clients or ()) <= peers


TestPeers = Peers.TestCase
TestPeers.settings = settings(max_examples=400, stateful_step_count=40)
# No time limit, since other programs may keep the processor busy.
pytestmark = pytest.mark.timeout(300)
