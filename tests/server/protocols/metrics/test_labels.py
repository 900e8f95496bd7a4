"""Labels of functions: valid, unique, of a limited length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.server.protocols.metrics.labels import LONGEST, OTHER, label

ODD = [b"\xff<b>", b"a\nb", b"\0", b"other", b"x" * (LONGEST + 1), b"\xc2\x80"]


def shown(name: bytes) -> str:
    """Return a label as it is in the text, without its escapes for %."""
    return (label(name) % ()).decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"f", "f"),
        (b"", ""),
        (b"Ns::f{a=1} <b>", "Ns::f{a=1} <b>"),
        (b"100%", "100%"),
        (b'a"b\\c', r"a\"b\\c"),
        ("gr\u00fc\u00dfe\u2028".encode(), "gr\u00fc\u00dfe\u2028"),
        (b"~/bin", "~/bin"),
        (b"x" * LONGEST, "x" * LONGEST),
    ],
)
def test_text_is_shown_as_it_is(name: bytes, value: str) -> None:
    assert shown(name) == value


def test_other_names_end_with_a_digest() -> None:
    assert shown(b"\xff<b>") == r"\\xff<b>~45b65b0418d6d780"


@pytest.mark.parametrize("name", ODD)
def test_what_looks_like_the_label_of_another_name_is_not_shown(name: bytes) -> None:
    unescaped = shown(name).replace(r"\\", "\\")
    assert shown(unescaped.encode()) != shown(name)


@given(st.binary(max_size=300))
def test_label_is_valid(name: bytes) -> None:
    value = shown(name)
    assert "\n" not in value
    assert "\0" not in value
    assert '"' not in value.replace(r"\\", "").replace(r"\"", "")
    assert len(value) < 4 * LONGEST
    assert label(name) != OTHER
