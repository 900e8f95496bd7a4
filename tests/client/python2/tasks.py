"""Scenes about workers: tasks, their updates and failures, hooks, encoders."""

from collections.abc import Iterator
from typing import Any

from tests.client.python2.stage import Stage, scene

Results = Iterator[tuple[str, Any]]
SUBMIT = "client.submit_job('task', 'abc', poll_timeout=5.0)"


def register(stage: Stage, *lines: str) -> None:
    """Register a task with these lines as its body in the worker."""
    body = "".join(f"\n    {line}" for line in lines)
    stage.worker.run(
        f"def task(worker, job):{body}\nworker.register_task('task', task)"
    )


@scene
def updates_of_a_running_job(stage: Stage) -> Results:
    register(
        stage,
        "sent = [worker.send_job_data(job, 'first')]",
        "sent.append(worker.send_job_data(job, 'second'))",
        "sent.append(worker.send_job_warning(job, 'careful'))",
        "sent.append(worker.send_job_status(job, 1, 4))",
        "sent.append(worker.send_job_status(job, 3, 4, poll_timeout=1.0))",
        "say(sent)",
        "return 'done'",
    )
    stage.worker.start("worker.work_through(1)")
    yield "request", stage.client.run(f"request = {SUBMIT}\nrequest")
    yield "sent", stage.worker.said()
    yield "work", stage.worker.result()
    for name in ("data_updates", "warning_updates", "status_updates", "server_status"):
        yield name, stage.client.run(f"request.{name}")
    yield "type of data_updates", stage.client.run("type(request.data_updates)")


@scene
def updates_with_wrong_arguments(stage: Stage) -> Results:
    wrong = (
        "send_job_status(job, '1', 4)",
        "send_job_status(job, 1, None)",
        "send_job_data(job, 5)",
        "send_job_warning(job, None)",
    )
    register(
        stage,
        "try:",
        "    eval('worker.' + hear())",
        "except Exception as error:",
        "    say(type(error))",
        "return ''",
    )
    for call in wrong:
        stage.worker.start("worker.work_through(1)")
        stage.worker.tell(call)
        stage.client.start(SUBMIT)
        yield call, stage.worker.said()
        yield f"work, {call}", stage.worker.result()
        yield f"request, {call}", stage.client.result()


@scene
def a_status_of_fractions(stage: Stage) -> Results:
    register(stage, "worker.send_job_status(job, 1.5, 3.0)", "return ''")
    stage.worker.start("worker.work_through(1)")
    yield "request", stage.client.run(SUBMIT)
    yield "work", stage.worker.result()


@scene
def a_task_ends_its_job_itself(stage: Stage) -> Results:
    stage.worker.run(
        "class Worker(cast.CountedWorker):\n"
        "    def on_job_complete(self, current_job, job_result):\n"
        "        return True\n"
        "worker = Worker([server])"
    )
    for call in ("send_job_complete(job, 'mine')", "send_job_failure(job)"):
        register(stage, f"return say(worker.{call})")
        stage.worker.start("worker.work_through(1)")
        yield f"request, {call}", stage.client.run(SUBMIT)
        yield f"returned, {call}", stage.worker.said()
        yield f"work, {call}", stage.worker.result()


@scene
def a_task_raises(stage: Stage) -> Results:
    stage.worker.run("worker.register_task('task', cast.fail)")
    stage.worker.start("worker.work_through(2)")
    yield "request", stage.client.run(SUBMIT)
    yield "the next", stage.client.run(SUBMIT)
    yield "work", stage.worker.result()


@scene
def a_task_ends_its_program(stage: Stage) -> Results:
    stage.client.run("client.submit_job('task', 'abc', background=True)")
    for error in ("SystemExit", "KeyboardInterrupt"):
        stage.worker.run("worker = cast.CountedWorker([server])")
        register(stage, f"raise {error}()")
        yield error, stage.worker.run("worker.work_through(1)")
        stage.worker.run("worker.shutdown()")


@scene
def a_task_returns_what_is_no_string(stage: Stage) -> Results:
    for result in ("None", "5", "['a']", "u'text'", "True", "b'bytes'"):
        stage.worker.run("worker = cast.CountedWorker([server])")
        register(stage, f"return {result}")
        stage.worker.start("worker.work_through(1)")
        stage.client.run(
            "request = client.submit_job('task', '', wait_until_complete=False)"
        )
        yield f"work, {result}", stage.worker.result()
        stage.worker.run("worker.shutdown()")
        # What the server has sent is there.
        wait = "client.wait_until_jobs_completed([request], poll_timeout=0.5)"
        yield f"request, {result}", stage.client.run(f"{wait}[0]")
        # The job may be queued again, and the next worker would get it.
        stage.stop_server()
        stage.start_server()
        stage.client.run("client = gearman.GearmanClient([server])")


@scene
def a_task_gives_its_job_back(stage: Stage) -> Results:
    stage.client.run("client.submit_job('task', 'abc', background=True)")
    register(stage, "worker.shutdown()", "return 'lost'")
    yield "work", stage.worker.run("worker.work_through(1)")
    stage.worker.run("worker = cast.CountedWorker([server])")
    register(stage, "say(job.data)", "return ''")
    stage.worker.start("worker.work_through(1)")
    yield "again", stage.worker.said()
    yield "work again", stage.worker.result()


@scene
def an_exception_is_sent_to_the_client(stage: Stage) -> Results:
    stage.worker.run(
        "class Worker(cast.CountedWorker):\n"
        "    def on_job_exception(self, current_job, exc_info):\n"
        "        self.send_job_exception(current_job, str(exc_info[1]))\n"
        "        return False\n"
        "worker = Worker([server])\n"
        "worker.register_task('task', cast.fail)"
    )
    stage.worker.start("worker.work_through(3)")
    for turn in ("first", "second", "third"):
        stage.client.run("client = gearman.GearmanClient([server])")
        call = "client.submit_job('task', 'abc', poll_timeout=1.0)"
        yield turn, stage.client.run(call)


@scene
def hooks_of_a_worker(stage: Stage) -> Results:
    stage.worker.run(
        "class Worker(gearman.GearmanWorker):\n"
        "    seen = []\n"
        "    def note(self, name, *details):\n"
        "        if not self.seen or self.seen[-1] != name:\n"
        "            self.seen.append(name)\n"
        "            self.seen.extend(details)\n"
        "    def after_poll(self, any_activity):\n"
        "        self.note('after_poll')\n"
        "        return 'last' not in self.seen\n"
        "    def on_job_execute(self, current_job):\n"
        "        self.note('on_job_execute', current_job.data)\n"
        "        back = gearman.GearmanWorker.on_job_execute(self, current_job)\n"
        "        self.note('executed', back)\n"
        "        return back\n"
        "    def on_job_exception(self, current_job, exc_info):\n"
        "        self.note('on_job_exception', current_job.data, exc_info[0],\n"
        "                  str(exc_info[1]), exc_info[2] is None)\n"
        "        return gearman.GearmanWorker.on_job_exception(\n"
        "            self, current_job, exc_info)\n"
        "    def on_job_complete(self, current_job, job_result):\n"
        "        self.note('on_job_complete', current_job.data, job_result)\n"
        "        return gearman.GearmanWorker.on_job_complete(\n"
        "            self, current_job, job_result)\n"
        "worker = Worker([server])\n"
        "worker.register_task('upper', cast.upper)\n"
        "worker.register_task('fail', cast.fail)"
    )
    stage.worker.start("worker.work(poll_timeout=1.0)")
    yield "failing", stage.client.run("client.submit_job('fail', 'bad')")
    yield "completing", stage.client.run("client.submit_job('upper', 'last')")
    yield "work", stage.worker.result()
    yield "seen", stage.worker.run("worker.seen")


@scene
def work_ends_when_after_poll_says_so(stage: Stage) -> Results:
    stage.worker.run(
        "activity = []\n"
        "def after_poll(any_activity):\n"
        "    activity.append(any_activity)\n"
        "    return len(activity) < 4\n"
        "worker.after_poll = after_poll"
    )
    yield "work", stage.worker.run("worker.work(poll_timeout=0.05)")
    yield "first call", stage.worker.run("activity[0]")
    yield "types", stage.worker.run("sorted(set(map(str, map(type, activity))))")
    yield "calls", stage.worker.run("len(activity)")
    yield "connected", stage.worker.run("worker.connection_list[0].connected")
    yield (
        "work again",
        stage.worker.run("activity = []\nworker.work(poll_timeout=0.05)"),
    )


@scene
def encoders_on_classes_and_instances(stage: Stage) -> Results:
    register(stage, "worker.send_job_data(job, [1, 2])", "return {'got': job.data}")
    for encoder in ("JSONEncoder", "PickleEncoder"):
        stage.client.run(
            "class Client(gearman.GearmanClient):\n"
            f"    data_encoder = cast.{encoder}\n"
            "client = Client([server])"
        )
        stage.worker.run(f"worker.data_encoder = cast.{encoder}")
        stage.worker.start("worker.work_through(3)")
        for data in ("{'a': [1, None, 2.5]}", "'text'", "None"):
            call = f"client.submit_job('task', {data}, poll_timeout=5.0)"
            yield f"{encoder}, {data}", stage.client.run(call)
        yield f"work, {encoder}", stage.worker.result()


@scene
def an_encoder_that_fails(stage: Stage) -> Results:
    stage.client.run("client.data_encoder = cast.JSONEncoder")
    yield "encoding", stage.client.run("client.submit_job('task', {1, 2})")
    yield (
        "not overridden",
        stage.client.run("client.data_encoder = gearman.DataEncoder\n" + SUBMIT),
    )
    stage.client.run("client = gearman.GearmanClient([server])")
    for data in ("no JSON", "5"):
        stage.client.run(f"client.submit_job('task', {data!r}, background=True)")
    stage.worker.run("worker.data_encoder = cast.JSONEncoder")
    register(stage, "return 1")
    yield "decoding", stage.worker.run("worker.work_through(1)")


@scene
def payloads_of_any_bytes(stage: Stage) -> Results:
    stage.worker.run("worker.register_task('echo', cast.echo)")
    stage.worker.start("worker.work_through(4)")
    for data in ("b'\\0\\xff\\n\\0'", "b''", "b'x' * 300000", "b'h\\xc3\\xa9llo'"):
        call = f"client.submit_job('echo', {data}, poll_timeout=9.0).result == {data}"
        yield data, stage.client.run(call)
    yield "work", stage.worker.result()


@scene
def registering_tasks(stage: Stage) -> Results:
    yield "task", stage.worker.run("worker.register_task('upper', cast.upper)")
    yield "another", stage.worker.run("worker.register_task('echo', cast.echo)")
    yield "gone", stage.worker.run("worker.unregister_task('echo')")
    yield "unknown", stage.worker.run("worker.unregister_task('nothing')")
    yield "client id", stage.worker.run("worker.set_client_id('me')")
    yield (
        "initial state",
        stage.worker.run(
            "state = worker.handler_initial_state\n"
            "[list(state['abilities']), state['client_id'], sorted(state)]"
        ),
    )
    yield "abilities", stage.worker.run("list(worker.worker_abilities)")
    yield "attribute", stage.worker.run("worker.worker_client_id")
    # Between jobs, since gearmand takes a job away when its worker's tasks change.
    stage.worker.run(
        "complete = worker.on_job_complete\n"
        "def on_job_complete(current_job, job_result):\n"
        "    complete(current_job, job_result)\n"
        "    worker.register_task('late', cast.echo)\n"
        "    worker.unregister_task('upper')\n"
        "worker.on_job_complete = on_job_complete"
    )
    stage.worker.start("worker.work_through(2)")
    yield "early", stage.client.run("client.submit_job('upper', 'x', poll_timeout=5.0)")
    yield "late", stage.client.run("client.submit_job('late', 'xyz', poll_timeout=5.0)")
    yield "work", stage.worker.result()
    yield "abilities at last", stage.worker.run("sorted(worker.worker_abilities)")


@scene
def a_client_inside_a_task(stage: Stage) -> Results:
    other = stage.add_player()
    other.run("worker = cast.CountedWorker([server])")
    other.run("worker.register_task('upper', cast.upper)")
    other.start("worker.work_through(1)")
    register(
        stage,
        "client = gearman.GearmanClient([server])",
        "return client.submit_job('upper', job.data).result + '!'",
    )
    stage.worker.start("worker.work_through(1)")
    yield "request", stage.client.run(SUBMIT)
    yield "work", stage.worker.result()
    yield "other work", other.result()
