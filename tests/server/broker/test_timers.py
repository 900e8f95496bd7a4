"""Timers of many jobs: what is due comes in order, however many were stopped."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gearman.commands import Command
from gearman.server.broker.constants import SWEEP
from gearman.server.broker.places import GROUP_SIZE, MANY_DUE, MANY_SKIPPED
from tests.server.conftest import Server


def schedule(server: Server, seconds: int) -> bytes:
    """Submit a job for later, and return its handle."""
    when = b"%d" % (server.wall + seconds)
    client = server.connect()
    ((_, handle),) = client.send(Command.SUBMIT_JOB_EPOCH, b"f", b"", when, b"w")
    assert isinstance(handle, bytes)
    return handle


def started(server: Server) -> list[bytes]:
    """Return the handles of the jobs that may be started, in order."""
    worker = server.connect().can_do()
    handles = []
    while (handle := worker.grab()) is not None:
        handles.append(handle)
    return handles


# A step: a time at which a job is due, which job is cancelled if any, how much later.
steps = st.tuples(
    st.integers(1, 500), st.none() | st.integers(0, 1000), st.integers(0, 3)
)


@settings(max_examples=50)
@given(st.lists(steps, min_size=100, max_size=300))
def test_scheduled_jobs_are_started_in_the_order_of_their_times(
    changes: list[tuple[int, int | None, int]],
):
    server = Server()
    due: dict[bytes, float] = {}
    ran: list[bytes] = []
    expected: list[bytes] = []

    def go_on(seconds: float) -> None:
        server.after(seconds)
        ran.extend(started(server))
        now = [handle for handle, time in due.items() if time <= server.wall]
        expected.extend(sorted(now, key=due.__getitem__))
        for handle in now:
            del due[handle]

    for seconds, cancelled, pause in changes:
        due[schedule(server, seconds)] = server.wall + seconds
        if cancelled is not None:
            for handle in list(due)[cancelled % len(due) :][:3]:
                server.broker.cancel(handle)
                del due[handle]
        go_on(pause)
        assert not due or server.broker.delay() <= min(due.values()) - server.wall
    go_on(1000)
    assert ran == expected


def test_many_timers_of_one_time_that_were_stopped_take_one_turn(server: Server):
    handles = [schedule(server, 10) for _ in range(5 * GROUP_SIZE + 50)]
    for handle in handles[:-1]:
        server.broker.cancel(handle)
    assert server.after(10) > 0
    assert started(server) == [handles[-1]]


def test_many_timers_of_one_time_are_over_in_several_turns(server: Server):
    handles = [schedule(server, 10) for _ in range(2 * MANY_DUE + 50)]
    turns = 1
    while server.after(10 if turns == 1 else 0) <= 0:
        turns += 1
    assert turns == 3
    assert started(server) == handles


def test_stopped_timers_of_many_times_are_skipped_in_several_turns(server: Server):
    handles = [schedule(server, number + 1) for number in range(3 * MANY_SKIPPED)]
    for handle in handles[::2]:
        server.broker.cancel(handle)
    turns = 1
    while server.after(4 * MANY_SKIPPED if turns == 1 else 0) <= 0:
        turns += 1
    assert turns == 3
    assert started(server) == handles[1::2]


def test_timers_that_have_all_ended_take_no_memory(server: Server):
    for number in range(200):
        server.broker.cancel(schedule(server, number + 1))
    timers = server.broker.places.scheduled
    assert len(timers._groups) <= 2


def test_stopped_timers_do_not_pile_up(server: Server):
    handles = [schedule(server, number % 977 + 1) for number in range(5000)]
    for handle in handles[10:]:
        server.broker.cancel(handle)
    timers = server.broker.places.scheduled
    assert len(timers._entries) + len(timers._old) <= 2 * 10 + 4 * SWEEP
    server.after(1000)
    assert len(started(server)) == 10


def test_timeouts_within_a_thousandth_of_their_time_end_together(server: Server):
    worker = server.connect()
    worker.send(Command.CAN_DO_TIMEOUT, b"f", b"1000000")
    client = server.connect()
    for pause in (0.5, 2, 0):
        client.send(Command.SUBMIT_JOB, b"f", b"", b"w")
        worker.grab()
        server.after(pause)
    running = worker.peer.jobs
    assert len(running) == 3
    server.after(997.5)
    assert len(running) == 1
