/* exec: a command in a running container, with its input and output on a stream. Input that a slow command has not
 * taken is not acknowledged; output that the client has not taken pauses the command. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/serve/serve.h"
#include "agent/serve/stream.h"

#define EXEC_INPUT_MAX (256u << 10) /* stdin held for a slow command */
#define EXEC_ARGS_MAX  256u

struct exec_stream {
    struct agent *agent;
    struct serve_stream *stream;
    struct runtime_exec *exec;
    bool ended, paused, input_over;
    struct buf held[3];    /* by descriptor: output the stream has not taken */
    size_t unacknowledged; /* bytes of input given to the command and not yet taken by it */
    bool has_exit;
    int exit_code;
    struct error error;
};

static void exec_maybe_free(struct exec_stream *x)
{
    if (x->stream == NULL && x->exec == NULL) {
        buf_close(&x->held[1]);
        buf_close(&x->held[2]);
        free(x);
    }
}

static bool exec_send(struct exec_stream *x)
{
    for (int fd = 1; fd <= 2; fd++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        if (x->held[fd].size == 0) {
            continue;
        }
        mp_write_map(&b, 1);
        mp_write_cstr(&b, fd == 1 ? "stdout" : "stderr");
        mp_write_bin(&b, x->held[fd].data, x->held[fd].size);
        if (serve_stream_write(x->stream, buf_str(&b)) != 0) {
            return false;
        }
        buf_reset(&x->held[fd]);
    }
    return true;
}

/* The command is over and all its output has been taken: tell its code and end. */
static void exec_finish(struct exec_stream *x)
{
    if (x->stream == NULL || x->ended || x->exec != NULL || !exec_send(x)) {
        return;
    }
    if (x->has_exit) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        mp_write_map(&b, 1);
        mp_write_key_int(&b, "exit", x->exit_code);
        if (serve_stream_write(x->stream, buf_str(&b)) != 0) {
            return;
        }
    }
    x->ended = true;
    serve_stream_end(x->stream, x->has_exit ? NULL : &x->error);
}

static void exec_on_output(struct runtime_exec *re, int fd, const uint8_t *p, size_t n, void *data)
{
    struct exec_stream *x = data;
    if (x->stream == NULL || x->ended) {
        return;
    }
    buf_append(&x->held[fd == 2 ? 2 : 1], p, n);
    if (!exec_send(x) && !x->paused) {
        x->paused = true;
        runtime_exec_pause(x->agent->runtime, re, true);
    }
}

static void exec_on_drain(struct runtime_exec *re, void *data)
{
    struct exec_stream *x = data;
    (void)re;
    if (x->stream != NULL && x->unacknowledged > 0) {
        serve_stream_consumed(x->stream, x->unacknowledged);
    }
    x->unacknowledged = 0;
}

static void exec_on_end(struct runtime_exec *re, int exit_code, const struct error *error, void *data)
{
    struct exec_stream *x = data;
    (void)re;
    x->exec = NULL;
    x->has_exit = error == NULL;
    x->exit_code = exit_code;
    if (error != NULL) {
        x->error = *error;
    }
    exec_finish(x);
    exec_maybe_free(x);
}

static const struct runtime_exec_events exec_events = {
    .on_output = exec_on_output, .on_drain = exec_on_drain, .on_end = exec_on_end};

static void exec_on_data(struct serve_stream *st, struct mp payload, size_t n, void *data)
{
    struct exec_stream *x = data;
    struct mp input = mp_get(payload, "stdin");
    struct str bytes;
    if (x->exec == NULL) {
        serve_stream_consumed(st, n);
        return;
    }
    if (mp_read_bin(&input, &bytes) && !x->input_over) {
        runtime_exec_write(x->agent->runtime, x->exec, bytes.p, bytes.n);
        if (runtime_exec_pending(x->agent->runtime, x->exec) > EXEC_INPUT_MAX) {
            x->unacknowledged += n;
            return;
        }
    } else if (mp_bool(mp_get(payload, "eof"), false) && !x->input_over) {
        x->input_over = true;
        runtime_exec_end_input(x->agent->runtime, x->exec);
    } else if (mp_type(mp_get(payload, "rows")) == MP_INT) {
        runtime_exec_resize(x->agent->runtime, x->exec, (unsigned)mp_int(mp_get(payload, "rows"), 24),
                            (unsigned)mp_int(mp_get(payload, "columns"), 80));
    }
    serve_stream_consumed(st, n);
}

static void exec_on_writable(struct serve_stream *st, void *data)
{
    struct exec_stream *x = data;
    (void)st;
    if (!exec_send(x)) {
        return;
    }
    if (x->exec != NULL && x->paused) {
        x->paused = false;
        runtime_exec_pause(x->agent->runtime, x->exec, false);
    }
    exec_finish(x);
}

/* Whoever asked does not want any more, or is gone. (The end of its input alone is {eof: true}.) */
static void exec_stream_end(struct serve_stream *st, const struct error *err, void *data)
{
    struct exec_stream *x = data;
    (void)err;
    if (!x->ended) {
        x->ended = true;
        serve_stream_end(st, NULL);
    }
    x->stream = NULL;
    if (x->exec != NULL) {
        runtime_exec_kill(x->agent->runtime, x->exec);
    }
    exec_maybe_free(x);
}

static const struct serve_stream_events exec_stream_events = {
    .on_data = exec_on_data, .on_writable = exec_on_writable, .on_end = exec_stream_end};

static int exec_command(struct mp params, struct arena *a, const char *const **out, struct error *err)
{
    struct mp command = mp_get(params, "command");
    uint32_t n = mp_count(command), i = 0;
    if (mp_type(command) != MP_ARRAY || n == 0 || n > EXEC_ARGS_MAX) {
        return error_set_field(err, ERR_USAGE, "command", "exec: a command of 1 to %u words is needed", EXEC_ARGS_MAX);
    }
    const char **argv = arena_alloc(a, (n + 1) * sizeof *argv);
    for (struct mp_iter it = mp_iter(command); mp_next(&it);) {
        struct str word = mp_str(it.value);
        argv[i++] = arena_strndup(a, word.p == NULL ? "" : word.p, word.n);
    }
    *out = argv;
    return 0;
}

static void not_running(const struct container *c, struct error *err)
{
    const char *pod = c->pod->spec->name;
    if (c->reason[0] != '\0') {
        error_set(err, ERR_USAGE, "container not running: \"%s\" of pod \"%s\" waits: %s", c->spec->name, pod,
                  c->reason);
    } else if (c->end.set) {
        error_set(err, ERR_USAGE, "container not running: \"%s\" of pod \"%s\" ended with exit code %d", c->spec->name,
                  pod, c->end.exit_code);
    } else {
        error_set(err, ERR_USAGE, "container not running: \"%s\" of pod \"%s\" has not started yet", c->spec->name,
                  pod);
    }
}

void serve_exec(struct agent *a, struct rpc_request *r, struct mp params)
{
    CLEANUP_ARENA struct arena arena;
    struct error err = {0};
    const char *const *argv = NULL;
    char target[SERVE_TARGET_MAX];
    arena_init(&arena);
    if (!serve_target(target, "exec", params, mp_str(mp_get(params, "container")))) {
        rpc_reply_error(r, (error_set(&err, ERR_USAGE, "exec: a name is too long"), &err));
        return;
    }
    if (serve_stream_resumed(a, r, params, target)) {
        return;
    }
    struct agent_pod *ap = serve_find_pod(a, params, &err);
    struct container *c = ap == NULL ? NULL : serve_find_container(ap, params, &err);
    if (c != NULL && !container_is_up(c)) {
        not_running(c, &err);
        c = NULL;
    }
    if (c == NULL || exec_command(params, &arena, &argv, &err) != 0) {
        rpc_reply_error(r, &err);
        return;
    }
    struct runtime_exec_spec spec = {
        .argv = argv,
        .tty = mp_bool(mp_get(params, "tty"), false),
        .stdin_open = mp_bool(mp_get(params, "stdin"), false),
        .rows = (unsigned)mp_int(mp_get(params, "rows"), 0),
        .columns = (unsigned)mp_int(mp_get(params, "columns"), 0),
    };
    char id[RUNTIME_ID_MAX];
    runtime_container_id(id, ap->uid, c->spec->name, c->attempt);
    struct exec_stream *x = xcalloc(1, sizeof *x);
    x->agent = a;
    x->stream = serve_stream_accept(a, r, params, target, ap->uid, &exec_stream_events, x);
    if (x->stream == NULL) {
        free(x);
        return;
    }
    x->exec = runtime_exec_open(a->runtime, id, &spec, &exec_events, x);
}
