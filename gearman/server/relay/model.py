"""What the settings file says of a relay."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ...options import Policies, Policy

# At most so many jobs, and so many bytes of them, wait for an answer at a time.
JOBS: Final = 1000
BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files for TLS; an empty name is the system's, or none."""

    authorities: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class Relay:
    """Where the jobs of some functions go.

    `servers` are tried in turn, each as host and port. `functions` are names and globs.
    At most `jobs` jobs, and `size` bytes of them, wait for an answer at a time. With
    `keep_uniques`, jobs keep their uniques.
    """

    name: str
    servers: tuple[tuple[str, int], ...]
    functions: tuple[bytes, ...]
    tls: TlsFiles | None = None
    jobs: int = JOBS
    size: int = BYTES
    keep_uniques: bool = False

    @cached_property
    def _patterns(self) -> Policies:
        return Policies(dict.fromkeys(self.functions, Policy()))

    def has(self, function: bytes) -> bool:
        """Whether the jobs of a function are passed on."""
        return self._patterns.of(function) is not None
