"""The file of the history: what is kept, packed, pruned; which files are refused."""

import re
import sqlite3
from pathlib import Path

import pytest

from gearman.errors import StartupError
from gearman.monitor.history import file as files
from gearman.monitor.history.file import MEMORY, File, Note
from gearman.monitor.history.points import FIELDS, Point
from gearman.monitor.history.recorder import ALL, Moment
from gearman.monitor.history.spans import SPANS, charts
from gearman.monitor.history.tiers import COARSE, DAY, FINE, MIDDLE, TIERS, Tier

A = "a:4730"
NOTE = Note("ann", "pause", A, "mail", "", "done")
# A time at which chunks of all tiers begin.
START = 5000 * COARSE.chunk


def point(submitted: int, queued: int = 0) -> Point:
    values = dict.fromkeys(FIELDS, 0) | {"submitted": submitted, "queued": queued}
    return tuple(values.values())


def moment(
    tier: Tier, time: int, submitted: int = 1, name: bytes = b"mail", address: str = A
) -> Moment:
    points = {name: point(submitted), ALL: point(submitted)}
    return Moment(tier.number, address, time, points)


def counts(file: File) -> dict[str, int]:
    """Return how many rows the tables have."""
    names = ("moment", *(f"chunk{tier.number}" for tier in TIERS))
    return {
        name: file.database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        for name in names
    }


@pytest.mark.parametrize("tier", TIERS)
def test_what_is_over_is_packed_and_reads_the_same(tier: Tier) -> None:
    file = File(MEMORY)
    several = [
        moment(tier, START + number * tier.seconds, number + 1)
        for number in range(tier.slots + 5)
    ]
    file.write(several)
    now = START + tier.chunk + 5 * tier.seconds
    span = {FINE: "10m", MIDDLE: "hour", COARSE: "week"}[tier]

    def read() -> object:
        return charts(file, [A], [b"mail", ALL], SPANS[span], ["submitted"], now)

    before = read()
    file.tidy(START + 1)
    assert counts(file)["moment"] == len(several)
    file.tidy(now)
    assert counts(file)["moment"] == 5
    assert counts(file)[f"chunk{tier.number}"] == 2
    assert read() == before


def test_moments_after_the_clock_was_set_back_are_added_to_a_chunk() -> None:
    file = File(MEMORY)
    for time in (START, START + 10):
        file.write([moment(MIDDLE, time)])
        file.tidy(START + MIDDLE.chunk)
    found = charts(
        file, [A], [b"mail"], SPANS["hour"], ["submitted"], START + MIDDLE.chunk
    )
    assert found[0].fields["submitted"].count(0.1) == 2


@pytest.mark.parametrize("tier", TIERS)
def test_what_is_too_old_is_dropped(tier: Tier) -> None:
    file = File(MEMORY)
    file.write([moment(tier, START), moment(tier, START + tier.chunk)])
    file.tidy(START + tier.chunk + tier.keep // 2)
    assert counts(file)[f"chunk{tier.number}"] == 4
    file.tidy(START + 2 * tier.chunk + tier.keep)
    assert sum(counts(file).values()) == 0


def test_function_without_points_for_a_year_is_forgotten() -> None:
    file = File(MEMORY)
    file.write([moment(COARSE, START)])
    server = file.server(A)
    assert server is not None
    assert file.function(server, b"mail") is not None
    file.tidy(START + COARSE.keep + 3 * DAY)
    assert file.function(server, b"mail") is None
    file.write([moment(COARSE, START + COARSE.keep)])
    assert file.function(server, b"mail") is not None


def test_function_that_is_used_is_not_forgotten() -> None:
    file = File(MEMORY)
    file.write([moment(COARSE, START), moment(COARSE, START + 200 * DAY)])
    server = file.server(A)
    assert server is not None
    file.tidy(START + COARSE.keep + 3 * DAY)
    assert file.function(server, b"mail") is not None


def test_only_so_many_functions_have_a_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_FUNCTIONS", 2)
    file = File(MEMORY)
    file.write([moment(MIDDLE, START), moment(MIDDLE, START + 10, name=b"other")])
    server = file.server(A)
    assert server is not None
    assert file.function(server, b"mail") is not None
    assert file.function(server, b"other") is None


def test_oldest_points_are_dropped_if_the_file_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = File(MEMORY)
    # Long names take room, as nothing else that is small does.
    for number in range(3):
        start = START + number * COARSE.chunk
        file.write([moment(COARSE, start, name=b"%d" % number)])
    now = START + 3 * COARSE.chunk
    file.tidy(now)
    assert counts(file)["chunk2"] == 6
    monkeypatch.setattr(File, "size", lambda self: counts(self)["chunk2"])
    monkeypatch.setattr(files, "MOST_BYTES", 2)
    file.tidy(now)
    assert counts(file)["chunk2"] == 2
    monkeypatch.setattr(files, "MOST_BYTES", 1)
    file.tidy(now)
    assert counts(file)["chunk2"] == 0
    monkeypatch.setattr(files, "MOST_BYTES", -1)
    file.tidy(now)


def test_size_is_what_is_in_use() -> None:
    assert 0 < File(MEMORY).size() < 1 << 20


def test_failed_write_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    file = File(MEMORY)

    def fail(points: object) -> bytes:
        raise sqlite3.OperationalError("disk is full")

    monkeypatch.setattr(files, "pack_moment", fail)
    with pytest.raises(sqlite3.OperationalError):
        file.write([moment(MIDDLE, START)])
    monkeypatch.undo()
    assert file.server(A) is None
    file.write([moment(MIDDLE, START)])
    found = charts(file, [A], [b"mail"], SPANS["hour"], ["submitted"], START + 10)
    assert found[0].fields["submitted"][-1] == 0.1


def test_notes_are_read_newest_first() -> None:
    file = File(MEMORY)
    file.note([NOTE], 1.0)
    file.note([NOTE, NOTE], 2.0)
    assert [row[:3] for row in file.notes(2, 0)] == [(3, 2.0, "ann"), (2, 2.0, "ann")]
    assert [row[0] for row in file.notes(10, 3)] == [2, 1]


def test_old_notes_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    file = File(MEMORY)
    file.note([NOTE], 1.0)
    file.note([NOTE] * 3, files.NOTES_KEPT + 2.0)
    file.tidy(files.NOTES_KEPT + 3.0)
    assert len(file.notes(10, 0)) == 3
    monkeypatch.setattr(files, "MOST_NOTES", 2)
    file.tidy(files.NOTES_KEPT + 3.0)
    assert [row[0] for row in file.notes(10, 0)] == [4, 3]


def test_all_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = str(tmp_path / "history.db")
    file = File(path)
    file.write([moment(MIDDLE, START)])
    file.note([NOTE], 1.0)
    file.close()
    again = File(path)
    found = charts(again, [A], [b"mail"], SPANS["hour"], ["submitted"], START + 20)
    assert 0.1 in found[0].fields["submitted"]
    assert len(again.notes(10, 0)) == 1
    again.write([moment(MIDDLE, START + 10)])
    again.close()


def test_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    File(str(path)).close()
    assert path.stat().st_mode & 0o777 == 0o600


def refusal(path: Path) -> str:
    with pytest.raises(StartupError) as caught:
        File(str(path))
    text = str(caught.value)
    assert re.match(rf"the history '{re.escape(str(path))}' ", text)
    return text


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"something else\n" * 500)
    assert "is no history of this monitor: name another file with --db" in refusal(path)


def test_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    assert "is no history of this monitor" in refusal(path)


def test_database_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    File(str(path)).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert "is no history of this monitor" in refusal(path)


def test_damaged_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    File(str(path)).close()
    data = bytearray(path.read_bytes())
    data[100:3000] = b"\xff" * 2900
    path.write_bytes(data)
    assert "is damaged: remove it" in refusal(path)


def test_file_in_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    file = File(str(path))
    assert "is in use, maybe by another gearman-monitor" in refusal(path)
    file.close()


def test_folder_is_refused(tmp_path: Path) -> None:
    assert "cannot be used: unable to open database file" in refusal(tmp_path)


def test_sentence_for_a_file_that_is_read_only() -> None:
    error = sqlite3.OperationalError("attempt to write a readonly database")
    assert files._sentence("x", error) == "the history 'x' cannot be written"
