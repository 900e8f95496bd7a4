"""The options that an embedded server may have."""

from collections.abc import Iterator, Sequence
from typing import Final

from ...errors import ConfigurationError
from ..settings.config import Config, embedded

# Settings of Config with their options. They would change the whole program.
_OF_A_PROCESS: Final = {
    "log_file": "--log-file",
    "log_format": "--log-format",
    "level": "--verbose",
    "syslog": "--syslog",
    "traces": "--traces",
    "pid_file": "--pid-file",
    "user": "--user",
    "coredump": "--coredump",
    "descriptors": "--file-descriptors",
}
_NEVER: Final = {
    "daemon": "--daemon",
    "check_args": "--check-args",
    "cluster": "--cluster",
}


def read(options: Sequence[str], *, process: bool) -> Config:
    """Return the settings that these options say. Raises ConfigurationError."""
    for option in options:
        if not isinstance(option, str):
            raise ConfigurationError(f"an option must be a str, not {option!r}")
    try:
        config = embedded(options)
    except SystemExit:
        raise ConfigurationError(
            "an embedded server can't have an option that prints something: leave out"
            " --help and --version"
        ) from None
    for option in _given(config, _NEVER):
        raise ConfigurationError(f"an embedded server can't have the option {option}")
    for option in () if process else _given(config, _OF_A_PROCESS):
        raise ConfigurationError(
            f"a server in a thread can't have the option {option}: leave it out, or"
            " run the server with process=True"
        )
    return config


def _given(config: Config, options: dict[str, str]) -> Iterator[str]:
    default = embedded(())
    for name, option in options.items():
        if getattr(config, name) != getattr(default, name):
            yield option
