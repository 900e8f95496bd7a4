# Reading: splitting a stream into packets, and carrying out the frequent ones.

@cython.final
cdef class Reader(Decoder):
    """Splits the stream of one channel into packets, and dispatches them.

    The last argument of a large packet is received directly into its bytes object. The
    object grows with the data that arrives, whatever size was declared. Meanwhile the
    buffer has the part of the packet before that argument.
    """

    # The last argument of the incomplete packet, and how many of its bytes have
    # arrived.
    cdef PyObject *_last
    cdef Py_ssize_t _come
    cdef Channel _channel
    cdef Broker _broker
    cdef Workers _workers
    cdef object _dispatch
    # How many packets were carried out since the last look at the clock.
    cdef int _done
    # The last function name. Clients often use the same one again: comparing is cheaper
    # than creating and hashing a new object.
    cdef bytes _name
    # If the channel is a link that is up: the broker's links, and the other server.
    cdef Links _links
    cdef Remote _remote

    cdef unsigned char *_place(self) noexcept:
        """Return where to receive the next bytes of the last argument."""
        return <unsigned char *>PyBytes_AS_STRING(<object>self._last) + self._come

    cdef Py_ssize_t _space(self) except -1:
        """Return how many bytes to receive directly into a last argument.

        Returns 0 if no such argument is incomplete.
        """
        if self._last is NULL:
            return self._begin_last() if self._kept else 0
        if self._come == PyBytes_GET_SIZE(<object>self._last):
            _PyBytes_Resize(&self._last, self._come + self._worthwhile())
        return PyBytes_GET_SIZE(<object>self._last) - self._come

    cdef Py_ssize_t _worthwhile(self) noexcept:
        """Return by how many bytes the last argument should grow.

        That is what waits in the socket, or as much as has arrived, if that is more.
        """
        cdef Py_ssize_t most = max(self._come, DIRECT_SIZE)
        cdef int waiting = 0
        ioctl(self._channel.descriptor, FIONREAD, &waiting)
        return min(self._missing(), max(most, <Py_ssize_t>waiting))

    cdef Py_ssize_t _missing(self) noexcept:
        """Return how many bytes of a last argument have not arrived."""
        return self._needed - self._kept - self._come

    cdef Py_ssize_t _begin_last(self) except -1:
        """Move the beginning of a large last argument out of the buffer.

        Returns the room after it in its object, 0 if there is no large argument.
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

        Returns 0 if the packet has none, or if an argument before it is incomplete.
        """
        cdef uint32_t number = read_number(self._buffer + 4)
        cdef int count = <unsigned char>PyBytes_AS_STRING(counts)[number]
        cdef Py_ssize_t start = HEADER_SIZE
        cdef Py_ssize_t length
        if not count or not self._accepts(self._buffer):
            return 0
        for _ in range(count - 1):
            length = until_nul(self._buffer + start, self._kept - start)
            if length < 0:
                return 0
            start += length + 1
        return start

    cdef int _received(self, Py_ssize_t size) except -1:
        """Count `size` bytes that were received at `_place`."""
        self._come += size
        if not self._missing():
            self._release(None)
        return 0

    cdef bytes _argument(self, const unsigned char *at, Py_ssize_t size):
        """Return the last argument: its object if it is large, else a copy."""
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
        elif self._remote is not None and self._of_link(data, length):
            self._channel.heard = True
            return self._count(1)
        packet = self._packet(data, length)
        if self._last is not NULL:
            number, arguments = packet
            packet = number, (*arguments[:-1], self._argument(NULL, 0))
        self._collect(packet, packets)
        return self._count(LOOK)

    cdef inline int _count(self, int done) except -1:
        """Count packets; stop if the time or the room for answers is used up."""
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
        """Carry out a packet of a frequent command.

        Returns how many packets it counts as (see LOOK), or 0 for other commands, which
        are not carried out.
        """
        if number == GRAB_JOB:
            self._workers.grab(self._channel)
            return self._searched()
        elif number == GRAB_JOB_UNIQ:
            self._workers.grab_unique(self._channel)
            return self._searched()
        elif number == GRAB_JOB_ALL:
            self._workers.grab_all(self._channel)
            return self._searched()
        elif number == PRE_SLEEP:
            self._workers.pre_sleep(self._channel)
            return self._searched()
        elif number == WORK_COMPLETE or number == WORK_DATA:
            return self._work(number, self._channel, body, size)
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

    cdef int _be_link(self, dispatch, long long max_packet) except -1:
        """Give packets of both magics to a function, the frequent ones, too."""
        self.widen(max_packet)
        self._dispatch = dispatch
        return 0

    cdef inline int _searched(self):
        """Return what a search for a job counts as: it is slow with many functions."""
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
        self, uint32_t number, Peer worker, const unsigned char *body, Py_ssize_t size
    ) except -1:
        cdef Py_ssize_t length = until_nul(body, size)
        if length < 0:
            return False
        handle = copy(body, length)
        data = self._argument(body + length + 1, size - length - 1)
        if number == WORK_COMPLETE:
            self._workers.complete(worker, handle, data)
        else:
            self._workers.data(worker, handle, data)
        return True

    # -- links

    cdef bint _of_link(self, const unsigned char *data, Py_ssize_t length) except -1:
        """Carry out a frequent packet of a link; return False for all others."""
        cdef uint32_t magic = read_number(data)
        cdef uint32_t number = read_number(data + 4)
        cdef const unsigned char *body = data + HEADER_SIZE
        cdef Py_ssize_t size = length - HEADER_SIZE
        if data[0] or self._remote.peer is not self._channel:
            return False
        if magic == response:
            return number == LINK_JOB and self._borrow(body, size)
        if number == WORK_COMPLETE or number == WORK_DATA:
            return self._work(number, self._remote.worker, body, size)
        return number == GRAB_JOBS and self._lend(body, size)

    cdef bint _borrow(self, const unsigned char *body, Py_ssize_t size) except -1:
        cdef Py_ssize_t starts[6]
        cdef Py_ssize_t length
        starts[0] = 0
        for index in range(5):
            length = until_nul(body + starts[index], size - starts[index])
            if length < 0:
                return False
            starts[index + 1] = starts[index] + length + 1
        # The slow way tells what is wrong, here and below.
        if not c"0" <= body[starts[4]] <= c"2" or body[starts[4] + 1] != c" ":
            return False
        self._remember_name(body + starts[1], starts[2] - starts[1] - 1)
        try:
            self._links.borrowing.borrow(
                self._remote,
                copy(body, starts[1] - 1),
                self._name,
                copy(body + starts[2], starts[3] - starts[2] - 1),
                copy(body + starts[3], starts[4] - starts[3] - 1),
                copy(body + starts[4], starts[5] - starts[4] - 1),
                self._argument(body + starts[5], size - starts[5]),
            )
        except ValueError:
            return False
        return True

    cdef bint _lend(self, const unsigned char *body, Py_ssize_t size) except -1:
        cdef Py_ssize_t name = until_nul(body, size)
        cdef Py_ssize_t first
        cdef int64_t count, ahead
        if name < 0:
            return False
        first = until_nul(body + name + 1, size - name - 1)
        if first < 0:
            return False
        count = digits(body + name + 1, first)
        ahead = digits(body + name + first + 2, size - name - first - 2)
        if count < 0 or ahead < 0:
            return False
        self._remember_name(body, name)
        self._links.lending.grab(self._remote, self._name, count, ahead)
        return True
