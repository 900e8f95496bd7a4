"""Workloads from lines, however the lines arrive."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gearman.cli.gearman.workloads import Lines, Workloads


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def taken(lines: Workloads) -> list[bytes]:
    """Take all workloads that are ready."""
    return [lines.take() for _ in range(len(lines))]


def everything(
    data: bytes, pipe: tuple[int, int], *, strip: bool = False
) -> list[bytes]:
    reader, writer = pipe
    lines = Lines(reader, strip=strip)
    os.write(writer, data)
    os.close(writer)
    while lines.wants_reading:
        lines.read()
    found = taken(lines)
    assert lines.ended
    return found


def test_given_workloads_come_in_order() -> None:
    workloads = Workloads([b"one", b""])
    assert not workloads.wants_reading
    assert taken(workloads) == [b"one", b""]
    assert workloads.ended


@pytest.mark.parametrize(
    ("data", "whole", "stripped"),
    [
        (b"", [], []),
        (b"a\nb\n", [b"a\n", b"b\n"], [b"a", b"b"]),
        (b"a\nb", [b"a\n", b"b"], [b"a", b"b"]),
        (b"\n\na\n", [b"\n", b"\n", b"a\n"], [b"", b"", b"a"]),
        (b"a\0\r\nb\x85c", [b"a\0\r\n", b"b\x85c"], [b"a\0\r", b"b\x85c"]),
    ],
)
def test_lines_keep_their_ends_unless_stripped(
    data: bytes, whole: list[bytes], stripped: list[bytes]
) -> None:
    assert everything(data, os.pipe()) == whole
    assert everything(data, os.pipe(), strip=True) == stripped


def test_a_line_is_there_before_the_next_one(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    lines = Lines(reader)
    for piece, expected in ((b"on", []), (b"e\ntw", [b"one\n"]), (b"o\n", [b"two\n"])):
        os.write(writer, piece)
        lines.read()
        assert taken(lines) == expected
    os.close(writer)
    lines.read()
    assert lines.ended


def test_a_line_may_be_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    long = b"x" * 300_000 + b"\n"
    path = tmp_path / "lines"
    path.write_bytes(long + b"short")
    with path.open("rb") as file:
        lines = Lines(file.fileno())
        while lines.wants_reading:
            lines.read()
        assert taken(lines) == [long, b"short"]


def test_nothing_to_read_yet_is_no_end(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(reader, False)
    lines = Lines(reader)
    lines.read()
    assert lines.wants_reading
    os.close(writer)


@pytest.mark.parametrize("strip", [True, False])
def test_the_position_ends_at_the_size_of_the_file(tmp_path: Path, strip: bool) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"skipped\none\ntwo\n")
    with path.open("rb", buffering=0) as file:
        file.seek(8)
        lines = Lines(file.fileno(), strip=strip)
        lines.read()
        lines.take()
        assert (lines.position, lines.size) == (4, 8)
        lines.take()
        assert lines.position == 8


def test_the_size_of_a_pipe_is_unknown(pipe: tuple[int, int]) -> None:
    assert Lines(pipe[0]).size is None
    os.close(pipe[1])
