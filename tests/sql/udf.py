"""The SQL functions in C, built from the checkout."""

import os
import shutil
import subprocess
from pathlib import Path

from tests import servers

SOURCES = Path(__file__).resolve().parents[2] / "contrib" / "mysql"


def compiler() -> str:
    """Return the C compiler, if all that is needed beside it is there."""
    for name in ("make", "mariadb_config"):
        if shutil.which(name) is None:
            servers.missing(name)
    return shutil.which("gcc") or servers.missing("gcc")


def build(folder: Path, *arguments: str) -> Path:
    """Build the library by the commands of the manual; return its folder."""
    compiler()
    sources = shutil.copytree(
        SOURCES, folder / "mysql", ignore=shutil.ignore_patterns("*.so")
    )
    plugins = folder / "plugins"
    make("install", f"PLUGIN_DIR={plugins}", *arguments, folder=sources)
    return plugins


def make(*arguments: str, folder: Path) -> None:
    done = subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    # Nor are there warnings.
    assert done.stderr == ""
