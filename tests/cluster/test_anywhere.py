"""Jobs and workers at any of three real servers of a cluster."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import permutations
from pathlib import Path

import pytest

from tests.crash.process import Server
from tests.queues.backend_postgres import Cluster, cluster
from tests.wire import Packet, Peer

from .anywhere import Site, site, skip, take, until

pytestmark = pytest.mark.interop

STATUS = 4, 5


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="module")
def three(
    postgres: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Servers that outlive the tests."""
    with site(postgres, tmp_path_factory.mktemp("three"), "three") as found:
        yield found


@pytest.fixture
def mortal(
    postgres: Cluster, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Site]:
    """Servers of one test."""
    with site(postgres, tmp_path, request.node.name[:60]) as found:
        yield found


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def name(request: pytest.FixtureRequest) -> bytes:
    """A function of this test only."""
    return str(request.node.name).encode()


def connect(peers: ExitStack, server: Server) -> Peer:
    return peers.enter_context(Peer(server.port))


def worker_at(peers: ExitStack, server: Server, name: bytes) -> Peer:
    worker = connect(peers, server)
    worker.send("CAN_DO", name)
    return worker


def submit(client: Peer, name: bytes, unique: bytes, workload: bytes) -> bytes:
    client.send("SUBMIT_JOB", name, unique, workload)
    return client.expect("JOB_CREATED")[0]


def submit_background(
    client: Peer, name: bytes, unique: bytes, workload: bytes
) -> bytes:
    client.send("SUBMIT_JOB_BG", name, unique, workload)
    return client.expect("JOB_CREATED")[0]


def run(client: Peer, worker: Peer, handle: bytes, workload: bytes) -> None:
    """Let a worker do a job of a client, and send all kinds of packets."""
    assert take(worker)[::2] == [handle, workload]
    large = b"\0x" * 1_000_000
    worker.send("WORK_DATA", handle, b"one")
    worker.send("WORK_STATUS", handle, b"1", b"2")
    worker.send("WORK_WARNING", handle, b"careful")
    worker.send("WORK_DATA", handle, large)
    worker.send("WORK_COMPLETE", handle, b"done")
    assert client.expect("WORK_DATA") == [handle, b"one"]
    assert client.expect("WORK_STATUS") == [handle, b"1", b"2"]
    assert client.expect("WORK_WARNING") == [handle, b"careful"]
    assert client.receive() == Packet("WORK_DATA", handle + b"\0" + large)
    assert client.expect("WORK_COMPLETE") == [handle, b"done"]


def test_foreground_jobs_are_done_by_workers_of_other_servers(three, peers, name):
    for place, (here, there) in enumerate(permutations(three.servers, 2)):
        function = b"%s%d" % (name, place)
        client = connect(peers, here)
        worker = worker_at(peers, there, function)
        handle = submit(client, function, b"", b"load")
        run(client, worker, handle, b"load")
        for home in three.servers:
            unique = three.unique_of(home)
            handle = submit(client, function, unique, b"other")
            run(client, worker, handle, b"other")


def test_exceptions_and_failures_reach_clients_of_other_servers(three, peers, name):
    here, there, home = three.servers
    client, worker = connect(peers, here), worker_at(peers, there, name)
    client.request("OPTION_REQ", b"exceptions")
    for unique in (b"", three.unique_of(home)):
        handle = submit(client, name, unique, b"x")
        take(worker)
        worker.send("WORK_EXCEPTION", handle, b"broken")
        assert client.expect("WORK_EXCEPTION") == [handle, b"broken"]
        handle = submit(client, name, unique, b"x")
        take(worker)
        worker.send("WORK_FAIL", handle)
        assert client.expect("WORK_FAIL") == [handle]


def test_background_jobs_are_done_once_by_workers_of_another_server(three, peers, name):
    here, there, _ = three.servers
    client = connect(peers, here)
    workers = [worker_at(peers, there, name) for _ in range(2)]
    loads = {b"%d" % n for n in range(60)}
    for n, load in enumerate(sorted(loads)):
        submit_background(client, name, load if n % 2 else b"", load)
    done = []
    for n in range(60):
        worker = workers[n % 2]
        handle, _, load = take(worker)
        worker.send("WORK_COMPLETE", handle, b"")
        done.append(load)
    assert len(done) == 60
    assert set(done) == loads
    until(lambda: not three.stored())


def test_a_unique_is_one_job_for_clients_of_all_servers(three, peers, name):
    clients = [connect(peers, server) for server in three.servers]
    worker = worker_at(peers, three.servers[0], name)
    for home in three.servers:
        unique = three.unique_of(home)
        handles = {submit(client, name, unique, b"x") for client in clients}
        assert len(handles) == 1
        handle, *_ = take(worker)
        assert handles == {handle}
        worker.send("GRAB_JOB")
        assert skip(worker, "NOOP").name == "NO_JOB"
        worker.send("WORK_COMPLETE", handle, b"for all")
        for client in clients:
            assert client.expect("WORK_COMPLETE") == [handle, b"for all"]


def test_status_result_and_cancel_by_a_server_that_has_nothing_of_the_job(
    three, peers, name
):
    here, there, third = three.servers
    client, other = connect(peers, here), connect(peers, third)
    worker = worker_at(peers, there, name)
    client.send("SUBMIT_JOB_WITH", name, b"", b"keep=60&background=1", b"x")
    (handle,) = client.expect("JOB_CREATED")
    take(worker)
    worker.send("WORK_STATUS", handle, *(b"%d" % part for part in STATUS))
    running = [handle, b"1", b"1", b"4", b"5"]
    until(lambda: other.request("GET_STATUS", handle).arguments == running)
    worker.send("WORK_COMPLETE", handle, b"kept")
    kept = [handle, b"DONE", b"kept"]
    until(lambda: other.request("GET_RESULT", handle).arguments[0::2] == kept[0::2])

    queued = submit_background(client, name + b" queued", b"", b"x")
    assert other.ask(b"cancel job " + queued).startswith(b"OK")
    status = [queued, b"0", b"0", b"0", b"0"]
    assert client.request("GET_STATUS", queued).arguments == status


def test_a_job_goes_on_while_links_are_cut(three, peers, name):
    here, there, _ = three.servers
    client, worker = connect(peers, here), worker_at(peers, there, name)
    handle = submit(client, name, b"", b"x")
    take(worker)
    worker.send("WORK_DATA", handle, b"part")
    assert client.expect("WORK_DATA") == [handle, b"part"]
    three.cut("sever")
    # Only the end is sent again if it was under way.
    worker.send("WORK_COMPLETE", handle, b"done")
    assert client.expect("WORK_COMPLETE") == [handle, b"done"]
    three.linked()


def test_a_job_is_done_although_all_links_were_dead(three, peers, name):
    here, there, _ = three.servers
    client, worker = connect(peers, here), worker_at(peers, there, name)
    handle = submit(client, name, b"", b"x")
    take(worker)
    three.cut("cut")
    three.linked("down")
    worker.send("WORK_COMPLETE", handle, b"done")
    three.cut("heal")
    assert client.expect("WORK_COMPLETE") == [handle, b"done"]
    three.linked()


def test_a_job_is_run_again_when_the_server_of_its_worker_is_killed(
    mortal, peers, name
):
    here, there, third = mortal.servers
    client = connect(peers, here)
    first = worker_at(peers, there, name)
    handle = submit(client, name, b"", b"x")
    take(first)
    second = worker_at(peers, third, name)
    mortal.do(mortal.fleet.remove(there, signal.SIGKILL))
    assert take(second)[0] == handle
    second.send("WORK_COMPLETE", handle, b"again")
    assert client.expect("WORK_COMPLETE") == [handle, b"again"]


def test_running_jobs_of_a_server_that_is_killed_go_on_and_end_once(
    mortal, peers, name
):
    home, there, third = mortal.servers
    client, other = connect(peers, home), connect(peers, third)
    workers = [worker_at(peers, there, name) for _ in range(8)]
    handles = {}
    for worker in workers:
        submit_background(client, name, b"", b"x")
        handles[worker] = take(worker)[0]
    waiting = submit(other, name + b" later", mortal.unique_of(home), b"y")
    started = submit(other, name, mortal.unique_of(home), b"z")
    last = worker_at(peers, there, name)
    take(last)
    mortal.do(mortal.fleet.remove(home, signal.SIGKILL))
    assert other.expect("WORK_FAIL") == [started]
    until(lambda: mortal.fleet.owned() == [32, 32])
    for worker, handle in handles.items():
        worker.send("WORK_COMPLETE", handle, b"")
    until(lambda: not mortal.stored())
    again = worker_at(peers, third, name)
    again.send("GRAB_JOB")
    assert again.receive().name == "NO_JOB"
    later = worker_at(peers, there, name + b" later")
    found = take(later)[0]
    later.send("WORK_COMPLETE", found, b"late")
    assert other.expect("WORK_COMPLETE") == [waiting, b"late"]


def test_a_drained_server_ends_when_workers_of_others_have_done_its_jobs(
    mortal, peers, name
):
    here, there, _ = mortal.servers
    client, worker = connect(peers, here), worker_at(peers, there, name)
    handle = submit(client, name, b"", b"x")
    take(worker)
    here.process.send_signal(signal.SIGUSR1)
    until(lambda: mortal.fleet.owned() == [0, 32, 32])
    worker.send("WORK_COMPLETE", handle, b"done")
    assert client.expect("WORK_COMPLETE") == [handle, b"done"]
    mortal.do(here.process.wait())
    assert here.process.returncode == 0
