/* The hollow runtime: containers that are only rows in a table and timers. For clusters of thousands of nodes on one
 * machine, and for tests of everything above the runtime. The laws are those of the real one: callbacks later,
 * on_exit once, ids unique. */
#include "agent/runtime/runtime.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/runtime/oci.h"
#include "agent/util/defer.h"
#include "base/env.h"
#include "base/list.h"
#include "base/mem.h"

struct hollow {
    struct runtime base; /* first */
    uv_loop_t *loop;
    struct list containers;
    struct list execs;
    struct list attached; /* struct attached */
    unsigned holders;
    unsigned told; /* containers that were told what they use */
    bool closing;
    int next_pid;
    void (*close_cb)(void *data);
    void *close_data;
};

struct container {
    struct list link;
    struct hollow *rt;
    char id[RUNTIME_ID_MAX];
    char *pod_uid, *name, *image_ref, *note, *log_path;
    unsigned attempt;
    enum runtime_state state;
    int pid;
    int64_t created_ms, started_ms, finished_ms;
    int exit_code;
    bool oom, oom_killed, ignore_term, fails, cat;
    int64_t exit_after_ms; /* -1 = by itself never */
    int exit_with;
    int64_t cpu_milli, memory_bytes; /* that it uses; both -1 = it is not told */
    uv_timer_t timer;                /* start, then exit */
    runtime_start_cb *cb;
    void *data;
};

static void release(struct hollow *rt)
{
    if (--rt->holders > 0) {
        return;
    }
    void (*cb)(void *data) = rt->close_cb;
    void *data = rt->close_data;
    free(rt);
    if (cb != NULL) {
        cb(data);
    }
}

static void container_free(struct container *c)
{
    struct hollow *rt = c->rt;
    free(c->pod_uid);
    free(c->name);
    free(c->image_ref);
    free(c->note);
    free(c->log_path);
    free(c);
    release(rt);
}

static void container_closed(uv_handle_t *h)
{
    container_free(h->data);
}

static void detach_all(struct hollow *rt, const char *id);

/* Out of the table at once; the memory goes with the timer. */
static void container_drop(struct container *c)
{
    detach_all(c->rt, c->id);
    list_remove(&c->link);
    c->rt->told -= c->cpu_milli >= 0 || c->memory_bytes >= 0;
    uv_close((uv_handle_t *)&c->timer, container_closed);
}

static struct container *find(struct hollow *rt, const char *id)
{
    LIST_FOR(it, &rt->containers)
    {
        struct container *c = LIST_ENTRY(it, struct container, link);
        if (strcmp(c->id, id) == 0) {
            return c;
        }
    }
    return NULL;
}

static void fill(const struct container *c, struct runtime_status *out)
{
    *out = (struct runtime_status){
        .id = c->id,
        .pod_uid = c->pod_uid,
        .name = c->name,
        .attempt = c->attempt,
        .state = c->state,
        .image_ref = c->image_ref,
        .note = c->note,
        .log_path = c->log_path,
        .writable_path = "",
        .pid = c->state == RUNTIME_RUNNING ? c->pid : 0,
        .created_ms = c->created_ms,
        .started_ms = c->started_ms,
        .finished_ms = c->finished_ms,
        .exit_code = c->exit_code,
        .signal = c->exit_code > 128 ? c->exit_code - 128 : 0,
        .oom_killed = c->oom_killed,
        .reason = c->state != RUNTIME_EXITED ? ""
                  : c->oom_killed            ? "OOMKilled"
                  : c->exit_code == 0        ? "Completed"
                                             : "Error",
        .message = "",
    };
}

static void set_exited(struct container *c, int code)
{
    struct runtime_status st;
    assert(c->state == RUNTIME_RUNNING);
    uv_timer_stop(&c->timer);
    c->state = RUNTIME_EXITED;
    c->exit_code = code;
    c->oom_killed = c->oom && code != 0;
    c->finished_ms = env_wall_ms(env_real());
    detach_all(c->rt, c->id);
    fill(c, &st);
    if (!c->rt->closing && c->rt->base.events.on_exit != NULL) {
        c->rt->base.events.on_exit(&st, c->rt->base.events.data);
    }
}

static void exit_due(uv_timer_t *t)
{
    struct container *c = t->data;
    set_exited(c, c->exit_with);
}

static void start_due(uv_timer_t *t)
{
    struct container *c = t->data;
    struct runtime_status st;
    struct error err = {0};
    if (c->fails) {
        error_set(&err, ERR_SYSTEM, "failed to start the container: it is told to fail");
        c->cb(&(struct runtime_started){.error = &err, .reason = "RunContainerError"}, c->data);
        container_drop(c);
        return;
    }
    c->state = RUNTIME_RUNNING;
    c->started_ms = env_wall_ms(env_real());
    fill(c, &st);
    if (c->exit_after_ms >= 0) {
        uv_timer_start(t, exit_due, (uint64_t)c->exit_after_ms, 0);
    }
    c->cb(&(struct runtime_started){.reason = "", .status = &st}, c->data);
}

/* ---- What the specification tells the container to do ---- */

static int64_t env_number(const struct runtime_spec *s, const char *key, int64_t fallback)
{
    size_t n = strlen(key);
    for (const char *const *e = s->env; e != NULL && *e != NULL; e++) {
        if (strncmp(*e, key, n) == 0 && (*e)[n] == '=') {
            return strtoll(*e + n + 1, NULL, 10);
        }
    }
    return fallback;
}

static bool is_told(const struct container *c)
{
    return c->cpu_milli >= 0 || c->memory_bytes >= 0;
}

static void read_script(struct container *c, const struct runtime_spec *spec)
{
    CLEANUP_FREE const char **args = oci_args(spec);
    const char *verb = args[0] == NULL ? "" : args[0], *number = args[0] == NULL || args[1] == NULL ? "0" : args[1];
    c->exit_after_ms = env_number(spec, "HOLLOW_EXIT_MS", -1);
    c->exit_with = (int)env_number(spec, "HOLLOW_EXIT_CODE", 0);
    c->oom = env_number(spec, "HOLLOW_OOM", 0) != 0;
    c->cpu_milli = env_number(spec, "HOLLOW_CPU_MILLI", -1);
    c->memory_bytes = env_number(spec, "HOLLOW_MEMORY_BYTES", -1);
    c->rt->told += is_told(c);
    if (strcmp(verb, "exit") == 0) {
        c->exit_after_ms = 0;
        c->exit_with = atoi(number);
    } else if (strcmp(verb, "sleep") == 0) {
        c->exit_after_ms = (int64_t)(strtod(number, NULL) * 1000);
    } else if (strcmp(verb, "fail") == 0) {
        c->fails = true;
    } else if (strcmp(verb, "ignore-term") == 0) {
        c->ignore_term = true;
    } else if (strcmp(verb, "cat") == 0) {
        c->cat = true;
    }
}

struct refusal {
    struct hollow *rt;
    char id[RUNTIME_ID_MAX];
    runtime_start_cb *cb;
    void *data;
};

static void refuse(void *data)
{
    struct refusal *r = data;
    struct error err = {0};
    error_set(&err, ERR_EXISTS, "container %s exists already", r->id);
    r->cb(&(struct runtime_started){.error = &err, .reason = "CreateContainerError"}, r->data);
    release(r->rt);
    free(r);
}

static void op_create_start(struct runtime *base, const struct runtime_spec *spec, runtime_start_cb *cb, void *data)
{
    struct hollow *rt = (struct hollow *)base;
    char id[RUNTIME_ID_MAX];
    assert(!rt->closing && spec->image != NULL);
    runtime_container_id(id, spec->pod_uid, spec->name, spec->attempt);
    rt->holders++;
    if (find(rt, id) != NULL) {
        struct refusal *r = xcalloc(1, sizeof *r);
        r->rt = rt;
        r->cb = cb;
        r->data = data;
        strcpy(r->id, id);
        defer_call(rt->loop, refuse, r);
        return;
    }
    struct container *c = xcalloc(1, sizeof *c);
    c->rt = rt;
    strcpy(c->id, id);
    c->pod_uid = xstrdup(spec->pod_uid);
    c->name = xstrdup(spec->name);
    c->attempt = spec->attempt;
    c->image_ref = xstrdup(spec->image->id);
    c->note = xstrdup(spec->note == NULL ? "" : spec->note);
    c->log_path = xstrdup(spec->log_path == NULL ? "" : spec->log_path);
    c->pid = rt->next_pid++;
    c->created_ms = env_wall_ms(env_real());
    c->state = RUNTIME_STARTING;
    c->cb = cb;
    c->data = data;
    read_script(c, spec);
    list_push_back(&rt->containers, &c->link);
    uv_timer_init(rt->loop, &c->timer);
    c->timer.data = c;
    uv_timer_start(&c->timer, start_due, (uint64_t)env_number(spec, "HOLLOW_START_MS", 0), 0);
}

/* ---- Signals, removal ---- */

struct answer {
    struct hollow *rt;
    char id[RUNTIME_ID_MAX];
    int signal; /* 0 = removal */
    runtime_done_cb *cb;
    void *data;
};

static void kill_now(struct container *c, int signal)
{
    if (c->state == RUNTIME_RUNNING && signal != 0 && (signal != SIGTERM || !c->ignore_term) && signal != SIGCHLD) {
        set_exited(c, 128 + signal);
    }
}

static void remove_now(struct container *c)
{
    struct error err = {0};
    if (c->state == RUNTIME_STARTING) {
        error_set(&err, ERR_CANCELED, "the container is being deleted");
        uv_timer_stop(&c->timer);
        list_remove(&c->link);
        c->cb(&(struct runtime_started){.error = &err, .reason = "RunContainerError"}, c->data);
    }
    container_drop(c);
}

static void answer_due(void *data)
{
    struct answer *a = data;
    struct error err = {0};
    struct container *c = find(a->rt, a->id);
    int rc = 0;
    if (c != NULL && a->signal == 0) {
        remove_now(c);
    } else if (c == NULL && a->signal != 0) {
        rc = error_set(&err, ERR_NOT_FOUND, "there is no container %s", a->id);
    } else if (c != NULL && c->state == RUNTIME_STARTING) {
        rc = error_set(&err, ERR_BUSY, "container %s is being started", a->id);
    } else if (c != NULL) {
        kill_now(c, a->signal);
    }
    if (a->cb != NULL) {
        a->cb(rc == 0 ? NULL : &err, a->data);
    }
    release(a->rt);
    free(a);
}

static void answer_later(struct runtime *base, const char *id, int signal, runtime_done_cb *cb, void *data)
{
    struct answer *a = xcalloc(1, sizeof *a);
    a->rt = (struct hollow *)base;
    a->signal = signal;
    a->cb = cb;
    a->data = data;
    snprintf(a->id, sizeof a->id, "%s", id);
    a->rt->holders++;
    defer_call(a->rt->loop, answer_due, a);
}

static void op_kill(struct runtime *base, const char *id, int signal, runtime_done_cb *cb, void *data)
{
    assert(signal > 0);
    answer_later(base, id, signal, cb, data);
}

static void op_remove(struct runtime *base, const char *id, runtime_done_cb *cb, void *data)
{
    answer_later(base, id, 0, cb, data);
}

static bool op_get(struct runtime *base, const char *id, struct runtime_status *out)
{
    struct container *c = find((struct hollow *)base, id);
    if (c != NULL) {
        fill(c, out);
    }
    return c != NULL;
}

static bool op_next(struct runtime *base, unsigned *cursor, struct runtime_status *out)
{
    struct hollow *rt = (struct hollow *)base;
    unsigned at = 0;
    LIST_FOR(it, &rt->containers)
    {
        if (at++ == *cursor) {
            (*cursor)++;
            fill(LIST_ENTRY(it, struct container, link), out);
            return true;
        }
    }
    return false;
}

static bool op_usage(struct runtime *base, const char *id, struct runtime_usage *out)
{
    struct hollow *rt = (struct hollow *)base;
    const struct container *c = id == NULL ? NULL : find(rt, id);
    if (id == NULL) {
        return rt->told > 0;
    }
    if (c == NULL || c->state != RUNTIME_RUNNING || !is_told(c)) {
        return false;
    }
    uint64_t ran_ms = (uint64_t)MAX(env_wall_ms(env_real()) - c->started_ms, (int64_t)0);
    *out = (struct runtime_usage){.cpu_ns = ran_ms * (uint64_t)MAX(c->cpu_milli, (int64_t)0) * 1000,
                                  .memory_bytes = (uint64_t)MAX(c->memory_bytes, (int64_t)0)};
    return true;
}

/* ---- exec ---- */

struct runtime_exec {
    struct list link;
    struct hollow *rt;
    char id[RUNTIME_ID_MAX];
    struct runtime_exec_events events; /* streaming */
    runtime_exec_cb *cb;               /* captured */
    void *data;
    struct buf output;
    bool cat, paused, ended, output_due;
    int exit_code;
};

static void exec_script(struct runtime_exec *x, const char *const *argv)
{
    const char *verb = argv[0] == NULL ? "" : argv[0];
    if (strcmp(verb, "exit") == 0 && argv[1] != NULL) {
        x->exit_code = atoi(argv[1]);
    } else if (strcmp(verb, "echo") == 0) {
        for (unsigned i = 1; argv[i] != NULL; i++) {
            buf_printf(&x->output, "%s%s", i > 1 ? " " : "", argv[i]);
        }
        buf_putc(&x->output, '\n');
    } else if (strcmp(verb, "cat") == 0) {
        x->cat = true;
    }
}

static bool exec_possible(struct runtime_exec *x, struct error *err)
{
    struct container *c = find(x->rt, x->id);
    if (c == NULL) {
        error_set(err, ERR_NOT_FOUND, "there is no container %s", x->id);
        return false;
    }
    if (c->state != RUNTIME_RUNNING) {
        error_set(err, ERR_USAGE, "container not running: %s", c->name);
        return false;
    }
    return true;
}

static void exec_free(struct runtime_exec *x)
{
    struct hollow *rt = x->rt;
    list_remove(&x->link);
    buf_close(&x->output);
    free(x);
    release(rt);
}

static void captured_due(void *data)
{
    struct runtime_exec *x = data;
    struct error err = {0};
    bool ok = exec_possible(x, &err);
    struct runtime_exec_result r = {
        .error = ok ? NULL : &err, .exit_code = x->exit_code, .output = buf_str(&x->output)};
    x->cb(&r, x->data);
    exec_free(x);
}

static struct runtime_exec *exec_new(struct runtime *base, const char *id, const char *const *argv, void *data)
{
    struct runtime_exec *x = xcalloc(1, sizeof *x);
    x->rt = (struct hollow *)base;
    x->data = data;
    snprintf(x->id, sizeof x->id, "%s", id);
    list_push_back(&x->rt->execs, &x->link);
    x->rt->holders++;
    exec_script(x, argv);
    return x;
}

static void op_exec(struct runtime *base, const char *id, const char *const *argv, int64_t timeout_ms,
                    runtime_exec_cb *cb, void *data)
{
    (void)timeout_ms;
    struct runtime_exec *x = exec_new(base, id, argv, data);
    x->cb = cb;
    defer_call(x->rt->loop, captured_due, x);
}

/* One turn of a streaming exec: output if it may flow, then the end. */
static void stream_schedule(struct runtime_exec *x);

static void stream_due(void *data)
{
    struct runtime_exec *x = data;
    struct error err = {0};
    x->output_due = false;
    if (!exec_possible(x, &err)) {
        x->events.on_end(x, 0, &err, x->data);
        exec_free(x);
        return;
    }
    if (x->paused && x->output.size > 0) {
        return;
    }
    if (x->output.size > 0) {
        size_t n;
        CLEANUP_FREE uint8_t *bytes = buf_take(&x->output, &n);
        x->output_due = true; /* nothing is scheduled from inside */
        x->events.on_output(x, 1, bytes, n, x->data);
        x->output_due = false;
        if (x->output.size > 0) {
            stream_schedule(x);
        } else if (x->events.on_drain != NULL) {
            x->events.on_drain(x, x->data);
        }
    }
    if (x->ended || !x->cat) {
        if (x->output.size > 0 || x->paused) {
            return;
        }
        x->events.on_end(x, x->exit_code, NULL, x->data);
        exec_free(x);
    }
}

static void stream_schedule(struct runtime_exec *x)
{
    if (!x->output_due) {
        x->output_due = true;
        defer_call(x->rt->loop, stream_due, x);
    }
}

static struct runtime_exec *op_exec_open(struct runtime *base, const char *id, const struct runtime_exec_spec *spec,
                                         const struct runtime_exec_events *events, void *data)
{
    struct runtime_exec *x = exec_new(base, id, spec->argv, data);
    x->events = *events;
    x->ended = !spec->stdin_open;
    stream_schedule(x);
    return x;
}

static void op_exec_write(struct runtime_exec *x, const void *p, size_t n)
{
    if (x->cat && !x->ended) {
        buf_append(&x->output, p, n);
        stream_schedule(x);
    }
}

static size_t op_exec_pending(const struct runtime_exec *x)
{
    return x->output.size;
}

static void op_exec_end_input(struct runtime_exec *x)
{
    x->ended = true;
    stream_schedule(x);
}

static void op_exec_resize(struct runtime_exec *x, unsigned rows, unsigned columns)
{
    (void)x;
    (void)rows;
    (void)columns;
}

static void op_exec_pause(struct runtime_exec *x, bool pause)
{
    x->paused = pause;
    if (!pause) {
        stream_schedule(x);
    }
}

static void op_exec_kill(struct runtime_exec *x)
{
    x->ended = true;
    x->paused = false;
    x->exit_code = 137;
    buf_reset(&x->output);
    stream_schedule(x);
}

/* ---- Attaching ---- */

/* The container's end of a socket. */
struct attached {
    struct list link;
    struct hollow *rt;
    char id[RUNTIME_ID_MAX];
    int fd;
    uv_poll_t poll;
};

static void attached_closed(uv_handle_t *h)
{
    struct attached *x = h->data;
    struct hollow *rt = x->rt;
    close(x->fd);
    free(x);
    release(rt);
}

static void attached_close(struct attached *x)
{
    if (!uv_is_closing((uv_handle_t *)&x->poll)) {
        list_remove(&x->link);
        uv_close((uv_handle_t *)&x->poll, attached_closed);
    }
}

static void detach_all(struct hollow *rt, const char *id)
{
    LIST_FOR_SAFE(it, &rt->attached)
    {
        struct attached *x = LIST_ENTRY(it, struct attached, link);
        if (id == NULL || strcmp(x->id, id) == 0) {
            attached_close(x);
        }
    }
}

/* One packet at a time. An echo that does not fit is lost, as a terminal's would be. */
static void attached_input(uv_poll_t *p, int status, int events)
{
    struct attached *x = p->data;
    struct container *c = find(x->rt, x->id);
    uint8_t packet[8193];
    (void)events;
    ssize_t n = status < 0 ? 0 : recv(x->fd, packet + 1, sizeof packet - 1, MSG_DONTWAIT);
    if (n < 0) {
        return;
    }
    if (n > 0) {
        packet[0] = 2;
        if (c != NULL && c->cat && send(x->fd, packet, (size_t)n + 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
            attached_close(x);
        }
        return;
    }
    attached_close(x);
    if (c != NULL && c->cat && c->state == RUNTIME_RUNNING) {
        c->exit_with = 0;
        uv_timer_start(&c->timer, exit_due, 0, 0);
    }
}

static int op_attach(struct runtime *base, const char *id, int *fd, struct error *err)
{
    struct hollow *rt = (struct hollow *)base;
    struct container *c = find(rt, id);
    int fds[2];
    if (c == NULL || c->state != RUNTIME_RUNNING || rt->closing) {
        return error_set(err, c == NULL ? ERR_NOT_FOUND : ERR_USAGE, "container not running: %s", id);
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
        return error_set_errno(err, errno, "make a socket");
    }
    struct attached *x = xcalloc(1, sizeof *x);
    x->rt = rt;
    x->fd = fds[0];
    snprintf(x->id, sizeof x->id, "%s", id);
    uv_poll_init(rt->loop, &x->poll, x->fd);
    x->poll.data = x;
    uv_poll_start(&x->poll, UV_READABLE, attached_input);
    list_push_back(&rt->attached, &x->link);
    rt->holders++;
    *fd = fds[1];
    return 0;
}

static void op_attach_resize(struct runtime *base, const char *id, unsigned rows, unsigned columns)
{
    (void)base;
    (void)id;
    (void)rows;
    (void)columns;
}

/* ---- Open and close ---- */

static const char *op_version(struct runtime *base)
{
    (void)base;
    return "1.0";
}

static void close_deferred(void *data)
{
    struct hollow *rt = data;
    LIST_FOR(it, &rt->execs)
    {
        struct runtime_exec *x = LIST_ENTRY(it, struct runtime_exec, link);
        if (x->cb == NULL) {
            op_exec_kill(x);
        }
    }
    detach_all(rt, NULL);
    while (!list_empty(&rt->containers)) {
        remove_now(LIST_ENTRY(rt->containers.next, struct container, link));
    }
    release(rt);
}

static void op_close(struct runtime *base, void (*cb)(void *data), void *data)
{
    struct hollow *rt = (struct hollow *)base;
    assert(!rt->closing);
    rt->closing = true;
    rt->close_cb = cb;
    rt->close_data = data;
    defer_call(rt->loop, close_deferred, rt);
}

static const struct runtime_ops hollow_ops = {
    .name = "hollow",
    .create_start = op_create_start,
    .kill = op_kill,
    .remove = op_remove,
    .get = op_get,
    .next = op_next,
    .exec = op_exec,
    .exec_open = op_exec_open,
    .exec_write = op_exec_write,
    .exec_pending = op_exec_pending,
    .exec_end_input = op_exec_end_input,
    .exec_resize = op_exec_resize,
    .exec_pause = op_exec_pause,
    .exec_kill = op_exec_kill,
    .attach = op_attach,
    .attach_resize = op_attach_resize,
    .usage = op_usage,
    .version = op_version,
    .close = op_close,
};

struct runtime *runtime_hollow_new(uv_loop_t *loop, const struct runtime_events *events)
{
    struct hollow *rt = xcalloc(1, sizeof *rt);
    rt->base.ops = &hollow_ops;
    rt->base.events = *events;
    rt->loop = loop;
    rt->holders = 1;
    rt->next_pid = 100000;
    list_init(&rt->containers);
    list_init(&rt->execs);
    list_init(&rt->attached);
    return &rt->base;
}
