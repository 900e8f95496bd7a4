"""Django's own tests pass, where they are at hand: see `djangos_tests`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.django.project import HAS_TASKS
from tests.servers import DEADLINE, package_environment

ROOT = Path(__file__).resolve().parents[2]
FOLDER = os.environ.get("DJANGO_TESTS", "")


@pytest.mark.skipif(
    not (HAS_TASKS and FOLDER), reason="DJANGO_TESTS names no folder of Django's tests"
)
def test_djangos_own_tests_pass() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.django.djangos_tests", FOLDER],
        cwd=ROOT,
        env=package_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE * 3,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert found
    assert int(found[1]) > 50
