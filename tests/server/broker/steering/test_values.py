"""What counts for a job: its own option, else that of its function."""

import pytest

from gearman.server.broker.steering.values import shorter


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [(0, 0, 0), (0, 5, 5), (5, 0, 5), (3, 5, 3), (5, 3, 3)],
)
def test_shorter_of_two_timeouts_counts_and_0_is_none(first, second, wanted):
    assert shorter(float(first), float(second)) == wanted
