/* Hooks and probes: one run each, by command, HTTP, TCP or gRPC. Every run answers exactly once, with the token of the
 * attempt it belongs to. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/pod/podops.h"
#include "agent/pod/prober.h"
#include "agent/util/defer.h"

struct check {
    struct container *container;
    unsigned token;
    int which; /* probe; -1 = hook */
    uv_timer_t timer;
};

static void answer_check(struct check *k, bool ok, const char *message)
{
    if (k->which < 0) {
        container_on_hook(k->container, k->token, ok, message);
    } else {
        container_on_probe(k->container, k->which, k->token, ok, message);
    }
    free(k);
}

static void on_check(bool ok, const char *message, void *data)
{
    answer_check(data, ok, message);
}

/* The output is the program's own; the kubelet shows it in the event as well. */
static void on_check_exec(const struct runtime_exec_result *r, void *data)
{
    struct check *k = data;
    char message[300];
    if (r->error != NULL) {
        snprintf(message, sizeof message, "%.290s", r->error->message);
    } else {
        struct str out = r->output;
        while (out.n > 0 && (out.p[out.n - 1] == '\n' || out.p[out.n - 1] == ' ')) {
            out.n--;
        }
        out.n = MIN(out.n, 200);
        snprintf(message, sizeof message, "command exited with %d%s%.*s", r->exit_code, out.n > 0 ? ": " : "",
                 STR_ARG(out));
    }
    answer_check(k, r->error == NULL && r->exit_code == 0, message);
}

static void on_slept(uv_handle_t *h)
{
    answer_check(h->data, true, "");
}

static void on_sleep_over(uv_timer_t *t)
{
    uv_close((uv_handle_t *)t, on_slept);
}

static void check_unknown(void *data)
{
    answer_check(data, false, "this agent does not know how to ask that");
}

static void check_passed(void *data)
{
    answer_check(data, true, "");
}

static void run_check(struct container *c, int which, const struct podspec_handler *h, int64_t timeout_ms)
{
    struct agent *a = podops_agent(c->pod);
    struct check *k = xcalloc(1, sizeof *k);
    k->container = c;
    k->token = c->token;
    k->which = which;
    char id[RUNTIME_ID_MAX];
    switch (h->kind) {
    case PODSPEC_HANDLER_EXEC:
        container_runtime_id(c, c->attempt, id);
        runtime_exec(a->runtime, id, h->argv, timeout_ms, on_check_exec, k);
        break;
    case PODSPEC_HANDLER_SLEEP:
        uv_timer_init(a->loop, &k->timer);
        k->timer.data = k;
        uv_timer_start(&k->timer, on_sleep_over, (uint64_t)h->sleep_ms, 0);
        break;
    case PODSPEC_HANDLER_HTTP:
    case PODSPEC_HANDLER_TCP:
    case PODSPEC_HANDLER_GRPC:
        if (a->hollow) { /* nobody is there to answer */
            defer_call(a->loop, check_passed, k);
        } else {
            prober_run(a->loop, h, c->pod->ip, timeout_ms > 0 ? timeout_ms : 30000, on_check, k);
        }
        break;
    default:
        defer_call(a->loop, check_unknown, k);
    }
}

void podops_hook(struct container *c, const struct podspec_handler *h, int64_t timeout_ms)
{
    run_check(c, -1, h, timeout_ms);
}

void podops_probe(struct container *c, int which)
{
    const struct podspec_probe *p = &c->spec->probes[which];
    run_check(c, which, &p->handler, p->timeout_ms);
}
