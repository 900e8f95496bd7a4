/* What the files of these SQL functions know of each other.
 *
 *   functions.c  gman_do and its kin, gman_sum: the functions that run jobs
 *   settings.c   gman_servers_set, gman_servers_check, gman_timeout_set
 *   statement.c  what all of these have in common
 *   sum.c        many jobs at the same time, and the sum of their results
 *   jobs.c       submitting a job, and waiting for its result
 *   connect.c    connecting to one of several job servers
 *   resolve.c    finding the addresses of a name
 *   link.c       a connection: bytes, packets, time limits
 *   servers.c    the lists of job servers, and the limits, that all statements share
 *   host.c       errors, warnings and KILL: what the database server offers
 *
 * A statement has a connection of its own, from its first row to its last. So no two
 * threads use the same one, and only servers.c needs a lock.
 */
#ifndef GMAN_H
#define GMAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a sentence that says what is wrong; a database server allows no more. */
#define GMAN_SENTENCE 512
/* Bytes of a packet, and of a result: the most that a row may have there. */
#define GMAN_MOST_BYTES ((size_t)1 << 30)

/* Milliseconds after which a wait looks whether the statement was killed. */
#define GMAN_SLICE 100

#define GMAN_NO_SERVER "no job server is set: use gman_servers_set"

/* How a wait, or a job, ended. */
enum gman_outcome {
    GMAN_OK,
    GMAN_FAILED, /* the job failed; the connection can be used for the next one */
    GMAN_BROKEN, /* no answer, or a wrong one: the statement has to end */
    GMAN_KILLED  /* the statement was killed */
};

/* Packets of Gearman's protocol. */
enum gman_type {
    GMAN_SUBMIT = 7,
    GMAN_CREATED = 8,
    GMAN_STATUS = 12,
    GMAN_COMPLETE = 13,
    GMAN_FAIL = 14,
    GMAN_ECHO = 16,
    GMAN_ECHOED = 17,
    GMAN_SUBMIT_BACKGROUND = 18,
    GMAN_ERROR = 19,
    GMAN_SUBMIT_HIGH = 21,
    GMAN_EXCEPTION = 25,
    GMAN_OPTION = 26,
    GMAN_OPTION_SET = 27,
    GMAN_DATA = 28,
    GMAN_WARNING = 29,
    GMAN_SUBMIT_HIGH_BACKGROUND = 32,
    GMAN_SUBMIT_LOW = 33,
    GMAN_SUBMIT_LOW_BACKGROUND = 34
};

/* host.c */

bool gman_host_killed(void);
void gman_host_error(const char *sentence);
void gman_host_interrupted(const char *sentence);
void gman_host_warning(const char *sentence);

/* servers.c */

struct gman_address {
    char host[256]; /* or the path of a Unix socket */
    char port[6];   /* empty for a Unix socket */
    char text[280]; /* as it is shown */
};

/* A list is never changed, but for its first server. It is freed by its last user. */
struct gman_list {
    int users;
    unsigned first; /* the server that answered last: the next one to be tried */
    unsigned count;
    struct gman_address servers[];
};

struct gman_limits {
    double connecting; /* seconds until a server has to answer */
    double job;        /* seconds until a job has to end */
};

struct gman_list *gman_list_parse(const char *text, size_t length, char *why);
struct gman_list *gman_list_get(const char *function, size_t length);
bool gman_list_set(const char *function, size_t length, struct gman_list *list);
void gman_list_release(struct gman_list *list);
unsigned gman_list_first(struct gman_list *list);
void gman_list_prefer(struct gman_list *list, unsigned server);
struct gman_limits gman_limits_get(void);
void gman_limits_set(struct gman_limits limits);

/* link.c */

struct gman_bytes {
    char *data;
    size_t length;
    size_t room;
};

bool gman_bytes_append(struct gman_bytes *bytes, const char *data, size_t length);

struct gman_link {
    int fd; /* -1: closed */
    struct gman_list *list;
    struct gman_bytes in;
    size_t taken; /* bytes at the beginning of `in` that were used */
    char why[GMAN_SENTENCE];
};

/* A packet; its body stays until the next one is received. */
struct gman_packet {
    uint32_t type;
    const char *body;
    size_t length;
};

/* The parts of a packet to be sent, but for its header. */
struct gman_part {
    const void *data;
    size_t length;
};

#define GMAN_PARTS 5

/* Times are milliseconds of a clock that is never set. */
int64_t gman_now(void);
int64_t gman_after(double seconds);

void gman_link_init(struct gman_link *link);
void gman_link_close(struct gman_link *link);
void gman_link_end(struct gman_link *link);
enum gman_outcome gman_link_await(struct gman_link *link, short events,
                                  int64_t deadline, short *got);
enum gman_outcome gman_link_send(struct gman_link *link, uint32_t type,
                                 const struct gman_part *parts, size_t count,
                                 int64_t deadline);
enum gman_outcome gman_link_receive(struct gman_link *link, struct gman_packet *packet,
                                    int64_t deadline);
bool gman_link_next(struct gman_link *link, struct gman_packet *packet);
enum gman_outcome gman_link_killed(struct gman_link *link);
enum gman_outcome gman_link_broken(struct gman_link *link, const char *form, ...)
    __attribute__((format(printf, 2, 3)));

/* connect.c */

enum gman_outcome gman_link_use(struct gman_link *link, struct gman_list *list,
                                int64_t deadline);
enum gman_outcome gman_link_greet(struct gman_link *link,
                                  const struct gman_address *server, int64_t deadline);

/* resolve.c */

struct addrinfo;

enum gman_outcome gman_resolve(struct gman_link *link,
                               const struct gman_address *server, int64_t deadline,
                               struct addrinfo **found);

/* jobs.c */

struct gman_job {
    enum gman_type type;
    struct gman_part function;
    struct gman_part unique;
    struct gman_part workload;
};

enum gman_outcome gman_job_begin(struct gman_link *link, const struct gman_job *job,
                                 int64_t deadline);
enum gman_outcome gman_job_submit(struct gman_link *link, const struct gman_job *job,
                                  int64_t deadline);
enum gman_outcome gman_job_run(struct gman_link *link, const struct gman_job *job,
                               struct gman_bytes *result);
enum gman_outcome gman_job_checked(struct gman_link *link, enum gman_outcome outcome,
                                   int64_t deadline, double seconds);
enum gman_outcome gman_job_refused(struct gman_link *link,
                                   const struct gman_packet *packet);
enum gman_outcome gman_job_failed(struct gman_link *link, const char *form, ...)
    __attribute__((format(printf, 2, 3)));
struct gman_part gman_job_handle(const struct gman_packet *packet,
                                 struct gman_part *data);

/* sum.c */

struct gman_sum;

struct gman_sum *gman_sum_new(void);
void gman_sum_begin(struct gman_link *link, struct gman_sum *sum);
enum gman_outcome gman_sum_add_job(struct gman_link *link, struct gman_sum *sum,
                                   const struct gman_job *job);
enum gman_outcome gman_sum_end(struct gman_link *link, struct gman_sum *sum,
                               long long *total);

#endif
