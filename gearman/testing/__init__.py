"""For tests of programs with tasks. docs/testing.md has more.

The server is that of `gearman.server.embedded`, and the fixtures of pytest are in the
module gearman_pytest.
"""

from .working import worker

__all__ = ["worker"]
