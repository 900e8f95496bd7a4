"""`gearman-monitor --hash`: asks for a name, a role and a password, prints a line."""

import getpass
import sys

from ...errors import ConfigurationError
from ...streams import say
from .users import ROLES, VIEW, make_hash, new_salt, parse


def run() -> int:
    """Ask, and print the line; return the exit status. Raises ConfigurationError."""
    name = _answer("Name: ")
    role = _answer(f"Role ({' or '.join(ROLES)}): ") or VIEW
    password = _password()
    if not password:
        raise ConfigurationError("the password is empty")
    line = f"{name}:{role}:{make_hash(password, new_salt())}"
    parse(line, "this user")
    print(line, flush=True)
    return 0


def _answer(question: str) -> str:
    # Standard output is often a file of users.
    say(question, sys.stderr)
    return sys.stdin.readline().strip()


def _password() -> str:
    if not sys.stdin.isatty():
        return _answer("Password: ")
    password = getpass.getpass("Password: ", sys.stderr)
    if password != getpass.getpass("Again: ", sys.stderr):
        raise ConfigurationError("these are two passwords: try again")
    return password
