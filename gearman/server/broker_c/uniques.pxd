cimport cython

from gearman.server.broker_c.model cimport Function, Job


@cython.final
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
