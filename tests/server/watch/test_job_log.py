"""The log has a line for each job that ends."""

from gearman.commands import Command
from gearman.server.watch.job_log import JobLog


def test_end_of_a_job_is_told_with_its_times(server):
    told = []
    server.site.events.add(JobLog(lambda *arguments: told.append(arguments)))
    client, worker = server.connect(), server.connect().can_do()
    handle = client.submit()
    server.after(0.5)
    worker.grab()
    server.after(2)
    worker.send(Command.WORK_COMPLETE, handle, b"")
    ((kind, text, facts),) = told
    assert kind == "job"
    name = handle.decode()
    assert (
        str(text) == f"job {name} of f has ended: completed (waited 0.5 s, ran 2.0 s)"
    )
    assert (facts["handle"], facts["waited"], facts["ran"]) == (name, 0.5, 2.0)
    assert facts["worker"]["address"] == "127.0.0.1"


def test_end_of_a_job_that_did_not_run(server):
    told = []
    server.site.events.add(JobLog(lambda *arguments: told.append(str(arguments[1]))))
    handle = server.connect().submit(b"f\n")
    server.connect().ask(b"cancel job " + handle)
    server.connect().submit()
    server.worker(b"g").leave()
    assert told == [
        f"job {handle.decode()} of f\\x0a has ended: cancelled (waited 0.0 s)"
    ]
