"""The project of docs/frameworks.md does what the page says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gearman.django.management.commands.gearman_worker import Command
from gearman.django.options import OF_JOBS
from gearman.server import embedded
from tests.django.project import HAS_TASKS, LIBRARY
from tests.servers import DEADLINE, end, package_environment
from tests.test_docs import blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "frameworks.md"
OUTPUT = ["READY", "SUCCESSFUL 3.75", "ann gets a receipt about 3.75", "2", "1"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder with the files of the page, whose tasks go to a server."""
    with embedded.server() as address:
        for block in blocks(PAGE):
            path = tmp_path / block.splitlines()[0].removeprefix("# ")
            path.parent.mkdir(exist_ok=True)
            text = block.replace("localhost:4730", address)
            path.write_text(text.replace("django.tasks", LIBRARY))
        with (tmp_path / "mysite" / "settings.py").open("a") as settings:
            settings.write("USE_TZ = True\n")
            if not HAS_TASKS:
                settings.write('INSTALLED_APPS.append("django_tasks")\n')
        yield tmp_path


def command(project: Path, *words: str) -> subprocess.Popen[str]:
    """Start a program in the project."""
    environment = package_environment(path=project)
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=project,
        env={**environment, "DJANGO_SETTINGS_MODULE": "mysite.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(project: Path, *words: str) -> str:
    """Run a program in the project; return its output."""
    process = command(project, *words)
    output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, errors
    return output


@pytest.mark.timeout(240)
def test_project_of_the_page_runs(project: Path) -> None:
    manage = ("-m", "django")
    assert "no issues" in done(project, *manage, "check")
    worker = command(project, *manage, "gearman_worker", "--threads", "4")
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("Running tasks of ")
        program = "import django; django.setup(); import shop.use"
        assert done(project, "-c", program).splitlines() == OUTPUT
    finally:
        end(worker)
        worker.communicate()
    assert worker.returncode == 0


def test_app_of_the_page_has_the_queues(project: Path) -> None:
    program = "from mysite.worker import app; print(*sorted(app.tasks))"
    assert done(project, "-c", program) == "django.default django.mail\n"


def keys(title: str) -> list[str]:
    """Return what the first column of a table names."""
    table = PAGE.read_text().partition(f"| {title} |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    return re.findall(r"`(\S+?)(?: [A-Z]+)?`", " ".join(rows))


def test_tables_have_all_options() -> None:
    own = {"servers", "prefix", "enqueue_on_commit", "discover"}
    assert set(keys("key in `OPTIONS`")) == own | {*OF_JOBS}
    parser = Command().create_parser("manage.py", "gearman_worker")
    options = [*parser._option_string_actions]
    first = options.index("--backend")
    assert keys("option") == options[first:]
