/* A minimal single-threaded job server: a lower bound to compare other servers with.
 *
 * It has one epoll loop that reads a batch and writes a batch, and a first-in-first-out
 * queue for each function. It has no uniques, priorities, limits or statuses, does not
 * handle disconnected clients, and checks no input. So only the load generator can use it.
 *
 *   floor PORT
 */

#define _GNU_SOURCE
#include "wire.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Connections are never freed: jobs point to them, and the process runs only briefly. */
struct connection {
    int socket;
    bool closed, touched, sleeping, waits_to_send;
    struct function **functions;
    size_t function_count;
    struct buffer in, out;
    struct connection *next_touched;
};

struct job {
    struct job *next;
    struct connection *client;
    size_t number, length;
    char workload[];
};

struct function {
    struct function *next;
    struct connection **workers;
    size_t worker_count;
    struct job *first, **last;
    size_t length;
    char name[];
};

static const char response_magic[] = {0, 'R', 'E', 'S'};
static const char handle_prefix[] = "H:floor:";

static int epoll, listener;
static struct function *functions;
static struct connection *touched;
static size_t sleeper_count;

/* Running and queued jobs by number, and the numbers that can be reused. */
static struct job **jobs;
static size_t *free_numbers, job_count, job_capacity, free_count;

static void respond(struct connection *connection, enum command command, size_t length)
{
    packet_header(&connection->out, response_magic, command, length);
    if (!connection->touched) {
        connection->touched = true;
        connection->next_touched = touched;
        touched = connection;
    }
}

/* -- functions and jobs */

static struct function *function_named(const char *name, size_t length)
{
    struct function *function;
    for (function = functions; function; function = function->next)
        if (function->length == length && !memcmp(function->name, name, length))
            return function;
    function = checked(calloc(1, sizeof *function + length + 1));
    memcpy(function->name, name, length);
    function->length = length;
    function->last = &function->first;
    function->next = functions;
    return functions = function;
}

static size_t free_number(void)
{
    if (free_count)
        return free_numbers[--free_count];
    if (job_count == job_capacity) {
        job_capacity = 2 * job_capacity + 1024;
        jobs = checked(realloc(jobs, job_capacity * sizeof *jobs));
        size_t size = job_capacity * sizeof *free_numbers;
        free_numbers = checked(realloc(free_numbers, size));
    }
    return job_count++;
}

static struct job *job_from(const struct packet *packet, size_t workload)
{
    size_t length = packet->length - workload;
    struct job *job = checked(malloc(sizeof *job + length));
    job->next = NULL;
    job->length = length;
    memcpy(job->workload, packet->body + workload, length);
    job->number = free_number();
    jobs[job->number] = job;
    return job;
}

static size_t format_handle(char handle[static 32], const struct job *job)
{
    return (size_t)snprintf(handle, 32, "%s%zu", handle_prefix, job->number);
}

static void wake(const struct function *function)
{
    for (size_t i = 0; sleeper_count && i < function->worker_count; i++) {
        struct connection *worker = function->workers[i];
        if (worker->sleeping) {
            worker->sleeping = false;
            sleeper_count--;
            respond(worker, NOOP, 0);
        }
    }
}

/* -- one function for each command */

static void echo(struct connection *connection, const struct packet *packet)
{
    respond(connection, ECHO_RES, packet->length);
    buffer_append(&connection->out, packet->body, packet->length);
}

static void can_do(struct connection *worker, const struct packet *packet)
{
    struct function *function = function_named(packet->body, packet->length);
    size_t size = (function->worker_count + 1) * sizeof *function->workers;
    function->workers = checked(realloc(function->workers, size));
    function->workers[function->worker_count++] = worker;
    size = (worker->function_count + 1) * sizeof *worker->functions;
    worker->functions = checked(realloc(worker->functions, size));
    worker->functions[worker->function_count++] = function;
}

static struct function *function_with_job(const struct connection *worker)
{
    for (size_t i = 0; i < worker->function_count; i++)
        if (worker->functions[i]->first)
            return worker->functions[i];
    return NULL;
}

static void pre_sleep(struct connection *worker)
{
    if (function_with_job(worker)) {
        respond(worker, NOOP, 0);
    } else if (!worker->sleeping) {
        worker->sleeping = true;
        sleeper_count++;
    }
}

static void grab(struct connection *worker)
{
    char handle[32];
    struct function *function = function_with_job(worker);
    if (!function) {
        respond(worker, NO_JOB, 0);
        return;
    }
    struct job *job = function->first;
    function->first = job->next;
    if (!function->first)
        function->last = &function->first;
    size_t handle_size = format_handle(handle, job) + 1;
    size_t name_size = function->length + 1;
    respond(worker, JOB_ASSIGN, handle_size + name_size + job->length);
    buffer_append(&worker->out, handle, handle_size);
    buffer_append(&worker->out, function->name, name_size);
    buffer_append(&worker->out, job->workload, job->length);
}

static void submit(struct connection *client, const struct packet *packet)
{
    char handle[32];
    size_t name = argument_length(packet, 0);
    size_t unique = argument_length(packet, name + 1);
    struct function *function = function_named(packet->body, name);
    struct job *job = job_from(packet, name + unique + 2);
    job->client = packet->command == SUBMIT_JOB ? client : NULL;
    *function->last = job;
    function->last = &job->next;
    size_t length = format_handle(handle, job);
    respond(client, JOB_CREATED, length);
    buffer_append(&client->out, handle, length);
    wake(function);
}

static void complete(const struct packet *packet)
{
    size_t number = strtoul(packet->body + sizeof handle_prefix - 1, NULL, 10);
    struct job *job = jobs[number];
    if (job->client && !job->client->closed) {
        respond(job->client, WORK_COMPLETE, packet->length);
        buffer_append(&job->client->out, packet->body, packet->length);
    }
    free(job);
    free_numbers[free_count++] = number;
}

static void dispatch(struct connection *connection, const struct packet *packet)
{
    switch (packet->command) {
    case ECHO_REQ:
        echo(connection, packet);
        break;
    case CAN_DO:
        can_do(connection, packet);
        break;
    case PRE_SLEEP:
        pre_sleep(connection);
        break;
    case GRAB_JOB:
        grab(connection);
        break;
    case SUBMIT_JOB:
    case SUBMIT_JOB_BG:
        submit(connection, packet);
        break;
    case WORK_COMPLETE:
        complete(packet);
        break;
    default:
        fail("the bare server does not know command %u", packet->command);
    }
}

/* -- sockets */

static void watch(struct connection *connection, int operation)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int socket = connection ? connection->socket : listener;
    if (connection && connection->waits_to_send)
        event.events |= EPOLLOUT;
    if (epoll_ctl(epoll, operation, socket, &event))
        fail("epoll_ctl failed: %s", strerror(errno));
}

static void open_connection(void)
{
    int yes = 1, socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (socket < 0)
        fail("accept failed: %s", strerror(errno));
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct connection *connection = checked(calloc(1, sizeof *connection));
    connection->socket = socket;
    watch(connection, EPOLL_CTL_ADD);
}

static void remove_worker(struct function *function, const struct connection *worker)
{
    for (size_t i = 0; i < function->worker_count; i++)
        if (function->workers[i] == worker)
            function->workers[i--] = function->workers[--function->worker_count];
}

static void close_connection(struct connection *connection)
{
    close(connection->socket);
    connection->closed = true;
    sleeper_count -= connection->sleeping;
    for (size_t i = 0; i < connection->function_count; i++)
        remove_worker(connection->functions[i], connection);
    free(connection->functions);
    free(connection->in.data);
}

static void read_connection(struct connection *connection)
{
    struct packet packet;
    if (!buffer_receive(&connection->in, connection->socket)) {
        close_connection(connection);
        return;
    }
    while (packet_next(&connection->in, &packet))
        dispatch(connection, &packet);
}

static void write_connection(struct connection *connection)
{
    /* A lost connection is detected when it is read. */
    if (!buffer_send(&connection->out, connection->socket))
        connection->out.start = connection->out.end;
    bool waits = buffer_length(&connection->out) > 0;
    if (waits != connection->waits_to_send) {
        connection->waits_to_send = waits;
        watch(connection, EPOLL_CTL_MOD);
    }
}

static void write_touched(void)
{
    while (touched) {
        struct connection *connection = touched;
        touched = connection->next_touched;
        connection->touched = false;
        if (!connection->closed)
            write_connection(connection);
    }
}

static void serve_event(const struct epoll_event *event)
{
    struct connection *connection = event->data.ptr;
    if (!connection)
        open_connection();
    else if (event->events & ~(uint32_t)EPOLLOUT)
        read_connection(connection);
    else
        write_connection(connection);
}

static int listen_on(const char *port)
{
    int yes = 1, socket_ = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(socket_, (struct sockaddr *)&address, sizeof address) ||
        listen(socket_, SOMAXCONN))
        fail("cannot listen on port %s: %s", port, strerror(errno));
    return socket_;
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    if (argc != 2)
        fail("usage: floor PORT");
    listener = listen_on(argv[1]);
    epoll = epoll_create1(0);
    watch(NULL, EPOLL_CTL_ADD);
    for (;;) {
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < ready; i++)
            serve_event(&events[i]);
        write_touched();
    }
}
