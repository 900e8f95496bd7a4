"""The same invocation through the C tool and through ours gives the same output."""

import re
from collections.abc import Iterator

import pytest

from tests import servers
from tests.cli.tools import Outcome, outcome, tool
from tests.interop.programs import Program, c_tool, take_job
from tests.servers import Server
from tests.wire import Peer

pytestmark = pytest.mark.interop

# The commands of the C worker for its functions.
WORK = {
    "mark": "sed 's/.*/<&>/'",
    "mark2": "sed 's/.*/[&]/'",
    "count": "wc -c",
    "cat": "cat",
    "fail": "cat > /dev/null; exit 1",
}


@pytest.fixture(scope="module", params=["gearmand", "ours"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each kind."""
    run = {"gearmand": servers.gearmand, "ours": servers.ours}[request.param]
    with run() as running:
        yield running


@pytest.fixture(scope="module")
def workers(server: Server) -> Iterator[None]:
    """A C worker for each function."""
    programs = [
        Program(*c_tool("gearman", server, "-w", "-f", name, "--", "sh", "-c", text))
        for name, text in WORK.items()
    ]
    yield
    for program in programs:
        program.__exit__()


def both(
    name: str, server: Server, *options: str, stdin: bytes = b""
) -> tuple[Outcome, Outcome]:
    """Run the C tool and ours."""
    c, ours = (
        outcome(tool(kind, name, server, *options), stdin) for kind in ("c", "ours")
    )
    return c, ours


def without_numbers(said: bytes) -> bytes:
    return re.sub(rb"\d+$", b"N", said, flags=re.MULTILINE)


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        ("-f mark one two", b""),
        ("-f mark", b"one\ntwo\n"),
        ("-f mark", b"no line end"),
        ("-f count -s", b"ignored"),
        ("-f count", b""),
        ("-f mark -n", b"a\n\nb\n"),
        ("-f mark -n", b"a\nb"),
        ("-f mark -N", b"a\nb\n"),
        ("-f mark -n", b""),
        ("-f mark -n -s", b"a\n"),
        ("-f mark -n data", b"a\n"),
        ("-f mark -P one two", b""),
        ("-f mark -P -n", b"a\nb\n"),
        ("-f mark -I one", b""),
        ("-f mark -L one", b""),
        ("-f mark -u key one two", b""),
        ("-f mark one -P two", b""),
        ("-Pfmark -- -x", b""),
        ("-nfmark", b"x\n"),
        ("-f fail one two", b""),
        ("-f fail -P one", b""),
        ("-f mark -c 5 one", b""),
        ("-f mark -b one", b""),
        ("-f mark -t 5000 one", b""),
        ("-f|mark|-t 5000|one", b""),
        ("-p {port}|-f|mark|one", b""),
        ("-p {port} |-f|mark|one", b""),
        ("-p +{port}|-f|mark|one", b""),
    ],
)
def test_a_client_says_the_same(server: Server, words: str, stdin: bytes) -> None:
    separated = words.format(port=server.port).split("|" if "|" in words else None)
    c, ours = both("gearman", server, *separated, stdin=stdin)
    assert ours == c


@pytest.mark.usefixtures("workers")
def test_a_client_says_the_same_about_any_bytes(server: Server) -> None:
    c, ours = both("gearman", server, "-f", "cat", stdin=bytes(range(256)) * 200)
    assert ours == c


@pytest.mark.usefixtures("workers")
def test_a_client_of_several_functions_says_the_same(server: Server) -> None:
    # The C tool's output depends on the order in which its workers answer; ours does
    # not.
    words = ["-P", "-f", "mark", "-f", "mark2", "one\n", "two\n"]
    c, ours = both("gearman", server, *words)
    assert sorted(ours.out.splitlines()) == sorted(c.out.splitlines())
    assert ours.out == b"mark: <one>\nmark2: [one]\nmark: <two>\nmark2: [two]\n"


@pytest.mark.parametrize("words", ["-b -v -f bg one two", "-b -v -f bg -f bg2 one"])
def test_handles_are_shown_alike(server: Server, words: str) -> None:
    c, ours = both("gearman", server, *words.split())
    assert without_numbers(ours.out) == without_numbers(c.out)
    assert ours.out.startswith(b"Task created: H:")
    assert (ours.status, ours.err) == (c.status, c.err)


def test_updates_are_shown_alike(server: Server) -> None:
    said = []
    with Peer(server.port) as worker:
        worker.send("CAN_DO", b"updates")
        for kind in ("c", "ours"):
            command = tool(kind, "gearman", server, "-P", "-f", "updates", "data")
            with Program(*command) as client:
                handle = take_job(worker)[0]
                worker.send("WORK_STATUS", handle, b"3", b"7")
                worker.send("WORK_WARNING", handle, b"careful\n")
                worker.send("WORK_DATA", handle, b"part\n")
                worker.send("WORK_COMPLETE", handle, b"end\n")
                said.append(client.rest().splitlines())
    c, ours = said
    # The C tool holds the status back if standard output is not a terminal.
    assert sorted(ours) == sorted(c)
    assert ours == [
        "updates: 42% Complete",
        "updates: careful",
        "updates: part",
        "updates: end",
    ]


@pytest.mark.parametrize("words", [[], ["-w"], ["-z", "-f", "f"], ["-f"]])
def test_a_wrong_command_line_has_the_same_status(
    server: Server, words: list[str]
) -> None:
    c, ours = both("gearman", server, *words)
    assert (ours.status, ours.out) == (c.status, c.out) == (1, b"")


@pytest.fixture
def busy(server: Server) -> Iterator[Peer]:
    """A worker with an id, a waiting job of each priority, and a running job."""
    with Peer(server.port) as peer:
        peer.send("SET_CLIENT_ID", b"me")
        peer.send("CAN_DO", b"busy")
        for command in ("SUBMIT_JOB_BG", "SUBMIT_JOB_HIGH_BG", "SUBMIT_JOB_LOW_BG"):
            peer.request(command, b"busy", command.encode(), b"data")
        peer.request("SUBMIT_JOB_BG", b"busy", b"running", b"data")
        handle = take_job(peer)[0]
        yield peer
        peer.send("WORK_COMPLETE", handle, b"")
        peer.send("RESET_ABILITIES")
        peer.fence()


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    "operation",
    [
        *("--status", "--priority-status", "--show-jobs", "--show-unique-jobs"),
        *("--getpid", "--server-version", "--server-verbose", "--stat"),
    ],
)
def test_gearadmin_says_the_same(server: Server, operation: str) -> None:
    c, ours = both("gearadmin", server, operation)
    assert ours == c
    assert ours.out


@pytest.mark.usefixtures("busy")
def test_gearadmin_lists_the_same_workers(server: Server) -> None:
    # The descriptor of the tool's own connection may differ.
    c, ours = (
        sorted(re.sub(rb"^\d+ ", b"", line) for line in said.out.splitlines())
        for said in both("gearadmin", server, "--workers")
    )
    assert ours == c
    assert b"127.0.0.1 me : busy" in ours
    assert b"." in ours


@pytest.mark.parametrize("port", ["-p {}", "-p +{}", "--port= {}"])
def test_gearadmin_takes_a_blank_before_a_port_alike(server: Server, port: str) -> None:
    said = []
    for kind in ("c", "ours"):
        command = tool(kind, "gearadmin", server, "--getpid")
        # The C tool accepts only one port.
        place = command.index("-p")
        command[place : place + 2] = [port.format(server.port)]
        said.append(outcome(command))
    assert said[0] == said[1]
    assert said[1].status == 0


def test_gearadmin_creates_and_drops_alike(server: Server) -> None:
    for kind in ("c", "ours"):
        for operation in ("--create-function", "--drop-function"):
            said = outcome(tool(kind, "gearadmin", server, operation, "made"))
            assert said == Outcome(0, b"OK\n", "")


@pytest.mark.parametrize(
    "words", [["--drop-function", "unknown"], ["--cancel-job", "H:nobody:1"]]
)
def test_gearadmin_shows_errors_alike_but_fails(
    server: Server, words: list[str]
) -> None:
    c, ours = both("gearadmin", server, *words)
    assert (c.status, ours.status) == (0, 1)
    assert ours.out == c.out == b""
    assert ours.err.split() == c.err.split()


def test_gearadmin_cancels_alike(server: Server) -> None:
    for kind in ("c", "ours"):
        with Peer(server.port) as peer:
            peer.send("SUBMIT_JOB", b"cancelled", b"", b"data")
            handle = peer.expect("JOB_CREATED")[0].decode()
            command = tool(kind, "gearadmin", server, "--cancel-job", handle)
            assert outcome(command) == Outcome(0, b"OK\n", "")
            assert peer.expect("WORK_FAIL") == [handle.encode()]


@pytest.mark.parametrize("words", [[], ["--bogus"], ["--cancel-job"], ["x"]])
def test_gearadmin_refuses_a_wrong_command_line_alike(
    server: Server, words: list[str]
) -> None:
    c, ours = both("gearadmin", server, *words)
    assert ours.status == c.status == 1
