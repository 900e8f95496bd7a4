"""How the encoders of the library encode and decode objects."""

from typing import Any

import pytest

import gearman
from gearman.payload import Payload


@pytest.mark.parametrize(
    ("encoder", "thing"),
    [
        (gearman.TextEncoder, "héllo"),
        (gearman.JSONEncoder, {"a": [1, None, "é"]}),
        (gearman.PickleEncoder, {"a": {1, 2}}),
    ],
)
def test_an_object_survives_the_way_there_and_back(encoder: Any, thing: Any) -> None:
    assert encoder.decode(encoder.encode(thing)) == thing


def test_without_an_encoder_payloads_come_and_strings_go() -> None:
    assert type(gearman.NoopEncoder.decode(b"a")) is Payload
    assert gearman.NoopEncoder.encode("a") == "a"
    assert gearman.NoopEncoder.encode(b"a") == b"a"


@pytest.mark.parametrize("thing", [None, 5, ["a"]])
def test_without_an_encoder_other_objects_are_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="set data_encoder"):
        gearman.NoopEncoder.encode(thing)


def test_an_encoder_has_to_say_what_it_does() -> None:
    with pytest.raises(NotImplementedError):
        gearman.DataEncoder.encode("a")
    with pytest.raises(NotImplementedError):
        gearman.DataEncoder.decode(b"a")
