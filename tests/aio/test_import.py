"""Programs that do not use asyncio do not pay for it."""

import subprocess
import sys

import pytest

from tests import servers


@pytest.mark.parametrize("module", ["gearman", "gearman.server.__main__"])
def test_aio_is_imported_by_those_who_use_it(module: str) -> None:
    program = f"import sys, {module}; print([m for m in sys.modules if '.aio' in m])"
    said = subprocess.run(
        [sys.executable, "-c", program],
        env=servers.package_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "[]\n"
