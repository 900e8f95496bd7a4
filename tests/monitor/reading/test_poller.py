"""Reading one server again and again, whatever happens."""

import asyncio
import socket
import ssl

import pytest

from gearman.monitor.model.readings import Reading
from gearman.monitor.reading import Attention, Poller, Refused, Target
from gearman.monitor.reading import link as links
from gearman.monitor.reading.failures import reason
from gearman.monitor.reading.link import NO_COMMAND, Link
from gearman.monitor.reading.queries import Jobs, word
from tests.servers import DEADLINE, HOST, Server


def test_mistake_of_the_monitor_is_shown_and_ends_nothing(server: Server) -> None:
    readings: list[Reading] = []
    reasons: list[str] = []

    async def run() -> None:
        read = asyncio.Event()

        def took(address: str, reading: Reading) -> None:
            readings.append(reading)
            if len(readings) == 1:
                raise RuntimeError("a mistake")
            read.set()

        def lost(address: str, reason: str, time: float) -> None:
            reasons.append(reason)

        poller = Poller(Target(HOST, server.port), Attention(), took, lost)
        task = asyncio.create_task(poller.run())
        async with asyncio.timeout(DEADLINE):
            await read.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert reasons == ["RuntimeError('a mistake')"]


def ask(answer: bytes, command: bytes = b"status", *, lines: bool = True) -> object:
    """Ask a server that answers with these bytes, and then ends the connection."""

    async def run() -> object:
        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await reader.readline()
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, HOST, 0)
        port = server.sockets[0].getsockname()[1]
        async with (
            server,
            asyncio.timeout(DEADLINE),
            Link.to(Target(HOST, port)) as link,
        ):
            return await (link.lines(command) if lines else link.line(command))

    return asyncio.run(run())


def test_list_is_read_until_its_end() -> None:
    assert ask(b"a\t1\r\nb\t2\n.\nrest") == [b"a\t1", b"b\t2"]
    assert ask(b".\n") == []


def test_one_line_is_read() -> None:
    assert ask(b"OK 5\r\n", lines=False) == b"OK 5"


def test_function_with_the_name_of_an_error_is_none() -> None:
    assert ask(b"ERR x\t0\t0\t0\n.\n") == [b"ERR x\t0\t0\t0"]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"ERR UNKNOWN_COMMAND Unknown+server+command\r\n", NO_COMMAND),
        (b"ERR INVALID_ARGUMENTS No+such+thing\r\n", "No such thing"),
        (b"ERR UNKNOWN_JOB\r\n", "UNKNOWN_JOB"),
        (b"ERR function not found\r\n", "function not found"),
    ],
)
def test_refusal_has_the_sentence_of_the_server(answer: bytes, sentence: str) -> None:
    for lines in (True, False):
        with pytest.raises(Refused) as caught:
            ask(answer, lines=lines)
        assert str(caught.value) == sentence


def test_server_that_ends_amid_an_answer_is_lost() -> None:
    with pytest.raises(ConnectionResetError, match="closed the connection"):
        ask(b"a\t1\nb")


def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "ANSWER", 10)
    with pytest.raises(ValueError, match="an answer that is too long"):
        ask(b"0123456789\n0\n.\n")
    monkeypatch.setattr(links, "LINE", 16)
    with pytest.raises(ValueError, match="a line that is too long"):
        ask(b"x" * 1000 + b"\n.\n")


@pytest.mark.parametrize("value", [b"", b"a b", b"a\rb", b"a\nb", b"a\0b"])
def test_word_that_would_be_another_command_is_refused(value: bytes) -> None:
    with pytest.raises(Refused, match="the name is empty or has blanks"):
        word(value, "the name")
    assert word(b"a\xff<b>", "the name") == b"a\xff<b>"


def test_question_for_jobs_is_encoded() -> None:
    wanted = Jobs(function=b"a b&c\n\xff", state="dead", limit=5)
    expected = b"list jobs function=a%20b%26c%0A%FF&state=dead&limit=5"
    assert wanted.command() == expected
    assert b" " not in expected.removeprefix(b"list jobs ")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "long text"), "Connection refused"),
        (ConnectionResetError("the server closed"), "the server closed"),
        (socket.gaierror(-2, "Name not known"), "unknown host: Name not known"),
        (ssl.SSLError(1, "wrong version"), "TLS: "),
        (asyncio.IncompleteReadError(b"", 1), "the server closed the connection"),
        (ValueError(), "ValueError"),
        (Refused("no"), "no"),
    ],
)
def test_reasons(error: Exception, expected: str) -> None:
    assert reason(error).startswith(expected)
