"""A soak of a quarter of a minute; `python -m tests.soak` runs longer ones."""

import asyncio

import pytest

from tests.servers import DEADLINE
from tests.soak.run import Soak

# It uses the C tools if they are installed, and runs on one Python only.
pytestmark = [pytest.mark.interop, pytest.mark.timeout(30 * DEADLINE)]

WAVES = 3
SECONDS = 4


@pytest.mark.parametrize(
    ("queue", "tls"), [("sqlite", False), ("", True)], ids=["sqlite", "tls"]
)
def test_nothing_is_left_of_a_crowd(tmp_path, queue, tls):
    soak = Soak(tmp_path, 1, queue, tls=tls, http=True)
    asyncio.run(soak.run(WAVES, SECONDS))
    assert soak.counts["answered"] > 100
    assert soak.counts["run"] > 100
