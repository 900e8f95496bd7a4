cimport cython

from gearman.server.broker_c.broker cimport Broker, status_of
from gearman.server.broker_c.making cimport number_of
from gearman.server.broker_c.links.away cimport Away
from gearman.server.broker_c.links.borrowing cimport Borrowing
from gearman.server.broker_c.links.questions cimport Questions
from gearman.server.broker_c.links.remote cimport Remote
from gearman.server.broker_c.links.routes cimport Routes
from gearman.server.broker_c.model cimport Job, Peer, joins_of

cdef int ERROR, LINK_LEAVE, LINK_TELL, RAW, RESULT_RES, STATUS_RES, STATUS_RES_UNIQUE
cdef int WORK_COMPLETE, WORK_EXCEPTION, WORK_FAIL
cdef int AWAY, PENDING, QUEUED


@cython.final
cdef class Lookup:
    # Methods with functions in them can't be declared.
    cdef Broker _broker
    cdef Routes _routes
    cdef Questions _questions
    cdef Away _away
    cdef Borrowing _borrowing

    cdef _ask(self, bytes what, bytes handle, told)
    cdef _put(self, bytes what, bytes key, Remote owner, told)
    cdef _put_to(self, bytes what, bytes key, Remote owner, list others, told)
    cpdef told(self, Remote remote, token, bint known, bytes data)
    cpdef asked(self, Remote remote, bytes token, bytes what, bytes key)
    @cython.locals(job=Job)
    cdef bytes _found(self, Remote remote, bytes what, bytes key)


@cython.locals(client=Peer, count=Py_ssize_t)
cdef Py_ssize_t _clients(Job job)
