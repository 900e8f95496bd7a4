"""Who may use the monitor: users with roles, sessions, and what browsers may send."""

from .sessions import ANYBODY, Sessions, Visitor
from .users import ACT, ROLES, VIEW, User, Users

__all__ = [
    "ACT",
    "ANYBODY",
    "ROLES",
    "VIEW",
    "Sessions",
    "User",
    "Users",
    "Visitor",
]
