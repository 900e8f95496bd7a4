"""Clients, workers and admin clients for asyncio.

They stand on the same knowledge of the protocol as the blocking ones, which is in
`gearman.client_core`. What they do not share with them is sockets and waiting.
"""

from ..blocking.sockets import Keepalive
from .admin import Admin
from .client import Client
from .job import Data, Job, Progress, Status, Update, Warned
from .running_job import RunningJob
from .submitting import NotAccepted, Submission
from .worker import Worker

__all__ = [
    "Admin",
    "Client",
    "Data",
    "Job",
    "Keepalive",
    "NotAccepted",
    "Progress",
    "RunningJob",
    "Status",
    "Submission",
    "Update",
    "Warned",
    "Worker",
]
