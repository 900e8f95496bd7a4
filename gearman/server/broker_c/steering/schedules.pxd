cimport cython

from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.model cimport Extra, Job
from gearman.server.broker_c.places cimport Places


@cython.final
cdef class Schedules:
    cdef public double first
    cdef public bint stopped
    cdef public bint elsewhere
    cdef public dict known
    cdef public list notices
    cdef public object read
    cdef Places _places
    cdef Jobs _jobs
    cdef object _submit
    cdef bint _persistent
    cdef object _times
    cdef dict _file
    cdef dict _set
    cdef dict _absent

    cpdef forget_numbers(self)
    cpdef run_due(self, double wall)
    cpdef restored(self, double wall)
    @cython.locals(number=object, job=Job, extra=Extra)
    cdef _call(self, entry, double time)
