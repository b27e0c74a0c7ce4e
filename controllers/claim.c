#include "controllers/claim.h"

#include <assert.h>

static bool adoptable(const struct object *o, bool (*may_adopt)(const struct object *o))
{
    return str_empty(o->owner_uid) && !o->deleting && (may_adopt == NULL || may_adopt(o));
}

int claim_adopt(struct reconcile_out *out, const struct object *o, const struct object *owner, struct error *err)
{
    assert(str_empty(o->owner_uid) && !o->deleting);
    struct value *doc = object_to_value(out->arena, o);
    owner_add(out->arena, doc, owner);
    DECIDED(out, REASON_ADOPTS, .what = str_of(o->kind->singular), .more = o->name);
    return txn_update_value(out->txn, o->kind, doc, TXN_PART_ALL, o->revision, err);
}

static int release(struct reconcile_out *out, const struct object *o, const struct object *owner, struct error *err)
{
    assert(str_eq(o->owner_uid, owner->uid));
    struct value *doc = object_to_value(out->arena, o);
    owner_remove(doc, owner->uid);
    DECIDED(out, REASON_RELEASES, .what = str_of(o->kind->singular), .more = o->name);
    return txn_update_value(out->txn, o->kind, doc, TXN_PART_ALL, o->revision, err);
}

static int more(const struct claim *c)
{
    requeue_in(c->out, 1); /* behind the others */
    return CLAIM_MORE;
}

int claim_owned(const struct claim *c, struct error *err)
{
    struct view_iter it;
    unsigned released = 0;
    bool left = false;
    view_iter_owned(&it, c->in->view, c->owner->uid, c->kind);
    VIEW_FOR(o, &it)
    {
        if (c->owner->deleting || c->selects(c->data, o)) {
            c->keep(c->data, o);
        } else if (!o->deleting && released == CONTROLLER_BATCH_MAX) {
            left = true;
        } else if (!o->deleting) {
            int rv = release(c->out, o, c->owner, err);
            if (rv != 0) {
                return rv;
            }
            released++;
        }
    }
    return left ? more(c) : 0;
}

static void candidates_iter(const struct claim *c, struct view_iter *it)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    const struct view *v = c->in->view;
    enum view_index index;
    if (view_choose_index(v, c->kind, c->owner->ns, c->selector, NULL, &index, &key)) {
        view_iter_index(it, v, index, buf_str(&key), c->kind, c->owner->ns);
    } else {
        view_iter(it, v, c->kind, c->owner->ns);
    }
}

int claim_orphans(const struct claim *c, struct error *err)
{
    int64_t observed = mp_int(mp_path(object_mp(c->owner), "status.observedGeneration"), 0);
    if (c->owner->deleting || observed == c->owner->generation) {
        return 0;
    }
    struct view_iter it;
    unsigned adopted = 0;
    candidates_iter(c, &it);
    VIEW_FOR(o, &it)
    {
        if (adoptable(o, c->may_adopt) && c->selects(c->data, o)) {
            if (adopted++ == CONTROLLER_BATCH_MAX) {
                return more(c);
            }
            int rv = c->adopt(c->data, o, err);
            if (rv != 0) {
                return rv;
            }
        }
    }
    return 0;
}

int claim_all(const struct claim *c, struct error *err)
{
    int rv = claim_owned(c, err);
    return rv != 0 ? rv : claim_orphans(c, err);
}

/* ---- Pods ---- */

struct pods_walk {
    struct claim_pods *p;
    struct reconcile_out *out;
    const struct object *owner;
};

static bool pods_select(void *data, const struct object *pod)
{
    const struct pods_walk *w = data;
    return (w->p->fits == NULL || w->p->fits(w->owner, pod)) && selector_matches_object(w->p->selector, pod);
}

static void pods_keep(void *data, const struct object *pod)
{
    struct pods_walk *w = data;
    object_list_add(w->out->arena, &w->p->pods, pod);
}

static int pods_adopt(void *data, const struct object *pod, struct error *err)
{
    struct pods_walk *w = data;
    w->p->adopted++;
    return claim_adopt(w->out, pod, w->owner, err);
}

int claim_pods(struct claim_pods *p, const struct reconcile_in *in, struct reconcile_out *out,
               const struct object *owner, struct error *err)
{
    struct pods_walk w = {p, out, owner};
    const struct claim c = {.in = in,
                            .out = out,
                            .owner = owner,
                            .kind = kind_of(KIND_POD),
                            .may_adopt = pod_active,
                            .selects = pods_select,
                            .keep = pods_keep,
                            .adopt = pods_adopt,
                            .selector = p->selector,
                            .data = &w};
    return claim_all(&c, err);
}

/* ---- Orphans ---- */

int claim_orphan(const struct reconcile_in *in, struct reconcile_out *out, const struct kind *owner_kind,
                 bool (*may_adopt)(const struct object *o), struct error *err)
{
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (o == NULL || !adoptable(o, may_adopt)) {
        return 0;
    }
    struct view_iter it;
    view_iter(&it, in->view, owner_kind, in->key.ns);
    VIEW_FOR(owner, &it)
    {
        struct selector *selector;
        if (!owner->deleting &&
            selector_from_mp(out->arena, mp_path(object_mp(owner), "spec.selector"), &selector, NULL) == 0 &&
            !selector_empty(selector) && selector_matches_object(selector, o)) {
            return claim_adopt(out, o, owner, err);
        }
    }
    return 0;
}

bool claim_is_new_orphan(const struct object *old, const struct object *now)
{
    return now != NULL && str_empty(now->owner_uid) && !now->deleting && mp_count(object_labels(now)) > 0 &&
           (old == NULL || !str_empty(old->owner_uid) || !mp_equal(object_labels(old), object_labels(now)));
}
