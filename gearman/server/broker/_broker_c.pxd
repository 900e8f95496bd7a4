# C types for `_broker.py`, which is compiled as `_broker_c` as it stands.
cimport cython
from libc.stdint cimport int64_t

cdef int HIGH, NORMAL, LOW
cdef int QUEUED, SCHEDULED, RUNNING, GONE, PENDING
cdef int AWAKE, SLEEPING, WOKEN
cdef int NOOP, JOB_CREATED, NO_JOB, JOB_ASSIGN
cdef int WORK_STATUS, WORK_COMPLETE, WORK_FAIL
cdef int ERROR, STATUS_RES
cdef int WORK_EXCEPTION, WORK_DATA, WORK_WARNING
cdef int JOB_ASSIGN_UNIQ, JOB_ASSIGN_ALL, STATUS_RES_UNIQUE
cdef Py_ssize_t FEW, SWEEP, SWEEP_BYTES, MAX_DIGITS, MAX_LATE, JOB_MEMORY, MAX_REFUSED, MANY_FUNCTIONS, MANY_DUE, MAX_NUMBER_TEXT
cdef Py_ssize_t UNIQUE_MEMORY, FUNCTION_MEMORY, ABILITY_MEMORY, PEER_MEMORY, WAIT_MEMORY, RECEIPT_MEMORY
cdef Py_ssize_t TIMER_MEMORY, RUN_MEMORY, REQUEST_MEMORY
cdef dict FULL


@cython.freelist(1024)
cdef class Job:
    cdef public int64_t number
    cdef public bytes handle
    cdef public Function function
    cdef public bytes unique
    cdef public bytes workload
    cdef public bytes reducer
    cdef public Peer worker
    cdef public list clients
    cdef public dict joins
    cdef public int64_t when
    cdef public int64_t timer
    cdef public unsigned int numerator
    cdef public unsigned int denominator
    cdef public int retries
    cdef public char priority
    cdef public char state
    cdef public bint background
    cdef public bint stored
    cdef public list receipts

    cpdef bint wanted(self)
    cpdef Py_ssize_t joined(self, Peer client)


cdef class Queue:
    cdef public object _entries
    cdef public Py_ssize_t count
    cdef public Py_ssize_t _gone
    cdef public bint listed

    cpdef push(self, Job job)
    @cython.locals(job=Job)
    cpdef Job pop(self)
    cpdef discard(self, Job job)


cdef class Timers:
    cdef public list _entries
    cdef public dict _jobs
    cdef public int64_t _last
    cdef public double first

    cpdef Py_ssize_t count(self)
    cpdef start(self, Job job, double when)
    cpdef stop(self, Job job)
    @cython.locals(job=Job, timer=int64_t, jobs=list)
    cpdef list due(self, double now)


cdef class Function:
    cdef public bytes name
    cdef public tuple queues
    cdef public list scheduled
    cdef public list limits
    cdef public Py_ssize_t running
    cdef public Py_ssize_t pending
    cdef public Py_ssize_t workers
    cdef public object sleepers
    cdef public dict twins
    cdef public bint offered

    @cython.locals(high=Queue, normal=Queue, low=Queue)
    cpdef bint ready(self)
    @cython.locals(queue=Queue)
    cpdef Py_ssize_t waiting(self, int priority)
    cpdef Py_ssize_t total(self)
    cpdef clear(self)


cdef class Uniques:
    cdef public dict _first
    cdef public dict _others

    cpdef Job first(self, bytes unique)
    @cython.locals(job=Job, others=dict)
    cpdef Job find(self, Function function, bytes unique, bytes workload)
    @cython.locals(unique=bytes, first=Job, others=dict)
    cpdef add(self, Job job)
    @cython.locals(unique=bytes, others=dict, function=Function)
    cpdef remove(self, Job job)


@cython.freelist(1024)
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
    cdef public char sleep
    cdef public dict abilities
    cdef public list functions
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


cdef class Limits:
    cdef public Py_ssize_t jobs
    cdef public Py_ssize_t jobs_per_function
    cdef public Py_ssize_t job_memory
    cdef public Py_ssize_t functions
    cdef public Py_ssize_t functions_per_worker
    cdef public Py_ssize_t memory


cdef class Broker:
    cdef public dict functions
    cdef public Py_ssize_t staffed
    cdef public object _round
    cdef public tuple _listed
    cdef public dict jobs
    cdef public Uniques uniques
    cdef public dict peers
    cdef public list touched
    cdef public list congested
    cdef public list notices
    cdef public bytes handle_prefix
    cdef public int64_t next_handle
    cdef public int retries
    cdef public int wakeup
    cdef public bint priority_first
    cdef public bint round_robin
    cdef public bint timeout_fails
    cdef public bint exceptions
    cdef public bint persistent
    cdef public bytes outage
    cdef public Limits limits
    cdef public object hits
    cdef public Py_ssize_t memory
    cdef public Py_ssize_t buffers
    cdef public Py_ssize_t _others
    cdef public set reached
    cdef public bint shelving
    cdef public list changes
    cdef public list deferring
    cdef public double now
    cdef public double wall
    cdef public Timers _scheduled
    cdef public Timers _deadlines
    cdef public object _woken
    cdef public double _patience
    cdef public list _payable

    @cython.locals(job=Job)
    cpdef tick(self, double now, double wall)
    cpdef double delay(self)
    cpdef connect(self, Peer peer)
    @cython.locals(job=Job)
    cpdef disconnect(self, Peer peer)

    @cython.locals(receipt=Receipt)
    cpdef submit(
        self, Peer peer, bytes name, bytes unique, bytes workload,
        int priority=*, bint background=*, int64_t when=*, bytes reducer=*,
    )
    @cython.locals(function=Function, job=Job, size=Py_ssize_t)
    cdef _submit(
        self, Receipt receipt, Peer peer, bytes name, bytes unique, bytes workload,
        int priority, bint background, int64_t when, bytes reducer,
    )
    cpdef get_status(self, Peer peer, bytes handle)
    @cython.locals(job=Job, client=Peer, joins=Py_ssize_t)
    cpdef get_status_unique(self, Peer peer, bytes unique)

    @cython.locals(function=Function)
    cpdef can_do(self, Peer peer, bytes name, double timeout=*)
    @cython.locals(function=Function)
    cpdef cant_do(self, Peer peer, bytes name)
    @cython.locals(function=Function)
    cpdef reset_abilities(self, Peer peer)
    @cython.locals(function=Function)
    cpdef pre_sleep(self, Peer peer)
    @cython.locals(job=Job)
    cpdef grab(self, Peer peer)
    @cython.locals(job=Job)
    cpdef grab_unique(self, Peer peer)
    @cython.locals(job=Job)
    cpdef grab_all(self, Peer peer)
    @cython.locals(job=Job)
    cpdef status(self, Peer peer, bytes handle, bytes numerator, bytes denominator)
    @cython.locals(job=Job)
    cpdef data(self, Peer peer, bytes handle, bytes data)
    @cython.locals(job=Job)
    cpdef warning(self, Peer peer, bytes handle, bytes data)
    @cython.locals(job=Job)
    cpdef complete(self, Peer peer, bytes handle, bytes result)
    @cython.locals(job=Job)
    cpdef fail(self, Peer peer, bytes handle)
    @cython.locals(job=Job)
    cpdef exception(self, Peer peer, bytes handle, bytes data)
    @cython.locals(job=Job)
    cpdef refuse_result(
        self, Peer peer, bytes handle, Py_ssize_t size, Py_ssize_t limit
    )

    @cython.locals(timers=Py_ssize_t, known=Py_ssize_t)
    cpdef Py_ssize_t overhead(self)
    @cython.locals(held=Py_ssize_t)
    cpdef bint over_budget(self)
    cpdef hit(self, limit)
    @cython.locals(limit=Py_ssize_t)
    cpdef bint admits(self, bytes name, bint for_worker=*)
    @cython.locals(function=Function)
    cdef bint _forget_function(self)
    cdef bint _has_limits(self, Function function)
    @cython.locals(limits=Limits, most=Py_ssize_t)
    cdef _limit(self, Function function, int priority, Py_ssize_t size)

    @cython.locals(function=Function)
    cpdef Function function(self, bytes name)
    @cython.locals(function=Function)
    cpdef bint drop(self, bytes name)
    @cython.locals(listed=dict)
    cdef _leave_out(self, Function function)
    @cython.locals(job=Job)
    cpdef bint cancel(self, bytes handle)

    @cython.locals(job=Job)
    cpdef durable(self, list jobs)
    @cython.locals(job=Job)
    cpdef failed(self, list jobs, bytes reason)
    @cython.locals(job=Job)
    cpdef store_again(self, numbers)
    @cython.locals(job=Job)
    cpdef restore(
        self, int64_t number, bytes handle, bytes name, bytes unique, bytes workload,
        int priority, int64_t when, int retries, bytes reducer,
    )
    @cython.locals(job=Job)
    cpdef Py_ssize_t shelve(self)
    @cython.locals(idle=bint, awaited=bint)
    cdef _shelve_idle(self, Job job)
    cdef _shelve(self, Job job)
    cdef _store(self, Job job)
    @cython.locals(receipts=list, receipt=Receipt)
    cdef _settle(self, Job job, int command, tuple arguments)
    cdef _owe(self, Receipt receipt, Peer peer, Job job)
    cdef _owe_to(self, Peer peer, Receipt receipt)
    @cython.locals(receipt=Receipt)
    cdef _owe_nothing(self, Peer peer)
    @cython.locals(name=bytes, unique=bytes, workload=bytes, reducer=bytes)
    cdef Py_ssize_t _size_of(self, tuple request)
    cpdef refuse(self, Peer peer, bytes code, bytes text)
    cdef _refuse(self, Receipt receipt, Peer peer, bytes code, bytes text)
    cdef _answer(self, Receipt receipt, Peer peer, int command, tuple arguments)
    @cython.locals(peer=Peer)
    cdef _pay(self)
    @cython.locals(receipt=Receipt)
    cdef _pay_to(self, Peer peer)
    @cython.locals(
        request=tuple, name=bytes, unique=bytes, workload=bytes, priority=int,
        background=bint, when=int64_t, reducer=bytes, peer=Peer,
    )
    cdef _resume(self, Receipt receipt)

    @cython.locals(job=Job)
    cpdef Job find(self, bytes handle)
    cdef bytes _handle(self, int64_t number)
    @cython.locals(job=Job)
    cdef Job _job(
        self, Function function, bytes unique, bytes workload, Py_ssize_t size
    )
    cdef _reduce(self, Job job, bytes reducer)
    cdef _forget(self, Job job)
    cdef _place(self, Job job)
    @cython.locals(function=Function, queue=Queue, listed=dict)
    cdef _enqueue(self, Job job)
    @cython.locals(queue=Queue)
    cdef _remove(self, Job job)
    @cython.locals(job=Job, woken=bint)
    cdef Job _take(self, Peer peer)
    @cython.locals(priority=int, function=Function, queue=Queue, functions=list)
    cdef Job _first(self, Peer peer)
    @cython.locals(priority=int, function=Function, queue=Queue, functions=list)
    cdef Job _next(self, Peer peer)
    @cython.locals(function=Function, functions=list)
    cdef bint _has_work(self, Peer peer)
    @cython.locals(
        found=list, priority=int, listed=dict, function=Function, queue=Queue,
        others=Py_ssize_t, empty=list,
    )
    cdef list _candidates(self, Peer peer, int first, int last)
    @cython.locals(job=Job, queue=Queue, timeout=double)
    cdef Job _assign(self, Peer peer, Function function, int priority)
    cdef _assign_unique(self, Peer peer, Job job)
    @cython.locals(job=Job)
    cdef Job _owned(self, Peer peer, bytes handle, bytes text=*)
    @cython.locals(job=Job)
    cdef Job _ended(self, Peer peer, bytes handle, bytes text=*)
    @cython.locals(worker=Peer)
    cdef _release(self, Job job)
    cdef _finish(self, Job job)
    cdef _lost(self, Job job, Peer worker, reason)
    @cython.locals(worker=Peer)
    cdef _expire(self, Job job)
    cdef _expect(self, Peer worker, bytes handle)
    cdef _give_up(self, Job job, Peer worker, reason)
    cdef _note(self, event, Job job, Peer worker, reason)
    cdef _join(self, Job job, Peer peer)
    cdef _leave(self, Job job, Peer peer)
    @cython.locals(client=Peer, clients=list)
    cdef _retire(self, Job job)
    @cython.locals(client=Peer, clients=list)
    cdef _forward(self, Job job, int command, tuple arguments)
    @cython.locals(client=Peer, exception=tuple)
    cdef _raise(self, Job job, bytes data)
    cdef _unregister(self, Peer peer, Function function)
    @cython.locals(left=Py_ssize_t, peer=Peer)
    cdef _wake(self, Function function)
    @cython.locals(first=Peer)
    cdef _rouse(self, Peer peer)
    @cython.locals(peer=Peer)
    cdef _pass_over(self)
    @cython.locals(function=Function)
    cdef _pass_on(self, list functions)


@cython.locals(size=Py_ssize_t)
cdef Py_ssize_t _size(bytes workload, bytes unique)
