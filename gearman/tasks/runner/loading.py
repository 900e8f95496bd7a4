"""The app that the options name, imported, or made of functions and commands."""

import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

from ...cli.gearman import child
from ...cli.servers import tls
from ...errors import ConfigurationError, GearmanError
from ..app import App
from .options import Options

_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class CommandFailed(GearmanError):
    """The command of a task has failed; the text says how it ended."""


class Unusable(ConfigurationError):
    """A module cannot be imported: it raises an exception, which is the cause."""


def load(options: Options) -> App:
    """Return the app. Raises ConfigurationError; the text is one sentence."""
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    app = _find_app(options.app) if options.app else App()
    if options.servers:
        app.addresses = list(options.servers)
    if options.ssl:
        app.tls = tls(os.environ)
    if options.discover:
        app.discover = True
    for name, spec in options.tasks.items():
        try:
            app.task(name=name, serializer="bytes")(_function(app, spec))
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"--task {name}: {error}") from error
    for name, seconds in options.timeouts.items():
        # Others are told as unknown functions.
        if name in app.tasks:
            app.tasks[name] = app.tasks[name].with_options(timeout=seconds)
    return app


def _find_app(spec: str) -> App:
    found = _find(spec)
    if isinstance(found, App):
        return found
    raise ConfigurationError(f"{spec} is no App of gearman.tasks: it is {_kind(found)}")


def _kind(found: object) -> str:
    return f"an object of the class {type(found).__name__}"


def _find(spec: str) -> Any:
    """Return what is called module:name."""
    module_name, _, name = spec.partition(":")
    found: Any = _imported(module_name)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"the module {module_name} has no {name}")
        found = getattr(found, part)
    return found


def _imported(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"there is no module {error.name}: run this in the folder where it is,"
                " or set PYTHONPATH"
            ) from error
        raise _unusable(name, error) from error
    except (Exception, SystemExit) as error:
        raise _unusable(name, error) from error


def _unusable(name: str, error: BaseException) -> Unusable:
    frames = traceback.extract_tb(error.__traceback__)
    file, line, text = frames[-1].filename, frames[-1].lineno, str(error)
    if isinstance(error, SyntaxError) and error.filename:
        file, line, text = error.filename, error.lineno, error.msg
    kind = type(error).__name__
    return Unusable(f"{name} cannot be imported: {kind}: {text} ({file}, line {line})")


def _function(app: App, spec: str) -> Callable[..., Any]:
    if _FUNCTION.fullmatch(spec):
        found = _find(spec)
        if callable(found):
            return found  # type: ignore[no-any-return]
        raise ConfigurationError(f"{spec} is no function: it is {_kind(found)}")
    return command(app, spec)


def command(app: App, line: str) -> Callable[[bytes], bytes]:
    """Return a function that runs a shell command for a job.

    Its standard input is the job's data, its output is the result. The command is told
    by its environment which job it runs. The function raises CommandFailed.
    """

    def run(data: bytes) -> bytes:
        job = app.current
        environment = {
            b"GEARMAN_JOB_HANDLE": os.fsencode(job.handle),
            b"GEARMAN_JOB_UNIQUE": os.fsencode(job.unique or ""),
            b"GEARMAN_JOB_FUNCTION": os.fsencode(job.function),
        }
        output = bytearray()
        words = [b"/bin/sh", b"-c", os.fsencode(line)]
        status, _ = child.run(words, data, environment, output.extend)
        if status:
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise CommandFailed(f"the command {line!r} ended with {how}")
        return bytes(output)

    return run
