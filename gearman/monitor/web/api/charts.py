"""Endpoints about the past."""

from typing import Final

from ....text import text_or_base64
from ...history.spans import SPANS
from ..visit import Visit
from .records import Record

# Functions of which there are sparklines in one answer.
MOST_LINES: Final = 200


async def history(visit: Visit) -> Record:
    """Return the history of a function, or of all, on one server or on all."""
    query, service = visit.query, visit.service
    fields = list(dict.fromkeys(filter(None, query["fields"].split(","))))
    addresses = [each.address for each in service.chosen(query["server"])]
    await service.look()
    chart = await service.archive.chart(
        addresses, query["function"], SPANS[query["span"]], fields
    )
    return {
        "start": chart.start,
        "step": chart.step,
        "fields": {field: _rounded(v) for field, v in chart.fields.items()},
    }


async def sparklines(visit: Visit) -> Record:
    """Return one field of the functions with the worst trouble."""
    query, service = visit.query, visit.service
    addresses = [each.address for each in service.chosen(query["server"])]
    views = service.fleet.functions(query["server"])[: query["limit"]]
    names = [view.name for view in views]
    span = SPANS[query["span"]]
    charts = await service.archive.charts(addresses, names, span, [query["field"]])
    return {
        "lines": [
            {
                "name": text_or_base64(name),
                "start": chart.start,
                "step": chart.step,
                "values": _rounded(chart.fields[query["field"]]),
            }
            for name, chart in zip(names, charts, strict=True)
        ]
    }


def _rounded(values: list[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 4) for value in values]
