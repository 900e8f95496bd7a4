"""The course of a link, and which servers are dialed when: without sockets."""

from dataclasses import dataclass
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.commands import RESPONSES, Command
from gearman.server.cluster.links import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MISSED,
    MOVES,
    PING,
    Contacts,
    Course,
    Event,
    Identity,
    LinkError,
    State,
    Trust,
)

FIRST = Identity("fleet", 3, 11, "first:1")
SECOND = Identity("fleet", 8, 12, "second:1")
SECRET = Trust(b"a secret", certified=False, near=False)
LOCAL = Trust(None, certified=False, near=True)
NONCE, OTHER_NONCE = b"0" * 32, b"f" * 32
PONG = Command.LINK_PONG + RESPONSES


class Pair:
    """The two ends of a connection, and the packets between them."""

    def __init__(self, dialer: Identity = FIRST, acceptor: Identity = SECOND) -> None:
        self.dialer = Course(dialer, NONCE, acceptor.id)
        self.acceptor = Course(acceptor, OTHER_NONCE)
        self.sent: list[tuple[int, tuple[bytes, ...]]] = []

    def connect(self, first: Trust = SECRET, second: Trust = SECRET) -> None:
        """Connect both, and pass packets on until nobody sends one."""
        assert self.acceptor.connected(second, 0.0) == []
        packets = self.dialer.connected(first, 0.0)
        ends = [self.acceptor, self.dialer]
        while packets:
            self.sent += packets
            (packet,) = packets
            answer = ends[0].receive(*packet, 1.0)
            assert answer is not None
            packets = answer
            ends.reverse()

    def until_refused(self, *trust: Trust) -> str:
        """Connect, and return why the link cannot be."""
        with pytest.raises(LinkError) as caught:
            self.connect(*trust)
        assert self.acceptor.state != State.UP
        return str(caught.value)


class TestProofs:
    @pytest.mark.parametrize(
        ("trust", "mechanism"),
        [
            (SECRET, b"link-hmac"),
            (Trust(b"a secret", certified=True, near=True), b"link-hmac"),
            (Trust(None, certified=True, near=True), b"link-tls"),
            (LOCAL, b"link-local"),
        ],
    )
    def test_both_servers_know_each_other_when_the_link_is_up(self, trust, mechanism):
        pair = Pair()
        pair.connect(trust, trust)
        assert (pair.dialer.state, pair.acceptor.state) == (State.UP, State.UP)
        assert (pair.dialer.other, pair.acceptor.other) == (SECOND, FIRST)
        numbers = [number for number, _ in pair.sent]
        hello, proof = Command.LINK_HELLO, Command.AUTH_REQ
        assert numbers == [hello, hello, proof, Command.AUTH_RES + RESPONSES]
        assert pair.sent[2][1][0] == mechanism

    def test_without_a_proof_nothing_is_sent(self):
        text = "there is neither a secret nor a certificate"
        nothing = Trust(None, certified=False, near=False)
        assert text in Pair().until_refused(nothing, LOCAL)
        assert text in Pair().until_refused(LOCAL, nothing)

    def test_another_secret_is_refused(self):
        other = Trust(b"another", certified=False, near=False)
        text = "its --cluster-secret-file has another secret"
        assert Pair().until_refused(SECRET, other) == text

    def test_a_secret_is_needed_where_there_is_one(self):
        text = "its proof is link-local, and link-hmac is needed"
        assert Pair().until_refused(LOCAL, SECRET) == text

    def test_the_dialer_does_not_believe_what_the_acceptor_says_without_proof(self):
        pair = Pair()
        pair.dialer.connected(SECRET, 0.0)
        hello = pair.acceptor._hello
        (packet,) = pair.dialer.receive(Command.LINK_HELLO, hello, 0.0) or []
        for proof in (b"", packet[1][1]):
            with pytest.raises(LinkError, match="another secret"):
                pair.dialer.receive(Command.AUTH_RES + RESPONSES, (b"ok", proof), 0.0)
        assert pair.dialer.state == State.PROVING

    def test_no_proof_is_the_same_again(self):
        proofs = set()
        for nonce, other in ((NONCE, OTHER_NONCE), (NONCE, NONCE)):
            pair = Pair()
            pair.dialer = Course(FIRST, nonce, SECOND.id)
            pair.acceptor = Course(SECOND, other)
            pair.connect()
            proofs |= {arguments[1] for _, arguments in pair.sent[2:]}
        assert len(proofs) == 4

    def test_other_clusters_and_versions_are_refused(self, monkeypatch):
        other = SECOND._replace(cluster="navy")
        assert "belongs to the cluster" in Pair(acceptor=other).until_refused()
        pair = Pair()
        monkeypatch.setattr("gearman.server.cluster.links.VERSION", b"other")
        pair.acceptor = Course(SECOND, OTHER_NONCE)
        assert "speaks version" in pair.until_refused()

    def test_another_server_at_the_address_is_refused(self):
        pair = Pair()
        pair.acceptor = Course(SECOND._replace(id=9), OTHER_NONCE)
        assert pair.until_refused() == "another server answers at its address"

    def test_a_server_that_has_left_is_refused_and_told_so(self):
        pair = Pair()
        pair.acceptor = Course(
            *(SECOND, OTHER_NONCE, 0),
            lambda server, epoch: (server, epoch) == (FIRST.id, FIRST.epoch),
        )
        text = "it has left the cluster, or others have removed it"
        assert pair.until_refused() == text

    @pytest.mark.parametrize("other", [8, 9])
    def test_only_the_server_with_the_lower_id_opens_a_link(self, other):
        text = "the server with the lower id opens the link"
        assert Pair(dialer=FIRST._replace(id=other)).until_refused() == text

    @pytest.mark.parametrize(
        ("at", "value"),
        [(1, b""), (1, b"-1"), (1, b"1" * 20), (2, b"x"), (4, b"f" * 31), (4, b"")],
    )
    def test_a_wrong_hello_is_refused(self, at, value):
        course = Course(SECOND, OTHER_NONCE)
        course.connected(SECRET, 0.0)
        hello = list(Course(FIRST, NONCE, 8)._hello)
        hello[at] = value
        with pytest.raises(LinkError, match="its LINK_HELLO is wrong"):
            course.receive(Command.LINK_HELLO, tuple(hello), 0.0)

    def test_a_refusal_of_the_other_server_is_told(self):
        pair = Pair()
        pair.dialer.connected(SECRET, 0.0)
        error = Command.ERROR + RESPONSES
        with pytest.raises(LinkError, match="it refuses: who are you") as caught:
            pair.dialer.receive(error, (b"LINK_REFUSED", b"who are you"), 0.0)
        assert not caught.value.told

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([262, 263, 266, 269, 270, 7, 19]),
                st.booleans(),
                st.lists(st.binary(max_size=40), min_size=6, max_size=6),
            ),
            max_size=4,
        )
    )
    def test_nobody_without_the_secret_gets_through(self, packets):
        course = Course(SECOND, OTHER_NONCE)
        course.connected(SECRET, 0.0)
        counts = {262: 2, 263: 2, 266: 6, 269: 1, 270: 1, 7: 3, 19: 2}
        with_hello = [(266, False, list(Course(FIRST, NONCE, 8)._hello)), *packets]
        for number, response, arguments in with_hello:
            try:
                course.receive(
                    number + RESPONSES * response,
                    tuple(arguments[: counts[number]]),
                    0.0,
                )
            except LinkError:
                course.end()
                break
        assert course.state != State.UP


class TestPings:
    @pytest.fixture
    def pair(self):
        found = Pair()
        found.connect()
        return found

    def test_a_ping_is_answered_and_timed(self, pair):
        (ping,) = pair.dialer.tick(1.0)
        assert ping == (Command.LINK_PING, (b"1",))
        (pong,) = pair.acceptor.receive(*ping, 1.2)
        assert pong == (PONG, (b"1",))
        assert pair.dialer.lag == inf
        assert pair.dialer.receive(*pong, 1.5) == []
        assert pair.dialer.lag == 0.5

    def test_pings_are_sent_every_second(self, pair):
        assert pair.dialer.due == 1.0
        assert len(pair.dialer.tick(1.0)) == 1
        assert pair.dialer.due == 1.0 + PING
        assert pair.dialer.tick(1.9) == []
        assert len(pair.dialer.tick(2.0)) == 1

    def test_a_link_without_answers_ends(self, pair):
        for second in range(MISSED):
            pair.dialer.tick(1.0 + second)
        with pytest.raises(LinkError, match="nothing has come from it") as caught:
            pair.dialer.tick(1.0 + MISSED)
        assert not caught.value.told

    def test_anything_that_comes_says_that_the_other_server_is_alive(self, pair):
        for second in range(5 * MISSED):
            assert len(pair.dialer.tick(1.0 + second, alive=True)) == 1

    def test_a_late_answer_says_that_the_other_server_is_alive(self, pair):
        for second in range(5 * MISSED):
            (ping,) = pair.dialer.tick(1.0 + second)
            if second:
                late = b"%d" % second
                assert pair.dialer.receive(PONG, (late,), 1.1 + second) == []
            del ping
        assert pair.dialer.lag == inf

    def test_answers_say_what_has_arrived(self, pair):
        for second in (1.0, 2.0, 3.0):
            pair.dialer.tick(second)
        assert (pair.dialer.pinged, pair.dialer.answered) == (3, 0)
        for answer, answered in ((b"2", 2), (b"1", 2), (b"x", 2), (b"9", 3)):
            assert pair.dialer.receive(PONG, (answer,), 3.5) == []
            assert pair.dialer.answered == answered
        assert pair.dialer.lag == inf

    def test_other_packets_are_for_others(self, pair):
        assert pair.dialer.receive(Command.WORK_DATA, (b"H:1", b""), 1.0) is None

    def test_a_proof_must_come_in_time(self):
        course = Course(SECOND, OTHER_NONCE)
        course.connected(SECRET, 10.0)
        assert course.tick(12.9) == []
        with pytest.raises(LinkError, match="no proof came within 3 seconds"):
            course.tick(13.0)


class TestMoves:
    def test_a_link_goes_through_all_states(self):
        pair = Pair()
        course = pair.dialer
        assert course.state.name == "DIALING"
        pair.connect()
        assert course.state.name == "UP"
        course.end()
        course.end()
        assert course.state.name == "CLOSING"
        assert course.due == inf
        course.closed()
        assert course.state.name == "ABSENT"

    def test_a_connection_may_fail_in_every_state(self):
        states = set(State) - {State.ABSENT}
        assert set(MOVES[Event.CLOSED]) == states


@dataclass
class Member:
    id: int
    address: str


def members(**addresses: str) -> dict[int, Member]:
    return {int(name[1:]): Member(int(name[1:]), it) for name, it in addresses.items()}


class TestContacts:
    def test_servers_with_higher_ids_are_dialed_once(self):
        contacts = Contacts(5)
        contacts.update(members(n4="a:1", n5="b:1", n6="c:1", n9="d:1"))
        assert contacts.due(0.0) == [(6, "c:1"), (9, "d:1")]
        assert contacts.due(0.0) == []
        assert contacts.delay(0.0) == inf

    def test_pauses_grow_until_there_is_a_link(self):
        contacts = Contacts(1)
        contacts.update(members(n2="a:1"))
        now, pauses = 0.0, []
        for _ in range(8):
            assert contacts.due(now) == [(2, "a:1")]
            contacts.failed(2, now, "nobody there")
            pauses.append(contacts.delay(now))
            assert contacts.due(now) == []
            now += pauses[-1]
        assert pauses[0] == FIRST_PAUSE
        assert pauses == sorted(pauses)
        assert pauses[-1] == LONGEST_PAUSE
        contacts.proved(2)
        contacts.failed(2, now, "cut")
        assert contacts.delay(now) == FIRST_PAUSE

    def test_a_reason_is_told_once(self):
        contacts = Contacts(1)
        contacts.update(members(n2="a:1"))
        told = [contacts.failed(2, 0.0, reason) for reason in ("x", "x", "y", "x")]
        assert told == ["a:1", "", "a:1", "a:1"]
        contacts.proved(2)
        assert contacts.failed(2, 0.0, "x") == "a:1"

    def test_a_server_that_has_gone_is_not_dialed(self):
        contacts = Contacts(1)
        contacts.update(members(n2="a:1", n3="b:1"))
        contacts.update(members(n3="c:1"))
        assert contacts.due(0.0) == [(3, "c:1")]
        assert contacts.failed(2, 0.0, "gone") == ""
        contacts.proved(2)
