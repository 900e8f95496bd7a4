"""Writes everything public in the importable `gearman`, one fact a line.

    PYTHONPATH=DIRECTORY_OF_2_0_2 python2.7 surface.py > ../surface_2_0_2.json

A fact is a kind and its details: arguments and defaults of a function, the bases of a
class, a value. This runs on Python 2.7 and on 3, so that one description is enough for
both libraries. `name()` stands for a new instance of the class.
"""

import inspect
import json
import logging
import sys
from importlib import import_module
from types import FunctionType, ModuleType

MODULES = (
    "gearman",
    "gearman.admin_client",
    "gearman.admin_client_handler",
    "gearman.client",
    "gearman.client_handler",
    "gearman.command_handler",
    "gearman.compat",
    "gearman.connection",
    "gearman.connection_manager",
    "gearman.constants",
    "gearman.errors",
    "gearman.job",
    "gearman.protocol",
    "gearman.util",
    "gearman.worker",
    "gearman.worker_handler",
)

# Names with an underscore that programs use anyway.
PROMISED = {
    "__init__",
    "__version__",
    "_DEBUG_MODE_",
    "_client_id",
    "_create_request_from_dictionary",
    "_handler_abilities",
}

PLAIN = (bool, int, float, str, type(None))
BUILTINS = ("builtins", "__builtin__", "exceptions", None)


class NoManager(object):  # noqa: UP004 -- Python 2 knows another kind of class
    """An argument for handlers, whose constructors need a connection manager."""


def is_promised(name):
    return name in PROMISED or not name.startswith("_")


def full_name(thing):
    """Return the dotted name of a class or function; without module if builtin."""
    if thing.__module__ in BUILTINS:
        return thing.__name__
    return thing.__module__ + "." + thing.__name__


def plain(value):
    """Return data as JSON can hold it; collections other than lists have a type."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [plain(item) for item in value]}
    if isinstance(value, (set, frozenset)):
        return {"set": sorted(plain(item) for item in value)}
    if isinstance(value, dict):
        pairs = [[plain(key), plain(value[key])] for key in value]
        return {"dict": sorted(pairs, key=str)}
    return {"instance": type(value).__name__}


def arguments(function):
    """Return the positional arguments, as they are written in a `def`."""
    new, old = "getfullargspec", "getargspec"
    specify = getattr(inspect, new if hasattr(inspect, new) else old)
    names, rest, keywords, defaults = specify(function)[:4]
    defaults = defaults or ()
    spelled = names[: len(names) - len(defaults)]
    for name, default in zip(names[len(spelled) :], defaults):  # noqa: B905
        spelled.append(name + "=" + repr(default))
    return spelled + ["*"] * bool(rest) + ["**"] * bool(keywords)


def member(attribute):
    """Return the fact about an attribute of a class."""
    if isinstance(attribute, (classmethod, staticmethod)):
        return [type(attribute).__name__, arguments(attribute.__func__)]
    if isinstance(attribute, FunctionType):
        return ["function", arguments(attribute)]
    if isinstance(attribute, property):
        return ["property", None]
    if isinstance(attribute, type):
        return ["class", full_name(attribute)]
    return ["value", plain(attribute)]


def class_facts(path, cls):
    """Yield its bases, and every name that it or a base of this package defines."""
    yield path, ["class", [full_name(base) for base in cls.__mro__[1:-1]]]
    names = {}
    for part in reversed(cls.__mro__):
        if part.__module__.split(".")[0] == "gearman":
            names.update(vars(part))
    for name in filter(is_promised, names):
        yield path + "." + name, member(names[name])


def origin_of(name, module):
    """Return the dotted name of a constant where it is defined, if elsewhere."""
    for origin in ("gearman.constants", "gearman.protocol"):
        if origin == module.__name__:
            return None
        if name in vars(import_module(origin)):
            return origin + "." + name
    return None


def module_facts(module):
    """Return the names that a module defines or imports from modules of the package."""
    facts = {}
    for name in filter(is_promised, list(vars(module))):
        facts.update(name_facts(module, name, getattr(module, name)))
    return facts


def name_facts(module, name, value):
    """Return the facts about a name of a module; none if another package owns it."""
    path = module.__name__ + "." + name
    if isinstance(value, ModuleType):
        ours = value.__name__.startswith("gearman")
        return {path: ["module", value.__name__]} if ours else {}
    if isinstance(value, logging.Logger):
        return {path: ["logger", value.name]}
    if not (isinstance(value, type) or inspect.isroutine(value)):
        origin = origin_of(name, module)
        return {path: ["import", origin] if origin else ["value", plain(value)]}
    if value.__module__ != module.__name__:
        return {path: ["import", full_name(value)]}
    if isinstance(value, type):
        return dict(class_facts(path, value))
    return {path: ["function", arguments(value)]}


def instances():
    """Yield a new instance of each class that has attributes; none connects."""
    client = import_module("gearman.client").GearmanClient(["localhost"])
    yield client
    yield import_module("gearman.worker").GearmanWorker(["localhost"])
    yield import_module("gearman.admin_client").GearmanAdminClient(["localhost"])
    yield client.connection_list[0]
    job = client.job_class(None, None, "task", "unique", "data")
    yield job
    yield client.job_request_class(job)
    yield import_module("gearman.util").Stopwatch(None)
    for role in ("client", "worker", "admin_client"):
        module = import_module("gearman." + role + "_handler")
        name = "Gearman" + role.title().replace("_", "") + "CommandHandler"
        yield getattr(module, name)(connection_manager=NoManager())


def instance_facts(instance):
    for name in filter(is_promised, vars(instance)):
        path = full_name(type(instance)) + "()." + name
        yield path, ["value", plain(getattr(instance, name))]


def surface():
    """Return all facts by their dotted names."""
    facts = {}
    for name in MODULES:
        facts.update(module_facts(import_module(name)))
    for instance in instances():
        facts.update(instance_facts(instance))
    return facts


def as_text(facts):
    """Return JSON with one fact a line, in order."""
    lines = [
        json.dumps(path) + ": " + json.dumps(facts[path], sort_keys=True)
        for path in sorted(facts)
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(as_text(surface()))
