"""Programs do with this library what they do with python-gearman 2.0.2."""

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

# gearmand at times forgets to wake a worker, and 2.0.2's program waits in vain.
PLAYS = {"gearmand": 3, "ours": 1}


def agree(theirs: Any, ours: Any) -> bool:
    """Tell whether results are the same; an error's text may say more."""
    if isinstance(theirs, str) and theirs.startswith("raised"):
        return isinstance(ours, str) and ours.startswith(theirs)
    return bool(theirs == ours)


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Return the pairs of results that are not the same, by their labels."""
    return {
        label: (theirs.get(label), ours.get(label))
        for label in {*theirs, *ours}
        if not agree(theirs.get(label), ours.get(label))
    }


def hung(result: Any) -> bool:
    """Tell whether a job was not over in time."""
    return isinstance(result, dict) and result.get("timed_out") is True


@interop
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_program_gets_the_results_that_it_gets_from_2_0_2(
    scene: str, server: str, original: Original, tmp_path: Path
) -> None:
    libraries = Library((original.python,), original.environment()), our_library()
    # Texts name the server: it has the same port both times.
    port = free_port()
    log = tmp_path / "programs.log"
    wanted = expected(scene, server)
    try:
        for _ in range(PLAYS[server]):
            theirs, ours = (play(scene, each, server, port, log) for each in libraries)
            different = differences(theirs, ours)
            if different == wanted or not any(map(hung, theirs.values())):
                break
    finally:
        # pytest shows this when the test fails.
        print(log.read_text(errors="replace"))
    assert different == wanted


def test_named_differences_are_those_of_scenes() -> None:
    assert {row.scene for row in DIFFERENCES} <= set(SCENES)
