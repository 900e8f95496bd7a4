# cython: language_level=3, annotation_typing=False, auto_pickle=False
"""The compiled I/O engine: plain TCP and Unix connections, without asyncio's help.

The engine keeps its sockets in an epoll set of its own, together with that of the
event loop's selector, and waits for both at once in the selector's place. So as long
as there are only packets to be moved, the event loop does not run at all: each round
reads from every connection that has something, cuts packets straight from the read
buffer, hands them to the compiled broker by C calls, and then writes once to each
connection that was touched.

All rules are the broker's and the gear protocol's: what is dispatched here by number
are the commands that come often, and any other packet takes the same way as without
the engine. What is rare, such as back-pressure, closing and stalling, is left to the
Python object `connection` of each channel, which is the one that asyncio's transports
get as well; a channel is its transport.
"""

import os
from socket import SHUT_WR

cimport cython

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.bytes cimport PyBytes_GET_SIZE, _PyBytes_Resize
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.math cimport INFINITY
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset
from posix.ioctl cimport ioctl
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec
from posix.time cimport clockid_t
from posix.types cimport time_t
from posix.unistd cimport close, read

from gearman._speedups cimport Decoder, read_number, write_number
from gearman.server.broker._broker_c cimport Peer
from gearman.server.broker._untracked cimport Broker

from ..._framing import _COUNTS, INVALID, _large_body
from ...commands import RESPONSE
from ...errors import ProtocolError

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    #endif

    /* Large buffers come and go with the packets in them. glibc would return their
     * memory to the system each time, which then has to clear it again for the next
     * one, a page at a time. */
    static void keep_freed_memory(int largest, int most)
    {
    #ifdef __GLIBC__
        mallopt(M_MMAP_THRESHOLD, largest);
        mallopt(M_TRIM_THRESHOLD, most);
    #endif
    }
    """
    void keep_freed_memory(int largest, int most)

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        int fd

    struct epoll_event:
        uint32_t events
        epoll_data_t data

    enum:
        EPOLLIN
        EPOLLOUT
        EPOLLERR
        EPOLLHUP
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_DEL
        EPOLL_CTL_MOD

    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int descriptor, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int size, int milliseconds)

cdef extern from "sys/eventfd.h" nogil:
    ctypedef uint64_t eventfd_t

    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK

    int eventfd(unsigned int count, int flags)
    int eventfd_read(int descriptor, eventfd_t *count)
    int eventfd_write(int descriptor, eventfd_t count)

cdef extern from "sys/timerfd.h" nogil:
    enum:
        TFD_CLOEXEC
        TFD_NONBLOCK
        TFD_TIMER_ABSTIME

    struct itimerspec:
        timespec it_interval
        timespec it_value

    int timerfd_create(int clock, int flags)
    int timerfd_settime(
        int descriptor, int flags, const itimerspec *new, itimerspec *old
    )

cdef extern from "sys/ioctl.h":
    enum:
        FIONREAD

cdef extern from "sys/socket.h" nogil:
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL

    struct iovec:
        void *iov_base
        size_t iov_len

    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen

    ssize_t sendmsg(int descriptor, const msghdr *message, int flags)
    ssize_t recvmsg(int descriptor, msghdr *message, int flags)
    ssize_t recv(int descriptor, void *buffer, size_t size, int flags)
    ssize_t send_to "send"(
        int descriptor, const void *buffer, size_t size, int flags
    )

cdef enum:
    HEADER_SIZE = 12
    # How much is read from a connection at once: there is no limit to what goes
    # straight into a large argument, and little is read of what follows that, which
    # may be the next one.
    READ_SIZE = 32 * 1024
    FOLLOWING_SIZE = 4 * 1024
    # What is worth being read without a copy, and being sent without one.
    DIRECT_SIZE = 32 * 1024
    # How many large arguments are sent at once; what is one of them if it is sent to
    # the same peer several times; how much is sent before others are served.
    TAILS = 32
    SHARED_SIZE = 1024
    # What a large argument takes beside its bytes, about.
    TAIL_SIZE = 100
    TURN_SIZE = 8 * 1024 * 1024
    # After so many packets it is time to look at the clock. Those that do not come
    # often may take long each.
    LOOK = 8
    # Buffers up to the first size are kept for others once they are free, up to the
    # second size altogether.
    KEPT_BUFFER = 2 * 1024 * 1024
    KEPT_MEMORY = 64 * 1024 * 1024
    # Connections looked for at once; how often that is done before they are answered,
    # if at least so many are found the first time.
    BATCH = 256
    LOOKS = 3
    CROWD = 4
    # Output buffers of this size are kept for whoever needs one next.
    SPARE_SIZE = 16 * 1024
    SPARES = 256

# The commands that come often; a test compares their numbers with the table's.
cdef enum:
    PRE_SLEEP = 4
    SUBMIT_JOB = 7
    GRAB_JOB = 9
    WORK_COMPLETE = 13
    ECHO_REQ = 16
    ECHO_RES = 17
    SUBMIT_JOB_BG = 18
    SUBMIT_JOB_HIGH = 21
    WORK_DATA = 28
    GRAB_JOB_UNIQ = 30
    SUBMIT_JOB_HIGH_BG = 32
    SUBMIT_JOB_LOW = 33
    SUBMIT_JOB_LOW_BG = 34
    GRAB_JOB_ALL = 39

cdef enum:
    HIGH = 0
    NORMAL = 1
    LOW = 2

# Seconds that the requests of one channel may take in a round, and those of all that
# were put off, if this is less.
cdef double ALLOWANCE = 100e-6
cdef double ALLOWANCE_OF_ALL = 2e-3

cdef uint32_t response = read_number(<const unsigned char *>PyBytes_AS_STRING(RESPONSE))
# How many arguments a packet of each type has.
cdef bytes counts = _COUNTS


cdef inline double clock(clockid_t which) noexcept:
    cdef timespec now
    clock_gettime(which, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


cdef inline int opened(int descriptor) except -1:
    if descriptor < 0:
        raise OSError(errno, os.strerror(errno))
    return descriptor


cdef inline bytes copy(const unsigned char *at, Py_ssize_t size):
    return PyBytes_FromStringAndSize(<const char *>at, size)


cdef inline Py_ssize_t until_nul(const unsigned char *at, Py_ssize_t size) noexcept:
    """Return how many bytes stand before a NUL, -1 if there is none."""
    cdef const unsigned char *end = <const unsigned char *>memchr(at, 0, size)
    return -1 if end is NULL else end - at


cdef inline int part(
    iovec *parts, const void *at, Py_ssize_t size, Py_ssize_t *skipped
) noexcept:
    """Add what is left of a buffer once some bytes are skipped. Returns 1 if it is."""
    cdef Py_ssize_t skip = min(size, skipped[0])
    skipped[0] -= skip
    parts.iov_base = <char *>at + skip
    parts.iov_len = size - skip
    return 1 if size > skip else 0


@cython.final
cdef class Reader(Decoder):
    """Cuts the stream of one channel and dispatches its packets.

    The last argument of a large packet is received straight into the object that it
    is going to be. This object grows with what has come, whatever size was declared;
    meanwhile the buffer keeps what is before that argument.
    """

    # The last argument of the packet that is kept, as far as `_come` says.
    cdef PyObject *_last
    cdef Py_ssize_t _come
    cdef Channel _channel
    cdef Broker _broker
    cdef object _dispatch
    # What was done since the clock was looked at.
    cdef int _done
    # A client tends to name the function that it named before: comparing is cheaper
    # than making and hashing a new object.
    cdef bytes _name

    cdef unsigned char *_place(self) noexcept:
        """Return where to receive the last argument's next bytes, see `_space`."""
        return <unsigned char *>PyBytes_AS_STRING(<object>self._last) + self._come

    cdef Py_ssize_t _space(self) except -1:
        """Return how many bytes to receive straight into a last argument.

        It is 0 if nothing of the kind is to come.
        """
        if self._last is NULL:
            return self._begin_last() if self._kept else 0
        if self._come == PyBytes_GET_SIZE(<object>self._last):
            _PyBytes_Resize(&self._last, self._come + self._worthwhile())
        return PyBytes_GET_SIZE(<object>self._last) - self._come

    cdef Py_ssize_t _worthwhile(self) noexcept:
        """Return for how many bytes more there should be room in a last argument.

        That is for what waits in the socket, or for as much again as has come.
        """
        cdef Py_ssize_t most = max(self._come, DIRECT_SIZE)
        cdef int waiting = 0
        ioctl(self._channel.descriptor, FIONREAD, &waiting)
        return min(self._missing(), max(most, <Py_ssize_t>waiting))

    cdef Py_ssize_t _missing(self) noexcept:
        """Return how many bytes of a last argument are to come."""
        return self._needed - self._kept - self._come

    cdef Py_ssize_t _begin_last(self) except -1:
        """Take what has come of a last argument out of the buffer, if it is large.

        Returns for how many bytes more there is room then.
        """
        cdef Py_ssize_t start
        cdef Py_ssize_t space
        if self._buffer[0] or self._kept < HEADER_SIZE:
            return 0
        if self._needed - self._kept < DIRECT_SIZE:
            return 0
        start = self._last_starts()
        if not start:
            return 0
        self._come = self._kept - start
        self._kept = start
        space = self._worthwhile()
        last = PyBytes_FromStringAndSize(NULL, self._come + space)
        memcpy(PyBytes_AS_STRING(last), self._buffer + start, self._come)
        Py_INCREF(last)
        self._last = <PyObject *>last
        return space

    cdef Py_ssize_t _last_starts(self) noexcept:
        """Return where the last argument of the packet in the buffer starts.

        It is 0 if the packet has none, or not all that is before it has come.
        """
        cdef uint32_t number = read_number(self._buffer + 4)
        cdef int count = <unsigned char>PyBytes_AS_STRING(counts)[number]
        cdef Py_ssize_t start = HEADER_SIZE
        cdef Py_ssize_t length
        if not count or read_number(self._buffer) != self._magic:
            return 0
        for _ in range(count - 1):
            length = until_nul(self._buffer + start, self._kept - start)
            if length < 0:
                return 0
            start += length + 1
        return start

    cdef int _received(self, Py_ssize_t size) except -1:
        """Take `size` bytes that were received at `_place`."""
        self._come += size
        if not self._missing():
            self._release(None)
        return 0

    cdef bytes _argument(self, const unsigned char *at, Py_ssize_t size):
        """Return the last argument, of which as much is here as is in the buffer."""
        if self._last is NULL:
            return copy(at, size)
        last = <bytes>self._last
        self._drop_last()
        return last

    cdef void _drop_last(self) noexcept:
        Py_XDECREF(self._last)
        self._last = NULL
        self._come = 0

    cdef void _forget(self) noexcept:
        Decoder._forget(self)
        self._drop_last()

    cdef int _deliver(
        self, const unsigned char *data, Py_ssize_t length, list packets
    ) except -1:
        cdef uint32_t number
        cdef int done
        if not data[0] and read_number(data) == self._magic:
            number = read_number(data + 4)
            done = self._often(number, data + HEADER_SIZE, length - HEADER_SIZE)
            if done:
                return self._count(done)
        packet = self._packet(data, length)
        if self._last is not NULL:
            number, arguments = packet
            packet = number, (*arguments[:-1], self._argument(NULL, 0))
        self._collect(packet, packets)
        return self._count(LOOK)

    cdef inline int _count(self, int done) except -1:
        """Leave the rest to another round if that was enough for this one."""
        cdef Channel channel = self._channel
        self._done += done
        if self._done >= LOOK:
            self._done = 0
            if channel._late() or channel.answering is not None:
                self._stop = True
        if channel._end - channel._start + channel._tail_bytes > channel._high:
            self._stop = True
        return 0

    cdef int _collect(self, tuple packet, list packets) except -1:
        self._dispatch(self._channel, packet)
        return 0

    cdef int _often(
        self, uint32_t number, const unsigned char *body, Py_ssize_t size
    ) except -1:
        """Carry out a packet of a type that comes often, and return what that counts.

        Returns 0 for others, which are not carried out.
        """
        if number == GRAB_JOB:
            self._broker.grab(self._channel)
            return self._searched()
        elif number == GRAB_JOB_UNIQ:
            self._broker.grab_unique(self._channel)
            return self._searched()
        elif number == GRAB_JOB_ALL:
            self._broker.grab_all(self._channel)
            return self._searched()
        elif number == PRE_SLEEP:
            self._broker.pre_sleep(self._channel)
            return self._searched()
        elif number == WORK_COMPLETE or number == WORK_DATA:
            return self._work(number, body, size)
        elif number == SUBMIT_JOB:
            return self._submit(body, size, NORMAL, False)
        elif number == SUBMIT_JOB_BG:
            return self._submit(body, size, NORMAL, True)
        elif number == SUBMIT_JOB_HIGH:
            return self._submit(body, size, HIGH, False)
        elif number == SUBMIT_JOB_HIGH_BG:
            return self._submit(body, size, HIGH, True)
        elif number == SUBMIT_JOB_LOW:
            return self._submit(body, size, LOW, False)
        elif number == SUBMIT_JOB_LOW_BG:
            return self._submit(body, size, LOW, True)
        elif number == ECHO_REQ:
            self._echo(body, size)
            return 1 if size < DIRECT_SIZE else LOOK
        return 0

    cdef inline int _searched(self):
        """Return what the search for a job counts: it takes long with many functions."""
        return LOOK if PyList_GET_SIZE(self._channel.functions) > LOOK else 1

    cdef int _echo(self, const unsigned char *body, Py_ssize_t size) except -1:
        if self._last is NULL:
            memcpy(self._channel._packet_of(ECHO_RES, size), body, size)
        else:
            self._channel.send(ECHO_RES, (self._argument(body, size),))
        return 0

    cdef bint _submit(
        self, const unsigned char *body, Py_ssize_t size, int priority, bint background
    ) except -1:
        cdef Py_ssize_t name = until_nul(body, size)
        cdef Py_ssize_t unique
        if name < 0:
            return False
        unique = until_nul(body + name + 1, size - name - 1)
        if unique < 0:
            return False
        self._remember_name(body, name)
        body += name + 1
        size -= name + 1
        self._broker.submit(
            self._channel,
            self._name,
            copy(body, unique),
            self._argument(body + unique + 1, size - unique - 1),
            priority,
            background,
        )
        return True

    cdef int _remember_name(
        self, const unsigned char *name, Py_ssize_t size
    ) except -1:
        cdef bytes known = self._name
        if PyBytes_GET_SIZE(known) != size or memcmp(
            PyBytes_AS_STRING(known), name, size
        ):
            self._name = copy(name, size)
        return 0

    cdef bint _work(
        self, uint32_t number, const unsigned char *body, Py_ssize_t size
    ) except -1:
        cdef Py_ssize_t length = until_nul(body, size)
        if length < 0:
            return False
        handle = copy(body, length)
        data = self._argument(body + length + 1, size - length - 1)
        if number == WORK_COMPLETE:
            self._broker.complete(self._channel, handle, data)
        else:
            self._broker.data(self._channel, handle, data)
        return True


@cython.final
cdef class Tail:
    """A large last argument, and how much of a channel's `_out` goes before it."""

    cdef bytes data
    cdef Py_ssize_t ahead
    # How much memory it counts for: the bytes are counted once if the tail before it
    # has the same ones.
    cdef Py_ssize_t memory


@cython.final
cdef class Channel(Peer):
    """A peer whose socket belongs to the engine.

    It is what an asyncio transport is to `connection`, as far as that needs one.
    Made by `Engine.open` only.
    """

    cdef Engine _engine
    cdef Reader _reader
    cdef object _socket
    cdef object _error
    cdef unsigned char *_out
    cdef Py_ssize_t _start
    cdef Py_ssize_t _end
    cdef Py_ssize_t _capacity
    # Large last arguments, which are sent from where they are; None if there are
    # none. The bytes in them, those of `_out` behind them all, and how many have been
    # sent of the first one and what goes before it.
    cdef list _tails
    cdef Py_ssize_t _tail_bytes
    cdef Py_ssize_t _tail_memory
    cdef Py_ssize_t _behind
    cdef Py_ssize_t _done
    # The largest of those that were large, since nothing waited.
    cdef Py_ssize_t _largest
    cdef Py_ssize_t _high
    cdef Py_ssize_t _low
    cdef bint _dirty
    cdef bint _closing
    cdef bint _lingering
    cdef bint _paused
    cdef uint32_t _events
    # How much had been to be sent when that was too much.
    cdef Py_ssize_t _overflown
    # What has been read and is to be carried out in another round, from where on; None
    # if there is nothing to go on with. Whether the engine knows.
    cdef bytes _rest
    cdef Py_ssize_t _rest_at
    cdef bint _listed
    # How much memory its buffers take, as the broker counts it.
    cdef Py_ssize_t _held
    # The round in which the clock was first looked at, and how long it may take.
    cdef uint64_t _round
    cdef double _until

    def __dealloc__(self):
        PyMem_Free(self._out)

    # -- what a peer is sent

    cpdef send(self, int command, tuple arguments):
        cdef Py_ssize_t length = len(arguments) - 1 if arguments else 0
        cdef bytes last
        cdef unsigned char *at
        cdef bint first = True
        for argument in arguments:
            length += PyBytes_GET_SIZE(argument)
        if length > DIRECT_SIZE:
            last = arguments[-1]
            if PyBytes_GET_SIZE(last) > DIRECT_SIZE:
                self._send_large(command, arguments[:-1], last, length)
                return
        at = self._packet_of(command, length)
        for argument in arguments:
            if not first:
                at[0] = 0
                at += 1
            first = False
            memcpy(at, PyBytes_AS_STRING(argument), PyBytes_GET_SIZE(argument))
            at += PyBytes_GET_SIZE(argument)

    cpdef repeat(self, Py_ssize_t times, int command, tuple arguments):
        cdef bytes last = arguments[-1] if arguments else b""
        cdef Py_ssize_t length = len(arguments) - 1
        if PyBytes_GET_SIZE(last) < SHARED_SIZE:
            for _ in range(times):
                self.send(command, arguments)
            return
        for argument in arguments:
            length += PyBytes_GET_SIZE(argument)
        arguments = arguments[:-1]
        for _ in range(times):
            self._send_large(command, arguments, last, length)

    cdef int _send_large(
        self, uint32_t number, tuple arguments, bytes last, Py_ssize_t length
    ) except -1:
        """Put a packet together whose last argument is not copied."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(last)
        cdef unsigned char *at = self._head_of(number, length, length - size)
        for argument in arguments:
            memcpy(at, PyBytes_AS_STRING(argument), PyBytes_GET_SIZE(argument))
            at += PyBytes_GET_SIZE(argument)
            at[0] = 0
            at += 1
        self._largest = max(self._largest, size)
        self._append_tail(last)
        return 0

    cdef int _append_tail(self, bytes data) except -1:
        cdef Tail tail = Tail.__new__(Tail)
        tail.data = data
        tail.ahead = self._behind
        tail.memory = TAIL_SIZE + PyBytes_GET_SIZE(data)
        if self._tails is None:
            self._tails = []
            tail.ahead = self._end - self._start
        elif (<Tail>self._tails[-1]).data is data:
            tail.memory = TAIL_SIZE
        self._tails.append(tail)
        self._tail_memory += tail.memory
        self._tail_bytes += PyBytes_GET_SIZE(data)
        self._behind = 0
        return self._look_for_overflow()

    cdef int _look_for_overflow(self) except -1:
        """Drop what waits if it is too much. The next flush closes the channel."""
        if self._waiting() - self._largest > self._engine._max_outbox:
            self._overflown = self._waiting()
            self._drop()
        return 0

    cpdef write(self, bytes data):
        if PyBytes_GET_SIZE(data) > DIRECT_SIZE:
            self._largest = max(self._largest, PyBytes_GET_SIZE(data))
        memcpy(
            self._room(PyBytes_GET_SIZE(data)),
            PyBytes_AS_STRING(data),
            PyBytes_GET_SIZE(data),
        )

    cdef unsigned char *_packet_of(self, uint32_t number, Py_ssize_t length) except NULL:
        """Begin a packet and return where its body of this length goes."""
        return self._head_of(number, length, length)

    cdef unsigned char *_head_of(
        self, uint32_t number, Py_ssize_t length, Py_ssize_t room
    ) except NULL:
        """Begin a packet, with room for the first bytes of its body."""
        cdef unsigned char *at
        if length > <Py_ssize_t>0xFFFFFFFF:
            raise _large_body(length)
        at = self._room(HEADER_SIZE + room)
        at = write_number(write_number(at, response), number)
        return write_number(at, <uint32_t>length)

    cdef unsigned char *_room(self, Py_ssize_t size) except NULL:
        """Return where the next `size` bytes to be sent go."""
        if not self._dirty:
            self._dirty = True
            if self.touched is not None:
                self.touched.append(self)
        if self._end + size > self._capacity:
            self._grow(size)
        self._end += size
        self._behind += size
        return self._out + self._end - size

    cdef Py_ssize_t _waiting(self) noexcept:
        """Return how many bytes wait to be sent."""
        return self._end - self._start + self._tail_bytes - self._done

    cdef int _grow(self, Py_ssize_t size) except -1:
        cdef Py_ssize_t waiting
        cdef Py_ssize_t capacity
        cdef unsigned char *out
        if self._end > self._start:
            self._look_for_overflow()
        waiting = self._end - self._start
        capacity = max(waiting + size, waiting * 2)
        if capacity <= SPARE_SIZE:
            capacity = SPARE_SIZE
            out = self._engine._take_spare()
        else:
            out = <unsigned char *>PyMem_Malloc(capacity)
        if out is NULL:
            raise MemoryError
        if waiting:
            memcpy(out, self._out + self._start, waiting)
        self._engine._give_back(self._out, self._capacity)
        self._out = out
        self._capacity = capacity
        self._start = 0
        self._end = waiting
        return 0

    def flush(self):
        """Send what waits, as far as the peer takes it."""
        self._flush()

    cdef int _flush(self) except -1:
        cdef ssize_t sent
        cdef Py_ssize_t most = TURN_SIZE
        self._dirty = False
        if self._socket is None:
            self._drop()
            return 0
        if self._overflown:
            self.connection.overflow(self._overflown)
            return 0
        while self._waiting() and most > 0:
            sent = self._send_some()
            if sent >= 0:
                most -= sent
                self._advance(sent)
            elif errno == EAGAIN:
                break
            elif errno != EINTR:
                self._fail(errno)
                return 0
        self._sent()
        return 0

    cdef ssize_t _send_some(self) noexcept:
        if self._tails is not None:
            return self._send_parts()
        return send_to(
            self.descriptor,
            self._out + self._start,
            self._end - self._start,
            MSG_DONTWAIT | MSG_NOSIGNAL,
        )

    cdef ssize_t _send_parts(self) noexcept:
        cdef iovec parts[2 * TAILS + 1]
        cdef msghdr message
        cdef Py_ssize_t skip = self._done
        cdef unsigned char *at = self._out + self._start
        cdef Py_ssize_t count = min(PyList_GET_SIZE(self._tails), TAILS)
        cdef int filled = 0
        cdef Tail tail
        for index in range(count):
            tail = <Tail>PyList_GET_ITEM(self._tails, index)
            filled += part(&parts[filled], at, tail.ahead, &skip)
            filled += part(
                &parts[filled],
                PyBytes_AS_STRING(tail.data),
                PyBytes_GET_SIZE(tail.data),
                &skip,
            )
            at += tail.ahead
        if count == PyList_GET_SIZE(self._tails):
            filled += part(&parts[filled], at, self._behind, &skip)
        memset(&message, 0, sizeof(message))
        message.msg_iov = parts
        message.msg_iovlen = filled
        return sendmsg(self.descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL)

    cdef int _advance(self, Py_ssize_t sent) except -1:
        """Forget the first bytes of what waits."""
        if self._tails is not None:
            sent = self._advance_tails(sent)
        self._start += sent
        return 0

    cdef Py_ssize_t _advance_tails(self, Py_ssize_t sent) except -1:
        """Return how many of the bytes sent were behind all tails."""
        cdef Tail tail
        cdef Py_ssize_t whole = 0
        sent += self._done
        self._done = 0
        while whole < PyList_GET_SIZE(self._tails):
            tail = <Tail>PyList_GET_ITEM(self._tails, whole)
            if sent < tail.ahead + PyBytes_GET_SIZE(tail.data):
                self._done = sent
                del self._tails[:whole]
                return 0
            sent -= tail.ahead + PyBytes_GET_SIZE(tail.data)
            self._start += tail.ahead
            self._tail_bytes -= PyBytes_GET_SIZE(tail.data)
            self._tail_memory -= tail.memory
            whole += 1
            if whole < PyList_GET_SIZE(self._tails):
                self._keep_counted(tail, <Tail>PyList_GET_ITEM(self._tails, whole))
        self._tails = None
        return sent

    cdef int _keep_counted(self, Tail sent, Tail following) except -1:
        """Count the bytes for the tail that follows if they were for the one sent."""
        if following.data is sent.data:
            following.memory = sent.memory
            self._tail_memory += sent.memory - TAIL_SIZE
        return 0

    cdef int _account(self) except -1:
        """Have the broker count what the buffers of this channel take now.

        It need not be called for one that holds nothing and held nothing.
        """
        cdef Py_ssize_t held = self._capacity + self._tail_memory
        cdef Reader reader = self._reader
        if self._socket is None:
            return 0
        held += reader._capacity
        if reader._last is not NULL:
            held += PyBytes_GET_SIZE(<object>reader._last)
        if self._rest is not None:
            held += PyBytes_GET_SIZE(self._rest)
        self._engine._broker.buffers += held - self._held
        self._held = held
        return 0

    cdef int _sent(self) except -1:
        """See to what follows from how much still waits."""
        cdef Py_ssize_t waiting = self._waiting()
        if not waiting:
            self._drop()
            if self._closing:
                self._finish(None)
                return 0
            if self._lingering:
                self._shut_down()
        if waiting or self._held:
            self._account()
        self._await(EPOLLOUT if waiting else 0)
        if waiting > self._high and not self.blocked:
            self.connection.fell_behind()
        elif waiting <= self._low and self.blocked:
            self.connection.caught_up()
        if waiting - self._largest > self._engine._max_outbox:
            self.connection.overflow(waiting)
        return 0

    cdef int _drop(self) except -1:
        self._engine._give_back(self._out, self._capacity)
        self._out = NULL
        self._start = self._end = self._capacity = 0
        self._tails = None
        self._tail_bytes = self._tail_memory = 0
        self._behind = self._done = self._largest = 0
        return 0

    # -- what a peer sends

    cdef int _readable(self) except -1:
        if self._lingering:
            return self._drop_input()
        if self._rest is not None:
            # That comes first, in its turn.
            return 0
        # Most of a large packet waits already once its beginning has been seen.
        if self._read() and self._reader._kept and self._reader._space():
            # What came before it may have closed this connection.
            if self._socket is not None and self._rest is None:
                self._read()
        return 0

    cdef int _drop_input(self) except -1:
        cdef ssize_t size
        size = recv(self.descriptor, self._engine._input, READ_SIZE, MSG_DONTWAIT)
        if size > 0:
            self.connection.drop(size)
        elif size == 0:
            self._finish(None)
        elif errno != EAGAIN and errno != EINTR:
            self._fail(errno)
        return 0

    cdef bint _read(self) except -1:
        """Read once. Returns whether all came that there was room for."""
        cdef Py_ssize_t space = self._reader._space()
        cdef ssize_t size = self._receive(space)
        if size > 0:
            self._received(size, space)
        elif size == 0:
            self.connection.eof_received()
        elif errno != EAGAIN and errno != EINTR:
            self._fail(errno)
        return size >= (space or READ_SIZE)

    cdef ssize_t _receive(self, Py_ssize_t space) noexcept:
        """Receive so many bytes of a last argument, and what follows it."""
        cdef iovec parts[2]
        cdef msghdr message
        if not space:
            return recv(self.descriptor, self._engine._input, READ_SIZE, MSG_DONTWAIT)
        parts[0].iov_base = self._reader._place()
        parts[0].iov_len = space
        parts[1].iov_base = self._engine._input
        parts[1].iov_len = FOLLOWING_SIZE
        memset(&message, 0, sizeof(message))
        message.msg_iov = parts
        message.msg_iovlen = 2 if space == self._reader._missing() else 1
        return recvmsg(self.descriptor, &message, MSG_DONTWAIT)

    cdef int _received(self, Py_ssize_t size, Py_ssize_t space) except -1:
        cdef Py_ssize_t direct = min(size, space)
        cdef Py_ssize_t taken = 0
        size -= direct
        try:
            if direct:
                self._reader._received(direct)
                if not self._reader._kept:
                    # The sooner, the more of it is still in the processor's cache.
                    self._engine.flush()
            if size:
                taken = self._reader._take(self._engine._input, size, None)
        except ProtocolError as error:
            self._end_protocol(error)
            return 0
        self._reader._stop = False
        if self._socket is None or self._closing or self._lingering:
            self._leave()
        elif taken < size or self.answering is not None:
            self._rest = copy(self._engine._input + taken, size - taken)
            self._rest_at = 0
            self._engine._put_off(self)
        else:
            self._look_for_partial()
        if self._held or self._reader._kept or self._rest is not None:
            self._account()
        return 0

    cdef int _look_for_partial(self) except -1:
        if self._reader._kept or self._reader._skipped:
            self.connection.partial()
        return 0

    cdef int _go_on(self) except -1:
        """Go on with what was read in an earlier round, or an answer to it."""
        cdef bytes rest = self._rest
        cdef Py_ssize_t left
        if rest is None or self._paused:
            return 0
        try:
            self._answer_on()
            if self.answering is None and not self._reader._stop:
                left = PyBytes_GET_SIZE(rest) - self._rest_at
                self._rest_at += self._reader._take(
                    <const unsigned char *>PyBytes_AS_STRING(rest) + self._rest_at,
                    left,
                    None,
                )
        except ProtocolError as error:
            self._end_protocol(error)
            return 0
        self._reader._stop = False
        # Whatever was carried out may have closed this connection.
        if self._rest is None:
            return 0
        if self._rest_at < PyBytes_GET_SIZE(rest) or self.answering is not None:
            self._engine._put_off(self)
        else:
            self._rest = None
            self._look_for_partial()
        if self._held or self._reader._kept or self._rest is not None:
            self._account()
        return 0

    cdef int _answer_on(self) except -1:
        """Make pieces of an answer, as many as there is time and room for."""
        while self.answering is not None and not self._reader._stop:
            piece = next(self.answering, None)
            if piece is None:
                self.answering = None
                break
            self.write(piece)
            if self._late() or self._waiting() > self._high:
                self._reader._stop = True
        return 0

    cdef bint _late(self) noexcept:
        """Whether the round has taken long enough for this channel."""
        cdef double now = clock(CLOCK_MONOTONIC)
        if self._round != self._engine._rounds:
            self._round = self._engine._rounds
            self._until = now + self._engine._allowance
        return now > self._until

    cdef int _leave(self) except -1:
        """Carry out nothing more of what was read."""
        self._rest = None
        self.answering = None
        return 0

    cdef int _end_protocol(self, error) except -1:
        self._reader._forget()
        self._reader._stop = False
        self._leave()
        # It takes the way of any packet that breaks a rule, which ends here again.
        try:
            self._engine._dispatch(self, (INVALID, error))
        except ProtocolError:
            pass
        self._error = error
        self.connection.failed()
        return 0

    @property
    def buffered(self):
        """How many bytes of an unfinished request are kept."""
        if self._reader._skipped:
            return 1
        return self._reader._kept + self._reader._come

    @property
    def held(self):
        """How many bytes of memory its buffers take."""
        return self._held

    @property
    def error(self):
        """What ended the protocol, if anything did."""
        return self._error

    # -- a transport

    def get_extra_info(self, name):
        if name == "socket":
            return self._socket
        return self._socket.getpeername() if name == "peername" else None

    def set_write_buffer_limits(self, Py_ssize_t high, Py_ssize_t low):
        self._high = high
        self._low = low

    def get_write_buffer_size(self):
        return self._waiting()

    def pause_reading(self):
        self._paused = True
        self._await(self._events & EPOLLOUT)

    def resume_reading(self):
        self._paused = False
        self._await(self._events & EPOLLOUT)
        if self._rest is not None:
            self._engine._put_off(self)

    def write_eof(self):
        """Send nothing more once everything that waits was sent, and drop what comes."""
        self._lingering = True
        self._leave()
        if self._socket is not None and not self._waiting():
            self._shut_down()

    cdef int _shut_down(self) except -1:
        try:
            self._socket.shutdown(SHUT_WR)
        except OSError:
            # The peer has gone, which is noticed where it is read from.
            pass
        return 0

    def close(self):
        """Close once everything that waits was sent."""
        if self._socket is None or self._closing:
            return
        self._closing = True
        self._leave()
        if not self._waiting():
            self._finish(None)
        else:
            self._await(EPOLLOUT)

    def abort(self):
        """Close now."""
        if self._socket is not None:
            self._finish(None)

    def let_go(self):
        """Break the cycle of a channel that is lost, so that it is freed at once."""
        self._reader._channel = None

    cdef int _fail(self, int number) except -1:
        self._finish(OSError(number, os.strerror(number)))
        return 0

    cdef int _finish(self, error) except -1:
        self._closing = True
        self._leave()
        self._drop()
        # The rest goes with this object, soon.
        self._engine._broker.buffers -= self._held
        self._held = 0
        self._engine._forget(self)
        self._socket.close()
        self._socket = None
        self._engine._loop.call_soon(self.connection.connection_lost, error)
        self._engine._interrupted = True
        return 0

    cdef int _await(self, uint32_t events) except -1:
        """Have the engine look at this channel for `events`, and for what to read."""
        cdef epoll_event event
        if self._socket is None:
            return 0
        if not (self._paused or self._closing):
            events |= EPOLLIN
        if events != self._events:
            self._events = event.events = events
            event.data.fd = self.descriptor
            epoll_ctl(self._engine._epoll, EPOLL_CTL_MOD, self.descriptor, &event)
        return 0


@cython.final
cdef class Engine:
    """Reads from and writes to channels, for as long as there is something to do.

    `dispatch` gets a channel and a packet of a type that does not come often. `settle`
    does what follows from a round, where anything may.
    """

    cdef Broker _broker
    cdef object _loop
    cdef object _settle
    cdef object _dispatch
    # By descriptor, with None between them.
    cdef list _channels
    cdef long long _max_packet
    cdef Py_ssize_t _max_outbox
    cdef int _epoll
    cdef int _selector
    # Cheaper than a limit to each wait: when the timer goes off.
    cdef int _timer
    cdef double _alarm
    # What `ring` counts up, and who is told in the engine's thread.
    cdef int _bell
    cdef object _rung
    cdef bint _interrupted
    cdef double _delay
    # Channels that go on in the next round, and how many rounds there were.
    cdef list _backlog
    cdef uint64_t _rounds
    # Seconds that each channel may take in this round.
    cdef double _allowance
    # Whether each round may be the last.
    cdef public bint draining
    cdef unsigned char *_input
    cdef epoll_event _ready[BATCH]
    cdef unsigned char *_spares[SPARES]
    cdef int _spare

    def __cinit__(self):
        self._epoll = self._timer = self._bell = -1

    def __init__(
        self, Broker broker not None, dispatch, settle, loop, max_packet, max_outbox
    ):
        self._selector = -1
        self._delay = INFINITY
        self._broker = broker
        self._dispatch = dispatch
        self._settle = settle
        self._loop = loop
        self._channels = []
        self._backlog = []
        self._rounds = 0
        self._max_packet = max_packet
        self._max_outbox = max_outbox
        keep_freed_memory(KEPT_BUFFER, KEPT_MEMORY)
        self._input = <unsigned char *>PyMem_Malloc(READ_SIZE)
        if self._input is NULL:
            raise MemoryError
        self._epoll = opened(epoll_create1(EPOLL_CLOEXEC))
        self._timer = opened(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK))
        self._alarm = INFINITY
        self._watch(self._timer)

    def __dealloc__(self):
        cdef int descriptor
        for descriptor in (self._epoll, self._timer, self._bell):
            if descriptor >= 0:
                close(descriptor)
        PyMem_Free(self._input)
        while self._spare:
            self._spare -= 1
            PyMem_Free(self._spares[self._spare])

    def attach(self, int selector):
        """Watch the epoll set of the event loop's selector as well."""
        self._watch(selector)
        self._selector = selector

    def listen(self, rung):
        """Have `rung` called, as part of a round, after each `ring` or several."""
        self._bell = opened(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
        self._watch(self._bell)
        self._rung = rung

    def ring(self):
        """Wake the engine, from whatever thread, so that who listens is called."""
        eventfd_write(self._bell, 1)

    cdef int _watch(self, int descriptor) except -1:
        cdef epoll_event event
        event.events = EPOLLIN
        event.data.fd = descriptor
        if epoll_ctl(self._epoll, EPOLL_CTL_ADD, descriptor, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    def open(self, sock, connection, address):
        """Take a connected socket over, and return the channel that it becomes."""
        cdef Channel channel = Channel(address, sock.fileno())
        cdef Reader reader = Reader(
            max_packet=self._max_packet, lines=True, skip_large=True
        )
        reader._channel = channel
        reader._broker = self._broker
        reader._dispatch = self._dispatch
        reader._name = b""
        channel._engine = self
        channel._reader = reader
        channel._socket = sock
        channel.connection = connection
        channel._events = EPOLLIN
        self._watch(channel.descriptor)
        while len(self._channels) <= channel.descriptor:
            self._channels.append(None)
        self._channels[channel.descriptor] = channel
        return channel

    def wait(self, timeout):
        """Serve channels until the event loop has something to do.

        That is when one of its descriptors is ready (the result is True then), when
        `timeout` seconds have passed (None: never), or after `interrupt`.
        """
        cdef double now = clock(CLOCK_MONOTONIC)
        cdef double end = INFINITY if timeout is None else now + <double>timeout
        cdef int count
        cdef bint ready = False
        if end > now and end != self._alarm:
            self._set_alarm(end)
        while True:
            count = self._poll(now < end)
            now = clock(CLOCK_MONOTONIC)
            if count > 0 or count == 0 and self._backlog:
                self._broker.tick(now, clock(CLOCK_REALTIME))
                ready = self._round(count)
            if ready or count < 0 or self._interrupted or now >= end:
                self._interrupted = False
                return ready

    cdef bint _round(self, int count) except -1:
        """Serve who is ready, then answer. Returns whether the event loop is as well.

        Where many are ready, more will be in a moment: to answer them together takes
        fewer system calls here, and wakes their processes less often.
        """
        cdef int looks = LOOKS if count >= CROWD else 1
        cdef bint ready = False
        self._rounds += 1
        self._allowance = ALLOWANCE
        if self._backlog:
            self._go_on()
        while count > 0:
            ready = self._serve_all(count)
            looks -= 1
            if not looks or ready:
                break
            count = epoll_wait(self._epoll, self._ready, BATCH, 0)
        try:
            self._end_round()
        except Exception as error:
            self._report(error)
        return ready

    cdef int _put_off(self, Channel channel) except -1:
        """Have a channel go on in the next round."""
        if not channel._listed:
            channel._listed = True
            self._backlog.append(channel)
        return 0

    cdef int _go_on(self) except -1:
        """Have each channel go on that was put off."""
        cdef Channel channel
        backlog, self._backlog = self._backlog, []
        self._allowance = min(ALLOWANCE, ALLOWANCE_OF_ALL / PyList_GET_SIZE(backlog))
        for channel in backlog:
            channel._listed = False
            try:
                channel._go_on()
            except Exception as error:
                self._report(error)
                channel.abort()
        return 0

    cdef bint _serve_all(self, int count) except -1:
        cdef int index
        cdef bint ready = False
        for index in range(count):
            if self._ready[index].data.fd == self._selector:
                ready = True
            elif self._ready[index].data.fd == self._bell:
                self._answer_bell()
            elif self._ready[index].data.fd == self._timer:
                self._stop_alarm()
            else:
                self._serve(self._ready[index].data.fd, self._ready[index].events)
        return ready

    cdef int _answer_bell(self) except -1:
        cdef eventfd_t count
        eventfd_read(self._bell, &count)
        try:
            self._rung()
        except Exception as error:
            self._report(error)
        return 0

    def interrupt(self):
        """Have `wait` return soon: the event loop was given something to do."""
        self._interrupted = True

    cdef int _poll(self, bint patient) except? -2:
        cdef int count
        if self._interrupted or not patient or self._backlog:
            return epoll_wait(self._epoll, self._ready, BATCH, 0)
        with nogil:
            count = epoll_wait(self._epoll, self._ready, BATCH, -1)
        return count

    cdef int _set_alarm(self, double when) except -1:
        """Have the timer go off at this time of the monotonic clock, or never."""
        cdef itimerspec alarm
        memset(&alarm, 0, sizeof(alarm))
        if when < INFINITY:
            alarm.it_value.tv_sec = <time_t>when
            alarm.it_value.tv_nsec = <long>((when - <time_t>when) * 1e9)
        timerfd_settime(self._timer, TFD_TIMER_ABSTIME, &alarm, NULL)
        self._alarm = when
        return 0

    cdef int _stop_alarm(self) except -1:
        cdef uint64_t count
        read(self._timer, &count, sizeof(count))
        self._alarm = INFINITY
        return 0

    cdef int _end_round(self) except -1:
        cdef double delay = self._broker.delay()
        cdef Broker broker = self._broker
        self.flush()
        if delay != self._delay or broker.congested or broker.notices:
            self._delay = delay
            self._settle()
        elif broker.changes or broker.deferring or broker.reached or self.draining:
            self._settle()
        elif broker.over_budget():
            self._settle()
        return 0

    cdef int _serve(self, int descriptor, uint32_t events) except -1:
        cdef Channel channel
        if descriptor >= PyList_GET_SIZE(self._channels):
            return 0
        channel = <object>PyList_GET_ITEM(self._channels, descriptor)
        # It may have been closed earlier in this round.
        if channel is None:
            return 0
        try:
            if events & EPOLLIN and not channel._paused:
                channel._readable()
            elif events & (EPOLLERR | EPOLLHUP):
                channel.abort()
            if events & EPOLLOUT:
                channel._flush()
        except Exception as error:
            self._report(error)
            channel.abort()
        return 0

    cdef int _report(self, error) except -1:
        context = {"message": "serving a connection failed", "exception": error}
        self._loop.call_exception_handler(context)
        return 0

    cpdef flush(self):
        """Write to each peer that was touched."""
        cdef list touched = self._broker.touched
        cdef list peers
        if not touched:
            return
        peers = touched[:]
        touched.clear()
        for peer in peers:
            try:
                if isinstance(peer, Channel):
                    (<Channel>peer)._flush()
                else:
                    (<Peer>peer).connection.flush()
                    self._interrupted = True
            except Exception as error:
                # The others are not to suffer.
                self._report(error)

    cdef int _forget(self, Channel channel) except -1:
        cdef epoll_event event
        epoll_ctl(self._epoll, EPOLL_CTL_DEL, channel.descriptor, &event)
        self._channels[channel.descriptor] = None
        return 0

    cdef unsigned char *_take_spare(self) noexcept:
        if self._spare:
            self._spare -= 1
            return self._spares[self._spare]
        return <unsigned char *>PyMem_Malloc(SPARE_SIZE)

    cdef int _give_back(self, unsigned char *buffer, Py_ssize_t size) noexcept:
        if size == SPARE_SIZE and self._spare < SPARES:
            self._spares[self._spare] = buffer
            self._spare += 1
        else:
            PyMem_Free(buffer)
        return 0
