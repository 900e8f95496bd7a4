#include "statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct statement *statement_of(const UDF_INIT *init)
{
    return (struct statement *)init->ptr;
}

gman_bool statement_refuse(char *message, const char *name, const char *what)
{
    snprintf(message, GMAN_SENTENCE, "%s: %s", name, what);
    return 1;
}

/* Beginning and end. */

static struct statement *new_statement(const char *name, bool sums)
{
    struct statement *statement = calloc(1, sizeof *statement);

    if (!statement)
        return NULL;
    gman_link_init(&statement->link);
    statement->name = name;
    if (!sums)
        return statement;
    statement->sum = gman_sum_new();
    if (statement->sum)
        return statement;
    free(statement);
    return NULL;
}

void statement_end(UDF_INIT *init)
{
    struct statement *statement = statement_of(init);

    if (!statement)
        return;
    gman_link_end(&statement->link);
    free(statement->result.data);
    free(statement->sum);
    free(statement);
    init->ptr = NULL;
}

/* Prepare a statement: arguments come as strings, and results may differ each time. */
gman_bool statement_begin(UDF_INIT *init, UDF_ARGS *args, char *message,
                          const char *name, bool sums)
{
    unsigned i;

    for (i = 0; i < args->arg_count; i++)
        args->arg_type[i] = STRING_RESULT;
    init->ptr = (char *)new_statement(name, sums);
    if (!init->ptr)
        return statement_refuse(message, name, "out of memory");
    init->maybe_null = 1;
    init->const_item = 0;
    return 0;
}

/* Outcomes. */

static void say(const struct statement *statement, void (*how)(const char *))
{
    char sentence[GMAN_SENTENCE + 32];

    snprintf(sentence, sizeof sentence, "%s: %s", statement->name, statement->link.why);
    how(sentence);
}

void statement_warn(const struct statement *statement)
{
    say(statement, gman_host_warning);
}

/* A failed job makes the row NULL; without a server, the statement ends. */
void statement_report(const struct statement *statement, enum gman_outcome outcome,
                      char *is_null, char *error)
{
    if (outcome == GMAN_OK)
        return;
    *is_null = 1;
    *error = outcome != GMAN_FAILED;
    if (outcome == GMAN_BROKEN)
        say(statement, gman_host_error);
    if (outcome == GMAN_KILLED)
        say(statement, gman_host_interrupted);
    if (outcome == GMAN_FAILED)
        statement_warn(statement);
}

/* Arguments. */

/* Return an argument; NULL is as no bytes. */
struct gman_part statement_argument(const UDF_ARGS *args, unsigned number)
{
    if (number >= args->arg_count || !args->args[number])
        return (struct gman_part){"", 0};
    return (struct gman_part){args->args[number], args->lengths[number]};
}
