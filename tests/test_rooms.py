"""Limits of folders and files, and the folders that CONTRIBUTING.md describes."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    path
    for folder in ("gearman", "queues")
    for kind in ("py", "pyx", "pxi")
    for path in sorted((ROOT / folder).rglob(f"*.{kind}"))
]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()

# Modules in a folder; the names in gearman/ are promised to python-gearman's programs.
MOST_MODULES = {"gearman": 26}
MANY_MODULES = 16

# Lines of a file, and of a function.
MOST_LINES = {".py": 450, ".pyx": 600, ".pxi": 600}
LONG_FUNCTION = 60


@pytest.mark.parametrize("folder", sorted({path.parent for path in SOURCES}))
def test_folder_is_not_crowded(folder: Path) -> None:
    name = str(folder.relative_to(ROOT))
    assert len(list(folder.glob("*.py"))) <= MOST_MODULES.get(name, MANY_MODULES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_not_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES[path.suffix]


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.suffix == ".py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_function_is_long(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONG_FUNCTION, node.name


def test_rooms_of_the_page_are_there() -> None:
    tree = PAGE[PAGE.index("## Rooms") : PAGE.index("The rooms of the server stand")]
    rows = re.findall(r"^    ( *)([a-z_]+)/(?: |$)", tree, re.MULTILINE)
    assert len(rows) > 10
    above: list[str] = []
    for indent, name in rows:
        above[len(indent) // 2 :] = [name]
        assert ROOT.joinpath(*above).is_dir(), above
    told = {name for _, name in rows}
    server = (ROOT / "gearman" / "server").iterdir()
    assert {path.name for path in server if (path / "__init__.py").exists()} <= told


def test_rules_are_where_the_page_says() -> None:
    rows = re.findall(r"^\| .+ \| `(\S+\.py)` \| `(\w+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) > 30
    for file, name in rows:
        places = [ROOT / "gearman" / above / file for above in ("server", "")]
        (path,) = filter(Path.exists, places)
        found = re.search(
            rf"\b((def|class) {name}\b|{name}(:.*)? = )", path.read_text()
        )
        assert found, (file, name)


def test_names_on_the_way_of_a_job_are_where_the_page_says() -> None:
    way = PAGE[PAGE.index("The way of one job:") : PAGE.index("## Tests")]
    names: list[str] = []
    places = 0
    for word in re.findall(r"`([^`]+)`", way):
        if "/" not in word:
            names.append(word)
            continue
        # A name is just before the file that has it.
        places += 1
        text = (ROOT / word).read_text()
        assert any(re.search(rf"\b{name}\b", text) for name in names[-1:]), word
    assert places > 8
