"""What the monitor changes on servers, for those who may: table and execution."""

from .actions import ACTIONS, SERVER, Action, Outcome, perform
from .submission import NewJob, submit

__all__ = ["ACTIONS", "SERVER", "Action", "NewJob", "Outcome", "perform", "submit"]
