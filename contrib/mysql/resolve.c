/* Finding the addresses of a name, with a time limit.
 *
 * The system's resolver has none that a program may set, and KILL does not end it. So
 * it runs in a thread. If it takes too long, the thread is left alone and ends by
 * itself; the library stays in memory for that (see the Makefile).
 */
#include "gman.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Shared by the statement and the thread; the last of both frees it. */
struct request {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int users;
    bool done;
    int error;
    struct addrinfo *found;
    char host[256];
    char port[6];
};

static int look_up(const char *host, const char *port, int flags,
                   struct addrinfo **found)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};

    return getaddrinfo(host, port, &hints, found);
}

static struct request *begin(const struct gman_address *server)
{
    struct request *request = calloc(1, sizeof *request);
    pthread_condattr_t attributes;

    if (!request)
        return NULL;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&request->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&request->lock, NULL);
    request->users = 1;
    strcpy(request->host, server->host);
    strcpy(request->port, server->port);
    return request;
}

/* Take the lock of the request, and leave it. */
static void leave(struct request *request)
{
    bool last = --request->users == 0;

    pthread_mutex_unlock(&request->lock);
    if (!last)
        return;
    if (request->found)
        freeaddrinfo(request->found);
    pthread_cond_destroy(&request->changed);
    pthread_mutex_destroy(&request->lock);
    free(request);
}

static void *run(void *argument)
{
    struct request *request = argument;
    struct addrinfo *found = NULL;
    int error = look_up(request->host, request->port, AI_ADDRCONFIG, &found);

    pthread_mutex_lock(&request->lock);
    request->error = error;
    request->found = error ? NULL : found;
    request->done = true;
    pthread_cond_signal(&request->changed);
    leave(request);
    return NULL;
}

/* Start the thread; signals are for the threads of the database server. */
static bool start(struct request *request)
{
    pthread_t thread;
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    request->users = 2;
    started = pthread_create(&thread, NULL, run, request) == 0;
    if (started)
        pthread_detach(thread);
    else
        request->users = 1;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* Wait with the lock held. */
static enum gman_outcome wait_for(struct request *request, int64_t deadline)
{
    int64_t until;
    struct timespec time;

    while (!request->done) {
        if (gman_host_killed())
            return GMAN_KILLED;
        if (gman_now() >= deadline)
            return GMAN_BROKEN;
        until = gman_now() + GMAN_SLICE < deadline ? gman_now() + GMAN_SLICE : deadline;
        time.tv_sec = until / 1000;
        time.tv_nsec = until % 1000 * 1000000;
        pthread_cond_timedwait(&request->changed, &request->lock, &time);
    }
    return GMAN_OK;
}

static enum gman_outcome finish(struct gman_link *link, struct request *request,
                                int64_t deadline, struct addrinfo **found)
{
    enum gman_outcome outcome = wait_for(request, deadline);

    if (outcome == GMAN_KILLED)
        gman_link_killed(link);
    if (outcome == GMAN_BROKEN)
        gman_link_broken(link, "the name was not resolved in time");
    if (outcome == GMAN_OK && request->error)
        outcome = gman_link_broken(link, "%s", gai_strerror(request->error));
    if (outcome == GMAN_OK) {
        *found = request->found;
        request->found = NULL;
    }
    leave(request);
    return outcome;
}

/* Find the addresses of a server; `*found` is for freeaddrinfo. */
enum gman_outcome gman_resolve(struct gman_link *link,
                               const struct gman_address *server, int64_t deadline,
                               struct addrinfo **found)
{
    struct request *request;

    /* An address needs no resolver. */
    if (look_up(server->host, server->port, AI_NUMERICHOST, found) == 0)
        return GMAN_OK;
    request = begin(server);
    if (!request)
        return gman_link_broken(link, "out of memory");
    pthread_mutex_lock(&request->lock);
    if (!start(request)) {
        leave(request);
        return gman_link_broken(link, "no thread for resolving the name");
    }
    return finish(link, request, deadline, found);
}
