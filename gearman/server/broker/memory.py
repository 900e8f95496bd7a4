"""How much memory a broker uses, counted at each change."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...options import JobOptions

# Measured bytes that a job takes besides its workload and its unique, and that a unique
# takes besides its own bytes.
JOB_MEMORY = 356
UNIQUE_MEMORY = 50

# Measured bytes of other things, in this order: a function, besides its name; a
# function of a worker; a peer; a timer, and a group of these; a job that a worker runs;
# a job that a client waits for; a pending answer, for each object that refers to it; a
# waiting request, besides its arguments; a job that others wait for, and each of these;
# what a job has beyond the standard, besides its options; options of its own; a text
# and a handle in these; a job that may expire, and a group of these; what a dead job
# takes more.
FUNCTION_MEMORY = 3900
ABILITY_MEMORY = 155
PEER_MEMORY = 860
TIMER_MEMORY = 9
TIMERS_MEMORY = 300
RUN_MEMORY = 60
WAIT_MEMORY = 200
RECEIPT_MEMORY = 40
REQUEST_MEMORY = 200
FOLLOWED_MEMORY = 205
FOLLOW_MEMORY = 20
EXTRA_MEMORY = 130
OPTIONS_MEMORY = 150
TEXT_MEMORY = 50
HANDLE_MEMORY = 40
EXPIRY_MEMORY = 9
GROUP_MEMORY = 190
DEAD_MEMORY = 350


class Memory:
    """Bytes of memory, by their purpose.

    `jobs` is for the jobs. `peers` is for the functions, the timers, and the peers with
    their functions, jobs and answers. `buffers` is for received data that is not
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
    """Return how many bytes of memory a job with these options takes besides.

    Jobs share their options, unless these have what is different for each job.
    """
    size = EXTRA_MEMORY
    if options is None:
        return size
    after, trace = options.after, options.trace
    if after or trace or options.at is not None:
        size += OPTIONS_MEMORY + (TEXT_MEMORY + len(trace) if trace else 0)
        for handle in after or ():
            size += HANDLE_MEMORY + len(handle)
    return size
