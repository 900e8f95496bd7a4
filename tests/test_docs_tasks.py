"""The programs and commands of the page about tasks do what it says.

A block that begins with the name of a file is a module. The others are run one after
the other; they may import the modules. Workers of all modules run meanwhile.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gearman.tasks import App, CurrentJob
from gearman.tasks.options import TaskOptions
from tests import servers
from tests.cli.tools import our_tool, outcome
from tests.tasks.runner.stage import started
from tests.test_docs import PRINTED, blocks
from tests.test_docs_protocols import sessions

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "tasks.md").read_text()
FILE = re.compile(r"# (\w+)\.py\n")
(COMMAND,) = re.findall(r"^    gearman-worker (.*)$", PAGE, re.MULTILINE)


def run(*words: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", *words],
        env=servers.package_environment(path=folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def working(modules: list[str], folder: Path) -> Iterator[None]:
    """Run the command of the page that runs workers, for each module."""
    with ExitStack() as stack:
        runners = []
        for name in modules:
            words = shlex.split(COMMAND.replace("myapp", name))
            run = started(folder, [*words, "-c", "1"], log=f"{name}.log")
            runners.append(stack.enter_context(run))
        for runner in runners:
            runner.until_logged(" is ready ")
        yield


def test_programs_and_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(servers.ours())
        modules, programs = [], []
        for block in blocks(DOCS / "tasks.md"):
            text = block.replace("localhost:4730", server.address)
            found = FILE.match(text)
            if found:
                modules.append(found[1])
                tmp_path.joinpath(f"{found[1]}.py").write_text(text)
            if not found or PRINTED.search(text):
                programs.append((text, PRINTED.findall(block)))
        stack.enter_context(working(modules, tmp_path))
        for program, expected in programs:
            process = run(program, folder=tmp_path)
            output, errors = process.communicate(timeout=servers.DEADLINE)
            assert output.splitlines() == expected, errors
        for command, shown in sessions("tasks.md"):
            name, *words = shlex.split(command)
            said = outcome(our_tool(name, server, *words))
            assert said.out.decode().strip() == shown.strip(), said.err


def test_every_option_is_on_the_page() -> None:
    start, end = PAGE.index("## Options"), PAGE.index("## Schedules")
    for name in TaskOptions.__annotations__:
        assert f"`{name}`" in PAGE[start:end], name


def test_every_method_for_asyncio_is_on_the_page() -> None:
    start, end = (
        PAGE.index("| blocking | asyncio |"),
        PAGE.index("`async with app` closes"),
    )
    for name in ("acall", "asubmit", "asubmit_many", "amap", "agroup", "aclose"):
        assert f"`{name}`" in PAGE[start:end]


def test_what_a_job_tells_of_itself_is_on_the_page() -> None:
    start, end = PAGE.index("In a task, `app.current`"), PAGE.index("## Arguments and")
    names = {name for name in dir(CurrentJob) if not name.startswith("_")}
    for name in names | {"handle", "unique", "started"}:
        assert re.search(rf"`(await job\.)?{name}\b", PAGE[start:end]), name


def test_the_page_names_the_default_server() -> None:
    assert App("localhost:4730").addresses == ["localhost:4730"]


def test_settings_file_of_the_page_is_one_for_the_server(tmp_path: Path) -> None:
    write, serve = re.findall(
        r"^    (python -c .*|gearmand --settings .*)$", PAGE, re.MULTILINE
    )
    for block in blocks(DOCS / "tasks.md"):
        found = FILE.match(block)
        if found and found[1] == "reports":
            text = block[: block.index("print(")]
            (tmp_path / "reports.py").write_text(text)
    _, option, code, _, file = shlex.split(write)
    said = subprocess.run(
        [sys.executable, option, code],
        env=servers.package_environment(path=tmp_path),
        capture_output=True,
        check=True,
        timeout=servers.DEADLINE,
    )
    (tmp_path / file).write_bytes(said.stdout)
    _, option, name = shlex.split(serve)
    assert name == file
    with (
        servers.ours(option, str(tmp_path / name)) as server,
        App(server.address).admin(server.address) as admin,
    ):
        names = [(each["name"], each["source"]) for each in admin.get_schedules()]
    assert names == [("clean", "file"), ("report", "file")]
