"""Answers of different servers to admin lines."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from gearman.cli.admin import Admin, Refused
from gearman.errors import ServerUnavailable
from tests import servers
from tests.servers import DEADLINE, HOST, Server
from tests.wire import Peer


@contextmanager
def answering(
    answer: bytes, *, close: bool = False, timeout: float = DEADLINE
) -> Iterator[Admin]:
    """Listen, answer the first line, and hang up later or immediately."""
    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(DEADLINE)
        admin = Admin([(HOST, listening.getsockname()[1])], timeout)
        thread = Thread(target=_answer, args=(listening, answer, close))
        thread.start()
        with admin:
            yield admin
        thread.join(DEADLINE)


def _answer(listening: socket.socket, answer: bytes, close: bool) -> None:
    peer = listening.accept()[0]
    with peer, peer.makefile("rb") as lines:
        lines.readline()
        peer.sendall(answer)
        if not close:
            lines.read()


def test_a_line_is_answered_by_a_line(server: Server) -> None:
    with Admin([(HOST, server.port)], DEADLINE) as admin:
        assert admin.ask("getpid") == f"OK {server.process.pid}"
        assert admin.ask("verbose") == "OK NOTICE"


def test_a_list_has_no_full_stop(server: Server) -> None:
    with Peer(server.port) as peer, Admin([(HOST, server.port)], DEADLINE) as admin:
        peer.ask(b"create function f")
        assert admin.ask_list("status") == ["f\t0\t0\t0"]
        assert admin.ask_list("show jobs") == []


def test_an_error_is_raised(server: Server) -> None:
    with Admin([(HOST, server.port)], DEADLINE) as admin:
        with pytest.raises(Refused, match="function not found"):
            admin.ask("drop function unknown")
        assert admin.ask("getpid").startswith("OK ")


def test_an_error_in_place_of_a_list_is_its_end() -> None:
    with (
        answering(b"ERR unknown_command \r\n") as admin,
        pytest.raises(Refused, match="^unknown_command $"),
    ):
        admin.ask_list("prioritystatus")


def test_a_function_may_begin_like_an_error() -> None:
    with answering(b"ERR 1\t0\t0\t0\n.\n") as admin:
        assert admin.ask_list("status") == ["ERR 1\t0\t0\t0"]


def test_the_last_words_of_a_server_are_heard() -> None:
    with answering(b"OK\n", close=True) as admin:
        assert admin.ask("shutdown") == "OK"


def test_a_server_that_hangs_up_is_an_error() -> None:
    with (
        answering(b"half", close=True) as admin,
        pytest.raises(ServerUnavailable, match="has closed the connection"),
    ):
        admin.ask("status")


def test_a_server_that_says_nothing_is_an_error() -> None:
    with (
        answering(b"", timeout=0.2) as admin,
        pytest.raises(ServerUnavailable, match=r"not answer within 0\.2 seconds"),
    ):
        admin.ask("status")


def test_a_list_without_an_end_is_an_error() -> None:
    with (
        answering(b"f\t0\t0\t0\n", timeout=0.2) as admin,
        pytest.raises(ServerUnavailable, match="did not answer within"),
    ):
        admin.ask_list("status")


def test_nobody_listening_is_an_error() -> None:
    with (
        Admin([(HOST, servers.free_port())], DEADLINE) as admin,
        pytest.raises(ServerUnavailable, match="Connection refused"),
    ):
        admin.ask("status")
