"""The unit for systemd is valid, and keeps the server from what it does not need.

systemd does not run here, so the unit is only checked.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers

UNIT = Path(__file__).resolve().parents[2] / "contrib" / "gearmand.service"
# What systemd calls the exposure of a unit, from 0 to 100.
MOST_EXPOSURE = 20

pytestmark = [pytest.mark.interop, pytest.mark.any_build]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit with a program that is here."""
    text = UNIT.read_text()
    program = "/opt/gearman-py/bin/gearmand "
    assert text.count(program) == 1
    path = tmp_path / UNIT.name
    path.write_text(text.replace(program, f"{sys.executable} -m gearman.server "))
    return path


def test_unit_is_valid(unit: Path) -> None:
    program = servers.foreign("systemd-analyze")
    done = subprocess.run(
        [program, "verify", "--man=no", unit], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_unit_exposes_little(unit: Path) -> None:
    program = servers.foreign("systemd-analyze")
    options = ["security", "--offline=true", f"--threshold={MOST_EXPOSURE}"]
    done = subprocess.run([program, *options, unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
