# cython: language_level=3, annotation_typing=False, auto_pickle=False
"""The compiled I/O engine: TCP and Unix connections without TLS, and without asyncio.

The engine has an epoll set of its own, which contains its sockets and the epoll set of
the event loop's selector. It waits for both in the selector's place. So the event loop
does not run as long as only packets are to be moved. Each round reads from every
connection that has input, makes packets directly from the read buffer, gives them to
the compiled broker by C calls, and then writes once to each connection that was
touched.

All rules are the broker's and the gear protocol's. The engine itself dispatches only
the frequent commands; all other packets are handled by the same code as without the
engine. Rare events, such as back-pressure, closing and stalling, are handled by the
Python object `connection` of each channel, which has the same base class as the
connections on asyncio's transports. The channel is its transport.

The module is in several files, which are one module because their classes use each
other: calls of the system, readers, tails, channels, and here the engine itself.
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
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset
from posix.ioctl cimport ioctl
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec
from posix.time cimport clockid_t
from posix.types cimport time_t
from posix.unistd cimport close, read

from gearman._speedups cimport Decoder, read_number, write_number
from gearman.server.broker_c.broker cimport Broker
from gearman.server.broker_c.links.links cimport Links
from gearman.server.broker_c.links.remote cimport Remote
from gearman.server.broker_c.model cimport Peer
from gearman.server.broker_c.workers cimport Workers

from ..._framing import _COUNTS, INVALID, _large_body
from ...commands import RESPONSE
from ...errors import ProtocolError

include "_system.pxi"

cdef enum:
    HEADER_SIZE = 12
    # Bytes that are read from a connection at once, and bytes that are read after a
    # large argument. Those may be the beginning of another large argument, so they are
    # few.
    READ_SIZE = 32 * 1024
    FOLLOWING_SIZE = 4 * 1024
    # From this size on, an argument is read and sent without a copy.
    DIRECT_SIZE = 32 * 1024
    # How many large arguments are sent at once. The size from which on an argument is
    # not copied if the same one is sent to a peer several times.
    TAILS = 32
    SHARED_SIZE = 1024
    # About how many bytes of memory a large argument takes in addition to its own.
    TAIL_SIZE = 100
    # Bytes that are sent to a peer before others are served. As many are received for
    # the large arguments of all ready peers together, but at least SHARE_SIZE for each:
    # a round must end soon, since the memory in use is checked after it.
    TURN_SIZE = 8 * 1024 * 1024
    SHARE_SIZE = 128 * 1024
    # Packets between two looks at the clock. A packet of a rare command counts as this
    # many, since it may take long.
    LOOK = 8
    # The C library keeps free buffers of up to the first size for later use, up to the
    # second size in all.
    KEPT_BUFFER = 2 * 1024 * 1024
    KEPT_MEMORY = 64 * 1024 * 1024
    # Ready connections of one epoll call. How often it is called before answers are
    # sent, if the first call finds at least CROWD connections.
    BATCH = 256
    POLLS = 3
    CROWD = 4
    # The size of small output buffers, which are kept for reuse, and how many are kept.
    SPARE_SIZE = 16 * 1024
    SPARES = 256

# The frequent commands; a test compares their numbers with the table's.
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
    GRAB_JOBS = 264
    LINK_JOB = 267

cdef enum:
    HIGH = 0
    NORMAL = 1
    LOW = 2

# Seconds by which a timer of the broker may be late: two clocks are read for it.
cdef double EXACTNESS = 1e-3

# Seconds that the requests of one channel may take in a round, and those of all
# channels that were put off; the smaller one counts.
cdef double ALLOWANCE = 100e-6
cdef double ALLOWANCE_OF_ALL = 2e-3

cdef uint32_t response = read_number(<const unsigned char *>PyBytes_AS_STRING(RESPONSE))
# How many arguments a packet of each type has.
cdef bytes counts = _COUNTS


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX


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


cdef inline Py_ssize_t body_size(tuple arguments) except -1:
    """Return the length of the body of a packet with these arguments."""
    cdef Py_ssize_t length = len(arguments) - 1 if arguments else 0
    for argument in arguments:
        length += PyBytes_GET_SIZE(argument)
    return length


cdef inline Py_ssize_t until_nul(const unsigned char *at, Py_ssize_t size) noexcept:
    """Return how many bytes are before the first NUL, -1 if there is none."""
    cdef const unsigned char *end = <const unsigned char *>memchr(at, 0, size)
    return -1 if end is NULL else end - at


cdef inline int64_t digits(const unsigned char *at, Py_ssize_t size) noexcept:
    """Return a number of 1 to 18 digits, -1 for all else."""
    cdef int64_t number = 0
    if not 0 < size <= 18:
        return -1
    for index in range(size):
        if not c"0" <= at[index] <= c"9":
            return -1
        number = number * 10 + at[index] - c"0"
    return number


include "_reader.pxi"
include "_tails.pxi"
include "_channel.pxi"


@cython.final
cdef class Engine:
    """Reads from channels and writes to them, as long as there is something to do.

    `dispatch` is called with a channel and a packet of a rare command. `settle` is
    called at the end of a round that may need it. `max_packet` and `max_outbox` are in
    bytes.
    """

    cdef Broker _broker
    # How many bytes of a large argument a channel may receive at a time.
    cdef Py_ssize_t _share
    cdef object _loop
    cdef object _settle
    cdef object _dispatch
    # Indexed by descriptor; None where there is no channel.
    cdef list _channels
    cdef long long _max_packet
    cdef Py_ssize_t _max_outbox
    cdef int _epoll
    cdef int _selector
    # A timer, which is cheaper than a timeout of each wait, and the time it is set to.
    cdef int _timer
    cdef double _alarm
    # The eventfd that `ring` increments, and the function that is then called.
    cdef int _bell
    cdef object _rung
    cdef bint _interrupted
    # When something of the broker is due, as `settle` was last told.
    cdef double _due
    # Channels that go on in the next round, and the number of rounds so far.
    cdef list _backlog
    cdef uint64_t _rounds
    # Seconds that each channel may take in this round.
    cdef double _allowance
    # Whether the server drains, so that each round may be the last.
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
        self._due = INFINITY
        self._broker = broker
        self._dispatch = dispatch
        self._settle = settle
        self._loop = loop
        self._channels = []
        self._backlog = []
        self._rounds = 0
        self._max_packet = max_packet
        self._max_outbox = max_outbox
        self._share = SHARE_SIZE
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
        """Wait for the epoll set of the event loop's selector as well."""
        self._watch(selector)
        self._selector = selector

    def listen(self, rung):
        """Set the function that is called, in a round, after one or more `ring`."""
        self._bell = opened(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
        self._watch(self._bell)
        self._rung = rung

    def ring(self):
        """Wake the engine, from any thread, to call the function of `listen`."""
        eventfd_write(self._bell, 1)

    cdef int _watch(self, int descriptor) except -1:
        cdef epoll_event event
        event.events = EPOLLIN
        event.data.fd = descriptor
        if epoll_ctl(self._epoll, EPOLL_CTL_ADD, descriptor, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    def open(self, sock, connection, address):
        """Make a channel from a connected socket, and take over the socket."""
        cdef Channel channel = Channel(address, sock.fileno())
        cdef Reader reader = Reader(
            max_packet=self._max_packet, lines=True, skip_large=True
        )
        reader._channel = channel
        reader._broker = self._broker
        reader._workers = self._broker.workers
        reader._dispatch = self._dispatch
        reader._name = b""
        channel._engine = self
        channel._reader = reader
        channel._socket = sock
        channel.connection = connection
        channel._events = EPOLLIN
        channel._max_outbox = self._max_outbox
        self._watch(channel.descriptor)
        while len(self._channels) <= channel.descriptor:
            self._channels.append(None)
        self._channels[channel.descriptor] = channel
        return channel

    def wait(self, timeout):
        """Serve channels until the event loop has something to do.

        Returns when one of its descriptors is ready (only then True), after `timeout`
        seconds (None: no limit), or after `interrupt`.
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
        """Serve ready channels, then answer; return whether the event loop is ready.

        If many channels are ready, more will be soon. To answer them together takes
        fewer system calls here, and wakes their processes less often.
        """
        cdef int polls = POLLS if count >= CROWD else 1
        cdef bint ready = False
        self._rounds += 1
        self._allowance = ALLOWANCE
        if self._backlog:
            self._go_on()
        while count > 0:
            ready = self._serve_all(count)
            polls -= 1
            if not polls or ready:
                break
            count = epoll_wait(self._epoll, self._ready, BATCH, 0)
        try:
            self._end_round()
        except Exception as error:
            self._report(error)
        return ready

    cdef int _put_off(self, Channel channel) except -1:
        """Let a channel go on in the next round."""
        if not channel._listed:
            channel._listed = True
            self._backlog.append(channel)
        return 0

    cdef int _go_on(self) except -1:
        """Let the channels go on that were put off."""
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
        self._share = max(SHARE_SIZE, TURN_SIZE // count)
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
        """Make `wait` return soon: the event loop has something to do."""
        self._interrupted = True

    cdef int _poll(self, bint patient) except? -2:
        cdef int count
        if self._interrupted or not patient or self._backlog:
            return epoll_wait(self._epoll, self._ready, BATCH, 0)
        with nogil:
            count = epoll_wait(self._epoll, self._ready, BATCH, -1)
        return count

    cdef int _set_alarm(self, double when) except -1:
        """Set the timer to a time of the monotonic clock; INFINITY stops it."""
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
        cdef Broker broker = self._broker
        cdef double due
        if broker.links is not None:
            broker.links.end_turn()
        due = broker.now + broker.delay()
        self.flush()
        # If it is due later than was told, the timer fires too early, and is set again.
        if due < self._due - EXACTNESS or self._due <= broker.now:
            self._due = due
            self._settle()
        elif broker.jobs.congested or broker.losses.notices:
            self._settle()
        elif broker.jobs.changes or broker.answers.deferring or broker.hits.reached:
            self._settle()
        elif broker.jobs.records or broker.answers.caught_up:
            self._settle()
        elif self.draining or broker.over_budget():
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
        cdef Py_ssize_t count = PyList_GET_SIZE(touched)
        for index in range(count):
            peer = touched[index]
            try:
                if isinstance(peer, Channel):
                    (<Channel>peer)._flush()
                else:
                    (<Peer>peer).connection.flush()
                    self._interrupted = True
            except Exception as error:
                # The other peers are written to all the same.
                self._report(error)
        # Peers that were touched meanwhile are written to the next time.
        if count == PyList_GET_SIZE(touched):
            touched.clear()
        else:
            del touched[:count]

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
