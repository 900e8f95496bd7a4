"""A record of the log as an object of JSON."""

import json
import logging
import sys
from typing import Any

from gearman.server.watch.log_formats import MAX_RECORD, as_json, as_text


def record(text: str, *arguments: object, **more: Any) -> logging.LogRecord:
    found = logging.LogRecord(
        "gearman.server", logging.WARNING, "", 0, text, arguments, more.get("error")
    )
    found.created = 1_700_000_000.25
    if "facts" in more:
        found.facts = more["facts"]
    return found


def test_object_has_time_level_text_and_facts() -> None:
    line = as_json(record("%s: no\n", "a", facts={"event": "x", "handle": "H:1"}), 0)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250000+00:00",
        "level": "WARNING",
        "text": "a: no\n",
        "event": "x",
        "handle": "H:1",
    }


def test_traceback_is_a_text() -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        found = json.loads(as_json(record("a bug", error=sys.exc_info()), 0))
    assert found["traceback"].startswith("Traceback (most recent call last):\n")
    assert found["traceback"].endswith("ValueError: bad")


def test_lost_records_are_counted() -> None:
    assert json.loads(as_json(record("text"), 3))["lost"] == 3
    assert " 3 earlier log records could not be written\n" in as_text(record("text"), 3)


def test_long_text_is_cut_and_the_object_stays_whole() -> None:
    found = json.loads(as_json(record("x" * (MAX_RECORD + 1)), 0))
    assert found["text"] == "x" * MAX_RECORD


def test_facts_are_not_in_the_text() -> None:
    assert as_text(record("text", facts={"event": "x"}), 0).endswith(" text")
