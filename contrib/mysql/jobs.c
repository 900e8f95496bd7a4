/* Submitting a job, and waiting for its result. */
#include "gman.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_background(enum gman_type type)
{
    return type == GMAN_SUBMIT_BACKGROUND || type == GMAN_SUBMIT_HIGH_BACKGROUND ||
           type == GMAN_SUBMIT_LOW_BACKGROUND;
}

/* Return an outcome; if there was no time left for another one, say that. */
enum gman_outcome gman_job_checked(struct gman_link *link, enum gman_outcome outcome,
                                   int64_t deadline, double seconds)
{
    if (outcome == GMAN_BROKEN && gman_now() >= deadline)
        return gman_link_broken(
            link, "no result in %g s (gman_timeout_set allows more)", seconds);
    return outcome;
}

/* Packets. */

/* Return the handle of a packet about a job, and what follows it. */
struct gman_part gman_job_handle(const struct gman_packet *packet,
                                 struct gman_part *data)
{
    const char *end = memchr(packet->body, '\0', packet->length);
    size_t length = end ? (size_t)(end - packet->body) : packet->length;

    data->data = end ? end + 1 : "";
    data->length = end ? packet->length - length - 1 : 0;
    return (struct gman_part){packet->body, length};
}

/* Keep a sentence that says why a job has no result. */
enum gman_outcome gman_job_failed(struct gman_link *link, const char *form, ...)
{
    va_list arguments;

    va_start(arguments, form);
    vsnprintf(link->why, sizeof link->why, form, arguments);
    va_end(arguments);
    return GMAN_FAILED;
}

/* The server refused a job: the packet has a code and a text. */
enum gman_outcome gman_job_refused(struct gman_link *link,
                                   const struct gman_packet *packet)
{
    struct gman_part text;
    struct gman_part code = gman_job_handle(packet, &text);

    return gman_link_broken(link, "the job server refused the job: %.*s: %.*s",
                            (int)(code.length < 80 ? code.length : 80),
                            (const char *)code.data,
                            (int)(text.length < 300 ? text.length : 300),
                            (const char *)text.data);
}

/* Submitting. */

/* A NUL would end the name before its end. */
static bool is_name(const struct gman_part *part)
{
    return !part->length || !memchr(part->data, '\0', part->length);
}

static enum gman_outcome check(struct gman_link *link, const struct gman_job *job)
{
    size_t names = job->function.length + job->unique.length;

    if (!job->function.length || !is_name(&job->function))
        return gman_link_broken(link, "the function has no name, or a NUL in it");
    if (!is_name(&job->unique))
        return gman_link_broken(link, "the unique has a NUL in it");
    if (names + job->workload.length > GMAN_MOST_BYTES)
        return gman_link_broken(link, "the workload has more than 1 GiB");
    return GMAN_OK;
}

/* Submit a job over the connection as it is. */
enum gman_outcome gman_job_submit(struct gman_link *link, const struct gman_job *job,
                                  int64_t deadline)
{
    const struct gman_part parts[] = {job->function, job->unique, job->workload};
    enum gman_outcome outcome = check(link, job);

    if (outcome != GMAN_OK)
        return outcome;
    return gman_link_send(link, job->type, parts, 3, deadline);
}

/* Submit a job to a server of the function's list, with no other job under way. */
enum gman_outcome gman_job_begin(struct gman_link *link, const struct gman_job *job,
                                 int64_t deadline)
{
    struct gman_list *list =
        gman_list_get(job->function.data, job->function.length);
    enum gman_outcome outcome;

    if (!list)
        return gman_link_broken(link, GMAN_NO_SERVER);
    outcome = gman_link_use(link, list, deadline);
    return outcome == GMAN_OK ? gman_job_submit(link, job, deadline) : outcome;
}

/* Waiting. */

static bool keep(struct gman_bytes *bytes, struct gman_part part)
{
    return bytes->length + part.length <= GMAN_MOST_BYTES &&
           gman_bytes_append(bytes, part.data, part.length);
}

/* Wait until the job is accepted; `handle` gets its handle. */
static enum gman_outcome await_handle(struct gman_link *link, struct gman_bytes *handle,
                                      int64_t deadline)
{
    struct gman_packet packet;
    struct gman_part rest;
    enum gman_outcome outcome = gman_link_receive(link, &packet, deadline);

    if (outcome != GMAN_OK)
        return outcome;
    if (packet.type == GMAN_ERROR)
        return gman_job_refused(link, &packet);
    if (packet.type != GMAN_CREATED)
        return gman_link_broken(link, "unexpected packet %u", packet.type);
    handle->length = 0;
    if (!keep(handle, gman_job_handle(&packet, &rest)))
        return gman_link_broken(link, "out of memory");
    return GMAN_OK;
}

static void warn(struct gman_part data)
{
    char sentence[GMAN_SENTENCE];

    snprintf(sentence, sizeof sentence, "the job warns: %.*s",
             (int)(data.length < 400 ? data.length : 400), (const char *)data.data);
    gman_host_warning(sentence);
}

/* Use a packet about the job; `*ended` tells whether that was the last one. */
static enum gman_outcome take(struct gman_link *link, uint32_t type,
                              struct gman_part data, struct gman_bytes *result,
                              bool *ended)
{
    *ended = type == GMAN_COMPLETE || type == GMAN_FAIL || type == GMAN_EXCEPTION;
    switch (type) {
    case GMAN_DATA:
    case GMAN_COMPLETE:
        if (!keep(result, data))
            return gman_link_broken(link, "the result needs too much memory");
        return GMAN_OK;
    case GMAN_FAIL:
        return gman_job_failed(link, "the job failed");
    case GMAN_EXCEPTION:
        return gman_job_failed(link, "the job failed%s%.*s", data.length ? ": " : "",
                               (int)(data.length < 400 ? data.length : 400),
                               (const char *)data.data);
    case GMAN_WARNING:
        warn(data);
        return GMAN_OK;
    case GMAN_STATUS:
        return GMAN_OK;
    default:
        return gman_link_broken(link, "unexpected packet %u", type);
    }
}

static bool is_about(const struct gman_bytes *handle, struct gman_part other)
{
    return handle->length == other.length &&
           memcmp(handle->data, other.data, other.length) == 0;
}

static enum gman_outcome await_end(struct gman_link *link,
                                   const struct gman_bytes *handle,
                                   struct gman_bytes *result, int64_t deadline)
{
    enum gman_outcome outcome;
    struct gman_packet packet;
    struct gman_part data;
    bool ended = false;

    do {
        outcome = gman_link_receive(link, &packet, deadline);
        if (outcome != GMAN_OK)
            return outcome;
        if (packet.type == GMAN_ERROR)
            return gman_job_refused(link, &packet);
        if (!is_about(handle, gman_job_handle(&packet, &data)))
            return gman_link_broken(link, "a packet about another job");
        outcome = take(link, packet.type, data, result, &ended);
    } while (outcome == GMAN_OK && !ended);
    return outcome;
}

static enum gman_outcome run(struct gman_link *link, const struct gman_job *job,
                             struct gman_bytes *result, int64_t deadline)
{
    struct gman_bytes handle = {NULL, 0, 0};
    bool background = is_background(job->type);
    enum gman_outcome outcome = gman_job_begin(link, job, deadline);

    if (outcome == GMAN_OK)
        outcome = await_handle(link, background ? result : &handle, deadline);
    if (outcome == GMAN_OK && !background)
        outcome = await_end(link, &handle, result, deadline);
    free(handle.data);
    return outcome;
}

/* Run a job; `result` gets its result, or the handle of a background job. */
enum gman_outcome gman_job_run(struct gman_link *link, const struct gman_job *job,
                               struct gman_bytes *result)
{
    double seconds = gman_limits_get().job;
    int64_t deadline = gman_after(seconds);
    enum gman_outcome outcome;

    result->length = 0;
    outcome = run(link, job, result, deadline);
    return gman_job_checked(link, outcome, deadline, seconds);
}
