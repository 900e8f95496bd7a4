"""docs/scale.md: its figures are those of performance.md, its sums what they give."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "scale.md").read_text()
PERFORMANCE = (DOCS / "performance.md").read_text()
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def figures(load: str, server: str = "ours-speedups") -> list[list[str]]:
    """Return the rows of a load in performance.md, each as its cells."""
    rows = re.findall(rf"^\| {load} +\| {server} +\|.*$", PERFORMANCE, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def cell(start: str) -> str:
    """Return the figure of a row of the page whose first words are these."""
    (found,) = re.findall(rf"^\| {start}[^|]*\| ([^|]+) \|", PAGE, re.MULTILINE)
    return str(found)


def test_table_of_needs_is_what_the_program_prints() -> None:
    rows = re.findall(r"^\| [\d,]+ million \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == re.findall(r"^print\(.*\)  # (.*)$", PROGRAM, re.MULTILINE)
    assert len(rows) == 3


def test_measured_costs_are_those_of_the_runs() -> None:
    # The first row is that of a fast disk, the second with --sync 1000.
    _, slow = (row for row in figures("postgres") if len(row) == 12)
    submits, cpu, drains, drain_cpu, commit = (slow[n] for n in (2, 4, 6, 8, 11))
    assert cell("a durable job until") == f"{cpu} µs"
    assert cell("giving it to a worker") == f"{drain_cpu} µs"
    assert cell("durable jobs that a server and") == f"{submits}/s"
    assert cell("durable jobs that they handed") == f"{drains}/s"
    assert cell("one commit") == f"{commit} µs"
    assert cell("a foreground job, many") == f"{figures('foreground-8')[0][4]} µs"
    assert cell("a waiting job") == f"{figures('memory')[0][2]} bytes"
    assert cell("a worker that sleeps") == f"{figures('idle')[0][2]} bytes"


def test_program_counts_with_the_figures_of_the_tables() -> None:
    for start in (
        *("a durable job until", "giving it to a worker"),
        *("durable jobs that a server and", "durable jobs that they handed"),
        *("one commit", "a waiting job"),
    ):
        number = re.sub(r"[^\d.]", "", cell(start).split()[0])
        assert number in PROGRAM.replace("_", ""), start
    (hop,) = re.findall(r"^\| 8 clients .*\| ([\d.]+) µs \|$", PAGE, re.MULTILINE)
    assert f"{hop}e-6" in PROGRAM


def test_hop_is_the_difference_of_both_places() -> None:
    rows = re.findall(
        r"^\| .* \| ([\d.]+) µs \| ([\d.]+) µs \| ([\d.]+) µs \|$", PAGE, re.MULTILINE
    )
    assert len(rows) == 2
    for local, link, hop in rows:
        assert round(float(link) - float(local), 1) == float(hop)
