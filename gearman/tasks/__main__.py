"""Run workers: ``python -m gearman.tasks``, or ``gearman-worker``."""

import sys

from .runner.main import main

if __name__ == "__main__":
    sys.exit(main())
