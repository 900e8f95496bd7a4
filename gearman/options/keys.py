"""The table of the keys of job options and policies."""

from dataclasses import fields
from typing import Final, NamedTuple

from .kinds import (
    AFTER,
    BACKOFF,
    DEAD,
    FLAG,
    MOMENT,
    POSITIVE,
    PRIORITY,
    RATE,
    TIME,
    TRACEPARENT,
    VIA,
    Kind,
    whole,
)
from .model import JobOptions, Policy


class Key(NamedTuple):
    """A row of the table: the name in a text, and the kind of its values."""

    name: str
    kind: Kind

    @property
    def field(self) -> str:
        """The field of JobOptions or Policy, or of both."""
        return self.name.replace("-", "_")


KEYS: Final = (
    Key("at", MOMENT),
    Key("delay", TIME),
    Key("ttl", POSITIVE),
    Key("timeout", POSITIVE),
    Key("retries", whole(0)),
    Key("backoff", BACKOFF),
    Key("keep", TIME),
    Key("dead", DEAD),
    Key("after", AFTER),
    Key("need-worker", FLAG),
    Key("trace", TRACEPARENT),
    Key("background", FLAG),
    Key("priority", PRIORITY),
    Key("via", VIA),
    Key("max-running", whole(1)),
    Key("rate", RATE),
    Key("max-queue", whole(0)),
    Key("paused", FLAG),
    Key("weight", whole(1, 1000)),
)
JOB: Final = "option of a job"
POLICY: Final = "key of a policy"


def _keys_of(made: type[JobOptions] | type[Policy]) -> dict[str, Key]:
    names = {field.name for field in fields(made)}
    return {key.name: key for key in KEYS if key.field in names}


KEYS_OF: Final = {JOB: _keys_of(JobOptions), POLICY: _keys_of(Policy)}
