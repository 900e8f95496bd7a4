"""Whatever peers do, in whatever order: no job is lost, and no memory leaks."""

import os
from collections import Counter
from math import inf
from typing import Any

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
from gearman.options import Policies, parse_policy
from gearman.server.broker.assignment.choice import FEW
from gearman.server.broker.assignment.sleepers import WAKE_PATIENCE
from gearman.server.broker.constants import SLEEPING, WOKEN
from gearman.server.broker.model import is_wanted, joins_of
from gearman.server.broker.states import (
    AWAITING,
    DEAD,
    GONE,
    QUEUED,
    RUNNING,
    SCHEDULED,
)
from gearman.server.broker.steering.values import dead_of, retries_of, steered
from tests.server.broker.sizes import counted, counted_for
from tests.server.conftest import Server
from tests.servers import DEADLINE

# Sanitized code takes three times as long, and is not asked whether it is right.
SEQUENCES = int(os.environ.get("TEST_SEQUENCES", "400"))

FUNCTIONS = (b"f", b"g")
UNIQUES = (b"", b"", b"u", b"v", b"-")
FOREGROUND = (Command.SUBMIT_JOB, Command.SUBMIT_JOB_HIGH, Command.SUBMIT_JOB_LOW)
BACKGROUND = (
    Command.SUBMIT_JOB_BG,
    Command.SUBMIT_JOB_HIGH_BG,
    Command.SUBMIT_JOB_LOW_BG,
)
GRABS = (Command.GRAB_JOB, Command.GRAB_JOB_UNIQ, Command.GRAB_JOB_ALL)
ASSIGNMENTS = (
    Command.JOB_ASSIGN,
    Command.JOB_ASSIGN_UNIQ,
    Command.JOB_ASSIGN_ALL,
)
ENDS = (Command.WORK_COMPLETE, Command.WORK_FAIL, Command.WORK_EXCEPTION)
OPTIONS = (
    *(b"", b"background=1", b"delay=4", b"ttl=5", b"priority=high", b"delay=1&ttl=3"),
    *(b"retries=1&backoff=fixed:0", b"retries=2&backoff=fixed:3&background=1"),
    *(b"timeout=2&retries=1", b"timeout=6&background=1", b"keep=9&background=1"),
    *(b"dead=list&background=1", b"dead=list&ttl=5&background=1&keep=9"),
    b"dead=function:g&background=1",
)
POLICIES = (
    *(b"retries=1&backoff=fixed:2", b"ttl=4", b"ttl=20", b"timeout=3", b"keep=5"),
    *(b"dead=list", b"dead=function:f", b"priority=low", b"max-running=1", b"rate=1/s"),
    *(b"max-running=2&rate=2/s", b"rate=0.5/s", b"rate=3/m", b"paused=1", b"paused=0"),
    *(b"max-queue=3", b"weight=2", b"dead=none", b"retries=0", b"need-worker=1"),
)
NO_WORKER = b"No worker has the function now, and the job needs one at once"

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
            elif answer == Command.WORK_CANCEL:
                assert self.wire.peer.extensions
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
        # Handles that were known at some time, and those that are not any more.
        self.seen = set()
        self.gone = set()
        # Whether uniques may have been taken twice, and jobs were revived.
        self.mixed = self.revived = False
        # The times of starts since the last change of a policy, by function.
        self.starts: dict[bytes, list[float]] = {name: [] for name in FUNCTIONS}
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

    @rule(
        index=indexes,
        name=functions,
        unique=uniques,
        options=st.sampled_from(OPTIONS),
        after=st.lists(indexes, max_size=2),
    )
    def submit_with(self, index, name, unique, options, after):
        person = self.person(index)
        handles = sorted(self.handles())
        self.mixed = self.mixed or b"function" in options
        if handles and after:
            waits = b",".join(handles[which % len(handles)] for which in after)
            options += (b"&" if options else b"") + b"after=" + waits
        arguments = (name, unique, options, b"w")
        created = self.created(person.send(Command.SUBMIT_JOB_WITH, *arguments))
        if b"background" in options:
            self.accepted.update(created)
        else:
            person.awaits.update(created)

    @rule(index=indexes, which=indexes)
    def watch(self, index, which):
        person = self.person(index)
        handles = sorted(self.seen)
        if handles:
            handle = handles[which % len(handles)]
            person.awaits[handle] += 1
            packets = person.send(Command.WATCH_JOB, handle)
            if any(answer == Command.ERROR for answer, *_ in packets):
                assert handle in self.gone
                person.awaits[handle] -= 1

    @rule(index=indexes, which=indexes)
    def get_result(self, index, which):
        handles = sorted(self.seen)
        if handles:
            handle = handles[which % len(handles)]
            packets = self.person(index).send(Command.GET_RESULT, handle)
            ((_, told, state, _),) = (p for p in packets if p[0] == Command.RESULT_RES)
            assert told == handle
            assert (state in (b"waiting", b"running")) == (handle in self.handles())
            assert state != b"unknown" or handle in self.gone

    @rule(index=indexes)
    def ask_for_extensions(self, index):
        self.person(index).send(Command.OPTION_REQ, b"extensions")

    @rule(name=functions, policy=st.sampled_from(POLICIES))
    def set_policy(self, name, policy):
        self.mixed = self.mixed or b"function" in policy
        self.starts[name].clear()
        self.broker.policies.set(name, parse_policy(policy))

    @rule(name=functions)
    def unset_policy(self, name):
        self.starts[name].clear()
        self.broker.policies.unset(name)

    @rule(policy=st.sampled_from(POLICIES), name=st.sampled_from((b"f", b"*", b"x")))
    def load_policies(self, policy, name):
        self.mixed = self.mixed or b"function" in policy
        for starts in self.starts.values():
            starts.clear()
        self.broker.policies.load(Policies({name: parse_policy(policy)}))

    @rule(which=indexes, revives=st.booleans())
    def revive_or_forget(self, which, revives):
        dead = list(self.broker.dead.known.values())
        if dead:
            job = dead[which % len(dead)]
            if revives:
                self.mixed = self.revived = True
                self.broker.dead.revive(job)
            else:
                self.broker.dead.forget(job)
                self.accepted.discard(job.handle)

    def handles(self):
        return {job.handle for job in self.broker.jobs.known.values()}

    def dead(self):
        return {job.handle for job in self.broker.dead.known.values()}

    def created(self, packets):
        """Return a list with the handle of a submission; empty if it is refused."""
        kinds = (Command.JOB_CREATED, Command.ERROR)
        ((kind, argument, *_),) = (p for p in packets if p[0] in kinds)
        if kind == Command.ERROR:
            counts = self.broker.hits.counts
            assert counts or NO_WORKER in _, "refused without a reason"
        return [argument] if kind == Command.JOB_CREATED else []

    @rule(index=indexes, command=st.sampled_from(GRABS))
    def grab(self, index, command):
        packets = self.person(index).send(command)
        for answer, *values in packets:
            if answer in ASSIGNMENTS:
                self.check_start(values[1])

    def check_start(self, name):
        """Check that the policy of a function allows the start that just was."""
        starts = self.starts.setdefault(name, [])
        starts.append(self.server.now)
        function = self.broker.functions.known[name]
        policy = function.policy
        if policy is not None:
            assert not policy.paused
            assert function.running <= (policy.max_running or inf)
            assert len(self.in_window(name)) <= self.most_starts(policy)

    def most_starts(self, policy):
        return max(int(policy.rate.count), 1) if policy.rate else inf

    def in_window(self, name):
        """Return the times of starts that are in the window which ends now."""
        policy: Any = self.broker.policies.of(name)
        rate = policy.rate
        seconds = rate.seconds / min(rate.count, 1) if rate else 0
        return [time for time in self.starts[name] if time + seconds > self.server.now]

    @rule(index=indexes, which=indexes, command=st.sampled_from(ENDS))
    def finish(self, index, which, command):
        person = self.person(index)
        if person.holds:
            handle = person.holds.pop(which % len(person.holds))
            data = () if command == Command.WORK_FAIL else (b"r",)
            end = (command, handle, *data)
            self.end(person, handle, end, command != Command.WORK_COMPLETE)

    @rule(
        index=indexes,
        which=indexes,
        seconds=st.sampled_from((b"0", b"3", b"0+", b"2+")),
    )
    def give_back(self, index, which, seconds):
        person = self.person(index)
        if person.holds:
            handle = person.holds.pop(which % len(person.holds))
            end = (Command.WORK_RETRY, handle, seconds, b"why")
            self.end(person, handle, end, True, not seconds.endswith(b"+"))

    @rule(index=indexes, command=st.sampled_from(ENDS))
    def work(self, index, command):
        """Have a worker take a job and end it at once."""
        self.grab(index, Command.GRAB_JOB)
        self.finish(index, -1, command)

    @rule(
        index=indexes,
        name=functions,
        options=st.sampled_from(OPTIONS),
        command=st.sampled_from(ENDS),
    )
    def submit_and_work(self, index, name, options, command):
        self.submit_with(index, name, b"", options, [])
        self.work(index + 1, command)

    @rule(index=indexes, name=functions, policy=st.sampled_from(POLICIES))
    def rush(self, index, name, policy):
        """Have a worker take many jobs of a function with a new policy."""
        self.set_policy(name, policy)
        for _ in range(4):
            self.submit_background(index, name, b"", Command.SUBMIT_JOB_BG)
            self.grab(index + 1, Command.GRAB_JOB)

    def end(self, person, handle, end, failed, counts=True):
        """Have a worker end an attempt; check whether that ends the job."""
        peer = person.wire.peer
        job: Any = self.broker.jobs.find(handle)
        mine = handle in peer.jobs
        late = handle in (peer.late or ()) and job is not None and is_wanted(job)
        if not mine and not (late and peer.late[handle] == job.function.name):
            person.send(*end)
            return
        steers = steered(job) or end[0] == Command.WORK_RETRY
        attempts = counts + (job.extra.attempts if job.extra else 0)
        again = is_wanted(job) and (not counts or attempts <= retries_of(job))
        goes = dead_of(job) if job.background else None
        person.send(*end)
        if not (failed and steers):
            assert self.broker.jobs.find(handle) is None
            self.accepted.discard(handle)
        elif not mine or again:
            assert handle in self.handles()
            assert not counts or not mine or job.extra.attempts == attempts
        else:
            self.check_given_up(handle, job, goes)

    def check_given_up(self, handle, job, goes):
        found = self.broker.jobs.find(handle)
        assert found is not job
        if goes is None or goes.kind == "none":
            assert found is None
            assert handle not in self.dead()
            self.accepted.discard(handle)
        else:
            assert (found is not None) != (handle in self.dead())

    @rule(which=indexes)
    def cancel(self, which):
        handles = sorted(self.handles())
        if handles:
            handle = handles[which % len(handles)]
            assert self.broker.cancel(handle)
            self.accepted.discard(handle)

    @rule(seconds=st.integers(0, 10))
    def wait(self, seconds):
        jobs = {job.handle: job for job in self.broker.jobs.known.values()}
        before = {handle: jobs[handle].state for handle in jobs}
        self.server.after(seconds)
        for handle in jobs.keys() - self.handles() - self.dead():
            # It was given up: it had a timeout, or was not started in time.
            assert before[handle] in (RUNNING, QUEUED, SCHEDULED)
            self.accepted.discard(handle)

    @invariant()
    def accepted_background_jobs_are_there(self):
        assert self.accepted <= self.handles() | self.dead()

    @invariant()
    def what_is_gone_does_not_come_back(self):
        here = self.handles() | self.dead()
        assert not here & self.gone
        self.gone |= self.seen - here
        self.seen |= here

    @invariant()
    def the_dead_are_nowhere_else(self):
        dead = self.broker.dead
        assert all(job.state == DEAD for job in dead.known.values())
        assert not dead.known.keys() & self.broker.jobs.known.keys()
        found = [job for jobs in dead.by_function.values() for job in jobs.values()]
        assert sorted(job.number for job in found) == sorted(dead.known)
        extras: list[Any] = [job.extra for job in dead.known.values()]
        times = [extra.died for extra in extras]
        assert times == sorted(times)

    @invariant()
    def a_job_that_waits_for_others_waits_for_jobs_that_are_there(self):
        jobs: list[Any] = [*self.broker.jobs.known.values()]
        for job in jobs:
            awaits = job.extra.awaits if job.extra else 0
            assert (job.state == AWAITING) == bool(awaits)
            if awaits:
                found = set(map(self.broker.jobs.find, job.extra.options.after))
                assert len(found - {None}) >= awaits
                assert all(it.number < job.number for it in found if it)
        known = self.broker.jobs.known
        assert self.broker.jobs._followers.keys() <= known.keys()

    @invariant()
    def no_function_is_held_without_a_reason(self):
        for name, function in self.broker.functions.known.items():
            policy = function.policy
            assert policy == self.broker.policies.of(name)
            if function.held:
                assert policy is not None
                full = function.running >= (policy.max_running or inf)
                assert policy.paused or full or self.recent(function, policy)
            elif policy is not None:
                assert not policy.paused
                assert function.running < (policy.max_running or inf)

    def recent(self, function, policy):
        """Whether so many jobs have started that the next one must wait."""
        limits = function.starts
        return limits.started >= self.most_starts(policy) and all(
            group.last + limits.seconds > self.server.now for group in limits.log
        )

    @invariant()
    def clients_wait_for_what_they_were_promised(self):
        for person in self.people:
            person.send(Command.ECHO_REQ, b"")
            awaited: Counter[bytes] = Counter()
            for job in person.wire.peer.waiting:
                assert job.clients.count(person.wire.peer) == 1
                awaited[job.handle] = joins_of(job, person.wire.peer)
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
        waiting = [
            job
            for job in broker.jobs.known.values()
            if job.state in (SCHEDULED, AWAITING)
        ]
        places.update(job.handle for job in waiting)
        assert set(places.values()) <= {1}
        assert self.handles() <= set(places)
        assert all(job.state != GONE for job in broker.jobs.known.values())

    @invariant()
    def starts_that_were_counted_have_ended_or_run(self):
        for function in self.broker.functions.known.values():
            stats = function.stats
            assert stats.waits.count() == stats.runs.count() + function.running
            assert stats.expired <= stats.given_up
            ends = stats.completed + stats.failed + stats.exceptions
            # A late result may end a job that is queued again.
            assert ends <= stats.runs.count() + stats.timeouts

    @invariant()
    def counts_are_those_of_the_jobs(self):
        for function in self.broker.functions.known.values():
            jobs = [
                job
                for job in self.broker.jobs.known.values()
                if job.function is function
            ]
            states = Counter((job.state, job.priority) for job in jobs)
            for priority in range(3):
                assert function.scheduled[priority] == states[SCHEDULED, priority]
                assert function.awaiting[priority] == states[AWAITING, priority]
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
        # Nobody joins a job whose worker was told to end it.
        left = {job for job in jobs if job.state == RUNNING and not is_wanted(job)}
        others = [j for known in uniques._others.values() for j in known.values()]
        found = {*uniques._first.values(), *others}
        assert len(found) == len(uniques._first) + len(others)
        assert found <= set(jobs)
        assert self.mixed or set(jobs) - left <= found
        for job in found:
            assert uniques.find(job.function, job.unique, job.workload) is job
            first = uniques.first(job.unique)
            assert first is not None
            assert first.unique == job.unique
        assert all(uniques._others.values())

    @invariant()
    def those_that_have_something_are_found(self):
        functions = self.broker.functions.known.values()
        for priority, listed in enumerate(self.broker.choice.listed):
            queues = {function: function.queues[priority] for function in functions}
            assert set(listed) == {f for f, queue in queues.items() if queue.listed}
            assert all(q.listed or f.held for f, q in queues.items() if q.count)
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
        assert self.revived or len(broker.jobs.known) <= (broker.limits.jobs or inf)
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
TestPeers.settings = settings(max_examples=SEQUENCES, stateful_step_count=40)
# It takes no time but the processor's, which other programs may have.
pytestmark = pytest.mark.timeout(30 * DEADLINE)
