/* Connecting to one of several job servers. */
#include "gman.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Whether TCP has connected the socket to itself, as no server listens on the port. */
static bool is_own_peer(int fd)
{
    struct sockaddr_storage own, peer;
    socklen_t a = sizeof own, b = sizeof peer;

    memset(&own, 0, sizeof own);
    memset(&peer, 0, sizeof peer);
    return getsockname(fd, (struct sockaddr *)&own, &a) == 0 &&
           getpeername(fd, (struct sockaddr *)&peer, &b) == 0 &&
           own.ss_family != AF_UNIX && a == b && memcmp(&own, &peer, a) == 0;
}

static enum gman_outcome finish_connecting(struct gman_link *link, int64_t deadline)
{
    int error = 0, one = 1;
    socklen_t length = sizeof error;
    short got;
    enum gman_outcome outcome = gman_link_await(link, POLLOUT, deadline, &got);

    if (outcome != GMAN_OK)
        return outcome;
    getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (!error && is_own_peer(link->fd))
        error = ECONNREFUSED;
    if (error)
        return gman_link_broken(link, "%s", strerror(error));
    /* It fails for a Unix socket, which needs no such option. */
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return GMAN_OK;
}

static enum gman_outcome connect_to(struct gman_link *link, int family,
                                    const struct sockaddr *address, socklen_t length,
                                    int64_t deadline)
{
    link->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (link->fd < 0)
        return gman_link_broken(link, "no socket: %s", strerror(errno));
    /* A full Unix socket says EAGAIN: its server accepts no more. */
    if (connect(link->fd, address, length) < 0 && errno != EINPROGRESS &&
        errno != EINTR)
        return gman_link_broken(link, "%s", strerror(errno));
    return finish_connecting(link, deadline);
}

static enum gman_outcome connect_unix(struct gman_link *link, const char *path,
                                      int64_t deadline)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    /* servers.c has seen that there is room for it. */
    memcpy(address.sun_path, path, strlen(path));
    return connect_to(link, AF_UNIX, (struct sockaddr *)&address, sizeof address,
                      deadline);
}

/* Try each address of a name. */
static enum gman_outcome connect_tcp(struct gman_link *link,
                                     const struct gman_address *server,
                                     int64_t deadline)
{
    struct addrinfo *found, *each;
    enum gman_outcome outcome = gman_resolve(link, server, deadline, &found);

    if (outcome != GMAN_OK)
        return outcome;
    outcome = GMAN_BROKEN;
    for (each = found; each && outcome == GMAN_BROKEN; each = each->ai_next)
        outcome = connect_to(link, each->ai_family, each->ai_addr, each->ai_addrlen,
                             deadline);
    freeaddrinfo(found);
    return outcome;
}

/* Ask for exceptions. The answer, whatever it is, shows that a job server is there. */
static enum gman_outcome greet(struct gman_link *link, int64_t deadline)
{
    const struct gman_part option = {"exceptions", 10};
    struct gman_packet answer;
    enum gman_outcome outcome =
        gman_link_send(link, GMAN_OPTION, &option, 1, deadline);

    if (outcome != GMAN_OK)
        return outcome;
    return gman_link_receive(link, &answer, deadline);
}

/* Connect to one server, and have it answer. */
enum gman_outcome gman_link_greet(struct gman_link *link,
                                  const struct gman_address *server, int64_t deadline)
{
    enum gman_outcome outcome =
        server->port[0] ? connect_tcp(link, server, deadline)
                        : connect_unix(link, server->host, deadline);

    return outcome == GMAN_OK ? greet(link, deadline) : outcome;
}

/* Add to a sentence what is wrong with one more server. */
static void tell(char *sentence, const struct gman_address *server, const char *why)
{
    size_t length = strlen(sentence);

    snprintf(sentence + length, GMAN_SENTENCE - length, "%s%s: %.120s",
             length ? "; " : "no job server answered: ", server->text, why);
}

/* Try the servers in turn, beginning with the one that answered last. */
static enum gman_outcome open_link(struct gman_link *link, int64_t deadline)
{
    double connecting = gman_limits_get().connecting;
    unsigned first = gman_list_first(link->list), server, i;
    char sentence[GMAN_SENTENCE] = "";
    enum gman_outcome outcome;
    int64_t until;

    for (i = 0; i < link->list->count; i++) {
        server = (first + i) % link->list->count;
        until = gman_after(connecting);
        outcome = gman_link_greet(link, &link->list->servers[server],
                                  until < deadline ? until : deadline);
        if (outcome == GMAN_OK && i > 0)
            gman_list_prefer(link->list, server);
        if (outcome != GMAN_BROKEN)
            return outcome;
        tell(sentence, &link->list->servers[server], link->why);
    }
    return gman_link_broken(link, "%s", sentence);
}

/* Whether the server has said or closed something between two jobs. */
static bool has_ended(struct gman_link *link)
{
    struct pollfd poller = {.fd = link->fd, .events = POLLIN};

    return link->in.length > link->taken || poll(&poller, 1, 0) != 0;
}

/* Have an open connection to a server of the list, and take the list over. */
enum gman_outcome gman_link_use(struct gman_link *link, struct gman_list *list,
                                int64_t deadline)
{
    if (link->list != list || (link->fd >= 0 && has_ended(link)))
        gman_link_close(link);
    gman_list_release(link->list);
    link->list = list;
    return link->fd >= 0 ? GMAN_OK : open_link(link, deadline);
}
