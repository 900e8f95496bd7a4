"""Jobs as lines of JSON: all stored jobs are read again, other lines are refused."""

import json
from typing import Any

import pytest
from hypothesis import given

from gearman.cli.gearman_queue.job_lines import decode, encode
from gearman.queue import StoredJob
from tests.queues.test_contract import JOBS

JOB = StoredJob(7, b"H:host:7", b"f", b"u", b"w", 1, 0, 2, b"sum")


@given(JOBS)
def test_every_job_comes_back_as_it_was(job: StoredJob) -> None:
    assert decode(encode(job).encode()) == job


def test_every_byte_comes_back() -> None:
    job = JOB._replace(workload=bytes(range(256)) * 3)
    assert decode(encode(job).encode()) == job


def test_line_is_what_the_manual_says() -> None:
    assert json.loads(encode(JOB._replace(workload=b"\xff\0"))) == {
        "number": 7,
        "handle": "H:host:7",
        "function": "f",
        "unique": "u",
        "workload": {"base64": "/wA="},
        "priority": "normal",
        "when": 0,
        "retries": 2,
        "reducer": "sum",
    }


def test_only_a_line_of_a_job_with_extra_has_it() -> None:
    assert "extra" not in json.loads(encode(JOB))
    assert json.loads(encode(JOB._replace(extra=b"x")))["extra"] == "x"
    line = json.loads(encode(JOB._replace(extra=b"\0\xff")))
    assert line["extra"] == {"base64": "AP8="}


def test_line_is_one_line_of_ascii() -> None:
    line = encode(JOB._replace(workload="ä\u2028\n\x1b".encode()))
    assert line.isascii()
    assert line.isprintable()


def test_what_is_not_given_is_as_for_a_plain_job() -> None:
    line = b'{"number":1,"handle":"","function":"f","unique":"","workload":"w"}'
    assert decode(line) == StoredJob(1, b"", b"f", b"", b"w")


def changed(**fields: object) -> bytes:
    record: dict[str, Any] = json.loads(encode(JOB))
    return json.dumps(record | fields).encode()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "it is not JSON ("),
        (b"[" * 100_000, "it is not JSON ("),
        (b'"\xff"', "it is not JSON ("),
        (b"[]", "it is not a JSON object"),
        (b"{}", "it has no number"),
        (changed(handel="x"), "a job has no 'handel'"),
        (changed(number="7"), 'its number is "7"'),
        (changed(number=True), "its number is true"),
        (changed(number=1.0), "its number is 1.0"),
        (changed(number=0), "its number is 0"),
        (changed(number=2**63), "its number is 9223372036854775808"),
        (changed(number=8), "its handle does not end with its number: H:host:7"),
        (changed(handle="a b:7"), "its handle is no handle: a b:7"),
        (changed(handle="a\n:7"), "its handle is no handle: a\\x0a:7"),
        (changed(handle="a" * 63 + ":7"), "its handle is no handle: aaa"),
        (changed(function=None), "its function is null"),
        (changed(function="f\0"), "its function is too long or has a NUL"),
        (changed(unique="\udc80"), 'its unique is "\\udc80"'),
        (changed(workload={"base64": "?"}), 'its workload is {"base64": "?"}'),
        (changed(workload={"base64": 1}), 'its workload is {"base64": 1}'),
        (changed(workload={"hex": "00"}), 'its workload is {"hex": "00"}'),
        (changed(priority=1), "its priority is 1"),
        (changed(priority=[]), "its priority is []"),
        (changed(when=-1), "its time is -1"),
        (changed(when=None), "its when is null"),
        (changed(retries=-1), "its retries are -1"),
        (changed(retries=2**31), "its retries are 2147483648"),
        (changed(reducer="\0"), "its reducer has a NUL"),
        (changed(reducer=1), "its reducer is 1"),
        (changed(extra=1), "its extra is 1"),
        (changed(extra=None), "its extra is null"),
    ],
)
def test_line_that_is_no_job_is_refused_with_a_reason(line: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match="^") as error:
        decode(line)
    assert str(error.value).startswith(reason)
