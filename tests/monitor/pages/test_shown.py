"""Times, workloads and addresses as templates show them."""

import json
import time

import pytest

from gearman.monitor.web.pages import shown


@pytest.mark.parametrize(
    ("distance", "text"),
    [(0, "now"), (-90, "1 min ago"), (7200, "in 2 h"), (-3, "3 s ago")],
)
def test_time_is_told_from_now(distance: float, text: str) -> None:
    assert shown.ago(time.time() + distance) == text


def test_time_has_an_absolute_form() -> None:
    assert shown.moment(0) == "1970-01-01 00:00:00 UTC"
    assert shown.iso(0) == "1970-01-01T00:00:00Z"


def test_event_has_its_times_reason_and_worker_in_words() -> None:
    worker = {"id": "me", "address": "10.0.0.1:5"}
    record = {
        **{"time": 5, "event": "given_up", "function": "mail", "waited": 0.5},
        **{"ran": 2, "reason": "attempts\x1b", "worker": worker},
    }
    assert shown.event(record) == shown.ShownEvent(
        *(5.0, "given up", b"mail"),
        r"waited 500 ms, ran 2 s, attempts\x1b, at me (10.0.0.1:5)",
    )


def test_nonsense_in_an_event_is_left_out() -> None:
    record = {"time": "x", "event": 7, "ran": "x", "reason": [], "worker": 3}
    assert shown.event(record) == shown.ShownEvent(0.0, "", b"", "")


@pytest.mark.parametrize("value", [1e20, float("nan"), float("inf")])
def test_time_of_a_broken_server_is_no_error(value: float) -> None:
    assert shown.moment(value) == "?"
    assert shown.iso(value) == ""


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (b"plain", "text", "plain"),
        (b"", "text", ""),
        ("für\n\tzwei".encode(), "text", "für\n\tzwei"),
        (b"a\r\nb", "text", "a\nb"),
        (b"bell\x07", "text", "bell\\x07"),
        (b'{"a": [1]}', "json", '{\n  "a": [\n    1\n  ]\n}'),
        (b"17", "text", "17"),
        (b'{"a": "\\ud800"}', "json", '{\n  "a": "\\ud800"\n}'),
        (b"[" * 100_000, "text", "[" * shown.MOST_SHOWN),
    ],
)
def test_workload_is_shown_in_the_form_that_suits_it(
    value: bytes, form: str, text: str
) -> None:
    found = shown.workload(value)
    assert (found.form, found.text) == (form, text)


def test_bytes_that_are_no_text_are_shown_as_numbers() -> None:
    found = shown.workload(b"\x00\xff<b>" + b"x" * 12)
    assert found.form == "hex"
    first, second = found.text.splitlines()
    assert first.startswith("000000  00 ff 3c 62 3e 78")
    assert first.endswith("  ..<b>xxxxxxxxxxx")
    assert second.split() == ["000010", "78", "x"]


def test_form_can_be_chosen() -> None:
    assert shown.workload(b'{"a":1}', "text").text == '{"a":1}'
    assert shown.workload(b"{}", "hex").form == "hex"
    assert shown.workload(b"no", "json").form == "text"
    assert shown.workload(b"\xff", "text").text == "\\xff"


def test_long_workload_is_cut_also_within_a_character() -> None:
    found = shown.workload(b"x" + "ü".encode() * shown.MOST_SHOWN)
    assert found.form == "text"
    assert found.left_out == shown.MOST_SHOWN + 1
    assert shown.workload(b"\xff" * (shown.MOST_SHOWN + 5)).left_out == 5
    assert shown.workload(b'{"a": 1}', size=100).left_out == 92


def test_json_that_becomes_too_long_is_shown_as_text() -> None:
    value = json.dumps([[[[1]]]] * 1600, separators=(",", ":")).encode()
    assert len(value) <= shown.MOST_SHOWN
    assert shown.workload(value).form == "text"


def test_address_is_changed() -> None:
    assert shown.changed("/f?a=1&b=2", a="x y", b="") == "/f?a=x%20y"
    assert shown.changed("/f?a=1", a="") == "/f"
    assert shown.changed("/f", name=b"\xff&") == "/f?name=%FF%26"


def test_target_of_a_form_is_a_server_and_a_name() -> None:
    assert shown.target("[::1]:4730", b"a b\xff") == "[::1]:4730 a%20b%FF"


def test_job_of_a_server_that_says_nonsense_is_shown() -> None:
    found = shown.job("s", {"handle": 5, "worker": "x", "due": "soon"})
    assert (found.handle, found.worker, found.time("due")) == (b"", "", None)
    record = {"worker": {"id": "w", "address": "a"}, "due": 3}
    assert shown.job("s", record).worker == "w (a)"
    assert shown.job("s", {"reason": "a\x1b"}).text("reason") == "a\\x1b"
    assert shown.job("s", {"worker": {"id": "-", "address": "a"}}).worker == "a"
    assert shown.job("s", record).time("due") == 3.0


@pytest.mark.parametrize(
    ("name", "text"),
    [("max-memory", "2.9 KiB"), ("write-timeout", "50 min"), ("max-jobs", "3,000")],
)
def test_limit_has_the_unit_of_its_name(name: str, text: str) -> None:
    assert shown.limited(3000, name) == text
