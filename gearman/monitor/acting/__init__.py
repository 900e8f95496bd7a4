"""What the monitor changes on servers, for those who may: table and execution."""

from .actions import ACTIONS, Action, Outcome, perform
from .submission import NewJob, submit

__all__ = ["ACTIONS", "Action", "NewJob", "Outcome", "perform", "submit"]
