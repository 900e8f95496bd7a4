/* A disk that takes longer to sync: preloaded, it has fsync and fdatasync sleep.

   SYNC_MICROSECONDS says for how long, beside what the disk itself takes. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

typedef int sync_function(int);

static sync_function *found(const char *name)
{
    return (sync_function *)dlsym(RTLD_NEXT, name);
}

static void wait_for_disk(void)
{
    const char *text = getenv("SYNC_MICROSECONDS");
    long long nanoseconds = text ? atoll(text) * 1000 : 0;
    struct timespec pause = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, &pause)
           == EINTR)
        ;
}

int fsync(int file)
{
    static sync_function *real;
    if (!real)
        real = found("fsync");
    wait_for_disk();
    return real(file);
}

int fdatasync(int file)
{
    static sync_function *real;
    if (!real)
        real = found("fdatasync");
    wait_for_disk();
    return real(file);
}
