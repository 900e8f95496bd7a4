"""Small lines beside functions: which numbers they have, and when they are read."""

import asyncio
from collections.abc import Sequence
from typing import cast

from gearman.monitor.history.archive import Archive
from gearman.monitor.history.spans import Chart, Span
from gearman.monitor.model.fleet import Fleet
from gearman.monitor.model.readings import from_status
from gearman.monitor.web.sparks import FRESH, Spark, Sparks
from tests.monitor.readings import function, reading


class _Archive:
    """Has the same numbers for all, and keeps what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[bytes], str]] = []

    async def charts(
        self,
        addresses: Sequence[str],
        names: Sequence[bytes],
        span: Span,
        fields: Sequence[str],
    ) -> list[Chart]:
        self.asked.append(([*names], fields[0]))
        return [Chart(0, 1, {fields[0]: [1.0, 2.0]}) for _ in names]


def lines(sparks: Sparks, archive: _Archive, fleet: Fleet) -> dict[bytes, Spark]:
    return asyncio.run(
        sparks.of(cast(Archive, archive), fleet.addresses, fleet.functions())
    )


def test_lines_show_counts_or_gauges_and_are_kept_for_a_while() -> None:
    now = [0.0]
    archive, sparks = _Archive(), Sparks(lambda: now[0])
    fleet = Fleet(["counts", "old"], 0.0)
    fleet.take("counts", reading(function("a")))
    fleet.take("old", from_status([b"b\t1\t0\t0"], "1.1", 1000.0))
    found = lines(sparks, archive, fleet)
    assert found[b"a"].field == "submitted"
    assert found[b"a"].sentence == "now 2/s, highest 2/s"
    assert found[b"b"].field == "queued"
    assert archive.asked == [([b"a"], "submitted"), ([b"b"], "queued")]
    now[0] += FRESH / 2
    assert lines(sparks, archive, fleet) == found
    assert len(archive.asked) == 2
    now[0] += FRESH
    lines(sparks, archive, fleet)
    assert len(archive.asked) == 4
