"""Which lines about bad peers are logged."""

from gearman.server.watch.limited_log import BURST, INTERVAL, Complaints


def test_a_few_lines_of_a_kind_are_logged_as_they_are():
    complaints = Complaints()
    for number in range(BURST):
        assert complaints.line("a", f"line {number}", 5.0) == f"line {number}"
    assert complaints.line("a", "one more", 5.0 + INTERVAL / 2) == ""


def test_those_that_were_left_out_are_counted_later():
    complaints = Complaints()
    for _ in range(BURST + 3):
        complaints.line("a", "line", 5.0)
    later = complaints.line("a", "late", 5.0 + INTERVAL)
    assert later == "late (3 lines like this one were left out before)"
    assert complaints.line("a", "later", 5.0 + INTERVAL) == "later"


def test_kinds_do_not_hide_each_other():
    complaints = Complaints()
    for _ in range(2 * BURST):
        complaints.line("a", "line", 5.0)
    assert complaints.line("b", "line", 5.0) == "line"
