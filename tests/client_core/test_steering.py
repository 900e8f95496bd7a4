"""The admin commands of this server only: what their answers mean."""

import pytest

from gearman.client_core.steering import (
    LIST_JOBS,
    LISTS,
    SHOW_DEAD,
    SHOW_POLICIES,
    SHOW_SCHEDULES,
    number_in,
    pairs,
)
from gearman.errors import ProtocolError


def test_values_are_percent_encoded_and_none_is_left_out() -> None:
    values: dict[str, str | bytes | int | None] = {
        "function": b"\xff a&b",
        "unique": "Größe",
        "limit": 5,
        "after": None,
    }
    assert pairs(values) == "function=%FF%20a%26b&unique=Gr%C3%B6%C3%9Fe&limit=5"
    assert pairs({"limit": None}) == ""


def test_number_of_jobs_is_in_the_line() -> None:
    assert number_in("OK 12") == 12


@pytest.mark.parametrize("line", ["OK", "OK x", "OK \u00b2", "ERR function not found"])
def test_line_without_a_number_is_an_error(line: str) -> None:
    with pytest.raises(ProtocolError, match="Expected 'OK' and a number, received: "):
        number_in(line)


def test_policies_are_split() -> None:
    row = LISTS[SHOW_POLICIES]("f\tdead=function:a%20b&max-queue=1,2,3")
    policy = {"dead": "function:a b", "max-queue": "1,2,3"}
    assert row == {"task": "f", "policy": policy}


def test_dead_jobs_are_split() -> None:
    assert LISTS[SHOW_DEAD]("H:h:1\tf\t2\t1700000000\twhy\tever") == {
        "handle": "H:h:1",
        "task": "f",
        "attempts": 2,
        "died": 1700000000,
        "reason": "why\tever",
    }


def test_schedules_are_split() -> None:
    schedule = LISTS[SHOW_SCHEDULES]("s\t30 3 * * *\tf\t1700000000\t-\t1\tfile\t-")
    assert schedule == {
        "name": "s",
        "cron": "30 3 * * *",
        "task": "f",
        "next": 1700000000,
        "last": None,
        "paused": True,
        "source": "file",
        "owner": None,
    }
    assert LISTS[SHOW_SCHEDULES]("s\tc\tf\t-\t1\t0\tcommand\tshop") == {
        "name": "s",
        "cron": "c",
        "task": "f",
        "next": None,
        "last": 1,
        "paused": False,
        "source": "command",
        "owner": "shop",
    }


def test_jobs_are_objects() -> None:
    assert LISTS[LIST_JOBS]('{"size": 1}') == {"size": 1}


@pytest.mark.parametrize(
    ("command", "line", "text"),
    [
        (SHOW_POLICIES, "f", "no line of a policy: f"),
        (SHOW_POLICIES, "f\tx", "no line of a policy"),
        (SHOW_DEAD, "a\tb\t1\t2", "no line of a dead job"),
        (SHOW_DEAD, "a\tb\t1\tx\ty", "no line of a dead job"),
        (SHOW_SCHEDULES, "s\t* * * * *\tf\t-\t-", "no line of a schedule: s"),
        (SHOW_SCHEDULES, "s\tc\tf\t-\t-\t1\tfile", "no line of a schedule"),
        (SHOW_SCHEDULES, "s\tc\tf\t-\t-\t2\tfile\t-", "no line of a schedule"),
        (SHOW_SCHEDULES, "s\tc\tf\tx\t-\t1\tfile\t-", "no line of a schedule"),
        (SHOW_SCHEDULES, "s\tc\tf\t1\tx\t1\tfile\t-", "no line of a schedule"),
        (LIST_JOBS, "{", "no JSON: {"),
        (LIST_JOBS, "[]", "no object in JSON"),
    ],
)
def test_other_lines_are_an_error(command: str, line: str, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        LISTS[command](line)
