"""Lines of functions that are kept from one scrape to the next."""

from collections.abc import Iterator

from gearman.commands import Command
from gearman.server.protocols.metrics.rows import Row, Rows
from gearman.server.protocols.metrics.samples import PlainSamples


class Text:
    """The samples of a server's functions, as plain Python makes them."""

    def __init__(self, server) -> None:
        self._rows = Rows(server.broker, 1000)
        self._samples = PlainSamples()

    def pieces(self) -> Iterator[bytes]:
        rows: list[Row] = []
        for _ in self._rows.fill(rows):
            pass
        return self._samples.pieces(rows)


def lines(text: Text, *words: str) -> list[str]:
    found = b"".join(text.pieces()).decode().splitlines()
    return [line for line in found if all(word in line for word in words)]


def test_kept_lines_are_as_those_that_were_made_anew(server) -> None:
    for name in (b"f", b"g"):
        worker = server.connect().can_do(name)
        server.connect().submit(name)
        server.after(1.5)
        worker.send(Command.WORK_COMPLETE, worker.grab(), b"result")
    kept = Text(server)
    fresh = b"".join(kept.pieces())
    assert [b"".join(kept.pieces()) for _ in range(3)] == [fresh] * 3


def test_kept_lines_change_with_their_numbers(server) -> None:
    text = Text(server)
    submitted = 'gearman_jobs_total{function="f",event="submitted"}'
    for count in (1, 2, 3):
        server.connect().submit(b"f")
        server.connect().submit(b"g")
        for _ in range(3):
            assert lines(text, submitted) == [f"{submitted} {count}"]
    worker = server.connect().can_do(b"f")
    worker.grab()
    waited = 'gearman_job_wait_seconds_count{function="f"}'
    assert lines(text, waited) == [f"{waited} 1"]
    worker.grab()
    assert lines(text, waited) == [f"{waited} 2"]


def test_wait_of_no_time_at_all_is_seen(server) -> None:
    text = Text(server)
    worker = server.connect().can_do()
    server.connect().submit()
    worker.grab()
    for _ in range(3):
        lines(text)
    # All of this happens at one time of the server's clock.
    worker.send(Command.WORK_COMPLETE, b"H:test:1", b"")
    server.connect().submit()
    worker.grab()
    waited = 'gearman_job_wait_seconds_count{function="f"}'
    assert lines(text, waited) == [f"{waited} 2"]


def test_nothing_is_kept_of_a_function_that_has_gone(server) -> None:
    text = Text(server)
    server.connect().ask(b"create function short")
    for _ in range(3):
        assert lines(text, 'gearman_jobs{function="short"}')
    server.connect().ask(b"drop function short")
    assert not lines(text, 'function="short"')


def test_lines_stand_in_order_if_some_are_kept_and_others_are_new(server) -> None:
    text = Text(server)
    names = [b"%d" % number for number in range(8)]
    for name in names:
        server.connect().submit(name)
    for _ in range(2):
        lines(text)
    for name in (b"0", b"3", b"4", b"7"):
        server.connect().submit(name)
    assert b"".join(text.pieces()) == b"".join(Text(server).pieces())
