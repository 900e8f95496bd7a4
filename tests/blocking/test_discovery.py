"""The blocking client and worker learn of the servers of a cluster."""

import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

import gearman
from gearman.blocking.servers import discovery
from gearman.blocking.servers.discovery import servers_told
from gearman.client_core import discovery as core
from gearman.connection import GearmanConnection
from gearman.errors import ServerUnavailable
from tests.client.stage import HandServer, meanwhile, tls_front, unanswered, working
from tests.members import Member, members
from tests.servers import DEADLINE, until


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Member]]:
    """Servers that may take their time to answer."""
    monkeypatch.setattr("gearman.blocking.servers.discovery.PATIENCE", DEADLINE)
    with members(3) as running:
        yield running


def addresses(client: Any) -> list[str]:
    return ["{}:{}".format(*each.get_address()) for each in client.connection_list]


def submit(client: gearman.GearmanClient) -> Any:
    request = client.submit_job("f", "", poll_timeout=DEADLINE, max_retries=3)
    return request.result


def look_again(client: Any) -> None:
    """Let the time pass after which servers are asked again."""
    client._knowledge.due = float("-inf")


def test_a_client_uses_the_servers_that_it_is_told(three: list[Member]) -> None:
    with gearman.GearmanClient([three[0].address], discover=True) as client:
        results = {submit(client) for _ in range(100)}
        assert addresses(client) == [each.address for each in three]
    assert results == {each.address for each in three}
    assert [each.questions for each in three] == [1, 0, 0]


def test_by_default_nobody_is_asked(three: list[Member]) -> None:
    with gearman.GearmanClient([three[0].address]) as client:
        assert submit(client) == three[0].address
        assert addresses(client) == [three[0].address]
    assert three[0].questions == 0


def test_a_client_goes_on_with_others_when_its_server_dies(three: list[Member]) -> None:
    with gearman.GearmanClient([three[0].address], discover=True) as client:
        submit(client)
        three[0].close()
        assert {submit(client) for _ in range(50)} == {
            each.address for each in three[1:]
        }


def test_a_loss_makes_a_client_ask_again(three: list[Member]) -> None:
    with gearman.GearmanClient([three[0].address], discover=True) as client:
        for _ in range(50):
            submit(client)
        with members(1) as (fourth,):
            for each in three[1:]:
                assert each.tells is not None
                each.tells = [*each.tells[1:], fourth.address]
            three[0].close()
            # Servers may be asked again after a second.
            client._knowledge._asked -= 2.0
            until(lambda: submit(client) == fourth.address)


def test_a_server_that_is_gone_is_not_tried_again(three: list[Member]) -> None:
    with gearman.GearmanClient([three[0].address], discover=True) as client:
        submit(client)
        client.shutdown()
        three[2].close()
        for each in three:
            each.tells = [member.address for member in three[:2]]
        look_again(client)
        assert submit(client) in addresses(client)
        assert addresses(client) == [each.address for each in three[:2]]


def test_another_name_of_a_given_server_gives_no_second_connection() -> None:
    with members(2) as (given, other):
        given.own = "gear1.test:4730"
        given.tells = [given.own, other.address]
        other.tells = given.tells
        with gearman.GearmanClient([given.address], discover=True) as client:
            submit(client)
            look_again(client)
            submit(client)
            assert addresses(client) == [given.address, other.address]


def test_a_server_without_clusters_changes_nothing() -> None:
    with members(1) as (only,):
        only.tells = None
        with gearman.GearmanClient([only.address], discover=True) as client:
            for _ in range(3):
                look_again(client)
                assert submit(client) == only.address
            assert addresses(client) == [only.address]
        assert only.questions == 1


def test_a_silent_server_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "PATIENCE", 0.05)
    with members(1) as (only,):
        only.silent = True
        with gearman.GearmanClient([only.address], discover=True) as client:
            for _ in range(3):
                look_again(client)
                assert submit(client) == only.address
        assert only.questions == 1


def test_a_server_that_closes_tells_nothing() -> None:
    host, port = unanswered().split(":")
    assert servers_told(GearmanConnection(host, int(port))) is None
    with HandServer() as server:
        host, port = server.address.split(":")
        connection = GearmanConnection(host, int(port))
        connection.connect_timeout = None
        told = meanwhile(servers_told, connection)
        conversation = server.accept()
        assert conversation.read_line() == b"show cluster\n"
        conversation.send_bytes(b'{"kind": "server", "address": "a:1"}\n')
        conversation.close()
        assert told.result(DEADLINE) is None


def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "LONGEST_ANSWER", 1000)
    with HandServer() as server:
        host, port = server.address.split(":")
        told = meanwhile(servers_told, GearmanConnection(host, int(port)))
        server.accept().send_bytes(b'{"kind": "server", "address": "a:1"}\n' * 100)
        assert told.result(DEADLINE) is None


def test_without_a_server_the_error_is_the_same() -> None:
    with (
        gearman.GearmanClient([unanswered()], discover=True) as client,
        pytest.raises(ServerUnavailable),
    ):
        submit(client)


def test_the_second_given_server_is_asked_if_the_first_is_down(
    three: list[Member],
) -> None:
    given = [unanswered(), three[1].address]
    with gearman.GearmanClient(given, discover=True) as client:
        for _ in range(20):
            submit(client)
        assert set(addresses(client)) == {*given, *(each.address for each in three)}


def test_an_admin_client_asks_its_own_server_only(three: list[Member]) -> None:
    with gearman.GearmanAdminClient([three[0].address], discover=True) as admin:
        assert [row.get("address") for row in admin.get_cluster()] == [
            *(None, *(each.address for each in three))
        ]
        assert addresses(admin) == [three[0].address]


@pytest.mark.parametrize("by_files", [True, False])
def test_learned_servers_have_tls_as_the_given_one(
    certificate: dict[str, str], by_files: bool
) -> None:
    with (
        members(2) as (first, second),
        tls_front(certificate, first.port) as one,
        tls_front(certificate, second.port) as two,
    ):
        first.own = f"localhost:{one}"
        first.tells = second.tells = [first.own, f"localhost:{two}"]
        given: Any = {"host": "localhost", "port": one, **certificate}
        options: dict[str, Any] = {}
        if not by_files:
            context = ssl.create_default_context(cafile=certificate["ca_certs"])
            context.load_cert_chain(certificate["certfile"], certificate["keyfile"])
            given, options = given["host"] + f":{one}", {"ssl_context": context}
        with gearman.GearmanClient([given], discover=True, **options) as client:
            found = {submit(client) for _ in range(30)}
        assert found == {first.address, second.address}


def test_a_worker_connects_to_all_servers(three: list[Member]) -> None:
    worker = gearman.GearmanWorker([three[0].address], discover=True)
    worker.register_task("f", lambda worker, job: "")
    with working(worker):
        until(lambda: all("PRE_SLEEP" in each.names for each in three))
        # The connection of a question may still be open.
        until(lambda: [each.peers for each in three] == [1, 1, 1])


def test_given_servers_with_other_names_are_connected_to_once(
    three: list[Member],
) -> None:
    told = [f"gear{number}.test:4730" for number in range(3)]
    for each, own in zip(three, told, strict=True):
        each.own, each.tells = own, told
    given = [each.address for each in three]
    worker = gearman.GearmanWorker(given, discover=True)
    with working(worker):
        until(lambda: all(each.questions for each in three))
        until(lambda: [each.peers for each in three] == [1, 1, 1])
    assert set(addresses(worker)) <= {*given, *told}


def test_a_worker_asks_again_after_a_loss_and_connects(three: list[Member]) -> None:
    worker = gearman.GearmanWorker([three[0].address], discover=True)
    with working(worker), members(1) as (fourth,):
        until(lambda: len(addresses(worker)) == 3)
        until(lambda: all(each.connected for each in worker.connection_list))
        for each in three[1:]:
            assert each.tells is not None
            each.tells = [*each.tells[1:], fourth.address]
        worker._knowledge._asked -= 2.0
        three[0].close()
        until(lambda: fourth.peers == 1)


def test_a_worker_asks_again_when_it_is_time(
    three: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "_INTERVAL", 0.05)
    worker = gearman.GearmanWorker([three[0].address], discover=True)
    three[0].tells = [three[0].address]
    with working(worker):
        until(lambda: three[0].questions > 1)
        three[0].tells = [each.address for each in three]
        until(lambda: all(each.peers for each in three))


def test_a_thread_may_use_a_server_that_another_has_learned_of() -> None:
    def look() -> bool:
        with client._exclusively():
            return client._find_servers(opening=True)

    with (
        members(1) as (other,),
        HandServer() as slow,
        gearman.GearmanClient([slow.address], discover=True) as client,
    ):
        client._knowledge.asked(time.monotonic())
        waiting = meanwhile(client.submit_job, "f", "", max_retries=1)
        conversation = slow.accept()
        conversation.expect("OPTION_REQ", "SUBMIT_JOB")
        until(lambda: client._turns.polling)
        look_again(client)
        looking = meanwhile(look)
        row = {"kind": "server", "address": other.address}
        slow.accept().send_bytes(json.dumps(row).encode() + b"\n.\n")
        assert looking.result(DEADLINE)
        slow.listener.close()
        conversation.close()
        assert waiting.result(DEADLINE).result == other.address
