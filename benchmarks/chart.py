"""A chart of the speed table as SVG: bars, each with its number."""

from collections.abc import Iterator, Sequence
from html import escape

from .table import Row

_COLORS = {
    "ours-speedups": "#1b6ca8",
    "ours-pure": "#7db4dc",
    "gearmand": "#d9822b",
    "perl": "#9a77b0",
    "floor": "#a0a0a0",
}
# Panels side by side: heading, figure, decimals.
_PANELS = (
    ("jobs per second (longer is better)", "rate", 0),
    ("server CPU per job, µs (shorter is better)", "cpu", 2),
)

# Sizes in pixels.
_BAR, _GAP, _TOP, _LABELS, _PANEL, _NUMBERS = 14, 16, 64, 120, 300, 90
_LEGEND = 120


def chart(title: str, loads: Sequence[Sequence[Row]]) -> str:
    """Return the SVG: a group of bars for each load, a bar for each server.

    Within a load, the longest bar fills the panel. A server that failed has no bar.
    """
    groups = list(dict.fromkeys(row.group for rows in loads for row in rows))
    height = _TOP + sum(len(rows) * _BAR + _GAP for rows in loads)
    width = _LABELS + len(_PANELS) * (_PANEL + _NUMBERS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(8, 20, title, size=14),
        *_legend(groups),
        *_headings(),
        *_bars(loads),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend(groups: Sequence[str]) -> Iterator[str]:
    for place, group in enumerate(groups):
        left = _LABELS + place * _LEGEND
        yield _rectangle(left, 29, 10, 10, group)
        yield _text(left + 14, 38, group)


def _headings() -> Iterator[str]:
    for place, (heading, _, _) in enumerate(_PANELS):
        yield _text(_panel(place), 56, heading)


def _bars(loads: Sequence[Sequence[Row]]) -> Iterator[str]:
    top = _TOP
    for rows in loads:
        yield _text(8, top + _BAR - 3, rows[0].load if rows else "")
        for place, (_, figure, decimals) in enumerate(_PANELS):
            yield from _panel_bars(rows, _panel(place), top, figure, decimals)
        top += len(rows) * _BAR + _GAP


def _panel_bars(
    rows: Sequence[Row], left: int, top: int, figure: str, decimals: int
) -> Iterator[str]:
    longest = max((row.figures.get(figure, 0.0) for row in rows), default=0.0)
    for place, row in enumerate(rows):
        value = row.figures.get(figure)
        width = _PANEL * value / longest if value and longest else 0.0
        number = "failed" if value is None else f"{value:,.{decimals}f}"
        y = top + place * _BAR
        yield _rectangle(left, y, width, _BAR - 2, row.group)
        yield _text(left + width + 4, y + _BAR - 4, number)


def _panel(place: int) -> int:
    return _LABELS + place * (_PANEL + _NUMBERS)


def _rectangle(x: float, y: float, width: float, height: float, group: str) -> str:
    fill = _COLORS.get(group, "#000000")
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{fill}"/>'


def _text(x: float, y: float, text: str, size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}">{escape(text)}</text>'
