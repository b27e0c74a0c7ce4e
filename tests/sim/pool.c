#include "tests/sim/pool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

#define HANG_S 120

struct worker {
    pid_t pid; /* 0 = none */
    int fd;
    size_t next;           /* place in the list of the seed it is at, or will be */
    bool running;          /* a seed */
    struct report partial; /* as much as has come */
    size_t got;
};

/* ---- Inside a worker ---- */

static void tell(int fd, const struct report *r)
{
    const char *p = (const char *)r;
    for (size_t at = 0; at < sizeof *r;) {
        ssize_t n = write(fd, p + at, sizeof *r - at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            _exit(3); /* nobody listens */
        }
        at += (size_t)n;
    }
}

/* Of the processor's time: the machine may be busy with other things. 0 = no limit. */
static void allow(long seconds)
{
    const struct itimerval t = {.it_value.tv_sec = seconds};
    setitimer(ITIMER_VIRTUAL, &t, NULL);
}

static void work(const struct pool *p, size_t from, int fd)
{
    static struct report r;
    for (size_t i = from; i < p->count; i += p->jobs) {
        memset(&r, 0, sizeof r);
        r.seed = p->seeds[i];
        tell(fd, &r);
        allow(HANG_S);
        sim_run_seed(p->seeds[i], false, NULL, &r);
        allow(0);
        tell(fd, &r);
    }
}

/* ---- Traces ---- */

/* The seed again, in a process of its own, since it may die of it. */
static void write_trace(const struct pool *p, uint64_t seed)
{
    char path[600], history[600];
    if (p->logs == NULL) {
        return;
    }
    snprintf(path, sizeof path, "%s/sim-%llu.trace", p->logs, (unsigned long long)seed);
    snprintf(history, sizeof history, "%s/sim-%llu.jsonl", p->logs, (unsigned long long)seed);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        static struct report r;
        mkdir(p->logs, 0777);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) {
            _exit(1);
        }
        allow(2 * HANG_S);
        sim_run_seed(seed, true, history, &r);
        _exit(0);
    }
    int status;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    printf("    trace:  %s\n", path);
}

static void say_failed(const struct pool *p, uint64_t seed, const char *why)
{
    printf("seed %llu: %s\n    replay: %s --seed %llu --trace\n", (unsigned long long)seed, why, p->program,
           (unsigned long long)seed);
    write_trace(p, seed);
    fflush(stdout);
}

/* ---- Outside ---- */

static void count(struct pool *p, const struct report *r)
{
    struct totals *t = &p->totals;
    t->run++;
    t->failed += r->failed;
    t->done += r->done;
    t->unknown += r->unknown;
    t->faults += r->faults;
    t->revisions += r->revisions;
    t->changes += r->changes;
    t->installs += r->installs;
    t->virtual_ms += r->virtual_ms;
    t->unjudged += r->unjudged;
    if (r->rest_ms > t->rest_ms_max) {
        t->rest_ms_max = r->rest_ms;
        t->rest_seed = r->seed;
    }
    if (p->verbose) {
        printf("seed %llu: %s\n", (unsigned long long)r->seed, r->summary);
    }
    if (r->failed) {
        say_failed(p, r->seed, r->violation);
    }
}

static void start(struct pool *p, struct worker *w)
{
    int fds[2];
    if (pipe(fds) != 0) {
        perror("sim: pipe");
        exit(2);
    }
    fflush(stdout);
    w->pid = fork();
    if (w->pid == 0) {
        close(fds[0]);
        work(p, w->next, fds[1]);
        exit(0); /* a sanitizer's last word is an exit code */
    }
    close(fds[1]);
    w->fd = fds[0];
    w->got = 0;
    w->running = false;
}

static void hear(struct pool *p, struct worker *w)
{
    w->got = 0;
    if (!w->partial.ended) {
        w->running = true;
        return;
    }
    w->running = false;
    count(p, &w->partial);
    w->next += p->jobs;
}

/* Its pipe is closed. If it did not come to its end, the seed it was at is to blame. */
static void reap(struct pool *p, struct worker *w)
{
    int status = 0;
    char why[200];
    close(w->fd);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
    }
    w->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return;
    }
    if (WIFSIGNALED(status)) {
        snprintf(why, sizeof why, WTERMSIG(status) == SIGVTALRM ? "still not over after %d s" : "dies of signal %d",
                 WTERMSIG(status) == SIGVTALRM ? HANG_S : WTERMSIG(status));
    } else {
        snprintf(why, sizeof why, "ends with exit code %d", WEXITSTATUS(status));
    }
    p->totals.run += w->running;
    p->totals.failed++;
    if (!w->running) {
        printf("a worker that was through with its seeds %s\n", why);
        return;
    }
    say_failed(p, p->seeds[w->next], why);
    w->next += p->jobs;
    if (w->next < p->count) {
        start(p, w);
    }
}

static void read_some(struct pool *p, struct worker *w)
{
    ssize_t n = read(w->fd, (char *)&w->partial + w->got, sizeof w->partial - w->got);
    if (n > 0) {
        w->got += (size_t)n;
        if (w->got == sizeof w->partial) {
            hear(p, w);
        }
    } else if (n == 0 || errno != EINTR) {
        reap(p, w);
    }
}

void pool_run(struct pool *p)
{
    static struct worker workers[POOL_JOBS_MAX];
    assert(p->jobs > 0 && p->jobs <= POOL_JOBS_MAX);
    for (unsigned i = 0; i < p->jobs && i < p->count; i++) {
        workers[i].next = i;
        start(p, &workers[i]);
    }
    for (;;) {
        struct pollfd fds[POOL_JOBS_MAX];
        struct worker *of[POOL_JOBS_MAX];
        nfds_t n = 0;
        for (unsigned i = 0; i < p->jobs; i++) {
            if (workers[i].pid != 0) {
                of[n] = &workers[i];
                fds[n++] = (struct pollfd){.fd = workers[i].fd, .events = POLLIN};
            }
        }
        if (n == 0) {
            return;
        }
        if (poll(fds, n, -1) < 0) {
            continue; /* a signal */
        }
        for (nfds_t i = 0; i < n; i++) {
            if (fds[i].revents != 0) {
                read_some(p, of[i]);
            }
        }
    }
}
