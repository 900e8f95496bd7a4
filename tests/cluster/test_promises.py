"""The judge of histories: it finds each broken promise, and knows what is allowed.

The lease is a second, so a server does without another one after 6 seconds. A link that
tells nothing is closed after 4.5. The server 4730 owns all shards, if nothing else is
said.
"""

from dataclasses import replace
from math import inf

import pytest

from gearman.server.cluster.home import home_of
from tests.cluster.history import Answer, Change, History, Outage, Run, Submission
from tests.cluster.promises import Promises

UNIQUE = b"u"
HOME = home_of(UNIQUE, b"")
HANDLE = b"H:host:3"
AT_HOME = b"H:host:%d" % HOME
ALSO_AT_HOME = b"H:host:%d" % (HOME + 64)
ELSEWHERE = b"H:host:%d" % (HOME + 1)

OWNER, OTHER = 4730, 4731

STORED = Submission(1, OWNER, sent=1.0, handle=HANDLE, created=2.0)
AWAITED = replace(
    STORED, background=False, answer=Answer.RESULT, answered=5.0, result=1
)
RUN = Run(1, 1, HANDLE, OWNER, started=3.0, result=4.0, ended=5.0)
AGAIN = Run(2, 1, HANDLE, OWNER, started=12.0, result=13.0, ended=14.0)


def history(submissions=(STORED,), runs=(RUN,), **more):
    told = History({it.job: it for it in submissions}, list(runs), **more)
    for shard in range(64):
        told.changes.setdefault(shard, []).insert(0, Change(0.0, OWNER))
    return told


def judged(*arguments, **more):
    """Return what is broken, and what is allowed."""
    promises = Promises(history(*arguments, **more), 1.0)
    return promises.broken(), dict(promises.allowed)


def broken(*arguments, **more):
    return judged(*arguments, **more)[0]


class TestAcknowledgedJobs:
    def test_good_history_has_no_fault(self):
        assert judged() == ([], {})
        assert judged([AWAITED]) == ([], {})

    def test_refused_job_and_one_without_an_answer_may_be_lost(self):
        refused = Submission(2, OWNER, 1.0, refused=True)
        assert broken([STORED, refused, Submission(3, OWNER, 1.0)]) == []

    @pytest.mark.parametrize("runs", [[], [replace(RUN, result=inf, ended=inf)]])
    def test_lost_job_is_found(self, runs):
        assert broken(runs=runs) == ["job 1 was acknowledged, and is lost"]

    def test_job_that_nobody_submitted_is_found(self):
        invented = Run(2, 7, b"H:host:4", OWNER, 3.0, 4.0, 5.0)
        assert broken(runs=[RUN, invented]) == ["job 7 was never submitted"]

    def test_number_that_is_used_twice_is_found(self):
        second = replace(STORED, job=2, handle=b"H:host:4")
        mixed = [RUN, replace(RUN, number=2, job=2), replace(RUN, handle=b"H:host:4")]
        assert broken([STORED, second], mixed) == [
            "H:host:3 is the handle of several jobs",
            "job 1 has the handle of job 2",
            "job 2 has the handle of job 1",
        ]

    def test_foreground_jobs_of_a_unique_may_part_when_a_link_breaks(self):
        first = replace(AWAITED, unique=UNIQUE)
        second = replace(first, job=2, result=2)
        runs = [RUN, replace(RUN, number=2, job=2)]
        second.server = OTHER
        outages = [Outage(OTHER, OWNER, 2.5, 4.0)]
        allowed = {"the handle of a job that was submitted again": 1}
        assert judged([first, second], runs, outages=outages) == ([], allowed)
        several = ["H:host:3 is the handle of several jobs"]
        assert broken([first, second], runs) == several
        for outage in (
            Outage(OTHER, OWNER, 9.0, 10.0),
            Outage(OTHER, OWNER, 0.4, 10.0),
            Outage(OWNER, OTHER, 2.5, 4.0),
            Outage(OTHER, 4732, 2.5, 4.0),
        ):
            assert broken([first, second], runs, outages=[outage]) == several
        stored = [replace(it, background=True, answer=None) for it in (first, second)]
        assert broken(stored, runs, outages=outages) == several
        other = replace(second, unique=b"v")
        assert several[0] in broken([first, other], runs, outages=outages)


class TestJoinedJobs:
    FIRST = replace(STORED, unique=UNIQUE, handle=AT_HOME)
    DONE = replace(RUN, handle=AT_HOME)
    LATE = ["job 2 has joined one that had ended before"]

    def joined(self, sent, created, run=DONE, **more):
        late = replace(self.FIRST, job=2, sent=sent, created=created)
        return judged([self.FIRST, late], [run], **more)

    def test_job_that_joins_before_the_end_is_done(self):
        assert self.joined(4.5, 4.8) == ([], {})
        # Its end is not certain.
        assert self.joined(5.5, 5.8, replace(self.DONE, ended=inf)) == ([], {})

    def test_job_that_joins_after_the_end_is_lost(self):
        assert self.joined(5.5, 5.8) == (self.LATE, {})

    AWAY = replace(DONE, server=OTHER)

    def test_end_at_another_server_is_known_before_a_silent_link_is_closed(self):
        assert self.joined(9.4, 9.8, self.AWAY) == ([], {})
        assert self.joined(9.6, 9.8, self.AWAY) == (self.LATE, {})

    @pytest.mark.parametrize(
        "trouble",
        [
            {"outages": [Outage(OWNER, OTHER, 5.5, 7.0)]},
            {"outages": [Outage(OTHER, OWNER, 7.5, inf)]},
            {"pauses": {OWNER: [(4.5, 5.5)]}},
            {"slow": {OTHER: [(2.5, 3.5)]}},
            {"changes": {HOME: [Change(6.0, OTHER)]}},
        ],
    )
    def test_end_at_another_server_is_known_later_after_trouble(self, trouble):
        assert self.joined(15.4, 15.8, self.AWAY, **trouble) == ([], {})
        assert self.joined(15.6, 15.8, self.AWAY, **trouble) == (self.LATE, {})

    @pytest.mark.parametrize(
        "trouble",
        [
            {"outages": [Outage(4732, OTHER, 5.5, 7.0)]},
            {"outages": [Outage(OWNER, OTHER, 9.6, 9.9)]},
            {"pauses": {4732: [(4.5, 5.5)]}},
            {"slow": {OTHER: [(-2.5, -1.6)]}},
            {"changes": {HOME - 1: [Change(6.0, OTHER)]}},
        ],
    )
    def test_other_trouble_is_no_excuse(self, trouble):
        assert self.joined(9.6, 9.8, self.AWAY, **trouble) == (self.LATE, {})

    def test_server_that_stood_still_may_let_one_join_late(self):
        allowed = {"joined while a server stood still": 1}
        assert self.joined(5.5, 8.0, pauses={OWNER: [(5.6, 7.0)]}) == ([], allowed)

    @pytest.mark.parametrize(
        "pauses",
        [
            {OWNER: [(5.6, 6.0)]},
            {OWNER: [(8.5, 10.5)]},
            {OWNER: [(4.0, 5.2)]},
            {OTHER: [(5.6, 7.0)]},
        ],
    )
    def test_short_and_other_pauses_are_no_excuse(self, pauses):
        assert self.joined(5.5, 8.0, pauses=pauses) == (self.LATE, {})


class TestEnds:
    TWICE = ["job 1 has run again after its end"]

    def test_job_that_runs_again_is_found(self):
        assert judged(runs=[RUN, AGAIN]) == (self.TWICE, {})

    def test_job_may_run_again_if_its_end_is_not_certain(self):
        assert judged(runs=[replace(RUN, ended=inf), AGAIN]) == ([], {})
        assert judged(runs=[RUN, replace(AGAIN, started=4.5)]) == ([], {})

    def test_job_may_run_again_if_its_shard_has_another_owner(self):
        changes = {3: [Change(6.0, OTHER)]}
        allowed = {"ran again: another owner": 1}
        assert judged(runs=[RUN, AGAIN], changes=changes) == ([], allowed)

    @pytest.mark.parametrize(("shard", "at"), [(4, 6.0), (3, 2.0), (3, 13.0)])
    def test_other_changes_of_owners_are_no_excuse(self, shard, at):
        changes = {shard: [Change(at, OWNER)]}
        assert broken(runs=[RUN, AGAIN], changes=changes) == self.TWICE

    AWAY = replace(RUN, server=OTHER)

    def test_job_may_run_again_if_the_server_of_its_worker_is_gone(self):
        allowed = {"ran again: the server of its worker is gone": 1}
        for at, lost in ((6.0, 6.1), (6.0, 5.0), (2.0, 6.1), (2.0, 1.6), (12.0, 12.4)):
            more = {"gone": {OTHER: [at]}, "outages": [Outage(OWNER, OTHER, lost, inf)]}
            assert judged(runs=[self.AWAY, AGAIN], **more) == ([], allowed)

    def test_server_of_its_worker_may_start_it_when_it_goes_on(self):
        runs = [replace(self.AWAY, started=8.0, result=8.1, ended=8.2), AGAIN]
        more = {"gone": {OTHER: [5.0]}, "outages": [Outage(OWNER, OTHER, 5.1, 9.0)]}
        allowed = {"ran again: the server of its worker is gone": 1}
        assert judged(runs=runs, pauses={OTHER: [(4.0, 7.9)]}, **more) == ([], allowed)
        for pauses in (
            {OTHER: [(4.0, 7.4)]},
            {OTHER: [(5.1, 7.9)]},
            {OWNER: [(4.0, 7.9)]},
            {4732: [(4.0, 7.9)]},
        ):
            assert broken(runs=runs, pauses=pauses, **more) == self.TWICE

    def test_server_that_went_on_may_lose_the_link_later(self):
        more = {"pauses": {OTHER: [(1.0, 11.0)]}, "gone": {OTHER: [2.5]}}
        assert broken(runs=[RUN, self.LATE], **more) == self.TWICE
        lost = [Outage(OTHER, OWNER, 11.6, 13.0)]
        assert judged(runs=[RUN, self.LATE], outages=lost, **more) == ([], self.REMOVED)
        lost = [Outage(OTHER, OWNER, 12.1, 13.0)]
        assert broken(runs=[RUN, self.LATE], outages=lost, **more) == self.TWICE

    def test_server_of_its_worker_may_have_been_killed(self):
        more = {"gone": {OTHER: [6.0]}, "outages": [Outage(OWNER, OTHER, 4.5, 4.5)]}
        assert broken(runs=[self.AWAY, AGAIN], **more) == self.TWICE
        assert (
            broken(runs=[self.AWAY, AGAIN], ends_of_servers={OTHER: 4.5}, **more) == []
        )

    LOST = Outage(OWNER, OTHER, 6.1, 8.0)

    @pytest.mark.parametrize(
        ("gone", "outages"),
        [
            ({OTHER: [13.0]}, [LOST]),
            ({4732: [6.0]}, [LOST]),
            ({OTHER: [6.0]}, []),
            ({OTHER: [6.0]}, [Outage(OTHER, OWNER, 6.1, inf)]),
            ({OTHER: [6.0]}, [Outage(OWNER, OTHER, 12.6, inf)]),
            ({OTHER: [0.5]}, [Outage(OWNER, OTHER, 1.0, 2.0), LOST]),
        ],
    )
    def test_other_servers_that_are_gone_are_no_excuse(self, gone, outages):
        more = {"gone": gone, "outages": outages}
        assert broken(runs=[self.AWAY, AGAIN], **more) == self.TWICE

    def test_owner_that_is_gone_without_a_change_is_no_excuse(self):
        assert broken(runs=[RUN, AGAIN], gone={OWNER: [6.0]}) == self.TWICE

    def test_job_may_run_again_after_a_long_time_without_the_link(self):
        allowed = {"ran again: no link to the server of its worker": 1}
        outages = [Outage(OWNER, OTHER, 4.0, inf)]
        assert judged(runs=[self.AWAY, AGAIN], outages=outages) == ([], allowed)

    @pytest.mark.parametrize(
        "outage",
        [
            Outage(OWNER, OTHER, 4.0, 8.0),
            Outage(OWNER, OTHER, 7.0, inf),
            Outage(OWNER, 4732, 4.0, inf),
            Outage(OTHER, OWNER, 4.0, inf),
        ],
    )
    def test_short_and_other_outages_are_no_excuse(self, outage):
        assert broken(runs=[self.AWAY, AGAIN], outages=[outage]) == self.TWICE

    def test_server_that_was_killed_is_without_the_link_from_then_on(self):
        outages = [Outage(OWNER, OTHER, 5.5, 5.7)]
        runs = [self.AWAY, AGAIN]
        assert broken(runs=runs, outages=outages) == self.TWICE
        assert broken(runs=runs, outages=outages, ends_of_servers={OTHER: 5.6}) == []
        soon = [self.AWAY, replace(AGAIN, started=10.9)]
        more = {"outages": outages, "ends_of_servers": {OTHER: 5.6}}
        assert broken(runs=soon, **more) == self.TWICE

    LATE = replace(AGAIN, server=OTHER)

    REMOVED = {"ran again: a server that was removed had borrowed it": 1}

    def test_server_that_stood_still_may_go_on_with_what_it_had_borrowed(self):
        more = {"pauses": {OTHER: [(1.0, 11.9)]}, "gone": {OTHER: [2.5]}}
        assert judged(runs=[RUN, self.LATE], **more) == ([], self.REMOVED)

    def test_server_that_was_removed_goes_on_until_it_has_lost_the_link(self):
        runs = [replace(RUN, result=3.5, ended=4.0), replace(self.LATE, started=4.2)]
        more = {"gone": {OTHER: [2.9]}, "outages": [Outage(OTHER, OWNER, 3.8, 9.0)]}
        assert judged(runs=runs, **more) == ([], self.REMOVED)
        for other in (
            {"gone": {OTHER: [2.7]}},
            {"gone": {OTHER: [3.1]}},
            {"gone": {4732: [2.9]}},
            {"outages": [Outage(OWNER, OTHER, 3.8, 9.0)]},
            {"outages": [Outage(OTHER, OWNER, 3.6, 9.0)]},
        ):
            assert broken(runs=runs, **{**more, **other}) == self.TWICE

    @pytest.mark.parametrize(
        ("pauses", "gone", "run"),
        [
            ({OTHER: [(1.0, 11.9)]}, {OTHER: [2.5]}, AGAIN),
            ({OTHER: [(1.0, 11.9)]}, {OTHER: [0.9, 3.5]}, LATE),
            ({OTHER: [(1.0, 11.9)]}, {4732: [2.5]}, LATE),
            ({4732: [(1.0, 11.9)]}, {OTHER: [2.5]}, LATE),
            ({OTHER: [(1.0, 11.4)]}, {OTHER: [2.5]}, LATE),
            ({OTHER: [(1.0, 11.9)]}, {OTHER: [3.1]}, LATE),
        ],
    )
    def test_other_pauses_are_no_excuse(self, pauses, gone, run):
        assert broken(runs=[RUN, run], pauses=pauses, gone=gone) == self.TWICE

    def test_foreground_job_with_a_unique_may_be_submitted_again(self):
        allowed = {"ran again: a lost link": 1}
        it = replace(AWAITED, unique=UNIQUE, server=OTHER)
        outages = [Outage(OTHER, OWNER, 4.0, 5.0)]
        assert judged([it], [RUN, AGAIN], outages=outages) == ([], allowed)
        assert judged([it], [RUN, AGAIN]) == (self.TWICE, {})
        plain = replace(it, unique=b"")
        assert broken([plain], [RUN, AGAIN], outages=outages) == self.TWICE
        for other in Outage(OWNER, OTHER, 4.0, 5.0), Outage(OTHER, 4732, 4.0, 5.0):
            assert broken([it], [RUN, AGAIN], outages=[other]) == self.TWICE

    def test_former_owner_may_be_the_one_to_which_a_link_was_lost(self):
        it = replace(AWAITED, unique=UNIQUE, server=OTHER)
        more = {"changes": {3: [Change(2.5, 4732)]}}
        outages = [Outage(OTHER, OWNER, 2.8, 5.0)]
        assert broken([it], [RUN, AGAIN], outages=outages, **more) == []
        early = {"changes": {3: [Change(0.5, 4732)]}}
        assert broken([it], [RUN, AGAIN], outages=outages, **early) == self.TWICE


class TestForegroundJobs:
    def test_job_without_an_answer_is_found(self):
        it = replace(AWAITED, answer=None)
        assert broken([it]) == ["job 1 was never answered"]

    def test_client_may_lose_its_connection(self):
        assert broken([replace(AWAITED, answer=Answer.LOST)]) == []

    @pytest.mark.parametrize("number", [0, 2, 9])
    def test_result_of_another_job_is_found(self, number):
        other = replace(STORED, job=2, handle=b"H:host:4")
        runs = [RUN, replace(RUN, number=2, job=2, handle=b"H:host:4")]
        told = broken([replace(AWAITED, result=number), other], runs)
        assert told == ["job 1 got the result of something else"]

    def test_result_of_a_job_with_the_same_unique_is_right(self):
        first = replace(AWAITED, unique=UNIQUE)
        joined = replace(first, job=2)
        assert broken([first, joined]) == []
        stranger = replace(joined, unique=b"v")
        assert "job 2 got the result of something else" in broken([first, stranger])

    def test_result_from_before_the_submission_is_found(self):
        first = replace(AWAITED, unique=UNIQUE)
        late = replace(first, job=2, sent=5.5, created=5.6, answered=5.7)
        told = broken([first, late])
        assert told == ["job 2 got a result from before it was submitted"]

    def test_server_of_a_client_may_learn_later_of_the_end(self):
        first = replace(AWAITED, unique=UNIQUE)
        late = replace(first, job=2, server=OTHER, sent=5.5, created=5.6, answered=5.7)
        assert broken([first, late]) == []
        later = replace(late, sent=9.6, created=9.7, answered=9.8)
        told = broken([first, later])
        assert told == ["job 2 got a result from before it was submitted"]

    def test_job_may_fail_if_a_worker_has_got_it(self):
        failed = replace(AWAITED, answer=Answer.FAIL, result=0)
        assert broken([failed]) == []
        assert broken([replace(failed, unique=UNIQUE)]) == []

    @pytest.mark.parametrize("runs", [[], [replace(RUN, started=6.0)]])
    def test_job_that_fails_without_a_worker_is_found(self, runs):
        failed = replace(AWAITED, answer=Answer.FAIL, result=0)
        assert broken([failed], runs) == ["job 1 failed, and no worker has got it"]

    def test_answer_that_nobody_waits_for_is_found(self):
        assert broken(strays=["job 1 got WORK_COMPLETE of H:9"]) == [
            "job 1 got WORK_COMPLETE of H:9"
        ]


class TestUniques:
    FIRST = replace(STORED, unique=UNIQUE, handle=AT_HOME)
    SECOND = replace(FIRST, job=2, handle=ALSO_AT_HOME, sent=2.5, created=3.5)
    RUNS = (
        replace(RUN, handle=AT_HOME),
        replace(RUN, number=2, job=2, handle=ALSO_AT_HOME),
    )
    TWINS = ["job 2 has not joined job 1"]
    ALLOWED = {"another job of a unique": 1}

    def judged(self, second=SECOND, first=FIRST, **more):
        runs = [self.RUNS[0], replace(self.RUNS[1], handle=second.handle)]
        return judged([first, second], runs, **more)

    def test_job_beside_one_of_the_same_unique_is_found(self):
        assert self.judged() == (self.TWINS, {})

    def test_it_need_not_be_the_newest_one(self):
        handle = b"H:host:%d" % (HOME + 128)
        third = replace(self.FIRST, job=3, handle=handle, sent=5.5, created=5.6)
        run = Run(3, 3, handle, OWNER, 5.7, 5.8, 5.9)
        told = broken([third, self.SECOND, self.FIRST], [*self.RUNS, run])
        assert told == self.TWINS

    @pytest.mark.parametrize(("sent", "created"), [(1.5, 3.5), (2.5, 4.5), (4.2, 4.5)])
    def test_times_that_leave_it_open_are_no_fault(self, sent, created):
        second = replace(self.SECOND, sent=sent, created=created)
        assert self.judged(second) == ([], {})

    def test_jobs_that_were_made_elsewhere_for_want_of_a_link_do_not_count(self):
        assert self.judged(replace(self.SECOND, handle=ELSEWHERE)) == ([], {})

    def test_other_uniques_do_not_count(self):
        other = next(
            key
            for key in (b"%d" % number for number in range(1000))
            if home_of(key, b"") == HOME
        )
        assert self.judged(replace(self.SECOND, unique=other)) == ([], {})

    def test_new_owner_is_an_excuse(self):
        changes = {HOME: [Change(2.2, OTHER)]}
        assert self.judged(changes=changes) == ([], self.ALLOWED)
        late = {HOME: [Change(3.6, OTHER)], HOME - 1: [Change(2.2, OTHER)]}
        assert self.judged(changes=late)[0] == self.TWINS

    def test_server_that_drains_leaves_jobs_that_wait(self):
        assert self.judged(drains={OWNER: 3.0}) == ([], self.ALLOWED)
        for drains in ({OWNER: 3.6}, {OTHER: 3.0}):
            assert self.judged(drains=drains) == (self.TWINS, {})
        assert self.judged(self.TWO, self.ONE, drains={OWNER: 3.0})[0] == self.TWINS

    ONE, TWO = (
        replace(it, background=False, answer=Answer.RESULT, answered=5.0, result=number)
        for it, number in ((FIRST, 1), (SECOND, 2))
    )

    def test_foreground_job_that_was_submitted_again_is_joined_by_no_other(self):
        away = replace(self.ONE, server=OTHER)
        outages = [Outage(OTHER, OWNER, 3.0, 4.0)]
        assert self.judged(self.TWO, away) == (self.TWINS, {})
        assert self.judged(self.TWO, away, outages=outages) == ([], self.ALLOWED)
        assert self.judged(self.TWO, self.ONE, outages=outages)[0] == self.TWINS
        assert self.judged(outages=outages)[0] == self.TWINS

    # The owner has lost all shards before, and has no links.
    CUT_OFF = {
        "changes": {HOME: [Change(0.6, 4732)]},
        "gone": {OWNER: [0.6]},
        "outages": [Outage(4732, OWNER, 0.7, 4.0)],
    }

    def test_server_that_is_cut_off_goes_on_with_foreground_jobs(self):
        assert self.judged(self.TWO, self.ONE, **self.CUT_OFF) == ([], self.ALLOWED)
        assert self.judged(**self.CUT_OFF)[0] == self.TWINS

    @pytest.mark.parametrize(
        "other",
        [
            {"changes": {HOME: [Change(0.05, 4732)]}},
            {"gone": {}},
            {"gone": {OWNER: [3.6]}},
            {"gone": {OTHER: [0.6]}},
            {"outages": [Outage(4732, OTHER, 0.7, 4.0)]},
            {"outages": [Outage(4732, OWNER, -9.0, 0.4)]},
            {"outages": [Outage(4732, OWNER, 4.1, 9.0)]},
        ],
    )
    def test_others_that_are_cut_off_are_no_excuse(self, other):
        more = {**self.CUT_OFF, **other}
        assert self.judged(self.TWO, self.ONE, **more)[0] == self.TWINS
