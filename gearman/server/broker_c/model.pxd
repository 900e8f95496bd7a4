cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.stats cimport Stats
from gearman.server.broker_c.steering.start_limits cimport StartLimits

cdef int AWAKE, ERROR, HIGH, NORMAL, LOW, QUEUED
cdef Py_ssize_t SWEEP, SWEEP_BYTES


@cython.freelist(1024)
@cython.final
cdef class Job:
    cdef public int64_t number
    cdef public bytes handle
    cdef public Function function
    cdef public bytes unique
    cdef public bytes workload
    cdef public bytes reducer
    cdef public tuple progress
    cdef public Peer worker
    cdef public list clients
    cdef public dict joins
    cdef public int64_t when
    cdef public int64_t timer
    cdef public double since
    cdef public int retries
    cdef public char priority
    cdef public char state
    # Truth values; as bint they would take eight bytes.
    cdef public unsigned char background
    cdef public unsigned char stored
    cdef public list receipts
    cdef public Extra extra


@cython.locals(borrowed=bint)
cdef bint _belongs_here(Job job)
cpdef bint is_wanted(Job job)
cpdef Py_ssize_t joins_of(Job job, Peer client)


@cython.final
cdef class Extra:
    cdef public object options
    cdef public double submitted
    cdef public double due
    cdef public double expires
    cdef public int attempts
    cdef public int awaits
    cdef public bint moved
    cdef public double died
    cdef public bytes reason
    cdef public bytes error
    cdef public bytes record
    cdef public tuple run
    cdef public object lender
    cdef public Py_ssize_t size


@cython.final
cdef class Record:
    cdef public int64_t number
    cdef public bytes extra
    cdef public bytes handle
    cdef public bytes name
    cdef public bytes workload


@cython.final
cdef class Queue:
    cdef public object _entries
    cdef public Py_ssize_t count
    cdef public Py_ssize_t _gone
    cdef public bint listed

    cpdef push(self, Job job)
    @cython.locals(job=Job)
    cpdef Job pop(self)
    @cython.locals(job=Job, taken=list, others=list)
    cpdef list take(self, choose)
    @cython.locals(job=Job)
    cpdef Job first(self)
    @cython.locals(last=Job, at=Py_ssize_t)
    cpdef advance_last(self)
    cpdef discard(self, Job job)


@cython.final
cdef class ExpiryGroup:
    cdef public double expires
    cdef public list jobs
    cdef public Py_ssize_t passed


@cython.final
cdef class ExpiryLine:
    cdef public Py_ssize_t count
    cdef public object groups
    cdef public ExpiryGroup first
    cdef public ExpiryGroup last


@cython.final
cdef class Function:
    cdef public bytes name
    cdef public tuple queues
    cdef public list scheduled
    cdef public list awaiting
    cdef public list limits
    cdef public Py_ssize_t running
    cdef public Py_ssize_t pending
    cdef public Py_ssize_t workers
    cdef public double unstaffed
    cdef public Stats stats
    cdef public object sleepers
    cdef public dict twins
    cdef public bint offered
    cdef public object policy
    cdef public double ttl
    cdef public double timeout
    cdef public double keep
    cdef public int priority
    cdef public bint exacting
    cdef public bint mortal
    cdef public StartLimits starts
    cdef public tuple fresh
    cdef public double look
    cdef public Py_ssize_t weight
    cdef public bint held
    cdef public dict borrowers
    cdef public dict lenders
    cdef public Py_ssize_t borrowed

    @cython.locals(high=Queue, normal=Queue, low=Queue)
    cpdef bint ready(self)
    @cython.locals(queue=Queue)
    cpdef Py_ssize_t waiting(self, int priority)
    @cython.locals(queue=Queue, job=Job, first=double)
    cpdef object waited(self, double now)
    cpdef Py_ssize_t total(self)
    cpdef clear(self)
    @cython.locals(high=Queue, normal=Queue, low=Queue)
    cpdef Py_ssize_t queued(self)


@cython.freelist(1024)
@cython.final
cdef class Receipt:
    cdef public Peer peer
    cdef public tuple request
    cdef public int command
    cdef public tuple arguments


cdef class Peer:
    cdef public object address
    cdef public int descriptor
    cdef public bytes client_id
    cdef public object connection
    cdef public list outbox
    cdef public Py_ssize_t size
    cdef public object answering
    cdef public list touched
    cdef public bint blocked
    cdef public bint exceptions
    cdef public bint extensions
    cdef public bint traces
    cdef public char sleep
    cdef public dict abilities
    cdef public list functions
    cdef public Function turn
    cdef public Py_ssize_t turns
    cdef public list unlisted
    cdef public dict jobs
    cdef public bytes raised
    cdef public dict late
    cdef public double patience
    cdef public object refused
    cdef public set waiting
    cdef public object receipts
    cdef object __weakref__

    cpdef send(self, int command, tuple arguments)
    cpdef repeat(self, Py_ssize_t times, int command, tuple arguments)
    cpdef write(self, bytes data)
    cpdef refuse(self, bytes code, bytes text)
