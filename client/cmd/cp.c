/* rctl cp: files to and from a container, as tar through exec. The container must have tar. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cmd/common.h"
#include "client/cmd/tarball.h"

#define CHUNK      (32u << 10)
#define STDERR_MAX 2048u

static const struct option_row cp_options[] = {
    {"container", 'c', OPTION_VALUE, NULL, NULL, "NAME", "the container; otherwise the first"},
    {"no-preserve", 0, OPTION_FLAG, NULL, NULL, NULL, "do not keep owner and mode in the container"},
};

/* [[NAMESPACE/]POD:]PATH */
struct place {
    const char *ns, *pod, *path; /* pod NULL: here */
};

static int parse_place(struct rctl *r, const char *text, struct place *out, struct error *err)
{
    const char *colon = strchr(text, ':'), *slash = strchr(text, '/');
    *out = (struct place){NULL, NULL, text};
    if (colon == NULL || text[0] == '/' || text[0] == '.') {
        return text[0] != '\0' ? 0 : error_set(err, ERR_USAGE, "a path is missing");
    }
    if (slash != NULL && slash < colon) {
        out->ns = arena_strndup(&r->arena, text, (size_t)(slash - text));
        text = slash + 1;
    }
    out->pod = arena_strndup(&r->arena, text, (size_t)(colon - text));
    out->path = colon + 1;
    if (out->pod[0] == '\0' || out->path[0] == '\0' || strchr(out->pod, '/') != NULL) {
        return error_set(err, ERR_USAGE, "a place in a container is [NAMESPACE/]POD:PATH, with all of it");
    }
    return 0;
}

/* The last part of a path; "." for "/", "." and what ends in "/.". ".." has no name. */
static const char *base_of(struct arena *a, const char *path)
{
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/') {
        n--;
    }
    const char *slash = n == 0 ? NULL : memrchr(path, '/', n);
    const char *base = slash == NULL ? path : slash + 1;
    return n == 0 ? "." : arena_strndup(a, base, n - (size_t)(base - path));
}

static const char *dir_of(struct arena *a, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    const char *slash = memrchr(path, '/', n);
    return slash == NULL ? "." : slash == path ? "/" : arena_strndup(a, path, (size_t)(slash - path));
}

/* ---- A command in the container ---- */

struct remote {
    struct rctl *r;
    struct api_stream *stream;
    int in_fd, out_fd; /* -1: none; a thread is at the other end of each */
    bool in_over;
    struct buf held, said; /* said: what it printed to stderr */
    int exit_code;
    char chunk[CHUNK];
};

static bool send_held(struct remote *m)
{
    if (m->held.size > 0 && api_stream_write(m->stream, buf_str(&m->held)) == ERR_BUSY) {
        return false;
    }
    buf_reset(&m->held);
    return true;
}

/* Reads and sends as long as there is credit. The thread that packs always goes on, so reading may block. */
static void pump(void *data)
{
    struct remote *m = data;
    while (send_held(m) && !m->in_over) {
        ssize_t n = m->in_fd < 0 ? 0 : read(m->in_fd, m->chunk, sizeof(m->chunk));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        mp_write_map(&m->held, 1);
        if (n > 0) {
            mp_write_cstr(&m->held, "stdin");
            mp_write_bin(&m->held, m->chunk, (size_t)n);
        } else {
            m->in_over = true;
            mp_write_key_bool(&m->held, "eof", true);
        }
    }
}

static void remote_data(struct mp payload, void *data)
{
    struct remote *m = data;
    struct str bytes;
    struct mp out = mp_get(payload, "stdout"), err = mp_get(payload, "stderr"), code = mp_get(payload, "exit");
    if (m->out_fd >= 0 && mp_read_bin(&out, &bytes)) {
        while (bytes.n > 0) {
            ssize_t n = write(m->out_fd, bytes.p, bytes.n);
            if (n < 0 && errno != EINTR) {
                break; /* the thread has given up, and says why */
            }
            bytes.p += n > 0 ? n : 0;
            bytes.n -= n > 0 ? (size_t)n : 0;
        }
    }
    if (mp_read_bin(&err, &bytes) && m->said.size < STDERR_MAX) {
        buf_append(&m->said, bytes.p, MIN(bytes.n, STDERR_MAX - m->said.size));
    }
    if (mp_type(code) == MP_INT || mp_type(code) == MP_UINT) {
        m->exit_code = (int)mp_int(code, 1);
    }
}

static int run_remote(struct rctl *r, const struct object *pod, const char *const *argv, int in_fd, int out_fd,
                      int *exit_code, struct buf *said, struct error *err)
{
    static const struct api_stream_events events = {.on_data = remote_data, .on_writable = pump};
    struct arena *a = &r->arena;
    struct value *p = value_map(a), *command = value_ensure_list(a, p, "command");
    struct remote *m = xcalloc(1, sizeof(*m));
    *m = (struct remote){.r = r, .in_fd = in_fd, .out_fd = out_fd, .in_over = in_fd < 0, .exit_code = -1};
    for (; *argv != NULL; argv++) {
        value_append(a, command, value_cstr(a, *argv));
    }
    value_set(a, p, "namespace", value_str(a, pod->ns));
    value_set(a, p, "name", value_str(a, pod->name));
    if (opt(r, "container") != NULL) {
        value_set(a, p, "container", value_cstr(a, opt(r, "container")));
    }
    value_set(a, p, "stdin", value_bool(a, in_fd >= 0));
    value_set(a, p, "stdout", value_bool(a, true));
    value_set(a, p, "stderr", value_bool(a, true));
    value_set(a, p, "tty", value_bool(a, false));
    int rc = api_stream_open(r->api, "exec", p, &events, m, &m->stream, err);
    if (rc == 0) {
        api_ping_start(r->api, false);
        pump(m);
        api_run(r->api, api_stream_ended(m->stream), 0);
        api_ping_stop(r->api, false);
        rc = api_stream_close(m->stream, err);
    }
    *exit_code = m->exit_code;
    if (rc == 0 && m->exit_code < 0) {
        rc = error_set(err, ERR_CLOSED, "the connection to the container was cut");
    }
    rc = m->exit_code >= 0 ? 0 : rc;
    if (said != NULL) {
        buf_append_str(said, buf_str(&m->said));
    }
    buf_close(&m->held);
    buf_close(&m->said);
    free(m);
    return rc;
}

static int remote_failed(const char *what, int exit_code, const struct buf *said, struct error *err)
{
    struct str text = buf_str(said);
    while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) {
        text.n--;
    }
    if (exit_code == 126 || exit_code == 127) {
        return error_set(err, ERR_NOT_FOUND, "the container has no tar, which cp needs: %.*s", STR_ARG(text));
    }
    return error_set(err, ERR_SYSTEM, "%s in the container ended with exit code %d: %.*s", what, exit_code,
                     STR_ARG(text));
}

/* ---- Threads ---- */

struct worker {
    struct rctl *r;
    uv_thread_t thread;
    int fd;
    const char *path, *name;
    int rc;
    struct error err;
};

static void pack_main(void *data)
{
    struct worker *w = data;
    w->rc = tarball_pack(w->fd, w->path, w->name, &w->err);
    close(w->fd);
}

static void told_skipped(const char *what, void *data)
{
    rctl_note(data, "warning: \"%s\" is left out: links and devices are not copied", what);
}

static void unpack_main(void *data)
{
    struct worker *w = data;
    w->rc = tarball_unpack(w->fd, w->path, w->name, told_skipped, w->r, &w->err);
    close(w->fd);
}

static int start_worker(struct worker *w, void (*run)(void *data), bool it_reads, int *our_fd, struct error *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return error_set_errno(err, errno, "make a pipe");
    }
    signal(SIGPIPE, SIG_IGN);
    w->fd = it_reads ? fds[0] : fds[1];
    *our_fd = it_reads ? fds[1] : fds[0];
    if (uv_thread_create(&w->thread, run, w) != 0) {
        close(fds[0]);
        close(fds[1]);
        return error_set(err, ERR_SYSTEM, "start a thread");
    }
    return 0;
}

/* What became of a copy: the other side's failure is told before this one's. rc: of run_remote. */
static int end_worker(struct worker *w, int our_fd, int rc, int exit_code, const struct buf *said, struct error *err)
{
    close(our_fd);
    uv_thread_join(&w->thread);
    if (rc == 0 && exit_code != 0) {
        return remote_failed("tar", exit_code, said, err);
    }
    if (rc == 0 && w->rc != 0) {
        *err = w->err;
        return w->rc;
    }
    return rc == ERR_CLOSED ? error_wrap(err, "not all has been copied, copy again") : rc;
}

/* ---- Both directions ---- */

static int upload(struct rctl *r, const struct object *pod, const char *from, const char *to, struct error *err)
{
    struct arena *a = &r->arena;
    struct stat st;
    int exit_code, fd;
    CLEANUP_BUF struct buf said = BUF_INIT;
    if (stat(from, &st) != 0) {
        return error_set_errno(err, errno, "%s", from);
    }
    const char *const test[] = {"test", "-d", to, NULL};
    int rc = run_remote(r, pod, test, -1, -1, &exit_code, NULL, err);
    if (rc != 0) {
        return rc;
    }
    const char *local = realpath(from, NULL); /* "cp . pod:/dir" has a name, too */
    const char *name = exit_code == 0 ? base_of(a, local == NULL ? from : local) : base_of(a, to);
    const char *dir = exit_code == 0 ? to : dir_of(a, to);
    free((char *)local);
    const char *argv[9] = {"tar", "-xmf", "-", "-C", dir};
    if (opt_flag(r, "no-preserve")) {
        argv[1] = "--no-same-permissions";
        argv[2] = "--no-same-owner";
        argv[3] = "-xmf";
        argv[4] = "-";
        argv[5] = "-C";
        argv[6] = dir;
    }
    struct worker w = {.r = r, .path = from, .name = name};
    rc = start_worker(&w, pack_main, false, &fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = run_remote(r, pod, argv, fd, -1, &exit_code, &said, err);
    return end_worker(&w, fd, rc, exit_code, &said, err);
}

static int download(struct rctl *r, const struct object *pod, const char *from, const char *to, struct error *err)
{
    struct arena *a = &r->arena;
    struct stat st;
    int exit_code, fd;
    CLEANUP_BUF struct buf said = BUF_INIT;
    const char *name = base_of(a, from);
    if (strcmp(name, "..") == 0) {
        return error_set(err, ERR_USAGE, "%s: name the directory itself, not \"..\"", from);
    }
    bool whole = strcmp(name, ".") == 0;
    if (!whole && stat(to, &st) == 0 && S_ISDIR(st.st_mode)) {
        to = arena_printf(a, "%s/%s", to, name);
    }
    const char *const argv[] = {
        "tar", "cf", "-", "-C", whole ? from : dir_of(a, from), arena_printf(a, "./%s", whole ? "" : name), NULL};
    struct worker w = {.r = r, .path = to, .name = name};
    int rc = start_worker(&w, unpack_main, true, &fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = run_remote(r, pod, argv, -1, fd, &exit_code, &said, err);
    return end_worker(&w, fd, rc, exit_code, &said, err);
}

static int run_cp(struct rctl *r)
{
    struct error err = {0};
    struct place from, to;
    if (r->args.words_count != 2) {
        return rctl_usage(r, "from where to where? FROM TO, one of them POD:PATH");
    }
    if (parse_place(r, r->args.words[0], &from, &err) != 0 || parse_place(r, r->args.words[1], &to, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if ((from.pod == NULL) == (to.pod == NULL)) {
        return rctl_usage(r, from.pod == NULL ? "one of the two must be in a container: POD:PATH"
                                              : "one of the two must be here: copy in two steps");
    }
    const struct place *there = from.pod != NULL ? &from : &to;
    struct stat st;
    if (to.pod != NULL && stat(from.path, &st) != 0) {
        error_set_errno(&err, errno, "%s", from.path);
        return rctl_fail_here(r, &err);
    }
    CLEANUP_OBJECT struct object *pod = NULL;
    if (rctl_connect(r, &err) != 0 ||
        api_get(r->api, kind_by_id(KIND_POD), there->ns == NULL ? rctl_namespace(r) : there->ns, there->pod, false,
                &pod, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int rc = to.pod != NULL ? upload(r, pod, from.path, to.path, &err) : download(r, pod, from.path, to.path, &err);
    return rc == 0 ? EXIT_DONE : rctl_fail(r, &err);
}

const struct command command_cp = {
    .name = "cp",
    .usage = "FROM TO (one of them [NAMESPACE/]POD:PATH)",
    .summary = "Copy files and directories to and from a container",
    .examples = "  rctl cp site hello:/usr/share/nginx/html -c nginx\n"
                "  rctl cp shop/hello:/var/log/app.log app.log\n"
                "  # into a directory that is there\n"
                "  rctl cp hello:/etc/nginx .\n",
    .options = cp_options,
    .options_count = ARRAY_SIZE(cp_options),
    .run = run_cp,
};
