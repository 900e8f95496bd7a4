"""How much memory a broker takes, counted as it changes."""

# What a job takes beside its workload and its unique, and what a unique does beside its
# own bytes, as measured (bytes).
JOB_MEMORY = 350
UNIQUE_MEMORY = 50

# What else takes memory, as measured (bytes): a function beside its name, a function
# of a worker, a peer, a timer, a job that a worker has or that a client waits for; an
# answer that is owed, for each of those who know of it, and a request that waits for
# one, beside its arguments.
FUNCTION_MEMORY = 3000
ABILITY_MEMORY = 155
PEER_MEMORY = 800
TIMER_MEMORY = 150
RUN_MEMORY = 60
WAIT_MEMORY = 200
RECEIPT_MEMORY = 40
REQUEST_MEMORY = 200


class Memory:
    """Bytes of memory, by what they are for.

    `jobs` is for the jobs, `peers` for names of functions, for what peers can do, and
    for what they wait for. `buffers` is for what was received and is not carried out
    yet, or is still to be sent: whoever does the I/O keeps it up to date.
    """

    __slots__ = ("buffers", "jobs", "peers")

    def __init__(self) -> None:
        self.jobs = 0
        self.peers = 0
        self.buffers = 0


def job_size(workload: bytes, unique: bytes) -> int:
    """Return how many bytes of memory a job takes, without a reducer."""
    size = JOB_MEMORY + len(workload)
    return size + UNIQUE_MEMORY + len(unique) if unique else size
