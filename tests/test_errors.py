import pytest

from gearman import errors
from gearman.errors import GearmanError, ProtocolError


@pytest.mark.parametrize("name", [n for n in vars(errors) if n.endswith("Error")])
def test_every_error_is_a_gearman_error(name: str) -> None:
    assert issubclass(getattr(errors, name), GearmanError)


def test_a_protocol_error_carries_what_the_peer_is_told() -> None:
    error = ProtocolError("too large", code="ARGUMENT_TOO_LARGE", fatal=True)
    assert (error.code, error.text, error.fatal) == (
        "ARGUMENT_TOO_LARGE",
        "too large",
        True,
    )
    assert str(error) == "too large"


def test_a_protocol_error_tells_nothing_and_is_not_fatal_unless_it_says_so() -> None:
    error = ProtocolError("odd")
    assert (error.code, error.fatal) == ("", False)


def test_a_refusal_of_jobs_says_why_for_each() -> None:
    error = errors.JobRefused({7: "too large", 9: "too odd"})
    assert (error.reasons[9], str(error)) == ("too odd", "too large; too odd")
    assert isinstance(error, errors.QueueError)


def test_a_loss_of_jobs_says_which() -> None:
    error = errors.JobsLost("it was restarted", [7])
    assert (str(error), error.numbers) == ("it was restarted", [7])
    assert isinstance(error, errors.QueueError)
