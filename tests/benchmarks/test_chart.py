"""The chart: an SVG with a bar for each figure."""

from xml.etree import ElementTree

from benchmarks.chart import chart
from benchmarks.table import Row

NAMESPACE = {"svg": "http://www.w3.org/2000/svg"}


def row(server: str, **figures: float) -> Row:
    return Row("echo", server, server, figures)


def bars(svg: str) -> list[float]:
    """Return the widths of the bars, which follow the background and the legend."""
    root = ElementTree.fromstring(svg)
    found = root.findall("svg:rect[@height='12.0']", NAMESPACE)
    return [float(bar.attrib["width"]) for bar in found]


def test_longest_bar_of_a_load_fills_the_panel() -> None:
    svg = chart("", [[row("perl", rate=50.0), row("gearmand", rate=200.0)]])
    assert bars(svg)[:2] == [75.0, 300.0]


def test_each_bar_bears_its_number() -> None:
    svg = chart("", [[row("perl", rate=12_345.0, cpu=0.5)]])
    assert ">12,345<" in svg
    assert ">0.50<" in svg


def test_server_that_failed_has_an_empty_bar() -> None:
    svg = chart("", [[row("perl"), row("gearmand", rate=1.0, cpu=1.0)]])
    assert bars(svg) == [0.0, 300.0, 0.0, 300.0]
    assert svg.count(">failed<") == 2


def test_title_is_escaped() -> None:
    root = ElementTree.fromstring(chart("a < b & c", []))
    assert root.findtext("svg:title", namespaces=NAMESPACE) == "a < b & c"
