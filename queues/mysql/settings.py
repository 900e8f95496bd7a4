"""How to connect: from the options, a file of options, and the environment."""

import os
import ssl
from collections.abc import Iterator, Mapping
from configparser import Error as FileError
from configparser import RawConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gearman.address import parse
from gearman.errors import ConfigurationError

# The groups of a file that are read; the later ones take precedence.
GROUPS: Final = ("client", "client-server", "client-mariadb", "gearmand")

# Where the database's socket may be if the host is localhost: as in Debian, Red Hat and
# the sources.
SOCKETS: Final = (
    "/run/mysqld/mysqld.sock",
    "/var/lib/mysql/mysql.sock",
    "/tmp/mysql.sock",
)

# That of gearmand's libdrizzle.
DATABASE: Final = "gearman"

MODES: Final = ("disabled", "preferred", "required", "verify-ca", "verify-identity")


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that are about connecting; empty or 0 if they are not given."""

    host: str = ""
    port: int = 0
    socket: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    db: str = ""
    defaults_file: str = ""
    ssl_ca: str = ""
    ssl_cert: str = ""
    ssl_key: str = ""
    ssl_mode: str = ""

    def places(self) -> list[dict[str, Any]]:
        """Return PyMySQL's arguments for each host. Raises ConfigurationError."""
        file = _read(self.defaults_file) if self.defaults_file else {}
        hosts = self.host or file.get("host", "localhost")
        port = self.port or _port(file.get("port", ""))
        return [self._arguments(file, *place) for place in _places(hosts, port)]

    def _arguments(
        self, file: Mapping[str, str], host: str, port: int
    ) -> dict[str, Any]:
        given: dict[str, Any] = {
            "user": self.user or file.get("user"),
            "database": self.db or file.get("database") or DATABASE,
            "host": host,
            "port": port,
        }
        socket = self.socket or ("" if self.host else file.get("socket", ""))
        if not socket and given["host"] == "localhost" and not given["port"]:
            socket = next((one for one in SOCKETS if Path(one).is_socket()), "")
        if socket:
            given["unix_socket"] = socket
        password = self.password or file.get("password") or os.environ.get("MYSQL_PWD")
        if password:
            given["password"] = password.encode(errors="surrogateescape")
        given |= self._tls(file, bool(socket))
        return {name: value for name, value in given.items() if value}

    def _tls(self, file: Mapping[str, str], local: bool) -> dict[str, Any]:
        ca, cert, key = (
            option or file.get(f"ssl-{name}", "")
            for name, option in (
                ("ca", self.ssl_ca),
                ("cert", self.ssl_cert),
                ("key", self.ssl_key),
            )
        )
        mode = self.ssl_mode or file.get("ssl-mode", "").lower().replace("_", "-")
        if not mode and (ca or "ssl-verify-server-cert" in file):
            mode = "verify-identity"
        elif not mode and (cert or key or "ssl" in file):
            mode = "required"
        elif not mode:
            mode = "disabled" if local else "preferred"
        if mode not in MODES:
            raise ConfigurationError(
                f"ssl-mode of {self.defaults_file} can't be {mode!r}: choose one of"
                f" {', '.join(MODES)}"
            )
        if mode == "disabled":
            return {"ssl_disabled": True}
        # PyMySQL prefers TLS by default.
        return {} if mode == "preferred" else {"ssl": _context(mode, ca, cert, key)}


def _places(hosts: str, port: int) -> Iterator[tuple[str, int]]:
    """Yield the host and the port of each host of a list."""
    for text in hosts.split(","):
        try:
            address = parse(text.strip())
            if address.path:
                raise ValueError("name a Unix socket with --mysql-socket")
        except ValueError as error:
            raise ConfigurationError(
                f"--mysql-host can't be {hosts!r}: {error}"
            ) from error
        yield address.host, address.port or port


def _context(mode: str, ca: str, cert: str, key: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca or None)
        context.check_hostname = mode == "verify-identity"
        if mode == "required":
            context.verify_mode = ssl.CERT_NONE
        # MySQL makes certificates that lack what Python 3.13 demands.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if cert or key:
            context.load_cert_chain(cert or key, key or None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "a file that --mysql-ssl-ca, --mysql-ssl-cert or --mysql-ssl-key names"
            f" can't be used: {error}"
        ) from error
    return context


def _read(path: str) -> dict[str, str]:
    """Return the options of a file of MySQL, without those of files it includes."""
    parser = RawConfigParser(allow_no_value=True, delimiters=["="], strict=False)
    try:
        lines = Path(path).expanduser().read_text().splitlines()
        parser.read_string(
            "\n".join(line.strip() for line in lines if line[:1] != "!"), path
        )
    except OSError as error:
        raise ConfigurationError(
            f"--mysql-defaults-file {path} can't be read: {error.strerror}"
        ) from error
    except (FileError, UnicodeError) as error:
        # Its own message may contain a password.
        raise ConfigurationError(
            f"--mysql-defaults-file {path} can't be read: write lines NAME=VALUE below"
            " [client] or [gearmand]"
        ) from error
    return {
        name.replace("_", "-"): _unquoted(value or "")
        for group in GROUPS
        if parser.has_section(group)
        for name, value in parser.items(group)
    }


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _port(text: str) -> int:
    if text and not text.isdecimal():
        raise ConfigurationError(f"port of --mysql-defaults-file can't be {text!r}")
    return int(text or 0)
