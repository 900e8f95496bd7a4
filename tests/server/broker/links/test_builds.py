"""Both builds do the same with several servers."""

import os
import subprocess
import sys
from pathlib import Path

from gearman.framing import BUILD

ROOT = Path(__file__).resolve().parents[4]
SCENES = 40


def played(pure: bool) -> bytes:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GEARMAN_EXPECT_BUILD": ""}
    environment["GEARMAN_PURE_PYTHON"] = "1" if pure else "0"
    command = [sys.executable, "-m", "tests.server.broker.links.script", str(SCENES)]
    return subprocess.run(
        command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout


def test_both_builds_tell_their_peers_the_same() -> None:
    pure = played(True)
    assert pure.count(b"JOB_ASSIGN") > 10 * SCENES
    if BUILD == "speedups":
        assert played(False) == pure
