/* What all SQL functions have in common.
 *
 * Of each SQL function there are three in C: NAME_init and NAME_deinit for the
 * beginning and the end of a statement, and NAME for each row. An aggregate has
 * NAME_clear and NAME_add besides, for the beginning of a group and for its rows.
 */
#ifndef STATEMENT_H
#define STATEMENT_H

#include "gman.h"

#include <mysql.h>

#ifdef MARIADB_BASE_VERSION
typedef my_bool gman_bool;
#else
typedef bool gman_bool;
#endif

/* Names that the database server looks up; the others are hidden. */
#define EXPORT __attribute__((visibility("default")))

/* What a statement has from its first row to its last. */
struct statement {
    const char *name; /* of the SQL function */
    struct gman_link link;
    struct gman_bytes result;
    struct gman_sum *sum; /* NULL, if it is no sum */
};

struct statement *statement_of(const UDF_INIT *init);
gman_bool statement_refuse(char *message, const char *name, const char *what);
gman_bool statement_begin(UDF_INIT *init, UDF_ARGS *args, char *message,
                          const char *name, bool sums);
void statement_end(UDF_INIT *init);
void statement_warn(const struct statement *statement);
void statement_report(const struct statement *statement, enum gman_outcome outcome,
                      char *is_null, char *error);
struct gman_part statement_argument(const UDF_ARGS *args, unsigned number);

#endif
