"""Log lines about jobs that were queued again or have failed."""

from gearman.server.broker import Peer
from gearman.server.watch.notices import Sentence
from gearman.text import SHOWN


def test_what_is_said_is_there_for_json():
    peer = Peer("10.0.0.5", 9)
    peer.client_id = b"\xff"
    notice = ("given up", b"H:a:1", b"f", peer, "its worker was lost", 2)
    found = {
        "event": "given up",
        "handle": "H:a:1",
        "function": "f",
        "reason": "its worker was lost",
        "attempts": 2,
    }
    who = {"peer": "10.0.0.5", "client_id": {"base64": "/w=="}}
    assert Sentence(notice).facts() == found | who
    without = Sentence((*notice[:3], None, *notice[4:]))
    assert without.facts() == found
    assert str(without) == "job H:a:1 of f is given up: its worker was lost"


def sentence(function=b"f", count=1, connection=None, client_id=b"w1"):
    peer = Peer("10.0.0.5", 9)
    peer.client_id = client_id
    peer.connection = connection
    notice = ("queued again", b"H:a:1", function, peer, "its worker was lost", count)
    return str(Sentence(notice))


class Named:
    name = "10.0.0.5:4321"


def test_job_function_worker_reason_and_number_are_named():
    assert sentence() == (
        "job H:a:1 of f is queued again: its worker was lost"
        " (attempt 1, worker 10.0.0.5, client id w1)"
    )
    assert "(attempt 5, worker" in sentence(count=5)


def test_connection_is_named_as_elsewhere_in_the_log():
    assert "worker 10.0.0.5:4321, client id" in sentence(connection=Named())


def test_names_forge_no_line_and_are_cut():
    assert r"of f\x0ax is" in sentence(b"f\nx")
    assert r"client id a\x0a)" in sentence(client_id=b"a\n")
    assert f" of {'f' * SHOWN}... is" in sentence(b"f" * (SHOWN + 1))
