"""The binary protocol of the server: requests, permissions and bad input."""

import weakref

import pytest

from gearman import _framing
from gearman.commands import (
    COMMANDS,
    MAX_CLIENT_ID,
    REQUEST,
    RESPONSE,
    RESPONSES,
    Command,
    Sender,
)
from gearman.errors import PacketTooLarge
from gearman.server.protocols import lines
from gearman.server.protocols.describe import describe
from gearman.server.protocols.interface import HIGH_WATER
from gearman.server.protocols.lines import PIECE_LINES

NOT_EXPECTED = [(Command.ERROR, b"INVALID_COMMAND", b"Command not expected")]
NOT_IMPLEMENTED = {Command.ALL_YOURS}


@pytest.mark.parametrize("row", COMMANDS.values(), ids=lambda row: row.command.name)
def test_command_is_expected_from_those_who_may_send_it(server, row):
    peer = server.connect()
    answer = peer.send(row.command, *(b"1" for _ in row.arguments))
    mine = row.senders & (Sender.CLIENT | Sender.WORKER)
    implemented = mine and row.command not in NOT_IMPLEMENTED
    assert (answer == NOT_EXPECTED) == (not implemented)
    assert peer.protocol.error is None


def test_unused_number_is_not_expected(server):
    assert server.connect().send(5) == NOT_EXPECTED


@pytest.mark.parametrize("data", [b"", b"data\0with\0NUL", b"x" * 100_000])
def test_echo_comes_back(server, data):
    assert server.connect().send(Command.ECHO_REQ, data) == [(Command.ECHO_RES, data)]


@pytest.mark.parametrize("name", [b"exceptions", b"Exceptions", b"exceptions\0"])
def test_option_is_echoed_as_it_was_sent(server, name):
    assert server.connect().send(Command.OPTION_REQ, name) == [
        (Command.OPTION_RES, name)
    ]


@pytest.mark.parametrize("name", [b"", b"exception", b"x" * 10_000])
def test_unknown_option_is_refused(server, name):
    assert server.connect().send(Command.OPTION_REQ, name) == [
        (
            Command.ERROR,
            b"UNKNOWN_OPTION",
            b"Server does not recognize given option",
        )
    ]


def test_client_id_is_cut_at_the_limit(server):
    peer = server.connect()
    assert peer.send(Command.SET_CLIENT_ID, b"i" * (MAX_CLIENT_ID + 1)) == []
    assert peer.peer.client_id == b"i" * MAX_CLIENT_ID


def test_name_ends_at_a_nul(server):
    client, worker = server.connect(), server.connect()
    worker.send(Command.CAN_DO, b"f\0")
    worker.send(Command.SET_CLIENT_ID, b"me\0")
    assert client.ask(b"workers").endswith(b" me : f\n.\n")
    handle = client.submit()
    assert worker.grab() == handle
    assert worker.send(Command.GET_STATUS, handle + b"\0")[0][2] == b"1"
    assert worker.send(Command.WORK_FAIL, handle + b"\0") == []
    assert client.got() == [(Command.WORK_FAIL, handle)]


class TestNumbers:
    @pytest.mark.parametrize(
        "text",
        [b"", b"junk", b"12x", b"1 2", b"+", b"9" * 19, b"1" * 20, b"0x10"]
        + [b"9223372036854775807.5", b" " * 100 + b"5"],
    )
    def test_bad_epoch_is_refused(self, server, text):
        assert server.connect().send(
            Command.SUBMIT_JOB_EPOCH, b"f", b"", text, b"w"
        ) == [
            (Command.ERROR, b"INVALID_ARGUMENTS", b"Epoch is not a number of seconds")
        ]
        assert server.broker.jobs.known == {}

    @pytest.mark.parametrize(
        "text", [b"0", b"-1", b"+5", b" 5 ", b"5.75", b"9223372036854775807"]
    )
    def test_epoch_in_any_form_of_number_is_taken(self, server, text):
        ((answer, _),) = server.connect().send(
            Command.SUBMIT_JOB_EPOCH, b"f", b"", text, b"w"
        )
        assert answer == Command.JOB_CREATED

    @pytest.mark.parametrize(
        ("text", "when"),
        [(b"5", 5), (b"5.0", 5), (b"5.", 5), (b"5.001", 6), (b"-5.5", 0), (b"0.1", 1)],
    )
    def test_part_of_a_second_counts_as_a_whole_one(self, server, text, when):
        server.connect().send(Command.SUBMIT_JOB_EPOCH, b"f", b"", text, b"w")
        (job,) = server.broker.jobs.known.values()
        assert job.when == when

    def test_part_of_a_millisecond_is_a_timeout(self, server):
        server.connect().send(Command.CAN_DO_TIMEOUT, b"f", b"0.5")
        (peer,) = server.broker.peers
        assert peer.abilities[b"f"] > 0

    @pytest.mark.parametrize("text", [b"", b"abc", b"9" * 21])
    def test_bad_timeout_is_refused(self, server, text):
        assert server.connect().send(Command.CAN_DO_TIMEOUT, b"f", text) == [
            (
                Command.ERROR,
                b"INVALID_ARGUMENTS",
                b"Timeout is not a number of milliseconds",
            )
        ]
        assert server.broker.functions.known == {}


class TestBadPackets:
    def test_lasting_ones_are_answered_and_the_stream_goes_on(self, server):
        answers = server.connect().send_bytes(
            _framing.encode(Command.SUBMIT_JOB, [b"no", b"more"], REQUEST)
            + _framing.encode(Command.ECHO_RES, [b"x"], RESPONSE)
            + _framing.encode(Command.ECHO_REQ, [b"still here"], REQUEST)
        )
        assert answers == [
            (
                Command.ERROR,
                b"INVALID_COMMAND",
                b"SUBMIT_JOB takes 3 arguments, got 2",
            ),
            (Command.ERROR, b"INVALID_MAGIC", b"Request magic expected"),
            (Command.ECHO_RES, b"still here"),
        ]

    @pytest.mark.parametrize(
        "data",
        [b"\0REX" + bytes(8), b"\0REQ\0\0\0\x2b" + bytes(4), b"\x16\x03\x01\x02\x00"],
    )
    def test_fatal_ones_are_not_answered(self, server, data):
        peer = server.connect()
        echo = _framing.encode(Command.ECHO_REQ, [b"before"], REQUEST)
        assert peer.send_bytes(echo + data + echo) == [(Command.ECHO_RES, b"before")]
        assert peer.protocol.error is not None

    def test_packet_over_the_limit_is_answered_and_skipped(self, server):
        server.site.max_packet = 10
        peer = server.connect()
        echo = [
            _framing.encode(Command.ECHO_REQ, [b"x" * size], REQUEST)
            for size in (11, 10)
        ]
        answer, last = peer.send_bytes(b"".join(echo))
        assert answer[:2] == (Command.ERROR, b"ARGUMENT_TOO_LARGE")
        assert last == (Command.ECHO_RES, b"x" * 10)
        assert peer.protocol.error is None
        assert server.broker.hits.counts == {"max-packet": 1}
        assert server.broker.hits.reached == {"max-packet"}

    def test_packet_that_is_skipped_counts_as_one_that_has_not_come(self, server):
        server.site.max_packet = 10
        peer = server.connect()
        echo = _framing.encode(Command.ECHO_REQ, [b"x" * 11], REQUEST)
        peer.send_bytes(echo[:-1])
        assert peer.protocol.buffered == 1
        peer.send_bytes(echo[-1:])
        assert peer.protocol.buffered == 0

    def test_refusals_come_in_the_order_of_the_submissions(self, make_server):
        server = make_server(persistent=True)
        server.site.max_packet = 20
        peer = server.connect()
        arguments = [b"f", b"", b"w"]
        good = _framing.encode(Command.SUBMIT_JOB_BG, arguments, REQUEST)
        arguments[2] *= 30
        large = _framing.encode(Command.SUBMIT_JOB_BG, arguments, REQUEST)
        assert peer.send_bytes(good + large) == []
        (job,) = server.broker.jobs.changes
        server.broker.stored.durable([job])
        assert [answer[:2] for answer in peer.got()] == [
            (Command.JOB_CREATED, job.handle),
            (Command.ERROR, b"ARGUMENT_TOO_LARGE"),
        ]

    def test_what_waits_for_its_rest_is_counted(self, server):
        peer = server.connect()
        peer.send_bytes(b"\0REQ\0\0")
        assert peer.protocol.buffered == 6


class TestLargeResults:
    def test_worker_may_send_too_much_for_one_job_after_another(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handles = [client.submit(), client.submit()]
        for handle in handles:
            assert worker.grab() == handle
            error = PacketTooLarge(handle, 2000, 1000)
            server.gear.dispatch(worker.peer, (_framing.INVALID, error))
        assert client.got() == [(Command.WORK_FAIL, handle) for handle in handles]
        # Further packets for these jobs are ignored, without an answer.
        for handle in handles:
            assert worker.send(Command.WORK_COMPLETE, handle, b"") == []


class TestTrace:
    def test_names_what_is_received_and_sent(self, server):
        client = server.connect()
        client.submit(b"f", b"u\n", b"work")
        client.ask(b"status")
        assert server.trace == [
            r"received SUBMIT_JOB f u\x0a (4 bytes)",
            "sent JOB_CREATED H:test:1",
            "received TEXT status",
            r"sent TEXT f\x091\x090\x090",
            "sent TEXT .",
        ]

    @pytest.mark.usefixtures("no_collector")
    def test_traced_protocol_is_freed_without_the_collector(self, server):
        protocol = server.gear.connect("127.0.0.1", 7, server.trace.append)
        protocol.receive(_framing.encode(Command.ECHO_REQ, (b"",), REQUEST))
        left = weakref.ref(protocol)
        del protocol
        assert left() is None

    @pytest.mark.parametrize(
        ("packet", "text"),
        [
            ((Command.NOOP, ()), "NOOP"),
            ((5, ()), "command 5"),
            ((Command.CAN_DO, (b"f" * 200,)), "CAN_DO " + "f" * 80 + "..."),
            ((Command.ECHO_REQ, (b"data",)), "ECHO_REQ (4 bytes)"),
            ((Command.CAN_DO, (b"\xff",)), "CAN_DO \\xff"),
        ],
    )
    def test_describes_a_packet_in_a_few_words(self, packet, text):
        assert describe(packet) == text

    def test_describes_what_is_wrong(self, server):
        peer = server.connect()
        peer.send_bytes(b"\0RES\0\0\0\x10\0\0\0\0")
        assert "Request magic expected" in server.trace[0]


def echo(data):
    return _framing.encode(Command.ECHO_REQ, (data,), REQUEST)


def can_do(number):
    return _framing.encode(Command.CAN_DO, (b"f%d" % number,), REQUEST)


PRE_SLEEP = _framing.encode(Command.PRE_SLEEP, (), REQUEST)
SUBMITS = b"".join(
    _framing.encode(command, (b"f1", b"u", b"w"), REQUEST)
    for command in (Command.SUBMIT_JOB_BG, Command.SUBMIT_JOB_HIGH)
)


class TestFewPackets:
    """A few packets are carried out by a shorter way, unless packets are logged."""

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            echo(b"1") + echo(b"2"),
            SUBMITS + b"status\n" + echo(b"3"),
            b"version\n" + SUBMITS,
            SUBMITS + RESPONSE + echo(b"4")[4:] + echo(b"5"),
            echo(b"6") + b"\0BAD bytes",
            echo(b"7") * 100,
            echo(bytes(HIGH_WATER)) * 3,
            b"".join(map(can_do, range(12))) + SUBMITS + PRE_SLEEP,
        ],
    )
    @pytest.mark.parametrize("size", [1, 50, 2 * HIGH_WATER])
    def test_are_answered_as_others(self, data, size, make_server):
        size = max(size, len(data) // 1000)
        answers = []
        for trace in (None, print):
            server = make_server()
            protocol = server.gear.connect("127.0.0.1", 7, trace)
            server.broker.connect(protocol.peer)
            sent = b""
            for at in range(0, len(data), size):
                protocol.receive(data[at : at + size])
                sent += protocol.data_to_send()
                while protocol.ready:
                    protocol.resume()
                    sent += protocol.data_to_send()
            answers.append((sent, str(protocol.error), protocol.buffered))
        assert answers[0] == answers[1]

    @pytest.mark.parametrize("trace", [None, print])
    def test_answer_that_fits_in_no_packet_is_an_error(self, trace, server):
        piece = bytes(64 * 1024 * 1024)
        server.gear.verbs[Command.ECHO_REQ] = lambda peer, data: peer.send(
            Command.ECHO_RES, (piece,) * 64
        )
        protocol = server.gear.connect("127.0.0.1", 7, trace)
        protocol.receive(echo(b"1"))
        assert "fits in no packet" in str(protocol.error)


class TestTurns:
    """Many requests of a connection are carried out in several turns."""

    VERSIONS = 5

    def ask(self, peer, count=VERSIONS):
        peer.protocol.receive(b"version\n" * count)

    def turns(self, peer):
        """Return the data that was sent in each turn."""
        sent = [peer.protocol.data_to_send()]
        while peer.protocol.ready:
            assert peer.protocol.paused
            peer.protocol.resume()
            sent.append(peer.protocol.data_to_send())
        return sent

    def test_all_is_carried_out_while_there_is_time(self, server):
        peer = server.connect()
        self.ask(peer)
        assert self.turns(peer) == [b"OK 1.2.3\n" * self.VERSIONS]

    def test_rest_is_left_to_later_turns_when_it_is_late(self, server):
        server.site.late = server.site.half_late = lambda: True
        peer = server.connect()
        self.ask(peer)
        sent = self.turns(peer)
        assert b"".join(sent) == b"OK 1.2.3\n" * self.VERSIONS
        assert max(map(len, sent)) == len(b"OK 1.2.3\n")

    def test_no_more_is_carried_out_while_much_waits_to_be_sent(self, server):
        peer = server.connect()
        echo = _framing.encode(Command.ECHO_REQ, (bytes(HIGH_WATER),), REQUEST)
        peer.protocol.receive(echo * 3)
        assert [len(sent) for sent in self.turns(peer)] == [len(echo)] * 3

    def test_nothing_follows_an_error(self, server):
        server.site.late = server.site.half_late = lambda: True
        peer = server.connect()
        peer.protocol.receive(b"version\n\0BAD bytes..version\n")
        assert b"".join(self.turns(peer)) == b"OK 1.2.3\n"
        assert peer.protocol.error is not None

    def test_list_comes_in_pieces_without_what_has_gone_meanwhile(
        self, server, monkeypatch
    ):
        monkeypatch.setattr(lines, "PIECE_SIZE", 1000)
        server.site.late = server.site.half_late = lambda: True
        peer, client = server.connect(), server.connect()
        handles = [client.submit() for _ in range(3 * PIECE_LINES)]
        peer.protocol.receive(b"show jobs\nversion\n")
        first = peer.protocol.data_to_send()
        while not first:
            peer.protocol.resume()
            first = peer.protocol.data_to_send()
        server.broker.cancel(handles[-1])
        new = server.connect().submit()
        rest = b"".join(self.turns(peer))
        assert PIECE_LINES < first.count(b"\n") < 2 * PIECE_LINES
        listed, answer = (first + rest).split(b".\n", 1)
        assert [line.split(b"\t")[0] for line in listed.splitlines()] == handles[:-1]
        assert new not in listed
        assert answer == b"OK 1.2.3\n"

    def test_answers_to_lines_that_came_together_leave_together(self, server):
        server.site.late = server.site.half_late = lambda: True
        peer = server.connect()
        for number in range(5 * PIECE_LINES):
            server.broker.functions.of(b"f%d" % number)
        peer.protocol.receive(b"status\nversion\n")
        answers = [peer.protocol.data_to_send()]
        while not answers[-1]:
            peer.protocol.resume()
            answers.append(peer.protocol.data_to_send())
        assert len(answers) > 5
        assert answers[-1].count(b"\n") == 5 * PIECE_LINES + 2
        assert answers[-1].endswith(b"\n.\nOK 1.2.3\n")

    def test_what_is_traced_need_not_be_put_together(self, server):
        peer = server.connect()
        self.ask(peer, 2)
        assert peer.protocol.pieces_to_send() == [b"OK 1.2.3\n"] * 2
        assert server.trace[-2:] == ["sent TEXT OK 1.2.3"] * 2


def test_packets_of_a_link_are_logged_and_go_where_they_should(server):
    told: list[str] = []
    got: list[object] = []
    protocol = server.gear.connect("127.0.0.1", 7, told.append)
    protocol.widen(lambda peer, packet: got.append(packet), 1000)
    request = _framing.encode(Command.LINK_PING, (b"1",), REQUEST)
    response = _framing.encode(Command.JOB_CREATED, (b"H:1",))
    protocol.receive(request + response)
    assert got == [
        (Command.LINK_PING, (b"1",)),
        (Command.JOB_CREATED + RESPONSES, (b"H:1",)),
    ]
    protocol.peer.write(request)
    assert b"".join(protocol.pieces_to_send()) == request
    assert told == [
        "received LINK_PING 1",
        "received JOB_CREATED H:1",
        "sent LINK_PING 1",
    ]
