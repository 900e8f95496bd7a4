"""The settings file of docs/steering.md is right, and its tables have every key."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gearman.errors import ConfigurationError
from gearman.options.keys import KEYS_OF, POLICY
from gearman.options.schedule import NAMED_TIMES
from gearman.server.protocols.events import NAMES
from gearman.server.settings.options import GROUPS
from gearman.server.settings.settings_file import CHANGEABLE, read_settings
from gearman.server.settings.tables.hooks import KEYS as HOOK_KEYS
from gearman.server.settings.tables.relays import KEYS as RELAY_KEYS
from gearman.server.settings.tables.schedules import KEYS
from gearman.server.watch.hooks.url import signature
from tests.certificates import Authority
from tests.servers import DEADLINE, package_environment

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "steering.md").read_text()
SERVER = (ROOT / "docs" / "server.md").read_text()


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The settings file of the page, with the file that it names."""
    (text,) = re.findall("^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "report.json").write_text("{}")
    file = tmp_path / "settings.toml"
    file.write_text(text)
    return file


def section(page: str, title: str) -> str:
    (found,) = re.findall(
        rf"^#+ {title}\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL
    )
    return str(found)


def keys(title: str) -> list[str]:
    """Return the first column of the table of a section."""
    return re.findall(r"^\| `([a-z-]+)` \|", section(PAGE, title), re.MULTILINE)


def test_settings_file_of_the_page_is_right(example: Path) -> None:
    words = ["--check-args", "--settings", str(example)]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gearman.server", *words],
        env=package_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_mistake_is_told_as_the_page_says(example: Path) -> None:
    example.write_text(example.read_text().replace('"100/s"', '"100"'))
    with pytest.raises(ConfigurationError) as caught:
        read_settings(str(example))
    told = str(caught.value).replace(str(example.parent), "/etc/gearman")
    assert f"gearmand: {told}" in re.sub(r"\n +", " ", PAGE)


def test_tables_have_every_key() -> None:
    assert sorted(keys("Policies of functions")) == sorted(KEYS_OF[POLICY])
    assert keys("Schedules") == list(KEYS)
    assert [f"@{name}" for name in re.findall("`@([a-z]+)`", PAGE)] == [*NAMED_TIMES]


def test_limits_that_can_change_are_told() -> None:
    text = section(PAGE, "Limits")
    assert re.findall("`(max-[a-z-]+)`", text.partition("A value")[0]) == [*CHANGEABLE]


def test_manual_of_the_server_tells_for_each_option_what_hup_does() -> None:
    lines = section(SERVER, "What HUP changes").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    named = [re.findall("`(--[a-z-]+)`", row.split("|")[1]) for row in rows]
    assert named[3] == [f"--{name}" for name in CHANGEABLE]
    options = {name for rows in GROUPS.values() for names, _ in rows for name in names}
    assert {name for row in named for name in row} <= options


def test_hooks_of_the_page_are_right(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    (text,) = re.findall("^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "hook.key").write_text("secret")
    file = tmp_path / "settings.toml"
    file.write_text(text)
    assert [hook.kind for hook in read_settings(str(file)).hooks] == [
        *("url", "command", "function"),
    ]
    table = section(page, "Hooks")
    rows = re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE)
    assert tuple(re.findall(r"`([a-z-]+)`", " ".join(rows))) == HOOK_KEYS


def test_relay_of_the_page_is_right(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "relay.md").read_text()
    (text,) = re.findall("^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    Authority(tmp_path).path.rename(tmp_path / "central.pem")
    file = tmp_path / "settings.toml"
    file.write_text(text)
    assert [relay.name for relay in read_settings(str(file)).relays] == ["central"]
    rows = re.findall(r"^\| (`[^|]*`) \|", page[: page.index("## What")], re.MULTILINE)
    assert tuple(re.findall(r"`([a-z-]+)`", " ".join(rows))) == RELAY_KEYS


def test_receiver_of_the_page_checks_signatures() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    (text,) = re.findall(
        r"^```python\n(import hmac\n.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    names: dict[str, Any] = {}
    exec(text, names)
    good = signature(b"secret", 1700000000, b"[]")
    assert names["is_genuine"](b"secret", good, b"[]")
    assert not names["is_genuine"](b"secret", good, b"[1]")
    assert not names["is_genuine"](b"other", good, b"[]")


def test_events_of_the_page_are_those_that_there_are() -> None:
    page = section((ROOT / "docs" / "monitoring.md").read_text(), "Events")
    table = page[page.index("| event |") : page.index("| key |")]
    rows = re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE)
    assert set(re.findall(r"`([a-z_]+)`", " ".join(rows))) == NAMES | {"left_out"}
