# cython: language_level=3
"""What `broker.making` does, faster."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.string cimport memcpy

from gearman.server.broker_c.model cimport Job

from gearman.server.cluster.home import SHARD_BITS as _SHARD_BITS

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(void *)

cdef int SHARD_BITS = _SHARD_BITS
cdef Py_ssize_t MAX_DIGITS = 19


cpdef Job new_job():
    """Return a job with no attributes set, not tracked by the collector of cycles."""
    cdef Job job = Job.__new__(Job)
    PyObject_GC_UnTrack(<void *>job)
    return job


cpdef bytes make_handle(bytes prefix, int64_t number):
    """Return the handle of the job with this number."""
    cdef char digits[24]
    cdef char *at = digits + sizeof(digits)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(prefix)
    cdef Py_ssize_t length
    cdef bytes handle
    # Unsigned: then no digit needs a division, nor a check of signs.
    cdef uint64_t rest = <uint64_t>number
    while rest or at == digits + sizeof(digits):
        at -= 1
        at[0] = <char>(c"0" + rest % 10)
        rest //= 10
    length = digits + sizeof(digits) - at
    handle = PyBytes_FromStringAndSize(NULL, size + 1 + length)
    memcpy(PyBytes_AS_STRING(handle), PyBytes_AS_STRING(prefix), size)
    PyBytes_AS_STRING(handle)[size] = c":"
    memcpy(PyBytes_AS_STRING(handle) + size + 1, at, length)
    return handle


cpdef int64_t number_of(bytes handle):
    """Return the number at the end of a handle, -1 if there is none."""
    cdef const char *data = PyBytes_AS_STRING(handle)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(handle)
    cdef Py_ssize_t at = size
    cdef uint64_t number = 0
    while at and data[at - 1] != c":":
        at -= 1
    if not 0 < size - at <= MAX_DIGITS:
        return -1
    while at < size:
        if not c"0" <= data[at] <= c"9":
            return -1
        number = number * 10 + <uint64_t>(data[at] - c"0")
        at += 1
    return <int64_t>number if number <= <uint64_t>INT64_MAX else -1


cpdef int shard_of(bytes handle):
    """Return the shard of a job by its handle."""
    return number_of(handle) & SHARD_BITS
