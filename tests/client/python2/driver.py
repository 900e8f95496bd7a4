"""Run steps of a program with the importable `gearman`, on Python 2.7 and on 3.

A step is a line with a JSON string, the source to run. The answer is a line that
describes the value of its last expression, or the error that was raised. While a step
runs, the program may `say` a line to the test, and `hear` a line from it.
"""

import ast
import json
import sys
import traceback
from collections import deque

from gearman.job import GearmanJobRequest

answers = sys.stdout
sys.stdout = sys.stderr

BUILTINS = ("builtins", "__builtin__", "exceptions")
SYSTEM_ERRORS = ("socket.error", "select.error", "IOError", "EnvironmentError")
TIMES = ("time_received", "last_time_received")


def full_name(cls):
    if cls.__module__ in BUILTINS:
        return cls.__name__
    return cls.__module__ + "." + cls.__name__


def kind_of(error):
    """Return the name of the class that programs of both Pythons would catch."""
    for cls in type(error).__mro__:
        name = full_name(cls)
        if name in SYSTEM_ERRORS:
            return "OSError"
        if "." not in name or name.startswith("gearman."):
            return name
    return full_name(type(error))


def described_bytes(value):
    """Return text; bytes of Python 3 must be equal to it to count as text."""
    text = value.decode("utf-8", "replace")
    alike = str(b"x") == "x" or value == text
    return text if alike else {"plain bytes": text}


def described_request(request):
    """Return the state, and all that has changed since the beginning."""
    description = {"state": request.state}
    for name in ("result", "exception", "status", "data_updates", "warning_updates"):
        value = getattr(request, name)
        if value is not None and value != {} and value != deque():
            description[name] = described(value)
    for name in ("complete", "timed_out"):
        if getattr(request, name):
            description[name] = described(getattr(request, name))
    return description


def described_dict(value):
    return {
        str(key): type(item).__name__ if key in TIMES else described(item)
        for key, item in value.items()
    }


def described(value):
    """Return a value as JSON can hold it; an object becomes its class's name."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, bytes):
        return described_bytes(value)
    if isinstance(value, type(b"".decode())):  # Python 2 has two kinds
        return value
    if isinstance(value, list):
        return [described(item) for item in value]
    if isinstance(value, (tuple, deque)):
        return {type(value).__name__: [described(item) for item in value]}
    if isinstance(value, (set, frozenset)):
        return {"set": sorted(described(item) for item in value)}
    if isinstance(value, dict):
        return described_dict(value)
    if isinstance(value, GearmanJobRequest):
        return described_request(value)
    if isinstance(value, type):
        return "class " + full_name(value)
    return "a " + full_name(type(value))


def answer(kind, content):
    answers.write(json.dumps({kind: content}) + "\n")
    answers.flush()


def say(value):
    """Send something to the test before the step ends."""
    answer("said", described(value))


def hear():
    """Wait for a line from the test and return it."""
    return sys.stdin.readline().rstrip("\n")


def run(source, names):
    """Execute a step; return the value of its last expression, or None."""
    body = ast.parse(source)
    last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
    exec(compile(body, "<step>", "exec"), names)
    if last is not None:
        return eval(compile(ast.Expression(last.value), "<step>", "eval"), names)
    return None


def main():
    names = {"say": say, "hear": hear, "described": described}
    # Reading line by line, for `hear` reads from the same file.
    for line in iter(sys.stdin.readline, ""):
        try:
            answer("value", described(run(json.loads(line), names)))
        except BaseException as error:  # also what a task raises to end its worker
            traceback.print_exc()
            answer("raised", [kind_of(error), str(error)])


if __name__ == "__main__":
    main()
