"""A few transactions while things are killed; ``python -m tests.crash.inbox``: many."""

import gc
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from .inbox import play as module
from .inbox.places import PLACES
from .inbox.play import play

# PyMySQL does not close the socket of a connection that fails early: it is closed as
# garbage, which must be collected before other tests run.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)

TRANSACTIONS = 200


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def short_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIVES", (0.1, 0.3))


@pytest.fixture
def seed() -> int:
    seed = random.randrange(1 << 32)
    # pytest prints this if the test fails.
    print("seed", seed)
    return seed


# A build makes the same difference with each database.
in_each = pytest.mark.parametrize(
    "name",
    [
        name if name == "sqlite" else pytest.param(name, marks=pytest.mark.any_build)
        for name in PLACES
    ],
)


@in_each
def test_jobs_of_exactly_the_committed_transactions_run(
    name: str, tmp_path: Path, seed: int
) -> None:
    result = play(name, tmp_path, TRANSACTIONS, seed, kill_server=True)
    result.check(once=False)
    assert result.kills


def test_each_job_runs_once_while_the_server_lives(tmp_path: Path, seed: int) -> None:
    result = play("postgres", tmp_path, TRANSACTIONS, seed, kill_server=False)
    result.check(once=True)
    assert result.kills
