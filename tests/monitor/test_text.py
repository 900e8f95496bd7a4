"""Numbers, times and names for people."""

import pytest

from gearman.monitor import text


def test_numbers() -> None:
    assert text.number(1234567) == "1,234,567"
    assert text.rate(0) == "0"
    assert text.rate(0.256) == "0.26"
    assert text.rate(1234.5) == "1,234"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 ms"),
        (0.0123, "12 ms"),
        (1.0, "1 s"),
        (1.26, "1.3 s"),
        (59.99, "1 min"),
        (60, "1 min"),
        (61.5, "1 min 1 s"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (3601, "1 h"),
        (90000, "1 d 1 h"),
        (86400 * 400, "400 d"),
        (0.9999, "1 s"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert text.duration(seconds) == expected


def test_sizes() -> None:
    assert text.size(512) == "512 B"
    assert text.size(1536) == "1.5 KiB"
    assert text.size(20 << 20) == "20 MiB"
    assert text.size(5000 << 30) == "5,000 GiB"


def test_names() -> None:
    assert text.name_text(b"a\n\xff") == "a\\x0a\\xff"
    assert text.query_text(b"a b/\xff") == "a%20b%2F%FF"
