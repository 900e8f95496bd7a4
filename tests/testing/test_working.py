"""A worker in a thread of a test."""

import asyncio
import threading

import pytest

from gearman import testing
from gearman.server import embedded
from gearman.tasks import App, JobFailed


def made() -> App:
    app = App("127.0.0.1:1")

    @app.task
    def upper(text: str) -> str:
        return text.upper()

    @app.task
    async def lower(text: str) -> str:
        await asyncio.sleep(0)
        return text.lower()

    @app.task
    def broken() -> None:
        raise ValueError("it is broken")

    return app


def begun_since(before: list[threading.Thread]) -> set[threading.Thread]:
    """Return the threads that have begun; those of other tests may have ended."""
    return {*threading.enumerate()} - {*before}


def test_worker_runs_the_tasks_until_the_end() -> None:
    app = made()
    before = threading.enumerate()
    with embedded.server() as address:
        with testing.worker(app, address) as same:
            assert same is app
            assert app.addresses == [address]
            assert app.tasks["upper"].call("a") == "A"
            assert app.tasks["lower"].call("A") == "a"
            with pytest.raises(JobFailed, match="it is broken"):
                app.tasks["broken"].call()
        # That of the server.
        assert len(begun_since(before)) == 1
    assert app.addresses == ["127.0.0.1:1"]
    assert not begun_since(before)


def test_without_an_address_the_app_uses_its_own_servers() -> None:
    app = made()
    with embedded.server() as address:
        app.addresses = [address]
        with testing.worker(app):
            assert app.tasks["upper"].call("b") == "B"
        assert app.addresses == [address]


def test_worker_ends_with_a_failing_test() -> None:
    app = made()
    before = threading.enumerate()
    with (
        embedded.server() as address,
        pytest.raises(ZeroDivisionError),
        testing.worker(app, address),
    ):
        1 / 0  # noqa: B018
    assert not begun_since(before)


@pytest.mark.parametrize("names", [[], ["upper"], ["lower"]])
def test_worker_may_end_at_once(names: list[str]) -> None:
    app = made()
    for name in app.tasks.keys() - set(names):
        del app.tasks[name]
    with embedded.server() as address, testing.worker(app, address):
        pass
    assert app.addresses == ["127.0.0.1:1"]
