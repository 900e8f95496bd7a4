"""The description of the API holds for every request that it allows, or does not."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from gearman.monitor.access.users import make_hash
from gearman.monitor.web.api import ENDPOINTS
from gearman.monitor.web.openapi import describe
from gearman.monitor.web.schema import BYTES, check
from tests.monitor.monitors import Browser, monitor
from tests.servers import HOST, Server

# Streams go on, and one operation ends the session of the test.
TESTED = [
    (endpoint.method, endpoint.path)
    for endpoint in ENDPOINTS
    if endpoint.answer is not None and endpoint.method != "DELETE"
]
WITH_ARGUMENTS = [
    (endpoint.method, endpoint.path)
    for endpoint in ENDPOINTS
    if (endpoint.method, endpoint.path) in TESTED and (endpoint.query or endpoint.body)
]


@pytest.fixture(scope="module")
def user(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that has logged in."""
    path = tmp_path_factory.mktemp("users") / "users"
    path.write_text(f"ann:act:{make_hash('secret', b'salt')}\n")
    with monitor(server.address, options=("--users", str(path))) as browser:
        browser.log_in("ann", "secret")
        yield browser


@pytest.fixture(scope="module")
def described(user: Browser) -> Any:
    """The description, as schemathesis reads it."""
    schema = schemathesis.openapi.from_dict(user.json("/api/openapi.json"))
    schema.config.update(base_url=f"http://{HOST}:{user.port}")
    return schema


@pytest.mark.parametrize(("method", "path"), TESTED)
def test_every_answer_is_as_described(
    method: str, path: str, described: Any, user: Browser
) -> None:
    play(described[path][method], GenerationMode.POSITIVE, user)


@pytest.mark.parametrize(("method", "path"), WITH_ARGUMENTS)
def test_every_wrong_request_is_refused(
    method: str, path: str, described: Any, user: Browser
) -> None:
    play(described[path][method], GenerationMode.NEGATIVE, user)


def play(operation: Any, mode: GenerationMode, user: Browser) -> None:
    """Send requests that the description allows, or does not, and check the answers."""
    headers, cookies = {"X-CSRF-Token": user.token}, dict(user.cookies)
    cases = operation.as_strategy(
        generation_mode=mode, headers=headers, cookies=cookies
    )

    @given(cases)
    @settings(max_examples=15, suppress_health_check=[*HealthCheck])
    def send(case: Any) -> None:
        case.call_and_validate(headers=headers, cookies=cookies)

    send()


def test_description_is_that_of_the_table(user: Browser) -> None:
    assert user.json("/api/openapi.json") == describe(ENDPOINTS)


def test_names_of_operations_differ() -> None:
    paths = describe(ENDPOINTS)["paths"].values()
    names = [each["operationId"] for path in paths for each in path.values()]
    assert len(set(names)) == len(names) == len(ENDPOINTS)


def test_endpoint_that_changes_something_needs_a_role_that_may() -> None:
    for endpoint in ENDPOINTS:
        if endpoint.changes and not endpoint.path.endswith("/session"):
            assert endpoint.role == "act"


# -- the check of bodies


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, None),
        ({"type": "integer"}, 2.0),
        ({"type": ["string", "null"]}, None),
        ({"type": "object", "additionalProperties": {"type": "number"}}, {"a": 1.5}),
        ({"type": "object"}, {"a": []}),
        ({"type": "array"}, [1, "a"]),
        (BYTES, "text"),
        (BYTES, {"base64": "AA=="}),
    ],
)
def test_value_that_fits(schema: dict[str, Any], value: object) -> None:
    check(schema, value)


@pytest.mark.parametrize(
    ("schema", "value", "sentence"),
    [
        ({"type": "integer"}, True, "must be of type integer"),
        ({"type": "number"}, "1", "must be of type number"),
        ({"type": "boolean"}, 1, "must be of type boolean"),
        ({"type": ["string", "null"]}, 1, "must be of type string or null"),
        ({"type": "string", "enum": ["a", "b"]}, "c", "must be one of a, b"),
        ({"type": "string", "minLength": 1}, "", "must not be empty"),
        ({"type": "string", "maxLength": 1}, "ab", "is longer than 1"),
        ({"type": "array", "minItems": 1, "maxItems": 2}, [], "must have 1 to 2 items"),
        (
            {"type": "array", "items": {"type": "string"}},
            ["a", 1],
            r"the body\[1\] must",
        ),
        ({"type": "object", "required": ["a"]}, {}, "has no a"),
        (
            {"type": "object", "additionalProperties": False},
            {"a": 1},
            "unknown key: 'a'",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "number"}},
            {"a": "b"},
            "'a' of the body must be of type number",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "number"}}},
            {"a": "b"},
            "a of the body must be of type number",
        ),
        (BYTES, 1, "must be of type string or object"),
        (BYTES, {"base64": "?"}, "must fit"),
        (BYTES, {"base64": "AA==", "more": 1}, "unknown key"),
    ],
)
def test_value_that_does_not_fit(
    schema: dict[str, Any], value: object, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        check(schema, value)
