/* The lists of job servers, and the limits, that all statements share.
 *
 * The users of a list are counted: it stays for them if it is replaced meanwhile.
 */
#include "gman.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define PORT "4730"

/* The list for one function; that for all others has an empty name. */
struct entry {
    struct entry *next;
    struct gman_list *list;
    size_t length;
    char function[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries;
static struct gman_limits limits = {5, 60};

/* Lists. */

static struct entry *find(const char *function, size_t length)
{
    struct entry *entry = entries;

    while (entry && (entry->length != length ||
                     memcmp(entry->function, function, length) != 0))
        entry = entry->next;
    return entry;
}

static struct entry *add(const char *function, size_t length)
{
    struct entry *entry = malloc(sizeof *entry + length + 1);

    if (!entry)
        return NULL;
    memcpy(entry->function, function, length);
    entry->length = length;
    entry->list = NULL;
    entry->next = entries;
    entries = entry;
    return entry;
}

/* Return the list for a function, or NULL if there is none; it must be released. */
struct gman_list *gman_list_get(const char *function, size_t length)
{
    struct entry *entry;
    struct gman_list *list = NULL;

    pthread_mutex_lock(&lock);
    entry = find(function, length);
    if (!entry)
        entry = find("", 0);
    if (entry) {
        list = entry->list;
        list->users++;
    }
    pthread_mutex_unlock(&lock);
    return list;
}

/* Set the list for a function, and take it over; false if memory is short. */
bool gman_list_set(const char *function, size_t length, struct gman_list *list)
{
    struct entry *entry;
    struct gman_list *before = NULL;

    pthread_mutex_lock(&lock);
    entry = find(function, length);
    if (!entry)
        entry = add(function, length);
    if (entry) {
        before = entry->list;
        entry->list = list;
    }
    pthread_mutex_unlock(&lock);
    gman_list_release(entry ? before : list);
    return entry != NULL;
}

void gman_list_release(struct gman_list *list)
{
    bool last;

    if (!list)
        return;
    pthread_mutex_lock(&lock);
    last = --list->users == 0;
    pthread_mutex_unlock(&lock);
    if (last)
        free(list);
}

unsigned gman_list_first(struct gman_list *list)
{
    unsigned first;

    pthread_mutex_lock(&lock);
    first = list->first;
    pthread_mutex_unlock(&lock);
    return first;
}

void gman_list_prefer(struct gman_list *list, unsigned server)
{
    pthread_mutex_lock(&lock);
    list->first = server;
    pthread_mutex_unlock(&lock);
}

/* When the library is unloaded, no statement uses it. */
__attribute__((destructor)) static void forget(void)
{
    struct entry *entry;

    while ((entry = entries)) {
        entries = entry->next;
        gman_list_release(entry->list);
        free(entry);
    }
}

/* Limits. */

struct gman_limits gman_limits_get(void)
{
    struct gman_limits now;

    pthread_mutex_lock(&lock);
    now = limits;
    pthread_mutex_unlock(&lock);
    return now;
}

void gman_limits_set(struct gman_limits to)
{
    pthread_mutex_lock(&lock);
    limits = to;
    pthread_mutex_unlock(&lock);
}

/* Addresses: HOST, HOST:PORT, [IPV6], [IPV6]:PORT, IPV6 or unix:PATH. */

static bool copy(char *to, size_t room, const char *from, size_t length)
{
    if (length == 0 || length >= room || memchr(from, '\0', length))
        return false;
    memcpy(to, from, length);
    to[length] = '\0';
    return true;
}

static bool read_port(struct gman_address *server, const char *text, size_t length)
{
    char *end;
    long port;

    if (!copy(server->port, sizeof server->port, text, length))
        return false;
    port = strtol(server->port, &end, 10);
    return *end == '\0' && server->port[0] >= '0' && server->port[0] <= '9' &&
           port >= 1 && port <= 65535;
}

static bool read_path(struct gman_address *server, const char *text, size_t length)
{
    struct sockaddr_un address;

    server->port[0] = '\0';
    return length < sizeof address.sun_path &&
           copy(server->host, sizeof server->host, text, length);
}

static bool read_in_brackets(struct gman_address *server, const char *text,
                             size_t length)
{
    const char *end = memchr(text, ']', length);
    size_t rest;

    if (!end || !copy(server->host, sizeof server->host, text + 1, end - text - 1))
        return false;
    rest = length - (end - text) - 1;
    if (rest == 0)
        return read_port(server, PORT, strlen(PORT));
    return end[1] == ':' && read_port(server, end + 2, rest - 1);
}

static bool read_name(struct gman_address *server, const char *text, size_t length)
{
    const char *colon = memchr(text, ':', length);
    size_t host;

    if (memchr(text, ' ', length) || memchr(text, '/', length))
        return false;
    /* Two colons: an IPv6 address without brackets, and without a port. */
    if (!colon || memchr(colon + 1, ':', length - (colon + 1 - text)))
        return copy(server->host, sizeof server->host, text, length) &&
               read_port(server, PORT, strlen(PORT));
    host = colon - text;
    return copy(server->host, sizeof server->host, text, host) &&
           read_port(server, colon + 1, length - host - 1);
}

static bool read_address(struct gman_address *server, const char *text, size_t length)
{
    if (!copy(server->text, sizeof server->text, text, length))
        return false;
    if (length > 5 && memcmp(text, "unix:", 5) == 0)
        return read_path(server, text + 5, length - 5);
    if (text[0] == '[')
        return read_in_brackets(server, text, length);
    return read_name(server, text, length);
}

/* Lists as text: addresses with commas between. */

/* Return the length of the next address, without blanks around; move `*text` there. */
static size_t next_address(const char **text, const char *end)
{
    const char *start = *text, *comma = memchr(start, ',', end - start);
    const char *stop = comma ? comma : end;

    while (start < stop && *start == ' ')
        start++;
    while (start < stop && stop[-1] == ' ')
        stop--;
    *text = start;
    return stop - start;
}

static size_t count_addresses(const char *text, size_t length)
{
    size_t count = 1, i;

    for (i = 0; i < length; i++)
        count += text[i] == ',';
    return count;
}

/* Return a list that has to be released; or NULL, and a sentence in `why`. */
struct gman_list *gman_list_parse(const char *text, size_t length, char *why)
{
    const char *end = text + length;
    size_t count = count_addresses(text, length), size;
    struct gman_list *list =
        calloc(1, sizeof *list + count * sizeof(struct gman_address));

    if (!list) {
        snprintf(why, GMAN_SENTENCE, "out of memory");
        return NULL;
    }
    list->users = 1;
    while (list->count < count) {
        size = next_address(&text, end);
        if (!read_address(&list->servers[list->count], text, size)) {
            snprintf(why, GMAN_SENTENCE,
                     "'%.*s' is no address of a job server: write HOST, HOST:PORT, "
                     "[IPV6]:PORT or unix:PATH, with commas between several",
                     size < 80 ? (int)size : 80, text);
            free(list);
            return NULL;
        }
        list->count++;
        text = memchr(text, ',', end - text);
        text = text ? text + 1 : end;
    }
    return list;
}
