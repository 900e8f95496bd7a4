"""Links between real servers: they are opened, proved, watched, and closed."""

import asyncio
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import permutations
from math import inf
from pathlib import Path
from threading import Thread

import pytest

from gearman.commands import BOTH, RESPONSE, RESPONSES, Command
from gearman.framing import Decoder, Packet
from gearman.server.broker import Links as BrokerLinks
from gearman.server.cluster.links import MISSED, VERSION, Identity
from gearman.server.net.links import Links
from gearman.server.protocols.links.link import Link, Verb
from gearman.server.protocols.links.verbs import verbs
from gearman.server.settings.certificates import open_certificates
from gearman.server.settings.config import Config, Tls
from gearman.server.watch.limited_log import BURST
from gearman.text import SHOWN
from tests.certificates import Authority
from tests.cluster.proxy import Proxy
from tests.server.connections.test_connection import traces
from tests.server.net.test_listener import LOCAL, Running
from tests.server.net.test_listener import running as running  # noqa: PLC0414
from tests.servers import DEADLINE, HOST
from tests.wire import Peer, packet

SECRET = b"a secret that both know"
NONCE = b"0123456789abcdef" * 2


@dataclass
class Server:
    """A server of the cluster, and what has come over its links."""

    id: int
    address: str
    links: Links
    running: Running
    verbs: Callable[[Link], Mapping[int, Verb]] | None = None
    got: list[tuple[int, tuple[bytes, ...]]] = field(default_factory=list)

    def link(self, other: "Server") -> Link:
        return self.links.up[other.id][0]

    def until_linked(self, other: "Server") -> None:
        """Return when there is a link, and a ping was answered."""
        up = self.links.up
        self.running.until(
            lambda: other.id in up and up[other.id][0].course.lag < DEADLINE
        )

    def until_alone(self) -> None:
        self.running.until(lambda: not self.links.up)

    def until_got(self, count: int) -> None:
        self.running.until(lambda: len(self.got) == count)

    def use(self, link: Link) -> Mapping[int, Verb]:
        """Return the `verbs`, or some that keep what has come."""
        if self.verbs is not None:
            return self.verbs(link)

        def take(number: int, *arguments: bytes) -> None:
            self.got.append((number, arguments))

        def count(name: bytes, text: bytes, ahead: bytes) -> None:
            take(Command.GRAB_JOBS, b"%d" % int(text))

        numbers = (Command.WORK_COMPLETE, Command.JOB_CREATED + RESPONSES)
        verbs = {int(number): partial(take, int(number)) for number in numbers}
        return {**verbs, int(Command.GRAB_JOBS): count}

    def send(self, other: "Server", data: bytes) -> None:
        """Send a request, a response and a request over the link to another server."""
        link = self.link(other)

        def run() -> None:
            self.running.listener._turns.begin()
            link.request(Command.WORK_COMPLETE, (b"H:1", b""))
            link.respond(Command.JOB_CREATED, (b"H:2",))
            link.request(Command.WORK_COMPLETE, (b"H:3", data))

        self.running.call(run)

    def stop_pings(self, other: "Server") -> None:
        """Send no more pings to another server; return when the last is answered."""
        course = self.link(other).course

        def stop() -> None:
            course.due = inf

        self.running.call(stop)
        self.running.until(lambda: course.answered == course.pinged)

    def failures(self, other: int) -> int:
        """Return how often another server could not be linked."""
        contact = self.links._contacts._contacts.get(other)
        return 0 if contact is None else contact.failures


def sent(data: bytes) -> list[tuple[int, tuple[bytes, ...]]]:
    """Return what `Server.send` sends."""
    return [
        (Command.WORK_COMPLETE, (b"H:1", b"")),
        (Command.JOB_CREATED + RESPONSES, (b"H:2",)),
        (Command.WORK_COMPLETE, (b"H:3", data)),
    ]


class Cluster:
    """Servers, and the addresses at which they believe to find each other."""

    def __init__(
        self, run: Callable[..., AbstractContextManager[Running]], stack: ExitStack
    ) -> None:
        self.members: dict[int, Server] = {}
        self.departed: set[int] = set()
        self._run = run
        self._stack = stack

    def add(
        self,
        number: int,
        config: Config = LOCAL,
        *,
        secret: bytes | None = SECRET,
        name: str = "fleet",
        lease: float = 10.0,
        proxy: Callable[[int], int] = int,
        prepared: Callable[[Server], None] = lambda server: None,
    ) -> Server:
        """Start a server; `proxy` returns the port at which others look for it.

        `prepared` is called with it before it has any link.
        """
        found: list[Server] = []

        def prepare(running: Running) -> None:
            address = f"{HOST}:{proxy(running.addresses[0][1])}"
            me = Identity(name, number, 7, address)
            links = Links(
                *(me, lambda: self.members, secret, lease),
                lambda link: found[0].use(link),
                lambda server, epoch: server in self.departed,
            )
            if config.tls is not None:
                certificates = open_certificates(config.tls, dials=True)
                running.listener._certificates = certificates
            running.listener.links = links
            found.append(Server(number, address, links, running))
            prepared(found[0])

        self._stack.enter_context(self._run(config, prepare=prepare))
        self.members = {**self.members, number: found[0]}
        self.tell()
        return found[0]

    def tell(self) -> None:
        """Let all servers look at the members."""
        for each in self.members.values():
            each.running.call(each.links.changed)


@pytest.fixture
def cluster(running) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(running, stack)


def lose_link(first: Server, second: Server) -> None:
    """Have two servers lose their link, and wait until all of it is freed."""
    left: list[weakref.ref[object]] = []
    for one, other in permutations((first, second)):
        one.until_linked(other)
        link = one.link(other)
        left += [weakref.ref(link), *traces(link.peer.connection)]
    first.running.call(partial(first.link(second).end, "it is no more needed"))
    del link
    first.running.until(lambda: not any(one() for one in left))


class TestLinks:
    def test_the_server_with_the_lower_id_opens_the_link(self, cluster):
        first, second = cluster.add(1), cluster.add(2)
        first.until_linked(second)
        second.until_linked(first)
        assert (first.link(second).dialed, second.link(first).dialed) == (2, 0)
        other = second.link(first).other
        assert other == Identity("fleet", 1, 7, first.address)

    def test_three_servers_have_a_link_for_each_two(self, cluster):
        servers = [cluster.add(number) for number in (5, 3, 4)]
        for one, other in permutations(servers, 2):
            one.until_linked(other)

    def test_requests_and_responses_go_both_ways(self, cluster):
        large = b"x" * 1_000_000
        for one, other in permutations([cluster.add(1), cluster.add(2)]):
            one.until_linked(other)
            one.send(other, large)
            other.until_got(3)
            assert other.got == sent(large)

    def test_a_packet_that_is_not_for_links_ends_the_link(self, cluster, messages):
        first, second = cluster.add(1), cluster.add(2)
        first.until_linked(second)
        link = first.link(second)
        first.running.call(lambda: link.request(Command.CAN_DO, (b"f",)))
        text = f"{first.address} is lost: it sent packet 1, which is not for links"
        second.running.until(lambda: messages.count(text))
        first.until_linked(second)

    def test_a_packet_that_cannot_be_read_ends_the_link(self, cluster, messages):
        first, second = cluster.add(1), cluster.add(2)
        first.until_linked(second)
        link = first.link(second)
        first.running.call(lambda: link.request(Command.GRAB_JOBS, (b"f", b"x", b"0")))
        text = f"{first.address} is lost: its GRAB_JOBS is wrong: invalid literal"
        second.running.until(lambda: messages.count(text))
        first.until_linked(second)

    def test_a_link_ends_once(self, cluster):
        first, second = cluster.add(1), cluster.add(2)
        first.until_linked(second)
        link = first.link(second)

        def end() -> None:
            link.end("for one reason")
            link.end("for another")

        first.running.call(end)
        assert link.reason == "for one reason"
        first.until_linked(second)

    @pytest.mark.usefixtures("no_collector")
    def test_a_lost_link_is_freed_without_the_collector(self, cluster):
        lose_link(cluster.add(1), cluster.add(2))

    def test_limits_of_clients_are_not_those_of_links(self, cluster):
        config = replace(LOCAL, max_outbox=1000, max_packet=1000)
        for one, other in permutations(
            [cluster.add(1, config), cluster.add(2, config)]
        ):
            one.until_linked(other)
            one.send(other, b"x" * 30_000)
            one.send(other, b"x" * 1_000_000)
            other.until_got(6)

    def test_much_goes_both_ways_at_the_same_time(self, cluster):
        large = b"x" * 20_000_000
        servers = [cluster.add(1), cluster.add(2)]
        for one, other in permutations(servers):
            one.until_linked(other)
        for one, other in permutations(servers):
            one.send(other, large)
        for server in servers:
            server.until_got(3)
            assert server.got == sent(large)

    def test_a_link_that_is_not_read_from_is_not_dead(self, cluster):
        first, second = cluster.add(1), cluster.add(2)
        first.until_linked(second)
        link, blocker = first.link(second), Blocker()
        pressure = link.peer.connection.pressure
        before = link.course.pinged

        def ping() -> None:
            """Send many pings at once, so that no answer comes in between."""
            pressure.held(blocker)
            for _ in range(3 * MISSED):
                link.course.due = 0.0
                link.tick()

        first.running.call(ping)
        assert link.course.pinged >= before + 3 * MISSED
        assert first.link(second) is link
        first.running.call(lambda: pressure.released_by(blocker))
        first.until_linked(second)

    def test_a_server_that_stops_is_dialed_again_when_it_is_back(
        self, cluster, messages
    ):
        first, second = cluster.add(1), cluster.add(2)
        first.until_linked(second)
        second.running.end()
        first.until_alone()
        assert messages.count(f"the link to {second.address} is lost: ") == 1
        # The threads of the servers may look at the members meanwhile.
        cluster.members = {1: first}
        first.until_linked(cluster.add(2))

    def test_a_newer_link_replaces_the_one_before(self, cluster):
        first, second = cluster.add(1), cluster.add(2)
        second.until_linked(first)
        before = second.link(first)
        # As if it had come back before the end of its connection was noticed.
        again = cluster.add(1)
        second.running.until(lambda: second.link(again) is not before)
        second.until_linked(again)
        broker = second.running.listener.broker
        second.running.until(lambda: before.peer not in broker.peers)

    def test_a_link_to_a_server_that_has_left_is_closed(self, cluster):
        first, second = cluster.add(1, lease=0.0), cluster.add(2, lease=0.0)
        first.until_linked(second)
        cluster.members = {}
        first.running.call(first.links.changed)
        first.until_alone()
        second.until_alone()

    def test_a_server_that_has_left_and_does_not_know_is_refused(
        self, cluster, messages
    ):
        second = cluster.add(2)
        cluster.departed = {1}
        first = cluster.add(1)
        first.running.until(lambda: first.failures(2) > 1)
        assert (first.links.up, second.links.up) == ({}, {})
        refused = f"no link to {second.address}: it refuses: it has left the cluster"
        assert messages.count(refused) == 1

    def test_a_link_whose_connection_is_dead_is_closed(
        self, cluster, messages, monkeypatch
    ):
        with proxies() as proxy:
            first, second = cluster.add(1), cluster.add(2, proxy=proxy.open)
            first.until_linked(second)
            proxy.call(proxy.proxies[0].cut)
            # Not before: on a busy machine such a link often has no answer in time.
            with monkeypatch.context() as patch:
                patch.setattr("gearman.server.cluster.links.PING", 0.05)
                first.until_alone()
                second.until_alone()
            text = "is lost: nothing has come from it for 0.15 seconds"
            assert messages.count(f"the link to {second.address} {text}") == 1
            assert messages.count(f"the link to {first.address} {text}") == 1
            proxy.call(proxy.proxies[0].heal)
            first.until_linked(second)


class Blocker:
    """What keeps a connection from being read from."""

    def forget(self, producer: object) -> None:
        """It is gone."""


class Proxies:
    """Proxies in an event loop of their own."""

    def __init__(self) -> None:
        self.proxies: list[Proxy] = []
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self.loop.run_forever)
        self._thread.start()

    def open(self, port: int) -> int:
        proxy = Proxy(port)
        self.proxies.append(proxy)
        asyncio.run_coroutine_threadsafe(proxy.start(), self.loop).result(DEADLINE)
        return proxy.port

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in the thread of the proxies, and wait for it."""

        async def call() -> None:
            function()

        asyncio.run_coroutine_threadsafe(call(), self.loop).result(DEADLINE)

    def close(self) -> None:
        for proxy in self.proxies:
            asyncio.run_coroutine_threadsafe(proxy.close(), self.loop).result(DEADLINE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(DEADLINE)
        self.loop.close()


@contextmanager
def proxies() -> Iterator[Proxies]:
    found = Proxies()
    try:
        yield found
    finally:
        found.close()


class TestProofs:
    @pytest.mark.parametrize(
        ("secret", "name", "why"),
        [
            (b"another secret here", "fleet", "--cluster-secret-file has another"),
            (None, "fleet", "its proof is link-hmac, and link-local is needed"),
            (SECRET, "navy", "it belongs to the cluster fleet, not to navy"),
        ],
    )
    def test_a_server_without_the_proof_is_refused_and_both_say_so_once(
        self, cluster, messages, secret, name, why
    ):
        first, second = cluster.add(1), cluster.add(2, secret=secret, name=name)
        first.running.until(lambda: first.failures(2) >= 2)
        assert not first.links.up
        assert not second.links.up
        assert messages.count(why) == 2
        assert messages.count(f"no link to {second.address}: it refuses: ") == 1
        assert messages.count(f"no link from {HOST} (") == 1

    def test_servers_on_one_machine_need_no_proof(self, cluster):
        first, second = cluster.add(1, secret=None), cluster.add(2, secret=None)
        first.until_linked(second)

    def test_servers_on_different_machines_do(self, cluster, messages, monkeypatch):
        monkeypatch.setattr("gearman.server.net.links.LOOPBACK", ())
        first, second = cluster.add(1, secret=None), cluster.add(2, secret=None)
        first.running.until(lambda: first.failures(2))
        assert not second.links.up
        text = "there is neither a secret nor a certificate"
        assert messages.count(f"no link to {second.address}: {text}") == 1

    def test_nobody_listens_where_a_server_should_be(self, cluster, messages):
        first, second = cluster.add(1), cluster.add(2)
        first.until_linked(second)
        second.running.end()
        first.running.until(lambda: first.failures(2) >= 3)
        told = [it for it in messages.told if f"no link to {second.address}" in it]
        assert told == [f"no link to {second.address}: Connection refused"]

    def test_an_address_that_answers_nothing_is_given_up(
        self, cluster, messages, monkeypatch
    ):
        monkeypatch.setattr("gearman.server.cluster.links.PING", 0.02)
        with proxies() as proxy:
            second = cluster.add(2, proxy=proxy.open)
            proxy.call(proxy.proxies[0].cut)
            first = cluster.add(1)
            first.running.until(lambda: first.failures(2))
        text = "no proof came within 0.06 seconds"
        assert messages.count(f"no link to {second.address}: {text}") == 1


def hello(server: int, cluster: bytes = b"fleet") -> tuple[bytes, ...]:
    return cluster, b"%d" % server, b"1", b"there:1", NONCE, VERSION


class Foreign(Peer):
    """A connection that tries to become a link."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._decoder = Decoder(BOTH)

    def say(self, name: Command, *arguments: bytes) -> None:
        self.send_bytes(packet(int(name), *arguments))

    def packets(self) -> list[Packet]:
        """Return all packets until the server closes the connection."""
        return self._decoder.feed(self.receive_end())

    def refusal(self) -> bytes:
        """Return the text of the last packet, which must be an ERROR."""
        number, arguments = self.packets()[-1]
        assert number == Command.ERROR + RESPONSES
        assert isinstance(arguments, tuple)
        assert arguments[0] == b"LINK_REFUSED"
        return arguments[1]


class TestForeigners:
    @pytest.fixture
    def foreign(self, cluster) -> Iterator[Foreign]:
        port = cluster.add(9).running.addresses[0][1]
        with Foreign(port) as peer:
            yield peer

    def test_before_the_proof_nothing_else_is_accepted(self, foreign):
        foreign.say(Command.LINK_HELLO, *hello(1))
        foreign.say(Command.SUBMIT_JOB, b"f", b"", b"")
        assert foreign.refusal() == b"it sent another packet than the proof"

    def test_nor_a_line(self, foreign):
        foreign.say(Command.LINK_HELLO, *hello(1))
        foreign.send_line(b"version")
        assert foreign.refusal() == b"it sent another packet than the proof"

    def test_nor_a_large_packet(self, foreign):
        foreign.say(Command.LINK_HELLO, *hello(1))
        foreign.read_more(time.monotonic() + DEADLINE)
        foreign.say(Command.AUTH_REQ, b"link-hmac", b"x" * 5000)
        assert foreign.refusal().startswith(b"Packet of 5010 bytes is over the limit")

    def test_what_is_no_packet_ends_the_connection(self, foreign):
        foreign.say(Command.LINK_HELLO, *hello(1))
        foreign.send_bytes(b"\0REX" * 3)
        assert len(foreign.packets()) == 1

    def test_a_wrong_proof_is_refused(self, foreign):
        foreign.say(Command.LINK_HELLO, *hello(1))
        foreign.say(Command.AUTH_REQ, b"link-hmac", b"0" * 64)
        assert b"has another secret" in foreign.refusal()

    def test_no_proof_is_refused_in_words(self, foreign):
        foreign.say(Command.LINK_HELLO, *hello(1))
        foreign.say(Command.AUTH_REQ, b"", b"")
        assert foreign.refusal() == b"its proof is empty, and link-hmac is needed"

    def test_many_that_are_refused_do_not_fill_the_log(self, cluster, messages):
        port = cluster.add(9).running.addresses[0][1]
        for number in range(BURST + 5):
            with Foreign(port) as foreign:
                foreign.say(Command.LINK_HELLO, *hello(1, b"%d" % number))
                assert (
                    foreign.refusal()
                    == b"it belongs to the cluster %d, not to fleet" % number
                )
        assert messages.count(f"no link from {HOST}") == BURST

    def test_address_that_it_claims_is_shortened_in_the_log(self, cluster, messages):
        port = cluster.add(9).running.addresses[0][1]
        with Foreign(port) as foreign:
            cluster_, number, epoch, _, *rest = hello(1)
            address = b"\n" + b"x" * 1000
            foreign.say(Command.LINK_HELLO, cluster_, number, epoch, address, *rest)
            foreign.say(Command.AUTH_REQ, b"link-hmac", b"")
            foreign.refusal()
        found = "\\x0a" + "x" * (SHOWN - 1) + "..."
        text = f"no link from {HOST} ({found}): its --cluster-secret-file"
        assert messages.count(text) == 1

    def test_a_higher_id_is_refused(self, foreign):
        foreign.say(Command.LINK_HELLO, *hello(10))
        assert foreign.refusal() == b"the server with the lower id opens the link"

    @pytest.mark.parametrize("before", ["CAN_DO", "SUBMIT_JOB", "SET_CLIENT_ID"])
    def test_hello_has_to_be_the_first_packet(self, foreign, before):
        arguments = (b"f", b"", b"") if before == "SUBMIT_JOB" else (b"f",)
        foreign.send(before, *arguments)
        foreign.fence()
        answer = foreign.request(int(Command.LINK_HELLO), *hello(1))
        assert answer.name == "ERROR"
        assert answer.arguments[0] == b"INVALID_COMMAND"

    def test_responses_of_a_peer_that_is_no_link_are_refused_as_ever(self, foreign):
        foreign.send_bytes(packet("JOB_CREATED", b"H:1", magic=RESPONSE))
        answer = foreign.receive()
        assert answer.arguments == [b"INVALID_MAGIC", b"Request magic expected"]
        assert foreign.fence() == []


class TestJobs:
    """Jobs go over a link, whether the engine carries their packets out or not."""

    @pytest.fixture(params=[True, False])
    def pair(self, request, cluster) -> tuple[Server, Server]:
        def prepared(server: Server) -> None:
            jobs = BrokerLinks(server.running.listener.broker, 10.0)

            def use(link: Link) -> Mapping[int, Verb]:
                remote = jobs.up(link.peer, link.id, link.course)
                if request.param:
                    link.peer.connection.carry(jobs, remote)
                return verbs(jobs, remote)

            server.verbs = use

        first = cluster.add(1, prepared=prepared)
        second = cluster.add(2, prepared=prepared)
        first.until_linked(second)
        second.until_linked(first)
        return first, second

    def players(self, pair: tuple[Server, Server], stack: ExitStack) -> list[Peer]:
        """Return a client of the first server, and a worker of the second one."""
        ports = (server.running.addresses[0][1] for server in pair)
        client, worker = (stack.enter_context(Peer(port)) for port in ports)
        worker.send("CAN_DO", b"f")
        return [client, worker]

    @pytest.mark.parametrize("size", [0, 10, 100_000, 3_000_000])
    def test_results_of_any_size_come_back_in_order(self, pair, size):
        with ExitStack() as stack:
            client, worker = self.players(pair, stack)
            for _ in range(5):
                workload = b"a\0b" + b"w" * size
                client.send("SUBMIT_JOB", b"f", b"", workload)
                worker.send("PRE_SLEEP")
                assert worker.receive().name == "NOOP"
                job = worker.request("GRAB_JOB")
                handle, _, found = job.body.split(b"\0", 2)
                assert found == workload
                worker.send("WORK_DATA", handle, workload)
                worker.send("WORK_COMPLETE", handle, workload[::-1])
                assert client.expect("JOB_CREATED") == [handle]
                assert client.receive() == ("WORK_DATA", handle + b"\0" + workload)
                ended = handle + b"\0" + workload[::-1]
                assert client.receive() == ("WORK_COMPLETE", ended)

    @pytest.mark.usefixtures("no_collector")
    def test_a_lost_link_is_freed_without_the_collector(self, pair):
        with ExitStack() as stack:
            client, worker = self.players(pair, stack)
            client.send("SUBMIT_JOB", b"f", b"", b"w")
            worker.send("PRE_SLEEP")
            assert worker.receive().name == "NOOP"
            handle, *_ = worker.request("GRAB_JOB").arguments
            assert client.expect("JOB_CREATED") == [handle]
            lose_link(*pair)

    def test_many_jobs_are_done_once_each(self, pair):
        with ExitStack() as stack:
            client, worker = self.players(pair, stack)
            for number in range(200):
                client.send("SUBMIT_JOB", b"f", b"", b"%d" % number)
            done: list[int] = []
            while len(done) < 200:
                job = worker.request("GRAB_JOB")
                if job.name == "NO_JOB":
                    worker.send("PRE_SLEEP")
                    assert worker.receive().name == "NOOP"
                    continue
                handle, _, workload = job.body.split(b"\0", 2)
                worker.send("WORK_COMPLETE", handle, workload)
                done.append(int(workload))
            assert done == list(range(200))
            packets = [client.receive() for _ in range(400)]
            results = [p.arguments[1] for p in packets if p.name == "WORK_COMPLETE"]
            assert results == [b"%d" % number for number in done]

    @pytest.mark.parametrize(
        ("name", "arguments", "reason"),
        [
            ("GRAB_JOBS", (b"f", b"x", b"0"), "a number is x"),
            ("GRAB_JOBS", (b"f", b"0", b""), "a number is "),
            ("GRAB_JOBS", (b"f", b"0", b"9" * 19), "a number is 9999"),
            ("LINK_JOB", (b"H:1", b"f", b"", b"", b"1 0", b"w"), "no job was asked"),
            ("LINK_JOB", (b"H:1", b"f", b"", b"", b"7 0", b"w"), "a priority is wrong"),
            ("LINK_JOB", (b"H:1", b"f", b"", b"", b"", b"w"), "a priority is wrong"),
        ],
    )
    def test_what_cannot_be_read_ends_the_link(
        self, pair, messages, name, arguments, reason
    ):
        first, second = pair
        link = first.link(second)
        send = link.respond if name == "LINK_JOB" else link.request
        first.running.call(lambda: send(Command[name], arguments))
        text = f"{first.address} is lost: its {name} is wrong: {reason}"
        second.running.until(lambda: messages.count(text))
        first.until_linked(second)

    def test_link_over_which_only_jobs_come_is_alive(self, pair):
        first, second = pair
        with ExitStack() as stack:
            client, worker = self.players(pair, stack)
            link = second.link(first)
            # From here on there are no pings, and so no answers to them.
            for server, other in permutations(pair):
                server.stop_pings(other)
            second.running.call(link._is_alive)
            client.send("SUBMIT_JOB", b"f", b"", b"w")
            worker.send("PRE_SLEEP")
            assert worker.receive().name == "NOOP"
            alive: list[bool] = []
            second.running.call(lambda: alive.append(link._is_alive()))
            assert alive == [True]

    def test_link_that_has_ended_carries_out_nothing(self, pair):
        first, second = pair
        with ExitStack() as stack:
            client, worker = self.players(pair, stack)
            worker.send("PRE_SLEEP")
            worker.fence()
            first.running.call(lambda: first.link(second).end("for the test"))
            first.until_linked(second)
            client.send("SUBMIT_JOB", b"f", b"", b"w")
            assert worker.receive().name == "NOOP"
            assert worker.request("GRAB_JOB").name == "JOB_ASSIGN"


def test_without_a_cluster_a_link_is_refused(running):
    with running() as server, server.peer() as peer:
        answer = peer.request(int(Command.LINK_HELLO), *hello(1))
        assert answer.arguments == [b"INVALID_COMMAND", b"Command not expected"]
        assert peer.fence() == []


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    def config(self, authority: Authority, *, verify: bool) -> Config:
        path = str(authority.server)
        files = Tls(path, path)
        if verify:
            files = Tls(path, path, str(authority.path), "required")
        return replace(LOCAL, tls=files)

    def test_links_use_tls_if_the_servers_do(self, cluster, authority):
        config = self.config(authority, verify=False)
        large = b"x" * 1_000_000
        for one, other in permutations(
            [cluster.add(1, config), cluster.add(2, config)]
        ):
            one.until_linked(other)
            one.send(other, large)
            other.until_got(3)
            assert other.got == sent(large)

    @pytest.mark.usefixtures("no_collector")
    def test_a_lost_link_is_freed_without_the_collector(self, cluster, authority):
        config = self.config(authority, verify=False)
        lose_link(cluster.add(1, config), cluster.add(2, config))

    def test_certificates_are_a_proof(self, cluster, authority, monkeypatch):
        monkeypatch.setattr("gearman.server.net.links.LOOPBACK", ())
        config = self.config(authority, verify=True)
        first = cluster.add(1, config, secret=None)
        second = cluster.add(2, config, secret=None)
        first.until_linked(second)

    def test_a_certificate_of_another_authority_is_refused(
        self, cluster, authority, messages, tmp_path
    ):
        (tmp_path / "other").mkdir()
        other = Authority(tmp_path / "other")
        first = cluster.add(1, self.config(authority, verify=True))
        second = cluster.add(2, self.config(other, verify=False))
        first.running.until(lambda: first.failures(2))
        text = f"no link to {second.address}: TLS: its certificate is refused"
        assert messages.count(text) == 1

    def test_a_server_without_tls_is_no_link(self, cluster, authority, messages):
        first = cluster.add(1, self.config(authority, verify=False))
        second = cluster.add(2)
        first.running.until(lambda: first.failures(2))
        assert messages.count(f"no link to {second.address}: ") == 1
