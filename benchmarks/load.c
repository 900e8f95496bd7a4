/* Play clients and workers against a job server, and measure it.
 *
 * One process and one epoll set play all peers, so that the server is the bottleneck.
 * Every client keeps a number of requests in flight; a worker returns the workload as
 * the result. A play ends when its jobs are done, or when its time is over; both are a
 * success. A failure is one sentence on standard error, with exit status 1. The measured
 * values are one JSON object on standard output.
 *
 * Modes, and when a job counts as done:
 *   echo        ECHO_REQ           the client has the echo
 *   foreground  SUBMIT_JOB         the client has the worker's result
 *   background  SUBMIT_JOB_BG      the client has the handle
 *   drain       jobs queued before the server has answered the GRAB_JOB that
 *                                  followed the result
 *   idle        none               (connections only: workers that sleep)
 */

#define _GNU_SOURCE
#include "wire.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum mode { ECHO, FOREGROUND, BACKGROUND, DRAIN, IDLE, MODES };

static const char *const mode_names[MODES] = {"echo", "foreground", "background",
                                              "drain", "idle"};
static const char request_magic[] = {0, 'R', 'E', 'Q'};

/* A server without progress for so long has failed (nanoseconds). */
static const uint64_t patience = 10 * UINT64_C(1000000000);
/* Connections from one source address; further ones use another address. */
static const long connections_per_address = 10000;

static struct {
    enum mode mode;
    bool unique;
    long port, pid, clients, workers, jobs, milliseconds, inflight, payload, functions,
        window;
} option = {
    .mode = FOREGROUND,
    .port = 4730,
    .clients = 8,
    .workers = 8,
    .jobs = 100000,
    .milliseconds = 10000,
    .inflight = 16,
    .payload = 64,
    .functions = 1,
};

/* A part of each unique key that differs between plays: old jobs may be queued. */
static long own_pid;

struct peer {
    int socket;
    bool worker;
    /* A client: its requests in flight. */
    long outstanding;
    /* A client: when the requests in flight were sent, as a ring. */
    uint64_t *sent_at;
    long first_sent;
    /* A worker: whether a GRAB_JOB is unanswered, since when, and whether a result
     * was sent right before it. */
    bool asking, returned;
    uint64_t asked_at;
    bool waits_to_send;
    struct buffer in, out;
};

/* What has been counted so far; times are in nanoseconds. */
static struct {
    long submitted, done;
    uint64_t started, last_done;
    uint64_t *latencies;
    /* When each `window` jobs were done. */
    uint64_t *marks;
    long mark_count;
} count;

static int epoll;
static uint64_t now;
static char *workload;

/* -- the machine */

static uint64_t clock_nanoseconds(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time))
        fail("cannot read a clock: %s", strerror(errno));
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Return the processor time of all threads of the server. */
static uint64_t server_cpu(void)
{
    clockid_t clock;
    if (!option.pid)
        return 0;
    if (clock_getcpuclockid((pid_t)option.pid, &clock))
        fail("there is no process %ld", option.pid);
    return clock_nanoseconds(clock);
}

/* Return the server's resident memory in bytes. */
static long server_memory(void)
{
    char path[64];
    long pages = 0;
    if (!option.pid)
        return 0;
    snprintf(path, sizeof path, "/proc/%ld/statm", option.pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        fail("cannot read %s", path);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static double own_cpu_seconds(void)
{
    return (double)clock_nanoseconds(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
}

/* -- what is counted */

static void job_done(uint64_t sent_at)
{
    count.latencies[count.done++] = now - sent_at;
    count.last_done = now;
    if (option.window && count.done % option.window == 0)
        count.marks[count.mark_count++] = now;
}

static bool ended(void)
{
    uint64_t limit = (uint64_t)option.milliseconds * 1000000;
    return count.done >= option.jobs || now - count.started >= limit;
}

/* -- connections */

static void watch(struct peer *peer, int operation)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (peer->waits_to_send)
        event.events |= EPOLLOUT;
    if (epoll_ctl(epoll, operation, peer->socket, &event))
        fail("epoll_ctl failed: %s", strerror(errno));
}

static void flush(struct peer *peer)
{
    if (!buffer_send(&peer->out, peer->socket))
        fail("the server closed a connection");
    bool waits = buffer_length(&peer->out) > 0;
    if (waits != peer->waits_to_send) {
        peer->waits_to_send = waits;
        watch(peer, EPOLL_CTL_MOD);
    }
}

static void request(struct peer *peer, enum command command, size_t length)
{
    packet_header(&peer->out, request_magic, command, length);
}

static void set(int socket, int level, int name, const void *value, socklen_t size)
{
    if (setsockopt(socket, level, name, value, size))
        fail("setsockopt failed: %s", strerror(errno));
}

/* Let connect() choose the port, since it knows both addresses. */
static void bind_source(int socket, long number)
{
    int yes = 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    uint32_t host = INADDR_LOOPBACK + (uint32_t)(number / connections_per_address);
    source.sin_addr.s_addr = htonl(host);
    set(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (bind(socket, (struct sockaddr *)&source, sizeof source))
        fail("cannot bind a client's socket: %s", strerror(errno));
}

static int dial(long number)
{
    int yes = 1;
    struct timeval timeout = {.tv_sec = (time_t)(patience / 1000000000)};
    struct sockaddr_in server = {.sin_family = AF_INET};
    server.sin_port = htons((uint16_t)option.port);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0)
        fail("cannot open connection %ld: %s", number + 1, strerror(errno));
    set(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    set(connection, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    set(connection, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    bind_source(connection, number);
    if (connect(connection, (struct sockaddr *)&server, sizeof server))
        fail("cannot connect %ld times: %s", number + 1, strerror(errno));
    return connection;
}

/* Block until the server has handled all earlier requests. */
static void await_echo(struct peer *peer)
{
    struct packet packet;
    uint64_t start = clock_nanoseconds(CLOCK_MONOTONIC);
    request(peer, ECHO_REQ, 1);
    buffer_append_byte(&peer->out, 'x');
    flush(peer);
    while (!packet_next(&peer->in, &packet)) {
        if (!buffer_receive(&peer->in, peer->socket))
            fail("the server closed a connection");
        if (clock_nanoseconds(CLOCK_MONOTONIC) - start > patience)
            fail("the server does not answer");
    }
    if (packet.command != ECHO_RES)
        fail("packet %u came instead of an echo", packet.command);
}

static void register_functions(struct peer *peer)
{
    char name[32];
    for (long i = 0; i < option.functions; i++) {
        size_t length = (size_t)snprintf(name, sizeof name, "function%ld", i);
        request(peer, CAN_DO, length);
        buffer_append(&peer->out, name, length);
    }
    if (option.mode != DRAIN)
        request(peer, PRE_SLEEP, 0);
}

static void open_peer(struct peer *peer, long number)
{
    peer->socket = dial(number);
    peer->worker = number >= option.clients;
    if (peer->worker)
        register_functions(peer);
    await_echo(peer);
    if (option.mode == IDLE) {
        free(peer->in.data);
        free(peer->out.data);
        return;
    }
    if (!peer->worker) {
        size_t size = sizeof *peer->sent_at;
        peer->sent_at = checked(calloc((size_t)option.inflight, size));
    }
    if (fcntl(peer->socket, F_SETFL, O_NONBLOCK))
        fail("fcntl failed: %s", strerror(errno));
    watch(peer, EPOLL_CTL_ADD);
}

/* -- clients */

/* The workload begins with the time, and the result with it as well. */
static void append_workload(struct peer *peer)
{
    if ((size_t)option.payload >= sizeof now)
        memcpy(workload, &now, sizeof now);
    buffer_append(&peer->out, workload, (size_t)option.payload);
}

static uint64_t sent_with(const char *result, size_t length)
{
    uint64_t sent;
    if (length != (size_t)option.payload)
        fail("a result has %zu bytes instead of %ld", length, option.payload);
    memcpy(&sent, result, sizeof sent);
    if (sent < count.started || sent > now)
        fail("a result is not what its workload was");
    return sent;
}

static void submit_job(struct peer *peer)
{
    char function[32], unique[64] = "";
    long number = count.submitted % option.functions;
    int name = snprintf(function, sizeof function, "function%ld", number) + 1;
    int key = 1;
    if (option.unique)
        key += snprintf(unique, sizeof unique, "unique%ld-%ld", own_pid,
                        count.submitted);
    size_t length = (size_t)(name + key + option.payload);
    bool background = option.mode == BACKGROUND;
    request(peer, background ? SUBMIT_JOB_BG : SUBMIT_JOB, length);
    buffer_append(&peer->out, function, (size_t)name);
    buffer_append(&peer->out, unique, (size_t)key);
    append_workload(peer);
}

static void submit_echo(struct peer *peer)
{
    request(peer, ECHO_REQ, (size_t)option.payload);
    append_workload(peer);
}

static void submit(struct peer *peer)
{
    while (peer->outstanding < option.inflight && count.submitted < option.jobs) {
        if (option.mode == ECHO)
            submit_echo(peer);
        else
            submit_job(peer);
        long place = (peer->first_sent + peer->outstanding) % option.inflight;
        peer->sent_at[place] = now;
        peer->outstanding++;
        count.submitted++;
    }
}

static void answered(struct peer *peer, uint64_t sent_at)
{
    if (!peer->outstanding)
        fail("the server sent an answer without a request");
    peer->outstanding--;
    job_done(sent_at);
}

/* A job was created: the server creates jobs in the order of their submission. */
static void created(struct peer *peer)
{
    if (option.mode != BACKGROUND)
        return;
    uint64_t sent_at = peer->sent_at[peer->first_sent];
    peer->first_sent = (peer->first_sent + 1) % option.inflight;
    answered(peer, sent_at);
}

static void client_packet(struct peer *peer, const struct packet *packet)
{
    size_t handle;
    switch (packet->command) {
    case JOB_CREATED:
        created(peer);
        break;
    case ECHO_RES:
        answered(peer, sent_with(packet->body, packet->length));
        break;
    case WORK_COMPLETE:
        handle = argument_length(packet, 0) + 1;
        if (handle > packet->length)
            fail("a WORK_COMPLETE has no result");
        answered(peer, sent_with(packet->body + handle, packet->length - handle));
        break;
    default:
        fail("packet %u came to a client", packet->command);
    }
}

/* -- workers */

static void grab(struct peer *peer)
{
    request(peer, GRAB_JOB, 0);
    peer->asking = true;
    peer->asked_at = now;
}

static void return_result(struct peer *peer, const struct packet *packet)
{
    size_t handle = argument_length(packet, 0) + 1;
    size_t function = handle <= packet->length ? argument_length(packet, handle) + 1 : 0;
    size_t result = handle + function;
    if (!function || result > packet->length)
        fail("a JOB_ASSIGN has no workload");
    request(peer, WORK_COMPLETE, handle + packet->length - result);
    buffer_append(&peer->out, packet->body, handle);
    buffer_append(&peer->out, packet->body + result, packet->length - result);
    peer->returned = true;
}

/* The answer to a GRAB_JOB shows that the server has handled the result before it. */
static void grab_answered(struct peer *peer)
{
    if (option.mode == DRAIN && peer->returned && count.done < option.jobs)
        job_done(peer->asked_at);
    peer->asking = peer->returned = false;
}

static void worker_packet(struct peer *peer, const struct packet *packet)
{
    switch (packet->command) {
    case NOOP:
        if (!peer->asking)
            grab(peer);
        break;
    case NO_JOB:
        grab_answered(peer);
        request(peer, PRE_SLEEP, 0);
        break;
    case JOB_ASSIGN:
        grab_answered(peer);
        return_result(peer, packet);
        grab(peer);
        break;
    default:
        fail("packet %u came to a worker", packet->command);
    }
}

/* -- the play */

static void dispatch(struct peer *peer, const struct packet *packet)
{
    if (packet->command == ERROR)
        fail("the server answered ERROR %.*s", (int)packet->length, packet->body);
    if (packet->command == WORK_FAIL)
        fail("the server answered WORK_FAIL");
    if (peer->worker)
        worker_packet(peer, packet);
    else
        client_packet(peer, packet);
}

static void read_peer(struct peer *peer)
{
    struct packet packet;
    if (!buffer_receive(&peer->in, peer->socket))
        fail("the server closed a connection");
    now = clock_nanoseconds(CLOCK_MONOTONIC);
    while (packet_next(&peer->in, &packet))
        dispatch(peer, &packet);
    if (!peer->worker)
        submit(peer);
    flush(peer);
}

static void begin(struct peer *peer)
{
    if (!peer->worker)
        submit(peer);
    else if (option.mode == DRAIN)
        grab(peer);
    flush(peer);
}

static void play(struct peer *peers, long peer_count)
{
    struct epoll_event events[256];
    now = count.started = count.last_done = clock_nanoseconds(CLOCK_MONOTONIC);
    for (long i = 0; i < peer_count; i++)
        begin(&peers[i]);
    while (!ended()) {
        int ready = epoll_wait(epoll, events, 256, 100);
        if (ready < 0 && errno != EINTR)
            fail("epoll_wait failed: %s", strerror(errno));
        now = clock_nanoseconds(CLOCK_MONOTONIC);
        for (int i = 0; i < ready; i++) {
            struct peer *peer = events[i].data.ptr;
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                read_peer(peer);
            else
                flush(peer);
        }
        if (now - count.last_done > patience)
            fail("no job was done for %d seconds", (int)(patience / 1000000000));
    }
}

/* -- the report */

static int compare(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

static double percentile(double share)
{
    if (!count.done)
        return 0;
    long place = (long)((double)count.done * share);
    return (double)count.latencies[place] / 1e3;
}

/* Return the jobs per second of one window, 0 if it was not reached. */
static double window_rate(long number)
{
    if (number < 0 || number >= count.mark_count)
        return 0;
    uint64_t start = number ? count.marks[number - 1] : count.started;
    return (double)option.window * 1e9 / (double)(count.marks[number] - start);
}

static void report(double server_cpu_ns, double own_cpu, long memory)
{
    double seconds = (double)(now - count.started) / 1e9;
    double rate = count.done ? (double)count.done / seconds : 0;
    double jobs = count.done ? (double)count.done : 1;
    qsort(count.latencies, (size_t)count.done, sizeof *count.latencies, compare);
    printf("{\"done\": %ld, \"seconds\": %.6f, \"rate\": %.1f, ", count.done, seconds,
           rate);
    printf("\"cpu\": %.4f, \"own_cpu\": %.4f, ", server_cpu_ns / 1e3 / jobs,
           own_cpu * 1e6 / jobs);
    printf("\"p50\": %.1f, \"p99\": %.1f, ", percentile(.50), percentile(.99));
    printf("\"first_rate\": %.1f, \"last_rate\": %.1f, ", window_rate(0),
           window_rate(count.mark_count - 1));
    printf("\"memory_before\": %ld, \"memory\": %ld}\n", memory, server_memory());
}

/* -- the command line */

static long number(const char *name, const char *text, long least)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < least)
        fail("--%s takes a whole number from %ld, not '%s'", name, least, text);
    return value;
}

static enum mode mode_named(const char *name)
{
    for (int mode = 0; mode < MODES; mode++)
        if (!strcmp(name, mode_names[mode]))
            return (enum mode)mode;
    fail("there is no mode '%s'", name);
}

static const struct {
    const char *name;
    long *value;
    long least;
} numbers[] = {
    {"port", &option.port, 1},
    {"pid", &option.pid, 1},
    {"clients", &option.clients, 0},
    {"workers", &option.workers, 0},
    {"jobs", &option.jobs, 1},
    {"milliseconds", &option.milliseconds, 1},
    {"inflight", &option.inflight, 1},
    {"payload", &option.payload, 0},
    {"functions", &option.functions, 1},
    {"window", &option.window, 0},
};

enum { NUMBERS = sizeof numbers / sizeof *numbers };

static void parse(int argc, char **argv)
{
    int chosen, index = 0;
    struct option known[NUMBERS + 3] = {
        [NUMBERS] = {"mode", required_argument, NULL, 'm'},
        [NUMBERS + 1] = {"unique", no_argument, NULL, 'u'},
    };
    for (int i = 0; i < NUMBERS; i++)
        known[i] = (struct option){numbers[i].name, required_argument, NULL, 'n'};
    while ((chosen = getopt_long(argc, argv, "", known, &index)) != -1) {
        if (chosen == 'm')
            option.mode = mode_named(optarg);
        else if (chosen == 'u')
            option.unique = true;
        else if (chosen == 'n')
            *numbers[index].value =
                number(numbers[index].name, optarg, numbers[index].least);
        else
            exit(2);
    }
    if (optind < argc)
        fail("'%s' is no option", argv[optind]);
}

static void check(void)
{
    bool timed = option.mode == ECHO || option.mode == FOREGROUND;
    if (timed && (size_t)option.payload < sizeof now)
        fail("--payload must be at least %zu, for the time in it", sizeof now);
    if (option.mode == ECHO || option.mode == BACKGROUND)
        option.workers = 0;
    if (option.mode == DRAIN || option.mode == IDLE)
        option.clients = 0;
}

static void allocate(void)
{
    size_t jobs = (size_t)option.jobs, size = sizeof(uint64_t);
    count.latencies = checked(malloc(jobs * size));
    if (option.window)
        count.marks = checked(malloc((jobs / (size_t)option.window + 1) * size));
    workload = checked(malloc((size_t)option.payload + 1));
    memset(workload, 'x', (size_t)option.payload);
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    check();
    allocate();
    own_pid = getpid();
    epoll = epoll_create1(0);
    if (epoll < 0)
        fail("epoll_create1 failed: %s", strerror(errno));
    long peer_count = option.clients + option.workers, memory = server_memory();
    struct peer *peers = checked(calloc((size_t)peer_count + 1, sizeof *peers));
    for (long i = 0; i < peer_count; i++)
        open_peer(&peers[i], i);
    uint64_t cpu = server_cpu();
    double own_cpu = own_cpu_seconds();
    if (option.mode != IDLE)
        play(peers, peer_count);
    report((double)(server_cpu() - cpu), own_cpu_seconds() - own_cpu, memory);
    return 0;
}
