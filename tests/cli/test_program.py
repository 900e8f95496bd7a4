"""Errors of tools; standard streams are tested with the whole tool."""

import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest

from gearman.cli.program import run
from gearman.errors import ConfigurationError, ProtocolError


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Restore the signal handler that a tool replaces."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def raising(error: BaseException) -> int:
    def body() -> NoReturn:
        raise error

    return run("tool", body)


def test_the_status_is_that_of_the_body() -> None:
    assert run("tool", lambda: 0) == 0
    assert run("tool", lambda: 1) == 1


def test_an_interrupt_is_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(KeyboardInterrupt()) == 130
    assert capsys.readouterr() == ("", "")


def test_an_error_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(ConfigurationError("say more")) == 1
    assert capsys.readouterr() == ("", "tool: say more\n")


def test_a_foreign_protocol_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(ProtocolError("no packet")) == 1
    assert capsys.readouterr().err == (
        "tool: the server does not speak Gearman's protocol: no packet\n"
    )


def test_sigterm_tidies_up() -> None:
    tidied = []

    def body() -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            tidied.append(True)
        return 0

    with pytest.raises(SystemExit) as caught:
        run("tool", body)
    assert caught.value.code == 143
    assert tidied
