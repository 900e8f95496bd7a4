"""The web services in examples/ have their work done by workers."""

import importlib.util
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from gearman import testing
from gearman.server import embedded
from tests.servers import DEADLINE, HOST, until

EXAMPLES = Path(__file__).parent.parent / "examples"
TEXT = "to be or not to be"
COUNTS = {"to": 2, "be": 2, "or": 1, "not": 1}

# Sends a request: a method, a path, a text; returns the status, and the JSON.
Send = Callable[..., tuple[int, Any]]


def need(module: str, package: str) -> None:
    """Skip the test if a module is missing; in CI, where all tests must run, fail."""
    if importlib.util.find_spec(module) is None:
        text = f"{module} is not installed: pip install {package!r}"
        if os.environ.get("CI"):
            pytest.fail(text, pytrace=False)
        pytest.skip(text)


def example(name: str, *needed: str) -> Any:
    """Import an example, or skip the test if its framework is missing."""
    for module in needed:
        need(module, module)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module_made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module_made)
    return module_made


@contextmanager
def served(app: Any) -> Iterator[int]:
    """Serve an application in a thread; return its port."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(DEADLINE)


@pytest.fixture
def fastapi(address: str) -> Iterator[tuple[Any, Send]]:
    module = example("fastapi_app", "fastapi", "uvicorn")
    module.tasks.addresses = [address]
    with served(module.app) as port, module.tasks:

        def send(method: str, path: str, text: str | None = None) -> tuple[int, Any]:
            body = None if text is None else json.dumps({"text": text})
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection = HTTPConnection(HOST, port, timeout=2 * DEADLINE)
            connection.request(method, path, body, headers)
            with connection.getresponse() as answer:
                return answer.status, json.load(answer)

        yield module, send


@pytest.fixture
def flask(address: str) -> Iterator[tuple[Any, Send]]:
    module = example("flask_app", "flask")
    module.tasks.addresses = [address]
    with module.tasks, module.app.test_client() as client:

        def send(method: str, path: str, text: str | None = None) -> tuple[int, Any]:
            form = None if text is None else {"text": text}
            answer = client.open(path, method=method, data=form)
            return answer.status_code, answer.get_json(silent=True)

        yield module, send


@pytest.fixture
def address() -> Iterator[str]:
    with embedded.server() as address:
        yield address


@pytest.fixture(params=["fastapi", "flask"])
def service(request: pytest.FixtureRequest) -> tuple[Any, Send]:
    found: tuple[Any, Send] = request.getfixturevalue(request.param)
    return found


def test_text_is_counted_by_a_worker(service: tuple[Any, Send]) -> None:
    module, send = service
    status, answer = send("POST", "/counts", TEXT)
    assert status == 202
    place = f"/counts/{answer['id']}"
    assert send("GET", place) == (200, {"state": "waiting"})
    with testing.worker(module.tasks):
        done = {"state": "done", "words": COUNTS}
        assert send("GET", f"{place}?wait=20") == (200, done)
        assert send("POST", "/counts/now", TEXT) == (200, COUNTS)
    assert send("GET", place) == (200, done)


def test_failure_is_told(service: tuple[Any, Send]) -> None:
    module, send = service
    # Not after the pause before a further attempt.
    module.count_words = module.count_words.with_options(retries=0)
    _, answer = send("POST", "/counts", " ")
    with testing.worker(module.tasks):
        status, told = send("GET", f"/counts/{answer['id']}?wait=20")
    assert (status, told["state"]) == (200, "failed")
    assert told["reason"] == "builtins.ValueError: there are no words"


def test_unknown_job_is_not_found(service: tuple[Any, Send]) -> None:
    _, send = service
    assert send("GET", "/counts/H:unknown:1")[0] == 404


def test_django_is_there_for_its_tests() -> None:
    need("django", "gearman-py[django]")
