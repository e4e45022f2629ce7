/* A wall clock that jumps: stands before libc's clock_gettime, gettimeofday and time, and adds the seconds that stand in
 * the file CLOCK_SECONDS_FILE. It is looked at again every 50 ms of the monotonic clock, which goes on as it is. Waits that
 * end at a time of the wall clock follow it, as they do when the system's clock is set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static _Atomic long long shift, looked_at = -1;

static long long added_seconds(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    long long tick = now.tv_sec * 20LL + now.tv_nsec / 50000000;
    if (tick != looked_at) {
        looked_at = tick;
        const char *path = getenv("CLOCK_SECONDS_FILE");
        FILE *file = path ? fopen(path, "re") : NULL;
        long long seconds;
        if (file && fscanf(file, "%lld", &seconds) == 1) shift = seconds;
        if (file) fclose(file);
    }
    return shift;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    long result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += added_seconds();
    return (int)result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

typedef int (*wait_t)(void *condition, void *mutex, const struct timespec *until);

/* Waits in slices, so that a jump in the meantime is noticed. */
static int wait_in_slices(wait_t wait, int timed_out, void *condition, void *mutex, const struct timespec *until) {
    for (;;) {
        struct timespec slice, due = *until;
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &slice);
        slice.tv_nsec += 50000000;
        if (slice.tv_nsec >= 1000000000) slice.tv_sec += 1, slice.tv_nsec -= 1000000000;
        due.tv_sec -= added_seconds();
        int last = due.tv_sec < slice.tv_sec || (due.tv_sec == slice.tv_sec && due.tv_nsec <= slice.tv_nsec);
        int result = wait(condition, mutex, last ? &due : &slice);
        if (last || result != timed_out) return result;
    }
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static wait_t wait;
    if (!wait) wait = (wait_t)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    return wait_in_slices(wait, ETIMEDOUT, condition, mutex, until);
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    static wait_t wait;
    if (!wait) wait = (wait_t)dlsym(RTLD_NEXT, "cnd_timedwait");
    return wait_in_slices(wait, thrd_timedout, condition, mutex, until);
}
