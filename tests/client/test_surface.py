"""Everything public in python-gearman 2.0.2 is also here, under its name.

`python2/surface.py` has written the list, `surface_2_0_2.json`. Things may be defined
in another module, and may have more: arguments, names, rows of a table.
"""

import inspect
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from tests.client.python2 import surface
from tests.client.python2.original import Original

HERE = Path(__file__).parent
FACTS: dict[str, tuple[str, Any]] = json.loads(
    (HERE / "surface_2_0_2.json").read_text()
)
OBJECTS = {surface.full_name(type(it)): it for it in surface.instances()}

# What differs from 2.0.2, and why. A row that is not needed fails.
DIFFERENCES: dict[str, str] = {
    "gearman.__version__": "this package's own version",
    "gearman.client.gearman": "the package itself, which every program has",
    "gearman.connection_manager.gearman": "the package itself, which every program has",
}


def find(path: str) -> Any:
    """Return the object of this dotted name; `name()` is a new instance of a class."""
    owner, _, name = path.rpartition(".")
    if owner.endswith("()"):
        return getattr(OBJECTS[owner.removesuffix("()")], name)
    return inspect.getattr_static(resolve_name(owner), name)


def has_name(thing: Any, name: str) -> bool:
    return bool(thing.__name__ == name)


def is_logger(thing: Any, name: str) -> bool:
    return bool(thing.name == name)


def is_thing(thing: Any, name: str) -> bool:
    """Whether an object is the one of that name, in this package or in Python."""
    package = "" if "." in name else "builtins."
    return thing is resolve_name(package + name)


def is_class(thing: Any, bases: str | list[str]) -> bool:
    """Whether a class derives from all these, or is the one that `bases` names."""
    if isinstance(bases, str):
        return is_thing(thing, bases)
    qualified = [base if "." in base else f"builtins.{base}" for base in bases]
    return all(issubclass(thing, resolve_name(base)) for base in qualified)


def is_property(thing: Any, _: None) -> bool:
    return isinstance(thing, property)


def accepts(thing: Any, theirs: list[str]) -> bool:
    """Whether every call that was possible before is still possible."""
    kind, ours = surface.member(thing)
    stars = {"*", "**"}
    positional = [argument for argument in theirs if argument not in stars]
    more = [each for each in ours[len(positional) :] if each not in stars]
    return (
        kind != "value"
        and ours[: len(positional)] == positional
        and all("=" in argument for argument in more)
        and stars & set(theirs) <= set(ours)
    )


def includes(thing: Any, theirs: Any) -> bool:
    """Whether a value is the same; a table or a set may have more items."""
    ours = surface.plain(thing)
    if isinstance(theirs, dict):
        ((kind, items),) = theirs.items()
        if kind in ("dict", "set"):
            return all(item in ours[kind] for item in items)
    return bool(ours == theirs)


HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "module": has_name,
    "logger": is_logger,
    "import": is_thing,
    "class": is_class,
    "property": is_property,
    "function": accepts,
    "classmethod": accepts,
    "staticmethod": accepts,
    "value": includes,
}


def holds(path: str) -> bool:
    """Whether a fact about 2.0.2 is true for this package too."""
    kind, content = FACTS[path]
    try:
        thing = find(path)
    except AttributeError:
        return False
    return HOLDS[kind](thing, content)


@pytest.mark.parametrize("path", FACTS)
def test_what_2_0_2_has_is_here(path: str) -> None:
    if path in DIFFERENCES:
        assert not holds(path), f"{path} needs no row among the differences"
    else:
        assert holds(path), FACTS[path]


def test_a_difference_is_one_to_a_fact() -> None:
    assert set(DIFFERENCES) <= set(FACTS)


@pytest.mark.interop
def test_the_facts_are_those_of_2_0_2(original: Original) -> None:
    script = HERE / "python2" / "surface.py"
    written = subprocess.run(
        [original.python, str(script)],
        env=original.environment(),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert written == (HERE / "surface_2_0_2.json").read_text()
