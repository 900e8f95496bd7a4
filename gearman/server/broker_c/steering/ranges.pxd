cimport cython
from libc.stdint cimport int64_t

cdef int64_t RANGE
cdef Py_ssize_t FEW


@cython.final
cdef class Ranges:
    cdef public int64_t first
    cdef public int64_t last
    cdef object _known
    cdef list _starts
    cdef Py_ssize_t _next

    @cython.locals(start=int64_t, at=Py_ssize_t)
    cpdef add(self, int64_t number)
    @cython.locals(at=Py_ssize_t)
    cpdef int64_t start_after(self, int64_t number)
    @cython.locals(number=int64_t)
    cpdef list numbers(self, int64_t start)
    cdef _drop_some(self)
    @cython.locals(number=int64_t)
    cdef bint _has_jobs(self, int64_t start)
