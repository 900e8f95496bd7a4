/* gman_do and its kin, and gman_sum: the functions that run jobs. */
#include "statement.h"

/* The longest result: the type of a column made of it is LONGBLOB. */
#define LONGEST 0xffffffffU

/* The longest handle of a background job. */
#define HANDLE 255

/* Arguments. */

/* A function that is NULL has no name, which jobs.c refuses. */
static struct gman_job job_of(const UDF_ARGS *args, enum gman_type type)
{
    return (struct gman_job){.type = type,
                             .function = statement_argument(args, 0),
                             .workload = statement_argument(args, 1),
                             .unique = statement_argument(args, 2)};
}

static gman_bool job_init(UDF_INIT *init, UDF_ARGS *args, char *message,
                          const char *name, bool sums)
{
    if (args->arg_count < 2 || args->arg_count > 3)
        return statement_refuse(
            message, name,
            "it has two or three arguments: function, workload, unique");
    return statement_begin(init, args, message, name, sums);
}

/* gman_do and its kin. */

static char *do_row(UDF_INIT *init, UDF_ARGS *args, unsigned long *length,
                    char *is_null, char *error, enum gman_type type)
{
    struct statement *statement = statement_of(init);
    struct gman_job job = job_of(args, type);
    enum gman_outcome outcome =
        gman_job_run(&statement->link, &job, &statement->result);

    statement_report(statement, outcome, is_null, error);
    if (outcome != GMAN_OK)
        return NULL;
    *length = statement->result.length;
    return statement->result.data;
}

#define DO_FUNCTION(name, type, longest)                                               \
    EXPORT gman_bool name##_init(UDF_INIT *init, UDF_ARGS *args, char *message)        \
    {                                                                                  \
        init->max_length = longest;                                                    \
        return job_init(init, args, message, #name, false);                            \
    }                                                                                  \
    EXPORT void name##_deinit(UDF_INIT *init)                                          \
    {                                                                                  \
        statement_end(init);                                                           \
    }                                                                                  \
    EXPORT char *name(UDF_INIT *init, UDF_ARGS *args, char *buffer,                    \
                      unsigned long *length, char *is_null, char *error)               \
    {                                                                                  \
        (void)buffer;                                                                  \
        return do_row(init, args, length, is_null, error, type);                       \
    }

DO_FUNCTION(gman_do, GMAN_SUBMIT, LONGEST)
DO_FUNCTION(gman_do_high, GMAN_SUBMIT_HIGH, LONGEST)
DO_FUNCTION(gman_do_low, GMAN_SUBMIT_LOW, LONGEST)
DO_FUNCTION(gman_do_background, GMAN_SUBMIT_BACKGROUND, HANDLE)
DO_FUNCTION(gman_do_high_background, GMAN_SUBMIT_HIGH_BACKGROUND, HANDLE)
DO_FUNCTION(gman_do_low_background, GMAN_SUBMIT_LOW_BACKGROUND, HANDLE)

/* gman_sum. */

EXPORT gman_bool gman_sum_init(UDF_INIT *init, UDF_ARGS *args, char *message)
{
    return job_init(init, args, message, "gman_sum", true);
}

EXPORT void gman_sum_deinit(UDF_INIT *init)
{
    statement_end(init);
}

EXPORT void gman_sum_clear(UDF_INIT *init, char *is_null, char *error)
{
    struct statement *statement = statement_of(init);

    *is_null = *error = 0;
    gman_sum_begin(&statement->link, statement->sum);
}

/* Each row is a job of its own. Two with the same unique would have one result. */
EXPORT void gman_sum_add(UDF_INIT *init, UDF_ARGS *args, char *is_null, char *error)
{
    struct statement *statement = statement_of(init);
    struct gman_job job = job_of(args, GMAN_SUBMIT);

    (void)is_null;
    (void)error;
    job.unique.length = 0;
    gman_sum_add_job(&statement->link, statement->sum, &job);
}

EXPORT long long gman_sum(UDF_INIT *init, UDF_ARGS *args, char *is_null, char *error)
{
    struct statement *statement = statement_of(init);
    long long total;
    enum gman_outcome outcome =
        gman_sum_end(&statement->link, statement->sum, &total);

    (void)args;
    statement_report(statement, outcome, is_null, error);
    return total;
}
