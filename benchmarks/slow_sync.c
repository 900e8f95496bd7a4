/* A slower disk: when this library is preloaded, fsync and fdatasync also sleep.

   SYNC_MICROSECONDS says for how long, in addition to the time of the disk. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static void wait_for_disk(void)
{
    const char *text = getenv("SYNC_MICROSECONDS");
    long long nanoseconds = text ? atoll(text) * 1000 : 0;
    struct timespec pause = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, &pause)
           == EINTR)
        ;
}

static int sync_slowly(const char *name, int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    wait_for_disk();
    return real(file);
}

int fsync(int file)
{
    return sync_slowly("fsync", file);
}

int fdatasync(int file)
{
    return sync_slowly("fdatasync", file);
}
