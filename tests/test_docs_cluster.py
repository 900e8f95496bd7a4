"""What docs/cluster.md says of the log and of options is what the server does."""

import re
from pathlib import Path

from gearman.server.settings.cluster import ROWS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "cluster.md").read_text()
SOURCES = [
    *(ROOT / "gearman" / "server" / "cluster").glob("*.py"),
    ROOT / "gearman" / "server" / "member.py",
    ROOT / "gearman" / "server" / "net" / "links.py",
    ROOT / "gearman" / "server" / "storage" / "store.py",
    ROOT / "gearman" / "server" / "storage" / "restoring.py",
]


def test_page_has_every_option() -> None:
    told = re.findall(r"^\| `(--[a-z-]+) ", PAGE, re.MULTILINE)
    assert told == [names[0] for names, _ in ROWS]


def test_lines_of_the_log_are_those_of_the_server() -> None:
    sources = "".join(path.read_text() for path in SOURCES)
    lines = re.findall(r"^\| [A-Z]+ \| `(.+?)` \|", PAGE, re.MULTILINE)
    assert len(lines) >= 10
    for line in lines:
        # Without what differs each time.
        parts = re.split(r"…|gear1:4730|\d+", line)
        assert all(part.strip() in sources for part in parts), line
