"""Points as bytes: what is packed comes back, in few bytes."""

from hypothesis import given
from hypothesis import strategies as st

from gearman.monitor.history import packing
from gearman.monitor.history.packing import (
    moment_entries,
    pack_chunk,
    pack_moment,
    point_of,
    unpack_chunk,
)
from gearman.monitor.history.points import FIELDS, Point

SLOTS = 60
ALL_FIELDS = range(len(FIELDS))

_NUMBERS = st.one_of(
    st.just(0), st.integers(0, 300), st.integers(0, 1 << 40), st.integers(0, 1 << 62)
)
_POINTS = st.tuples(*([_NUMBERS] * len(FIELDS)))


def rows(data: bytes, slots: int = SLOTS) -> dict[int, Point]:
    order, columns = unpack_chunk(data, slots, ALL_FIELDS)
    points = zip(*(columns[field] for field in ALL_FIELDS), strict=True)
    return dict(zip(order, points, strict=True))


@given(st.dictionaries(st.integers(0, 1 << 20), _POINTS, max_size=20))
def test_moment_comes_back(points: dict[int, Point]) -> None:
    entries = moment_entries(pack_moment(points))
    assert {number: point_of(entry) for number, entry in entries.items()} == points


@given(
    st.dictionaries(st.integers(0, 1 << 20), _POINTS, max_size=20),
    st.sets(st.integers(0, 1 << 20)),
)
def test_only_wanted_functions_of_a_moment_are_returned(
    points: dict[int, Point], others: set[int]
) -> None:
    wanted = others | {number for number in points if number % 2}
    entries = moment_entries(pack_moment(points), wanted)
    assert entries.keys() == points.keys() & wanted
    assert all(point_of(entries[number]) == points[number] for number in entries)


@given(_POINTS, st.booleans())
def test_chunk_without_gaps_comes_back(one: Point, dense: bool) -> None:
    points = {slot: (slot, *one[1:]) for slot in range(SLOTS)}
    assert rows(pack_chunk(points, SLOTS, dense=dense)) == points


@given(st.dictionaries(st.integers(0, SLOTS - 1), _POINTS, min_size=1), st.booleans())
def test_chunk_comes_back(points: dict[int, Point], dense: bool) -> None:
    assert rows(pack_chunk(points, SLOTS, dense=dense)) == points


@given(
    st.dictionaries(st.integers(0, SLOTS - 1), _POINTS, min_size=1),
    st.sets(st.sampled_from(ALL_FIELDS)),
)
def test_some_fields_of_a_chunk_are_as_in_all(
    points: dict[int, Point], fields: set[int]
) -> None:
    order, columns = unpack_chunk(pack_chunk(points, SLOTS), SLOTS, fields)
    assert [*order] == sorted(points)
    assert set(columns) == fields
    for field, values in columns.items():
        assert values == [points[slot][field] for slot in order]


def test_numbers_that_are_too_large_are_the_largest() -> None:
    point = (1 << 70, *[0] * (len(FIELDS) - 1))
    most = packing._MOST
    (entry,) = moment_entries(pack_moment({1: point})).values()
    assert point_of(entry)[0] == most


def test_too_large_numbers_of_a_chunk_are_the_largest() -> None:
    points = dict.fromkeys(range(SLOTS), (1 << 70,) * len(FIELDS))
    largest = (packing._MOST,) * len(FIELDS)
    assert rows(pack_chunk(points, SLOTS)) == dict.fromkeys(range(SLOTS), largest)


def test_differences_as_large_as_numbers_come_back() -> None:
    above = (0, *[packing._MOST] * (len(FIELDS) - 1))
    below = (packing._MOST, *[0] * (len(FIELDS) - 1))
    points = {slot: above if slot % 2 else below for slot in range(SLOTS)}
    assert rows(pack_chunk(points, SLOTS)) == points


def test_bytes_have_the_same_order_on_every_machine() -> None:
    columns = packing._column([1, 0x1234, 0])
    assert columns == b"\x02" + b"\x01\x34\x00" + b"\x00\x12\x00"
    assert packing._values(columns[1:], 2, 3) == [1, 0x1234, 0]


def test_columns_without_numbers_come_back() -> None:
    points = dict.fromkeys(range(SLOTS), (0,) * len(FIELDS))
    assert rows(pack_chunk(points, SLOTS)) == points


def test_point_of_a_seldom_used_function_has_few_bytes() -> None:
    point = (3, 3, 3, 0, 0, 0, 0, 1, 1, 0, 0, 2, 0, 1, 1, 1, 1, 1, 1)
    assert len(pack_chunk({5: point}, 576, dense=True)) < 25


def test_points_that_are_alike_have_few_bytes() -> None:
    point = (300, 300, 299, 1, 1, 0, 0, 1, 1, 0, 0, 2, 0, 9, 9, 9, 9, 9, 9)
    assert len(pack_chunk(dict.fromkeys(range(576), point), 576, dense=True)) < 200
