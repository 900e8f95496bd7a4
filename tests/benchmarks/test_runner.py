"""The benchmark of the runner, with few jobs."""

import subprocess
import sys

from tests import servers


def test_each_job_is_run_while_processes_come_and_go() -> None:
    words = ["--jobs", "200", "--max-jobs", "20", "--hup", "0.2", "--kill", "0.3"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.runner", *words],
        cwd=servers.__file__.rpartition("/tests/")[0],
        capture_output=True,
        text=True,
        timeout=3 * servers.DEADLINE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 jobs not run, 0 left on the server" in done.stdout
