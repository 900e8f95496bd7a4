/* The sum of the results of many jobs, which run at the same time.
 *
 * Each row submits a job and does not wait for it. At the end of the group, the results
 * are awaited. So that neither side has to keep any number of jobs, only WINDOW of them
 * are under way. A connection answers submissions in their order: so the first job
 * without a handle is the one that JOB_CREATED is for.
 */
#include "gman.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 256
/* A number of 64 bits has 20 characters; there may be blanks around it. */
#define DIGITS 64
#define HANDLE 128

/* A job under way. */
struct job {
    int64_t deadline;
    size_t handle_length; /* 0: not accepted yet */
    size_t length;
    bool too_long;
    char handle[HANDLE];
    char text[DIGITS + 1];
};

struct gman_sum {
    long long total;
    enum gman_outcome outcome; /* of the group until now */
    double seconds;
    size_t count;
    struct job *jobs[WINDOW]; /* `count` under way, as submitted; then those not used */
    struct job slots[WINDOW];
};

struct gman_sum *gman_sum_new(void)
{
    struct gman_sum *sum = calloc(1, sizeof *sum);
    size_t i;

    for (i = 0; sum && i < WINDOW; i++)
        sum->jobs[i] = &sum->slots[i];
    return sum;
}

/* Jobs. */

/* Return the place of a job; `count` if no job has the handle. */
static size_t find(const struct gman_sum *sum, struct gman_part handle)
{
    size_t i;

    for (i = 0; i < sum->count; i++)
        if (sum->jobs[i]->handle_length == handle.length &&
            memcmp(sum->jobs[i]->handle, handle.data, handle.length) == 0)
            break;
    return i;
}

static void drop(struct gman_sum *sum, size_t place)
{
    struct job *job = sum->jobs[place];

    sum->count--;
    memmove(&sum->jobs[place], &sum->jobs[place + 1],
            (sum->count - place) * sizeof job);
    sum->jobs[sum->count] = job;
}

static enum gman_outcome accept_job(struct gman_link *link, struct gman_sum *sum,
                                    struct gman_part handle)
{
    size_t i = find(sum, (struct gman_part){"", 0});

    if (i == sum->count || handle.length == 0 || handle.length > HANDLE)
        return gman_link_broken(link, "an unexpected handle");
    memcpy(sum->jobs[i]->handle, handle.data, handle.length);
    sum->jobs[i]->handle_length = handle.length;
    return GMAN_OK;
}

/* Numbers. */

static void keep(struct job *job, struct gman_part data)
{
    if (data.length > DIGITS - job->length) {
        job->too_long = true;
        return;
    }
    memcpy(job->text + job->length, data.data, data.length);
    job->length += data.length;
}

/* Read a number with nothing but blanks around it. */
static bool read_number(const struct job *job, long long *value)
{
    char *end;

    if (job->too_long || strlen(job->text) != job->length)
        return false;
    errno = 0;
    *value = strtoll(job->text, &end, 10);
    if (errno || end == job->text)
        return false;
    return end[strspn(end, " \t\r\n")] == '\0';
}

static enum gman_outcome add_number(struct gman_link *link, struct gman_sum *sum,
                                    struct job *job)
{
    long long value;

    job->text[job->length] = '\0';
    if (!read_number(job, &value))
        return gman_job_failed(link, "the result is no whole number: '%.40s'%s",
                               job->text, job->too_long ? "..." : "");
    if (__builtin_add_overflow(sum->total, value, &sum->total))
        return gman_job_failed(link, "the sum is too large");
    return GMAN_OK;
}

/* Packets. */

static enum gman_outcome take_about(struct gman_link *link, struct gman_sum *sum,
                                    size_t place, uint32_t type,
                                    struct gman_part data)
{
    struct job *job = sum->jobs[place];
    enum gman_outcome outcome;

    if (type == GMAN_STATUS || type == GMAN_WARNING)
        return GMAN_OK;
    if (type == GMAN_DATA || type == GMAN_COMPLETE)
        keep(job, data);
    if (type == GMAN_DATA)
        return GMAN_OK;
    if (type == GMAN_COMPLETE)
        outcome = add_number(link, sum, job);
    else if (type == GMAN_FAIL || type == GMAN_EXCEPTION)
        outcome = gman_job_failed(link, "a job failed%s%.*s", data.length ? ": " : "",
                                  (int)(data.length < 400 ? data.length : 400),
                                  (const char *)data.data);
    else
        outcome = gman_link_broken(link, "unexpected packet %u", type);
    drop(sum, place);
    return outcome;
}

static enum gman_outcome take(struct gman_link *link, struct gman_sum *sum,
                              const struct gman_packet *packet)
{
    struct gman_part data;
    struct gman_part handle = gman_job_handle(packet, &data);
    size_t place;

    if (packet->type == GMAN_ERROR)
        return gman_job_refused(link, packet);
    if (packet->type == GMAN_CREATED)
        return accept_job(link, sum, handle);
    place = find(sum, handle);
    if (place == sum->count || handle.length == 0)
        return gman_link_broken(link, "a packet about another job");
    return take_about(link, sum, place, packet->type, data);
}

/* The worst outcome counts; after a lost connection no job is under way. */
static void note(struct gman_sum *sum, enum gman_outcome outcome)
{
    if (outcome == GMAN_BROKEN || outcome == GMAN_KILLED)
        sum->count = 0;
    if (outcome > sum->outcome)
        sum->outcome = outcome;
}

/* Wait until no more than `most` jobs are under way. */
static void drain(struct gman_link *link, struct gman_sum *sum, size_t most)
{
    struct gman_packet packet;
    enum gman_outcome outcome;
    int64_t deadline;

    while (sum->count > most) {
        deadline = sum->jobs[0]->deadline;
        outcome = gman_link_receive(link, &packet, deadline);
        if (outcome == GMAN_OK)
            outcome = take(link, sum, &packet);
        note(sum, gman_job_checked(link, outcome, deadline, sum->seconds));
    }
}

/* The group. */

void gman_sum_begin(struct gman_link *link, struct gman_sum *sum)
{
    /* A statement that ended early may have left jobs. */
    if (sum->count)
        gman_link_close(link);
    sum->total = 0;
    sum->count = 0;
    sum->outcome = GMAN_OK;
}

/* Whether the function's jobs go to another list of servers than those under way. */
static bool goes_elsewhere(const struct gman_link *link, const struct gman_job *job)
{
    struct gman_list *list = gman_list_get(job->function.data, job->function.length);
    bool elsewhere = list != link->list;

    gman_list_release(list);
    return elsewhere;
}

static enum gman_outcome submit(struct gman_link *link, struct gman_sum *sum,
                                const struct gman_job *job)
{
    struct job *new = sum->jobs[sum->count];
    enum gman_outcome outcome;

    sum->seconds = gman_limits_get().job;
    new->deadline = gman_after(sum->seconds);
    new->handle_length = new->length = 0;
    new->too_long = false;
    /* With jobs under way, the connection must not be changed for another one. */
    outcome = sum->count ? gman_job_submit(link, job, new->deadline)
                         : gman_job_begin(link, job, new->deadline);
    if (outcome == GMAN_OK)
        sum->count++;
    return gman_job_checked(link, outcome, new->deadline, sum->seconds);
}

/* Submit the job of a row. After a failure there is no sum, and none is submitted. */
enum gman_outcome gman_sum_add_job(struct gman_link *link, struct gman_sum *sum,
                                   const struct gman_job *job)
{
    drain(link, sum, goes_elsewhere(link, job) ? 0 : WINDOW - 1);
    if (sum->outcome == GMAN_OK)
        note(sum, submit(link, sum, job));
    return sum->outcome;
}

/* Wait for all results. */
enum gman_outcome gman_sum_end(struct gman_link *link, struct gman_sum *sum,
                               long long *total)
{
    drain(link, sum, 0);
    *total = sum->total;
    return sum->outcome;
}
