"""Settings of the test run: builds, hypothesis, back ends, and the summary of skips."""

import gc
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import settings

from gearman import __version__
from gearman.framing import BUILD
from tests.queues import backend_galera
from tests.queues.backend import Backend, Store
from tests.queues.backends import BACKENDS

TESTS = Path(__file__).resolve().parent
EXPECTED = os.environ.get("GEARMAN_EXPECT_BUILD", "")
# Queues, tools and the monitor are plain Python with every build, on top of what has
# tests of its own with both; the benchmarks start servers of both builds.
ANY_BUILD = (
    *("queues/", "benchmarks/", "cli/", "monitor/web/"),
    *("sql/test_docs.py", "sql/test_results.py", "sql/test_udf"),
    *("monitor/test_main.py", "monitor/test_servers.py", "monitor/test_docs.py"),
    "monitor/pages/test_browser.py",
    *("client/test_same_as_2_0_2.py", "interop/test_debian.py"),
    *("tasks/runner/test_processes.py", "tasks/runner/test_no_job_is_lost.py"),
    *("tasks/runner/test_main.py", "tasks/runner/test_screen.py"),
    "test_docs_workers.py",
    # The plugins, and what the server does when they fail, are plain Python.
    *("crash/test_memcached.py", "crash/test_mysql.py", "crash/test_postgres.py"),
    *("crash/test_redis.py", "crash/test_books.py", "cluster/test_failover.py"),
    "interop/test_prometheus.py",
    # They read the source.
    *("test_imports.py", "test_rooms.py"),
)
# No Python changes what a database does with the statements of a plugin; `interop` uses
# each plugin on the newest one, and kills its server meanwhile. Functions of SQL run
# inside of a database. Others read the source, or have many cases of what has fewer on
# each Python.
ANY_PYTHON = (
    *("queues/test_memcached", "queues/test_mysql", "queues/test_postgres"),
    *("queues/test_redis", "queues/test_register_contract.py"),
    *("queues/test_shared_tables.py", "queues/test_inbox_sql.py"),
    "queues/test_flatfile_crashes.py",
    *("sql/test_docs.py", "sql/test_results.py", "sql/test_udf"),
    *("monitor/web/test_schema.py", "test_imports.py", "test_rooms.py"),
)
# They have a great many cases. To watch these for coverage takes three times as long,
# and others reach the same lines.
UNWATCHED = (
    *("server/broker/test_invariants.py", "server/broker/test_durable_invariants.py"),
    "fuzz/",
)
# Foreign programs, crashes, and what takes long.
INTEROP = ("benchmarks/", "crash/", "interop/")
NOT_BUILT = (
    "the speedups are not built; GEARMAN_SPEEDUPS=yes python -m pip install -e . "
    "builds them"
)

# gearmand at times forgets to wake a worker, and a program waits in vain. So a test
# with it that fails with a TimeoutError is run up to so many times.
PLAYS = 3

# No deadline, since the time of an example depends on other load of the machine.
settings.register_profile("default", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_configure() -> None:
    # A process that a shell starts in the background ignores SIGINT, and so would the
    # programs that tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if EXPECTED and EXPECTED != BUILD:
        raise pytest.UsageError(
            f"GEARMAN_EXPECT_BUILD is {EXPECTED!r}, but the build in use is {BUILD!r}"
        )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a file whose tests cannot have the marks that `-m` asks for.

    To import all files takes longer than most of them run.
    """
    wanted = config.getoption("markexpr")
    if not wanted or collection_path.suffix != ".py":
        return None
    marks = _marks(collection_path)
    choices = (dict(zip(marks, each, strict=True)) for each in product(*marks.values()))
    try:
        some = any(eval(wanted, {"__builtins__": {}}, choice) for choice in choices)
    except (NameError, SyntaxError):
        # Another mark, or a mistake that pytest explains.
        return None
    return None if some else True


@cache
def _marks(path: Path) -> dict[str, set[bool]]:
    """Tell for each mark whether tests of a file have it: {True}, {False}, or both."""
    name = str(path.relative_to(TESTS))
    always = {
        "any_build": ANY_BUILD,
        "any_python": ANY_PYTHON,
        "interop": INTEROP,
        "packaging": (),
        "unwatched": UNWATCHED,
    }
    # A fixture may have marks, too.
    folders = path.relative_to(TESTS).parents[:-1]
    near = [path, *(TESTS / folder / "conftest.py" for folder in folders)]
    text = "".join(each.read_text() for each in near if each.exists())
    return {
        mark: {True} if name.startswith(start) else {False, f"mark.{mark}" in text}
        for mark, start in always.items()
    }


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, and those that need not run in each environment."""
    unnamed = set()
    for item in items:
        for mark, has in _marks(item.path).items():
            if has == {True}:
                item.add_marker(mark)
            elif (item.get_closest_marker(mark) is not None) not in has:
                unnamed.add(f"{item.path}: mark.{mark}")
    if unnamed:
        raise pytest.UsageError(
            "tests have marks that are not named in their file, or in a conftest.py"
            f" above it, so that -m would not find them: {', '.join(sorted(unnamed))}"
        )


def pytest_collection() -> None:
    """Do without garbage collections meanwhile: nearly all that is made stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was collected out of garbage collections, which many tests ask for.

    Otherwise each of them looks at millions of objects.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> bool | None:
    """Run a test again in which C gearmand left somebody waiting."""
    call = getattr(item, "callspec", None)
    if call is None or call.params.get("server") != "gearmand":
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(PLAYS):
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if not any(r.failed and "TimeoutError" in r.longreprtext for r in reports):
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_report_header() -> str:
    return f"gearman {__version__}, {BUILD} framing"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each reason of skipped tests once, so that failures are easy to see."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2] for report in reports)
    for reason, count in sorted(reasons.items()):
        text = reason.removeprefix("Skipped: ")
        terminalreporter.write_line(f"skipped {count}: {text}")


@pytest.fixture(scope="session")
def backends(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Backend]]:
    """Return a back end by its name, which is started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def backend(name: str) -> Backend:
            return stack.enter_context(BACKENDS[name](tmp_path_factory.mktemp(name)))

        yield backend


@pytest.fixture
def store(backend: Backend) -> Iterator[Store]:
    """A new store of the back end that the tests of a module run on."""
    with backend.store() as store:
        yield store


@pytest.fixture(scope="session")
def speedups() -> ModuleType:
    """The compiled framing, whichever build is in use."""
    try:
        return import_module("gearman._speedups")
    except ModuleNotFoundError:
        if EXPECTED == "speedups":
            pytest.fail(NOT_BUILT)
        pytest.skip(NOT_BUILT)


@pytest.fixture(scope="session", params=["pure", "speedups"])
def framing(request: pytest.FixtureRequest) -> ModuleType:
    """Both builds of the framing, one after the other."""
    if request.param == "pure":
        return import_module("gearman._framing")
    module: ModuleType = request.getfixturevalue("speedups")
    return module


@pytest.fixture(scope="session")
def galera() -> Iterator[backend_galera.Galera]:
    """Three nodes of Galera, some of which earlier tests may have stopped."""
    with backend_galera.galera() as running:
        yield running


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is freed meanwhile is freed by its last reference."""
    gc.disable()
    yield
    gc.enable()
