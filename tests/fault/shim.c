/* Preloaded into a master: makes its syncs and writes fail or wait, and its calendar wrong, as the file of REEVE_SHIM
 * says (shim.h).
 *
 * libraft reaches kernel AIO by syscall(2), libuv and the snapshot writer by libc's fsync, fdatasync and pwrite: all go
 * through libc's dynamic symbols, so they are caught here. Reads are left alone. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/fault/shim.h"

static const struct shim_control quiet;
static const volatile struct shim_control *control = &quiet;
static volatile uint64_t *faults;

static struct {
    int (*fsync)(int);
    int (*fdatasync)(int);
    ssize_t (*pwrite)(int, const void *, size_t, off_t);
    long (*syscall)(long, ...);
    int (*clock_gettime)(clockid_t, struct timespec *);
} real;

static void *next(const char *name)
{
    void *p = dlsym(RTLD_NEXT, name);
    if (p == NULL) {
        abort();
    }
    return p;
}

__attribute__((constructor)) static void shim_open(void)
{
    real.fsync = (int (*)(int))next("fsync");
    real.fdatasync = (int (*)(int))next("fdatasync");
    real.pwrite = (ssize_t(*)(int, const void *, size_t, off_t))next("pwrite");
    real.syscall = (long (*)(long, ...))next("syscall");
    real.clock_gettime = (int (*)(clockid_t, struct timespec *))next("clock_gettime");
    const char *path = getenv(SHIM_ENVIRONMENT);
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct shim_control *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (c != MAP_FAILED) {
        faults = &c->faults;
        control = c;
    }
}

static void hit(void)
{
    if (faults != NULL) {
        __atomic_add_fetch(faults, 1, __ATOMIC_RELAXED);
    }
}

static void wait_ms(int32_t ms)
{
    if (ms > 0) {
        struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};
        hit();
        nanosleep(&ts, NULL);
    }
}

/* ---- Disk ---- */

static int sync_by(int (*f)(int), int fd)
{
    wait_ms(control->sync_delay_ms);
    int e = control->sync_errno;
    if (e != 0) {
        hit();
        errno = e;
        return -1;
    }
    return f(fd);
}

int fsync(int fd)
{
    return sync_by(real.fsync, fd);
}

int fdatasync(int fd)
{
    return sync_by(real.fdatasync, fd);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    int e = control->write_errno;
    if (e != 0) {
        hit();
        errno = e;
        return -1;
    }
    return real.pwrite(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    return pwrite(fd, p, n, at);
}

static void spoil_events(struct io_event *events, long count)
{
    int e = control->write_errno;
    for (long i = 0; i < count && e != 0; i++) {
        hit();
        events[i].res = -e;
    }
}

long syscall(long number, ...)
{
    long a[6];
    va_list ap;
    va_start(ap, number);
    for (unsigned i = 0; i < 6; i++) {
        a[i] = va_arg(ap, long);
    }
    va_end(ap);
    if (number == SYS_io_getevents) {
        wait_ms(control->write_delay_ms);
    }
    long rv = real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (number == SYS_io_getevents && rv > 0) {
        spoil_events((struct io_event *)(uintptr_t)a[3], rv);
    }
    return rv;
}

/* ---- Calendar ---- */

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (real.clock_gettime == NULL) { /* asked before our constructor */
        return (int)syscall(SYS_clock_gettime, (long)clock, ts);
    }
    int rv = real.clock_gettime(clock, ts);
    int64_t ms = control->clock_offset_ms;
    if (rv == 0 && ms != 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = ts->tv_nsec + ms % 1000 * 1000000;
        ts->tv_sec += ms / 1000 + (ns >= 1000000000) - (ns < 0);
        ts->tv_nsec = ns >= 1000000000 ? ns - 1000000000 : ns < 0 ? ns + 1000000000 : ns;
    }
    return rv;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    if (out != NULL) {
        *out = ts.tv_sec;
    }
    return ts.tv_sec;
}
