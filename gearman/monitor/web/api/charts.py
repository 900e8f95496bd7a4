"""Endpoints about the past."""

from typing import Final

from ....text import text_or_base64
from ...history.points import GAUGES
from ...history.spans import SPANS, Values
from ..visit import Visit
from .records import Record

# Functions of which there are sparklines in one answer.
MOST_LINES: Final = 200


async def history(visit: Visit) -> Record:
    """Return the history of a function, or of all, on one server or on all."""
    query, service = visit.query, visit.service
    fields = list(dict.fromkeys(filter(None, query["fields"].split(","))))
    addresses = service.addresses(query["server"])
    await service.look()
    chart = await service.archive.chart(
        addresses, query["function"], SPANS[query["span"]], fields
    )
    return {
        "start": chart.start,
        "step": chart.step,
        "fields": {
            field: _rounded(_known(visit, field, values))
            for field, values in chart.fields.items()
        },
    }


async def sparklines(visit: Visit) -> Record:
    """Return one field of the functions with the worst trouble."""
    query, service = visit.query, visit.service
    addresses = service.addresses(query["server"])
    views = service.fleet.functions(query["server"])[: query["limit"]]
    names = [view.name for view in views]
    field, span = query["field"], SPANS[query["span"]]
    charts = await service.archive.charts(addresses, names, span, [field])
    return {
        "lines": [
            {
                "name": text_or_base64(name),
                "start": chart.start,
                "step": chart.step,
                "values": _rounded(_known(visit, field, chart.fields[field])),
            }
            for name, chart in zip(names, charts, strict=True)
        ]
    }


def _known(visit: Visit, field: str, values: Values) -> Values:
    """Return values, or None for each if they are counts and no server counts."""
    service = visit.service
    views = map(service.fleet.server, service.addresses(visit.query["server"]))
    if field in GAUGES or any(view is not None and view.counts for view in views):
        return values
    return [None] * len(values)


def _rounded(values: Values) -> Values:
    return [None if value is None else round(value, 4) for value in values]
