"""Runs Django's own tests of backends for tasks with the backend of this package.

    python -m tests.django.djangos_tests django-6.1.3/tests

Django's package leaves its tests out; `pip download --no-deps --no-binary :all: Django`
gets an archive that has them. They are about the two backends that Django has; each is
replaced by this package's: for the dummy one, nothing runs the tasks, and for the
immediate one, a worker runs each task before `enqueue` returns.
"""

import sys

from tests.django import project


def main() -> int:
    project.set_up()
    # It needs the settings.
    from tests.django.stand_ins import run

    return 0 if run(sys.argv[1]).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
