"""What policies and options say of the jobs of a run, and its settings file."""

from dataclasses import dataclass

# Functions with a policy, one that gets what another gives up, one whose jobs have
# options, and those of the schedules.
RETRIED, LISTED, HANDED, KEPT = b"retried", b"listed", b"handed", b"kept"
HEIR, FREE = b"heir", b"free"
TICK, TOCK = b"tick", b"tock"
STEERED = (RETRIED, LISTED, HANDED, KEPT)
FUNCTIONS = (*STEERED, HEIR, FREE, TICK, TOCK)

# What the text of a dead job says if no worker took it in time.
EXPIRED = b"no worker took it"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become of a job; the default is that of a plain job.

    `keep`, `ttl` and `delay` are in seconds. `dead` is none, list or function. It waits
    for the end of the job with the handle `after`.
    """

    retries: int = 0
    dead: str = "none"
    keep: float = 0.0
    ttl: float = 0.0
    delay: float = 0.0
    after: bytes = b""

    def options(self) -> bytes:
        """Return the options of a background job that say this."""
        dead = f"function:{HEIR.decode()}" if self.dead == "function" else self.dead
        pairs = ["background=1", f"retries={self.retries}", "backoff=fixed:0.04"]
        pairs.append(f"dead={dead}")
        for name in ("keep", "ttl", "delay"):
            if seconds := getattr(self, name):
                pairs.append(f"{name}={seconds}")
        if self.after:
            pairs.append(f"after={self.after.decode()}")
        return "&".join(pairs).encode()


PLAIN = Plan()

# Long enough for several lives of a server, and so short that it ends in a run.
KEEP = 12.0

# These say the same as SETTINGS.
POLICIES = {
    RETRIED: Plan(retries=3),
    LISTED: Plan(retries=1, dead="list"),
    HANDED: Plan(retries=1, dead="function"),
    KEPT: Plan(retries=1, keep=KEEP),
    TICK: Plan(retries=2),
}

SETTINGS = f"""
[functions.retried]
retries = 3
backoff = "fixed:0.05"

[functions.listed]
retries = 1
backoff = "fixed:0.03"
dead = "list"

[functions.handed]
retries = 1
backoff = "fixed:0.03"
dead = "function:heir"

[functions.kept]
retries = 1
backoff = "fixed:0.02"
keep = {KEEP}
"""

# The server of a run has other times than these, see plugins/crash_server.py.
SCHEDULES = """
[schedules.often]
cron = "* * * * *"
function = "tick"
workload = "run"
options = "retries=2&backoff=fixed:0.03"
catch-up = 3600

[schedules.seldom]
cron = "* * * * *"
function = "tock"
workload = "run"
"""
SCHEDULED = {b"often": TICK, b"seldom": TOCK}
RUN = b"run"
