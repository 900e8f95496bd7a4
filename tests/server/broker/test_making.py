"""What can be read in the handle of a job."""

import pytest

from gearman.server.broker.making import number_of, shard_of


@pytest.mark.parametrize(
    ("handle", "number"),
    [
        (b"H:host:7", 7),
        (b"7", 7),
        (b"H:host:%d" % (2**63 - 1), 2**63 - 1),
        (b"H:host:%d" % 2**63, -1),
        (b"H:host:" + b"0" * 30 + b"7", -1),
        (b"H:host:-7", -1),
        (b"H:host:7 ", -1),
        (b"H:host:", -1),
        (b"", -1),
    ],
)
def test_number_of_a_handle(handle: bytes, number: int) -> None:
    assert number_of(handle) == number


def test_shard_of_a_handle() -> None:
    assert shard_of(b"H:host:63") == 63
    assert shard_of(b"H:host:64") == 0
