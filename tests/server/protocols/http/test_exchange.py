"""Reading requests, refusing invalid ones, and writing answers."""

import pytest

from gearman.server.protocols.http.answers import Answer, Refused
from gearman.server.protocols.http.exchange import (
    MAX_HEAD,
    Exchange,
    cut_head,
    server_headers,
)

HEAD = b"POST /f HTTP/1.1\r\nHost: h\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SOME = b"Content-Length: 4\r\n"


def pieces(data: bytes, size: int) -> list[bytes]:
    size = size or len(data)
    return [data[at : at + size] for at in range(0, len(data), size)]


def read(data: bytes, size: int = 0, limit: int = 1000) -> tuple[bytes, bytes]:
    """Read a request in pieces; return its body and the input after it."""
    exchange, kept, scanned = Exchange(limit), bytearray(), 0
    begun = False
    for number, piece in enumerate(pieces(data, size), 1):
        kept += piece
        if not begun:
            head = cut_head(kept, scanned)
            scanned = len(kept)
            if head is None:
                continue
            begun = True
            exchange.read_head(head)
        rest = exchange.read_body(bytes(kept) if exchange.has_body else b"")
        if exchange.has_body:
            kept.clear()
        if rest is not None:
            after = b"".join(pieces(data, size)[number:])
            return exchange.take_body(), rest + bytes(kept) + after
    raise EOFError


def status(data: bytes, size: int = 0, limit: int = 1000) -> int:
    """Return the status with which a request is refused."""
    with pytest.raises(Refused) as caught:
        read(data, size, limit)
    answer = caught.value.answer
    assert answer.body.endswith(b".\n")
    assert b"bytearray" not in answer.body
    assert b"b'" not in answer.body
    return answer.status


@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize("after", [b"", b"GET / HTTP/1.1\r\n"])
@pytest.mark.parametrize(
    ("data", "body"),
    [
        (HEAD + b"\r\n", b""),
        (b"\r\n\r\n" + HEAD + b"\r\n", b""),
        (HEAD + b"Content-Length: 0\r\n\r\n", b""),
        (HEAD + b"cOnTent-length:4 \r\n\r\nabcd", b"abcd"),
        (HEAD + b"Content-Length: 004\r\n\r\na\r\nb", b"a\r\nb"),
        (CHUNKED + b"0\r\n\r\n", b""),
        (CHUNKED + b"4\r\nabcd\r\n0\r\n\r\n", b"abcd"),
        (CHUNKED + b"2;x=y\r\nab\r\n02\r\ncd\r\n0\r\nA: b\r\n\r\n", b"abcd"),
        (b"GET /f HTTP/1.0\r\n\r\n", b""),
        (b"POST /f HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", b"x"),
    ],
)
def test_request_is_read_to_its_end(data, after, body, size):
    assert read(data + after, size) == (body, after)


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(
    "data",
    [
        # Data that is not HTTP.
        b"\0REQ\0\0\0\x10\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b" GET / HTTP/1.1\r\n\r\n",
        b"status\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        # Line ends.
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\n",
        HEAD + b"A: b\rc: d\r\n\r\n",
        CHUNKED + b"0\r\n\n",
        CHUNKED + b"0\r\nA: b\n\r\n",
        CHUNKED + b"1\nx\n0\n\n" + b"\r\n\r\n",
        # Headers.
        b"GET / HTTP/1.1\r\n\r\n",
        HEAD + b"Host: i\r\n\r\n",
        HEAD + b"A : b\r\n\r\n",
        HEAD + b"A: b\r\n c\r\n\r\n",
        HEAD + b"A: b\0\r\n\r\n",
        HEAD + b": b\r\n\r\n",
        # The end of the body.
        HEAD + SOME + SOME + b"\r\nabcd",
        HEAD + SOME + b"content-length: 5\r\n\r\nabcd",
        HEAD + b"Content-Length: 4, 4\r\n\r\nabcd",
        HEAD + b"Content-Length: +4\r\n\r\nabcd",
        HEAD + b"Content-Length: -4\r\n\r\n",
        HEAD + b"Content-Length: 0x4\r\n\r\nabcd",
        HEAD + b"Content-Length:\r\n\r\n",
        HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
        HEAD + SOME + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"x\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"1\r\nxy\r\n",
    ],
)
def test_what_is_not_http_or_could_be_read_in_two_ways_is_refused(data, size):
    assert status(data, size) == 400


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (HEAD + b"Transfer-Encoding: identity\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\n\r\n", 505),
        (HEAD + b"Expect: wonders\r\n\r\n", 417),
    ],
)
def test_what_is_not_possible_is_refused(data, expected):
    assert status(data) == expected


def test_expectations_of_old_clients_are_none():
    assert read(b"GET / HTTP/1.0\r\nExpect: wonders\r\n\r\n") == (b"", b"")


class TestLimits:
    def test_head_may_have_its_limit_and_no_more(self):
        most = HEAD + b"A: " + b"x" * (MAX_HEAD - len(HEAD) - 3) + b"\r\n\r\n"
        assert read(most) == (b"", b"")
        assert status(most[:-4] + b"x\r\n\r\n") == 431

    @pytest.mark.parametrize("size", [0, 1000])
    def test_endless_head_is_not_kept(self, size):
        assert status(HEAD + b"A: " + b"x" * MAX_HEAD, size) == 431

    def test_endless_line_of_a_chunk_is_not_kept(self):
        assert status(CHUNKED + b"1;" + b"x" * MAX_HEAD + b"\r", 1000) == 431

    def test_declared_body_over_the_limit_is_refused_before_it_comes(self):
        data = HEAD + b"Content-Length: 1001\r\n\r\n"
        assert status(data) == 413
        assert read(data + bytes(1001), limit=1001) == (bytes(1001), b"")

    def test_chunked_body_over_the_limit_is_refused_when_it_is_over(self):
        assert status(CHUNKED + b"3e8\r\n" + bytes(1000) + b"\r\n1\r\nx") == 413

    def test_body_of_many_small_chunks_costs_no_more_than_its_bytes(self):
        data = CHUNKED + b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"
        assert read(data) == (b"x" * 1000, b"")


def exchange(head: bytes) -> Exchange:
    found = Exchange(1000)
    found.read_head(head)
    found.read_body(b"")
    return found


class TestAnswers:
    def test_answer_has_its_length_and_the_common_headers(self):
        common = server_headers("1.2", 0)
        answer = Answer(200, b"abc", ((b"X-Y", b"z"),))
        assert exchange(HEAD + b"\r\n").answer(answer, common) == (
            b"HTTP/1.1 200 OK\r\nX-Y: z\r\nContent-Length: 3\r\nServer: Gearman/1.2\r\n"
            b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nabc"
        )

    def test_answer_to_head_has_no_body_but_its_length(self):
        answer = exchange(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").answer(
            Answer(200, b"abc"), ()
        )
        assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"

    def test_answer_without_content_has_no_length(self):
        answer = exchange(HEAD + b"\r\n").answer(Answer(204), ())
        assert answer == b"HTTP/1.1 204 No Content\r\n\r\n"

    @pytest.mark.parametrize(
        ("head", "close", "goes_on"),
        [
            (HEAD, False, True),
            (HEAD, True, False),
            (HEAD + b"Connection: close\r\n", False, False),
            (b"GET / HTTP/1.0\r\n", False, False),
            (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", False, False),
        ],
    )
    def test_connection_goes_on_unless_one_side_closes_it(self, head, close, goes_on):
        found = exchange(head + b"\r\n")
        answer = found.answer(Answer(200, close=close), ())
        assert found.goes_on == goes_on
        assert (b"Connection: close" in answer) != goes_on

    def test_answer_of_unknown_length_comes_in_chunks(self):
        found = exchange(HEAD + b"\r\n")
        assert found.begin(()).endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert found.more(b"abc") == b"3\r\nabc\r\n"
        assert found.more(b"") == b""
        assert found.end(((b"A", b"b"),)) == b"0\r\nA: b\r\n\r\n"
        assert found.goes_on

    def test_answer_of_unknown_length_ends_with_the_connection_for_old_clients(self):
        found = exchange(b"GET / HTTP/1.0\r\n\r\n")
        assert found.begin(()).endswith(b"\r\nConnection: close\r\n\r\n")
        assert found.more(b"abc") == b"abc"
        assert found.end(((b"A", b"b"),)) == b""
        assert not found.goes_on

    def test_head_gets_nothing_of_an_unknown_length(self):
        found = exchange(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert found.begin(())
        assert found.more(b"abc") == b""
        assert found.end(((b"A", b"b"),)) == b""
        assert found.goes_on


class TestInvitation:
    def test_client_that_waits_is_asked_for_its_body_once(self):
        found = Exchange(1000)
        found.read_head(HEAD + SOME + b"Expect: 100-Continue\r\n\r\n")
        assert found.go_on() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert found.go_on() == b""
        assert found.read_body(b"abcd") == b""

    def test_client_that_does_not_wait_is_not_asked(self):
        found = Exchange(1000)
        found.read_head(HEAD + SOME + b"\r\n")
        assert found.go_on() == b""
