"""Scenes about the admin client."""

from collections.abc import Iterator
from typing import Any

from tests.client.python2.stage import Stage, scene

Results = Iterator[tuple[str, Any]]

# A server that gives the same answer to every request, and keeps the connection open.
FAKE = """
import socket
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
host, port = server.split(':')
listener.bind((host, int(port)))
listener.listen(5)
say('listening')
while True:
    peer = listener.accept()[0]
    while peer.recv(4096):
        peer.sendall(ANSWER)
"""


def admin(stage: Stage, timeout: str = "5.0") -> None:
    stage.client.run(f"admin = gearman.GearmanAdminClient([server], {timeout})")


@scene
def status_and_workers(stage: Stage) -> Results:
    admin(stage)
    yield "nothing yet", stage.client.run("admin.get_status()")
    stage.client.run(
        "for _ in range(3):\n"
        "    client.submit_job('task', 'abc', background=True)\n"
        "client.submit_job('other', 'abc', background=True)"
    )
    stage.worker.run(
        "def task(worker, job):\n"
        "    say('running')\n"
        "    return hear()\n"
        "worker.set_client_id('my-worker')\n"
        "worker.register_task('task', task)\n"
        "worker.register_task('second', task)"
    )
    stage.worker.start("worker.work_through(1)")
    yield "said", stage.worker.said()
    yield (
        "status",
        stage.client.run("sorted(admin.get_status(), key=lambda row: row['task'])"),
    )
    yield (
        "types",
        stage.client.run("[type(admin.get_status()), type(admin.get_workers())]"),
    )
    stage.client.run(
        "rows = [row for row in admin.get_workers() if row['tasks']]\n"
        "descriptors = [row.pop('file_descriptor') for row in rows]"
    )
    yield (
        "workers",
        stage.client.run("[dict(row, tasks=sorted(row['tasks'])) for row in rows]"),
    )
    yield "their tasks' type", stage.client.run("type(rows[0]['tasks'])")
    yield (
        "a descriptor's type",
        stage.client.run("[type(descriptor) is str for descriptor in descriptors]"),
    )
    yield (
        "as JSON",
        stage.client.run(
            "import json\njson.loads(json.dumps(admin.get_status())) != []"
        ),
    )
    yield (
        "idle rows",
        stage.client.run(
            "idle = [row for row in admin.get_workers() if not row['tasks']]\n"
            "sorted(set((row['ip'], row['client_id'], row['tasks']) for row in idle))"
        ),
    )
    stage.worker.tell("")
    yield "work", stage.worker.result()


@scene
def version_and_ping(stage: Stage) -> Results:
    admin(stage)
    yield "version", stage.client.run("admin.get_version()")
    yield "ping's type", stage.client.run("type(admin.ping_server())")
    yield "ping", stage.client.run("0.0 < admin.ping_server() < 5.0")
    yield "once more", stage.client.run("admin.get_version()")
    yield "poll_timeout", stage.client.run("admin.poll_timeout")


@scene
def maxqueue(stage: Stage) -> Results:
    for size in ("1", "'1'", "0"):
        admin(stage)
        yield size, stage.client.run(f"admin.send_maxqueue('task', {size})")


@scene
def a_worker_id_with_a_space(stage: Stage) -> Results:
    stage.worker.run(
        "worker.set_client_id('my worker')\n"
        "worker.register_task('task', lambda worker, job: say('running') or hear())"
    )
    stage.worker.start("worker.work_through(1)")
    stage.client.run("client.submit_job('task', 'abc', background=True)")
    yield "said", stage.worker.said()
    admin(stage)
    yield (
        "workers",
        stage.client.run(
            "[row['client_id'] for row in admin.get_workers() if row['tasks']]"
        ),
    )


@scene
def shutdown(stage: Stage) -> Results:
    for graceful in ("", "True", "graceful=False"):
        admin(stage)
        yield (
            f"shutdown {graceful}",
            stage.client.run(f"admin.send_shutdown({graceful})"),
        )
        stage.client.run("admin.shutdown()")
        stage.stop_server()
        stage.start_server()


@scene
def one_server_only(stage: Stage) -> Results:
    stage.client.run("make = gearman.GearmanAdminClient")
    for hosts in ("[]", "None", "[server, server]", "[server]", "(server,)", "server"):
        yield hosts, stage.client.run(f"make({hosts})")
    yield (
        "the error",
        stage.client.run(
            "try:\n"
            "    make([server, server])\n"
            "except ValueError as error:\n"
            "    text = str(error)\n"
            "text"
        ),
    )


@scene
def a_server_that_never_answers(stage: Stage) -> Results:
    stage.stop_server()
    fake = stage.add_player()
    fake.start(FAKE.replace("ANSWER", "b''"))
    yield "said", fake.said()
    for call in ("get_status", "get_workers", "get_version", "ping_server"):
        admin(stage, "0.05")
        yield call, stage.client.run(f"admin.{call}()")
        stage.client.run("admin.shutdown()")


@scene
def a_server_that_answers_nonsense(stage: Stage) -> Results:
    stage.stop_server()
    for call, line in (
        ("get_status", "one\\ttwo\\n"),
        ("get_status", "a\\tb\\tc\\td\\n"),
        ("get_status", "ERR UNKNOWN_COMMAND\\n"),
        ("get_workers", "1 127.0.0.1\\n"),
        ("get_workers", "1 127.0.0.1 id x y\\n"),
        ("get_version", "\\0RES\\0\\0\\0\\x11\\0\\0\\0\\x01x"),
        ("send_maxqueue", "ERR no\\n"),
        ("ping_server", "\\0RES\\0\\0\\0\\x11\\0\\0\\0\\x01x"),
        ("ping_server", "\\0RES\\0\\0\\0\\xff\\0\\0\\0\\x01x"),
        ("ping_server", "\\0REQ\\0\\0\\0\\x11\\0\\0\\0\\x01x"),
        ("ping_server", "what?\\n"),
    ):
        fake = stage.add_player()
        fake.start(FAKE.replace("ANSWER", f"b'{line}'"))
        fake.said()
        admin(stage, "0.5")
        arguments = "'task', 1" if call == "send_maxqueue" else ""
        label = line.replace("\\", "/")
        yield f"{call}, {label}", stage.client.run(f"admin.{call}({arguments})")
        stage.client.run("admin.shutdown()")
        fake.close()


@scene
def an_admin_client_by_hand(stage: Stage) -> Results:
    admin(stage)
    yield "before", stage.client.run("admin.current_handler")
    yield (
        "connection",
        stage.client.run("admin.current_connection is admin.connection_list[0]"),
    )
    yield "establish", stage.client.run("admin.establish_admin_connection()")
    yield "handler", stage.client.run("admin.current_handler")
    yield (
        "unknown command",
        stage.client.run("admin.current_handler.send_text_command('dance')"),
    )
    yield "sent", stage.client.run("admin.current_handler.send_text_command('version')")
    yield "early", stage.client.run("admin.current_handler.pop_response()")
    yield "ready", stage.client.run("admin.current_handler.response_ready")
    yield "wrong wait", stage.client.run("admin.wait_until_server_responds('status')")
