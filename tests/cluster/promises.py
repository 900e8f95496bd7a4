"""Whether a history keeps the promises of docs/cluster.md.

Each rule yields a sentence for each time that a promise was broken. What the manual
allows is counted in `allowed`, by the reason.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from math import inf

from gearman.server.broker.links.links import LINGER
from gearman.server.broker.links.waiting import PATIENCE
from gearman.server.cluster.home import SHARDS, home_of
from gearman.server.cluster.links import MISSED, PING

from .history import NOBODY, Answer, History, Outage, Run, Submission

# Seconds by which a log may tell later of a link than the server knew it.
LATE = 0.5

# Seconds after which a link that tells nothing is closed, at the latest: the first
# ping is sent up to a second later.
SILENCE = PING * (MISSED + 1) + LATE


def shard_of(handle: bytes) -> int:
    return int(handle.rpartition(b":")[2]) % SHARDS


class Promises:
    """The promises to clients and workers of servers with this `lease`, in seconds."""

    def __init__(self, history: History, lease: float) -> None:
        self.allowed: Counter[str] = Counter()
        self._history = history
        self._lease = lease
        # A server does without another one that it can't reach for so long.
        self._patience = lease + LINGER
        self._submissions = history.submissions
        self._runs: dict[bytes, list[Run]] = {}
        for run in sorted(history.runs, key=lambda run: run.started):
            self._runs.setdefault(run.handle, []).append(run)
        # Foreground jobs that have become one have the same handle.
        self._awaited: dict[bytes, list[Submission]] = {}
        for it in history.submissions.values():
            if it.handle and not it.background:
                self._awaited.setdefault(it.handle, []).append(it)

    def broken(self) -> list[str]:
        """Return what is wrong, when all jobs should have ended."""
        self.allowed.clear()
        rules = (
            *(self._lost, self._invented, self._confused, self._repeated),
            *(self._unanswered, self._wrong, self._not_coalesced),
        )
        return [
            *(sentence for rule in rules for sentence in rule()),
            *self._history.strays,
        ]

    # -- no acknowledged job is lost

    def _lost(self) -> Iterator[str]:
        for it in self._submissions.values():
            if not it.background or not it.handle:
                continue
            runs = [run for run in self._runs.get(it.handle, ()) if run.result < inf]
            if not runs:
                yield f"job {it.job} was acknowledged, and is lost"
            elif all(self._knew_end(run, run.server, it.sent) for run in runs):
                if self._stood_still(it):
                    self.allowed["joined while a server stood still"] += 1
                else:
                    yield f"job {it.job} has joined one that had ended before"

    def _knew_end(self, run: Run, server: int, at: float) -> bool:
        """Whether a server knew for sure at a time that a run had ended before."""
        # Most have not, and the rest takes long.
        return run.ended < at and self._known_end(run, server) < at

    def _known_end(self, run: Run, server: int) -> float:
        """Return when a server knows that a job has ended, at the latest.

        If the worker's server is not the owner, it sends the result over a link, and so
        does the owner to the servers of clients. It is sent again after a lost link.
        """
        shard = shard_of(run.handle)
        owner = self._owner(shard, run.started)
        if owner == run.server == server:
            return run.ended
        begin, soon = run.started - SILENCE, run.ended + SILENCE
        concerned = {owner, run.server, server}
        calm = not self._changed(shard, run.started, soon)
        if calm and not self._disturbed(concerned, begin, soon):
            return soon
        return soon + self._patience

    def _disturbed(self, servers: set[int], begin: float, end: float) -> bool:
        """Whether some servers could not always talk to each other."""
        history = self._history
        times = [(it.begin, it.end) for it in history.outages if it.server in servers]
        for server in servers:
            times += [*history.pauses.get(server, ()), *history.slow.get(server, ())]
        return any(first < end and begin < last for first, last in times)

    def _stood_still(self, it: Submission) -> bool:
        """Whether the server of a client, or an owner, stood still for long."""
        shard = shard_of(it.handle)
        return any(
            end - begin >= self._lease
            and (begin < it.created and it.sent < end)
            and server in (it.server, self._owner(shard, begin))
            for server, begin, end in self._pauses()
        )

    def _pauses(self) -> Iterator[tuple[int, float, float]]:
        for server, pauses in self._history.pauses.items():
            for begin, end in pauses:
                yield server, begin, end

    # -- each job is what was submitted; no number is used twice

    def _invented(self) -> Iterator[str]:
        for run in self._history.runs:
            if run.job not in self._submissions:
                yield f"job {run.job} was never submitted"

    def _confused(self) -> Iterator[str]:
        for handle, runs in self._runs.items():
            if len({run.job for run in runs}) > 1:
                if self._came_back(runs):
                    self.allowed["the handle of a job that was submitted again"] += 1
                else:
                    yield f"{handle.decode()} is the handle of several jobs"
        for it in self._submissions.values():
            for run in self._runs.get(it.handle, ()):
                if not self._is_same(it, run):
                    yield f"job {it.job} has the handle of job {run.job}"
                    break

    def _came_back(self, runs: list[Run]) -> bool:
        """Whether runs are of foreground jobs that were one, until a link broke.

        They had joined at the home of their unique. Then one was submitted again by the
        server of its client, which knows it by that handle.
        """
        found = [self._submissions.get(run.job) for run in runs]
        jobs = [it for it in found if it is not None and not it.background]
        uniques = {it.unique for it in jobs}
        if len(jobs) < len(runs) or len(uniques) > 1 or b"" in uniques:
            return False
        return self._parted(runs[0].handle, max(run.started for run in runs))

    def _is_same(self, it: Submission, run: Run) -> bool:
        """Whether a run is one of a job that was submitted, or that it has joined."""
        other = self._submissions.get(run.job)
        if other is None or not it.unique:
            return run.job == it.job
        return other.unique == it.unique

    # -- none runs after its end, unless its owner has changed

    def _repeated(self) -> Iterator[str]:
        for runs in self._runs.values():
            for position, run in enumerate(runs):
                ended = [each for each in runs[:position] if each.ended < run.started]
                if ended:
                    reason = self._reason(ended[-1], run)
                    if reason:
                        self.allowed[f"ran again: {reason}"] += 1
                    else:
                        yield f"job {run.job} has run again after its end"

    def _reason(self, before: Run, run: Run) -> str:
        """Return why a job may run again, "" if it may not."""
        shard, begin, end = shard_of(run.handle), before.started, run.started
        owner = self._owner(shard, begin)
        if self._changed(shard, begin, end):
            return "another owner"
        if before.server != owner:
            if self._was_removed(before, end):
                return "the server of its worker is gone"
            if any(self._is_long(each, begin, end) for each in self._between(before)):
                return "no link to the server of its worker"
        if run.server != self._owner(shard, end) and self._went_on(before, run):
            return "a server that was removed had borrowed it"
        first = self._submissions.get(run.job)
        if first is None or first.background or not first.unique:
            return ""
        # It was passed on, and the link broke before it told of the start.
        return "a lost link" if self._parted(run.handle, end) else ""

    def _was_removed(self, run: Run, end: float) -> bool:
        """Whether the server of a worker was no member any more before `end`.

        The owner may have learnt that later, when it lost the link, and may have lent
        the job until then. What it has lent is started soon after, if at all, or when
        a server goes on that stood still.
        """
        for at in self._history.gone.get(run.server, ()):
            knew = self._knew_removal(run, at)
            for each in self._between(run):
                # The first loss after that time, or the one that lasted until then.
                if each.end > at or self._ends_with(each):
                    latest = max(each.begin + PATIENCE + LATE, knew)
                    if at <= end and run.started <= latest and each.begin <= end + LATE:
                        return True
                    break
        return False

    def _went_on(self, before: Run, run: Run) -> bool:
        """Whether a run began before its server knew that it was no member any more.

        The job has run elsewhere for that reason.
        """
        return any(
            at <= before.started and run.started < self._knew_removal(run, at)
            for at in self._history.gone.get(run.server, ())
        )

    def _knew_removal(self, run: Run, at: float) -> float:
        """Return when the server of a worker knew that it was removed at a time.

        It knows it when it has lost the link to the owner of the job, soon after it was
        removed or went on, or a moment after it stood still.
        """
        pauses = self._history.pauses.get(run.server, ())
        awake = max((end for begin, end in pauses if begin < at <= end), default=at)
        lost = (each.begin for each in self._between(run, owner=False))
        known = (begin for begin in lost if begin < awake + self._lease)
        return max([awake, *known]) + LATE

    def _parted(self, handle: bytes, end: float) -> bool:
        """Whether a foreground job was submitted again, since a link was lost.

        That is the link from the server of a client to the owner.
        """
        shard = shard_of(handle)
        return any(
            outage.server == it.server
            and it.sent - LATE < outage.begin <= end + LATE
            and outage.other in self._owners(shard, it.sent, outage.begin)
            for it in self._awaited.get(handle, ())
            for outage in self._history.outages
        )

    def _between(self, run: Run, owner: bool = True) -> Iterator[Outage]:
        """Yield what the owner of a job tells of its links to the worker's server.

        If not the `owner` is asked, it is what that server tells of them.
        """
        servers = self._owner(shard_of(run.handle), run.started), run.server
        for each in self._history.outages:
            told = (each.server, each.other) if owner else (each.other, each.server)
            if told == servers:
                yield each

    def _is_long(self, outage: Outage, begin: float, end: float) -> bool:
        last = inf if self._ends_with(outage) else outage.end
        length = min(last, end) - outage.begin
        return last > begin and length >= self._patience - LATE

    def _ends_with(self, outage: Outage) -> bool:
        """Whether the other server has ended, so that there was no link again."""
        ended = self._history.ends_of_servers.get(outage.other, inf)
        return ended <= outage.end

    # -- the client of a foreground job gets its result, a failure, or it is cut off

    def _unanswered(self) -> Iterator[str]:
        for it in self._submissions.values():
            if it.handle and not it.background and it.answer is None:
                yield f"job {it.job} was never answered"

    def _wrong(self) -> Iterator[str]:
        numbered = {run.number: run for run in self._history.runs}
        for it in self._submissions.values():
            run = numbered.get(it.result)
            if it.answer is Answer.RESULT:
                if run is None or not self._is_same(it, run):
                    yield f"job {it.job} got the result of something else"
                elif self._knew_end(run, it.server, it.sent):
                    yield f"job {it.job} got a result from before it was submitted"
            elif it.answer is Answer.FAIL and not self._was_started(it):
                yield f"job {it.job} failed, and no worker has got it"

    def _was_started(self, it: Submission) -> bool:
        """Whether a run of a job begins while its client waits, or joins a run."""
        return any(
            run.started < it.answered
            and self._is_same(it, run)
            and not self._knew_end(run, it.server, it.sent)
            for run in self._history.runs
        )

    # -- uniques coalesce at their home

    def _not_coalesced(self) -> Iterator[str]:
        by_unique: dict[bytes, dict[bytes, list[Submission]]] = {}
        for it in self._submissions.values():
            # Those with other numbers were made elsewhere, for want of a link.
            at_home = it.handle and shard_of(it.handle) == home_of(it.unique, b"")
            if it.unique and at_home:
                jobs = by_unique.setdefault(it.unique, {})
                jobs.setdefault(it.handle, []).append(it)
        for jobs in by_unique.values():
            yield from self._twins([*jobs.values()])

    def _twins(self, jobs: list[list[Submission]]) -> Iterator[str]:
        """Find submissions that should have joined an earlier job of their unique.

        That was created before the submission was sent, and ended after this was
        created; by its first end, since a job that runs again is another matter.
        """
        jobs = sorted(jobs, key=lambda joined: min(it.created for it in joined))
        alive: list[list[Submission]] = []
        coming = iter([*jobs, None])
        job = next(coming)
        for it in sorted(sum(jobs, []), key=lambda it: it.sent):
            while job is not None and min(each.created for each in job) < it.sent:
                alive.append(job)
                job = next(coming)
            alive = [each for each in alive if self._end(each) > it.sent]
            for other in alive:
                if other[0].handle == it.handle or self._end(other) <= it.created:
                    continue
                if self._is_excused(other, it):
                    self.allowed["another job of a unique"] += 1
                else:
                    yield f"job {it.job} has not joined job {other[0].job}"

    def _end(self, joined: list[Submission]) -> float:
        """Return when a job may have ended at the earliest."""
        times = [run.result for run in self._runs.get(joined[0].handle, ())]
        if not joined[0].background:
            # Without clients it may end at any time.
            times += [it.answered for it in joined]
        return min(times, default=inf)

    def _is_excused(self, joined: list[Submission], it: Submission) -> bool:
        begin = min(each.sent for each in joined)
        shard = shard_of(it.handle)
        if self._changed(shard, begin, it.created):
            return True
        if it.background:
            # A server that drains may leave jobs that wait to the next owner.
            owner = self._owner(shard, it.sent)
            return self._history.drains.get(owner, inf) <= it.created
        # A server that does not know that it is gone goes on with foreground jobs as if
        # it were the owner. That of a client submits a job again after a lost link.
        parted = self._parted(joined[0].handle, it.created)
        return parted or self._was_cut_off(shard, begin, it.created)

    def _was_cut_off(self, shard: int, begin: float, end: float) -> bool:
        """Whether an owner of a shard was gone, and others had no link to it."""
        for server, times in self._history.gone.items():
            lost = any(
                at <= end and server == self._owner(shard, at - LATE) for at in times
            )
            if lost and any(
                server in (each.server, each.other)
                and (each.begin - LATE < end and begin < each.end + LATE)
                for each in self._history.outages
            ):
                return True
        return False

    # -- the past of servers

    def _owner(self, shard: int, at: float) -> int:
        changes = self._history.changes.get(shard, [])
        position = bisect_right(changes, at, key=lambda change: change.at)
        return changes[position - 1].owner if position else NOBODY

    def _changed(self, shard: int, begin: float, end: float) -> bool:
        changes = self._history.changes.get(shard, ())
        return any(begin < change.at <= end for change in changes)

    def _owners(self, shard: int, begin: float, end: float) -> set[int]:
        """Return who owned a shard at some time from `begin` to `end`."""
        changes = self._history.changes.get(shard, ())
        later = {change.owner for change in changes if begin < change.at <= end}
        return {self._owner(shard, begin)} | later
