#include "tests/fault/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/up/up.h"

void fault_die(const char *what, const struct error *err)
{
    fprintf(stderr, "fault: %s: %s\n", what, err == NULL ? strerror(errno) : err->message);
    fflush(NULL);
    _exit(FAULT_EXIT_BROKEN); /* from any thread, with others at work */
}

int64_t fault_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void fault_sleep_ms(int64_t ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR) {
    }
}

static bool run(int netns_fd, struct error *err, const char *line)
{
    char ns[40];
    snprintf(ns, sizeof ns, "/proc/self/fd/%d", netns_fd);
    return up_command_in(netns_fd < 0 ? NULL : ns, err, "%s", line) == 0;
}

bool fault_try(int netns_fd, struct error *err, const char *fmt, ...)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    va_list ap;
    va_start(ap, fmt);
    const char *line = arena_vprintf(&a, fmt, ap);
    va_end(ap);
    return run(netns_fd, err, line);
}

void fault_command(int netns_fd, const char *fmt, ...)
{
    CLEANUP_ARENA struct arena a;
    struct error err = {0};
    arena_init(&a);
    va_list ap;
    va_start(ap, fmt);
    const char *line = arena_vprintf(&a, fmt, ap);
    va_end(ap);
    if (!run(netns_fd, &err, line)) {
        fault_die("command", &err);
    }
}

void fault_write_file(const char *path, const char *text)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        fault_die(path, NULL);
    }
}

void fault_make_dir(const char *path)
{
    CLEANUP_FREE char *copy = xstrdup(path);
    for (char *p = copy + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
        *p = '\0';
        if (mkdir(copy, 0755) != 0 && errno != EEXIST) {
            fault_die(copy, NULL);
        }
    }
    if (mkdir(copy, 0755) != 0 && errno != EEXIST) {
        fault_die(copy, NULL);
    }
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void fault_remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
