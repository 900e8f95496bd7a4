# cython: language_level=3
"""What is done for each new job, faster than `broker.making` does it."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from gearman.server.broker_c.model cimport Job

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(void *)


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
