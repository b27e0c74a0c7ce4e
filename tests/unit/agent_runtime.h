/* A runtime on a loop of its own, what it called back, and waiting for that. */
#ifndef TESTS_UNIT_AGENT_RUNTIME_H
#define TESTS_UNIT_AGENT_RUNTIME_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/image/image.h"
#include "agent/runtime/cgroup.h"
#include "agent/runtime/runtime.h"
#include "agent/runtime/sandbox.h"
#include "base/buf.h"
#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define POD "11111111-2222-3333-4444-555555555555"

struct fixture {
    uv_loop_t loop;
    uv_timer_t limit;
    bool limit_hit;
    struct runtime *rt;
    struct image_store *images;
    struct sandbox_store *sandboxes;
    struct cgroup *cgroup;
    struct image *image;
    struct sandbox sb;
    char dir[64], run[64], cgroup_path[CGROUP_PATH_MAX], id[RUNTIME_ID_MAX], log[256];
    unsigned starts, exits, dones, execs, ends;
    int start_error, done_error, exec_error, exit_code;
    char start_message[ERROR_MESSAGE_MAX], reason[64], exec_output[4096], message[256];
    bool oom;
    int exit_signal, exec_code, end_code, end_error;
    struct buf streamed;
    bool closed;
};

static inline void on_exit_event(const struct runtime_status *st, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    assert_true(f->starts > 0);
    f->exits++;
    f->exit_code = st->exit_code;
    f->exit_signal = st->signal;
    f->oom = st->oom_killed;
    snprintf(f->reason, sizeof f->reason, "%s", st->reason);
    snprintf(f->message, sizeof f->message, "%s", st->message);
}
static inline void on_start(const struct runtime_started *r, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    f->starts++;
    f->start_error = r->error == NULL ? 0 : r->error->code;
    snprintf(f->start_message, sizeof f->start_message, "%s", r->error == NULL ? "" : r->error->message);
    snprintf(f->reason, sizeof f->reason, "%s", r->reason);
    if (r->error == NULL) {
        assert_int_equal(r->status->state, RUNTIME_RUNNING);
        assert_true(r->status->pid > 0 && r->status->started_ms > 0);
    }
}
static inline void on_done(const struct error *err, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    f->dones++;
    f->done_error = err == NULL ? 0 : err->code;
}
static inline void on_exec(const struct runtime_exec_result *r, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    f->execs++;
    f->exec_error = r->error == NULL ? 0 : r->error->code;
    f->exec_code = r->exit_code;
    snprintf(f->exec_output, sizeof f->exec_output, "%.*s", STR_ARG(r->output));
}
static inline void on_stream_output(struct runtime_exec *x, int fd, const uint8_t *p, size_t n, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    (void)x;
    (void)fd;
    buf_append(&f->streamed, p, n);
}
static inline void on_stream_end(struct runtime_exec *x, int exit_code, const struct error *err, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    (void)x;
    f->ends++;
    f->end_code = exit_code;
    f->end_error = err == NULL ? 0 : err->code;
}
static inline void on_closed(void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    f->closed = true;
}
static inline void on_limit(uv_timer_t *t)
{
    struct fixture *f = t->data;
    uv_stop(&f->loop);
    f->limit_hit = true;
}

static inline struct fixture *fixture_new(void)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->limit);
    f->limit.data = f;
    return f;
}

/* The loop with it; everything on it is closed or being closed. */
static inline void fixture_close(struct fixture *f)
{
    uv_close((uv_handle_t *)&f->limit, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    buf_close(&f->streamed);
}

/* Turns the loop until *counter reaches n. */
static inline void wait_for(struct fixture *f, const unsigned *counter, unsigned n)
{
    f->limit_hit = false;
    uv_timer_start(&f->limit, on_limit, 120000, 0);
    while (*counter < n && !f->limit_hit) {
        uv_run(&f->loop, UV_RUN_DEFAULT); /* until a callback stops it */
    }
    uv_timer_stop(&f->limit);
    assert_int_equal(*counter, n);
}

/* The same until a streamed command has said this. */
static inline void wait_for_output(struct fixture *f, const char *text)
{
    f->limit_hit = false;
    uv_timer_start(&f->limit, on_limit, 120000, 0);
    while (strstr(buf_cstr(&f->streamed), text) == NULL && !f->limit_hit) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    uv_timer_stop(&f->limit);
    if (f->limit_hit) {
        fail_msg("%s is not in: %s", text, buf_cstr(&f->streamed));
    }
}

static inline void start(struct fixture *f, struct runtime_spec *spec, const char *const *command)
{
    spec->command = command;
    unsigned before = f->starts;
    runtime_start(f->rt, spec, on_start, f);
    assert_int_equal(f->starts, before);
    wait_for(f, &f->starts, before + 1);
}
static inline void base_spec(struct fixture *f, struct runtime_spec *s)
{
    runtime_spec_init(s);
    s->pod_uid = POD;
    s->pod_name = "p";
    s->pod_ns = "default";
    s->name = "c";
    s->image = f->image;
    s->log_path = f->log;
    runtime_container_id(f->id, POD, "c", 0);
}
/* A command whose output is captured: what came of it is in exec_error, exec_code, exec_output. */
static inline void run_inside(struct fixture *f, const char *id, const char *const *argv, int64_t timeout_ms)
{
    unsigned before = f->execs;
    runtime_exec(f->rt, id, argv, timeout_ms, on_exec, f);
    wait_for(f, &f->execs, before + 1);
}
static const struct runtime_exec_events streaming = {.on_output = on_stream_output, .on_end = on_stream_end};

/* To a command that gives back what it reads, and ends with its input. */
static inline void say_hello(struct fixture *f, const char *const *argv)
{
    unsigned before = f->ends;
    struct runtime_exec *x =
        runtime_exec_open(f->rt, f->id, &(struct runtime_exec_spec){.argv = argv, .stdin_open = true}, &streaming, f);
    runtime_exec_write(f->rt, x, "hello", 5);
    runtime_exec_end_input(f->rt, x);
    wait_for(f, &f->ends, before + 1);
    assert_string_equal(buf_cstr(&f->streamed), "hello");
}
static inline void kill_it(struct fixture *f, int signal)
{
    unsigned before = f->exits;
    runtime_kill(f->rt, f->id, signal, on_done, f);
    wait_for(f, &f->exits, before + 1);
}
static inline void remove_it(struct fixture *f)
{
    unsigned before = f->dones;
    runtime_remove(f->rt, f->id, on_done, f);
    assert_int_equal(f->dones, before);
    wait_for(f, &f->dones, before + 1);
    assert_int_equal(f->done_error, 0);
    struct runtime_status st;
    assert_false(runtime_get(f->rt, f->id, &st));
}
static inline void close_runtime(struct fixture *f)
{
    f->closed = false;
    runtime_close(f->rt, on_closed, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->closed);
}

#endif
