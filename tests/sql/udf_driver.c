/* Calls the SQL functions as a database server does, and prints what it gets.
 *
 * It is small, so that tools which watch memory and threads can run it. Its arguments
 * are the addresses of a job server with a worker, and of one where nobody listens.
 */
#include <mysql.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ARGUMENTS 4
#define THREADS 4

/* A name that cannot exist, as a part of it is too long. No name server is asked. */
#define SIXTEEN "xxxxxxxxxxxxxxxx"
#define NOWHERE SIXTEEN SIXTEEN SIXTEEN SIXTEEN ".invalid"

/* What a MariaDB offers. */

static int killed;

void *_current_thd(void)
{
    return &killed;
}

int thd_kill_level(const void *thread)
{
    return *(const int *)thread;
}

void my_printf_error(unsigned number, const char *form, unsigned long flags, ...)
{
    va_list arguments;

    (void)form;
    va_start(arguments, flags);
    printf("%s %u: %s\n", flags ? "warning" : "error", number,
           va_arg(arguments, char *));
    va_end(arguments);
}

/* The functions. */

#define FUNCTION(name, type, ...)                                                      \
    my_bool name##_init(UDF_INIT *, UDF_ARGS *, char *);                               \
    void name##_deinit(UDF_INIT *);                                                    \
    type name(UDF_INIT *, UDF_ARGS *, ##__VA_ARGS__, char *, char *);

FUNCTION(gman_do, char *, char *, unsigned long *)
FUNCTION(gman_do_background, char *, char *, unsigned long *)
FUNCTION(gman_servers_set, char *, char *, unsigned long *)
FUNCTION(gman_servers_check, long long)
FUNCTION(gman_timeout_set, double)
FUNCTION(gman_sum, long long)
void gman_sum_clear(UDF_INIT *, char *, char *);
void gman_sum_add(UDF_INIT *, UDF_ARGS *, char *, char *);

/* Arguments: texts up to a NULL. A server does not end them with NUL. */

struct arguments {
    UDF_ARGS args;
    enum Item_result types[MOST_ARGUMENTS];
    char *values[MOST_ARGUMENTS];
    unsigned long lengths[MOST_ARGUMENTS];
};

static void join(struct arguments *arguments)
{
    arguments->args.arg_type = arguments->types;
    arguments->args.args = arguments->values;
    arguments->args.lengths = arguments->lengths;
}

static void set(struct arguments *arguments, unsigned number, const char *text,
                size_t length)
{
    free(arguments->values[number]);
    arguments->values[number] = malloc(length ? length : 1);
    memcpy(arguments->values[number], text, length);
    arguments->lengths[number] = length;
}

static void begin(struct arguments *arguments, va_list texts)
{
    const char *text;
    unsigned count = 0;

    memset(arguments, 0, sizeof *arguments);
    for (; (text = va_arg(texts, const char *)); count++)
        set(arguments, count, text, strlen(text));
    arguments->args.arg_count = count;
    join(arguments);
}

static void end(struct arguments *arguments)
{
    unsigned i;

    for (i = 0; i < MOST_ARGUMENTS; i++)
        free(arguments->values[i]);
}

/* Statements of one row. */

typedef my_bool init_function(UDF_INIT *, UDF_ARGS *, char *);
typedef void deinit_function(UDF_INIT *);
typedef char *text_function(UDF_INIT *, UDF_ARGS *, char *, unsigned long *, char *,
                            char *);

/* Print a result; of a long one only its length. */
static void show(const char *text, unsigned long length, char error)
{
    if (!text)
        printf("NULL%s\n", error ? ", and no more rows" : "");
    else if (length > 80)
        printf("%lu bytes\n", length);
    else
        printf("'%.*s'\n", (int)length, text);
}

static void text(init_function *init, text_function *row, deinit_function *deinit, ...)
{
    struct arguments arguments;
    UDF_INIT state = {0};
    char message[512], buffer[255], is_null = 0, error = 0;
    unsigned long length = sizeof buffer;
    char *result;
    va_list texts;

    va_start(texts, deinit);
    begin(&arguments, texts);
    va_end(texts);
    if (init(&state, &arguments.args, message))
        printf("refused: %s\n", message);
    else {
        result = row(&state, &arguments.args, buffer, &length, &is_null, &error);
        show(is_null ? NULL : result, length, error);
        deinit(&state);
    }
    end(&arguments);
}

#define TEXT(name, ...) text(name##_init, name, name##_deinit, __VA_ARGS__, NULL)

static void check(const char *servers)
{
    UDF_INIT state = {0};
    struct arguments arguments = {.args = {.arg_count = servers != NULL}};
    char message[512], is_null = 0, error = 0;
    long long count;

    join(&arguments);
    if (servers)
        set(&arguments, 0, servers, strlen(servers));
    gman_servers_check_init(&state, &arguments.args, message);
    count = gman_servers_check(&state, &arguments.args, &is_null, &error);
    printf("%lld servers%s\n", is_null ? -1 : count, error ? ", error" : "");
    gman_servers_check_deinit(&state);
    end(&arguments);
}

static void limit(const char *first, ...)
{
    struct arguments arguments;
    UDF_INIT state = {0};
    char message[512], is_null = 0, error = 0;
    va_list texts;
    double seconds;

    (void)first;
    va_start(texts, first);
    begin(&arguments, texts);
    va_end(texts);
    gman_timeout_set_init(&state, &arguments.args, message);
    seconds = gman_timeout_set(&state, &arguments.args, &is_null, &error);
    printf("%g seconds%s\n", seconds, error ? ", error" : "");
    gman_timeout_set_deinit(&state);
    end(&arguments);
}

/* Statements of many rows. */

/* One result after the other, with one connection, the longest one in the middle. */
static void many_rows(void)
{
    static const size_t lengths[] = {0, 255, 256, 3 << 20, 1};
    static char data[3 << 20];
    struct arguments arguments = {.args = {.arg_count = 2}};
    UDF_INIT state = {0};
    char message[512], is_null = 0, error = 0, *result;
    unsigned long length;
    size_t i;

    join(&arguments);
    set(&arguments, 0, "echo", 4);
    gman_do_init(&state, &arguments.args, message);
    for (i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memset(data, 'a' + (int)i, lengths[i]);
        set(&arguments, 1, data, lengths[i]);
        result = gman_do(&state, &arguments.args, NULL, &length, &is_null, &error);
        printf("%lu bytes are %s\n", length,
               result && !memcmp(result, data, length) ? "the same" : "different");
    }
    gman_do_deinit(&state);
    end(&arguments);
}

/* The sum of a group; with `abandoned` the statement ends before its result. */
static void sum(const char *function, const char *workload, unsigned rows,
                int abandoned)
{
    struct arguments arguments = {.args = {.arg_count = 2}};
    UDF_INIT state = {0};
    char message[512], is_null = 0, error = 0;
    long long total;
    unsigned i;

    join(&arguments);
    set(&arguments, 0, function, strlen(function));
    set(&arguments, 1, workload, strlen(workload));
    gman_sum_init(&state, &arguments.args, message);
    gman_sum_clear(&state, &is_null, &error);
    for (i = 0; i < rows; i++)
        gman_sum_add(&state, &arguments.args, &is_null, &error);
    if (abandoned)
        gman_sum_clear(&state, &is_null, &error);
    total = gman_sum(&state, &arguments.args, &is_null, &error);
    printf(is_null ? "no sum\n" : "%lld\n", total);
    gman_sum_deinit(&state);
    end(&arguments);
}

/* Threads. */

static void *run(void *mark)
{
    struct arguments arguments = {.args = {.arg_count = 2}};
    char message[512], is_null, error;
    unsigned long length;
    size_t i, same = 0;
    char *result;

    join(&arguments);
    set(&arguments, 0, "echo", 4);
    set(&arguments, 1, "abc", 3);
    for (i = 0; i < 20; i++) {
        UDF_INIT state = {0};

        is_null = error = 0;
        gman_do_init(&state, &arguments.args, message);
        result = gman_do(&state, &arguments.args, NULL, &length, &is_null, &error);
        same += result && length == 3 && !memcmp(result, "abc", 3);
        gman_do_deinit(&state);
    }
    end(&arguments);
    return same == i ? mark : NULL;
}

/* Statements in several threads, while the list of servers is changed. */
static void run_threads(const char *servers, const char *others)
{
    pthread_t threads[THREADS];
    unsigned i, right = 0;
    void *result;

    for (i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, threads);
    for (i = 0; i < 5; i++) {
        TEXT(gman_servers_set, servers);
        TEXT(gman_servers_set, others);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        right += result == threads;
    }
    printf("%u threads were right\n", right);
}

int main(int count, char **texts)
{
    const char *alive = texts[count - 2], *dead = texts[count - 1];
    char both[512];

    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(both, sizeof both, "%s,%s", dead, alive);
    check(NULL);
    TEXT(gman_do, "echo", "1");
    TEXT(gman_do, "echo");
    TEXT(gman_servers_set, "a:b");
    TEXT(gman_servers_set, NOWHERE, "other");
    TEXT(gman_servers_set, both);
    check(NULL);
    check("unix:/nowhere," NOWHERE);
    /* The thread that resolves the name ends later than this, and long before main. */
    killed = 1;
    check(NOWHERE);
    killed = 0;
    TEXT(gman_do, "reverse", "abc", "unique");
    TEXT(gman_do, "pieces", "abcdef");
    TEXT(gman_do, "odd", "2");
    TEXT(gman_do, "", "");
    TEXT(gman_do_background, "nobody", "");
    many_rows();
    sum("length", "12345", 600, 0);
    sum("odd", "4", 3, 0);
    sum("length", "12345", 10, 1);
    run_threads(alive, both);
    limit("", "0.1", "2", NULL);
    limit("", "-1", NULL);
    TEXT(gman_do, "nobody", "1");
    sum("nobody", "1", 3, 0);
    killed = 1;
    TEXT(gman_do, "nobody", "1");
    sum("nobody", "1", 3, 0);
    return 0;
}
