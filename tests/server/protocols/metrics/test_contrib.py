"""Alerts and dashboard of contrib name only metrics and labels that exist."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gearman.commands import Command
from gearman.server.protocols.metrics.exposition import Exposition
from tests.server.protocols.metrics.test_exposition import KEPT, inbox, store

ROOT = Path(__file__).resolve().parents[4]
ALERTS = (ROOT / "contrib/prometheus/alerts.yml").read_text()
DASHBOARD = (ROOT / "contrib/grafana/gearman.json").read_text()
MANUAL = (ROOT / "docs/monitoring.md").read_text()
METRIC = re.compile(r"\b(?:gearman|process)_[a-z_]+")
# What Prometheus and Grafana add.
ADDED = {"instance", "job", "le"}


def targets() -> list[str]:
    """Return the expressions of the dashboard."""
    panels: list[dict[str, Any]] = json.loads(DASHBOARD)["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.fixture
def labels(server) -> dict[str, set[str]]:
    """The labels of each metric of a server that has a store and has run a job."""
    server.connect().submit()
    worker = server.connect().can_do()
    worker.send(Command.WORK_COMPLETE, worker.grab(), b"")
    hook = {"name": "h", "waiting": 0, "delivered": 0, "dropped": 0, "failures": 0}
    stored = {**store(), "inbox": {**inbox(), "waiting": 1}}
    relay = dict.fromkeys(("connected", "waiting", "unanswered", "passed_on"), 0)
    relays = [{"name": "r", **relay, "refused": 0, "failures": 0}]
    cluster = {"server": "1", "servers": [], "unowned": 0, "lease": 1, "left": 1}
    facts: dict[str, Any] = {"store": stored, "hooks": [hook], "cluster": cluster}
    facts |= {"relays": relays, "cpu": 1, "resident": 1, "started": 1}
    server.site.facts = lambda: facts
    text = b"".join(Exposition(server.site).pieces()).decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize(
    "text", [ALERTS, "\n".join(targets())], ids=["rules", "panels"]
)
def test_every_metric_exists(labels, text):
    named = set(METRIC.findall(text))
    assert len(named) >= 8
    assert named <= set(labels)


def test_every_label_exists(labels):
    for expression in targets():
        for metric, selected in re.findall(r"\b([a-z_]+)\{(.*?)\}", expression):
            used = set(re.findall(r'([a-z]+)=~?"', selected))
            assert used <= labels.get(metric, set()) | ADDED, expression
    said = set(re.findall(r"\$labels\.([a-z]+)", ALERTS))
    assert said <= set().union(*labels.values()) | ADDED


def test_every_event_that_is_selected_exists(server):
    server.connect().submit()
    text = b"".join(Exposition(server.site).pieces()).decode()
    events = set(re.findall(r'event="([a-z_]+)"', text))
    for selected in re.findall(r'event=~?\\?"([a-z_|]+)', ALERTS + DASHBOARD):
        assert set(selected.split("|")) <= events


def test_manual_has_every_metric_and_alert(labels):
    histograms = {name.removesuffix("_bucket") for name in labels if "bucket" in name}
    ends = ("_bucket", "_sum", "_count")
    names = {name for name in labels if not name.endswith(ends)} | histograms
    assert names == set(METRIC.findall(MANUAL))
    assert names >= KEPT
    alerts = re.findall(r"- alert: (\w+)", ALERTS)
    assert len(alerts) >= 10
    assert {*alerts} == set(re.findall(r"`(Gearman[A-Z]\w+)`", MANUAL)) - {
        "GearmanAdminClient"
    }


def test_panels_do_not_overlap():
    dashboard = json.loads(DASHBOARD)
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 20
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = (
            one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        )
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


def test_panels_say_what_they_show():
    for panel in json.loads(DASHBOARD)["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
