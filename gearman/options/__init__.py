"""Options of a job, and the policy of a function, which is their default and more.

Both are sets of keys with values. The table KEYS says how a value is read and written,
and what is allowed. There are two forms: a text, `key=value&key=value` with bytes
percent-encoded, and a mapping of Python's values, such as a table of a TOML file or
keyword arguments. What is not set is None.
"""

from .forms import (
    MAX_OPTIONS,
    format_options,
    job_options,
    parse_job_options,
    parse_policy,
    policy,
)
from .keys import KEYS, Key
from .kinds import MAX_AFTER, MAX_TIME, MAX_VIA
from .model import DEFAULT_BACKOFF, Backoff, Dead, JobOptions, Policy, Rate
from .named import CommonOptions
from .policies import Policies, merged
from .schedule import Schedule

__all__ = [
    "DEFAULT_BACKOFF",
    "KEYS",
    "MAX_AFTER",
    "MAX_OPTIONS",
    "MAX_TIME",
    "MAX_VIA",
    "Backoff",
    "CommonOptions",
    "Dead",
    "JobOptions",
    "Key",
    "Policies",
    "Policy",
    "Rate",
    "Schedule",
    "format_options",
    "job_options",
    "merged",
    "parse_job_options",
    "parse_policy",
    "policy",
]
