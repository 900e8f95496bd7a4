"""The framing in use: the compiled one if it was built, else plain Python.

With `GEARMAN_PURE_PYTHON=1` in the environment it is always plain Python. `BUILD` says
which one it is: "speedups" or "pure".
"""

import os
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final

from . import _framing
from ._framing import INVALID, MAX_BODY, Arguments, Packet

__all__ = [
    "BUILD",
    "INVALID",
    "MAX_BODY",
    "Arguments",
    "Decoder",
    "Packet",
    "encode",
    "encode_request",
]

_build = _framing
if os.environ.get("GEARMAN_PURE_PYTHON", "0") in ("", "0"):
    with suppress(ModuleNotFoundError):
        _build = import_module("gearman._speedups")

BUILD: Final = "pure" if _build is _framing else "speedups"

if TYPE_CHECKING:
    from ._framing import Decoder, encode, encode_request
else:
    Decoder, encode = _build.Decoder, _build.encode
    encode_request = _build.encode_request
