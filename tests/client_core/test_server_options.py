"""Which options a server has, by its answers to OPTION_REQ."""

import pytest

from gearman.client_core.server_options import EXCEPTIONS, EXTENSIONS, ServerOptions


@pytest.fixture
def options() -> ServerOptions:
    return ServerOptions()


def test_nothing_is_known_before_the_server_has_answered(
    options: ServerOptions,
) -> None:
    assert (options.extensions, options.awaited) == (None, False)
    options.asked(EXTENSIONS)
    assert (options.extensions, options.awaited) == (None, True)


def test_an_accepted_option_is_there(options: ServerOptions) -> None:
    options.asked(EXCEPTIONS)
    options.asked(EXTENSIONS)
    options.accepted(EXTENSIONS)
    assert (options.extensions, options.awaited) == (True, False)


def test_an_option_that_was_not_asked_for_changes_nothing(
    options: ServerOptions,
) -> None:
    options.accepted("other")
    assert options.refused() == "unknown"
    assert options.extensions is None


def test_a_refusal_is_for_the_oldest_question(options: ServerOptions) -> None:
    options.asked(EXCEPTIONS)
    options.asked(EXTENSIONS)
    assert options.refused() == EXCEPTIONS
    assert (options.extensions, options.awaited) == (None, True)
    assert options.refused() == EXTENSIONS
    assert (options.extensions, options.awaited) == (False, False)


def test_a_refusal_after_an_answer_is_for_the_next_question(
    options: ServerOptions,
) -> None:
    options.asked(EXCEPTIONS)
    options.asked(EXTENSIONS)
    options.accepted(EXCEPTIONS)
    assert options.refused() == EXTENSIONS
    assert options.extensions is False
