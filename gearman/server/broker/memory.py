"""How much memory a broker uses, counted at each change."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...options import JobOptions

# Measured bytes that a job takes besides its workload and its unique, and that a unique
# takes besides its own bytes.
JOB_MEMORY = 350
UNIQUE_MEMORY = 50

# Measured bytes of other things, in this order: a function, besides its name; a
# function of a worker; a peer; a timer; a job that a worker runs; a job that a client
# waits for; a pending answer, for each object that refers to it; a waiting request,
# besides its arguments; a job that waits for another to end; what a job has beyond the
# standard, besides its texts; a handle in that.
FUNCTION_MEMORY = 3000
ABILITY_MEMORY = 155
PEER_MEMORY = 860
TIMER_MEMORY = 150
RUN_MEMORY = 60
WAIT_MEMORY = 200
RECEIPT_MEMORY = 40
REQUEST_MEMORY = 200
FOLLOW_MEMORY = 250
EXTRA_MEMORY = 600
HANDLE_MEMORY = 100


class Memory:
    """Bytes of memory, by their purpose.

    `jobs` is for the jobs. `peers` is for the names of functions, and for the
    functions, jobs and answers of peers. `buffers` is for received data that is not
    handled yet and for data to be sent; the code that does the I/O keeps it up to date.
    """

    __slots__ = ("buffers", "jobs", "peers")

    def __init__(self) -> None:
        self.jobs = 0
        self.peers = 0
        self.buffers = 0


def job_size(workload: bytes, unique: bytes) -> int:
    """Return how many bytes of memory a job takes, without its reducer."""
    size = JOB_MEMORY + len(workload)
    return size + UNIQUE_MEMORY + len(unique) if unique else size


def extra_size(options: "JobOptions | None") -> int:
    """Return how many bytes of memory a job with these options takes besides."""
    size = EXTRA_MEMORY
    if options is not None and options.after:
        size += HANDLE_MEMORY * len(options.after)
    return size
