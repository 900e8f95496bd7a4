"""The text for Prometheus, as prometheus-client reads it."""

import math
from dataclasses import asdict
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gearman.commands import Command
from gearman.server.broker import Limits
from gearman.server.broker.stats import BOUNDS, Histogram
from gearman.server.net.facts.limits import usages
from gearman.server.protocols.lines import PIECE_SIZE
from gearman.server.protocols.metrics.exposition import LIMITS, Exposition
from gearman.server.protocols.metrics.families import SHOWN
from gearman.server.protocols.metrics.rows import STEP
from gearman.server.protocols.stats import histogram
from gearman.server.settings.config import Config
from gearman.server.storage.rows import Counts

# Names of others, which their dashboards and alerts use.
KEPT = {
    *("gearman_up", "gearman_version_info", "gearman_jobs"),
    *("gearman_jobs_running", "gearman_jobs_waiting", "gearman_workers"),
}
HOSTILE = [
    b'"} 1\ngearman_up 0\n',
    b"\\",
    b'a"b\\n',
    b"100%d %s %",
    b"\xff\xfe",
    "gr\u00fc\u00dfe \u2028 \U0001f600".encode(),
    b"other",
    b"x" * 8000,
    b"\r",
    b"",
]


def text(server) -> str:
    return b"".join(Exposition(server.site).pieces()).decode()


def families(server) -> dict[tuple[str, str], Metric]:
    """Return the families by name and type, and check that none comes twice."""
    found = [*text_string_to_metric_families(text(server))]
    by_name = {(family.name, family.type): family for family in found}
    assert len(by_name) == len(found)
    return by_name


def samples(server) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the values by name and by the values of labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in families(server).values():
        for sample in family.samples:
            values = found.setdefault(sample.name, {})
            key = tuple(sample.labels.values())
            assert key not in values
            values[key] = sample.value
    return found


def store() -> dict[str, Any]:
    times = Histogram()
    times.add(0.003)
    return {
        "outage": False,
        "waiting": 3,
        "stored": 4,
        "removed": 5,
        "failures": 6,
        "commits": histogram(times),
        "inbox": None,
    }


def inbox() -> dict[str, Any]:
    counts = Counts(taken=7, refused=8, failures=9, failing=True, failed_at=5.0)
    return asdict(counts)


@pytest.fixture
def client(server):
    return server.connect()


def test_names_of_others_are_kept(server, client):
    client.submit()
    found = families(server)
    assert {(name, "gauge") for name in KEPT} <= set(found)
    (version,) = found["gearman_version_info", "gauge"].samples
    assert (version.labels, version.value) == ({"version": "1.2.3"}, 1)


def test_every_family_says_what_it_is(server, client):
    client.submit()
    server.connect().can_do().grab()
    server.site.facts = lambda: {"store": store()}
    for family in families(server).values():
        assert family.documentation.endswith(".")
        assert family.type in ("gauge", "counter", "histogram")
        assert family.name.startswith(("gearman_", "process_"))


def test_samples_of_a_family_stand_together(server, client):
    for function in (b"f", b"g"):
        client.submit(function)
        server.connect().can_do(function).grab()
    names: list[str] = []
    for line in text(server).splitlines():
        name = line.split()[2] if line.startswith("#") else line.partition("{")[0]
        name = name.split()[0]
        for end in ("_bucket", "_sum", "_count"):
            if "_seconds" in name:
                name = name.removesuffix(end)
        if names[-1:] != [name]:
            names.append(name)
    assert len(names) == len(set(names))


def test_gauges_of_a_function(server, client):
    for _ in range(3):
        client.submit()
    worker = server.connect().can_do()
    worker.grab()
    server.after(2.5)
    found = samples(server)
    assert found["gearman_jobs"] == {("f",): 3}
    assert found["gearman_jobs_running"] == {("f",): 1}
    assert found["gearman_jobs_waiting"] == {("f",): 2}
    assert found["gearman_workers"] == {("f",): 1}
    assert found["gearman_oldest_waiting_seconds"] == {("f",): 2.5}


def test_events_of_a_function_are_counted(server, client):
    client.submit(workload=b"123")
    client.submit()
    worker = server.connect().can_do()
    handle = worker.grab()
    worker.send(Command.WORK_COMPLETE, handle, b"result")
    worker.send(Command.WORK_FAIL, worker.grab())
    found = samples(server)
    events = {event: n for (_, event), n in found["gearman_jobs_total"].items()}
    assert {event for event, number in events.items() if number} == {
        *("submitted", "completed", "failed"),
    }
    assert events["submitted"] == 2
    # All are there from the start on, so that the first one is seen as an increase.
    assert {"lost", "given_up", "timeouts", "abandoned"} <= set(events)
    assert found["gearman_workload_bytes_total"] == {("f", "in"): 4, ("f", "out"): 6}


def test_times_are_histograms(server, client):
    client.submit()
    worker = server.connect().can_do()
    server.after(0.01)
    handle = worker.grab()
    server.after(2.0)
    worker.send(Command.WORK_COMPLETE, handle, b"")
    found = samples(server)
    waits = found["gearman_job_wait_seconds_bucket"]
    assert [*waits.values()] == [0] + [1] * len(SHOWN)
    runs = {
        float(le): n for (_, le), n in found["gearman_job_run_seconds_bucket"].items()
    }
    assert runs[BOUNDS[10]] == 0
    assert runs[BOUNDS[13]] == runs[math.inf] == 1
    assert found["gearman_job_run_seconds_sum"] == {("f",): 2.0}
    assert found["gearman_job_run_seconds_count"] == {("f",): 1}


def test_function_where_nothing_has_happened_has_no_histogram(server):
    server.worker()
    found = samples(server)
    assert found["gearman_workers"] == {("f",): 1}
    assert "gearman_job_wait_seconds_bucket" not in found


def test_server_is_described(server, client):
    server.die()
    client.submit(b"g")
    found = samples(server)
    assert found["gearman_up"] == {(): 1}
    assert found["gearman_dead_jobs"] == {(): 1}
    assert found["gearman_functions"] == {(): 2}
    assert found["gearman_connections"] == {(): len(server.broker.peers)}
    assert found["gearman_results"] == {(): 0}
    memory = server.broker.memory
    assert found["gearman_memory_bytes"] == {
        ("jobs",): memory.jobs,
        ("peers",): memory.peers,
        ("buffers",): memory.buffers,
    }


def test_limits_that_were_hit_are_counted(make_server):
    server = make_server(limits=Limits(jobs=1))
    client = server.connect()
    client.submit()
    client.send(Command.SUBMIT_JOB, b"f", b"", b"w")
    server.broker.hits.counts["a-new-one"] = 7
    hits = samples(server)["gearman_limit_hits_total"]
    assert {limit: n for (limit,), n in hits.items() if n} == {
        "max-jobs": 1,
        "a-new-one": 7,
    }


def test_every_limit_that_can_be_hit_has_a_sample(server):
    class Counter:
        limit = limit_per_address = count = 0

        def largest(self) -> int:
            return 0

    rows = usages(server.broker, Config(), 1, Counter(), ())  # type: ignore[arg-type]
    never = {"dead-age", "max-dead", "max-results"}
    never |= {f"max-memory-{kind}" for kind in ("jobs", "peers", "buffers")}
    assert {row.name for row in rows} - never == set(LIMITS)


def test_process_is_described_as_prometheus_does(server):
    server.site.facts = lambda: {"cpu": 1.5, "resident": None, "started": 1e9 + 0.5}
    found = samples(server)
    assert found["process_cpu_seconds_total"] == {(): 1.5}
    assert found["process_start_time_seconds"] == {(): 1e9 + 0.5}
    assert "process_resident_memory_bytes" not in found


def test_store_is_described(server):
    server.site.facts = lambda: {"store": store()}
    found = samples(server)
    assert found["gearman_store_outage"] == {(): 0}
    assert found["gearman_store_waiting_changes"] == {(): 3}
    assert found["gearman_store_stored_total"] == {(): 4}
    assert found["gearman_store_removed_total"] == {(): 5}
    assert found["gearman_store_failures_total"] == {(): 6}
    buckets = found["gearman_store_commit_seconds_bucket"]
    assert [*buckets.values()] == [0, 0] + [1] * (len(BOUNDS) - 1)
    assert found["gearman_store_commit_seconds_sum"] == {(): 0.003}
    assert found["gearman_store_commit_seconds_count"] == {(): 1}
    assert not any("inbox" in name for name in found)


def test_inbox_is_described(server):
    counts = inbox()
    server.site.facts = lambda: {"store": {**store(), "inbox": counts}}
    found = samples(server)
    assert "gearman_inbox_waiting_rows" not in found
    assert found["gearman_inbox_taken_total"] == {(): 7}
    assert found["gearman_inbox_refused_total"] == {(): 8}
    assert found["gearman_inbox_failing"] == {(): 1}
    assert found["gearman_inbox_failures_total"] == {(): 9}
    counts["waiting"] = 0
    assert samples(server)["gearman_inbox_waiting_rows"] == {(): 0}


def test_without_a_store_none_is_described(server):
    assert "gearman_store" not in text(server)


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_hostile_name_is_one_label(server, client, name):
    client.submit(b"f")
    client.submit(name)
    server.connect().can_do(name).grab()
    found = samples(server)
    labels = {label for (label,) in found["gearman_jobs"]}
    assert len(labels) == 2
    assert found["gearman_up"] == {(): 1}
    assert len(found["gearman_job_wait_seconds_count"]) == 1


def test_hostile_name_that_is_short_text_can_be_read(server, client):
    client.submit(b'a"b\\n 100%d')
    assert samples(server)["gearman_jobs"] == {('a"b\\n 100%d',): 1}


def test_functions_beyond_the_limit_are_added_up(server, client):
    server.site.metrics_functions = 1
    for name in (b"f", b"f", b"g", b"h"):
        client.submit(name)
    found = samples(server)
    assert found["gearman_jobs"] == {("f",): 2, ("other",): 2}
    assert found["gearman_functions"] == {(): 3}


def test_text_comes_in_pieces_of_a_limited_size(server):
    for number in range(1000):
        server.broker.functions.of(b"f%d" % number)
    pieces = [*Exposition(server.site).pieces()]
    assert max(map(len, pieces)) < 2 * PIECE_SIZE
    assert len([piece for piece in pieces if piece]) > 5
    # There are more in plain Python: see `test_samples`.
    assert len([piece for piece in pieces if not piece]) >= 1000 / STEP


def test_hooks_have_metrics(server):
    hook = {"waiting": 1, "delivered": 2, "dropped": 3, "failures": 4, "error": None}
    hooks = [{"name": 'a "b" \\ 5%', **hook}, {"name": "hook 2", **hook}]
    server.site.facts = lambda: {"hooks": hooks}
    found = samples(server)
    name = ('a "b" \\ 5%',)
    assert found["gearman_hook_waiting_events"] == {name: 1, ("hook 2",): 1}
    assert found["gearman_hook_delivered_total"][name] == 2
    assert found["gearman_hook_dropped_total"][name] == 3
    assert found["gearman_hook_failures_total"][name] == 4


def test_relays_have_metrics(server):
    counts = {"waiting": 1, "unanswered": 2, "passed_on": 3, "refused": 4}
    relay = {"name": "far", "connected": True, **counts, "failures": 5, "error": None}
    server.site.facts = lambda: {"relays": [relay]}
    found = samples(server)
    for number, name in enumerate(
        ("connected", "waiting_jobs", "unanswered_jobs", "passed_on_total"), 0
    ):
        assert found[f"gearman_relay_{name}"] == {("far",): max(number, 1)}
    assert found["gearman_relay_refused_total"][("far",)] == 4
    assert found["gearman_relay_failures_total"][("far",)] == 5
