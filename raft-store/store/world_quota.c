/* ResourceQuotas, kept exact: each transaction that changes what a quota counts changes the quota's status with it, and
 * one that would bring an amount above its bound is refused as a whole. So no two transactions of one turn, and no
 * controller, can come by it, and status.used is never behind. Source: Kubernetes' admission plugin ResourceQuota,
 * whose words the refusals have; there the count is put right from time to time, here it is never wrong.
 *
 *  1. What an operation frees is free for the others of its transaction, in whatever order they stand.
 *  2. Only what grows is refused: a bound may be set below what there is, and what there is may shrink or stay.
 *  3. What a node reports of its pods is counted, and never refused.
 *  4. The status of a quota is written here alone: what others write of it is thrown away.
 *
 * Nothing is counted by walking over it but where a quota is new, or its names or scopes have changed: then what there
 * is, is counted, VISITS_MAX objects in one transaction. If that was not all, the annotation QUOTA_COUNTING says how
 * far it came, and each further transaction that changes the quota itself makes one more step (its controller sees to
 * that). Meanwhile what stands before that place is kept counted, and nothing that the quota counts can be made. */
#include <assert.h>
#include <stdlib.h>

#include "raft-store/store/bounds.h"
#include "raft-store/store/world_int.h"

#define VISITS_MAX 2000u

struct kept {
    struct quota q;
    bool own;   /* the transaction changes the quota itself */
    bool fresh; /* it is to be counted from the beginning, and behind all changes */
    bool dirty;
};
struct group { /* the quotas of one namespace */
    struct str ns;
    struct kept *items;
    unsigned count, cap;
};
struct book {
    struct world *w;
    struct arena arena;
    uint64_t base;
    struct group *groups;
    unsigned count, cap;
    struct group *last; /* looked up */
    unsigned visits;    /* that are left */
};

static const struct kind *quota_kind(void)
{
    return kind_by_id(KIND_RESOURCEQUOTA);
}

/* ---- The quotas that have to do with it ---- */

static const struct object *before(const struct book *b, const struct object *now)
{
    const struct changes *c = &b->w->changes;
    for (unsigned i = 0; i < c->count; i++) {
        if (c->items[i].new == now) {
            return c->items[i].old;
        }
    }
    assert(false); /* its revision says that the transaction wrote it */
    return NULL;
}

static void kept_read(struct book *b, struct kept *k, const struct object *o)
{
    k->own = o->revision > b->base;
    quota_read(&k->q, &b->arena, o, k->own ? before(b, o) : o);
    k->fresh = k->own && !k->q.known;
    if (k->fresh) {
        k->q.counting = true;
        k->q.to_kind = 0;
        for (unsigned i = 0; i < k->q.count; i++) {
            k->q.rows[i].used = 0;
        }
    }
    k->dirty = k->own;
}

static struct group *group_of(struct book *b, struct str ns)
{
    if (b->last != NULL && str_eq(b->last->ns, ns)) {
        return b->last;
    }
    for (unsigned i = 0; i < b->count; i++) {
        if (str_eq(b->groups[i].ns, ns)) {
            b->last = &b->groups[i];
            return b->last;
        }
    }
    b->groups = arena_grow(&b->arena, b->groups, b->count, &b->cap, sizeof *b->groups, 4);
    struct group *g = &b->groups[b->count++];
    struct view_iter it;
    *g = (struct group){.ns = ns};
    view_iter(&it, b->w->view, quota_kind(), ns);
    VIEW_FOR(o, &it)
    {
        g->items = arena_grow(&b->arena, g->items, g->count, &g->cap, sizeof *g->items, 4);
        kept_read(b, &g->items[g->count++], o);
    }
    b->last = g;
    return g;
}

/* ---- What changes ---- */

/* Does it stand where the counting has been? */
static bool is_counted(const struct kept *k, const struct object *o)
{
    unsigned kind = (unsigned)o->kind->id;
    return !k->fresh &&
           (!k->q.counting || kind < k->q.to_kind || (kind == k->q.to_kind && str_cmp(o->name, k->q.to_name) <= 0));
}

static quota_amount difference(const struct kept *k, const struct quota_row *row, const struct change *c)
{
    return quota_row_usage(&k->q, row, c->new) - quota_row_usage(&k->q, row, c->old);
}

static void free_what_goes(struct kept *k, const struct change *c)
{
    for (unsigned i = 0; i < k->q.count; i++) {
        struct quota_row *row = &k->q.rows[i];
        quota_amount n = difference(k, row, c);
        if (n < 0 && is_counted(k, c->new != NULL ? c->new : c->old)) {
            row->used = MAX(row->used + n, 0);
            k->dirty = true;
        }
    }
}

static int take_what_comes(struct kept *k, const struct change *c, bool refuse, struct error *err)
{
    struct quota_want wants[QUOTA_RESOURCES_MAX];
    quota_amount more[QUOTA_RESOURCES_MAX];
    unsigned count = 0;
    bool grows = false, counted = is_counted(k, c->new);
    assert(k->q.count <= QUOTA_RESOURCES_MAX);
    for (unsigned i = 0; i < k->q.count; i++) {
        struct quota_row *row = &k->q.rows[i];
        more[i] = difference(k, row, c);
        if (more[i] > 0) {
            grows = true;
            if (row->used + more[i] > row->hard) {
                wants[count++] = (struct quota_want){row, more[i], 0};
            }
        }
    }
    if (!grows || k->fresh) {
        return 0;
    }
    if (refuse && (k->q.counting || !k->q.known)) {
        return bounds_unknown(&k->q, c->new, err);
    }
    if (refuse && count > 0) {
        return bounds_exceeded(&k->q, c->new, wants, count, err);
    }
    for (unsigned i = 0; i < k->q.count && counted; i++) {
        k->q.rows[i].used += MAX(more[i], 0);
        k->dirty = k->dirty || more[i] > 0;
    }
    return 0;
}

static int take(struct group *g, const struct change *c, bool refuse, struct error *err)
{
    int rv = 0;
    for (unsigned i = 0; i < g->count && rv == 0; i++) {
        struct kept *k = &g->items[i];
        bool pod = c->old == NULL && c->new->kind->id == KIND_POD;
        if (refuse && pod && quota_matches(&k->q, c->new)) {
            rv = bounds_said(&k->q, c->new, err);
        }
        rv = rv != 0 ? rv : take_what_comes(k, c, refuse, err);
    }
    return rv;
}

static bool may_count(const struct change *c)
{
    const struct object *o = c->new != NULL ? c->new : c->old;
    return o != NULL && !str_empty(o->ns) && !o->kind->unowned && !quota_same(c->old, c->new);
}

/* ---- What there is ---- */

static void count_object(struct kept *k, const struct object *o)
{
    for (unsigned i = 0; i < k->q.count; i++) {
        k->q.rows[i].used += quota_row_usage(&k->q, &k->q.rows[i], o);
    }
    k->q.to_kind = (unsigned)o->kind->id;
    k->q.to_name = o->name;
}

static bool counts_kind(const struct kept *k, const struct kind *kind)
{
    for (unsigned i = 0; i < k->q.count; i++) {
        if (k->q.rows[i].resource.kind == kind) {
            return true;
        }
    }
    return false;
}

/* One step; kinds in the order of their numbers, of each all by name. */
static void count_on(struct book *b, struct kept *k, struct str ns)
{
    const struct view *v = b->w->view;
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *kind = kinds_at(i);
        unsigned id = (unsigned)kind->id;
        struct view_iter it;
        if (id < k->q.to_kind || !counts_kind(k, kind)) {
            continue;
        }
        if (id == k->q.to_kind) {
            view_iter_after(&it, v, kind, ns, ns, k->q.to_name);
        } else {
            view_iter(&it, v, kind, ns);
        }
        VIEW_FOR(o, &it)
        {
            if (b->visits == 0) {
                return;
            }
            b->visits--;
            count_object(k, o);
        }
    }
    k->q.counting = false;
    k->q.known = true;
}

/* ---- The status ---- */

static void counting_write(struct arena *a, struct value *doc, const struct kept *k)
{
    struct value *meta = value_get(doc, "metadata"), *annotations = value_get(meta, "annotations");
    if (!k->q.counting) {
        if (value_remove(annotations, QUOTA_COUNTING) && value_count(annotations) == 0) {
            value_remove(meta, "annotations");
        }
        return;
    }
    const struct kind *kind = k->q.to_kind == 0 ? NULL : kind_by_id(k->q.to_kind);
    struct str group = kind == NULL ? STR_NONE : kind_group(kind), name = kind == NULL ? STR_NONE : k->q.to_name;
    value_set(a, value_ensure_map(a, meta, "annotations"), QUOTA_COUNTING,
              value_strf(a, "%s%s%.*s/%.*s", kind == NULL ? "" : kind->plural, group.n > 0 ? "." : "", STR_ARG(group),
                         STR_ARG(name)));
}

static void status_write(struct arena *a, struct value *doc, const struct kept *k)
{
    struct value *status = value_map(a), *used = value_map(a);
    const struct value *hard = value_path(doc, "spec.hard");
    for (unsigned i = 0; i < k->q.count; i++) {
        char text[QUANTITY_SIZE];
        quota_amount_text(&k->q.rows[i].resource, k->q.rows[i].used, text);
        value_set_str_key(a, used, k->q.rows[i].resource.name, value_cstr(a, text));
    }
    value_set(a, status, "hard", hard == NULL ? value_map(a) : value_copy(a, hard));
    value_set(a, status, "used", used);
    value_set(a, doc, "status", status);
}

static int kept_write(struct book *b, struct kept *k, struct quota_writes *out, struct error *err)
{
    struct arena *a = &b->arena;
    struct value *doc = object_to_value(a, k->q.object);
    CLEANUP_OBJECT struct object *o = NULL;
    value_remove(value_get(doc, "metadata"), "resourceVersion");
    counting_write(a, doc, k);
    status_write(a, doc, k);
    int rv = object_from_value(k->q.object->kind, doc, 0, &o, err);
    if (rv != 0 || (o->body_size == k->q.object->body_size &&
                    memcmp(object_body(o), object_body(k->q.object), o->body_size) == 0)) {
        return rv;
    }
    out->items = xrealloc(out->items, (out->count + 1) * sizeof *out->items);
    out->items[out->count++] = object_ref(o);
    return 0;
}

/* ---- The whole ---- */

static int settle(struct book *b, bool refuse, struct quota_writes *out, struct error *err)
{
    const struct changes *c = &b->w->changes;
    int rv = 0;
    for (unsigned i = 0; i < c->count; i++) {
        if (c->items[i].old != NULL && may_count(&c->items[i])) {
            struct group *g = group_of(b, (c->items[i].new != NULL ? c->items[i].new : c->items[i].old)->ns);
            for (unsigned n = 0; n < g->count; n++) {
                free_what_goes(&g->items[n], &c->items[i]);
            }
        }
    }
    for (unsigned i = 0; i < c->count && rv == 0; i++) {
        const struct object *now = c->items[i].new;
        if (now != NULL && may_count(&c->items[i])) {
            rv = take(group_of(b, now->ns), &c->items[i], refuse, err);
        } else if (now != NULL && now->kind == quota_kind()) {
            group_of(b, now->ns);
        }
    }
    for (unsigned i = 0; i < b->count && rv == 0; i++) {
        for (unsigned n = 0; n < b->groups[i].count && rv == 0; n++) {
            struct kept *k = &b->groups[i].items[n];
            if (k->own && k->q.counting) {
                k->fresh = false;
                count_on(b, k, b->groups[i].ns);
            }
            rv = k->dirty ? kept_write(b, k, out, err) : 0;
        }
    }
    return rv;
}

void quota_writes_close(struct quota_writes *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        object_unref(l->items[i]);
    }
    free(l->items);
    *l = (struct quota_writes){0};
}

int world_quotas(struct world *w, const struct txn *t, uint64_t base, struct quota_writes *out, struct error *err)
{
    *out = (struct quota_writes){0};
    if (view_count(w->view, quota_kind()) == 0) {
        return 0;
    }
    struct book b = {.w = w, .base = base, .visits = VISITS_MAX};
    arena_init(&b.arena);
    int rv = settle(&b, !t->own_status, out, err);
    arena_close(&b.arena);
    if (rv != 0) {
        quota_writes_close(out);
    }
    return rv;
}
