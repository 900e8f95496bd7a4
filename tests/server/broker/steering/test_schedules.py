"""Schedules: when their jobs are submitted, and what a restart remembers."""

from datetime import UTC
from math import inf

import pytest

from gearman.commands import Command
from gearman.errors import OptionError
from gearman.options import Policies, Policy, Schedule, job_options
from gearman.server.broker import Job, Record
from gearman.server.broker.steering.records import split
from gearman.server.broker.steering.schedules import (
    IN_FILE,
    MOST_SET,
    NOT_FOUND,
    STOPPED,
    TOO_MANY,
)
from tests.server.conftest import Server

# The clock of a Server begins here; it is 20 seconds after a whole minute.
START = 1_700_000_000.0
MINUTE = START + 40


class Minutes:
    """Every whole minute is a time of each schedule."""

    def following(self, schedule: Schedule, after: float) -> float:
        return inf if schedule.cron == "never" else after // 60 * 60 + 60

    def preceding(self, schedule: Schedule, until: float) -> float:
        return until // 60 * 60


def schedule(name: str = "s", cron: str = "* * * * *", **more: object) -> Schedule:
    return Schedule(name, cron, UTC, b"f", **more)  # type: ignore[arg-type]


def load(site: Server, *schedules: Schedule) -> None:
    site.broker.schedules.load(schedules, Minutes(), site.wall)


def read(name: str, text: bytes) -> Schedule:
    """Understand `CRON OWNER`."""
    cron, _, owner = text.decode().partition(" ")
    if not cron:
        raise OptionError("there is no cron")
    return schedule(name, cron, owner=owner)


def jobs(site: Server) -> list[Job]:
    return list(site.broker.jobs.known.values())


class Store:
    """What a queue would keep of a broker: its rows, by number."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[object, ...]] = {}

    def commit(self, site: Server, records: bool = True) -> None:
        broker = site.broker
        for change in broker.jobs.changes:
            if isinstance(change, Job):
                self._add_job(change)
            else:
                self.rows.pop(change, None)
        stored = [change for change in broker.jobs.changes if isinstance(change, Job)]
        broker.jobs.changes.clear()
        broker.stored.durable(stored)
        for record in broker.jobs.records if records else ():
            if record.extra:
                self._add(record)
            else:
                self.rows.pop(record.number, None)
        broker.jobs.records.clear()

    def _add_job(self, job: Job) -> None:
        extra = b"" if job.extra is None else job.extra.record
        rest = job.priority, job.when, job.retries, job.reducer, extra
        name, unique = job.function.name, job.unique
        row = job.number, job.handle, name, unique, job.workload
        self.rows[job.number] = (*row, *rest)

    def _add(self, record: Record) -> None:
        row = record.number, record.handle, record.name, b"", record.workload
        self.rows[record.number] = (*row, 1, 0, 0, None, record.extra)

    def restart(self, wall: float, *schedules: Schedule) -> Server:
        """Return a server that has taken up the rows at this time."""
        site = Server(persistent=True)
        site.wall = wall
        site.broker.tick(site.now, wall)
        site.broker.schedules.read = read
        load(site, *schedules)
        for number in sorted(self.rows):
            site.broker.stored.restore(*self.rows[number])  # type: ignore[arg-type]
        site.broker.stored.restored()
        site.after(0)
        return site


def test_job_is_submitted_at_each_time(server: Server) -> None:
    options = job_options({"retries": 3})
    load(server, schedule(workload=b"w", options=options))
    assert server.after(0) == 40
    server.after(39.9)
    assert jobs(server) == []
    assert server.after(0.2) == pytest.approx(59.9)
    (job,) = jobs(server)
    assert (job.function.name, job.workload, job.background) == (b"f", b"w", True)
    assert job.extra is not None
    assert job.extra.options == job_options({"retries": 3, "background": True})
    server.after(60)
    assert len(jobs(server)) == 2


def test_worker_gets_the_job(server: Server) -> None:
    load(server, schedule())
    worker = server.worker()
    server.after(41)
    assert worker.got() == [(Command.NOOP,)]
    assert worker.grab() == b"H:test:1"


def test_jobs_with_a_unique_do_not_pile_up(server: Server) -> None:
    load(server, schedule(unique=b"u"))
    server.after(41)
    server.after(60)
    assert len(jobs(server)) == 1


def test_schedule_without_a_time_does_nothing(server: Server) -> None:
    load(server, schedule(cron="never"))
    assert server.after(1e6) == inf


def test_run_that_comes_late_is_not_missed_within_a_minute(server: Server) -> None:
    load(server, schedule())
    server.after(99)
    assert len(jobs(server)) == 1
    server.after(125)
    assert len(jobs(server)) == 1
    assert server.broker.schedules.notices == [
        "schedule s: a run was missed by too much"
    ]


def test_late_run_is_made_up_for_once_within_catch_up(server: Server) -> None:
    load(server, schedule(catch_up=600))
    server.after(400)
    assert len(jobs(server)) == 1


def test_paused_schedule_waits_to_be_resumed(server: Server) -> None:
    load(server, schedule(), schedule("t", paused=True))
    schedules = server.broker.schedules
    assert schedules.pause("s", True, server.wall)
    assert not schedules.pause("x", True, server.wall)
    server.after(50)
    assert jobs(server) == []
    assert schedules.pause("s", False, server.wall)
    assert schedules.pause("t", False, server.wall)
    server.after(60)
    assert len(jobs(server)) == 2


def test_run_at_once_changes_nothing_else(server: Server) -> None:
    load(server, schedule())
    assert server.broker.schedules.run("s") == ""
    assert len(jobs(server)) == 1
    assert server.broker.schedules.known["s"].last == 0
    server.after(41)
    assert len(jobs(server)) == 2


def test_run_at_once_tells_why_it_was_refused(server: Server) -> None:
    server.broker.policies.load(Policies({b"f": Policy(need_worker=True)}))
    load(server, schedule(catch_up=600))
    assert server.broker.schedules.run("s").startswith("No worker")
    server.worker()
    server.after(10)
    assert jobs(server) == []
    server.broker.schedules.stopped = True
    assert server.broker.schedules.run("s") == STOPPED


def test_schedules_can_be_replaced(server: Server) -> None:
    load(server, schedule(), schedule("t"))
    server.broker.schedules.pause("s", True, server.wall)
    load(server, schedule(workload=b"new"))
    server.after(41)
    assert jobs(server) == []
    load(server)
    load(server, schedule())
    # It is still paused.
    server.after(60)
    assert jobs(server) == []
    load(server, schedule(cron="never"))
    assert server.after(0) == inf


def test_schedule_that_was_away_has_missed_nothing(server: Server) -> None:
    load(server, schedule(catch_up=600))
    load(server)
    server.after(100)
    load(server, schedule(catch_up=600))
    assert server.after(0) == 60
    assert jobs(server) == []
    assert server.broker.schedules.notices == []


def test_nothing_is_submitted_while_the_server_ends(server: Server) -> None:
    load(server, schedule())
    server.broker.schedules.stopped = True
    server.after(41)
    assert jobs(server) == []


def test_refused_run_is_tried_again_within_catch_up(server: Server) -> None:
    server.broker.policies.load(Policies({b"f": Policy(need_worker=True)}))
    load(server, schedule(catch_up=20))
    schedules = server.broker.schedules
    assert server.after(40) == 5
    (line,) = schedules.notices
    assert line.startswith("schedule s: its job was refused: No worker")
    server.after(5)
    assert len(schedules.notices) == 2
    server.worker()
    server.after(5)
    assert len(jobs(server)) == 1
    server.after(5)
    assert len(jobs(server)) == 1


def test_refused_run_without_catch_up_is_not_tried_again(server: Server) -> None:
    server.broker.policies.load(Policies({b"f": Policy(need_worker=True)}))
    load(server, schedule())
    server.after(40)
    server.worker()
    assert server.after(10) == 50
    assert jobs(server) == []


def test_refused_run_is_given_up_after_catch_up(server: Server) -> None:
    server.broker.policies.load(Policies({b"f": Policy(need_worker=True)}))
    load(server, schedule(catch_up=8))
    server.after(40)
    server.after(5)
    server.worker()
    server.after(5)
    assert jobs(server) == []


class TestRestart:
    """With a store, a restart neither repeats a run nor forgets one."""

    @pytest.fixture
    def site(self) -> Server:
        site = Server(persistent=True)
        load(site, schedule(catch_up=600))
        return site

    def test_run_is_not_repeated(self, site: Server) -> None:
        store = Store()
        site.after(40)
        store.commit(site)
        again = store.restart(MINUTE + 10, schedule(catch_up=600))
        assert len(jobs(again)) == 1
        again.after(50)
        assert len(jobs(again)) == 2

    def test_run_is_not_repeated_if_only_its_job_was_stored(self, site: Server) -> None:
        store = Store()
        site.after(40)
        store.commit(site, records=False)
        again = store.restart(MINUTE + 10, schedule(catch_up=600))
        assert len(jobs(again)) == 1

    def test_missed_run_is_made_up_for_once(self, site: Server) -> None:
        store = Store()
        site.after(40)
        store.commit(site)
        again = store.restart(MINUTE + 300, schedule(catch_up=600))
        assert len(jobs(again)) == 2
        store.commit(again)
        last = store.restart(MINUTE + 310, schedule(catch_up=600))
        assert len(jobs(last)) == 2

    def test_run_that_was_missed_for_too_long_is_not_made_up_for(self) -> None:
        store, site = Store(), Server(persistent=True)
        load(site, schedule())
        site.after(40)
        store.commit(site)
        again = store.restart(MINUTE + 310, schedule())
        assert len(jobs(again)) == 1

    def test_run_at_once_is_not_taken_for_the_last_run(self, site: Server) -> None:
        store = Store()
        site.broker.schedules.run("s")
        store.commit(site)
        again = store.restart(MINUTE + 10, schedule(catch_up=600))
        assert len(jobs(again)) == 1
        assert again.broker.schedules.known["s"].last == 0

    def test_new_schedule_has_missed_nothing(self) -> None:
        again = Store().restart(MINUTE + 5, schedule(catch_up=600))
        assert jobs(again) == []

    def test_pause_is_remembered(self, site: Server) -> None:
        store = Store()
        site.broker.schedules.pause("s", True, site.wall)
        store.commit(site)
        again = store.restart(MINUTE - 1, schedule())
        again.after(2)
        assert jobs(again) == []

    def test_schedule_that_is_away_for_a_run_keeps_its_last_run(
        self, site: Server
    ) -> None:
        store = Store()
        site.after(40)
        store.commit(site)
        again = store.restart(MINUTE + 10)
        load(again, schedule(catch_up=600))
        assert again.broker.schedules.known["s"].last == MINUTE

    def test_record_is_stored_again_after_an_outage(self, site: Server) -> None:
        site.after(40)
        (record,) = site.broker.jobs.records
        site.broker.jobs.records.clear()
        site.broker.stored.record_again([record.number + 1, record.number])
        (again,) = site.broker.jobs.records
        assert (again.number, again.extra) == (record.number, record.extra)
        assert split(again.extra)[b"what"] == b"schedule"

    def test_run_that_the_store_refuses_is_tried_again(self, site: Server) -> None:
        site.after(40)
        (job,) = jobs(site)
        site.broker.stored.failed([job], b"down")
        assert jobs(site) == []
        site.after(5)
        assert len(jobs(site)) == 1


class TestSet:
    """Schedules that are set while the server runs."""

    @pytest.fixture
    def site(self) -> Server:
        site = Server(persistent=True)
        site.broker.schedules.read = read
        load(site, schedule("file"))
        return site

    @staticmethod
    def put(site: Server, name: str, text: bytes) -> str:
        return str(site.broker.schedules.set(name, text, site.wall))

    def test_schedule_runs_from_then_on(self, site: Server) -> None:
        site.broker.schedules.pause("file", True, site.wall)
        assert self.put(site, "s", b"* app") == ""
        assert site.after(0) == 40
        site.after(40)
        assert len(jobs(site)) == 1
        assert site.broker.schedules.unset("s") == ""
        site.after(60)
        assert len(jobs(site)) == 1
        assert site.broker.schedules.unset("s") == NOT_FOUND

    def test_schedule_of_the_file_is_not_replaced(self, site: Server) -> None:
        assert self.put(site, "file", b"*") == IN_FILE
        assert site.broker.schedules.unset("file") == IN_FILE

    def test_file_comes_before_what_was_set(self, site: Server) -> None:
        assert self.put(site, "s", b"never app") == ""
        load(site, schedule("s", cron="*"))
        known = site.broker.schedules.known
        assert list(known) == ["s"]
        assert (known["s"].schedule.owner, known["s"].next) == (None, MINUTE)
        load(site)
        entry = site.broker.schedules.known["s"]
        assert (entry.schedule.owner, entry.next) == ("app", inf)
        load(site, schedule("s"))
        assert site.broker.schedules.unset("s") == ""
        assert site.broker.schedules.unset("s") == IN_FILE
        load(site)
        assert site.broker.schedules.known == {}

    def test_other_owner_is_refused(self, site: Server) -> None:
        assert self.put(site, "s", b"* app") == self.put(site, "t", b"*") == ""
        assert self.put(site, "s", b"* other").startswith("app has set it")
        assert self.put(site, "t", b"* app").startswith("nobody has set it")
        assert self.put(site, "s", b"never app") == ""
        assert site.broker.schedules.known["s"].next == inf

    def test_equal_schedule_changes_nothing(self, site: Server) -> None:
        assert self.put(site, "s", b"* app") == ""
        site.broker.schedules.pause("s", True, site.wall)
        count = len(site.broker.jobs.records)
        assert self.put(site, "s", b"* app") == ""
        assert len(site.broker.jobs.records) == count
        # The pause is of somebody who knows better.
        assert self.put(site, "s", b"*/2 app") == ""
        assert site.broker.schedules.known["s"].is_paused()

    def test_wrong_text_changes_nothing(self, site: Server) -> None:
        with pytest.raises(OptionError, match="there is no cron"):
            self.put(site, "s", b"")
        assert list(site.broker.schedules.known) == ["file"]

    def test_there_are_not_too_many(self, site: Server) -> None:
        for number in range(MOST_SET):
            assert self.put(site, f"s{number}", b"never") == ""
        assert self.put(site, "s", b"never") == TOO_MANY
        assert self.put(site, "s0", b"*") == ""

    def test_what_was_set_outlives_a_restart(self, site: Server) -> None:
        store = Store()
        assert self.put(site, "s", b"* app") == self.put(site, "t", b"never") == ""
        site.broker.schedules.pause("s", True, site.wall)
        assert site.broker.schedules.unset("t") == ""
        store.commit(site)
        again = store.restart(MINUTE - 1, schedule("file"))
        known = again.broker.schedules.known
        assert list(known) == ["file", "s"]
        assert (known["s"].schedule.owner, known["s"].paused) == ("app", True)
        again.broker.schedules.pause("s", False, again.wall)
        again.after(2)
        assert len(jobs(again)) == 2
        assert again.broker.schedules.unset("s") == ""
        store.commit(again)
        last = store.restart(MINUTE + 10, schedule("file"))
        assert list(last.broker.schedules.known) == ["file"]

    def test_missed_run_is_made_up_for_after_a_restart(self, site: Server) -> None:
        site.broker.schedules.read = catching_up
        store = Store()
        assert self.put(site, "s", b"*") == ""
        site.after(40)
        store.commit(site)
        again = Server(persistent=True)
        again.wall = MINUTE + 300
        again.broker.tick(again.now, again.wall)
        again.broker.schedules.read = catching_up
        load(again)
        for row in store.rows.values():
            again.broker.stored.restore(*row)  # type: ignore[arg-type]
        again.broker.stored.restored()
        again.after(0)
        # With the runs before the restart, of the file's schedule as well.
        assert len(jobs(again)) == 3

    def test_set_schedule_stays_below_that_of_the_file(self, site: Server) -> None:
        store = Store()
        assert self.put(site, "s", b"* app") == ""
        store.commit(site)
        again = store.restart(MINUTE - 1, schedule("s"))
        assert again.broker.schedules.known["s"].schedule.owner is None
        load(again)
        assert again.broker.schedules.known["s"].schedule.owner == "app"

    def test_what_is_not_understood_stays_in_the_store(self, site: Server) -> None:
        extra = b"kind=setting&what=schedule&last=0.0"
        row = (7, b"", b"s", b"", b" app", 1, 0, 0, None, extra)
        site.broker.stored.restore(*row)
        assert site.broker.schedules.notices == [
            "schedule s: it is not used: there is no cron"
        ]
        assert list(site.broker.schedules.known) == ["file"]
        assert site.broker.jobs.records == []

    def test_record_is_stored_again_after_an_outage(self, site: Server) -> None:
        assert self.put(site, "s", b"* app") == ""
        (record,) = site.broker.jobs.records
        site.broker.jobs.records.clear()
        site.broker.stored.record_again([record.number])
        (again,) = site.broker.jobs.records
        assert (again.number, again.workload) == (record.number, b"* app")


def catching_up(name: str, text: bytes) -> Schedule:
    return schedule(name, text.decode(), catch_up=600, owner="")


def test_without_a_store_what_was_set_has_no_record(server: Server) -> None:
    server.broker.schedules.read = read
    load(server)
    assert server.broker.schedules.set("s", b"*", server.wall) == ""
    assert server.broker.schedules.unset("s") == ""
    assert server.broker.jobs.records == []
