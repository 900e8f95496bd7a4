"""Where Redis is, as options or a URL say.

    redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]          TCP
    rediss://...                                        TCP with TLS
    unix://[USER[:PASSWORD]@]/PATH[?db=DB]              a Unix socket
    redis+sentinel://[...@]HOST[:PORT],.../NAME[/DB]    the primary NAME of Sentinels

`rediss+sentinel` is the same with TLS. Special characters of users and passwords are
written as %XX. The query may have `db`, `sentinel_username` and `sentinel_password`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from gearman.address import format_address
from gearman.address import parse as parse_address
from gearman.errors import ConfigurationError

PORT: Final = 6379
SENTINEL_PORT: Final = 26379
# The environment variable for the password, as of redis-cli.
PASSWORD: Final = "REDISCLI_AUTH"

_SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
_QUERY: Final = {"db", "sentinel_username", "sentinel_password"}
_FORMS: Final = (
    "write redis://HOST:PORT/DB, rediss://..., unix:///PATH or"
    " redis+sentinel://HOST:PORT,.../NAME/DB, with %XX for special characters in a"
    " password"
)

Host = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Login:
    """What a server or a Sentinel wants to know; empty: nothing."""

    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for TLS, each may be empty: the authorities, our certificate, its key."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """A server at `host` or `path`, or the primary `master` that Sentinels know."""

    host: Host = ("localhost", PORT)
    path: str = ""
    db: int = 0
    login: Login = Login()
    tls: Tls | None = None
    sentinels: tuple[Host, ...] = ()
    master: str = ""
    sentinel_login: Login = Login()

    def __str__(self) -> str:
        if self.sentinels:
            return f"the primary {self.master}"
        return self.path or format_address(*self.host)


def parse(url: str) -> Address:
    """Return the address that a URL describes. Raises ConfigurationError."""
    try:
        return _parse(url)
    except ValueError as error:
        # The URL may have a password, so it is not told.
        raise ConfigurationError(f"--redis-url can't be read: {_FORMS}") from error


def _parse(url: str) -> Address:
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in _SCHEMES:
        raise ValueError
    rest, _, query = rest.partition("?")
    more = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    if not more.keys() <= _QUERY:
        raise ValueError
    place, slash, path = rest.partition("/")
    login, _, hosts = place.rpartition("@")
    user, _, password = login.partition(":")
    address = Address(
        db=_db(more.get("db", "0")),
        login=Login(unquote(user), unquote(password)),
        tls=Tls() if scheme.startswith("rediss") else None,
    )
    if scheme == "unix":
        return _unix(address, hosts, slash + path)
    if scheme.endswith("+sentinel"):
        return _with_sentinels(address, hosts, path, more)
    host = _host(hosts, PORT) if hosts else address.host
    return replace(address, host=host, db=_db(path) if path else address.db)


def _unix(address: Address, hosts: str, path: str) -> Address:
    if hosts or len(path) < 2:
        raise ValueError
    return replace(address, path=unquote(path))


def _with_sentinels(
    address: Address, hosts: str, path: str, more: Mapping[str, str]
) -> Address:
    master, _, db = path.partition("/")
    if not master:
        raise ValueError
    return replace(
        address,
        sentinels=tuple(_host(one, SENTINEL_PORT) for one in hosts.split(",")),
        master=unquote(master),
        db=_db(db) if db else address.db,
        sentinel_login=Login(
            more.get("sentinel_username", ""), more.get("sentinel_password", "")
        ),
    )


def _host(text: str, port: int) -> Host:
    found = parse_address(text)
    if found.path:
        raise ValueError
    return found.host, found.port or port


def _db(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError
    return int(text)


def from_options(options: Mapping[str, str]) -> Address:
    """Return the address that the options of the plugin describe.

    Raises ConfigurationError if they contradict each other.
    """
    url, server, port = (options.get(name, "") for name in ("url", "server", "port"))
    if url and (server or port):
        raise ConfigurationError(
            "--redis-url already says where Redis is: leave out --redis-server and"
            " --redis-port"
        )
    address = parse(url) if url else _of_gearmand(server, port)
    address = replace(address, login=_login(address.login, options))
    files = Tls(*(options.get(name, "") for name in ("ca", "cert", "key")))
    if files == Tls():
        return address
    if address.path:
        raise ConfigurationError("a Unix socket has no TLS: leave out --redis-tls-...")
    return replace(address, tls=files)


def _of_gearmand(server: str, port: str) -> Address:
    try:
        if server.startswith("/"):
            return Address(path=server)
        host, number = _host(server or "localhost", PORT)
        return Address((host, _host(f"h:{port}", 0)[1] if port else number))
    except ValueError as error:
        raise ConfigurationError(
            "--redis-server must be HOST, HOST:PORT, [IPV6]:PORT or the path of a"
            " socket, and --redis-port a port"
        ) from error


def _login(login: Login, options: Mapping[str, str]) -> Login:
    """Add the password that an option, a file or the environment has."""
    if password := options.get("password", "") or login.password:
        return replace(login, password=password)
    file = options.get("password_file", "")
    if not file:
        return replace(login, password=os.environ.get(PASSWORD, ""))
    try:
        return replace(login, password=Path(file).read_text().strip("\r\n"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(
            f"--redis-password-file {file} can't be read: {reason}"
        ) from error
