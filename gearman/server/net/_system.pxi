# Declarations of the system calls that the engine uses.

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    #endif

    /* Large buffers are allocated and freed with each large packet. glibc would return
     * their memory to the system each time, which then has to clear each page again for
     * the next packet. */
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
