cimport cython

from gearman.server.broker_c.assignment.losses cimport Losses
from gearman.server.broker_c.functions cimport Functions
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.links.remote cimport LinkWorker, Remote
from gearman.server.broker_c.model cimport Extra, Function, Job, Queue, is_wanted
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.workers cimport Workers

cdef int LINK_JOB, LINK_READY
cdef int ABANDONED, ADOPTED, GONE, LOST, RUNNING
cdef double PATIENCE
cdef tuple LAST


@cython.final
cdef class Lending:
    cdef public double first
    cdef Functions _functions
    cdef Places _places
    cdef Jobs _jobs
    cdef Workers _workers
    cdef Losses _losses
    cdef dict _later
    cdef dict _now
    cdef public dict wanted

    @cython.locals(function=Function)
    cpdef offered(self, Remote remote, bytes name)
    @cython.locals(function=Function)
    cpdef withdrawn(self, Remote remote, bytes name)
    cdef _remove(self, Remote remote, Function function)
    cpdef unlink(self, Remote remote)
    cpdef queued(self, Function function, bint woken)
    @cython.locals(function=Function)
    cpdef look_again(self, double now)
    @cython.locals(remote=Remote)
    cdef _tell(self, Function function)
    @cython.locals(function=Function)
    cpdef end_turn(self)
    cdef _set_first(self)
    @cython.locals(
        function=Function, given=Py_ssize_t, left=Py_ssize_t, unmet=Py_ssize_t
    )
    cpdef grab(self, Remote remote, bytes name, Py_ssize_t count, Py_ssize_t ahead)
    @cython.locals(queue=Queue, given=Py_ssize_t, left=Py_ssize_t)
    cdef tuple _give_up_to(self, Py_ssize_t most, Remote remote, Function function)
    @cython.locals(wanted=dict)
    cdef _wait(self, Remote remote, bytes name, Py_ssize_t count)
    @cython.locals(wanted=dict)
    cdef Py_ssize_t _call_off(self, Remote remote, bytes name)
    @cython.locals(wanted=dict, queue=Queue, remote=Remote, count=Py_ssize_t)
    cdef _give_wanted(self, Function function)
    @cython.locals(worker=LinkWorker, job=Job, left=Py_ssize_t, extra=Extra, fields=bytes)
    cdef Py_ssize_t _give(self, Remote remote, Queue queue, Function function)
    cpdef adopt(self, Remote remote, Job job)
    @cython.locals(job=Job)
    cpdef back(self, Remote remote, bytes handle, bytes why)
    @cython.locals(job=Job)
    cpdef settle(self, Remote remote, running)
    cdef _return(self, Job job)


@cython.locals(queue=Queue, job=Job)
cdef Queue _next_queue(Function function)
