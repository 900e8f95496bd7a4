"""A process of the demonstration; it ends when its standard input does."""

import os
import signal
import sys
import threading

from ...server.__main__ import main as serve
from . import load, workers


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    threading.Thread(target=_end_with_input, daemon=True).start()
    part, *arguments = sys.argv[1:]
    if part == "server":
        return serve(arguments)
    server = f"127.0.0.1:{arguments[0]}"
    if part == "workers":
        workers.run(server)
    else:
        load.run(server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
