"""The programs in examples/ do what the README says."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import DEADLINE

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / "wordcount.py", *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_wordcount_counts_the_words_of_each_text_file(tmp_path: Path) -> None:
    Path(tmp_path, "one").write_text("a b c\nd")
    Path(tmp_path, "two.md").write_text("")
    Path(tmp_path, "three.svg").write_text("<svg/>")
    Path(tmp_path, "four.png").write_bytes(b"\x89PNG")
    shown = run(str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[1:4] == [
        ["4", "words", "in", "one"],
        ["0", "words", "in", "two.md"],
        ["What", "the", "server", *lines[3][3:]],
    ]
    assert "'task': 'wordcount', 'queued': 0, 'running': 0" in shown.stdout
    assert "'task': 'note', 'queued': 1000, 'running': 0, 'workers': 0" in shown.stdout
    assert lines[-1] == ["The", "workers", "have", "run", "them", "all."]
    assert shown.stderr == ""


@pytest.mark.parametrize("folder", ["/no/such/folder", __file__])
def test_wordcount_says_what_is_no_folder(folder: str) -> None:
    shown = run(folder)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == f"{folder} is no folder\n"
