#include "tests/bench/bench_fair.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench_web.h"

#define OTHERS      8u
#define PAUSE_MS    10 /* between an answer and the next request: they are no load by themselves */
#define CONNECTIONS "10000"
#define CORES_MAX   256

/* ---- The greedy one ---- */

static void ask_all(struct web *w)
{
    web_send(w, "GET /api/v1/namespaces/rest/pods HTTP/1.1", STR_NONE);
}

static void ask_some(struct web *w)
{
    web_send(w, "GET /api/v1/namespaces/rest/pods?limit=50 HTTP/1.1", STR_NONE);
}

static void say_ready(const struct web_run *r)
{
    printf("ready: %u open, %u closed, %u answers of refusal\n", r->open, r->closed, r->refused);
    fflush(stdout);
}

void bench_greedy_lists(struct kit *k, unsigned connections)
{
    struct web_run r;
    char *address = kit_leader_address(k);
    web_run_open(&r, k, address, connections);
    r.tolerant = true;
    say_ready(&r);
    web_run_all(&r, ask_all, 3600, 0);
    web_run_close(&r);
    free(address);
}

void bench_greedy_connections(struct kit *k, unsigned count)
{
    struct web_run r;
    bool never = false;
    char *address = kit_leader_address(k);
    web_run_open_some(&r, k, address, count);
    for (unsigned i = 0; i < count; i++) {
        if (r.webs[i].conn != NULL) {
            ask_some(&r.webs[i]);
        }
    }
    while (r.answered + r.closed < count) {
        uv_run(&k->loop, UV_RUN_ONCE);
    }
    say_ready(&r);
    kit_run(k, &never, 3600 * 1000);
    free(address);
}

struct greedy {
    pid_t pid;
    FILE *told;
};

/* A child that runs when nobody else wants the core, and dies with this process. */
static pid_t fork_idle(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) {
        web_die("fork", strerror(errno));
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0}) != 0) {
            _exit(126);
        }
    }
    return pid;
}

/* Who is greedy runs at the lowest priority: it is told what masters do to others, and in life he has a machine of his
 * own. */
static struct greedy greedy_start(const char *config, const char *what, const char *n)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        web_die("pipe", strerror(errno));
    }
    pid_t pid = fork_idle();
    if (pid == 0) {
        if (dup2(ends[1], 1) < 0) {
            _exit(126);
        }
        execl("/proc/self/exe", "bench_cluster", "--config", config, what, n, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    return (struct greedy){pid, fdopen(ends[0], "r")};
}

/* Blocks until it has begun. */
static void greedy_await(struct greedy *g, const char *what)
{
    char line[128];
    if (fgets(line, sizeof line, g->told) == NULL) {
        web_die(what, "the greedy client ended");
    }
    fprintf(stderr, "# %s: %s", what, line);
}

static void greedy_end(struct greedy *g)
{
    kill(g->pid, SIGKILL);
    waitpid(g->pid, NULL, 0);
    fclose(g->told);
}

/* ---- The others ---- */

struct others {
    struct web_run run;
    uv_timer_t timers[OTHERS];
    unsigned number; /* of the next object */
    bool creates;
};

static void on_pause(uv_timer_t *timer)
{
    struct web *w = timer->data;
    struct others *o = w->run->data;
    char head[128], body[96];
    if (o->creates) {
        snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"fair-%u\"}}", o->number++);
        web_send(w, "POST /api/v1/namespaces/rest/configmaps HTTP/1.1\r\nContent-Type: application/json", str_of(body));
    } else {
        snprintf(head, sizeof head, "GET /api/v1/namespaces/rest/pods/p-%05u HTTP/1.1", 1 + o->number++ % 1000);
        web_send(w, head, STR_NONE);
    }
}

static void ask_later(struct web *w)
{
    struct others *o = w->run->data;
    uv_timer_start(&o->timers[w - w->run->webs], on_pause, PAUSE_MS, 0);
}

static void measure(struct others *o, const char *name, double seconds)
{
    char text[64];
    for (unsigned i = 0; i < 2; i++) {
        const char *what = i == 0 ? "get" : "create";
        o->creates = i == 1;
        web_run_all(&o->run, ask_later, seconds, 0);
        snprintf(text, sizeof text, "fair_%s_%s_p50", name, what);
        kit_line(text, samples_percentile(&o->run.took, 0.5) / 1000.0, "ms");
        snprintf(text, sizeof text, "fair_%s_%s_p99", name, what);
        kit_line(text, samples_percentile(&o->run.took, 0.99) / 1000.0, "ms");
    }
}

static void beside(struct others *o, const char *name, const char *greedy, const char *what, const char *n,
                   double seconds)
{
    struct greedy g = greedy_start(greedy, what, n);
    greedy_await(&g, name);
    measure(o, name, seconds);
    greedy_end(&g);
}

/* All cores are busy, and nobody asks anything: what the machine alone does to the others. */
static void beside_loops(struct others *o, double seconds)
{
    pid_t pids[CORES_MAX];
    long count = MIN(sysconf(_SC_NPROCESSORS_ONLN), (long)CORES_MAX);
    for (long i = 0; i < count; i++) {
        pids[i] = fork_idle();
        if (pids[i] == 0) {
            for (;;) {
            }
        }
    }
    measure(o, "busy", seconds);
    for (long i = 0; i < count; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
}

void bench_fair(struct kit *k, double seconds, const char *greedy)
{
    struct others o = {0};
    char *address = kit_leader_address(k);
    web_run_open(&o.run, k, address, OTHERS);
    o.run.data = &o;
    for (unsigned i = 0; i < OTHERS; i++) {
        uv_timer_init(&k->loop, &o.timers[i]);
        o.timers[i].data = &o.run.webs[i];
    }
    measure(&o, "alone", seconds);
    beside_loops(&o, seconds);
    beside(&o, "list", greedy, "greedy-lists", "1", seconds);
    beside(&o, "lists", greedy, "greedy-lists", "64", seconds);
    struct greedy g = greedy_start(greedy, "greedy-connections", CONNECTIONS);
    measure(&o, "opening", seconds); /* several seconds: handshakes are taken a few at a time */
    greedy_await(&g, "connections");
    measure(&o, "connections", seconds);
    greedy_end(&g);
    measure(&o, "again", seconds);
    for (unsigned i = 0; i < OTHERS; i++) {
        uv_close((uv_handle_t *)&o.timers[i], NULL);
    }
    web_run_close(&o.run);
    free(address);
}
