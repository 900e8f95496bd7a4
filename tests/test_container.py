"""The files for containers are well formed, and their commands work.

No image is built here: that needs a container engine, and images from the network.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import servers
from tests.servers import DEADLINE, HOST, package_environment

pytestmark = pytest.mark.any_build

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "contrib" / "container"
DATA = "/var/lib/gearmand"
# The instructions that the reference of the format has.
INSTRUCTIONS = {
    *("FROM", "RUN", "COPY", "ENV", "VOLUME", "USER", "EXPOSE", "STOPSIGNAL"),
    *("HEALTHCHECK", "ENTRYPOINT", "CMD"),
}
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())[
    "project"
]["scripts"]


def instructions() -> list[tuple[str, str]]:
    lines = (FOLDER / "Containerfile").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (each.partition(" ") for each in wanted)]


def words(name: str) -> list[str]:
    """Return the words of the only instruction of this name."""
    (rest,) = (rest for found, rest in instructions() if found == name)
    found: list[str] = json.loads(rest[rest.index("[") :])
    return found


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return found


def program(command: Sequence[str]) -> list[str]:
    """Return the command line of one of our programs, with this Python."""
    module = SCRIPTS[command[0]].partition(":")[0]
    return [sys.executable, "-P", "-m", module, *command[1:]]


def run(command: Sequence[str], text: str = "") -> str:
    done = subprocess.run(
        program(command),
        env=package_environment(),
        input=text,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


def check(options: Sequence[str], place: Path) -> None:
    """Check options of the server; `place` stands for the volume."""
    given = [word.replace(DATA, str(place)) for word in options]
    assert given != [*options]
    run(["gearmand", *given, "--check-args"])


def test_instructions_are_known() -> None:
    assert {name for name, _ in instructions()} == INSTRUCTIONS
    stages = [rest for name, rest in instructions() if name == "FROM"]
    assert stages[0].endswith(" AS build")
    assert len(stages) == 2


def test_server_of_the_image_may_start(tmp_path: Path) -> None:
    check([*words("ENTRYPOINT"), *words("CMD")][1:], tmp_path)
    assert words("ENTRYPOINT") == ["gearmand"]
    assert ("VOLUME", DATA) in instructions()


def test_extra_of_the_image_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (FOLDER / "Containerfile").read_text()
    assert re.findall(r"/src\[(\w+)\]", text) == ["all"]
    assert "all" in project["optional-dependencies"]


def test_health_is_that_of_the_server() -> None:
    command = words("HEALTHCHECK")
    with servers.ours() as server:
        run([*command, "-p", str(server.port)])


def test_services_use_what_is_declared(tmp_path: Path) -> None:
    found = compose()
    services = found["services"]
    assert set(services) == {"server", "worker"}
    server, worker = services["server"], services["worker"]
    assert server["image"] == worker["image"]
    context = (FOLDER / server["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / server["build"]["dockerfile"]).samefile(FOLDER / "Containerfile")
    (volume,) = server["volumes"]
    assert volume == f"{next(iter(found['volumes']))}:{DATA}"
    assert list(worker["depends_on"]) == ["server"]
    assert worker["depends_on"]["server"] == {"condition": "service_healthy"}
    assert server["healthcheck"]["test"] == ["CMD", *words("HEALTHCHECK")]
    check(server["command"], tmp_path)


def test_worker_works() -> None:
    command = compose()["services"]["worker"]["entrypoint"]
    command[command.index("server")] = HOST
    with servers.ours() as server:
        at = ["-p", str(server.port)]
        end = command.index("--")
        process = subprocess.Popen(
            program([*command[:end], *at, *command[end:]]), env=package_environment()
        )
        try:
            printed = run(["gearman", "-h", HOST, *at, "-f", "wc"], "one two\n")
            assert printed.split() == ["1", "2", "8"]
        finally:
            servers.end(process)
