"""Background jobs that are kept in a store.

Such a job is acknowledged, and can be grabbed, only after it was stored. The code that
owns the store takes the changes from `Jobs.changes`, and reports the outcome here.
"""

from collections.abc import Sequence

from ...text import shown
from ..cluster.home import ALL_SHARDS, NO_SHARDS, SHARD_BITS, home_of, steps_to
from .answers import Answers
from .constants import DONE, ERROR, EXCEPTION, FAILURE, JOB_CREATED, RANGE
from .functions import Functions
from .jobs import Jobs
from .making import make_handle
from .memory import extra_size, job_size
from .model import Job, Record, is_wanted
from .places import Places
from .states import DEAD, GONE, PENDING, RESTORED, RUNNING, STORED, UNSTORED
from .steering.dead import DeadJobs
from .steering.policies import PolicyTable
from .steering.records import (
    DEAD_JOB,
    JOB,
    RESULT,
    SCHEDULE,
    SETTING,
    Fields,
    job_extra,
    split,
    time_of,
)
from .steering.results import Results, make_result
from .steering.schedules import Schedules


class StoredJobs:
    """The verbs of the code that owns the store.

    In a cluster, `shards` are those of which new jobs get numbers.
    """

    def __init__(
        self,
        functions: Functions,
        places: Places,
        answers: Answers,
        jobs: Jobs,
        policies: PolicyTable,
        dead: DeadJobs,
        results: Results,
        schedules: Schedules,
    ) -> None:
        self._functions = functions
        self._places = places
        self._answers = answers
        self._jobs = jobs
        self._policies = policies
        self._dead = dead
        self._results = results
        self._schedules = schedules
        self.shards = NO_SHARDS
        # Numbers of what could not be stored in an outage.
        self._unsaved: dict[int, None] = {}
        # The jobs of shards that leave which were still needed at the last look.
        self._needed: list[int] = []

    def add(self, job: Job) -> None:
        """Have a job stored. A new job is pending until then."""
        job.stored = True
        job.receipts = []
        self._jobs.store(job)

    def durable(self, jobs: list[Job]) -> None:
        """Acknowledge jobs that are stored, and let them be grabbed."""
        for job in jobs:
            self._answers.settle(job, JOB_CREATED, (job.handle,))
            if job.state == PENDING:
                self._jobs.place(job, STORED)
            else:
                self._jobs.shelve(job)
        self._answers.pay()

    def failed(self, jobs: list[Job], reason: bytes) -> None:
        """Refuse jobs that could not be stored.

        A failed commit may still have stored them, so they are removed from the store.
        If a job was stored before, and only a change of it failed, it stays as it was;
        see `keep_unsaved`.
        """
        for job in jobs:
            # A job that is pending, and has no receipts, was postponed.
            if job.receipts is None and job.state != PENDING:
                continue
            self._answers.settle(job, ERROR, (b"QUEUE_ERROR", reason))
            job.background = False
            if job.state == RUNNING or (job.state != PENDING and is_wanted(job)):
                # It continues for the clients that wait for its result.
                job.stored = False
                self._jobs.changes.append(job.number)
            else:
                self._places.move(job, UNSTORED, GONE)
                self._jobs.retire(job)
        self._answers.pay()

    def postpone(self, jobs: list[Job], reason: bytes) -> None:
        """Refuse the submissions that wait for jobs which are stored later.

        These jobs stay as they are, and are stored again as `keep_unsaved` says.
        """
        for job in jobs:
            self._answers.settle(job, ERROR, (b"QUEUE_ERROR", reason))
        self._answers.pay()

    def store_again(self, numbers: Sequence[int]) -> None:
        """Store again jobs, and other things, that the store has lost."""
        others: list[int] = []
        for number in numbers:
            job = self._jobs.known.get(number) or self._dead.known.get(number)
            if job is None:
                others.append(number)
            elif job.stored:
                self._jobs.store(job)
        self.record_again(others)

    def keep_unsaved(self, jobs: list[Job], numbers: Sequence[int]) -> None:
        """Remember changes of stored jobs, and records, that an outage prevented."""
        for job in jobs:
            if job.stored and job.state != GONE:
                self._unsaved[job.number] = None
        for number in numbers:
            self._unsaved[number] = None

    def store_unsaved(self) -> None:
        """Store as they are by now what could not be stored in an outage."""
        if self._unsaved:
            numbers = list(self._unsaved)
            self._unsaved.clear()
            self.store_again(numbers)

    def restore(
        self,
        number: int,
        handle: bytes,
        name: bytes,
        unique: bytes,
        workload: bytes,
        priority: int,
        when: int,
        retries: int,
        reducer: bytes | None,
        extra: bytes = b"",
    ) -> None:
        """Add a job that an earlier run of the server has stored, or what else it has.

        It keeps its handle if this ends with its number, as all handles do. Nothing is
        done if the number is known. Raises ValueError if `extra` is not what a server
        stores.
        """
        jobs = self._jobs
        if number in jobs.known or number in self._results.known:
            return None
        if number in self._dead.known:
            return None
        jobs.next_number = max(jobs.next_number, number + 1)
        fields = split(extra) if extra else {}
        kind = fields.get(b"kind", JOB)
        if kind == RESULT:
            return self._restore_result(number, handle, name, workload, fields)
        if kind == SETTING:
            return self._restore_setting(number, name, workload, fields, extra)
        if kind not in (JOB, DEAD_JOB):
            raise ValueError(f"its kind is unknown: {shown(kind)}")
        more = job_extra(fields) if extra else None
        size = job_size(workload, unique)
        if not handle.endswith(b":%d" % number):
            handle = make_handle(jobs.handle_prefix, number)
        function = self._functions.of(name)
        job = jobs.make_as(number, handle, function, unique, workload, size, priority)
        job.stored = True
        job.when = when
        job.retries = retries
        if reducer is not None:
            jobs.reduce(job, reducer)
        if more is not None:
            job.extra = more
            more.record = extra
            self._places.steered = True
            if more.run is not None:
                self._schedules.restore_run(*more.run)
            jobs.resize(more, extra_size(more.options) + len(extra))
            if kind == DEAD_JOB:
                return self._restore_dead(job)
            if more.options is not None and more.options.after:
                jobs.follow(job, more.options.after)
        self.let_join(job)
        links = self._places.links
        if links is not None and links.adopt(job):
            return None
        return jobs.place(job, RESTORED)

    def let_join(self, job: Job) -> None:
        """Let submissions join a job that was loaded, or that came back from home.

        While links of a cluster are missing, jobs of one unique may be made in several
        shards. Then the one at home is joined.
        """
        jobs, unique, workload, found = self._jobs, job.unique, job.workload, None
        if jobs.sharded:
            found = jobs.uniques.find(job.function, unique, workload)
        if found is None or home_of(unique, workload) == job.number & SHARD_BITS:
            jobs.uniques.add(job)

    def restored(self) -> None:
        """Put in order what was restored; call this after the last `restore`.

        In a cluster, this is for shard 0, to which all settings belong.
        """
        self._dead.sort()
        links = self._places.links
        if links is not None and self._jobs.keeps_settings:
            self._policies.forget_told()
            self._schedules.forget_told()
        self._schedules.restored(self._places.wall)
        if links is not None:
            links.settings.loaded()

    def _restore_setting(
        self, number: int, name: bytes, text: bytes, fields: Fields, extra: bytes
    ) -> None:
        jobs = self._jobs
        if jobs.sharded and jobs.keeps_settings and number & SHARD_BITS:
            # It is from before the cluster: all settings belong to shard 0 now.
            jobs.records.append(Record(number, b""))
            number = jobs.take_number()
            jobs.records.append(Record(number, extra, b"", name, text))
        if fields.get(b"what") == SCHEDULE:
            self._schedules.restore(number, name.decode(), fields, text)
        else:
            self._policies.restore(number, name, text)

    def _restore_dead(self, job: Job) -> None:
        self._places.move(job, RESTORED, DEAD)
        self._jobs.forget(job)
        self._dead.add(job)

    def _restore_result(
        self, number: int, handle: bytes, name: bytes, data: bytes, fields: Fields
    ) -> None:
        state, expires = fields.get(b"state"), time_of(fields, b"expires")
        if state not in (DONE, FAILURE, EXCEPTION):
            raise ValueError("it is the result of a job, but says not how that ended")
        result = make_result(number, handle, name, state, data, expires, True)
        result.durable = True
        if not self._results.add(result):
            self._jobs.records.append(Record(number, b""))

    # -- records of other things than jobs

    def recorded(self, numbers: Sequence[int]) -> None:
        """Let everybody know of the results that are stored now."""
        for number in numbers:
            result = self._results.known.get(number)
            if result is not None:
                result.durable = True

    def record_again(self, numbers: Sequence[int]) -> None:
        """Store records again that could not be stored, as they are by now."""
        settings: set[int] = set()
        for number in numbers:
            result = self._results.known.get(number)
            if result is not None:
                self._results.store(result)
            else:
                settings.add(number)
        if settings:
            self._policies.store_again(settings)
            self._schedules.store_again(settings)

    def shelve(self) -> int:
        """Leave stored jobs to the next run of the server; return how many there are.

        From now on this is done for every stored job that does not run and that no
        client waits for. Such a job is unknown then.
        """
        self._jobs.shelving = True
        self._jobs.leaving = ALL_SHARDS
        jobs = list(self._jobs.known.values())
        for job in jobs:
            self._jobs.shelve(job)
        return len(jobs) - len(self._jobs.known)

    # -- shards of a cluster

    def own(self, shards: frozenset[int]) -> None:
        """Give new jobs numbers of these shards only; without any, spare ones.

        Without shard 0, no setting is stored, and no schedule runs.
        """
        jobs, schedules = self._jobs, self._schedules
        self.shards = shards
        jobs.sharded = True
        jobs.homeless = not shards
        jobs.steps = steps_to(shards)
        jobs.keeps_settings = 0 in shards
        schedules.elsewhere = not jobs.keeps_settings
        if schedules.elsewhere:
            schedules.forget_numbers()
            self._policies.forget_numbers()
        if self._places.links is not None:
            self._places.links.sharing.look()

    def leave(self, shards: frozenset[int]) -> None:
        """Leave the stored jobs of these shards to other servers.

        They must not be owned any more. This is done with each call of `leave_some`,
        and from now on with every job as soon as nobody needs it here.
        """
        self._jobs.leaving = shards
        self._jobs.shelving = bool(shards)
        self._needed = [n for n in self._needed if n & SHARD_BITS in shards]

    def leave_some(self, after: int) -> int:
        """Leave some jobs that have higher numbers than this one.

        Returns the highest number that they may have, or -1 after the last ones.
        """
        jobs = self._jobs
        start = jobs.ranges.start_after(after)
        if start < 0:
            return -1
        numbers = jobs.ranges.numbers(start)
        for number in numbers:
            if number > after and number & SHARD_BITS in jobs.leaving:
                self._leave(jobs.known[number])
        return max(start + RANGE - 1, after)

    def _leave(self, job: Job) -> None:
        if job.stored or job.receipts is not None:
            self._jobs.shelve(job)
            if job.state != GONE:
                self._needed.append(job.number)
        elif job.unique:
            # It goes on here; but nobody may make it a background job by joining it.
            self._jobs.uniques.remove(job)

    def needed(self) -> frozenset[int]:
        """Return the shards that can't leave yet, since their jobs are needed here."""
        known = self._jobs.known
        self._needed = [number for number in self._needed if number in known]
        shards = {number & SHARD_BITS for number in self._needed}
        shards |= {number & SHARD_BITS for number in self._unsaved}
        return frozenset(shards & self._jobs.leaving)

    def left(self, shards: frozenset[int]) -> None:
        """Forget dead jobs and results of shards without other jobs."""
        for job in list(self._dead.known.values()):
            if job.number & SHARD_BITS in shards:
                self._dead.leave(job)
        self._results.leave(shards)
        self.leave(self._jobs.leaving - shards)
