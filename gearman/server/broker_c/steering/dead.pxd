cimport cython

from gearman.server.broker_c.functions cimport Functions
from gearman.server.broker_c.making cimport number_of
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.memory cimport extra_size, job_size
from gearman.server.broker_c.model cimport Extra, Job
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.steering.ranges cimport Ranges

cdef int FORGOTTEN, GONE, REVIVED, SHELVED
cdef object _NONE
cdef Py_ssize_t DEAD_MEMORY, MANY_OLD


@cython.final
cdef class DeadJobs:
    cdef public Py_ssize_t most
    cdef public double age
    cdef public double first
    cdef public object known
    cdef public dict by_function
    cdef public Ranges ranges
    cdef Places _places
    cdef Functions _functions
    cdef Jobs _jobs

    cpdef add(self, Job job)
    cpdef keep_at_most(self, Py_ssize_t most)
    @cython.locals(job=Job)
    cpdef Job find(self, bytes handle)
    @cython.locals(job=Job)
    cpdef list of(self, bytes name, Py_ssize_t most)
    cpdef Py_ssize_t count(self, bytes name)
    @cython.locals(extra=Extra, jobs=Jobs, new=Job)
    cpdef revive(self, Job job)
    cpdef forget(self, Job job)
    cpdef leave(self, Job job)
    cpdef drop_old(self, double now)
    @cython.locals(job=Job)
    cpdef sort(self)
    cdef _put(self, Job job)
    cdef _remove(self, Job job)
    @cython.locals(job=Job)
    cdef _set_first(self)
    @cython.locals(extra=Extra, size=Py_ssize_t)
    cdef _count(self, Job job)
