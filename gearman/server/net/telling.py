"""What the log is told after a turn: what the broker has noted, and limits."""

from ..broker import FULL, Broker
from ..connections.report import Report
from ..watch.notices import Sentence


def tell(broker: Broker, report: Report) -> None:
    """Log the broker's notices, and the limits that were reached, and forget them."""
    notices, reached = broker.losses.notices, broker.hits.reached
    for notice in notices:
        sentence = Sentence(notice)
        report.complain(notice[0], sentence, facts=sentence.facts)
    for limit in reached:
        report.complain(limit, f"refused: {FULL[limit].decode()}")
    for line in broker.schedules.notices:
        report.complain("schedule", line)
    notices.clear()
    reached.clear()
    broker.schedules.notices.clear()
