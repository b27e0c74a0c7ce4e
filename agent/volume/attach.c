/* Volumes that take time. An attachment is one volume of one pod (or a path below it):
 *
 *   IDLE -> WORKING -> READY             WORKING: a helper program, or a thread of its own (agent/util/aside.h)
 *     ^        |
 *     \----- FAILED                      the error waits for who asks next
 *
 * A helper that takes too long is killed. One that the kernel does not let go (it waits for a server) is told of: the
 * attachment stays WORKING, late, and no second one is begun beside it. When the pod goes, what is WORKING is ended
 * first (remove.c); whatever it has mounted by then lies in the pod's directory and goes with it. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/runtime/process.h"
#include "agent/util/fsutil.h"
#include "agent/volume/local.h"
#include "agent/volume/ownership.h"
#include "agent/volume/volume_int.h"

#define LATE_MS 5000 /* after its kill a helper is gone, unless the kernel keeps it */

enum state { IDLE, WORKING, READY, FAILED };

struct attachment {
    struct list link;
    struct volume_store *store;
    char uid[64], *name;
    enum state state;
    bool late;
    unsigned attempt;
    atomic_bool cancel;
    struct error error;
    char path[VOLUME_PATH_MAX];
    /* While WORKING: */
    struct arena arena; /* of what it works with */
    struct process *process;
    uv_timer_t timer;
    struct aside_work work;
    struct volume_directory directory;
    const char *volume_path, *sub_path; /* of a hostPath: the path and the type */
};

static struct attachment *find(struct volume_store *s, const char *uid, const char *name)
{
    LIST_FOR(it, &s->attachments)
    {
        struct attachment *a = LIST_ENTRY(it, struct attachment, link);
        if (strcmp(a->uid, uid) == 0 && strcmp(a->name, name) == 0) {
            return a;
        }
    }
    return NULL;
}

static struct attachment *find_or_add(struct volume_store *s, const char *uid, const char *name)
{
    struct attachment *a = find(s, uid, name);
    if (a == NULL) {
        assert(volume_name_is_safe(uid) && strlen(uid) < sizeof a->uid && volume_name_is_safe(name));
        a = xcalloc(1, sizeof *a);
        a->store = s;
        snprintf(a->uid, sizeof a->uid, "%s", uid);
        a->name = xstrdup(name);
        list_push_back(&s->attachments, &a->link);
    }
    return a;
}

static void forget(struct attachment *a)
{
    assert(a->state != WORKING);
    list_remove(&a->link);
    free(a->name);
    free(a);
}

static void begin(struct attachment *a)
{
    assert(a->state == IDLE);
    a->state = WORKING;
    a->late = false;
    a->cancel = false;
    a->error = (struct error){0};
    arena_init(&a->arena);
    volume_hold(a->store);
}

/* a may be forgotten inside. */
static void end(struct attachment *a, int rc)
{
    struct volume_store *s = a->store;
    char uid[64];
    snprintf(uid, sizeof uid, "%s", a->uid);
    arena_close(&a->arena);
    a->state = rc == 0 ? READY : FAILED;
    remove_attach_ended(s, uid);
    if (!s->closing && s->events.attached != NULL) {
        s->events.attached(uid, s->events_data);
    }
    volume_release(s);
}

/* What is known already. False: it is IDLE, and to be begun. */
static bool known(struct attachment *a, char path[VOLUME_PATH_MAX], int *rc, struct error *err)
{
    switch (a->state) {
    case READY:
        strcpy(path, a->path);
        *rc = 0;
        return true;
    case WORKING:
        *rc = a->late ? error_set(err, ERR_TIMEOUT, "%s", a->error.message)
                      : error_set(err, ERR_BUSY, "volume \"%s\" is being mounted", a->name);
        return true;
    case FAILED:
        a->state = IDLE;
        *rc = error_set(err, a->error.code, "%s", a->error.message);
        return true;
    default:
        return false;
    }
}

/* ---- Directories and paths, on threads ---- */

static void on_done(struct aside_work *w, bool ran)
{
    struct attachment *a = CONTAINER_OF(w, struct attachment, work);
    if (!ran) {
        error_set(&a->error, ERR_CANCELED, "the agent ends");
    }
    end(a, a->error.code);
}

static int give_all(struct attachment *a, struct error *err)
{
    const struct volume_directory *d = &a->directory;
    CLEANUP_CLOSE int fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (d->made_in != NULL ? O_NOFOLLOW : 0));
    if (fd < 0 && errno == ENOENT) {
        return error_set(err, ERR_SYSTEM, "path \"%s\" does not exist", d->path);
    }
    if (fd < 0 && errno == ENOTDIR) {
        return error_set(err, ERR_INVALID, "path \"%s\" is no directory (block devices are not supported)", d->path);
    }
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot open %s", d->path);
    }
    return d->gid < 0 ? 0 : ownership_give(fd, d->gid, d->on_mismatch, &a->cancel, err);
}

static void run_directory(struct aside_work *w)
{
    struct attachment *a = CONTAINER_OF(w, struct attachment, work);
    const struct volume_directory *d = &a->directory;
    struct local_root root = {d->made_in, d->notes};
    int rc = d->made_in == NULL ? 0 : local_make(&root, d->volume, d->volume_uid, &a->error);
    rc = rc != 0 ? rc : give_all(a, &a->error);
    a->error.code = rc;
}

static const char *copy(struct attachment *a, const char *text)
{
    return text == NULL ? NULL : arena_strdup(&a->arena, text);
}

int volume_directory(struct volume_store *s, const char *uid, const char *name, const struct volume_directory *d,
                     char path[VOLUME_PATH_MAX], struct error *err)
{
    int rc;
    if (d->path[0] != '/' || strlen(d->path) >= VOLUME_PATH_MAX) {
        return error_set(err, ERR_INVALID, "path \"%s\" is not an absolute path", d->path);
    }
    if (s->hollow) {
        strcpy(path, d->path);
        return 0;
    }
    struct attachment *a = find_or_add(s, uid, name);
    if (known(a, path, &rc, err)) {
        return rc;
    }
    begin(a);
    strcpy(a->path, d->path);
    a->directory = (struct volume_directory){.path = copy(a, d->path),
                                             .made_in = copy(a, d->made_in),
                                             .notes = copy(a, d->notes),
                                             .volume = copy(a, d->volume),
                                             .volume_uid = copy(a, d->volume_uid),
                                             .gid = d->gid,
                                             .on_mismatch = d->on_mismatch};
    aside_run(s->aside, &a->work, run_directory, on_done);
    return error_set(err, ERR_BUSY, "volume \"%s\" is being made ready", name);
}

static void run_host_path(struct aside_work *w)
{
    struct attachment *a = CONTAINER_OF(w, struct attachment, work);
    a->error.code = volume_host_path(a->store, a->volume_path, a->sub_path, a->path, &a->error);
}

int volume_host_path_aside(struct volume_store *s, const char *uid, const char *name, const char *host_path,
                           const char *type, char path[VOLUME_PATH_MAX], struct error *err)
{
    int rc;
    if (s->hollow) {
        return volume_host_path(s, host_path, type, path, err);
    }
    struct attachment *a = find_or_add(s, uid, name);
    if (known(a, path, &rc, err)) {
        return rc;
    }
    begin(a);
    a->volume_path = copy(a, host_path);
    a->sub_path = copy(a, type);
    aside_run(s->aside, &a->work, run_host_path, on_done);
    return error_set(err, ERR_BUSY, "hostPath %s is being looked at", host_path);
}

static void run_sub_path(struct aside_work *w)
{
    struct attachment *a = CONTAINER_OF(w, struct attachment, work);
    int rc = volume_sub_path(a->store, a->uid, a->name + strlen("sub-"), a->volume_path, a->sub_path, false, a->path,
                             &a->error);
    a->error.code = rc;
}

int volume_sub_path_aside(struct volume_store *s, const char *uid, const char *key, unsigned attempt,
                          const char *volume_path, const char *sub_path, char path[VOLUME_PATH_MAX], struct error *err)
{
    CLEANUP_FREE char *name = xasprintf("sub-%s", key);
    int rc;
    if (s->hollow) {
        return volume_sub_path(s, uid, key, volume_path, sub_path, false, path, err);
    }
    struct attachment *a = find_or_add(s, uid, name);
    if (a->state != WORKING && a->attempt != attempt) {
        a->state = IDLE;
    }
    if (known(a, path, &rc, err)) {
        return rc;
    }
    begin(a);
    a->attempt = attempt;
    a->volume_path = copy(a, volume_path);
    a->sub_path = copy(a, sub_path);
    aside_run(s->aside, &a->work, run_sub_path, on_done);
    return error_set(err, ERR_BUSY, "subPath \"%s\" is being looked for", sub_path);
}

/* ---- NFS ---- */

static void on_timer_closed(uv_handle_t *h)
{
    struct attachment *a = CONTAINER_OF((uv_timer_t *)h, struct attachment, timer);
    end(a, a->error.code);
}

/* mount(8) puts what matters into its first line, and hints behind it. */
static struct str first_line(struct str text)
{
    const char *newline = memchr(text.p, '\n', text.n);
    text.n = newline == NULL ? text.n : (size_t)(newline - text.p);
    return (struct str){text.p, MIN(text.n, 300)};
}

static const char *hint(struct str line)
{
    char text[301];
    snprintf(text, sizeof text, "%.*s", STR_ARG(line));
    return strstr(text, "unknown filesystem type") != NULL ? "; this node's kernel has no NFS client"
           : strstr(text, "helper program") != NULL ? "; is the package nfs-common (nfs-utils) installed on this node?"
                                                    : "";
}

static void on_mounted(struct process *p, const struct process_result *r, void *data)
{
    struct attachment *a = data;
    char type[32];
    (void)p;
    struct str line = r->err.n > 0 ? first_line(r->err) : STR_NONE;
    line.n -= line.n > 0 && line.p[line.n - 1] == '.';
    a->process = NULL;
    if (r->error == 0 && r->timed_out) {
        error_set(&a->error, ERR_TIMEOUT, "mount -t nfs: no answer from the server within %" PRId64 " s",
                  a->store->mount_ms / 1000);
    } else if (r->error == 0 && r->exit_code != 0 && line.n > 0) {
        error_set(&a->error, ERR_SYSTEM, "mount -t nfs: %.*s%s", STR_ARG(line), hint(line));
    } else if (process_result_error(r, "mount -t nfs", &a->error) == 0) {
        a->error.code = 0;
        if (!fs_mount_type(a->path, type, sizeof type)) {
            error_set(&a->error, ERR_SYSTEM, "mount -t nfs has succeeded, but nothing is mounted at %s", a->path);
        }
    }
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

static void on_late(uv_timer_t *t)
{
    struct attachment *a = CONTAINER_OF(t, struct attachment, timer);
    struct volume_store *s = a->store;
    a->late = true;
    error_set(&a->error, ERR_TIMEOUT,
              "mount -t nfs was killed and has not ended yet: the kernel still waits for the server");
    if (!s->closing && s->events.attached != NULL) {
        s->events.attached(a->uid, s->events_data);
    }
}

static bool is_host(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == ':' ||
              c == '%' || c == '_' || (c == '-' && i > 0))) {
            return false;
        }
    }
    return s.n > 0;
}

static int check_nfs(const struct volume_nfs *n, struct error *err)
{
    if (!is_host(n->server)) {
        return error_set(err, ERR_INVALID, "nfs: \"%.*s\" is not the name or address of a server", STR_ARG(n->server));
    }
    return n->path.n > 0 && n->path.p[0] == '/' && n->path.n < VOLUME_PATH_MAX
               ? 0
               : error_set(err, ERR_INVALID, "nfs: \"%.*s\" is not an absolute path", STR_ARG(n->path));
}

static void run_mount(struct attachment *a, const struct volume_nfs *n)
{
    struct volume_store *s = a->store;
    bool six = memchr(n->server.p, ':', n->server.n) != NULL;
    const char *source =
        arena_printf(&a->arena, "%s%.*s%s:%.*s", six ? "[" : "", STR_ARG(n->server), six ? "]" : "", STR_ARG(n->path));
    const char *options = arena_printf(&a->arena, "%s%s%s", n->options,
                                       n->options[0] != '\0' && n->read_only ? "," : "", n->read_only ? "ro" : "");
    const char *argv[] = {"mount", "-t", "nfs", "-o", options[0] == '\0' ? "rw" : options, source, a->path, NULL};
    struct process_spec spec = {.argv = argv, .timeout_ms = s->mount_ms};
    uv_timer_init(s->loop, &a->timer);
    uv_timer_start(&a->timer, on_late, (uint64_t)(s->mount_ms + LATE_MS), 0);
    a->process = process_run(s->loop, &spec, on_mounted, a);
}

int volume_nfs(struct volume_store *s, const char *uid, const char *name, const struct volume_nfs *n,
               char path[VOLUME_PATH_MAX], struct error *err)
{
    char type[32];
    int rc = check_nfs(n, err);
    volume_path(s, uid, name, path);
    if (rc != 0 || s->hollow) {
        return rc;
    }
    struct attachment *a = find_or_add(s, uid, name);
    if (known(a, path, &rc, err)) {
        return rc;
    }
    strcpy(a->path, path);
    if (fs_mount_type(path, type, sizeof type)) { /* by an agent before this one */
        a->state = READY;
        return 0;
    }
    rc = fs_make_dirs(path, 0755, err);
    if (rc != 0) {
        return rc;
    }
    begin(a);
    run_mount(a, n);
    return error_set(err, ERR_BUSY, "volume \"%s\" is being mounted", name);
}

/* ---- Ends ---- */

static void cancel(struct attachment *a)
{
    a->cancel = true;
    if (a->process != NULL) {
        process_kill(a->process, SIGKILL);
    }
}

bool attach_end(struct volume_store *s, const char *uid)
{
    bool working = false;
    LIST_FOR_SAFE(it, &s->attachments)
    {
        struct attachment *a = LIST_ENTRY(it, struct attachment, link);
        if (strcmp(a->uid, uid) == 0 && a->state == WORKING) {
            cancel(a);
            working = true;
        }
    }
    LIST_FOR_SAFE(it, &s->attachments)
    {
        struct attachment *a = LIST_ENTRY(it, struct attachment, link);
        if (!working && strcmp(a->uid, uid) == 0) {
            forget(a);
        }
    }
    return !working;
}

void attach_close(struct volume_store *s)
{
    LIST_FOR_SAFE(it, &s->attachments)
    {
        struct attachment *a = LIST_ENTRY(it, struct attachment, link);
        if (a->state == WORKING) {
            cancel(a);
        } else {
            forget(a);
        }
    }
}
