/* Packets and byte buffers, for the load generator and the minimal server. */

#ifndef WIRE_H
#define WIRE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum command {
    CAN_DO = 1,
    PRE_SLEEP = 4,
    NOOP = 6,
    SUBMIT_JOB = 7,
    JOB_CREATED = 8,
    GRAB_JOB = 9,
    NO_JOB = 10,
    JOB_ASSIGN = 11,
    WORK_COMPLETE = 13,
    WORK_FAIL = 14,
    ECHO_REQ = 16,
    ECHO_RES = 17,
    SUBMIT_JOB_BG = 18,
    ERROR = 19,
};

enum {
    HEADER_SIZE = 12,
    READ_SIZE = 64 * 1024,
};

/* A packet in a buffer; it is valid until the buffer is changed. */
struct packet {
    uint32_t command;
    size_t length;
    char *body;
};

/* A byte buffer: the bytes from `start` to `end` are in use. */
struct buffer {
    char *data;
    size_t start, end, capacity;
};

/* End the process with one sentence on standard error. */
static inline _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static inline void *checked(void *memory)
{
    if (!memory)
        fail("out of memory");
    return memory;
}

static inline size_t buffer_length(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

/* Return where `size` more bytes can be written; the caller moves `end`. */
static inline char *buffer_room(struct buffer *buffer, size_t size)
{
    size_t length = buffer_length(buffer);
    if (!length)
        buffer->start = buffer->end = 0;
    if (buffer->capacity - buffer->end >= size)
        return buffer->data + buffer->end;
    /* Only if that frees half of the buffer, so that each byte is moved rarely. */
    if (length + size > buffer->capacity / 2) {
        buffer->capacity = 2 * (length + size);
        buffer->data = checked(realloc(buffer->data, buffer->capacity));
    }
    memmove(buffer->data, buffer->data + buffer->start, length);
    buffer->start = 0;
    buffer->end = length;
    return buffer->data + length;
}

static inline void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    memcpy(buffer_room(buffer, size), data, size);
    buffer->end += size;
}

static inline void buffer_append_byte(struct buffer *buffer, char byte)
{
    buffer_append(buffer, &byte, 1);
}

/* Read once from a socket. Returns false if the peer has closed it. */
static inline bool buffer_receive(struct buffer *buffer, int socket)
{
    char *room = buffer_room(buffer, READ_SIZE);
    ssize_t received = recv(socket, room, buffer->capacity - buffer->end, 0);
    if (received < 0)
        return errno == EAGAIN || errno == EINTR;
    buffer->end += (size_t)received;
    return received > 0;
}

/* Send as much as the socket accepts. Returns false if the connection is lost. */
static inline bool buffer_send(struct buffer *buffer, int socket)
{
    while (buffer_length(buffer)) {
        const char *data = buffer->data + buffer->start;
        ssize_t sent = send(socket, data, buffer_length(buffer), MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        buffer->start += (size_t)sent;
    }
    return true;
}

/* Append a packet's header; a body of `length` bytes must follow. */
static inline void packet_header(struct buffer *buffer, const char magic[static 4],
                                 enum command command, size_t length)
{
    const unsigned char numbers[] = {
        0, 0, 0, (unsigned char)command, (unsigned char)(length >> 24),
        (unsigned char)(length >> 16), (unsigned char)(length >> 8),
        (unsigned char)length,
    };
    buffer_append(buffer, magic, 4);
    buffer_append(buffer, numbers, sizeof numbers);
}

static inline uint32_t big_endian(const char *text)
{
    const unsigned char *byte = (const unsigned char *)text;
    return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 |
           byte[3];
}

/* Take the next packet out of a buffer. Returns false if it is incomplete. */
static inline bool packet_next(struct buffer *buffer, struct packet *packet)
{
    if (buffer_length(buffer) < HEADER_SIZE)
        return false;
    char *header = buffer->data + buffer->start;
    packet->length = big_endian(header + 8);
    if (buffer_length(buffer) < HEADER_SIZE + packet->length)
        return false;
    packet->command = big_endian(header + 4);
    packet->body = header + HEADER_SIZE;
    buffer->start += HEADER_SIZE + packet->length;
    return true;
}

/* Return the length of an argument, which ends at a NUL or at the end of the body. */
static inline size_t argument_length(const struct packet *packet, size_t start)
{
    return strnlen(packet->body + start, packet->length - start);
}

#endif
