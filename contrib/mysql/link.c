/* A connection to a job server: bytes, packets, time limits.
 *
 * Every wait is cut into slices, after each of which the statement may be found killed,
 * and every wait has a deadline.
 */
#include "gman.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define HEADER 12
/* Bytes that are read at once. Room for a packet grows with what has arrived of it. */
#define READ ((size_t)1 << 16)

/* Time. */

int64_t gman_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t gman_after(double seconds)
{
    return gman_now() + (int64_t)(seconds * 1000);
}

/* Bytes. */

static bool reserve(struct gman_bytes *bytes, size_t more)
{
    size_t room = bytes->room ? bytes->room : 4096;
    char *data;

    if (more > 2 * GMAN_MOST_BYTES - bytes->length)
        return false;
    while (room < bytes->length + more)
        room *= 2;
    if (room == bytes->room)
        return true;
    data = realloc(bytes->data, room);
    if (!data)
        return false;
    bytes->data = data;
    bytes->room = room;
    return true;
}

bool gman_bytes_append(struct gman_bytes *bytes, const char *data, size_t length)
{
    if (!reserve(bytes, length + 1))
        return false;
    if (length)
        memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
    return true;
}

/* Ending. */

void gman_link_init(struct gman_link *link)
{
    memset(link, 0, sizeof *link);
    link->fd = -1;
}

void gman_link_close(struct gman_link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    link->in.length = link->taken = 0;
}

/* Close it for good. */
void gman_link_end(struct gman_link *link)
{
    gman_link_close(link);
    gman_list_release(link->list);
    link->list = NULL;
    free(link->in.data);
    link->in.data = NULL;
    link->in.room = 0;
}

/* Close it, and keep a sentence that says why. */
enum gman_outcome gman_link_broken(struct gman_link *link, const char *form, ...)
{
    va_list arguments;

    gman_link_close(link);
    va_start(arguments, form);
    vsnprintf(link->why, sizeof link->why, form, arguments);
    va_end(arguments);
    return GMAN_BROKEN;
}

enum gman_outcome gman_link_killed(struct gman_link *link)
{
    gman_link_broken(link, "the statement was killed");
    return GMAN_KILLED;
}

static enum gman_outcome lost(struct gman_link *link)
{
    return gman_link_broken(link, "the connection was lost: %s", strerror(errno));
}

/* Waiting. */

/* Wait for events of poll(); `*got` has them. */
enum gman_outcome gman_link_await(struct gman_link *link, short events,
                                  int64_t deadline, short *got)
{
    struct pollfd poller = {.fd = link->fd, .events = events};
    int64_t left;
    int ready;

    for (;;) {
        if (gman_host_killed())
            return gman_link_killed(link);
        left = deadline - gman_now();
        if (left <= 0)
            return gman_link_broken(link, "no answer in time");
        ready = poll(&poller, 1, left < GMAN_SLICE ? (int)left : GMAN_SLICE);
        if (ready < 0 && errno != EINTR)
            return lost(link);
        if (ready > 0) {
            *got = poller.revents;
            return GMAN_OK;
        }
    }
}

/* Receiving. */

static uint32_t number(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Drop what was used, so that the next packet begins at the first byte. */
static void compact(struct gman_link *link)
{
    link->in.length -= link->taken;
    memmove(link->in.data, link->in.data + link->taken, link->in.length);
    link->taken = 0;
}

/* Read what has arrived. */
static enum gman_outcome read_some(struct gman_link *link)
{
    struct gman_bytes *in = &link->in;
    ssize_t got;

    if (link->taken)
        compact(link);
    if (!reserve(in, READ))
        return gman_link_broken(link, "out of memory");
    got = recv(link->fd, in->data + in->length, in->room - in->length, 0);
    if (got == 0)
        return gman_link_broken(link, "the job server closed the connection");
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        return lost(link);
    in->length += got > 0 ? got : 0;
    return GMAN_OK;
}

static enum gman_outcome check_header(struct gman_link *link)
{
    const char *start = link->in.data + link->taken;

    if (link->in.length - link->taken < HEADER)
        return GMAN_OK;
    if (memcmp(start, "\0RES", 4) != 0)
        return gman_link_broken(link, "what answered is no job server");
    if (number(start + 8) > GMAN_MOST_BYTES)
        return gman_link_broken(link, "a packet of more than 1 GiB");
    return GMAN_OK;
}

/* Take the next packet from what was received; false if it is not complete. */
bool gman_link_next(struct gman_link *link, struct gman_packet *packet)
{
    const char *start = link->in.data + link->taken;
    size_t there = link->in.length - link->taken;

    if (there < HEADER || there - HEADER < number(start + 8))
        return false;
    packet->type = number(start + 4);
    packet->length = number(start + 8);
    packet->body = start + HEADER;
    link->taken += HEADER + packet->length;
    return true;
}

/* Wait for the next packet. */
enum gman_outcome gman_link_receive(struct gman_link *link, struct gman_packet *packet,
                                    int64_t deadline)
{
    enum gman_outcome outcome = check_header(link);
    short got;

    while (outcome == GMAN_OK && !gman_link_next(link, packet)) {
        outcome = gman_link_await(link, POLLIN, deadline, &got);
        if (outcome == GMAN_OK)
            outcome = read_some(link);
        if (outcome == GMAN_OK)
            outcome = check_header(link);
    }
    return outcome;
}

/* Sending. */

static void put_number(char *to, uint32_t value)
{
    to[0] = (char)(value >> 24);
    to[1] = (char)(value >> 16);
    to[2] = (char)(value >> 8);
    to[3] = (char)value;
}

/* Make the vector of a packet: its header, then parts with a NUL between; its bytes. */
static size_t make_vector(struct iovec *vector, char *header, uint32_t type,
                          const struct gman_part *parts, size_t count)
{
    size_t length = 0, i;

    vector[0] = (struct iovec){header, HEADER};
    for (i = 0; i < count; i++) {
        vector[2 * i + 1] = (struct iovec){(void *)parts[i].data, parts[i].length};
        vector[2 * i + 2] = (struct iovec){"", i + 1 < count};
        length += parts[i].length + (i + 1 < count);
    }
    memcpy(header, "\0REQ", 4);
    put_number(header + 4, type);
    put_number(header + 8, (uint32_t)length);
    return HEADER + length;
}

/* Move the beginning of a vector behind what was sent. */
static void advance(struct iovec *vector, size_t sent)
{
    size_t step;

    for (; sent; vector++) {
        step = sent < vector->iov_len ? sent : vector->iov_len;
        vector->iov_base = (char *)vector->iov_base + step;
        vector->iov_len -= step;
        sent -= step;
    }
}

/* Send a packet. Meanwhile what arrives is read, so that the server never waits. */
enum gman_outcome gman_link_send(struct gman_link *link, uint32_t type,
                                 const struct gman_part *parts, size_t count,
                                 int64_t deadline)
{
    struct iovec vector[2 * GMAN_PARTS + 1];
    char header[HEADER];
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2 * count + 1};
    size_t left = make_vector(vector, header, type, parts, count);
    enum gman_outcome outcome = GMAN_OK;
    ssize_t sent;
    short got;

    while (outcome == GMAN_OK && left) {
        sent = sendmsg(link->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return lost(link);
        if (sent > 0) {
            advance(vector, sent);
            left -= sent;
            continue;
        }
        outcome = gman_link_await(link, POLLIN | POLLOUT, deadline, &got);
        if (outcome == GMAN_OK && got & POLLIN)
            outcome = read_some(link);
    }
    return outcome;
}
