# Declarations that the server's engine uses.
cimport cython
from libc.stdint cimport uint32_t


cdef uint32_t read_number(const unsigned char *at) noexcept
cdef unsigned char *write_number(unsigned char *at, uint32_t number) noexcept


# In the place of a magic: packets may have either one.
cdef enum:
    EITHER = 0


cdef class Decoder:
    cdef uint32_t _magic
    cdef long long _max_packet
    cdef long long _max_line
    cdef bint _lines
    cdef bint _skip_large
    cdef bint _failed
    cdef unsigned char *_buffer
    cdef Py_ssize_t _capacity
    cdef Py_ssize_t _kept
    # The length of the packet in the buffer, as far as it is known.
    cdef long long _needed
    # Bytes of a refused packet that have not arrived.
    cdef long long _skipped
    # Subclasses set it to stop after the current packet.
    cdef bint _stop

    cdef Py_ssize_t _take(
        self, const unsigned char *data, Py_ssize_t size, list packets
    ) except -1
    cdef Py_ssize_t _cut(
        self, const unsigned char *data, Py_ssize_t size, list packets
    ) except -1
    cdef Py_ssize_t _complete(
        self, const unsigned char *data, Py_ssize_t size, list packets
    ) except -1
    cdef Py_ssize_t _lacking(self, const unsigned char *data, Py_ssize_t size) noexcept
    # Subclasses can't have their own, so that these two may be inlined.
    @cython.final
    cdef Py_ssize_t _length(self, const unsigned char *data, Py_ssize_t size) except -1
    @cython.final
    cdef int _check(self, const unsigned char *header) except -1
    cdef Py_ssize_t _line_length(
        self, const unsigned char *data, Py_ssize_t size
    ) except -1
    cdef Py_ssize_t _skip(self, Py_ssize_t size) noexcept
    cdef Py_ssize_t _head_of_large(
        self, const unsigned char *data, Py_ssize_t size
    ) except -1
    cdef int _refuse(
        self, const unsigned char *data, Py_ssize_t head, Py_ssize_t come, list packets
    ) except -1
    cdef int _refuse_kept(self, Py_ssize_t head, list packets) except -1
    cdef int _collect(self, tuple packet, list packets) except -1
    cdef int _deliver(
        self, const unsigned char *data, Py_ssize_t length, list packets
    ) except -1
    cdef tuple _packet(self, const unsigned char *data, Py_ssize_t length)
    cdef bint _accepts(self, const unsigned char *header) noexcept
    cdef object _other_magic(self)
    cdef int _release(self, list packets) except -1
    cdef int _keep(self, const unsigned char *data, Py_ssize_t size) except -1
    cdef void _forget(self) noexcept
