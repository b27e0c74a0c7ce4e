#include "agent/pod/claims.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/facts/storage.h"

struct claims {
    struct volume_store *store;
    const struct log *log;
    struct list all;
};

struct claim *claims_find(struct claims *c, const char *uid, const char *name)
{
    LIST_FOR(it, &c->all)
    {
        struct claim *k = LIST_ENTRY(it, struct claim, link);
        if (strcmp(k->uid, uid) == 0 && strcmp(k->name, name) == 0) {
            return k;
        }
    }
    return NULL;
}

static struct claim *add(struct claims *c, const char *uid, const char *name, const struct object *volume)
{
    struct claim *k = xcalloc(1, sizeof *k);
    snprintf(k->uid, sizeof k->uid, "%s", uid);
    k->name = xstrdup(name);
    k->volume = object_ref(volume);
    list_push_back(&c->all, &k->link);
    return k;
}

static void forget(struct claim *k)
{
    list_remove(&k->link);
    object_unref(k->volume);
    free(k->name);
    free(k);
}

/* ---- Notes ---- */

static int write_note(struct claims *c, const struct claim *k, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 4);
    mp_write_key_bool(&b, "readOnly", k->read_only);
    mp_write_key_bool(&b, "single", k->single);
    mp_write_key_bool(&b, "ready", k->ready);
    mp_write_cstr(&b, "volume");
    object_write_wire(&b, k->volume);
    return volume_write_note(c->store, k->uid, k->name, buf_str(&b), err);
}

static void read_note(struct claims *c, const char *uid, const char *name, const struct buf *b)
{
    struct object *o = NULL;
    struct mp m = mp_of(b->data, b->size);
    if (!mp_valid(m) || object_from_wire(mp_get(m, "volume"), &o, NULL) != 0 || o->kind->id != KIND_PERSISTENTVOLUME) {
        log_error(c->log, "volumes", "what is noted of volume %s of pod %s is damaged and ignored", name, uid);
        object_unref(o);
        return;
    }
    struct claim *k = add(c, uid, name, o);
    k->read_only = mp_bool(mp_get(m, "readOnly"), false);
    k->single = mp_bool(mp_get(m, "single"), false);
    k->ready = mp_bool(mp_get(m, "ready"), false);
    object_unref(o);
}

struct claims *claims_new(struct volume_store *store, const struct log *log)
{
    struct claims *c = xcalloc(1, sizeof *c);
    CLEANUP_BUF struct buf b = BUF_INIT;
    char uid[64], name[256];
    c->store = store;
    c->log = log;
    list_init(&c->all);
    for (unsigned cursor = 0; volume_next(store, &cursor, uid);) {
        for (unsigned at = 0; volume_next_note(store, uid, &at, name, &b);) {
            read_note(c, uid, name, &b);
        }
    }
    return c;
}

void claims_free(struct claims *c)
{
    if (c == NULL) {
        return;
    }
    while (!list_empty(&c->all)) {
        forget(LIST_ENTRY(c->all.next, struct claim, link));
    }
    free(c);
}

/* ---- Who may have which ---- */

static bool is_same(const struct claim *k, struct str volume_uid)
{
    return str_eq(k->volume->uid, volume_uid);
}

bool claims_use(const struct claims *c, struct str volume_uid, const char *but_uid, bool ready)
{
    LIST_FOR(it, &c->all)
    {
        const struct claim *k = LIST_ENTRY(it, struct claim, link);
        if (is_same(k, volume_uid) && strcmp(k->uid, but_uid) != 0 && (!ready || k->ready)) {
            return true;
        }
    }
    return false;
}

int claims_bound(const struct refs *refs, struct str ns, struct str name, const struct object **claim,
                 const struct object **volume, struct error *err)
{
    *claim = refs_get(refs, KIND_PERSISTENTVOLUMECLAIM, ns, name);
    struct str bound = *claim == NULL ? STR_NONE : storage_volume_name(*claim);
    *volume = str_empty(bound) ? NULL : refs_get(refs, KIND_PERSISTENTVOLUME, STR_NONE, bound);
    if (*claim == NULL || *volume == NULL || !storage_is_bound(*claim, *volume)) {
        return !refs_synced(refs)
                   ? error_set(err, ERR_BUSY, "persistentvolumeclaim \"%.*s\" is not known yet", STR_ARG(name))
               : *claim == NULL
                   ? error_set(err, ERR_NOT_FOUND, "persistentvolumeclaim \"%.*s\" not found", STR_ARG(name))
                   : error_set(err, ERR_NOT_FOUND, "PersistentVolumeClaim \"%.*s\" is not bound", STR_ARG(name));
    }
    if ((*claim)->deleting || (*volume)->deleting) {
        return error_set(err, ERR_INVALID, "%s is being deleted",
                         (*claim)->deleting ? "the PersistentVolumeClaim" : "its PersistentVolume");
    }
    return 0;
}

int claims_take(struct claims *c, const char *uid, const char *name, const struct object *o,
                const struct object *volume, struct claim **out, struct error *err)
{
    bool single = storage_has_mode(o, "ReadWriteOncePod");
    if (single && claims_use(c, volume->uid, uid, false)) {
        return error_set(err, ERR_INVALID,
                         "volume uses the ReadWriteOncePod access mode and is already in use by "
                         "another pod");
    }
    struct claim *k = add(c, uid, name, volume);
    k->single = single;
    k->read_only = storage_has_mode(o, "ReadOnlyMany") && !single && !storage_has_mode(o, "ReadWriteOnce") &&
                   !storage_has_mode(o, "ReadWriteMany");
    int rv = write_note(c, k, err);
    if (rv != 0) { /* what is not noted would be removed under the pod one day */
        forget(k);
        return rv == ERR_NOT_FOUND ? ERR_SYSTEM : rv;
    }
    *out = k;
    return 0;
}

void claims_set_ready(struct claims *c, struct claim *k)
{
    struct error err = {0};
    k->ready = true;
    if (write_note(c, k, &err) != 0) { /* fsGroup is applied once more after a restart of the agent */
        log_warn(c->log, "volumes", "%s", err.message);
    }
}

bool claims_drop(struct claims *c, const char *uid)
{
    bool any = false;
    LIST_FOR_SAFE(it, &c->all)
    {
        struct claim *k = LIST_ENTRY(it, struct claim, link);
        if (strcmp(k->uid, uid) == 0) {
            forget(k);
            any = true;
        }
    }
    return any;
}
