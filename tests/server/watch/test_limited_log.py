"""Which lines about bad peers are logged."""

from gearman.server.watch.limited_log import BURST, INTERVAL, LimitedLog


def test_a_few_lines_of_a_kind_are_logged_as_they_are():
    log = LimitedLog()
    for number in range(BURST):
        assert log.line("a", f"line {number}", 5.0) == f"line {number}"
    assert log.line("a", "one more", 5.0 + INTERVAL / 2) == ""


def test_those_that_were_left_out_are_counted_later():
    log = LimitedLog()
    for _ in range(BURST + 3):
        log.line("a", "line", 5.0)
    later = log.line("a", "late", 5.0 + INTERVAL)
    assert later == "late (3 lines like this one were left out before)"
    assert log.line("a", "later", 5.0 + INTERVAL) == "later"


def test_kinds_do_not_hide_each_other():
    log = LimitedLog()
    for _ in range(2 * BURST):
        log.line("a", "line", 5.0)
    assert log.line("b", "line", 5.0) == "line"
