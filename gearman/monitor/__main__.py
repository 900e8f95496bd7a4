"""The tool `gearman-monitor`: ``python -m gearman.monitor``."""

import os
import sys
from collections.abc import Sequence
from functools import partial

from ..cli import program
from ..errors import StartupError
from .options import NAME, parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the monitor until it is ended, and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    return program.run(NAME, partial(_run, arguments))


def _run(arguments: Sequence[str]) -> int:
    options = parse(arguments, os.environ)
    if options.hash:
        from .access import asking

        return asking.run()
    try:
        from .web.serving import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gearman"):
            raise
        raise StartupError(
            f"it needs {error.name}: pip install 'gearman-py[monitor]'"
        ) from error
    if options.demo:
        from .demo.stage import started

        with started() as target:
            return run(options, (target,))
    return run(options, options.targets)


if __name__ == "__main__":
    sys.exit(main())
