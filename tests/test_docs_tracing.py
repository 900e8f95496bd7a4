"""docs/tracing.md: its program runs, and its table has the attributes of spans."""

import re
import subprocess
import sys
from pathlib import Path

from tests.servers import DEADLINE, package_environment
from tests.test_docs import blocks

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tracing.md"
ATTRIBUTE = re.compile(r'"((?:messaging|gearman|server|error)\.[a-z_.]+)"')


def test_program_of_the_page_runs() -> None:
    (program,) = blocks(PAGE)
    environment = package_environment() | {"OTEL_SDK_DISABLED": "true"}
    subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=environment,
        check=True,
        timeout=DEADLINE,
    )


def test_every_attribute_is_on_the_page() -> None:
    sources = [
        *(ROOT / "gearman" / "tracing").glob("*.py"),
        ROOT / "gearman" / "server" / "watch" / "traces.py",
    ]
    names = {name for path in sources for name in ATTRIBUTE.findall(path.read_text())}
    names -= {"gearman.server", "gearman.tracing"}
    assert len(names) > 10
    page = PAGE.read_text()
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []
