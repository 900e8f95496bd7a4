"""The plugin of the manual, which is found like those of other packages."""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from .backend import Backend
from .backend_flatfile import outage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "queues.md"


def source() -> str:
    """Return the module in the manual."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert isinstance(block, str)
    return block


def install(folder: Path) -> None:
    """Create a package with the plugin in a folder, as the manual declares it."""
    declared = re.findall(
        r'^    \[project.entry-points."gearman.queues"\]\n    (folder = ".*")$',
        PAGE.read_text(),
        re.M,
    )
    (folder / "folder.py").write_text(source())
    info = folder / "folder-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: folder\nVersion: 1")
    (entry,) = (line.replace('"', "") for line in declared)
    (info / "entry_points.txt").write_text(f"[gearman.queues]\n{entry}\n")


@contextmanager
def folder(path: Path) -> Iterator[Backend]:
    package = path / "package"
    package.mkdir()
    install(package)
    sys.path.append(str(package))
    try:
        module = importlib.import_module("folder")
    finally:
        sys.path.remove(str(package))
    numbers = count()
    yield Backend(
        module.Folder,
        lambda: {"path": str(path / str(next(numbers)))},
        unreachable={"path": str(path / "missing" / "store")},
        outage=outage,
        package=package,
    )
    del sys.modules["folder"]
