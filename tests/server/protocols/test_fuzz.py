"""HTTP and memcached: random bytes, in different pieces, do no harm."""

from functools import partial

from hypothesis import example, given
from hypothesis import strategies as st

from gearman.server.protocols.http.connection import READ_AHEAD
from gearman.server.protocols.http.exchange import MAX_HEAD
from gearman.server.protocols.memcached import MAX_LINE
from tests.server.conftest import Server
from tests.server.protocols.http.web import Web, request
from tests.server.protocols.test_memcached import Cache

LIMIT = 1000

REQUESTS = st.sampled_from(
    [
        request("GET", "/healthz"),
        request("GET", "/f", x_gearman_background="true"),
        request("PUT", "/f", x_gearman_background="true"),
        request("POST", "/f", b"work", x_gearman_background="true"),
        request("POST", "/f", b"GET / HTTP/1.1\r\n\r\n", x_gearman_background="true"),
        request("POST", "/f", b"x" * LIMIT, x_gearman_background="true"),
        request("POST", "/f", transfer_encoding="chunked", x_gearman_background="true")
        + b"3\r\na\r\n\r\n1;e=f\r\nb\r\n0\r\nTrailer: x\r\n\r\n",
        request("OPTIONS", "*"),
        request("HEAD", "/readyz"),
        request("GET", "/jobs/H:test:1"),
        request("DELETE", "/jobs/H:test:2"),
        b"\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    ]
)
BROKEN = st.sampled_from(
    [
        b"",
        b"GET / HTTP/1.1\nHost: h\r\n\r\n",
        request("POST", "/f", content_length=LIMIT + 1),
        request("POST", "/f", transfer_encoding="chunked") + b"z\r\n",
        request("POST", "/f", b"x" * 9, transfer_encoding="chunked"),
        request("GET", "/f"),
    ]
)
LINES = st.sampled_from(
    [
        b"set f 0 0 4\r\nwork\r\n",
        b"set g 0 0 7 noreply\r\nquit\r\n?\r\n",
        b"set f 0 0 1001\r\n" + b"x" * 1001 + b"\r\n",
        b"add f 0 0 4\r\nquit\r\n",
        b"get f g H:test:1\r\n",
        b"gets\n",
        b"delete H:test:1\r\n",
        b"stats\r\n",
        b"\r\n",
        b"set f\r\n",
        b"set f 0 0 1\r\nxyz\r\n",
        b"quit\r\n",
    ]
)
WORDS = st.sampled_from(
    b"GET |POST |/f|/jobs/| HTTP/1.1|\r\n|\n|\r\n\r\n|Host: h|Content-Length: |: |4|0"
    b"|Transfer-Encoding: chunked|Expect: 100-continue|a|ffffffff|;|\0|\xff|%41|?"
    b"|set |get |f |noreply|H:test:1 | 0 0 4|delete |-1|Connection: close".split(b"|")
)


def site() -> Server:
    server = Server()
    server.site.max_packet = LIMIT
    return server


def cut(data: bytes, places: list[float]) -> list[bytes]:
    marks = sorted({0, len(data), *(int(place * len(data)) for place in places)})
    pieces = zip(marks, marks[1:], strict=False)
    return [data[start:end] for start, end in pieces]


def talk(make, pieces: list[bytes]) -> tuple[bytes, bool, int]:
    """Return the answer, whether the connection ends, and the submitted jobs."""
    server = site()
    client = make(server)
    came = b""
    for piece in filter(None, pieces):
        if not has_ended(client):
            came += client.send(piece)
    return came, has_ended(client), server.broker.jobs.next_number


def has_ended(client) -> bool:
    return client.protocol.finished or client.protocol.error is not None


@given(
    st.lists(REQUESTS, max_size=6).map(b"".join),
    BROKEN,
    st.lists(st.floats(0, 1), max_size=8),
)
def test_http_does_not_depend_on_how_it_is_cut(requests, broken, places):
    data = requests + broken
    assert talk(Web, cut(data, places)) == talk(Web, [data])


@given(st.lists(LINES, max_size=8).map(b"".join), st.lists(st.floats(0, 1), max_size=8))
def test_memcached_does_not_depend_on_how_it_is_cut(data, places):
    assert talk(Cache, cut(data, places)) == talk(Cache, [data])


texts = st.lists(WORDS, max_size=40).map(b"".join)


@given(st.lists(texts, max_size=5))
@example([b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n", b"PRI"])
@example([b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", b"GET / HTTP/1.1\r\n"])
def test_nothing_breaks_http(pieces):
    came, _, _ = talk(Web, pieces)
    assert came == b"" or came.startswith(b"HTTP/1.1 ")


@given(st.lists(texts, max_size=5))
def test_nothing_breaks_memcached(pieces):
    talk(Cache, pieces)


def kept(make, data: bytes) -> int:
    """Send data without end, as a connection does; return how much of it is kept."""
    client = make(site())
    for _ in range(200):
        if client.protocol.paused or has_ended(client):
            break
        client.send(data)
    return len(client.protocol._input)


def test_no_more_is_kept_than_allowed():
    size = 32 * 1024
    web = partial(kept, Web)
    assert web(request("PUT", "/f") * 500) <= READ_AHEAD + size
    assert web(b"x" * size) <= MAX_HEAD + size
    assert web(request("POST", "/f", transfer_encoding="chunked") + b"x" * size) == 0
    assert kept(Cache, b"x" * size) <= MAX_LINE + size
    assert kept(Cache, b"set f 0 0 99999999999\r\n" + b"x" * size) == 0
