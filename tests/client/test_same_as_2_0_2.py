"""Programs behave the same with this library and with python-gearman 2.0.2."""

from pathlib import Path
from typing import Any

import pytest

from tests.client.python2 import (  # noqa: F401 -- they register their scenes
    admin,
    jobs,
    parts,
    seams,
    statuses,
    tasks,
    trouble,
)
from tests.client.python2.differences import DIFFERENCES, expected
from tests.client.python2.original import Original
from tests.client.python2.stage import SCENES, SERVERS, Library, our_library, play
from tests.servers import free_port

interop = pytest.mark.interop


def agree(theirs: Any, ours: Any) -> bool:
    """Whether results are the same; the text of an error may be longer."""
    if isinstance(theirs, str) and theirs.startswith("raised"):
        return isinstance(ours, str) and ours.startswith(theirs)
    return bool(theirs == ours)


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Return the pairs of results that differ, by their labels."""
    return {
        label: (theirs.get(label), ours.get(label))
        for label in {*theirs, *ours}
        if not agree(theirs.get(label), ours.get(label))
    }


def hung(result: Any) -> bool:
    """Whether a job had not ended in time."""
    return isinstance(result, dict) and result.get("timed_out") is True


def expect_end(theirs: dict[str, Any], different: dict[str, Any]) -> None:
    """Raise TimeoutError if a job of 2.0.2 has not ended: its worker slept on."""
    if any(map(hung, theirs.values())):
        raise TimeoutError(f"2.0.2 waits in vain, with these differences: {different}")


@interop
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_program_gets_the_results_that_it_gets_from_2_0_2(
    scene: str, server: str, original: Original, tmp_path: Path
) -> None:
    libraries = Library((original.python,), original.environment()), our_library()
    # Texts name the server, so it has the same port both times.
    port = free_port()
    log = tmp_path / "programs.log"
    wanted = expected(scene, server)
    try:
        theirs, ours = (play(scene, each, server, port, log) for each in libraries)
    finally:
        # pytest shows this when the test fails.
        print(log.read_text(errors="replace"))
    different = differences(theirs, ours)
    if different != wanted:
        expect_end(theirs, different)
    assert different == wanted


def test_named_differences_are_those_of_scenes() -> None:
    assert {row.scene for row in DIFFERENCES} <= set(SCENES)
