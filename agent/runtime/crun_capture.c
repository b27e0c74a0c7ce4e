/* Commands in running containers whose output is captured: probes and hooks. */
#include <signal.h>
#include <stdlib.h>

#include "agent/runtime/crun_command.h"
#include "agent/util/attend.h"
#include "agent/util/defer.h"

#define EXEC_BEGIN_MS 30000 /* for crun to get a command of a probe or hook to run */

struct capture {
    struct list link; /* in rt->execs */
    struct crun *rt;
    struct process *process;
    uv_timer_t timer;
    struct attend limit, patience; /* of the command; of crun until the command runs */
    bool timed_out;
    char *base;
    struct buf output;
    int exit_code;
    int rc;
    struct error error;
    runtime_exec_cb *cb;
    void *data;
};

static void capture_end(struct capture *x)
{
    struct crun *rt = x->rt;
    struct runtime_exec_result r = {
        .error = x->rc == 0 ? NULL : &x->error, .exit_code = x->exit_code, .output = buf_str(&x->output)};
    x->cb(&r, x->data);
    buf_close(&x->output);
    free(x->base);
    free(x);
    crun_release(rt);
}

static void capture_deferred(void *data)
{
    capture_end(data);
}

static void capture_closed(uv_handle_t *h)
{
    capture_end(h->data);
}

static void captured(struct process *p, const struct process_result *r, void *data)
{
    struct capture *x = data;
    (void)p;
    x->process = NULL;
    x->exit_code = r->exit_code;
    if (r->exit_code == CRUN_FAILED) {
        CLEANUP_BUF struct buf said = BUF_INIT;
        buf_append_str(&said, r->err);
        x->exit_code = crun_command_exit_code(x->base, r->exit_code, buf_cstr(&said));
    }
    crun_command_unlink(x->base);
    if (x->timed_out) {
        x->rc = error_set(&x->error, ERR_TIMEOUT, "the command timed out");
    } else if (r->error != 0) {
        x->rc = error_set(&x->error, r->error, "%s", r->message);
    }
    buf_append_str(&x->output, r->out);
    buf_append_str(&x->output, r->err);
    x->output.size = MIN(x->output.size, (size_t)RUNTIME_EXEC_OUTPUT_MAX);
    list_remove(&x->link);
    uv_close((uv_handle_t *)&x->timer, capture_closed);
}

static void capture_kill(struct capture *x)
{
    x->timed_out = true;
    crun_command_kill(x->base);
    if (x->process != NULL) {
        process_kill(x->process, SIGKILL);
    }
}

/* The time that crun itself takes on a busy machine is not the command's. */
static void capture_tick(uv_timer_t *t)
{
    struct capture *x = t->data;
    int64_t now = (int64_t)uv_now(t->loop);
    bool waits = !crun_command_has_begun(x->base) && attend_tick(&x->patience, now) > 0;
    int64_t wait_ms = waits ? attend_skip(&x->limit, now) : attend_tick(&x->limit, now);
    if (wait_ms > 0) {
        uv_timer_start(t, capture_tick, (uint64_t)wait_ms, 0);
    } else {
        capture_kill(x);
    }
}

void crun_exec(struct runtime *base, const char *id, const char *const *argv, int64_t timeout_ms, runtime_exec_cb *cb,
               void *data)
{
    struct crun *rt = (struct crun *)base;
    struct crun_container *c = NULL;
    struct capture *x = xcalloc(1, sizeof *x);
    x->rt = rt;
    x->cb = cb;
    x->data = data;
    list_init(&x->link);
    crun_hold(rt);
    x->rc = crun_command_find(rt, id, &c, &x->error);
    struct crun_command args;
    if (x->rc == 0) {
        x->base = crun_command_path(c, x);
        crun_command_args(&args, c, x->base, NULL);
        x->rc = crun_command_write(c, x->base, argv, NULL, &x->error);
    }
    if (x->rc != 0) {
        defer_call(rt->loop, capture_deferred, x);
        return;
    }
    uv_timer_init(rt->loop, &x->timer);
    x->timer.data = x;
    if (timeout_ms > 0) {
        uv_update_time(rt->loop);
        int64_t now = (int64_t)uv_now(rt->loop), wait_ms = attend_start(&x->limit, timeout_ms, now);
        attend_start(&x->patience, EXEC_BEGIN_MS, now);
        uv_timer_start(&x->timer, capture_tick, (uint64_t)wait_ms, 0);
    }
    list_push_back(&rt->execs, &x->link);
    struct process_spec ps = {.argv = args.argv, .output_max = RUNTIME_EXEC_OUTPUT_MAX};
    x->process = process_run(rt->loop, &ps, captured, x);
}

void crun_capture_kill_all(struct crun *rt)
{
    LIST_FOR_SAFE(it, &rt->execs)
    {
        capture_kill(LIST_ENTRY(it, struct capture, link));
    }
}
