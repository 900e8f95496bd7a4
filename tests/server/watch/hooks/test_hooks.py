"""Hooks of a server: jobs for events, and hooks that come and go."""

import json

import pytest

from gearman.commands import Command
from gearman.options import parse_policy
from gearman.server.protocols.events import NAMES, Wish
from gearman.server.settings.tables.hooks import Hook
from gearman.server.watch.hooks import hooks as module
from gearman.server.watch.hooks.hooks import Hooks
from tests.servers import until

EVERYTHING = Wish(NAMES, ())
ENDS = Wish(frozenset({"completed"}), ())


class Site:
    """A server with hooks, which submits their jobs when it is told to."""

    def __init__(self, server):
        self.server = server
        self.wakes = 0
        self.hooks = Hooks(server.site.events, self._wake)

    def _wake(self):
        self.wakes += 1

    def turn(self):
        while self.wakes:
            self.wakes -= 1
            self.hooks.submit(self.server.broker)

    def jobs(self, function):
        """Take all jobs of a function, and return their workloads."""
        worker = self.server.connect().can_do(function)
        workloads: list[bytes] = []
        while True:
            answer, *arguments = worker.send(Command.GRAB_JOB)[-1]
            if answer == Command.NO_JOB:
                worker.leave()
                return workloads
            workloads.append(arguments[2])
            worker.send(Command.WORK_COMPLETE, arguments[0], b"")


@pytest.fixture
def site(server):
    site = Site(server)
    yield site
    site.hooks.close()


def test_events_are_background_jobs_of_a_function(site):
    site.hooks.apply([Hook("h", ENDS, function=b"audit")])
    site.server.connect().submit()
    site.jobs(b"f")
    assert site.wakes == 1
    site.turn()
    (workload,) = site.jobs(b"audit")
    assert json.loads(workload)["event"] == "completed"
    assert not workload.endswith(b"\n")
    assert site.hooks.facts() == [
        {
            "name": "h",
            "kind": "function",
            "waiting": 0,
            "delivered": 1,
            "dropped": 0,
            "failures": 0,
            "error": None,
        }
    ]


def test_jobs_of_hooks_make_no_further_jobs(site):
    hooks = [
        Hook("a", EVERYTHING, function=b"audit"),
        Hook("b", EVERYTHING, function=b"other"),
    ]
    site.hooks.apply(hooks)
    site.server.connect().submit()
    site.turn()
    assert len(site.jobs(b"audit")) == len(site.jobs(b"other")) == 1
    site.turn()
    names = [json.loads(workload)["event"] for workload in site.jobs(b"audit")]
    # Those of the workers that took the jobs.
    assert names == ["worker_came", "worker_left"] * 2


def test_many_events_take_several_turns(site, monkeypatch):
    monkeypatch.setattr(module, "_MANY", 2)
    submitted = Wish(frozenset({"submitted"}), (b"f",))
    site.hooks.apply([Hook("h", submitted, function=b"audit")])
    client = site.server.connect()
    for _ in range(3):
        client.submit()
    site.hooks.submit(site.server.broker)
    assert site.hooks.facts()[0]["waiting"] == 1
    assert site.wakes == 2
    site.turn()
    assert len(site.jobs(b"audit")) == 3


def test_too_many_events_are_dropped(site, monkeypatch):
    monkeypatch.setattr(module, "MOST_EVENTS", 2)
    site.hooks.apply([Hook("h", EVERYTHING, function=b"audit")])
    client = site.server.connect()
    for _ in range(3):
        client.submit()
    (facts,) = site.hooks.facts()
    assert (facts["waiting"], facts["dropped"]) == (2, 1)


def test_refused_jobs_are_counted(site):
    site.hooks.apply([Hook("h", EVERYTHING, function=b"audit")])
    audit = site.server.broker.functions.of(b"audit")
    site.server.broker.policies.set(b"audit", parse_policy(b"max-queue=1"))
    assert audit.policy is not None
    client = site.server.connect()
    for _ in range(3):
        client.submit()
    site.turn()
    (facts,) = site.hooks.facts()
    assert (facts["delivered"], facts["failures"]) == (1, 2)
    assert "max" in facts["error"] or "queue" in facts["error"].lower()


def test_hook_gets_nothing_for_peers_that_leave(site, tmp_path):
    site.hooks.apply(
        [
            Hook("a", ENDS, function=b"audit"),
            Hook("b", ENDS, command=("sh", "-c", f"cat > {tmp_path}/out")),
        ]
    )
    site.server.connect().leave()
    assert [each["waiting"] for each in site.hooks.facts()] == [0, 0]


def test_hooks_that_stay_go_on_and_others_end(site, tmp_path):
    submitted = Wish(frozenset({"submitted"}), ())
    command = Hook("c", submitted, command=("sh", "-c", f"cat > {tmp_path}/out"))
    first = Hook("f", submitted, function=b"audit")
    second = Hook("g", submitted, function=b"other")
    client = site.server.connect()
    site.hooks.apply([command, first])
    client.submit()
    site.hooks.apply([command, second])
    assert [each["name"] for each in site.hooks.facts()] == ["c", "g"]
    client.submit()
    site.turn()
    assert (len(site.jobs(b"audit")), len(site.jobs(b"other"))) == (0, 1)
    until(lambda: site.hooks.facts()[0]["delivered"] == 3)
    site.hooks.apply([])
    assert site.server.broker.places.watch is None
    assert site.hooks.facts() == []


def test_what_waits_at_the_end_is_delivered(site, tmp_path):
    out = tmp_path / "out"
    hook = Hook("c", EVERYTHING, command=("sh", "-c", f"cat > {out}"))
    site.hooks.apply([hook])
    client = site.server.connect()
    for _ in range(200):
        client.submit()
    site.hooks.close()
    assert len(out.read_text().splitlines()) == 200


def test_url_that_cannot_be_reached_is_told(site):
    site.hooks.apply([Hook("u", EVERYTHING, url="http://127.0.0.1:9/")])
    site.server.connect().submit()
    until(lambda: site.hooks.facts()[0]["error"])
    (facts,) = site.hooks.facts()
    assert (facts["kind"], facts["waiting"], facts["delivered"]) == ("url", 1, 0)
