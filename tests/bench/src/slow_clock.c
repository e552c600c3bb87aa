/* Time passes more slowly for one process, by the factor in SLOW_CLOCK: under callgrind a program is that much slower itself, so as many
 * requests come to it in a second of its own as in life. Clocks and the waits of its event loops; nothing else that waits.
 *
 * By LD_PRELOAD. It asks the kernel and not the C library: looking functions up when they are first called never ends with Envoy's own allocator. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t SECOND = 1000000000;
static int64_t factor = 1, wall, monotonic;

static int64_t nanoseconds(const struct timespec *time) {
    return time->tv_sec * SECOND + time->tv_nsec;
}

static int64_t now(clockid_t clock) {
    struct timespec time;
    syscall(SYS_clock_gettime, clock, &time);
    return nanoseconds(&time);
}

/* Before this has run, time passes as it does. */
__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("SLOW_CLOCK");
    wall = now(CLOCK_REALTIME);
    monotonic = now(CLOCK_MONOTONIC);
    factor = text && atoi(text) > 0 ? atoi(text) : 1;
}

static int64_t slowly(clockid_t clock, int64_t time) {
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        return wall + (time - wall) / factor;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        return monotonic + (time - monotonic) / factor;
    default:
        return time;
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0) {
        int64_t slow = slowly(clock, nanoseconds(time));
        time->tv_sec = slow / SECOND;
        time->tv_nsec = slow % SECOND;
    }
    return result;
}

int gettimeofday(struct timeval *time, void *zone) {
    (void)zone;
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    time->tv_sec = exact.tv_sec;
    time->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (out)
        *out = exact.tv_sec;
    return exact.tv_sec;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout) {
    int longer = timeout > 0 ? (int)(timeout * factor) : timeout;
    return (int)syscall(SYS_epoll_pwait, epoll, events, most, longer, NULL, 8);
}

int epoll_pwait2(int epoll, struct epoll_event *events, int most, const struct timespec *timeout, const sigset_t *mask) {
    struct timespec longer;
    if (timeout) {
        int64_t time = nanoseconds(timeout) * factor;
        longer.tv_sec = time / SECOND;
        longer.tv_nsec = time % SECOND;
    }
    return (int)syscall(SYS_epoll_pwait2, epoll, events, most, timeout ? &longer : NULL, mask, 8);
}
