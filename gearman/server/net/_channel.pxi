# One connection of the engine: sending, reading, and waiting for its socket.

@cython.final
cdef class Channel(Peer):
    """A peer whose socket belongs to the engine.

    It is also the transport of its `connection`, in the place of an asyncio transport.
    Only `Engine.open` creates channels.
    """

    cdef Engine _engine
    cdef Reader _reader
    cdef object _socket
    # The error that ended the protocol, or None.
    cdef readonly object error
    cdef unsigned char *_out
    cdef Py_ssize_t _start
    cdef Py_ssize_t _end
    cdef Py_ssize_t _capacity
    # Large last arguments (tails), which are sent without a copy; None if there are
    # none. Their bytes, and the memory that they take. Then the bytes of `_out` after
    # the last tail, and how many bytes of the first tail, and of `_out` before that
    # tail, have been sent.
    cdef list _tails
    cdef Py_ssize_t _tail_bytes
    cdef Py_ssize_t _tail_memory
    cdef Py_ssize_t _behind
    cdef Py_ssize_t _done
    # The largest of these arguments since the output was last empty.
    cdef Py_ssize_t _largest
    cdef Py_ssize_t _max_outbox
    cdef Py_ssize_t _high
    cdef Py_ssize_t _low
    cdef bint _dirty
    cdef bint _closing
    cdef bint _lingering
    cdef bint _paused
    cdef uint32_t _events
    # How many bytes waited when --max-outbox was exceeded; 0 if it was not.
    cdef Py_ssize_t _overflown
    # Input to be carried out in a later round, and where to continue in it; None if
    # there is nothing to go on with. Whether it is on the engine's list for that.
    cdef bytes _rest
    cdef Py_ssize_t _rest_at
    cdef bint _listed
    # Set if a packet of a link was carried out here.
    cdef public bint heard
    # The memory of its buffers, in bytes, when the broker last counted it.
    cdef readonly Py_ssize_t held
    # The round in which the clock was first looked at, and the end of this channel's
    # time in it.
    cdef uint64_t _round
    cdef double _until

    def __dealloc__(self):
        PyMem_Free(self._out)

    # -- sending

    cpdef send(self, int command, tuple arguments):
        cdef Py_ssize_t length = body_size(arguments)
        cdef bytes last
        cdef unsigned char *at
        cdef bint first = True
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
        cdef Py_ssize_t length = body_size(arguments)
        if PyBytes_GET_SIZE(last) < SHARED_SIZE:
            for _ in range(times):
                self.send(command, arguments)
            return
        arguments = arguments[:-1]
        for _ in range(times):
            self._send_large(command, arguments, last, length)

    cdef int _send_large(
        self, uint32_t number, tuple arguments, bytes last, Py_ssize_t length
    ) except -1:
        """Append a packet whose last argument is not copied."""
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
        """Drop the waiting data if it is too much; the next flush then closes."""
        if self._waiting() - self._largest > self._max_outbox:
            self._overflown = self._waiting()
            self._drop()
        return 0

    cpdef write(self, bytes data):
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if size > DIRECT_SIZE:
            self._largest = max(self._largest, size)
        memcpy(self._room(size), PyBytes_AS_STRING(data), size)

    cdef unsigned char *_packet_of(self, uint32_t number, Py_ssize_t length) except NULL:
        """Begin a packet, and return where its body of this length is to be written."""
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
        """Return where the next `size` bytes, or none, are to be written: not NULL."""
        if not self._dirty:
            self._dirty = True
            if self.touched is not None:
                self.touched.append(self)
        if self._end + size >= self._capacity:
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
        """Send the waiting data, as far as the peer accepts it."""
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
        """Remove the bytes that were sent from the waiting data."""
        if self._tails is not None:
            sent = self._advance_tails(sent)
        self._start += sent
        return 0

    cdef Py_ssize_t _advance_tails(self, Py_ssize_t sent) except -1:
        """Remove tails that were sent; return how many sent bytes were after them."""
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
        """Move the memory of a shared object from a sent tail to the next one."""
        if following.data is sent.data:
            following.memory = sent.memory
            self._tail_memory += sent.memory - TAIL_SIZE
        return 0

    cdef int _account(self) except -1:
        """Make the broker count the memory of this channel's buffers.

        The call may be skipped if it holds nothing now and held nothing before.
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
        self._engine._broker.memory.buffers += held - self.held
        self.held = held
        return 0

    cdef int _sent(self) except -1:
        """Act on how much data still waits: close, block or unblock the peer."""
        cdef Py_ssize_t waiting = self._waiting()
        if not waiting:
            self._drop()
            if self._closing:
                self._finish(None)
                return 0
            if self._lingering:
                self._shut_down()
        if waiting or self.held:
            self._account()
        self._await(EPOLLOUT if waiting else 0)
        if waiting > self._high and not self.blocked:
            self.connection.fell_behind()
        elif waiting <= self._low and self.blocked:
            self.connection.caught_up()
        if waiting - self._largest > self._max_outbox:
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

    # -- reading

    cdef int _readable(self) except -1:
        if self._lingering:
            return self._drop_input()
        if self._rest is not None:
            # Earlier input comes first, in its round.
            return 0
        # If a large packet has begun, most of it usually waits in the socket.
        if self._read() and self._reader._kept and self._reader._space():
            # An earlier request may have closed this connection.
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
        """Read once; return whether the buffer was filled."""
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
        """Receive up to `space` bytes of a last argument, and the bytes after it."""
        cdef iovec parts[2]
        cdef msghdr message
        cdef Py_ssize_t share = self._engine._share
        if not space:
            return recv(self.descriptor, self._engine._input, READ_SIZE, MSG_DONTWAIT)
        parts[0].iov_base = self._reader._place()
        parts[0].iov_len = min(space, share)
        parts[1].iov_base = self._engine._input
        parts[1].iov_len = FOLLOWING_SIZE
        memset(&message, 0, sizeof(message))
        message.msg_iov = parts
        message.msg_iovlen = 2 if space == self._reader._missing() <= share else 1
        return recvmsg(self.descriptor, &message, MSG_DONTWAIT)

    cdef int _received(self, Py_ssize_t size, Py_ssize_t space) except -1:
        cdef Py_ssize_t direct = min(size, space)
        cdef Py_ssize_t taken = 0
        size -= direct
        try:
            if direct:
                self._reader._received(direct)
                if not self._reader._kept:
                    # Send it now, while it is in the processor's cache.
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
        if self.held or self._reader._kept or self._rest is not None:
            self._account()
        return 0

    cdef int _look_for_partial(self) except -1:
        if self._reader._kept or self._reader._skipped:
            self.connection.partial()
        return 0

    cdef int _go_on(self) except -1:
        """Go on with input of an earlier round, or with an answer to it."""
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
        # A request may have closed this connection.
        if self._rest is None:
            return 0
        if self._rest_at < PyBytes_GET_SIZE(rest) or self.answering is not None:
            self._engine._put_off(self)
        else:
            self._rest = None
            self._look_for_partial()
        if self.held or self._reader._kept or self._rest is not None:
            self._account()
        return 0

    cdef int _answer_on(self) except -1:
        """Make pieces of an answer, until time or room is used up: see GearProtocol."""
        while self.answering is not None and not self._reader._stop:
            piece = next(self.answering, None)
            if piece is None:
                self.answering = None
                break
            self.write(piece)
            late = self._late() and not piece.endswith(b".\n")
            self._reader._stop = late or self._waiting() > self._high
        return 0

    cdef bint _late(self) noexcept:
        """Whether this channel has used up its time in this round."""
        cdef double now = clock(CLOCK_MONOTONIC)
        if self._round != self._engine._rounds:
            self._round = self._engine._rounds
            self._until = now + self._engine._allowance
        return now > self._until

    cdef int _leave(self) except -1:
        """Drop the input that was read and not carried out."""
        self._rest = None
        self.answering = None
        return 0

    cdef int _end_protocol(self, error) except -1:
        self._reader._forget()
        self._reader._stop = False
        self._leave()
        # Dispatched like any invalid packet, it is raised here again.
        try:
            self._engine._dispatch(self, (INVALID, error))
        except ProtocolError:
            pass
        self.error = error
        self.connection.failed()
        return 0

    @property
    def buffered(self):
        """How many bytes of an incomplete request are kept."""
        if self._reader._skipped:
            return 1
        return self._reader._kept + self._reader._come

    # -- a transport

    def be_link(self, dispatch, max_packet):
        """Give packets to another function; let any number of bytes wait."""
        self._reader._be_link(dispatch, max_packet)
        self._max_outbox = PY_SSIZE_T_MAX

    def carry(self, Links links, Remote remote):
        """Carry out frequent packets of a link for the broker's links, or no more."""
        self._reader._links = links
        self._reader._remote = remote

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
        """Shut down the sending side once all data was sent; drop input from now on."""
        self._lingering = True
        self._leave()
        if self._socket is not None and not self._waiting():
            self._shut_down()

    cdef int _shut_down(self) except -1:
        try:
            self._socket.shutdown(SHUT_WR)
        except OSError:
            # The peer has gone, which the next read will show.
            pass
        return 0

    def close(self):
        """Close once all waiting data was sent."""
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

    def break_cycle(self):
        """Break the reference cycles of a lost channel, so that it is freed."""
        self._reader._channel = None
        # Those of a link refer to its peer, which is this channel.
        self._reader._dispatch = self._reader._links = self._reader._remote = None

    cdef int _fail(self, int number) except -1:
        self._finish(OSError(number, os.strerror(number)))
        return 0

    cdef int _finish(self, error) except -1:
        self._closing = True
        self._leave()
        self._drop()
        # The other buffers are freed with this object, soon.
        self._engine._broker.memory.buffers -= self.held
        self.held = 0
        self._engine._forget(self)
        self._socket.close()
        self._socket = None
        self._engine._loop.call_soon(self.connection.connection_lost, error)
        self._engine._interrupted = True
        return 0

    cdef int _await(self, uint32_t events) except -1:
        """Make the engine wait for `events`, and for input unless paused."""
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
