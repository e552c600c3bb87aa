/* Steps the wall clock of one process, as NTP or a person would: what the process reads is the real time and as many seconds
 * as stand in the file that STEPPED_CLOCK names (int64, native order). All other clocks are left alone.
 *
 * By LD_PRELOAD. It asks the kernel and not the C library: libfaketime looks functions up when it is first called, which
 * with Envoy's own allocator never ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

static int64_t seconds(void) {
    if (!offset) {
        const char *path = getenv("STEPPED_CLOCK");
        int file = path ? open(path, O_RDONLY) : -1;
        if (file < 0)
            return 0;
        void *map = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
        close(file);
        if (map == MAP_FAILED)
            return 0;
        offset = map;
    }
    return *offset;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += seconds();
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (out)
        *out = exact.tv_sec;
    return exact.tv_sec;
}
