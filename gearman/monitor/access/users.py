"""Users: lines NAME:ROLE:HASH of a file; `gearman-monitor --hash` makes them."""

import hashlib
import hmac
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ...errors import ConfigurationError

VIEW: Final = "view"
ACT: Final = "act"
ROLES: Final = (VIEW, ACT)

# The cost of a hash: 16 MiB of memory and some 50 ms.
_N, _R, _P = 1 << 14, 8, 1
# Those of a file may cost at most 16 times that.
_MOST_N: Final = 1 << 18
_SALT_SIZE: Final = 16
_KEY_SIZE: Final = 32

_NAME = re.compile(r"[^\s:#][^\s:]{0,63}")
_HASH = re.compile(
    r"scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/]+=*)\$([A-Za-z0-9+/]+=*)"
)


@dataclass(frozen=True, slots=True)
class User:
    name: str
    role: str
    hash: str


def make_hash(password: str, salt: bytes) -> str:
    """Return the hash of a password; the salt must be random."""
    key = _key(password, salt, (_N, _R, _P))
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(key)}"


def is_right(password: str, stored: str) -> bool:
    """Whether it is the password of a hash. This takes some 50 ms."""
    costs, salt, key = _parts(stored)
    return hmac.compare_digest(_key(password, salt, costs), key)


def new_salt() -> bytes:
    return os.urandom(_SALT_SIZE)


def _key(password: str, salt: bytes, costs: tuple[int, int, int]) -> bytes:
    n, r, p = costs
    return hashlib.scrypt(
        password.encode(errors="surrogatepass"),
        salt=salt,
        n=n,
        r=r,
        p=p,
        maxmem=256 * n * r + (1 << 20),
        dklen=_KEY_SIZE,
    )


def _text(value: bytes) -> str:
    return b64encode(value).decode()


def _parts(stored: str) -> tuple[tuple[int, int, int], bytes, bytes]:
    """Return costs, salt and key of a hash. Raises ValueError."""
    found = _HASH.fullmatch(stored)
    if found is None:
        raise ValueError
    n, r, p = map(int, found.groups()[:3])
    # scrypt wants a power of two.
    usable = n & (n - 1) == 0 and 1 << 10 <= n <= _MOST_N
    if not usable or not 1 <= r <= 16 or not 1 <= p <= 4:
        raise ValueError
    salt, key = (b64decode(part, validate=True) for part in found.groups()[3:])
    return (n, r, p), salt, key


class Users:
    """The users of a file, which is read again when it has changed."""

    def __init__(self, path: str) -> None:
        """Read the file. Raises ConfigurationError."""
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._users: Mapping[str, User] = {}
        # For names that are unknown: their check takes as long.
        self._nobody = make_hash("", new_salt())
        self._read()

    def find(self, name: str) -> User | None:
        """Return a user, None if there is none of this name (any more).

        If the file has become wrong, the users stay as they were.
        """
        with suppress(ConfigurationError):
            self._read()
        return self._users.get(name)

    def check(self, name: str, password: str) -> User | None:
        """Return the user with this name and password, None if there is none."""
        user = self.find(name)
        right = is_right(password, user.hash if user else self._nobody)
        return user if right else None

    def _read(self) -> None:
        try:
            status = os.stat(self._path)
            stamp = status.st_mtime_ns, status.st_size
            if stamp == self._stamp:
                return
            with open(self._path, encoding="utf-8") as file:
                text = file.read(1 << 20)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ConfigurationError(
                f"the users of {self._path!r} cannot be read: {why}"
            ) from error
        self._users = parse(text, self._path)
        self._stamp = stamp


def parse(text: str, path: str) -> dict[str, User]:
    """Return users by their names. Raises ConfigurationError, with a sentence."""
    users: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        user = _user(line, f"line {number} of {path}")
        if user.name in users:
            raise ConfigurationError(f"{path} has the user {user.name} twice")
        users[user.name] = user
    if not users:
        raise ConfigurationError(
            f"{path} has no users: 'gearman-monitor --hash' prints a line for it"
        )
    return users


def _user(line: str, where: str) -> User:
    name, _, rest = line.partition(":")
    role, _, stored = rest.partition(":")
    if not _NAME.fullmatch(name) or role not in ROLES:
        raise ConfigurationError(f"{where} is not NAME:view:HASH or NAME:act:HASH")
    try:
        _parts(stored)
    except ValueError:
        raise ConfigurationError(
            f"{where} has no hash that 'gearman-monitor --hash' makes"
        ) from None
    return User(name, role, stored)
