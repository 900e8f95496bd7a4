"""A real Prometheus reads a real server, as the manual says.

The manual's commands run with other ports, and with times that are shorter.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.server.protocols.metrics.test_contrib import targets
from tests.servers import DEADLINE, HOST
from tests.wire import Peer

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "monitoring.md").read_text()
SECTION = PAGE[PAGE.index("## Prometheus: from nothing") :]
FENCED = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RULES = ROOT / "contrib" / "prometheus" / "alerts.yml"
# What a test can't run.
INSTALLATION = ("apt-get install prometheus", "pip install 'gearman-py[http]'")

# The manual's ports, and how their users say that they are ready.
PORTS = {"9730": "/healthz", "9091": "/-/ready"}
PROGRAMS = {"gearmand": "gearman.server", "gearman": "gearman.cli.gearman"}

pytestmark = pytest.mark.interop


def commands() -> Iterator[str]:
    for line in FENCED.sub("", SECTION).splitlines():
        if line.startswith("    ") and line.strip() not in INSTALLATION:
            yield line.strip()


def ask(port: int, path: str) -> Any:
    """Return the answer to GET; None if nobody listens."""
    try:
        with urllib.request.urlopen(f"http://localhost:{port}{path}") as answer:
            return answer.read().decode()
    except OSError:
        return None


class Shell:
    """Runs the manual's commands in a folder, with other ports."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.ports = {port: servers.free_port() for port in PORTS}
        self._folder = folder
        self._stack = stack
        self._environment = servers.package_environment()
        programs = folder / "bin"
        programs.mkdir()
        path = [str(programs), os.environ["PATH"], "/usr/sbin"]
        self._environment["PATH"] = os.pathsep.join(path)
        port = servers.free_port()
        for name, module in PROGRAMS.items():
            program = programs / name
            python = shlex.quote(sys.executable)
            line = f'exec {python} -P -m {module} -p {port} "$@"'
            program.write_text(f"#!/bin/sh\n{line}\n")
            program.chmod(0o755)

    def changed(self, text: str) -> str:
        for old, new in self.ports.items():
            text = text.replace(old, str(new))
        return text.replace("15s", "1s")

    def run(self, command: str) -> str:
        """Run a command, or start it if it ends with &; return its output."""
        program, background, _ = self.changed(command).partition(" &")
        words = shlex.split(program)
        if words[0] == "cp":
            words[1] = str(ROOT / words[1])
        if not background:
            done = subprocess.run(
                words,
                cwd=self._folder,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
            )
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            return done.stdout
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                words, cwd=self._folder, env=self._environment, stdout=log, stderr=log
            )
        self._stack.callback(servers.end, process)
        (port,) = [port for port in PORTS if port in command]
        servers.until(lambda: ask(self.ports[port], PORTS[port]))
        return ""


def test_commands_of_the_manual_lead_to_an_alert(tmp_path: Path) -> None:
    for program in ("prometheus", "promtool", "curl"):
        servers.foreign(program)
    with ExitStack() as stack:
        shell = Shell(tmp_path, stack)
        prometheus = shell.ports["9091"]
        (configuration,) = FENCED.findall(SECTION)
        (tmp_path / "prometheus.yml").write_text(shell.changed(configuration))

        def states() -> dict[str, str]:
            found = json.loads(ask(prometheus, "/api/v1/alerts"))["data"]["alerts"]
            return {alert["labels"]["alertname"]: alert["state"] for alert in found}

        said = {}
        for command in commands():
            if command.endswith("/api/v1/alerts"):
                servers.until(
                    lambda: states() == {"GearmanJobsWithoutWorkers": "firing"}
                )
            said[command] = shell.run(command)
            if command.startswith("cp "):
                alerts = tmp_path / "alerts.yml"
                alerts.write_text(re.sub(r" for: \w+", " for: 1s", alerts.read_text()))
        assert said["curl -s http://localhost:9730/readyz"] == "ready\n"
        assert "gearman_up 1\n" in said["curl -s http://localhost:9730/metrics"]
        told = said["curl -s http://localhost:9091/api/v1/alerts"]
        assert "Jobs of nobody wait, but no worker has the function." in told
        # The last command was a worker.
        servers.until(lambda: states() == {})
        query = "/api/v1/query?query=gearman_jobs_total"
        found = json.loads(ask(prometheus, query))["data"]["result"]
        assert {sample["metric"]["function"] for sample in found} == {"nobody"}


def test_rules_are_valid() -> None:
    promtool = servers.foreign("promtool")
    subprocess.run([promtool, "check", "rules", RULES], check=True, timeout=DEADLINE)


# What makes each alert fire, in samples a minute.
CAUSES = {
    "GearmanServerDown": {'up{job="gearman"}': "0x40"},
    "GearmanJobsWithoutWorkers": {
        'gearman_oldest_waiting_seconds{function="f"}': "10+60x40",
        'gearman_workers{function="f"}': "0x40",
    },
    "GearmanQueueGrows": {
        'gearman_jobs_waiting{function="f"}': "101+10x40",
        'gearman_workers{function="f"}': "1x40",
    },
    "GearmanJobsWaitLong": {
        'gearman_oldest_waiting_seconds{function="f"}': "700x40",
        'gearman_workers{function="f"}': "1x40",
    },
    "GearmanJobsFail": {
        'gearman_jobs_total{function="f",event="failed"}': "0+1x40",
        'gearman_jobs_total{function="f",event="completed"}': "0+8x40",
    },
    "GearmanJobsGivenUp": {
        'gearman_jobs_total{function="f",event="given_up"}': "0+1x40"
    },
    "GearmanWorkersLost": {'gearman_jobs_total{function="f",event="lost"}': "0+1x40"},
    "GearmanStoreOutage": {"gearman_store_outage": "1x40"},
    "GearmanInboxFails": {"gearman_inbox_failing": "1x40"},
    "GearmanStoreSlow": {
        'gearman_store_commit_seconds_bucket{le="1.024"}': "0+98x40",
        'gearman_store_commit_seconds_bucket{le="2.048"}': "0+100x40",
        'gearman_store_commit_seconds_bucket{le="+Inf"}': "0+100x40",
    },
    "GearmanShardsWithoutOwner": {"gearman_cluster_free_shards": "3x40"},
    "GearmanLeaseInDoubt": {
        "gearman_cluster_lease_left_seconds": "4.9x40",
        "gearman_cluster_lease_seconds": "10x40",
    },
    "GearmanLinkDown": {
        "gearman_cluster_links": "1x40",
        "gearman_cluster_servers": "3x40",
    },
    "GearmanRelayDown": {'gearman_relay_connected{relay="r"}': "0x40"},
    "GearmanLimitHit": {'gearman_limit_hits_total{limit="max-jobs"}': "0+1x40"},
}
WELL = {
    'up{job="gearman"}': "1x40",
    "gearman_up": "1x40",
    'gearman_oldest_waiting_seconds{function="f"}': "0x20 5x20",
    'gearman_jobs_waiting{function="f"}': "200x40",
    'gearman_workers{function="f"}': "1x40",
    'gearman_jobs_total{function="f",event="failed"}': "0+1x40",
    'gearman_jobs_total{function="f",event="completed"}': "0+10x40",
    'gearman_jobs_total{function="f",event="given_up"}': "7x40",
    'gearman_jobs_total{function="f",event="lost"}': "7x40",
    "gearman_store_outage": "0x40",
    "gearman_inbox_failing": "0x40",
    "gearman_cluster_free_shards": "0x40",
    "gearman_cluster_lease_left_seconds": "8x40",
    "gearman_cluster_lease_seconds": "10x40",
    "gearman_cluster_links": "2x40",
    "gearman_cluster_servers": "3x40",
    'gearman_relay_connected{relay="r"}': "1x40",
    'gearman_store_commit_seconds_bucket{le="1.024"}': "0+100x40",
    'gearman_store_commit_seconds_bucket{le="+Inf"}': "0+100x40",
    'gearman_limit_hits_total{limit="max-jobs"}': "7x40",
}


def play(series: dict[str, str], expected: list[str]) -> dict[str, Any]:
    """Return a test for promtool: which alerts fire after 40 minutes."""
    query = 'count by (alertname) (ALERTS{alertstate="firing"})'
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected]
    return {
        "interval": "1m",
        "input_series": [{"series": k, "values": v} for k, v in series.items()],
        "promql_expr_test": [
            {"expr": query, "eval_time": "40m", "exp_samples": samples}
        ],
    }


def test_each_alert_fires_for_its_cause_and_none_if_all_is_well(tmp_path: Path) -> None:
    promtool = servers.foreign("promtool")
    assert {*CAUSES} == set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    tests = [play(series, [name]) for name, series in CAUSES.items()]
    tests.append(play(WELL, []))
    file = tmp_path / "tests.yml"
    file.write_text(
        json.dumps(
            {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
        )
    )
    done = subprocess.run(
        [promtool, "test", "rules", file],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_expressions_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    promtool = servers.foreign("promtool")
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(targets())
    ]
    text = json.dumps({"groups": [{"name": "dashboard", "rules": rules}]})
    for name, value in (
        ("$__rate_interval", "5m"),
        ("$instance", "a"),
        ("$function", "f"),
    ):
        text = text.replace(name, value)
    # JSON is YAML.
    file = tmp_path / "rules.yml"
    file.write_text(text)
    subprocess.run([promtool, "check", "rules", file], check=True, timeout=DEADLINE)


def test_metrics_are_valid_whatever_names_functions_have() -> None:
    promtool = servers.foreign("promtool")
    port = servers.free_port()
    with servers.ours("--metrics-port", str(port)) as server, ExitStack() as stack:
        peer = stack.enter_context(Peer(server.port))
        for name in (b"f", b'a"b\\', b"\xff", "\u2028".encode(), b"100%", b"x" * 999):
            peer.send("CAN_DO", name)
            peer.send("SUBMIT_JOB_BG", name, b"", b"w")
            peer.send("GRAB_JOB")
        peer.fence()
        url = f"http://{HOST}:{port}/metrics"
        with urllib.request.urlopen(url) as answer:
            text = answer.read()
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert text.count(b"gearman_job_wait_seconds_count{") == 6
