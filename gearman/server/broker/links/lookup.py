"""What clients and admins ask about jobs that may be with other servers."""

from collections.abc import Callable

from ..broker import Broker, status_of
from ..constants import (
    DONE,
    ERROR,
    EXCEPTION,
    FAILURE,
    LINK_LEAVE,
    LINK_TELL,
    RAW,
    RESULT_RES,
    STATUS_RES,
    STATUS_RES_UNIQUE,
    UNKNOWN,
    WORK_COMPLETE,
    WORK_EXCEPTION,
    WORK_FAIL,
)
from ..making import number_of
from ..model import Job, Peer, joins_of
from ..states import AWAY, PENDING, QUEUED
from .away import Away
from .borrowing import Borrowing
from .questions import CANCEL, RESULT, STATUS, UNIQUE, WATCH, Questions, Told
from .remote import Remote
from .routes import Routes

_NO_STATUS = (b"0", b"0", b"0", b"0")


class Lookup:
    """Answers questions of clients here, and of other servers."""

    def __init__(
        self,
        broker: Broker,
        routes: Routes,
        questions: Questions,
        away: Away,
        borrowing: Borrowing,
    ) -> None:
        self._broker = broker
        self._routes = routes
        self._questions = questions
        self._away = away
        self._borrowing = borrowing

    # -- questions of clients here

    def status(self, peer: Peer, handle: bytes) -> None:
        """Answer GET_STATUS."""
        answers = self._broker.answers
        job = self._broker.jobs.find(handle)
        if job is not None and job.state != AWAY:
            answer = (handle, *status_of(job))
            return answers.answer(None, peer, STATUS_RES, answer)
        receipt = answers.promise(peer)

        def told(remote: Remote | None, data: bytes) -> None:
            status = _status(remote, data, len(_NO_STATUS))
            answers.fulfil(receipt, STATUS_RES, (handle, *status))

        return self._ask(STATUS, handle, told)

    def status_unique(self, peer: Peer, unique: bytes) -> None:
        """Answer GET_STATUS_UNIQUE."""
        broker = self._broker
        answers = broker.answers
        job = broker.jobs.uniques.first(unique)
        if job is not None and job.state != AWAY:
            answer = (unique, *status_of(job), b"%d" % _clients(job))
            return answers.answer(None, peer, STATUS_RES_UNIQUE, answer)
        receipt = answers.promise(peer)

        def told(remote: Remote | None, data: bytes) -> None:
            status = _status(remote, data, len(_NO_STATUS) + 1)
            answers.fulfil(receipt, STATUS_RES_UNIQUE, (unique, *status))

        owner = None if unique == b"-" else self._routes.home(unique, b"")
        return self._put(UNIQUE, unique, owner, told)

    def result(self, peer: Peer, handle: bytes) -> None:
        """Answer GET_RESULT."""
        answers = self._broker.answers
        state, data = self._broker.results.of(handle)
        if state != UNKNOWN:
            return answers.answer(None, peer, RESULT_RES, (handle, state, data))
        receipt = answers.promise(peer)

        def told(remote: Remote | None, found: bytes) -> None:
            state, _, data = found.partition(b"\0")
            answer = (handle, UNKNOWN if remote is None else state, data)
            answers.fulfil(receipt, RESULT_RES, answer)

        return self._ask(RESULT, handle, told)

    def watch(self, peer: Peer, handle: bytes) -> None:
        """Carry out WATCH_JOB for a job that is not known here."""
        answers = self._broker.answers
        receipt = answers.promise(peer)

        def told(remote: Remote | None, found: bytes) -> None:
            state, _, data = found.partition(b"\0")
            if remote is None:
                error = (b"JOB_NOT_FOUND", b"There is no such job, nor its result")
                answers.fulfil(receipt, ERROR, error)
            elif state == DONE:
                answers.fulfil(receipt, WORK_COMPLETE, (handle, data))
            elif state == EXCEPTION and peer.exceptions:
                answers.fulfil(receipt, WORK_EXCEPTION, (handle, data))
            elif state in (EXCEPTION, FAILURE):
                answers.fulfil(receipt, WORK_FAIL, (handle,))
            else:
                if peer.touched is not None:
                    function = self._broker.functions.of(data)
                    self._away.expect(remote, peer, function, handle)
                else:
                    remote.request(LINK_LEAVE, (handle,))
                answers.fulfil(receipt, RAW, (b"",))

        return self._ask(WATCH, handle, told)

    def cancel(self, handle: bytes, told: Callable[[bool], None]) -> None:
        """Cancel a job that is not known here; `told` is called with the outcome."""
        job = self._borrowing.jobs.get(handle)
        if job is not None and job.state == QUEUED:
            self._borrowing.cancelled(handle)
        self._ask(CANCEL, handle, lambda remote, _: told(remote is not None))

    def _ask(self, what: bytes, handle: bytes, told: Told) -> None:
        number = number_of(handle)
        if number < 0:
            return self._put_to(what, handle, None, [], told)
        return self._put(what, handle, self._routes.owner_of(number), told)

    def _put(
        self,
        what: bytes,
        key: bytes,
        owner: Remote | None,
        told: Told,
    ) -> None:
        others = [each for each in self._routes.linked() if each is not owner]
        self._put_to(what, key, owner, others, told)

    def _put_to(
        self,
        what: bytes,
        key: bytes,
        owner: Remote | None,
        others: list[Remote],
        told: Told,
    ) -> None:
        broker = self._broker
        self._questions.ask(what, key, owner, others, told, broker.now)
        broker.answers.pay()

    def told(self, remote: Remote, token: int, known: bool, data: bytes) -> None:
        """Note what another server has answered."""
        self._questions.told(remote, token, known, data)
        self._broker.answers.pay()

    # -- questions of other servers

    def asked(self, remote: Remote, token: bytes, what: bytes, key: bytes) -> None:
        """Answer a question of another server."""
        data = self._found(remote, what, key)
        known = b"0" if data is None else b"1"
        remote.respond(LINK_TELL, (token, known, data or b""))

    def _found(self, remote: Remote, what: bytes, key: bytes) -> bytes | None:
        """Return what this server knows; None if it does not know the job."""
        broker = self._broker
        job = broker.jobs.find(key)
        if what == UNIQUE:
            job = broker.jobs.uniques.first(key)
        if what == CANCEL:
            return b"" if broker.cancel(key) else None
        if job is not None and job.state == AWAY:
            return None
        if what == RESULT or (what == WATCH and (job is None or job.state == PENDING)):
            state, data = broker.results.of(key)
            known = state != UNKNOWN and (what == RESULT or job is None)
            return state + b"\0" + data if known else None
        if job is None:
            return None
        if what == WATCH:
            broker.jobs.join(job, remote.client)
            return b"\0" + job.function.name
        _, *status = status_of(job)
        if what == UNIQUE:
            status.append(b"%d" % _clients(job))
        return b"\0".join(status)


def _status(remote: Remote | None, data: bytes, count: int) -> tuple[bytes, ...]:
    """Return what another server says of a job; if that is nothing, it is unknown."""
    known = (b"1", *data.split(b"\0"))
    return known if remote is not None and len(known) == count else (b"0",) * count


def _clients(job: Job) -> int:
    count = 0
    for client in job.clients or ():
        count += joins_of(job, client)
    return count
