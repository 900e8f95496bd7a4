"""What can't be read in the packets of links changes nothing, and is an error."""

from collections.abc import Mapping

import pytest

from gearman.commands import RESPONSES, Command
from gearman.server.protocols.links.link import Verb
from gearman.server.protocols.links.verbs import verbs
from tests.server.broker.sizes import counted
from tests.server.joined import Joined, Member

C = Command
LONG = b"9" * 30


@pytest.fixture
def member() -> Member:
    """A server that is linked to another one, and knows a function of a worker."""
    joined = Joined(2)
    found = joined.member(1)
    found.worker()
    joined.run()
    return found


def verbs_of(member: Member) -> Mapping[int, Verb]:
    return verbs(member.links, member.links.remotes[2])


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (C.GRAB_JOBS, (b"f", b"x", b"0")),
        (C.GRAB_JOBS, (b"f", b"-1", b"0")),
        (C.GRAB_JOBS, (b"f", LONG, b"0")),
        (C.GRAB_JOBS, (b"f", b"0", b"x")),
        (C.LINK_CREATED + RESPONSES, (b"", b"H:1")),
        (C.LINK_CREATED + RESPONSES, (b"1", b"")),
        (C.LINK_GRANT + RESPONSES, (b"f", b"1 1", b"1")),
        (C.LINK_GRANT + RESPONSES, (b"f", b"1", b"")),
        (C.LINK_JOB + RESPONSES, (b"H:1", b"f", b"", b"", b"1 0", b"w")),
        (C.LINK_JOB + RESPONSES, (b"H:1", b"f", b"", b"", b"1", b"w")),
        (C.LINK_JOB + RESPONSES, (b"H:1", b"f", b"", b"", b"3 0", b"w")),
        (C.LINK_JOB + RESPONSES, (b"H:1", b"f", b"", b"", b"-1 0", b"w")),
        (C.LINK_READY, (b"f", b"1", b"1")),
        (C.LINK_READY, (b"f", b"many", b"0")),
        (C.LINK_REFUSED + RESPONSES, (b"x", b"CODE", b"text")),
        (C.LINK_RUNNING, (b"1 x",)),
        (C.LINK_SETTING, (b"policy", b"name=f")),
        (C.LINK_SETTING, (b"policy", b"f")),
        (C.LINK_SETTING, (b"other", b"name=f&text=")),
        (C.LINK_SETTING, (b"schedule", b"name=%FF&text=")),
        (C.LINK_SUBMIT, (b"1", b"f", b"", b"1 0", b"", b"", b"w")),
        (C.LINK_SUBMIT, (b"1", b"f", b"", b"7 0 0", b"", b"", b"w")),
        (C.LINK_SUBMIT, (b"1", b"f", b"", b"-1 0 0", b"", b"", b"w")),
        (C.LINK_TELL + RESPONSES, (b"x", b"1", b"")),
        (C.LINK_TOKENS, (b"f", b"1 1", b"0 1 1 1 1")),
        (C.LINK_TOKENS, (b"f", b"1 1 1", b"0 1 1 1 nan")),
        (C.LINK_TOKENS, (b"f", b"1 1 1", b"0 1 1 1 -1")),
        (C.WORK_RETRY, (b"H:1", b"inf", b"")),
        (C.WORK_RETRY, (b"H:1", b"soon", b"")),
    ],
)
def test_what_cannot_be_read_changes_nothing(member, command, arguments):
    if command == C.LINK_SETTING:
        member.links.own([2] * 64)
        member.broker.stored.own(frozenset())
    if command == C.LINK_TOKENS:
        member.links.own([1] * 64)
        member.broker.stored.own(frozenset(range(64)))
        member.broker.own(member.now + 10)
    before = counted(member.broker)
    with pytest.raises((ValueError, OverflowError)):
        verbs_of(member)[command](*arguments)
    assert counted(member.broker) == before
    assert member.broker.jobs.known == {}
