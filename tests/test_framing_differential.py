"""The compiled framing behaves as the reference does."""

import inspect
import sys
from collections.abc import Callable
from importlib import util
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gearman import _framing
from gearman.commands import BOTH, COMMANDS, REQUEST, RESPONSE, Command

Outcome = tuple[Any, ...]


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def parameters(function: Callable[..., object]) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(it.name, it.kind, it.default) for it in found]


def test_no_public_name_is_added(speedups: ModuleType) -> None:
    names = {"Decoder", "encode", "encode_request"}
    assert names <= public(speedups) <= public(_framing)
    assert public(speedups.Decoder) == public(_framing.Decoder)


@pytest.mark.parametrize(
    "name",
    ["encode", "encode_request", "Decoder", "Decoder.feed", "Decoder.widen"],
)
def test_signatures_and_docstrings_are_equal(name: str, speedups: ModuleType) -> None:
    first: Any = _framing
    second: Any = speedups
    for part in name.split("."):
        first, second = getattr(first, part), getattr(second, part)
    assert parameters(second) == parameters(first)
    assert inspect.getdoc(second) == inspect.getdoc(first)


def test_options_are_given_by_name(framing: ModuleType) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        framing.Decoder(REQUEST, 100)


def test_a_decoder_takes_no_other_attribute(framing: ModuleType) -> None:
    decoder = framing.Decoder()
    with pytest.raises(AttributeError):
        decoder.other = 1
    with pytest.raises(AttributeError):
        decoder.buffered = 1


def outcome(function: Callable[..., bytes], *arguments: Any) -> Outcome:
    """Return the result or the exception of a call."""
    try:
        return "returned", function(*arguments)
    except Exception as error:
        return type(error), str(error)


class Bytes(bytes):
    """A subclass of bytes, as some libraries have."""


@pytest.mark.parametrize(
    "arguments",
    [
        (7,),
        (Command.NOOP, []),
        (True, (b"",)),
        (7, (b"f", Bytes(b"u"), bytearray(b"w"))),
        (7, (memoryview(b"f"),)),
        (0, (b"a",)),
        (2**32 - 1, (b"a",)),
        (2**32, (b"a",)),
        (2**63, (b"a",)),
        (2**70, (b"a",)),
        (-1, (b"a",)),
        (7.0, (b"a",)),
        ("7", (b"a",)),
        (None, (b"a",)),
        (7, ("f", b"u", b"w")),
        (7, (b"f", None)),
        (7, (b"f", 1)),
        (7, b"bytes"),
        (7, "text"),
        (7, None),
        (7, (), REQUEST),
        (7, (), b""),
        (7, (), b"\0RE"),
        (7, (), b"\0REQUEST"),
        (7, (), Bytes(REQUEST)),
        (7, (), "\0REQ"),
        (7, (), None),
    ],
    ids=repr,
)
def test_odd_calls_of_encode_end_alike(
    arguments: tuple[Any, ...], speedups: ModuleType
) -> None:
    expected = outcome(_framing.encode, *arguments)
    assert outcome(speedups.encode, *arguments) == expected


def test_arguments_may_be_any_iterable(framing: ModuleType) -> None:
    expected = b"\0RES\0\0\0\x07\0\0\0\x05f\0u\0w"
    assert framing.encode(7, iter([b"f", b"u", b"w"])) == expected


# Without NUL, which only the last argument may contain.
words = st.binary(max_size=12).map(lambda it: it.replace(b"\0", b"-"))


@st.composite
def valid_packets(draw: st.DrawFn) -> bytes:
    row = draw(st.sampled_from(list(COMMANDS.values())))
    arguments = [draw(words) for _ in row.arguments[1:]]
    arguments.append(draw(st.binary(max_size=30)))
    magic = draw(st.sampled_from([REQUEST, REQUEST, RESPONSE]))
    return _framing.encode(row.command, arguments, magic)


@st.composite
def mutated_packets(draw: st.DrawFn) -> bytes:
    """A packet with one byte changed, dropped or doubled."""
    packet = draw(valid_packets())
    at = draw(st.integers(0, len(packet) - 1))
    byte = draw(st.sampled_from([b"", packet[at : at + 1] * 2, b"\0", b"\xff", b"\n"]))
    return packet[:at] + byte + packet[at + 1 :]


@st.composite
def odd_headers(draw: st.DrawFn) -> bytes:
    """A header with boundary values, and a body of any length."""
    magic = draw(st.sampled_from([REQUEST, RESPONSE, b"\0REX", b"\0\0\0\0"]))
    edges = [0, 1, 5, 7, 12, 13, 42, 43, 272, 279, 280, 2**31 - 1, 2**31, 2**32 - 1]
    number = draw(st.sampled_from(edges))
    length = draw(st.sampled_from([0, 1, 2, 19, 20, 21, 2**31, 2**32 - 1]))
    header = magic + number.to_bytes(4, "big") + length.to_bytes(4, "big")
    return header + draw(st.binary(max_size=24))


ends = st.sampled_from([b"\n", b"\r\n", b"\r\r\n", b""])
lines = st.builds(lambda word, end: word + end, st.binary(max_size=16), ends)
chunks = st.one_of(
    *(valid_packets(), valid_packets(), valid_packets(), lines),
    *(mutated_packets(), odd_headers(), st.binary(max_size=16)),
)
streams = st.lists(chunks, max_size=12).map(b"".join)
options = st.fixed_dictionaries(
    {"magic": st.sampled_from([REQUEST, RESPONSE, BOTH]), "lines": st.booleans()},
    optional={
        "max_packet": st.sampled_from([0, 1, 19, 20, 21, 2**32 - 1, 2**40]),
        "max_line": st.sampled_from([0, 1, 7, 8, 9]),
        "skip_large": st.booleans(),
    },
)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    stream = draw(streams)
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    return [
        stream[start:end]
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]


def outcomes(packets: list[tuple[int, Any]]) -> list[Outcome]:
    """Return packets with errors as text, so that they can be compared."""
    return [
        (number, type(it), it.text, it.args, vars(it))
        if number == _framing.INVALID
        else (number, type(number), it)
        for number, it in packets
    ]


@given(cut_streams(), options)
def test_both_builds_make_the_same_of_a_stream(
    speedups: ModuleType, pieces: list[bytes], options: dict[str, Any]
) -> None:
    reference, compiled = _framing.Decoder(**options), speedups.Decoder(**options)
    for piece in pieces:
        assert outcomes(compiled.feed(piece)) == outcomes(reference.feed(piece))
        assert compiled.buffered == reference.buffered
        assert compiled.unfinished == reference.unfinished


@given(st.lists(chunks, max_size=6), st.integers(0, 6), options)
def test_both_builds_are_widened_alike(
    speedups: ModuleType, packets: list[bytes], first: int, options: dict[str, Any]
) -> None:
    reference, compiled = _framing.Decoder(**options), speedups.Decoder(**options)
    for number, packet in enumerate(packets):
        if number >= first and not reference.unfinished:
            reference.widen(2**32 - 1)
            compiled.widen(2**32 - 1)
        assert outcomes(compiled.feed(packet)) == outcomes(reference.feed(packet))


@given(cut_streams(), options)
@example([b"\x16", b"\x03"], {"lines": False})
def test_where_a_stream_is_cut_makes_no_difference(
    framing: ModuleType, pieces: list[bytes], options: dict[str, Any]
) -> None:
    whole, cut = framing.Decoder(**options), framing.Decoder(**options)
    expected = outcomes(whole.feed(b"".join(pieces)))
    assert outcomes([it for piece in pieces for it in cut.feed(piece)]) == expected
    assert cut.buffered == whole.buffered
    assert cut.unfinished == whole.unfinished


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.binary(max_size=40), max_size=9),
    st.sampled_from([REQUEST, RESPONSE]),
)
def test_both_builds_encode_alike(
    speedups: ModuleType, command: int, arguments: list[bytes], magic: bytes
) -> None:
    expected = _framing.encode(command, arguments, magic)
    assert speedups.encode(command, arguments, magic) == expected


# What a program may submit: text, also such that UTF-8 cannot have, bytes, and others.
given_values = st.one_of(
    st.text(max_size=9),
    st.text(st.characters(categories=["Cs", "L"]), max_size=3),
    st.binary(max_size=9),
    st.binary(max_size=9).map(bytearray),
    st.integers(),
    st.none(),
)


@given(st.integers(0, 2**32 - 1), st.lists(given_values, max_size=5))
@example(7, ["f", b"u\0", b"w"])
@example(7, ["f\0", b"u", b"w"])
@example(7, ["ä", b"u", b"w\0w"])
def test_both_builds_encode_requests_alike(
    speedups: ModuleType, command: int, values: list[object]
) -> None:
    expected = _framing.encode_request(command, values)
    assert speedups.encode_request(command, values) == expected


def load_framing() -> ModuleType:
    """Execute gearman/framing.py again, without changing the imported module."""
    spec = util.find_spec("gearman.framing")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("value", ["", "0"])
def test_the_compiled_build_is_used_if_it_is_there(
    value: str, speedups: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEARMAN_PURE_PYTHON", value)
    module = load_framing()
    assert module.BUILD == "speedups"
    assert (module.Decoder, module.encode) == (speedups.Decoder, speedups.encode)


def test_the_environment_can_ask_for_plain_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEARMAN_PURE_PYTHON", "1")
    module = load_framing()
    assert module.BUILD == "pure"
    assert (module.Decoder, module.encode) == (_framing.Decoder, _framing.encode)


def test_plain_python_is_used_where_nothing_was_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GEARMAN_PURE_PYTHON", raising=False)
    monkeypatch.setitem(sys.modules, "gearman._speedups", None)
    assert load_framing().BUILD == "pure"
