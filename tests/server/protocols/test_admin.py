"""The admin text protocol: the exact bytes of the answers."""

import pytest

from gearman.commands import MAX_FUNCTION, Command
from gearman.server.protocols.admin import Usage
from gearman.server.protocols.lines import PIECE_LINES, PIECE_SIZE

UNKNOWN = b"ERR UNKNOWN_COMMAND Unknown+server+command%b\r\n"
INCOMPLETE = (
    b"ERR INVALID_ARGUMENTS "
    b"An+incomplete+set+of+arguments+was+sent+to+this+command+%b\r\n"
)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"version", b"OK 1.2.3\n"),
        (b"VERSION", b"OK 1.2.3\n"),
        (b"version ", b"OK 1.2.3\n"),
        (b"version and more", b"OK 1.2.3\n"),
        (b"version\r", b"OK 1.2.3\n"),
        (b"getpid", b"OK 4321\n"),
        (b"verbose", b"OK NOTICE\n"),
        (b"status", b".\n"),
        (b"prioritystatus", b".\n"),
        (b"show jobs", b".\n"),
        (b"SHOW  Jobs", b".\n"),
        (b"show unique jobs", b".\n"),
        (b"show limits", b".\n"),
        (b"show", UNKNOWN % b"show"),
        (b"show x", b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"),
        (b"show jobs x", b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"),
        (b"show jobs ", b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"),
        (b"show unique", b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"),
        (b"cancel", UNKNOWN % b"cancel"),
        (b"cancel job", UNKNOWN % b"cancel"),
        (b"cancel job x", b"ERR UNKNOWN_JOB\r\n"),
        (b"cancel job x y", b"ERR UNKNOWN_ERROR\r\n"),
        (b"cancel foo bar", b"ERR UNKNOWN_ERROR\r\n"),
        (b"create", INCOMPLETE % b"create"),
        (b"create function", INCOMPLETE % b"create"),
        (b"create foo bar", INCOMPLETE % b"create"),
        (b"create function a b", INCOMPLETE % b"create"),
        (b"create function abc", b"OK\r\n"),
        (b"drop", INCOMPLETE % b"drop"),
        (b"drop function", INCOMPLETE % b"drop"),
        (b"drop function nope", b"ERR function not found\r\n"),
        (b"maxqueue", INCOMPLETE % b"maxqueue"),
        (b"maxqueue f", b"OK\r\n"),
        (b"maxqueue f 1 2 3", b"OK\r\n"),
        (b"maxqueue  f 1", b"OK\r\n"),
        (b"", UNKNOWN % b""),
        (b" version", UNKNOWN % b""),
        (b"nonsense with words", UNKNOWN % b"nonsense"),
        (b"a\rb\x01\tc", UNKNOWN % rb"a\x0db\x01\x09c"),
        (b"shutdown now", UNKNOWN % b"shutdown"),
    ],
)
def test_line_is_answered(server, line, answer):
    assert server.connect().ask(line) == answer


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"a b c d e f", "6 words"),
        (b"maxqueue f 1 2 3 4", "6 words"),
        (b"GET / HTTP/1.1", "HTTP"),
        (b"POST /f HTTP/1.0\r", "HTTP"),
        (b"PRI * HTTP/2", "HTTP"),
    ],
)
def test_line_closes_the_connection_without_an_answer(server, line, reason):
    peer = server.connect()
    assert peer.ask(line) == b""
    assert reason in str(peer.protocol.error)


def test_limits_have_what_is_used_and_how_often_they_were_hit(server):
    server.limits = [
        Usage("max-jobs", 10, 3, 0),
        Usage("request-timeout", 2.5, None, 7),
        Usage("write-timeout", 60.0, None, 0),
        Usage("bad-input", None, None, 1),
    ]
    assert server.connect().ask(b"SHOW limits").splitlines() == [
        b"max-jobs\t10\t3\t0",
        b"request-timeout\t2.5\t-\t7",
        b"write-timeout\t60\t-\t0",
        b"bad-input\t-\t-\t1",
        b".",
    ]


def test_status_counts_all_running_and_workers(server):
    peer = server.connect()
    server.connect().can_do(b"g").can_do(b"f").grab()
    for _ in range(3):
        peer.submit(b"f")
    server.connect().can_do(b"f").grab()
    assert peer.ask(b"status") == b"g\t0\t0\t1\nf\t3\t1\t2\n.\n"


def test_priority_status_counts_what_waits(server):
    peer = server.connect()
    for command in (
        Command.SUBMIT_JOB_HIGH,
        Command.SUBMIT_JOB,
        Command.SUBMIT_JOB,
        Command.SUBMIT_JOB_LOW_BG,
    ):
        peer.submit(command=command)
    server.connect().can_do().grab()
    assert peer.ask(b"prioritystatus") == b"f\t0\t2\t1\t1\n.\n"


def test_workers_lists_every_connection_with_its_latest_function_first(server):
    worker = server.connect("10.0.0.1", 33).can_do(b"a", b"b")
    worker.send(Command.SET_CLIENT_ID, b"worker 1")
    admin = server.connect("::1", 34)
    assert admin.ask(b"workers") == b"33 10.0.0.1 worker 1 : b a\n34 ::1 - :\n.\n"
    worker.leave()
    assert admin.ask(b"workers") == b"34 ::1 - :\n.\n"


def test_show_jobs_tells_retries_and_background(server):
    peer = server.connect()
    one = peer.submit(unique=b"u")
    two = peer.submit(command=Command.SUBMIT_JOB_BG)
    lost = server.connect().can_do()
    lost.grab()
    lost.leave()
    listing = one + b"\t1\t0\t0\n" + two + b"\t0\t0\t1\n.\n"
    assert peer.ask(b"show jobs") == listing
    assert peer.ask(b"show unique jobs") == b"u\n\n.\n"


def test_show_jobs_marks_a_running_job_that_nobody_waits_for(server):
    client, admin = server.connect(), server.connect()
    handle = client.submit()
    server.connect().can_do().grab()
    client.leave()
    assert admin.ask(b"show jobs") == handle + b"\t0\t1\t0\n.\n"


def test_created_function_is_listed_with_its_whole_name(server):
    peer = server.connect()
    assert peer.ask(b"create function abc") == b"OK\r\n"
    assert peer.ask(b"create function abc") == b"OK\r\n"
    assert peer.ask(b"create function def\r") == b"OK\r\n"
    assert peer.ask(b"status") == b"abc\t0\t0\t0\ndef\t0\t0\t0\n.\n"


@pytest.mark.parametrize("line", [b"create function ", b"maxqueue "])
def test_function_name_over_the_limit_is_refused(server, line):
    server.gear.admin.answer(line + b"f" * MAX_FUNCTION, "unix")
    answer = server.gear.admin.answer(line + b"g" * (MAX_FUNCTION + 1), "unix")
    assert answer.startswith(b"ERR ARGUMENT_TOO_LARGE")
    assert len(server.broker.functions.known) == 1


class TestDrop:
    REFUSAL = b"ERR there are still connected workers or executing clients\r\n"
    JOBS_LEFT = (
        b"ERR it still has 1 jobs, and no worker: let a worker run them, or cancel"
        b" each that 'show jobs of NAME' lists with 'cancel job HANDLE'\r\n"
    )

    def test_unused_function_is_forgotten(self, server):
        peer = server.connect()
        peer.ask(b"create function f")
        assert peer.ask(b"drop function f") == b"OK\r\n"
        assert peer.ask(b"status") == b".\n"

    def test_case_matters(self, server):
        peer = server.connect()
        peer.ask(b"create function f")
        assert peer.ask(b"drop function F") == b"ERR function not found\r\n"

    def test_is_refused_while_there_are_workers(self, server):
        worker = server.connect().can_do()
        assert server.connect().ask(b"drop function f") == self.REFUSAL
        worker.leave()
        assert server.connect().ask(b"drop function f") == b"OK\r\n"

    def test_is_refused_while_there_are_jobs(self, server):
        peer = server.connect()
        handle = peer.submit()
        assert peer.ask(b"drop function f") == self.JOBS_LEFT
        worker = server.connect().can_do()
        assert peer.ask(b"drop function f") == self.REFUSAL
        worker.grab()
        worker.send(Command.CANT_DO, b"f")
        assert peer.ask(b"drop function f") == self.JOBS_LEFT
        worker.send(Command.WORK_COMPLETE, handle, b"")
        peer.got()
        assert peer.ask(b"drop function f") == b"OK\r\n"


def test_show_jobs_of_a_function_lists_no_others(server):
    peer = server.connect()
    handle = peer.submit(b"f")
    peer.submit(b"g")
    assert peer.ask(b"show jobs of f") == handle + b"\t0\t0\t0\n.\n"
    assert peer.ask(b"SHOW Jobs OF f") == handle + b"\t0\t0\t0\n.\n"
    assert peer.ask(b"show jobs of F") == b"ERR function not found\r\n"


class TestForgery:
    FORGED = b"x\n.\nOK\tdone\r\x7f"
    SHOWN = rb"x\x0a.\x0aOK\x09done\x0d\x7f"

    def test_client_id_forges_no_line(self, server):
        worker = server.connect()
        worker.send(Command.SET_CLIENT_ID, self.FORGED)
        answer = server.connect().ask(b"workers")
        assert answer.startswith(b"7 127.0.0.1 " + self.SHOWN + b" :\n")

    def test_function_name_forges_no_line(self, server):
        peer = server.connect().can_do(self.FORGED)
        assert peer.ask(b"status") == self.SHOWN + b"\t0\t0\t1\n.\n"
        assert peer.ask(b"prioritystatus") == self.SHOWN + b"\t0\t0\t0\t1\n.\n"
        assert peer.ask(b"workers") == b"7 127.0.0.1 - : " + self.SHOWN + b"\n.\n"

    def test_unique_forges_no_line(self, server):
        peer = server.connect()
        peer.submit(unique=self.FORGED)
        assert peer.ask(b"show unique jobs") == self.SHOWN + b"\n.\n"

    def test_names_of_php_classes_and_of_the_world_are_shown_as_they_are(self, server):
        name = r"App\Jobs\Größe".encode()
        peer = server.connect().can_do(name)
        assert peer.ask(b"status") == name + b"\t0\t0\t1\n.\n"


class TestShutdown:
    @pytest.mark.parametrize(
        ("line", "graceful"),
        [(b"shutdown", False), (b"shutdown graceful", True), (b"Shutdown G", None)],
    )
    def test_stops_the_server_where_it_is_allowed(self, server, line, graceful):
        answer = server.connect().ask(line)
        assert server.shutdowns == ([] if graceful is None else [graceful])
        assert (answer == b"OK\r\n") == (graceful is not None)

    def test_is_unknown_where_it_is_not_allowed(self, server):
        from gearman.server.protocols.admin import Admin, Identity

        admin = Admin(server.broker, Identity("1", 2, "INFO"))
        assert admin.answer(b"shutdown", "unix") == UNKNOWN % b"shutdown"


@pytest.mark.parametrize(
    ("number", "limit"),
    [
        (b"0" * 5000 + b"7", 7),
        (b"9" * 8000, 0xFFFFFFFF),
        (b"9" * 20 + b"x", 0),
        (b"-1", 0),
    ],
)
def test_every_number_of_maxqueue_is_understood(server, number, limit):
    assert server.connect().ask(b"maxqueue f " + number) == b"OK\r\n"
    assert server.broker.functions.known[b"f"].limits == [limit] * 3


class TestPieces:
    """The pieces of a long list are made when they are asked for."""

    def ask(self, server, line):
        return server.gear.admin.answer(line, "unix")

    @pytest.mark.parametrize("line", [b"status", b"prioritystatus"])
    def test_functions_that_have_gone_are_left_out(self, server, line):
        for name in (b"one", b"two"):
            server.broker.functions.of(name)
        pieces = self.ask(server, line)
        server.broker.functions.drop(b"one")
        names = [row.split(b"\t")[0] for row in b"".join(pieces).splitlines()]
        assert names == [b"two", b"."]

    def test_peers_that_have_gone_are_left_out(self, server):
        server.connect("192.0.2.1")
        other = server.connect("192.0.2.2")
        pieces = self.ask(server, b"workers")
        other.leave()
        assert b"".join(pieces) == b"7 192.0.2.1 - :\n.\n"

    def test_lists_of_the_same_jobs_go_their_own_ways(self, server):
        client = server.connect()
        handles = [client.submit() for _ in range(2 * PIECE_LINES)]
        one, two = (self.ask(server, b"show jobs") for _ in range(2))
        first = next(one)
        assert first == b""
        server.broker.cancel(handles[0])
        three = self.ask(server, b"show jobs")
        listed = [first + b"".join(one), b"".join(two), b"".join(three)]
        counts = [text.count(b"\n") - 1 for text in listed]
        assert counts == [len(handles), len(handles) - 1, len(handles) - 1]

    def test_pieces_are_not_large(self, server):
        worker = server.connect()
        for number in range(100):
            worker.can_do(b"%d" % number + b"f" * 5000)
        pieces = list(self.ask(server, b"workers"))
        assert len(pieces) > 5
        assert max(map(len, pieces)) < PIECE_SIZE + 6000
