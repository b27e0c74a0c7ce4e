/* The end of a pod's volumes: what is being attached is ended, mounts go, then files. On a thread of its own: a server
 * that is away, or a million files, hold up no other pod.
 *
 * A mount that others than the agent made what it is (NFS) is unmounted, not detached: who still uses it is told as an
 * error, so that nobody believes that all has reached the server. Everything else is detached, as nobody misses it. */
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/util/defer.h"
#include "agent/util/fsutil.h"
#include "agent/volume/volume_int.h"

enum phase { WAITING, UNMOUNTING, DELETING };

struct removal {
    struct list link; /* in the store's */
    struct volume_store *store;
    char uid[64];
    bool force;
    atomic_int phase;
    uv_timer_t timer;
    struct aside_work work;
    int rc;
    struct error error;
    volume_done_cb *cb; /* NULL: who waited has been told that it takes long */
    void *data;
};

static void tell(struct removal *r, int rc)
{
    volume_done_cb *cb = r->cb;
    r->cb = NULL;
    if (cb != NULL) {
        cb(rc == 0 ? NULL : &r->error, r->data);
    }
}

static void on_timer_closed(uv_handle_t *h)
{
    struct removal *r = CONTAINER_OF((uv_timer_t *)h, struct removal, timer);
    struct volume_store *s = r->store;
    list_remove(&r->link);
    if (r->rc == 0 && !s->closing && s->events.removed != NULL) {
        s->events.removed(r->uid, s->events_data);
    }
    tell(r, r->rc);
    free(r);
    volume_release(s);
}

static void finish(struct removal *r)
{
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

static void run(struct aside_work *w)
{
    struct removal *r = CONTAINER_OF(w, struct removal, work);
    CLEANUP_FREE char *dir = xasprintf("%s/%s", r->store->dir, r->uid);
    static const char *const parts[] = {"subpaths", "shifted"};
    struct fs_mounts mounts;
    r->rc = fs_mounts_read(&mounts, dir, &r->error);
    for (unsigned i = 0; r->rc == 0 && i < ARRAY_SIZE(parts); i++) {
        r->rc = fs_mounts_detach(&mounts, parts[i], &r->error);
    }
    r->rc = r->rc != 0 ? r->rc : fs_mounts_unmount_in(&mounts, "volumes", r->force, &r->error);
    r->rc = r->rc != 0 ? r->rc : fs_mounts_detach(&mounts, "", &r->error);
    fs_mounts_close(&mounts);
    r->phase = DELETING;
    r->rc = r->rc != 0 ? r->rc : fs_remove_tree(dir, &r->error);
}

static void on_done(struct aside_work *w, bool ran)
{
    struct removal *r = CONTAINER_OF(w, struct removal, work);
    if (!ran) {
        r->rc = error_set(&r->error, ERR_CANCELED, "the agent ends");
    }
    finish(r);
}

static void start(struct removal *r)
{
    if (r->phase == WAITING && attach_end(r->store, r->uid)) {
        r->phase = UNMOUNTING;
        aside_run(r->store->aside, &r->work, run, on_done);
    }
}

/* Deleting much takes its time; the kernel's silence is told. */
static void on_late(uv_timer_t *t)
{
    struct removal *r = CONTAINER_OF(t, struct removal, timer);
    struct error err;
    if (r->phase == DELETING || r->cb == NULL) {
        return;
    }
    volume_done_cb *cb = r->cb;
    r->cb = NULL;
    error_set(&err, ERR_TIMEOUT,
              r->phase == WAITING ? "a volume that is being mounted does not let itself be ended: the kernel still "
                                    "waits for its server"
                                  : "a volume does not let itself be unmounted: the kernel still waits for its server");
    cb(&err, r->data);
}

static void on_hollow(void *data)
{
    finish(data);
}

static void remove_pod(struct volume_store *s, const char *uid, bool force, volume_done_cb *cb, void *data)
{
    struct removal *r = NULL;
    assert(volume_name_is_safe(uid) && !s->closing && strlen(uid) < sizeof r->uid);
    LIST_FOR(it, &s->removals)
    {
        struct removal *other = LIST_ENTRY(it, struct removal, link);
        r = strcmp(other->uid, uid) == 0 && other->cb == NULL ? other : r;
    }
    bool fresh = r == NULL;
    if (fresh) {
        r = xcalloc(1, sizeof *r);
        r->store = s;
        snprintf(r->uid, sizeof r->uid, "%s", uid);
        list_push_back(&s->removals, &r->link);
        uv_timer_init(s->loop, &r->timer);
        volume_hold(s);
    }
    r->force = r->force || force;
    r->cb = cb;
    r->data = data;
    uv_timer_start(&r->timer, on_late, (uint64_t)s->remove_ms, 0);
    if (fresh && s->hollow) {
        defer_call(s->loop, on_hollow, r);
    } else if (fresh) {
        start(r);
    }
}

void volume_remove_pod(struct volume_store *s, const char *uid, volume_done_cb *cb, void *data)
{
    remove_pod(s, uid, false, cb, data);
}

void volume_force_remove_pod(struct volume_store *s, const char *uid, volume_done_cb *cb, void *data)
{
    remove_pod(s, uid, true, cb, data);
}

void remove_attach_ended(struct volume_store *s, const char *uid)
{
    LIST_FOR(it, &s->removals)
    {
        struct removal *r = LIST_ENTRY(it, struct removal, link);
        if (strcmp(r->uid, uid) == 0 && !uv_is_closing((uv_handle_t *)&r->timer)) {
            start(r);
            return;
        }
    }
}
