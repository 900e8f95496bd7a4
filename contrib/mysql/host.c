/* What the database server offers beside the interface for functions.
 *
 * That interface can neither say why a function failed, nor that the statement was
 * killed. MariaDB and MySQL export functions that can, but no header for them. They are
 * weak symbols here. Where they are missing, an error is only NULL, without a reason,
 * and KILL has to wait for the end of the job.
 */
#include "gman.h"

#include <stdio.h>

/* Numbers of both: of an error without a number of its own, and after KILL. */
#define UNKNOWN_ERROR 1105
#define QUERY_INTERRUPTED 1317
/* MariaDB's flag for a message that is only a warning, and MySQL's severity of it. */
#define AS_WARNING 2048
#define SEVERITY 1

#define WEAK __attribute__((weak))

/* MariaDB's. */
extern void *_current_thd(void) WEAK;
extern int thd_kill_level(const void *thread) WEAK;
extern void my_printf_error(unsigned number, const char *form, unsigned long flags,
                            ...) WEAK;

/* MySQL's; most have the names that C++ makes of them. */
extern void *_Z19thd_get_current_thdv(void) WEAK;
extern int thd_killed(const void *thread) WEAK;
extern void _Z15my_printf_errorjPKciz(unsigned number, const char *form, int flags,
                                      ...) WEAK;
extern void _Z12push_warningP3THDN13Sql_condition19enum_severity_levelEjPKc(
    void *thread, int severity, unsigned number, const char *text) WEAK;
#define mysql_thread _Z19thd_get_current_thdv
#define mysql_error _Z15my_printf_errorjPKciz
#define mysql_warning _Z12push_warningP3THDN13Sql_condition19enum_severity_levelEjPKc

static bool is_mariadb(void)
{
    return _current_thd && thd_kill_level && my_printf_error && _current_thd();
}

static bool is_mysql(void)
{
    return mysql_thread && thd_killed && mysql_error && mysql_warning && mysql_thread();
}

bool gman_host_killed(void)
{
    if (is_mariadb())
        return thd_kill_level(_current_thd()) != 0;
    return is_mysql() && thd_killed(mysql_thread()) != 0;
}

/* Return how many bytes the character has: 0 if it is none that both show. */
static size_t character(const char *text)
{
    const unsigned char *b = (const unsigned char *)text;
    size_t length = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : 3, i;

    if (b[0] < ' ' || b[0] >= 0xf0 || (b[0] == 0xe0 && b[1] < 0xa0))
        return 0;
    for (i = 1; i < length; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* Both cut a sentence at what is no UTF-8, such as bytes that a worker has sent. */
static void make_printable(char *text)
{
    size_t length;

    for (; *text; text += length ? length : 1) {
        length = character(text);
        if (!length)
            *text = '?';
    }
}

/* Return the sentence as it can be shown. */
static const char *shown(const char *sentence, char *text)
{
    snprintf(text, GMAN_SENTENCE, "%s", sentence);
    make_printable(text);
    return text;
}

static void fail(unsigned number, const char *sentence)
{
    char text[GMAN_SENTENCE];

    if (is_mariadb())
        my_printf_error(number, "%s", 0, shown(sentence, text));
    else if (is_mysql())
        mysql_error(number, "%s", 0, shown(sentence, text));
}

void gman_host_error(const char *sentence)
{
    fail(UNKNOWN_ERROR, sentence);
}

/* The server itself says so only before the next row, and there may be none. */
void gman_host_interrupted(const char *sentence)
{
    fail(QUERY_INTERRUPTED, sentence);
}

void gman_host_warning(const char *sentence)
{
    char text[GMAN_SENTENCE];

    if (is_mariadb())
        my_printf_error(UNKNOWN_ERROR, "%s", AS_WARNING, shown(sentence, text));
    else if (is_mysql())
        mysql_warning(mysql_thread(), SEVERITY, UNKNOWN_ERROR, shown(sentence, text));
}
