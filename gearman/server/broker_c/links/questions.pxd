cimport cython

from gearman.server.broker_c.links.remote cimport Remote

cdef int LINK_ASK
cdef double PATIENCE


@cython.final
cdef class Question:
    cdef public object token
    cdef public bytes what
    cdef public bytes key
    cdef public object told
    cdef public double deadline
    cdef public dict open
    cdef public list others


@cython.final
cdef class Questions:
    cdef public double first
    cdef dict _open
    cdef object _last

    @cython.locals(question=Question)
    cpdef ask(
        self, bytes what, bytes key, Remote owner, list others, told, double now
    )
    @cython.locals(remote=Remote)
    cdef _put(self, Question question, list remotes)
    cdef _next(self, Question question)
    @cython.locals(question=Question)
    cpdef told(self, Remote remote, token, bint known, bytes data)
    @cython.locals(question=Question)
    cpdef lost(self, Remote remote)
    cpdef expire(self, double now)
    cdef _end(self, Question question, Remote remote, bytes data)
    @cython.locals(first=Question)
    cdef _set_first(self)
