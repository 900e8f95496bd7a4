# cython: language_level=3, annotation_typing=False, auto_pickle=False
"""The compiled broker, but for what the collector of cycles and handles cost it."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from gearman.server.broker._broker_c cimport Function, Job

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(void *)


cdef class Broker(TrackedBroker):
    """The compiled broker, whose jobs the collector of cycles does not look at.

    Whoever retires a job takes it out of the lists and sets of its peers, so that it
    is in no cycle; and millions of jobs would be much to look through.
    """

    cdef Job _job(
        self, Function function, bytes unique, bytes workload, Py_ssize_t size
    ):
        cdef Job job = TrackedBroker._job(self, function, unique, workload, size)
        PyObject_GC_UnTrack(<void *>job)
        return job

    cdef bytes _handle(self, int64_t number):
        """Return what the slower, general way of writing a number would return."""
        cdef char digits[24]
        cdef char *at = digits + sizeof(digits)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.handle_prefix)
        cdef Py_ssize_t length
        cdef bytes handle
        while number or at == digits + sizeof(digits):
            at -= 1
            at[0] = c"0" + number % 10
            number //= 10
        length = digits + sizeof(digits) - at
        handle = PyBytes_FromStringAndSize(NULL, size + 1 + length)
        memcpy(PyBytes_AS_STRING(handle), PyBytes_AS_STRING(self.handle_prefix), size)
        PyBytes_AS_STRING(handle)[size] = c":"
        memcpy(PyBytes_AS_STRING(handle) + size + 1, at, length)
        return handle
