/* What the database server offers beside the interface for functions.
 *
 * That interface can neither say why a function failed, nor that the statement was
 * killed. MariaDB exports functions that can, but no header for them. They are weak
 * symbols here. Where they are missing, as in MySQL, an error is only NULL, without a
 * reason, and KILL has to wait for the end of the job.
 */
#include "gman.h"

#include <stdio.h>

/* MariaDB's numbers: of an error without a number of its own, and after KILL. */
#define UNKNOWN_ERROR 1105
#define QUERY_INTERRUPTED 1317
/* MariaDB's flag for a message that is only a warning. */
#define AS_WARNING 2048

#define WEAK __attribute__((weak))

extern void *_current_thd(void) WEAK;
extern int thd_kill_level(const void *thread) WEAK;
extern void my_printf_error(unsigned number, const char *form, unsigned long flags,
                            ...) WEAK;

static bool is_mariadb(void)
{
    return _current_thd && thd_kill_level && my_printf_error && _current_thd();
}

bool gman_host_killed(void)
{
    return is_mariadb() && thd_kill_level(_current_thd()) != 0;
}

/* Return how many bytes the character has: 0 if it is none that MariaDB would show. */
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

/* MariaDB cuts a sentence at what is no UTF-8, such as bytes that a worker has sent. */
static void make_printable(char *text)
{
    size_t length;

    for (; *text; text += length ? length : 1) {
        length = character(text);
        if (!length)
            *text = '?';
    }
}

static void report(unsigned number, const char *sentence, unsigned long flags)
{
    char text[GMAN_SENTENCE];

    if (!is_mariadb())
        return;
    snprintf(text, sizeof text, "%s", sentence);
    make_printable(text);
    my_printf_error(number, "%s", flags, text);
}

void gman_host_error(const char *sentence)
{
    report(UNKNOWN_ERROR, sentence, 0);
}

/* MariaDB itself says so only before the next row, and there may be none. */
void gman_host_interrupted(const char *sentence)
{
    report(QUERY_INTERRUPTED, sentence, 0);
}

void gman_host_warning(const char *sentence)
{
    report(UNKNOWN_ERROR, sentence, AS_WARNING);
}
