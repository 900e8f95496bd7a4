"""The packets by which jobs are passed on."""

from dataclasses import replace
from hashlib import sha256
from typing import Final

from ...commands import MAX_UNIQUE, REQUEST, Command
from ...framing import encode
from ...options import JobOptions, format_options
from ..broker import HIGH, LOW, NORMAL, Job
from .model import Relay

_COMMANDS: Final = {
    HIGH: Command.SUBMIT_JOB_HIGH_BG,
    NORMAL: Command.SUBMIT_JOB_BG,
    LOW: Command.SUBMIT_JOB_LOW_BG,
}
# A job must get some time to live there.
_SHORTEST: Final = 0.001

_NONE: Final = JobOptions()

# The first packet: it asks for the packets from 256 on.
GREETING: Final = encode(Command.OPTION_REQ, (b"extensions",), REQUEST)
# It shows whether the other server is still there.
ECHO: Final = encode(Command.ECHO_REQ, (b"relay",), REQUEST)


def unique_of(job: Job, relay: Relay) -> bytes:
    """Return the unique that a job has at the other server.

    It is made of the job's handle here, so that a job which is passed on twice can
    become one.
    """
    if relay.keep_uniques and job.unique:
        return bytes(job.unique)
    unique = relay.name.encode() + b":" + job.handle
    return unique if len(unique) <= MAX_UNIQUE else sha256(unique).hexdigest().encode()


def submission(
    job: Job, relay: Relay, me: bytes, ttl: float | None, extensions: bool
) -> bytes:
    """Return the packet that submits a job.

    `me` is the name of this server. `ttl` is for how many seconds the job may wait, if
    that is limited. Only with `extensions` it has options.
    """
    name, unique = job.function.name, unique_of(job, relay)
    if not extensions:
        command = _COMMANDS[job.priority]
        return encode(command, (name, unique, job.workload), REQUEST)
    text = format_options(_options(job, me, ttl))
    arguments = (name, unique, text, job.workload)
    return encode(Command.SUBMIT_JOB_WITH, arguments, REQUEST)


def via(job: Job) -> tuple[bytes, ...]:
    """Return the names of the servers that have passed a job on."""
    extra = job.extra
    return () if extra is None or extra.options is None else extra.options.via or ()


def _options(job: Job, me: bytes, ttl: float | None) -> JobOptions:
    """Return a job's own options for the other server.

    Times, and jobs to wait for, have been waited for here.
    """
    own = job.extra.options if job.extra is not None else None
    return replace(
        own or _NONE,
        at=None,
        delay=None,
        after=None,
        need_worker=None,
        ttl=None if ttl is None else max(ttl, _SHORTEST),
        background=True,
        priority=None if job.priority == NORMAL else job.priority,
        via=(*via(job), me),
    )
