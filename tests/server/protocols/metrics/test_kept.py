"""Lines of functions that are kept from one scrape to the next."""

from gearman.commands import Command
from gearman.server.protocols.metrics.exposition import Exposition


def lines(exposition: Exposition, *words: str) -> list[str]:
    text = b"".join(exposition.pieces()).decode()
    return [line for line in text.splitlines() if all(word in line for word in words)]


def test_kept_lines_are_as_those_that_were_made_anew(server) -> None:
    for name in (b"f", b"g"):
        worker = server.connect().can_do(name)
        server.connect().submit(name)
        server.after(1.5)
        worker.send(Command.WORK_COMPLETE, worker.grab(), b"result")
    kept = Exposition(server.site)
    fresh = b"".join(kept.pieces())
    assert [b"".join(kept.pieces()) for _ in range(3)] == [fresh] * 3


def test_kept_lines_change_with_their_numbers(server) -> None:
    exposition = Exposition(server.site)
    submitted = 'gearman_jobs_total{function="f",event="submitted"}'
    for count in (1, 2, 3):
        server.connect().submit(b"f")
        server.connect().submit(b"g")
        for _ in range(3):
            assert lines(exposition, submitted) == [f"{submitted} {count}"]
    worker = server.connect().can_do(b"f")
    worker.grab()
    waited = 'gearman_job_wait_seconds_count{function="f"}'
    assert lines(exposition, waited) == [f"{waited} 1"]
    worker.grab()
    assert lines(exposition, waited) == [f"{waited} 2"]


def test_wait_of_no_time_at_all_is_seen(server) -> None:
    exposition = Exposition(server.site)
    worker = server.connect().can_do()
    server.connect().submit()
    worker.grab()
    for _ in range(3):
        lines(exposition)
    # All of this happens at one time of the server's clock.
    worker.send(Command.WORK_COMPLETE, b"H:test:1", b"")
    server.connect().submit()
    worker.grab()
    waited = 'gearman_job_wait_seconds_count{function="f"}'
    assert lines(exposition, waited) == [f"{waited} 2"]


def test_nothing_is_kept_of_a_function_that_has_gone(server) -> None:
    exposition = Exposition(server.site)
    server.connect().ask(b"create function short")
    for _ in range(3):
        assert lines(exposition, 'gearman_jobs{function="short"}')
    server.connect().ask(b"drop function short")
    assert not lines(exposition, 'function="short"')


def test_lines_stand_in_order_if_some_are_kept_and_others_are_new(server) -> None:
    exposition = Exposition(server.site)
    names = [b"%d" % number for number in range(8)]
    for name in names:
        server.connect().submit(name)
    for _ in range(2):
        lines(exposition)
    for name in (b"0", b"3", b"4", b"7"):
        server.connect().submit(name)
    text = b"".join(exposition.pieces())
    assert text == b"".join(Exposition(server.site).pieces())
