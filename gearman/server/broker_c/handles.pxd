cimport cython
from libc.stdint cimport int64_t

cdef int SHARD_BITS
cdef Py_ssize_t MAX_DIGITS


@cython.locals(digits=bytes)
cpdef int64_t number_of(bytes handle)
cpdef int shard_of(bytes handle)
