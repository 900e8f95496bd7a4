"""Policies of functions: those of the settings file, and those set while running."""

import pytest

from gearman.commands import Command
from gearman.options import Policies, format_options, parse_policy
from gearman.server.broker.assignment.choice import Choice
from gearman.server.broker.functions import Functions
from gearman.server.broker.limits import Hits, Limits
from gearman.server.broker.memory import Memory
from tests.server.broker.steered import (
    NOOP,
    Store,
    background,
    policies_of,
    policy,
    submit,
    taken,
)


def load(server, **rows: bytes) -> None:
    found = {
        name.replace("_any", "*").encode(): parse_policy(text)
        for name, text in rows.items()
    }
    server.broker.policies.load(Policies(found))


def text(server, name: bytes = b"f") -> bytes:
    found = server.broker.policies.of(name)
    return b"" if found is None else format_options(found)


class TestSources:
    def test_function_has_no_policy_at_first(self, server):
        server.broker.functions.of(b"f")
        assert server.broker.functions.known[b"f"].policy is None
        assert policies_of(server.broker) == {}

    def test_functions_without_a_table_of_policies_have_none(self):
        choice = Choice(priority_first=True, round_robin=True)
        functions = Functions(Limits(), Hits(), Memory(), choice)
        assert functions.of(b"f").policy is None

    def test_functions_to_come_get_the_policy_of_the_file(self, server):
        load(server, f_any=b"retries=1", f1=b"ttl=5")
        submit(server.connect(), name=b"f1")
        assert text(server, b"f1") == b"ttl=5&retries=1"
        function = server.broker.functions.known[b"f1"]
        assert function.policy == server.broker.policies.of(b"f1")

    def test_what_is_set_comes_before_the_file(self, server):
        load(server, f=b"retries=1&ttl=5")
        policy(server, b"retries=2")
        assert text(server) == b"ttl=5&retries=2"

    def test_what_is_set_adds_to_what_was_set(self, server):
        policy(server, b"retries=2&paused=1")
        policy(server, b"retries=3&weight=2")
        assert text(server) == b"retries=3&paused=1&weight=2"

    def test_unset_brings_back_the_file(self, server):
        load(server, f=b"retries=1")
        policy(server, b"retries=2")
        assert server.broker.policies.unset(b"f")
        assert text(server) == b"retries=1"
        assert not server.broker.policies.unset(b"f")
        assert text(server) == b"retries=1"

    def test_new_file_replaces_the_old_one(self, server):
        load(server, f=b"retries=1", g=b"retries=1")
        server.broker.functions.of(b"f")
        load(server, g=b"retries=2")
        assert server.broker.functions.known[b"f"].policy is None
        assert (text(server), text(server, b"g")) == (b"", b"retries=2")

    def test_all_that_are_known_or_set_are_shown(self, server):
        load(server, f_any=b"retries=1")
        server.broker.functions.of(b"f1")
        server.broker.functions.of(b"g")
        policy(server, b"weight=2", b"h")
        shown = policies_of(server.broker)
        assert {name: format_options(found) for name, found in shown.items()} == {
            b"f1": b"retries=1",
            b"h": b"weight=2",
        }


class TestChanges:
    """A policy counts for the jobs that are there."""

    def test_retries_for_a_job_that_runs(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.submit()
        handle = taken(server, worker)
        policy(server, b"retries=1&backoff=fixed:0")
        worker.send(Command.WORK_FAIL, handle)
        assert client.got() == []
        assert worker.grab() == handle

    def test_no_retries_for_a_job_between_two_attempts(self, server):
        policy(server, b"retries=1&backoff=fixed:5")
        client, worker = server.connect(), server.connect().can_do()
        client.submit()
        handle = taken(server, worker)
        worker.send(Command.WORK_FAIL, handle)
        server.broker.policies.unset(b"f")
        server.after(5)
        worker.send(Command.WORK_FAIL, taken(server, worker))
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_file_resumes_a_function_that_it_had_paused(self, server):
        load(server, f=b"paused=1")
        worker = server.worker()
        background(server.connect())
        assert worker.got() == []
        load(server)
        assert worker.got() == [NOOP]

    def test_what_was_paused_stays_paused_with_a_new_file(self, server):
        policy(server, b"paused=1")
        worker = server.worker()
        background(server.connect())
        load(server, f=b"paused=0")
        assert worker.got() == []

    def test_file_changes_limits_of_jobs_that_run(self, server):
        load(server, f=b"max-running=1&rate=9/s")
        worker, client = server.connect().can_do(), server.connect()
        for _ in range(3):
            background(client)
        taken(server, worker)
        assert worker.grab() is None
        load(server, f=b"max-running=2&rate=9/s")
        taken(server, worker)
        assert worker.grab() is None
        load(server)
        taken(server, worker)


class TestWeight:
    def mixture(self, server, count, *names: bytes) -> bytes:
        """Return the functions of the jobs that a worker gets one after the other."""
        client, worker = server.connect(), server.connect().can_do(*names)
        for name in names:
            for _ in range(count):
                background(client, name=name, workload=name)
        return b"".join(worker.grab_workload() for _ in range(count))

    def test_function_has_so_many_jobs_in_a_row(self, server):
        policy(server, b"weight=3", b"f")
        assert self.mixture(server, 10, b"g", b"f") == b"fffgfffgff"

    @pytest.mark.parametrize("round_robin", [True, False])
    def test_weights_share_out_the_grabs_of_a_worker(self, make_server, round_robin):
        server = make_server(round_robin=round_robin)
        policy(server, b"weight=3", b"f")
        policy(server, b"weight=2", b"g")
        found = self.mixture(server, 60, b"f", b"g", b"h")
        assert [found.count(name) for name in (b"f", b"g", b"h")] == [30, 20, 10]

    def test_weights_share_out_the_jobs_of_each_priority(self, make_server):
        server = make_server(priority_first=False)
        policy(server, b"weight=2", b"f")
        assert self.mixture(server, 6, b"g", b"f") == b"ffgffg"

    def test_function_without_jobs_loses_its_turn(self, server):
        policy(server, b"weight=9", b"f")
        client, worker = server.connect(), server.connect().can_do(b"g", b"f")
        background(client, name=b"f", workload=b"f")
        for _ in range(3):
            background(client, name=b"g", workload=b"g")
        found = [worker.grab_workload() for _ in range(4)]
        assert found == [b"f", b"g", b"g", b"g"]

    def test_weight_that_is_unset_changes_nothing_any_more(self, make_server):
        server = make_server(round_robin=False)
        names = (b"g", b"f")
        policy(server, b"weight=3", b"f")
        server.broker.functions.of(b"f")
        policy(server, b"weight=2", b"f")
        server.broker.policies.unset(b"f")
        assert self.mixture(server, 4, *names) == b"ffff"

    def test_weight_of_a_function_that_is_dropped_changes_nothing(self, make_server):
        server = make_server(round_robin=False)
        policy(server, b"weight=3", b"x")
        server.broker.functions.of(b"x")
        assert server.broker.functions.drop(b"x")
        assert self.mixture(server, 4, b"g", b"f") == b"ffff"


class TestStore:
    def test_what_was_set_outlives_a_restart(self, make_server):
        server, store = make_server(persistent=True), Store()
        policy(server, b"retries=2&paused=1")
        policy(server, b"retries=3")
        policy(server, b"dead=function:x%26", b"g")
        store.commit(server)
        assert len(store.rows) == 2
        server = store.restart()
        assert text(server) == b"retries=3&paused=1"
        assert text(server, b"g") == b"dead=function:x%26"
        server.connect().send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
        store.commit(server)
        assert server.worker().grab() is None

    def test_what_was_unset_is_forgotten(self, make_server):
        server, store = make_server(persistent=True), Store()
        policy(server, b"retries=2")
        store.commit(server)
        server = store.restart()
        policy(server, b"retries=4")
        server.broker.policies.unset(b"f")
        store.commit(server)
        assert store.rows == {}
        assert text(store.restart()) == b""

    def test_restored_policy_is_changed_in_its_place(self, make_server):
        server, store = make_server(persistent=True), Store()
        policy(server, b"retries=2")
        store.commit(server)
        server = store.restart()
        policy(server, b"ttl=5")
        store.commit(server)
        assert len(store.rows) == 1
        assert text(store.restart()) == b"ttl=5&retries=2"

    def test_without_a_store_nothing_is_stored(self, server):
        policy(server, b"retries=2")
        server.broker.policies.unset(b"f")
        assert server.broker.jobs.records == []

    def test_record_that_could_not_be_stored_is_stored_again(self, make_server):
        server, store = make_server(persistent=True), Store()
        policy(server, b"retries=2")
        numbers = [record.number for record in server.broker.jobs.records]
        server.broker.jobs.records.clear()
        server.broker.stored.record_again(numbers)
        store.commit(server)
        assert text(store.restart()) == b"retries=2"

    def test_only_what_could_not_be_stored_is_stored_again(self, make_server):
        server, store = make_server(persistent=True), Store()
        policy(server, b"retries=2")
        policy(server, b"retries=3", b"g")
        numbers = [record.number for record in server.broker.jobs.records]
        server.broker.jobs.records.clear()
        server.broker.stored.record_again([*numbers[1:], 99])
        store.commit(server)
        server = store.restart()
        assert (text(server), text(server, b"g")) == (b"", b"retries=3")

    def test_policy_that_cannot_be_read_is_an_error(self, make_server):
        server = make_server(persistent=True)
        row = (b"", b"f", b"", b"retries=x", 1, 0, 0, None, b"kind=setting&what=policy")
        with pytest.raises(ValueError, match="retries must be"):
            server.broker.stored.restore(5, *row)
        assert server.broker.policies.of(b"f") is None
