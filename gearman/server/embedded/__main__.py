"""The child process of an embedded server; it ends when its standard input does.

Its first argument names the sockets that it gets, in JSON; the others are options. It
prints one line: an empty one when it is ready, or why it can't start.
"""

import json
import os
import signal
import sys
import threading

from ...errors import ConfigurationError, StartupError
from ..__main__ import run_process
from ..net.inherited import Given
from .settings import read


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _report(failure: str) -> None:
    print(failure, flush=True)


def main() -> int:
    threading.Thread(target=_end_with_input, daemon=True).start()
    given = [Given(*each) for each in json.loads(sys.argv[1])]
    try:
        run_process(read(sys.argv[2:], process=True), given, _report)
    except (ConfigurationError, StartupError) as error:
        _report(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
