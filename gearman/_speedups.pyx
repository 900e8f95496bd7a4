# cython: language_level=3, annotation_typing=False, auto_pickle=False
"""Framing in Cython: the same results as Decoder and encode of `_framing`.

Packets are made directly from the bytes that the caller feeds. Only an incomplete
packet is kept, in a buffer of its own. The buffer grows with the bytes that arrive,
whatever length was declared, and is freed when the packet is complete. Of a packet
that is too large, only the head is kept until it is complete.

Anything that runs Python code (an error's constructor, a garbage collection when a
tuple is made) could feed this same decoder again. So the buffer is taken out of the
decoder before packets are made from it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact
from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_AsUTF8String, PyUnicode_CheckExact
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memchr, memcpy

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)

from . import _framing
from ._framing import INVALID, MAX_BODY, _MAGICS
from .commands import BOTH, HEADER_SIZE, MAX_LINE, MAX_PACKET, REQUEST, RESPONSE
from .commands import RESPONSES, STANDARD_LIMIT, Command
from .errors import PacketTooLarge, ProtocolError

cdef Py_ssize_t header_size = HEADER_SIZE
cdef uint32_t standard_limit = STANDARD_LIMIT
cdef uint64_t max_body = MAX_BODY
cdef uint32_t text = Command.TEXT
cdef unsigned char tls_handshake = _framing._TLS_HANDSHAKE
cdef uint32_t request_magic = read_number(start(REQUEST))
cdef uint32_t response_magic = read_number(start(RESPONSE))
cdef uint32_t responses = RESPONSES
cdef bytes counts_table = _framing._COUNTS
cdef const unsigned char *counts = start(counts_table)
cdef bytes about_jobs_table = _framing._ABOUT_JOBS
cdef const unsigned char *about_jobs = start(about_jobs_table)
cdef Py_ssize_t handle_window = _framing._HANDLE_WINDOW


cdef inline const unsigned char *start(object data) noexcept:
    return <const unsigned char *>PyBytes_AS_STRING(data)


cdef uint32_t read_number(const unsigned char *at) noexcept:
    return <uint32_t>at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]


cdef unsigned char *write_number(unsigned char *at, uint32_t number) noexcept:
    at[0] = number >> 24
    at[1] = number >> 16 & 0xFF
    at[2] = number >> 8 & 0xFF
    at[3] = number & 0xFF
    return at + 4


cdef inline bytes copy(const unsigned char *at, Py_ssize_t size):
    return PyBytes_FromStringAndSize(<const char *>at, size)


def encode(command, arguments=(), magic=RESPONSE):
    """Return the packet of a command, with these arguments separated by NUL.

    `magic` is RESPONSE for packets of the server, REQUEST for those of clients and
    workers. Only the last argument may contain NUL; this is not checked. Raises
    ProtocolError if the body is larger than a header can declare (4 GiB - 1 byte).
    """
    cdef list parts = list(arguments)
    cdef uint64_t length = len(parts) - 1 if parts else 0
    cdef uint32_t number
    cdef bint plain
    # Unusual arguments, and so all wrong ones, are left to the reference.
    for part in parts:
        if not PyBytes_CheckExact(part):
            return _framing.encode(command, parts, magic)
        length += <uint64_t>PyBytes_GET_SIZE(part)
    plain = PyBytes_CheckExact(magic) and PyBytes_GET_SIZE(magic) == 4
    if not plain or length > max_body or not isinstance(command, int):
        return _framing.encode(command, parts, magic)
    try:
        number = command
    except OverflowError:
        return _framing.encode(command, parts, magic)
    return join(number, parts, <uint32_t>length, read_number(start(magic)))


def encode_request(command, values):
    """Return the packet of a request with these arguments, which are text or bytes.

    Text is sent as UTF-8. Returns None if an argument is anything else, or text that
    UTF-8 cannot have, or if one contains NUL and is not the last. Raises ProtocolError
    as `encode` does.
    """
    cdef list packed = []
    cdef uint64_t length = 0
    cdef uint32_t number
    cdef bint has_nul = False
    for value in values:
        if has_nul:
            return None
        if not PyUnicode_CheckExact(value):
            if not PyBytes_CheckExact(value):
                return None
        elif not PyUnicode_IS_COMPACT_ASCII(value):
            try:
                value = PyUnicode_AsUTF8String(value)
            except UnicodeEncodeError:
                return None
        has_nul = memchr(utf8(value), 0, utf8_size(value)) != NULL
        length += <uint64_t>utf8_size(value) + 1
        packed.append(value)
    # Unusual requests, and so all wrong ones, are left to the reference.
    if not packed or length > max_body or type(command) is not int:
        return _framing.encode_request(command, packed)
    try:
        number = command
    except OverflowError:
        return _framing.encode_request(command, packed)
    return join(number, packed, <uint32_t>length - 1, request_magic)


cdef inline const unsigned char *utf8(object part) noexcept:
    """Return where the bytes begin of bytes, or of text that is ASCII."""
    if PyBytes_CheckExact(part):
        return start(part)
    return <const unsigned char *>PyUnicode_DATA(part)


cdef inline Py_ssize_t utf8_size(object part) noexcept:
    if PyBytes_CheckExact(part):
        return PyBytes_GET_SIZE(part)
    return PyUnicode_GET_LENGTH(part)


cdef bytes join(uint32_t number, list parts, uint32_t length, uint32_t magic):
    cdef bytes packet = PyBytes_FromStringAndSize(NULL, header_size + length)
    cdef unsigned char *at = <unsigned char *>PyBytes_AS_STRING(packet)
    cdef bint first = True
    at = write_number(write_number(write_number(at, magic), number), length)
    for part in parts:
        if not first:
            at[0] = 0
            at += 1
        first = False
        memcpy(at, utf8(part), utf8_size(part))
        at += utf8_size(part)
    return packet


cdef class Decoder:
    """Decoder(magic=REQUEST, *, max_packet=MAX_PACKET, max_line=MAX_LINE, lines=False, skip_large=False)
--

    Split a stream of bytes into packets and lines.

    `magic` is the magic of packets in this direction: REQUEST or RESPONSE. With BOTH,
    packets may have either; the numbers of responses are given with RESPONSES added to
    them. A packet that declares a body of more than `max_packet` bytes is refused
    before its body is kept. This is a fatal error; with `skip_large` it is a
    PacketTooLarge, and the body is dropped. With `lines`, data that does not begin with
    NUL is a text line of at most `max_line` bytes: the command TEXT, whose argument is
    the line without its end. Without `lines` such data is a fatal error. Raises
    ValueError for another magic.
    """

    def __init__(
        self, magic=REQUEST, *, long long max_packet=MAX_PACKET,
        long long max_line=MAX_LINE, bint lines=False, bint skip_large=False,
    ):
        if magic == BOTH:
            self._magic = EITHER
        elif magic not in _MAGICS:
            raise _framing._no_magic(magic)
        else:
            self._magic = request_magic if magic == REQUEST else response_magic
        self._max_packet = max_packet
        self._max_line = max_line
        self._lines = lines
        self._skip_large = skip_large
        self._failed = False
        self._forget()

    def __dealloc__(self):
        self._forget()

    @property
    def buffered(self):
        """How many bytes of an incomplete packet or line are kept."""
        return self._kept

    @property
    def unfinished(self):
        """Whether a part of a packet or line has arrived."""
        return self._kept > 0 or self._skipped > 0

    def widen(self, long long max_packet):
        """Accept packets with either magic, and of up to `max_packet` bytes.

        Call it between two packets: it counts from the next one on.
        """
        self._magic = EITHER
        self._max_packet = max_packet

    def feed(self, data):
        """Add `data` to the stream; return the packets that it completes, in order.

        Each packet is a number with its arguments, or INVALID with a ProtocolError.
        A fatal error is the last packet: the decoder ignores all data after it.
        Raises TypeError unless `data` is bytes.
        """
        if not isinstance(data, bytes):
            raise _framing._not_bytes(data)
        cdef list packets = []
        if self._failed:
            return packets
        try:
            self._take(start(data), PyBytes_GET_SIZE(data), packets)
        except ProtocolError as error:
            self._failed = True
            self._forget()
            packets.append((INVALID, error.with_traceback(None)))
        return packets

    cdef Py_ssize_t _take(
        self, const unsigned char *data, Py_ssize_t size, list packets
    ) except -1:
        """Consume data until `_stop` is set; return how many bytes were consumed."""
        cdef Py_ssize_t position = 0
        if self._skipped:
            position = self._skip(size)
        elif self._kept:
            position = self._complete(data, size, packets)
        position += self._cut(data + position, size - position, packets)
        if self._stop:
            return position
        self._keep(data + position, size - position)
        return size

    cdef Py_ssize_t _cut(
        self, const unsigned char *data, Py_ssize_t size, list packets
    ) except -1:
        """Append complete packets and lines, and return where the last one ends."""
        cdef Py_ssize_t position = 0
        cdef Py_ssize_t length
        while position < size and not self._stop:
            length = self._length(data + position, size - position)
            if length <= 0:
                if not length:
                    break
                self._refuse(data + position, -length, -length, packets)
                position -= length
                position += self._skip(size - position)
            else:
                self._deliver(data + position, length, packets)
                position += length
        return position

    cdef Py_ssize_t _skip(self, Py_ssize_t size) noexcept:
        """Return how many of `size` bytes belong to a packet that was refused."""
        cdef Py_ssize_t skipped = min(self._skipped, size)
        self._skipped -= skipped
        return skipped

    cdef Py_ssize_t _complete(
        self, const unsigned char *data, Py_ssize_t size, list packets
    ) except -1:
        """Complete the packet in the buffer; return how many bytes that took."""
        cdef Py_ssize_t position = 0
        cdef Py_ssize_t lacking
        cdef Py_ssize_t length
        while self._kept and position < size:
            lacking = self._lacking(data + position, size - position)
            self._keep(data + position, lacking)
            position += lacking
            length = self._length(self._buffer, self._kept)
            if length > 0:
                self._release(packets)
            elif length:
                self._refuse_kept(-length, packets)
                position += self._skip(size - position)
        return position

    cdef Py_ssize_t _lacking(self, const unsigned char *data, Py_ssize_t size) noexcept:
        cdef const unsigned char *newline
        if not self._buffer[0]:
            return max(0, min(size, self._needed - self._kept))
        newline = <const unsigned char *>memchr(data, c"\n", size)
        return size if newline is NULL else newline - data + 1

    cdef Py_ssize_t _length(self, const unsigned char *data, Py_ssize_t size) except -1:
        """Return the length of the packet or line that begins here, 0 if incomplete.

        For a packet that is too large, return the length of its head, negated.
        """
        cdef uint32_t length
        if data[0]:
            return self._line_length(data, size)
        self._needed = header_size
        if size < header_size:
            return 0
        self._check(data)
        length = read_number(data + 8)
        if <long long>length > self._max_packet:
            return -self._head_of_large(data, size)
        self._needed += length
        return self._needed if self._needed <= size else 0

    cdef Py_ssize_t _head_of_large(
        self, const unsigned char *data, Py_ssize_t size
    ) except -1:
        """Return the length of a large packet's head, 0 if the head is incomplete."""
        cdef Py_ssize_t window = min(<Py_ssize_t>read_number(data + 8), handle_window)
        cdef Py_ssize_t come = min(size - header_size, window)
        cdef const unsigned char *body = data + header_size
        cdef const unsigned char *end
        if not self._skip_large:
            raise _framing._large_packet(read_number(data + 8), self._max_packet)
        if not about_jobs[read_number(data + 4)] or not self._accepts(data):
            return header_size
        end = <const unsigned char *>memchr(body, 0, come)
        if end is not NULL:
            return end - data
        if come == window:
            return header_size + window
        self._needed = size + 1
        return 0

    cdef int _refuse(
        self, const unsigned char *data, Py_ssize_t head, Py_ssize_t come, list packets
    ) except -1:
        """Refuse a packet that is too large.

        `head` is the length of its head, `come` how many of its bytes were consumed,
        the head included.
        """
        cdef uint32_t length = read_number(data + 8)
        self._skipped = header_size + <long long>length - come
        if not self._accepts(data):
            error = self._other_magic()
        else:
            handle = None
            if about_jobs[read_number(data + 4)]:
                handle = copy(data + header_size, head - header_size)
            error = PacketTooLarge(handle, length, self._max_packet)
        self._collect((INVALID, error), packets)
        return 0

    cdef int _refuse_kept(self, Py_ssize_t head, list packets) except -1:
        """Refuse the packet in the buffer, which is too large."""
        cdef unsigned char *buffer = self._buffer
        cdef Py_ssize_t come = self._kept
        self._buffer = NULL
        self._kept = self._capacity = 0
        try:
            return self._refuse(buffer, head, come, packets)
        finally:
            PyMem_Free(buffer)

    cdef int _collect(self, tuple packet, list packets) except -1:
        """Hand over a packet: here, append it to the list."""
        packets.append(packet)
        return 0

    cdef Py_ssize_t _line_length(
        self, const unsigned char *data, Py_ssize_t size
    ) except -1:
        cdef const unsigned char *newline = NULL
        cdef long long window = size if size <= self._max_line else self._max_line + 1
        if data[0] == tls_handshake:
            raise _framing._tls()
        if not self._lines:
            raise _framing._foreign(copy(data, 1))
        if window > 0:
            newline = <const unsigned char *>memchr(data, c"\n", window)
        if newline is not NULL:
            return newline - data + 1
        if size > self._max_line:
            raise _framing._long_line(self._max_line)
        return 0

    cdef int _check(self, const unsigned char *header) except -1:
        cdef uint32_t magic = read_number(header)
        cdef uint32_t number = read_number(header + 4)
        if magic != request_magic and magic != response_magic:
            raise _framing._foreign(copy(header, 4))
        if number >= standard_limit or not number:
            _framing._check_extension(number)
        return 0

    cdef int _deliver(
        self, const unsigned char *data, Py_ssize_t length, list packets
    ) except -1:
        return self._collect(self._packet(data, length), packets)

    cdef tuple _packet(self, const unsigned char *data, Py_ssize_t length):
        """Return a complete packet or line."""
        cdef uint32_t number
        cdef uint32_t offset = 0
        if data[0]:
            length -= 1
            if length and data[length - 1] == c"\r":
                length -= 1
            return text, (copy(data, length),)
        if read_number(data) != self._magic:
            if self._magic != EITHER:
                return INVALID, self._other_magic()
            if read_number(data) == response_magic:
                offset = responses
        number = read_number(data + 4)
        return split(number, offset, data + header_size, length - header_size)

    cdef bint _accepts(self, const unsigned char *header) noexcept:
        """Whether packets may have the magic of this one."""
        return self._magic == EITHER or read_number(header) == self._magic

    cdef object _other_magic(self):
        return _framing._other_magic(
            REQUEST if self._magic == request_magic else RESPONSE
        )

    cdef int _release(self, list packets) except -1:
        """Deliver the packet that fills the buffer, and free the buffer."""
        cdef unsigned char *buffer = self._buffer
        cdef Py_ssize_t length = self._kept
        self._buffer = NULL
        self._kept = self._capacity = 0
        try:
            return self._deliver(buffer, length, packets)
        finally:
            PyMem_Free(buffer)

    cdef int _keep(self, const unsigned char *data, Py_ssize_t size) except -1:
        cdef Py_ssize_t wanted = self._kept + size
        cdef void *buffer
        if wanted > self._capacity:
            wanted = max(wanted, self._capacity + self._capacity // 2)
            buffer = PyMem_Realloc(self._buffer, wanted)
            if buffer is NULL:
                raise MemoryError
            self._buffer = <unsigned char *>buffer
            self._capacity = wanted
        if size:
            memcpy(self._buffer + self._kept, data, size)
            self._kept += size
        return 0

    cdef void _forget(self) noexcept:
        PyMem_Free(self._buffer)
        self._buffer = NULL
        self._kept = self._capacity = 0
        self._skipped = 0


cdef tuple split(
    uint32_t number, uint32_t offset, const unsigned char *body, Py_ssize_t size
):
    """Return a packet of this type, its body split into arguments.

    `offset` is added to the number.
    """
    cdef Py_ssize_t count = counts[number]
    cdef Py_ssize_t last = count - 1
    cdef Py_ssize_t position, length
    cdef const unsigned char *end
    if not count:
        return number + offset, ()
    cdef tuple arguments = PyTuple_New(count)
    for position in range(count):
        length = size
        if position < last:
            end = <const unsigned char *>memchr(body, 0, size)
            if end is NULL:
                return INVALID, _framing._few_arguments(number, position + 1)
            length = end - body
        argument = copy(body, length)
        Py_INCREF(argument)
        PyTuple_SET_ITEM(arguments, position, argument)
        body += length + 1
        size -= length + 1
    return number + offset, arguments
