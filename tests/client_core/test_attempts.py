"""The seconds that a worker sends with a job to be tried again."""

import math

import pytest

from gearman.client_core.attempts import retry_seconds


@pytest.mark.parametrize(
    ("delay", "counts", "text"),
    [
        (0, True, "0"),
        (0.0, False, "0+"),
        (5, True, "5"),
        (100, False, "100+"),
        (0.25, True, "0.25"),
        (1e-12, True, "0"),
        (3e9, True, "3000000000"),
    ],
)
def test_seconds_are_written_as_a_number(delay: float, counts: bool, text: str) -> None:
    assert retry_seconds(delay, counts) == text


@pytest.mark.parametrize("delay", [-1, math.inf, math.nan, 4e9])
def test_what_is_no_delay_is_refused(delay: float) -> None:
    with pytest.raises(ValueError, match="up to 100 years"):
        retry_seconds(delay, True)
