cimport cython
from libc.stdint cimport int64_t

cdef enum:
    _BUCKETS = 28


@cython.final
cdef class Histogram:
    cdef int64_t _counts[_BUCKETS + 1]
    cdef public double total

    cpdef add(self, double seconds)
    cpdef list counts(self)
    cpdef list sums(self)
    cpdef int64_t count(self)
    cpdef merge(self, Histogram other)


@cython.final
cdef class Stats:
    cdef public int64_t submitted
    cdef public int64_t joined
    cdef public int64_t completed
    cdef public int64_t failed
    cdef public int64_t exceptions
    cdef public int64_t retried
    cdef public int64_t given_up
    cdef public int64_t expired
    cdef public int64_t cancelled
    cdef public int64_t abandoned
    cdef public int64_t passed_on
    cdef public int64_t lost
    cdef public int64_t timeouts
    cdef public int64_t bytes_in
    cdef public int64_t bytes_out
    cdef public Histogram waits
    cdef public Histogram runs

    cpdef merge(self, Stats other)
