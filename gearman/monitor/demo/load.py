"""The load of the demonstration: jobs by day and by night, in bursts and alone."""

import math
import random
import time
from dataclasses import dataclass
from typing import Final

from ...client import GearmanClient
from ...errors import GearmanError

_RANDOM: Final = random.Random()
# Seconds between two rounds; a wave has so many seconds.
ROUND: Final = 0.25
WAVE: Final = 180.0


@dataclass(frozen=True, slots=True)
class Source:
    """How many jobs of a function come a second; `swing` is how much that varies."""

    function: str
    rate: float
    swing: float = 0.3


SOURCES: Final = (
    Source("mail.send", 25),
    Source("image.resize", 3.5, 0.8),
    Source("search.index", 40),
    Source("report.year", 0.2),
    Source("cache.warm", 60, 0.9),
    Source("video.encode", 2.0, 0.9),
    # No worker has it.
    Source("archive.old", 0.5),
)


def run(server: str) -> None:
    """Submit jobs for as long as the process lives."""
    began = time.monotonic()
    while True:
        try:
            with GearmanClient([server]) as client:
                while True:
                    _round(client, time.monotonic() - began)
                    time.sleep(ROUND)
        except (GearmanError, OSError):
            time.sleep(1)


def _round(client: GearmanClient, elapsed: float) -> None:
    for number, source in enumerate(SOURCES):
        wave = math.sin(2 * math.pi * (elapsed / WAVE + number / len(SOURCES)))
        rate = source.rate * (1 + source.swing * wave) * ROUND
        count = int(rate) + (_RANDOM.random() < rate % 1)
        for _ in range(count):
            data = f'{{"user": {_RANDOM.randrange(10_000)}}}'
            client.submit_job(source.function, data, background=True)
