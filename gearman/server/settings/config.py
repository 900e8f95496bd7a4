"""The settings of a server, from its command line, files and the environment."""

import os
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from logging import WARNING
from typing import Any, Final, Literal, NamedTuple

from ...commands import DEFAULT_PORT, MAX_PACKET
from ...errors import ConfigurationError
from ...queue import Cluster
from ...streams import say
from ..networks import Network
from . import queues, values
from .command_line import Parser, parser
from .levels import NOTICE, more_verbose
from .options import DEFAULT_FILE
from .plugin_options import HIDDEN
from .protocols import (
    ChosenProtocol,
    Services,
    chosen_protocols,
    services,
    without_effect,
)
from .queues import Plugins
from .values import Endpoint

__all__ = ["Config", "Endpoint", "Keepalive", "Tls", "embedded", "parse"]

_Options = dict[str, Any]


class _Known(NamedTuple):
    """The plugins and protocols whose options are known, by name."""

    plugins: Plugins
    services: Services


@dataclass(frozen=True, slots=True)
class Keepalive:
    """How idle TCP connections are probed; None is the system's value.

    `idle` is the seconds before the first probe, `interval` the seconds between probes,
    `count` the number of unanswered probes that end a connection.
    """

    idle: int | None = None
    interval: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """The files that TLS needs, and whether clients need certificates.

    `authorities` is the file of the authorities for clients' certificates. Without it,
    `verify` is "none".
    """

    certificate: str
    key: str
    authorities: str | None = None
    verify: Literal["none", "optional", "required"] = "none"


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a server. Times are in seconds, sizes in bytes.

    `retries` is -1 if there is no limit, `wakeup` is 0 for all workers, `level` is a
    level of Python's logging, paths are absolute. `log_file` may also be "stderr" or
    "none". If `allow_from` is empty, every peer may connect. `queue_options` are the
    arguments of the queue plugin, whose `inbox` may be in use, and which may be that of
    a `cluster`. A limit of 0 is no limit. If `max_connections` is None, it follows from
    the number of descriptors; `max_memory` from the machine's memory, and
    `max_job_memory` from `max_memory` (three quarters of it). `ignored` has a sentence
    for each given option that has no effect.
    """

    listen: tuple[Endpoint, ...] = (Endpoint(),)
    backlog: int = 1024
    protocols: tuple[ChosenProtocol, ...] = ()
    metrics_functions: int = 1000
    keepalive: Keepalive | None = None
    tls: Tls | None = None
    allow_from: tuple[Network, ...] = ()
    admin_from: tuple[Network, ...] = ()

    retries: int = -1
    handle_prefix: str | None = None
    round_robin: bool = True
    priority_scope: Literal["global", "function"] = "global"
    wakeup: int = 0
    timeout_action: Literal["requeue", "fail"] = "requeue"
    exceptions: bool = False
    queue: str = "builtin"
    queue_options: Mapping[str, Any] = field(default_factory=dict)
    inbox: bool = False
    cluster: Cluster | None = None
    cluster_secret_file: str | None = None
    allow_shutdown: bool = False

    max_connections: int | None = None
    max_connections_per_address: int = 0
    max_functions: int = 0
    max_functions_per_worker: int = 0
    max_jobs: int = 0
    max_jobs_per_function: int = 0
    max_job_memory: int | None = None
    max_memory: int | None = None
    max_dead: int = 10_000
    dead_age: float = 180 * 24 * 3600.0
    max_results: int = 64 * 1024 * 1024
    max_packet: int = MAX_PACKET
    max_outbox: int = 0
    request_timeout: float = 300.0
    write_timeout: float = 600.0
    descriptors: int | None = None

    log_file: str = "stderr"
    log_format: Literal["text", "json"] = "text"
    level: int = NOTICE
    syslog: bool = False
    traces: bool = False

    daemon: bool = False
    pid_file: str | None = None
    user: str | None = None
    coredump: bool = False

    settings: str | None = None
    check_args: bool = False
    config_file: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Config:
    """Return the settings for a command line, given without the program's name.

    An option on the command line overrides the same option in a file, which overrides
    the environment, as with gearmand. Exits with status 1 and a sentence on standard
    error if an option cannot be used. Exits with status 0 after printing the help or
    the version.
    """
    try:
        config = _config(_read(argv, environ))
    except ConfigurationError as error:
        say(f"gearmand: {error}\n", sys.stderr)
        raise SystemExit(1) from None
    return config


def embedded(argv: Sequence[str]) -> Config:
    """Return the settings of a server that belongs to one program.

    Unless options say otherwise, it listens on a free port of 127.0.0.1, and logs
    warnings only. The environment does not count, nor the file that gearmand reads by
    itself. Raises ConfigurationError.
    """
    options: _Options = {"port": 0, "level": WARNING} | _read(argv, {}, ())
    return _config({"listen": [values.endpoint("127.0.0.1")]} | options)


def _read(
    argv: Sequence[str],
    environ: Mapping[str, str],
    default_files: Sequence[str] = (DEFAULT_FILE,),
) -> _Options:
    words = [_spelled_out(word) for word in argv]
    named = [_named(words)]
    files = named[0].config_file
    if files is None:
        files = [file for file in default_files if os.path.exists(file)]
    contents = {file: _words_of(file) for file in files}
    for others in contents.values():
        named.append(_named(others))
    known = _Known(
        queues.plugins(name for each in named for name in each.queue_type),
        services(name for each in named for name in each.protocol),
    )
    options: _Options = {}
    for file, others in contents.items():
        options |= _from_file(file, others, known)
    options |= _parsed(words, known)
    # Not for options from the environment, which may be meant for other programs.
    found: _Options = {
        "config_file": tuple(files),
        "queue_options": queues.arguments(options, known.plugins),
        "ignored": tuple(_without_effect(options, known)),
    }
    return _from_environment(environ) | options | found


def _named(words: Sequence[str]) -> Namespace:
    """Return the files, queue types and protocols on a command line.

    Which other options exist depends on them.
    """
    reader = Parser(add_help=False)
    reader.add_argument("--config-file", action="append", type=values.path)
    reader.add_argument("-q", "--queue-type", action="append", default=[])
    reader.add_argument("-r", "--protocol", action="append", default=[])
    found, _ = reader.parse_known_args(words)
    found.queue_type = [name for name in found.queue_type if name != "builtin"]
    return found


def _parsed(words: Sequence[str], known: _Known) -> _Options:
    return vars(parser(*known).parse_args(words))


def _spelled_out(word: str) -> str:
    return f"--config-file={word[1:]}" if word.startswith("@") else word


_VARIABLES: Final = {
    "GEARMAND_PORT": ("port", values.port),
    "GEARMAND_CA_CERTIFICATE": ("ssl_ca_file", values.path),
    "GEARMAND_SERVER_PEM": ("ssl_certificate", values.path),
    "GEARMAND_SERVER_KEY": ("ssl_key", values.path),
}


def _from_environment(environ: Mapping[str, str]) -> _Options:
    options: _Options = {}
    for variable, (name, read) in _VARIABLES.items():
        if text := environ.get(variable):
            try:
                options[name] = read(text)
            except ArgumentTypeError as error:
                raise ConfigurationError(f"{variable}: {error}") from error
    return options


def _words_of(path: str) -> list[str]:
    """Return the words of a configuration file."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            words = [word for line in file for word in _words(line)]
    except OSError as error:
        reason = error.strerror or error
        raise ConfigurationError(
            f"configuration file {path!r} cannot be read: {reason}"
        ) from error
    if any("\0" in word for word in words):
        raise ConfigurationError(f"configuration file {path!r} is no text file")
    return words


def _from_file(path: str, words: Sequence[str], known: _Known) -> _Options:
    try:
        options = _parsed(words, known)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    if "config_file" in options:
        raise ConfigurationError(f"{path}: --config-file cannot stand in a file")
    return options


def _words(line: str) -> Iterator[str]:
    for word in line.split():
        if word.startswith("#"):
            return
        yield word


def _config(options: _Options) -> Config:
    names = {field.name for field in fields(Config)}
    settings = {name: value for name, value in options.items() if name in names}
    addresses = _endpoints(options)
    settings |= {
        "listen": addresses,
        "protocols": chosen_protocols(options, addresses),
        "keepalive": _keepalive(options),
        "allow_from": tuple(options.get("allow_from", ())),
        "admin_from": tuple(options.get("admin_from", ())),
        "level": more_verbose(options.get("level", NOTICE), options.get("steps", 0)),
        "pid_file": options.get("pid_file") or None,
        "settings": options.get("settings") or None,
        "tls": _tls(options),
        "cluster": options.get("queue_options", {}).get("cluster"),
    }
    if settings["cluster"] is not None:
        _check_listening(addresses)
    return Config(**settings)


def _check_listening(addresses: Sequence[Endpoint]) -> None:
    """Check the addresses of a server of a cluster, which are closed and opened."""
    if any(each.path or not each.port for each in addresses):
        raise ConfigurationError(
            "a server of a cluster listens on TCP addresses with fixed ports only:"
            " change -L and -p"
        )


def _endpoints(options: _Options) -> tuple[Endpoint, ...]:
    default = options.get("port", DEFAULT_PORT)
    if "listen" not in options:
        return (Endpoint(port=default),)
    file = {"mode": options.get("socket_mode"), "group": options.get("socket_group")}
    made = dict.fromkeys(make(default) for make in options["listen"])
    return tuple(replace(each, **file) if each.path else each for each in made)


def _keepalive(options: _Options) -> Keepalive | None:
    if not options.get("keepalive"):
        return None
    names = [field.name for field in fields(Keepalive)]
    numbers = [options.get(f"keepalive_{name}", -1) for name in names]
    return Keepalive(*(None if number == -1 else number for number in numbers))


def _tls(options: _Options) -> Tls | None:
    if not options.get("ssl"):
        return None
    certificate = options.get("ssl_certificate")
    authorities = options.get("ssl_ca_file")
    if not certificate:
        raise ConfigurationError(
            "--ssl needs the certificate of this server: name its file with"
            " --ssl-certificate, and that of its key with --ssl-key"
        )
    verify = options.get("ssl_verify", "none")
    if verify != "none" and not authorities:
        raise ConfigurationError(
            f"--ssl-verify={verify} needs the authorities that sign clients'"
            " certificates: name their file with --ssl-ca-file"
        )
    return Tls(certificate, options.get("ssl_key") or certificate, authorities, verify)


_REASONS: Final = {
    "threads": "the server needs no I/O threads",
    "hashtable_buckets": "tables grow by themselves",
}
_TLS_FILES: Final = ("ssl_ca_file", "ssl_certificate", "ssl_key", "ssl_verify")


def _without_effect(options: _Options, known: _Known) -> Iterator[str]:
    """Yield a sentence for each option that has no effect."""
    reasons = _REASONS | dict(without_effect(options, known.services))
    if "cluster" not in options:
        parts = ("cluster_address", "cluster_lease", "cluster_secret_file")
        reasons |= dict.fromkeys(parts, "--cluster was not given")
    if not options.get("keepalive"):
        names = (f"keepalive_{field.name}" for field in fields(Keepalive))
        reasons |= dict.fromkeys(names, "--keepalive was not given")
    if not any(make(0).path for make in options.get("listen", ())):
        files = ("socket_mode", "socket_group")
        reasons |= dict.fromkeys(files, "the server listens on no Unix socket")
    if not options.get("ssl"):
        reasons |= dict.fromkeys(_TLS_FILES, "TLS is not in use, --ssl was not given")
    elif options.get("ssl_verify", "none") == "none" and "cluster" not in options:
        reasons["ssl_ca_file"] = "clients need no certificates without --ssl-verify"
    hidden = (names[0][2:].replace("-", "_") for names, _ in HIDDEN)
    in_use = queues.in_use(options, known.plugins)
    unknown = [name for name in hidden if name not in in_use]
    unknown += queues.without_effect(options, known.plugins)
    reasons |= dict.fromkeys(unknown, "no queue type that knows it is in use")
    for name, reason in reasons.items():
        if name in options:
            yield f"--{name.replace('_', '-')} has no effect: {reason}"
