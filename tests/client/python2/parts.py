"""Scenes about the lower parts: connections, packets, small functions."""

from collections.abc import Iterator
from typing import Any

from tests.client.python2.stage import Stage, scene

Results = Iterator[tuple[str, Any]]


@scene
def a_connection_by_hand(stage: Stage) -> Results:
    run = stage.client.run
    run(
        "from gearman.connection import GearmanConnection\n"
        "from gearman import protocol\n"
        "host, port = server.split(':')\n"
        "connection = GearmanConnection(host, int(port))"
    )
    yield "address", run("connection.get_address()")
    yield "fresh", run("[connection.connected, connection.gearman_socket]")
    yield "ready", run("[connection.readable(), connection.writable()]")
    yield "fileno", run("connection.fileno()")
    yield "read", run("connection.read_data_from_socket()")
    yield "send", run("connection.send_data_to_socket()")
    yield "connect", run("connection.connect()")
    yield "repr", run("repr(connection)")
    yield "connect again", run("connection.connect()")
    yield "no longer connected", run("connection.connected")
    yield "close", run("connection.close()")
    yield "connect at last", run("connection.connect()")
    yield (
        "command",
        run(
            "connection.send_command(protocol.GEARMAN_COMMAND_ECHO_REQ, {'data': 'hi'})"
        ),
    )
    yield "writable", run("connection.writable()")
    yield "buffered", run("connection.send_commands_to_buffer()")
    yield "sent", run("connection.send_data_to_socket()")
    yield "not writable", run("connection.writable()")
    run("import select\nselect.select([connection], [], [], 5)")
    yield "received", run("connection.read_data_from_socket()")
    yield "decoded", run("connection.read_commands_from_buffer()")
    yield "first", run("connection.read_command()")
    yield "second", run("connection.read_command()")
    yield (
        "unknown command",
        run("connection.send_command(12345, {})\nconnection.send_commands_to_buffer()"),
    )
    stage.stop_server()
    run("select.select([connection], [], [], 5)")
    yield "lost", run("connection.read_data_from_socket()")
    yield "cooldown", run("connection.connect_cooldown_seconds")


@scene
def connections_that_fail(stage: Stage) -> Results:
    stage.stop_server()
    run = stage.client.run
    run("from gearman.connection import GearmanConnection")
    yield "no host", run("GearmanConnection()")
    yield "no port", run("GearmanConnection('localhost', None).gearman_port")
    for call in ("connection.connect()", "client.establish_connection(connection)"):
        refused = run(f"connection = client.connection_list[0]\n{call}")
        yield call, refused.partition("> ")[0]
    yield "a strange one", run("client.establish_connection(GearmanConnection('x'))")
    throw = "client.connection_list[0].throw_exception"
    yield "message", run(f"{throw}(message='because')")
    yield (
        "exception",
        run(f"{throw}(exception=ValueError(5))").rstrip(",)"),
    )  # Python 3.7 writes no comma here
    yield "neither", run(f"{throw}()")


@scene
def packing_and_parsing(stage: Stage) -> Results:
    run = stage.client.run
    run("from gearman import protocol\nfrom gearman.protocol import *")
    pack = "pack_binary_command"
    for call in (
        f"{pack}(GEARMAN_COMMAND_ECHO_REQ, {{'data': 'hi'}})",
        f"{pack}(GEARMAN_COMMAND_NOOP, {{}}, True)",
        f"{pack}(GEARMAN_COMMAND_SUBMIT_JOB, dict(task='t', unique='u', data='d'))",
        f"{pack}(GEARMAN_COMMAND_SUBMIT_JOB, dict(task='t'))",
        f"{pack}(GEARMAN_COMMAND_ECHO_REQ, {{'data': 5}})",
        f"{pack}(GEARMAN_COMMAND_TEXT_COMMAND, {{'raw_text': 'x'}})",
        f"{pack}(99, {{}})",
        "pack_text_command(GEARMAN_COMMAND_TEXT_COMMAND, {'raw_text': 'status'})",
        "pack_text_command(GEARMAN_COMMAND_TEXT_COMMAND, {})",
        "pack_text_command(GEARMAN_COMMAND_NOOP, {'raw_text': 'x'})",
        "parse_binary_command(b'')",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x06\\0\\0\\0')",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x06\\0\\0\\0\\0')",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x06\\0\\0\\0\\0\\0RES')",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x08\\0\\0\\0\\x03H:1')",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x08\\0\\0\\0\\x04H:1')",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x0d\\0\\0\\0\\x03H\\0a')",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x0d\\0\\0\\0\\x05H\\0a\\0b')",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x0d\\0\\0\\0\\x01H')",
        "parse_binary_command(b'\\0REQ\\0\\0\\0\\x10\\0\\0\\0\\x01x', False)",
        "parse_binary_command(b'\\0REQ\\0\\0\\0\\x10\\0\\0\\0\\x01x')",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x10\\0\\0\\0\\x01x', False)",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x63\\0\\0\\0\\0')",
        "parse_binary_command(b'\\0RES\\0\\0\\0\\x06\\0\\0\\0\\x01x')",
        "parse_text_command(b'')",
        "parse_text_command(b'OK')",
        "parse_text_command(b'OK\\nmore')",
        "parse_text_command(b'O\\0K\\n')",
        "get_command_name(GEARMAN_COMMAND_NOOP)",
        "get_command_name(12345)",
        "submit_cmd_for_background_priority(True, None)",
        "submit_cmd_for_background_priority(False, 'HIGH')",
        "submit_cmd_for_background_priority(False, 'URGENT')",
    ):
        yield call, run(call)


@scene
def small_functions(stage: Stage) -> Results:
    run = stage.client.run
    run("from gearman import util, compat\nimport gearman.util")
    for call in (
        "util.unlist([])",
        "util.unlist([5])",
        "util.unlist((5,))",
        "util.unlist([5, 6])",
        "util.Stopwatch(None).get_time_remaining()",
        "util.Stopwatch(None).has_time_remaining()",
        "util.Stopwatch(0).get_time_remaining()",
        "util.Stopwatch(0).has_time_remaining()",
        "0 < util.Stopwatch(9).get_time_remaining() <= 9",
        "util.disambiguate_server_parameter('a:1')",
        "util.disambiguate_server_parameter('a')",
        "util.disambiguate_server_parameter(('a', 1))",
        "util.disambiguate_server_parameter(('a', 1, 2))",
        "util.select([], [], [], 0)",
        "util.select([], [], [], timeout=0.0)",
        "compat.any([0, 1])",
        "compat.all([0, 1])",
        "compat.defaultdict(list)['x']",
        "gearman.DataEncoder.encode('x')",
        "gearman.DataEncoder.decode('x')",
        "gearman.connection_manager.NoopEncoder.encode('x')",
        "gearman.connection_manager.NoopEncoder.decode(b'x')",
        "gearman.connection_manager.GearmanConnectionManager([])",
        "gearman.errors.ServerUnavailable('a', 'b').args",
        "str(gearman.errors.ProtocolError('text'))",
        "gearman.errors.ProtocolError('a', 'b').args",
        "gearman.errors.ProtocolError().args",
    ):
        yield call, run(call)
