/* gman_servers_set, gman_servers_check and gman_timeout_set. */
#include "statement.h"

#include <stdlib.h>
#include <string.h>

/* gman_servers_set. */

EXPORT gman_bool gman_servers_set_init(UDF_INIT *init, UDF_ARGS *args, char *message)
{
    if (args->arg_count < 1 || args->arg_count > 2)
        return statement_refuse(message, "gman_servers_set",
                                "it has one or two arguments: servers, function");
    init->max_length = 65535;
    return statement_begin(init, args, message, "gman_servers_set", false);
}

EXPORT void gman_servers_set_deinit(UDF_INIT *init)
{
    statement_end(init);
}

static enum gman_outcome set_servers(struct statement *statement,
                                     struct gman_part servers,
                                     struct gman_part function)
{
    struct gman_list *list =
        gman_list_parse(servers.data, servers.length, statement->link.why);

    if (!list)
        return GMAN_BROKEN;
    if (!gman_list_set(function.data, function.length, list))
        return gman_link_broken(&statement->link, "out of memory");
    return GMAN_OK;
}

/* Return the servers as they were given. */
EXPORT char *gman_servers_set(UDF_INIT *init, UDF_ARGS *args, char *buffer,
                              unsigned long *length, char *is_null, char *error)
{
    struct statement *statement = statement_of(init);
    struct gman_part servers = statement_argument(args, 0);
    struct gman_part function = statement_argument(args, 1);
    enum gman_outcome outcome = set_servers(statement, servers, function);

    (void)buffer;
    statement_report(statement, outcome, is_null, error);
    if (outcome != GMAN_OK)
        return NULL;
    *length = args->lengths[0];
    return args->args[0];
}

/* gman_servers_check. */

EXPORT gman_bool gman_servers_check_init(UDF_INIT *init, UDF_ARGS *args, char *message)
{
    if (args->arg_count > 1)
        return statement_refuse(message, "gman_servers_check",
                                "it has one argument at most: servers");
    return statement_begin(init, args, message, "gman_servers_check", false);
}

EXPORT void gman_servers_check_deinit(UDF_INIT *init)
{
    statement_end(init);
}

/* Connect to a server; a warning says what is wrong with it. */
static enum gman_outcome check_server(struct statement *statement,
                                      const struct gman_address *server)
{
    char why[GMAN_SENTENCE];
    int64_t deadline = gman_after(gman_limits_get().connecting);
    enum gman_outcome outcome = gman_link_greet(&statement->link, server, deadline);

    gman_link_close(&statement->link);
    if (outcome == GMAN_BROKEN) {
        memcpy(why, statement->link.why, sizeof why);
        gman_job_failed(&statement->link, "%s: %.200s", server->text, why);
        statement_warn(statement);
    }
    return outcome;
}

/* Count the servers of a list that answer. */
static enum gman_outcome check_servers(struct statement *statement,
                                       const struct gman_list *list, long long *count)
{
    enum gman_outcome outcome;
    unsigned i;

    for (i = 0; i < list->count; i++) {
        outcome = check_server(statement, &list->servers[i]);
        if (outcome == GMAN_KILLED)
            return outcome;
        *count += outcome == GMAN_OK;
    }
    return GMAN_OK;
}

static struct gman_list *servers_to_check(struct statement *statement,
                                          const UDF_ARGS *args)
{
    struct gman_part servers = statement_argument(args, 0);
    struct gman_list *list;

    if (args->arg_count)
        return gman_list_parse(servers.data, servers.length, statement->link.why);
    list = gman_list_get("", 0);
    if (!list)
        gman_link_broken(&statement->link, GMAN_NO_SERVER);
    return list;
}

EXPORT long long gman_servers_check(UDF_INIT *init, UDF_ARGS *args, char *is_null,
                                    char *error)
{
    struct statement *statement = statement_of(init);
    struct gman_list *list = servers_to_check(statement, args);
    enum gman_outcome outcome = GMAN_BROKEN;
    long long count = 0;

    if (list)
        outcome = check_servers(statement, list, &count);
    gman_list_release(list);
    statement_report(statement, outcome, is_null, error);
    return count;
}

/* gman_timeout_set. */

EXPORT gman_bool gman_timeout_set_init(UDF_INIT *init, UDF_ARGS *args, char *message)
{
    if (args->arg_count < 1 || args->arg_count > 2)
        return statement_refuse(message, "gman_timeout_set",
                                "it has one or two arguments: seconds for a job, "
                                "seconds until a server answers");
    init->decimals = 3;
    return statement_begin(init, args, message, "gman_timeout_set", false);
}

EXPORT void gman_timeout_set_deinit(UDF_INIT *init)
{
    statement_end(init);
}

/* Read seconds; an argument that is missing, or NULL, changes nothing. */
static bool read_seconds(const UDF_ARGS *args, unsigned number, double *seconds)
{
    struct gman_part part = statement_argument(args, number);
    char text[32], *end;
    double value;

    if (number >= args->arg_count || !args->args[number])
        return true;
    if (part.length == 0 || part.length >= sizeof text)
        return false;
    memcpy(text, part.data, part.length);
    text[part.length] = '\0';
    value = strtod(text, &end);
    if (*end || !(value > 0) || value > 1e6)
        return false;
    *seconds = value;
    return true;
}

static enum gman_outcome set_limits(struct statement *statement, const UDF_ARGS *args,
                                    struct gman_limits *limits)
{
    if (!read_seconds(args, 0, &limits->job) ||
        !read_seconds(args, 1, &limits->connecting))
        return gman_link_broken(&statement->link,
                                "seconds are numbers from 0.001 to 1000000");
    gman_limits_set(*limits);
    return GMAN_OK;
}

/* Return the seconds that a job may take from now on. */
EXPORT double gman_timeout_set(UDF_INIT *init, UDF_ARGS *args, char *is_null,
                               char *error)
{
    struct statement *statement = statement_of(init);
    struct gman_limits limits = gman_limits_get();

    statement_report(statement, set_limits(statement, args, &limits), is_null, error);
    return limits.job;
}
