#include "agent/pod/locals.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "agent/pod/claims.h"
#include "agent/pod/pods.h"
#include "agent/util/aside.h"
#include "agent/util/defer.h"
#include "agent/util/fsutil.h"
#include "agent/volume/local.h"
#include "proto/facts/storage.h"

#define PERMILLE      900 /* of the file system: the rest is for whatever else lies there */
#define TELL_AGAIN_MS 60000

enum end_state { REMOVING, REMOVED, TELLING, TOLD, FAILED };

/* One volume that goes. */
struct end {
    struct list link;
    struct agent *agent;
    char *name, *uid;
    enum end_state state;
    bool wanted; /* its object still says so */
    int64_t since_ms;
    struct aside_work work;
    struct error error;
};

struct locals {
    char dir[FS_BASE_MAX + 64], notes[FS_BASE_MAX + 64];
    int64_t asked, bytes;
    struct error why;   /* the root is not there */
    struct error found; /* of the last look, with what it measured: of its thread while it is looking */
    int64_t measured;
    struct aside *aside;
    struct list ends;
    bool closing;
    bool sweeping, swept, looking;
    struct aside_work sweep, look;
    struct agent *agent;
};

static struct local_root root_of(const struct locals *l)
{
    return (struct local_root){l->dir, l->notes};
}

/* ---- The root ---- */

static int64_t measure(const struct locals *l)
{
    struct statvfs fs;
    if (l->asked > 0) {
        return l->asked;
    }
    return statvfs(l->dir, &fs) == 0 ? (int64_t)(fs.f_blocks / 1000 * PERMILLE * fs.f_frsize) : 0;
}

static void run_look(struct aside_work *w)
{
    struct locals *l = CONTAINER_OF(w, struct locals, look);
    struct local_root root = root_of(l);
    l->found = (struct error){0};
    l->measured = local_open(&root, &l->found) == 0 ? measure(l) : 0;
}

/* True: what is told of the node has changed. What was promised stays as large as it was at first. */
static bool take_look(struct agent *a)
{
    struct locals *l = a->locals;
    int64_t before = l->bytes;
    if (l->found.code != 0 && l->why.code == 0) {
        log_error(a->log, "volumes", "no local volumes: %s", l->found.message);
    } else if (l->found.code == 0 && before == 0) {
        log_info(a->log, "volumes", "local volumes in %s, at most %lld bytes", l->dir, (long long)l->measured);
    }
    l->bytes = l->found.code != 0 ? 0 : before == 0 ? l->measured : before;
    l->why = l->found;
    return l->bytes != before;
}

static void on_looked(struct aside_work *w, bool ran)
{
    struct locals *l = CONTAINER_OF(w, struct locals, look);
    l->looking = false;
    if (ran && !l->closing && take_look(l->agent)) {
        report_node_dirty(l->agent->report);
    }
}

void locals_look(struct agent *a)
{
    struct locals *l = a->locals;
    if (!a->hollow && !l->looking && !l->closing) {
        l->looking = true;
        aside_run(l->aside, &l->look, run_look, on_looked);
    }
}

int locals_open(struct agent *a, const char *dir, int64_t bytes, struct error *err)
{
    if (dir != NULL && (dir[0] != '/' || strlen(dir) > FS_BASE_MAX || strstr(dir, "..") != NULL)) {
        return error_set(err, ERR_INVALID,
                         "the directory of local volumes must be an absolute path without \"..\" of "
                         "at most %u characters, not \"%s\"",
                         FS_BASE_MAX, dir);
    }
    struct locals *l = xcalloc(1, sizeof *l);
    a->locals = l;
    fs_path(l->dir, sizeof l->dir, "%s%s", dir != NULL ? dir : a->dir, dir != NULL ? "" : "/local-volumes");
    for (size_t n = strlen(l->dir); n > 1 && l->dir[n - 1] == '/'; n--) {
        l->dir[n - 1] = '\0';
    }
    fs_path(l->notes, sizeof l->notes, "%s/local-notes", a->dir);
    l->asked = bytes;
    l->bytes = a->hollow ? (bytes > 0 ? bytes : a->facts.disk_bytes) : 0;
    list_init(&l->ends);
    l->aside = aside_new(a->loop);
    l->agent = a;
    if (!a->hollow) {
        run_look(&l->look);
        take_look(a);
    }
    return 0;
}

const char *locals_dir(const struct agent *a)
{
    return a->locals->dir;
}

const char *locals_notes(const struct agent *a)
{
    return a->locals->notes;
}

int64_t locals_bytes(const struct agent *a)
{
    return a->locals->bytes;
}

/* ---- What a former agent left ---- */

static void run_sweep(struct aside_work *w)
{
    struct locals *l = CONTAINER_OF(w, struct locals, sweep);
    struct local_root root = root_of(l);
    l->swept = local_sweep(&root, NULL) == 0;
}

static void on_swept(struct aside_work *w, bool ran)
{
    (void)ran;
    CONTAINER_OF(w, struct locals, sweep)->sweeping = false;
}

static void sweep(struct agent *a)
{
    struct locals *l = a->locals;
    if (!a->hollow && !l->swept && !l->sweeping && list_empty(&l->ends) && l->bytes > 0) {
        l->sweeping = true;
        aside_run(l->aside, &l->sweep, run_sweep, on_swept);
    }
}

/* ---- Ends ---- */

static void forget(struct end *e)
{
    list_remove(&e->link);
    free(e->name);
    free(e->uid);
    free(e);
}

static void on_told(const struct rpc_result *r, void *data)
{
    struct end *e = data;
    struct agent *a = e->agent;
    a->pending--;
    e->since_ms = env_now_ms(a->env);
    e->state = r->error == NULL || r->error->code == ERR_NOT_FOUND ? TOLD : REMOVED;
    if (r->error != NULL && r->error->code != ERR_CLOSED && r->error->code != ERR_NOT_FOUND) {
        log_warn(a->log, "volumes", "that volume %s is gone is told again later: %s", e->name, r->error->message);
    }
    if (!e->wanted) {
        forget(e);
    }
}

static void tell(struct end *e)
{
    struct agent *a = e->agent;
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (a->session == NULL || !session_ready(a->session)) {
        return; /* with the next look */
    }
    e->state = TELLING;
    a->pending++;
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "name", str_of(a->name));
    mp_write_cstr(&b, "volumes");
    mp_write_array(&b, 1);
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "name", str_of(e->name));
    mp_write_key_str(&b, "uid", str_of(e->uid));
    session_call(a->session, "node.volumes", buf_str(&b), on_told, e);
}

static void run_removal(struct aside_work *w)
{
    struct end *e = CONTAINER_OF(w, struct end, work);
    struct local_root root = root_of(e->agent->locals);
    e->error.code = e->agent->hollow ? 0 : local_remove(&root, e->name, e->uid, &e->error);
}

static void on_removed(struct aside_work *w, bool ran)
{
    struct end *e = CONTAINER_OF(w, struct end, work);
    struct agent *a = e->agent;
    e->since_ms = env_now_ms(a->env);
    e->state = ran && e->error.code == 0 ? REMOVED : FAILED;
    if (!e->wanted || a->locals->closing) {
        forget(e);
    } else if (e->state == REMOVED) {
        log_info(a->log, "volumes", "the directory of volume %s is removed", e->name);
        tell(e);
    } else {
        log_warn(a->log, "volumes", "volume %s cannot be removed, and is tried again: %s", e->name, e->error.message);
    }
}

static void remove_directory(struct end *e)
{
    e->state = REMOVING;
    e->error = (struct error){0};
    aside_run(e->agent->locals->aside, &e->work, run_removal, on_removed);
}

static struct end *find(struct locals *l, struct str uid)
{
    LIST_FOR(it, &l->ends)
    {
        struct end *e = LIST_ENTRY(it, struct end, link);
        if (str_is(uid, e->uid)) {
            return e;
        }
    }
    return NULL;
}

/* Its directory is ours to remove: nobody else's path is touched, whatever the object says. */
static bool is_ours(const struct agent *a, const struct object *o)
{
    char path[2 * FS_BASE_MAX + 64];
    if (!str_is(storage_node(o), a->name) || o->name.n > 253) {
        return false;
    }
    fs_path(path, sizeof path, "%s/%.*s", a->locals->dir, STR_ARG(o->name));
    return str_is(mp_str(mp_path(object_mp(o), "spec.local.path")), path);
}

static void look_at(struct agent *a, const struct object *o)
{
    struct locals *l = a->locals;
    if (!o->deleting || !storage_has_finalizer(o, STORAGE_LOCAL_DIRECTORY) ||
        storage_has_finalizer(o, STORAGE_PROTECT_VOLUME) || !is_ours(a, o) ||
        claims_use(a->claims, o->uid, "", false)) {
        return;
    }
    struct end *e = find(l, o->uid);
    if (e == NULL) {
        e = xcalloc(1, sizeof *e);
        e->agent = a;
        e->name = xstrndup(o->name.p, o->name.n);
        e->uid = xstrndup(o->uid.p, o->uid.n);
        list_push_back(&l->ends, &e->link);
        e->wanted = true;
        remove_directory(e);
        return;
    }
    e->wanted = true;
    int64_t age = env_now_ms(a->env) - e->since_ms;
    if (e->state == FAILED && age >= AGENT_CHECK_MS) {
        remove_directory(e);
    } else if (e->state == REMOVED || (e->state == TOLD && age >= TELL_AGAIN_MS)) {
        tell(e);
    }
}

void locals_check(struct agent *a)
{
    struct locals *l = a->locals;
    if (l == NULL || l->closing || a->stopping) {
        return;
    }
    LIST_FOR(it, &l->ends)
    {
        LIST_ENTRY(it, struct end, link)->wanted = false;
    }
    const struct object *o;
    for (unsigned cursor = 0; (o = refs_next(a->refs, KIND_PERSISTENTVOLUME, &cursor)) != NULL;) {
        look_at(a, o);
    }
    LIST_FOR_SAFE(it, &l->ends)
    {
        struct end *e = LIST_ENTRY(it, struct end, link);
        if (!e->wanted && e->state != REMOVING && e->state != TELLING) {
            forget(e);
        }
    }
    sweep(a);
}

/* ---- The agent ends ---- */

struct closing {
    void (*cb)(void *data);
    void *data;
    struct agent *agent;
};

static void on_closed(void *data)
{
    struct closing k = *(struct closing *)data;
    struct locals *l = TAKE_PTR(k.agent->locals);
    free(data);
    while (!list_empty(&l->ends)) {
        forget(LIST_ENTRY(l->ends.next, struct end, link));
    }
    free(l);
    k.cb(k.data);
}

void locals_close(struct agent *a, void (*cb)(void *data), void *data)
{
    struct closing *k = xmalloc(sizeof *k);
    *k = (struct closing){cb, data, a};
    a->locals->closing = true;
    aside_close(a->locals->aside, on_closed, k);
}
