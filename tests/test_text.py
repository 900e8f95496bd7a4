import pytest

from gearman.errors import ProtocolError
from gearman.text import MAX_WORDS, SHOWN, printable, shown, split


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", [b""]),
        (b"version", [b"version"]),
        (b"a  b", [b"a", b"b"]),
        (b" a b ", [b"", b"a", b"b", b""]),
        (b"a\tb", [b"a\tb"]),
        (b"1 2 3 4 5", [b"1", b"2", b"3", b"4", b"5"]),
    ],
)
def test_words_are_separated_by_runs_of_spaces(line, words):
    assert split(line) == words


def test_one_word_too_many_is_fatal():
    with pytest.raises(ProtocolError, match="6 words, and 5 are allowed") as caught:
        split(b" ".join([b"w"] * (MAX_WORDS + 1)))
    assert caught.value.fatal


def test_http_request_is_fatal():
    with pytest.raises(ProtocolError, match="an HTTP request") as caught:
        split(b"GET /status HTTP/1.1")
    assert caught.value.fatal


def test_control_characters_are_shown_as_numbers():
    assert printable(bytes(range(256))) == (
        b"".join(rb"\x%02x" % n for n in range(32))
        + bytes(range(32, 127))
        + rb"\x7f"
        + b"".join(rb"\x%02x" % n for n in range(128, 160))
        + bytes(range(160, 256))
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("größe €".encode(), "größe €".encode()),
        # Text that holds the bytes 0x80 to 0x9f, but no control characters.
        ("“ÀŸ”\U0001f600".encode(), "“ÀŸ”\U0001f600".encode()),
        (b"caf\xe9", b"caf\xe9"),
        (b"\x9b31m", rb"\x9b31m"),
        ("é\x9b31m".encode(), "é".encode() + rb"\xc2\x9b31m"),
        (b"\xe9\xc2\x9b31m", b"\xe9\xc2" + rb"\x9b31m"),
        (rb"\x9b", rb"\x9b"),
    ],
)
def test_no_name_steers_a_terminal(name, expected):
    assert printable(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"resize", "resize"),
        ("größe".encode(), "größe"),
        (b"a\nb'\"", r"a\x0ab'" + '"'),
        (b"\xff\0REQ", r"\xff\x00REQ"),
        (b"f" * SHOWN, "f" * SHOWN),
        (b"f" * (SHOWN + 1), "f" * SHOWN + "..."),
    ],
)
def test_bytes_are_shown_as_a_person_would_write_them(name, expected):
    assert shown(name) == expected
