"""The second import name of the library."""

import importlib

import gearman


def test_python3_gearman_is_this_library() -> None:
    alias = importlib.import_module("python3_gearman")
    assert alias is gearman
    errors = importlib.import_module("python3_gearman.errors")
    assert errors is gearman.errors
