"""A client or a worker of the package as a process, controlled by arguments.

It prints a line for each event to be recorded, and ends when its standard input ends.
"""

import random
import sys
import threading

import gearman

Server = str | dict[str, object]

FUNCTIONS = ("soak", "soak-plain")


def main() -> None:
    kind, host, port, authority, certificate = sys.argv[1:]
    server: Server = f"{host}:{port}"
    if authority:
        files = {"ca_certs": authority, "certfile": certificate}
        server = {"host": host, "port": int(port), "keyfile": certificate, **files}
    {"worker": work, "client": submit}[kind](server)


def say(text: str) -> None:
    """Print a line by a single write."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def work(server: Server) -> None:
    def run(worker: gearman.GearmanWorker, job: gearman.GearmanJob) -> bytes:
        data: bytes = job.data
        say(f"ran {job.handle}")
        return data

    worker = gearman.GearmanWorker([server])
    for function in FUNCTIONS:
        worker.register_task(function, run)
    worker.work()


def submit(server: Server) -> None:
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    client = gearman.GearmanClient([server])
    while not over.is_set():
        jobs = [{"task": "soak", "data": f"{n}" * 20} for n in range(20)]
        say("submitted 20")
        for request in client.submit_multiple_jobs(jobs, poll_timeout=60.0):
            over_all = gearman.JOB_COMPLETE, gearman.JOB_FAILED
            say("answered" if request.state in over_all else f"wrong {request.state}")
        background = random.choice(jobs)
        request = client.submit_job(
            background["task"], background["data"], background=True
        )
        say(f"acknowledged {request.job.handle}")


if __name__ == "__main__":
    main()
