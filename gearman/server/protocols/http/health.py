"""Whether the server is alive, and whether it takes jobs."""

from ..interface import Server
from . import answers
from .answers import Answer


def alive() -> Answer:
    return answers.sentence(200, "alive")


def ready(server: Server) -> Answer:
    """Say whether jobs are accepted, or why not."""
    if server.draining:
        return answers.shutting_down()
    if outage := server.broker.outage:
        return answers.refused(b"QUEUE_ERROR", outage)
    return answers.sentence(200, "ready")
