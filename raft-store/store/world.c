/* Evaluation of transactions: the only place where the store decides. Everything here may look at the clock and at
 * randomness (through env); what comes out are changes of objects, which need neither. */
#include "raft-store/store/world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "proto/facts/precondition.h"
#include "proto/schema/release.h"
#include "raft-store/store/body.h"
#include "raft-store/store/bounds.h"
#include "raft-store/store/world_int.h"

struct eval {
    struct world *w;
    uint64_t base; /* revision of the state that it is evaluated on */
    unsigned at;   /* which of its changes the present operation makes */
    int64_t wall_ms;
    unsigned deleted;  /* operations so far that took something away */
    const uint8_t *id; /* the transaction's; NULL: it has none */
    struct error *err;
};

static bool numbers(const struct eval *e)
{
    return e->w->level >= RELEASE_LEVEL_NUMBERS;
}

/* The revision that its change `at` leads to. */
static uint64_t revision_of(const struct eval *e, unsigned at)
{
    return e->base + 1 + (numbers(e) ? at : 0);
}

/* ---- Refusals ---- */

/* `deployments.apps "web"` as people know it; in the buffer given. */
static const char *op_text(const struct txn_op *op, char out[PRECONDITION_NAME_SIZE])
{
    return precondition_name(op->kind, op->name, out);
}

static int check_preconditions(struct eval *e, const struct txn_op *op, const struct object *old)
{
    char name[PRECONDITION_NAME_SIZE];
    if (op->type == TXN_CREATE || (op->type == TXN_CHECK && op->if_revision == UINT64_MAX)) {
        return old == NULL ? 0 : error_set(e->err, ERR_EXISTS, "%s already exists", op_text(op, name));
    }
    if (old == NULL) {
        return error_set(e->err, ERR_NOT_FOUND, "%s not found", op_text(op, name));
    }
    struct str uid = str_empty(op->if_uid) && op->object != NULL ? op->object->uid : op->if_uid;
    return precondition_check(old, uid, op->if_revision, e->err);
}

/* The last gate before a name becomes a key: the API has checked what it let in, but names are also made of other
 * names. */
static int check_key(struct eval *e, const struct txn_op *op)
{
    char name[PRECONDITION_NAME_SIZE];
    struct str ns = op->kind->namespaced ? op->ns : STR_NONE;
    if (name_is_key(op->name) && (str_empty(ns) || (name_is_key(ns) && ns.n <= NAMESPACE_KEY_MAX))) {
        return 0;
    }
    const char *why = op->name.n > NAME_KEY_MAX || ns.n > NAMESPACE_KEY_MAX
                          ? "has a name that is too long: at most 253 characters are allowed, 63 in a namespace's"
                          : "has a name that can't be one: it must be printable, without blanks, '/' and '%'";
    return error_set_field(e->err, ERR_INVALID, "metadata.name", "%s %s", op_text(op, name), why);
}

/* What an older voter would not understand is not written. Looks into bodies only while there is one. */
static int check_level(struct eval *e, const struct txn_op *op)
{
    char name[PRECONDITION_NAME_SIZE];
    unsigned level = e->w->level;
    if (op->object == NULL || level >= release.newest) {
        return 0;
    }
    if (op->kind->since > level) {
        return error_set(e->err, ERR_UNSUPPORTED,
                         "%s: kind %s needs feature level %u, and the cluster is at %u until all masters are upgraded "
                         "(\"rctl cluster status\" shows them)",
                         op_text(op, name), op->kind->name, op->kind->since, level);
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *field = kind_find_later(op->kind, &a, object_mp(op->object), level);
    if (field == NULL) {
        return 0;
    }
    return error_set_field(e->err, ERR_UNSUPPORTED, field,
                           "%s: %s needs a later feature level than the cluster's, which is %u until all masters are "
                           "upgraded (\"rctl cluster status\" shows them)",
                           op_text(op, name), field, level);
}

/* ---- The new object ---- */

/* Members of metadata to set, in the order of its schema. Their values are written one behind another into room that is
 * reserved first, so that they stay put. */
#define EDITS_MAX       5
#define EDITS_BYTES_MAX 256u
struct edits {
    struct schema_edit items[EDITS_MAX];
    unsigned count;
    struct buf *bytes;
};

static void edits_init(struct edits *l, struct world *w)
{
    l->count = 0;
    l->bytes = &w->edits;
    buf_reset(l->bytes);
    buf_reserve(l->bytes, EDITS_BYTES_MAX);
}

static void edit_raw(struct edits *l, const char *key, struct mp value)
{
    assert(l->count < EDITS_MAX);
    l->items[l->count++] = (struct schema_edit){key, value};
}

static void edit_written(struct edits *l, const char *key, size_t from)
{
    assert(l->bytes->size <= EDITS_BYTES_MAX);
    edit_raw(l, key, mp_of(l->bytes->data + from, l->bytes->size - from));
}

static void edit_str(struct edits *l, const char *key, struct str s)
{
    size_t from = l->bytes->size;
    assert(from + s.n + 5 <= EDITS_BYTES_MAX);
    mp_write_str(l->bytes, s);
    edit_written(l, key, from);
}

static void edit_int(struct edits *l, const char *key, int64_t v)
{
    size_t from = l->bytes->size;
    mp_write_int(l->bytes, v);
    edit_written(l, key, from);
}

static void edit_remove(struct edits *l, const char *key)
{
    edit_raw(l, key, (struct mp){NULL, NULL});
}

/* Body (in s->body) to object, unless it is too large. */
static int take_body(struct eval *e, const struct txn_op *op, struct object **out)
{
    char name[PRECONDITION_NAME_SIZE];
    struct buf *body = &e->w->body;
    if (body->size > OBJECT_SIZE_MAX) {
        return error_set(e->err, ERR_TOO_LARGE, "%s would have %zu bytes; the limit is %u", op_text(op, name),
                         body->size, OBJECT_SIZE_MAX);
    }
    return object_from_body(op->kind, body->data, body->size, revision_of(e, e->at), out, e->err);
}

static int make_created(struct eval *e, const struct txn_op *op, struct object **out)
{
    const struct object *o = op->object;
    struct edits edits;
    char uuid[ENV_UUID_SIZE], created[TIMEFMT_SIZE];
    edits_init(&edits, e->w);
    if (str_empty(o->uid)) {
        env_uuid(e->w->env, uuid);
        if (e->id != NULL && !failpoint(FAILPOINT_uid_of_former)) {
            txn_mark_uid(e->id, uuid);
        }
        edit_str(&edits, "uid", str_of(uuid));
    }
    if (op->kind->has_generation) {
        edit_int(&edits, "generation", o->generation > 0 ? o->generation : 1);
    } else {
        edit_remove(&edits, "generation");
    }
    if (object_created_ms(o) == 0) {
        timefmt_rfc3339(e->wall_ms, created);
        edit_str(&edits, "creationTimestamp", str_of(created));
    }
    buf_reset(&e->w->body);
    body_merge(&e->w->body, o, o, edits.items, edits.count);
    return take_body(e, op, out);
}

/* The document but for metadata and status. */
static struct value *rest_of(struct arena *a, const struct value *doc)
{
    struct value *rest = value_map(a);
    for (unsigned i = 0; i < value_count(doc); i++) {
        const struct value_member *m = &doc->map.members[i];
        if (!str_is(m->key, "metadata") && !str_is(m->key, "status")) {
            value_set_str_key(a, rest, m->key, m->value);
        }
    }
    return rest;
}

/* Other bytes may say the same: what an older program stored in another spelling, 1Mi and 1048576. */
static bool same_meaning(const struct txn_op *op, const struct object *old)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    bool decoded = op->doc != NULL && op->was_at == old->revision;
    const struct value *now = decoded ? op->doc : object_to_value(&a, op->object);
    const struct value *was = decoded ? op->was : object_to_value(&a, old);
    return kind_equal(old->kind, "", rest_of(&a, was), rest_of(&a, now));
}

static int64_t next_generation(const struct txn_op *op, const struct object *old)
{
    const struct object *new = op->object;
    bool changed = (new->deleting && !old->deleting) || (!body_spec_equal(old, new) && !same_meaning(op, old));
    return MAX(old->generation, 1) + (changed ? 1 : 0);
}

/* Immutable metadata comes from the stored object, whatever the new one says. A deletion that has begun may be
 * moved, never taken back. */
static void merge_updated(struct eval *e, const struct txn_op *op, const struct object *old)
{
    const struct object *new = op->object;
    struct mp old_meta = mp_get(object_mp(old), "metadata");
    struct edits edits;
    edits_init(&edits, e->w);
    edit_raw(&edits, "uid", mp_get(old_meta, "uid"));
    if (op->kind->has_generation) {
        edit_int(&edits, "generation", next_generation(op, old));
    } else {
        edit_remove(&edits, "generation");
    }
    edit_raw(&edits, "creationTimestamp", mp_get(old_meta, "creationTimestamp"));
    if (old->deleting && !new->deleting) {
        edit_raw(&edits, "deletionTimestamp", mp_get(old_meta, "deletionTimestamp"));
        edit_raw(&edits, "deletionGracePeriodSeconds", mp_get(old_meta, "deletionGracePeriodSeconds"));
    }
    bool own_status = op->part == TXN_PART_ALL || !op->kind->has_status;
    body_merge(&e->w->body, new, own_status ? new : old, edits.items, edits.count);
}

/* All that evaluation would give it, it has already: who made it began with what is stored, and left metadata alone. */
static bool is_complete(const struct txn_op *op, const struct object *old)
{
    struct mp was = mp_get(object_mp(old), "metadata"), now = mp_get(object_mp(op->object), "metadata");
    size_t size = (size_t)(was.end - was.p);
    return op->part == TXN_PART_ALL && !op->kind->has_generation && size == (size_t)(now.end - now.p) && size > 0 &&
           memcmp(was.p, now.p, size) == 0 && mp_type(mp_get(was, "generation")) == MP_NONE;
}

/* *out is NULL if nothing would change. */
static int make_updated(struct eval *e, const struct txn_op *op, const struct object *old, struct object **out)
{
    char name[PRECONDITION_NAME_SIZE];
    struct buf *body = &e->w->body;
    buf_reset(body);
    *out = NULL;
    if (is_complete(op, old)) {
        bool same = op->object->body_size == old->body_size &&
                    memcmp(object_body(op->object), object_body(old), old->body_size) == 0;
        *out = same ? NULL : object_give_revision(op->object, revision_of(e, e->at));
        return 0;
    }
    if (op->part != TXN_PART_STATUS) {
        merge_updated(e, op, old);
    } else if (op->kind->has_status) {
        body_merge(body, old, op->object, NULL, 0);
    } else {
        return error_set(e->err, ERR_USAGE, "%s has no status", op_text(op, name));
    }
    if (body->size == old->body_size && memcmp(body->data, object_body(old), body->size) == 0) {
        return 0;
    }
    return take_body(e, op, out);
}

/* "An update that empties the finalizers of an object being deleted is its deletion", but not while its grace period
 * runs: a pod stays until its agent deletes it. */
static bool is_released(const struct object *old, const struct object *written)
{
    struct mp meta = mp_get(object_mp(written), "metadata");
    return written->deleting && mp_count(mp_path(object_mp(old), "metadata.finalizers")) > 0 &&
           mp_count(mp_get(meta, "finalizers")) == 0 && mp_int(mp_get(meta, "deletionGracePeriodSeconds"), 0) == 0;
}

/* ---- Changes ---- */

static bool is_of(const struct object *o, const struct txn_op *op)
{
    return o->kind == op->kind && str_eq(o->name, op->name) && (!op->kind->namespaced || str_eq(o->ns, op->ns));
}

/* Several operations on one key make one change: its place in the list, or the list's end. old: what has the key
 * now. */
static unsigned change_of(const struct eval *e, const struct txn_op *op, const struct object *old)
{
    const struct changes *c = &e->w->changes;
    if (old != NULL && old->revision > e->base) { /* written by this very transaction */
        unsigned i = numbers(e) ? (unsigned)(old->revision - e->base) : c->count;
        while (i-- > 0) {
            if (c->items[i].new == old) {
                return i;
            }
        }
        assert(false);
    }
    for (unsigned i = 0; old == NULL && e->deleted > 0 && i < c->count; i++) { /* created again behind a delete */
        const struct object *deleted = c->items[i].new == NULL ? c->items[i].old : NULL;
        if (deleted != NULL && is_of(deleted, op)) {
            return i;
        }
    }
    return c->count;
}

/* old (taken) was replaced by new. */
static void note_change(struct eval *e, struct object *old, const struct object *new)
{
    struct changes *c = &e->w->changes;
    e->deleted += new == NULL;
    if (e->at == c->count) {
        changes_push(c, old, new);
        return;
    }
    assert(c->items[e->at].new == old);
    object_unref((struct object *)c->items[e->at].new);
    c->items[e->at].new = new == NULL ? NULL : object_ref(new);
    object_unref(old);
}

/* Put the view back where it was; newest first. */
static void undo(struct eval *e)
{
    struct changes *c = &e->w->changes;
    for (unsigned i = c->count; i-- > 0;) {
        struct object *gone;
        if (c->items[i].old != NULL) {
            gone = view_put(e->w->view, c->items[i].old);
        } else if (c->items[i].new != NULL) {
            const struct object *n = c->items[i].new;
            gone = view_remove(e->w->view, n->kind, n->ns, n->name);
        } else {
            continue;
        }
        object_unref(gone);
    }
    changes_clear(c);
    assert(c->count == 0);
}

/* What change `at` left gets the revision that it has there. */
static void renumber(struct eval *e, unsigned at)
{
    struct change *c = &e->w->changes.items[at];
    if (c->new != NULL && c->new->revision != revision_of(e, at)) {
        struct object *o = object_with_revision(c->new, revision_of(e, at));
        object_unref(view_put(e->w->view, o));
        object_unref((struct object *)c->new);
        c->new = o;
    }
}

/* Changes that came to nothing (created and deleted in one transaction) leave no trace, and no gap in the revisions. */
static void drop_empty_changes(struct eval *e)
{
    struct changes *c = &e->w->changes;
    unsigned kept = 0;
    for (unsigned i = 0; i < c->count; i++) {
        if (c->items[i].old != NULL || c->items[i].new != NULL) {
            c->items[kept] = c->items[i];
            renumber(e, kept++);
        }
    }
    assert(kept <= c->count);
    c->count = kept;
}

/* As it is written; what a namespace's LimitRanges give a new pod is in it. Pod security is asked before limit ranges,
 * and these before quotas (eval_quotas), as `rctl cluster show admission` lists them. */
static int make(struct eval *e, const struct txn_op *op, const struct object *old, struct object **out)
{
    CLEANUP_OBJECT struct object *limited = NULL;
    int rc = op->part == TXN_PART_STATUS ? 0 : bounds_secure(e->w->view, op->object, old, e->err);
    if (rc == 0 && op->part != TXN_PART_STATUS) {
        rc = bounds_limit(e->w->view, op->object, old, e->w->level, &limited, e->err);
    }
    if (rc != 0) {
        return rc;
    }
    if (old != NULL) {
        return make_updated(e, op, old, out);
    }
    struct txn_op own = *op;
    own.object = limited != NULL ? limited : op->object;
    return make_created(e, &own, out);
}

static int eval_op(struct eval *e, const struct txn_op *op)
{
    struct view *v = e->w->view;
    const struct object *old = view_get(v, op->kind, op->ns, op->name);
    int rc = check_preconditions(e, op, old);
    if (rc == 0 && op->type == TXN_CREATE) {
        rc = check_key(e, op);
    }
    rc = rc == 0 ? check_level(e, op) : rc;
    if (rc != 0 || op->type == TXN_CHECK) {
        return rc;
    }
    assert((op->type == TXN_CREATE) == (old == NULL)); /* check_preconditions */
    e->at = change_of(e, op, old);
    assert(e->at <= e->w->changes.count);
    if (op->type == TXN_DELETE) {
        note_change(e, view_remove(v, op->kind, op->ns, op->name), NULL);
        return 0;
    }
    struct object *new = NULL;
    rc = make(e, op, old, &new);
    if (rc != 0 || new == NULL) {
        return rc;
    }
    if (op->type == TXN_UPDATE && is_released(old, new)) {
        note_change(e, view_remove(v, op->kind, op->ns, op->name), NULL);
    } else {
        note_change(e, view_put(v, new), new);
    }
    object_unref(new);
    return 0;
}

/* ---- The world ---- */

struct world *world_new(const struct view *v, const struct env *env, unsigned level)
{
    assert(env != NULL);
    struct world *w = xcalloc(1, sizeof *w);
    w->view = v == NULL ? view_new() : view_ref(v);
    w->env = env;
    w->level = level;
    records_init(&w->records);
    return w;
}

void world_free(struct world *w)
{
    if (w == NULL) {
        return;
    }
    records_free(&w->records);
    view_unref(w->view);
    changes_clear(&w->changes);
    free(w->changes.items);
    buf_wipe(&w->body);
    buf_close(&w->edits);
    free(w);
}

void world_bound_events(struct world *w, uint64_t bytes_max)
{
    w->events_bytes_max = bytes_max;
}

const struct view *world_view(const struct world *w)
{
    return w->view;
}

void world_own_view(struct world *w)
{
    if (view_is_shared(w->view)) {
        struct view *mine = view_fork(w->view);
        view_unref(w->view);
        w->view = mine;
    }
    assert(!view_is_shared(w->view));
}

/* Takes o. */
static void put_quota(struct eval *e, struct object *o)
{
    const struct txn_op op = {.type = TXN_UPDATE, .kind = o->kind, .ns = o->ns, .name = o->name};
    e->at = change_of(e, &op, view_get(e->w->view, o->kind, o->ns, o->name));
    struct object *written = object_with_revision(o, revision_of(e, e->at));
    note_change(e, view_put(e->w->view, written), written);
    object_unref(written);
    object_unref(o);
}

static int eval_quotas(struct eval *e, const struct txn *t)
{
    struct quota_writes writes = {0};
    int rc = e->w->changes.count == 0 ? 0 : world_quotas(e->w, t, e->base, &writes, e->err);
    if (rc == 0 && e->w->changes.count + writes.count > TXN_OPS_MAX) {
        rc = error_set(e->err, ERR_TOO_LARGE,
                       "the transaction and the %u quotas that count with it have more than %u "
                       "changes",
                       writes.count, TXN_OPS_MAX);
    }
    if (rc != 0) {
        quota_writes_close(&writes);
        undo(e);
        return rc;
    }
    for (unsigned i = 0; i < writes.count; i++) {
        put_quota(e, object_ref(writes.items[i]));
    }
    quota_writes_close(&writes);
    return 0;
}

static int eval_ops(struct eval *e, const struct txn *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        int rc = eval_op(e, &t->ops[i]);
        if (rc != 0) {
            kind_error_about(e->err, t->ops[i].kind, t->ops[i].name);
            undo(e);
            return rc;
        }
    }
    drop_empty_changes(e);
    return eval_quotas(e, t);
}

int world_eval(struct world *w, const struct txn *t, struct txn_result *result, struct error *err)
{
    assert(w->changes.count == 0);
    *result = (struct txn_result){.revision = view_revision(w->view)};
    w->last = NULL;
    if (t->count > TXN_OPS_MAX || t->size_bytes > TXN_SIZE_MAX) {
        return error_set(err, ERR_TOO_LARGE,
                         "the transaction has %u operations and %zu bytes; the limits are %u and %u", t->count,
                         t->size_bytes, TXN_OPS_MAX, TXN_SIZE_MAX);
    }
    world_own_view(w);
    struct view_hash hash = view_state_hash(w->view), after;
    struct eval e = {.w = w, .base = result->revision, .wall_ms = env_wall_ms(w->env), .err = err};
    e.id = t->has_id ? t->id : NULL;
    int rc = eval_ops(&e, t);
    after = view_state_hash(w->view);
    assert((rc == 0 && w->changes.count > 0) ||
           (hash.lo == after.lo && hash.hi == after.hi)); /* whole, or not at all */
    if (rc != 0) {
        return rc;
    }
    if (w->changes.count == 0) {
        result->unchanged = true;
        return 0;
    }
    world_drop_events(w, e.base);
    result->revision = revision_of(&e, w->changes.count - 1);
    assert(result->revision > e.base && view_revision(w->view) == e.base);
    view_set_revision(w->view, result->revision);
    w->wall_ms = e.wall_ms;
    w->last = record_new(result->revision, numbers(&e), &w->changes);
    w->last->txn.own_status = t->own_status;
    assert(w->changes.count == 0 && txn_first_revision(&w->last->txn) == e.base + 1);
    records_push(&w->records, w->last);
    for (unsigned i = 0; i < w->deciders_count; i++) {
        if (w->deciders[i].observe != NULL) {
            w->deciders[i].observe(w->deciders[i].data, w->last->txn.changes, w->last->txn.count);
        }
    }
    return 0;
}

const struct change *world_last_changes(const struct world *w, unsigned *count)
{
    *count = w->last == NULL ? 0 : w->last->txn.count;
    return w->last == NULL ? NULL : w->last->txn.changes;
}

const struct history_txn *world_next_txn(const struct world *w, const struct history_txn *after)
{
    const struct record *r = after == NULL ? w->records.first : CONTAINER_OF(after, struct record, txn)->next;
    return r == NULL ? NULL : &r->txn;
}

void world_forget(struct world *w)
{
    records_free(&w->records);
    w->last = NULL;
}

void world_take_records(struct world *w, struct records *out)
{
    *out = w->records; /* its end points into the world if it is empty */
    if (out->first == NULL) {
        records_init(out);
    }
    assert(out->first != NULL || out->last == &out->first);
    records_init(&w->records);
    w->last = NULL;
}

void world_add_decider(struct world *w, const struct world_decider *d)
{
    assert(w->deciders_count < WORLD_DECIDERS_MAX);
    w->deciders[w->deciders_count++] = *d;
}

bool world_settle(struct world *w, unsigned turns_max)
{
    for (unsigned i = 0; i < turns_max; i++) {
        bool any = false;
        for (unsigned d = 0; d < w->deciders_count; d++) {
            any |= w->deciders[d].turn != NULL && w->deciders[d].turn(w->deciders[d].data, w);
        }
        if (!any) {
            return true;
        }
    }
    return false;
}
