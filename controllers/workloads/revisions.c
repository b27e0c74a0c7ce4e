#include "controllers/workloads/revisions.h"

#include <stdlib.h>

#define NUMBER_MAX (INT64_MAX / 2)

static const struct kind *revision_kind(void)
{
    return kind_of(KIND_CONTROLLERREVISION);
}

/* Somebody else may have written it: a number that no one counts to is the oldest. */
static int64_t number_of(const struct object *revision)
{
    int64_t n = mp_int(mp_get(object_mp(revision), "revision"), 0);
    return n < 0 || n > NUMBER_MAX ? 0 : n;
}

static int compare_number(const void *pa, const void *pb)
{
    const struct object *a = *(const struct object *const *)pa, *b = *(const struct object *const *)pb;
    int64_t x = number_of(a), y = number_of(b);
    return x != y ? (x > y ? 1 : -1) : str_cmp(a->name, b->name);
}

void revisions_read(struct revisions *r, const struct reconcile_in *in, struct reconcile_out *out,
                    const struct object *owner, const struct value *owner_doc)
{
    *r = (struct revisions){.a = out->arena, .in = in, .out = out, .owner = owner, .owner_doc = owner_doc};
    r->collisions = count_bound(value_path_int(owner_doc, "status.collisionCount", 0));
    struct view_iter it;
    view_iter_owned(&it, in->view, owner->uid, revision_kind());
    VIEW_FOR(o, &it)
    {
        if (!o->deleting) {
            object_list_add(r->a, &r->items, o);
        }
    }
    if (r->items.count > 0) {
        qsort(r->items.items, r->items.count, sizeof *r->items.items, compare_number);
    }
}

struct value *revision_template(struct arena *a, const struct object *revision)
{
    struct value *t = value_at(object_to_value(a, revision), "data", "spec", "template", NULL);
    if (!value_is_map(t)) {
        return NULL;
    }
    value_remove(t, "$patch");
    return t;
}

struct str revision_hash(const struct object *owner, struct str revision_name)
{
    size_t prefix = owner->name.n + 1;
    return revision_name.n <= prefix ? revision_name : (struct str){revision_name.p + prefix, revision_name.n - prefix};
}

const struct object *revisions_find(const struct revisions *r, struct str name)
{
    for (unsigned i = 0; i < r->items.count; i++) {
        if (str_eq(r->items.items[i]->name, name)) {
            return r->items.items[i];
        }
    }
    return NULL;
}

/* By what it means: an older program may have spelled it, or filled it in, in another way. */
static bool is_of_template(const struct revisions *r, const struct object *revision, const struct value *wanted)
{
    struct value *t = revision_template(r->a, revision);
    if (t == NULL) {
        return false;
    }
    if (kind_equal(r->owner->kind, "spec.template", wanted, t)) {
        return true;
    }
    struct value *filled = map_copy(r->a, r->owner_doc), *old = map_copy(r->a, r->owner_doc);
    value_set(r->a, value_ensure_map(r->a, old, "spec"), "template", t);
    kind_fill_defaults(r->owner->kind, r->a, filled);
    kind_fill_defaults(r->owner->kind, r->a, old);
    return kind_equal(r->owner->kind, "spec.template", value_path(filled, "spec.template"),
                      value_path(old, "spec.template"));
}

static int64_t number_next(const struct revisions *r)
{
    return r->items.count == 0 ? 1 : number_of(r->items.items[r->items.count - 1]) + 1;
}

/* An old state came back: it is the newest now. */
static int renumber(struct revisions *r, const struct object *revision, struct error *err)
{
    struct value *doc = object_to_value(r->a, revision);
    value_set(r->a, doc, "revision", value_int(r->a, number_next(r)));
    r->written++;
    return txn_update_value(r->out->txn, revision_kind(), doc, TXN_PART_ALL, revision->revision, err);
}

static struct value *document_new(struct revisions *r, const struct value *template, struct str name, const char *hash)
{
    struct arena *a = r->a;
    struct value *doc = value_map(a), *meta = value_ensure_map(a, doc, "metadata");
    struct value *state = map_copy(a, template), *labels = map_copy(a, value_path(template, "metadata.labels"));
    value_set(a, state, "$patch", value_cstr(a, "replace"));
    value_set(a, labels, REVISION_HASH_LABEL, value_cstr(a, hash));
    value_set(a, doc, "apiVersion", value_cstr(a, revision_kind()->api_version));
    value_set(a, doc, "kind", value_cstr(a, revision_kind()->name));
    value_set(a, meta, "name", value_str(a, name));
    value_set(a, meta, "namespace", value_str(a, r->owner->ns));
    value_set(a, meta, "labels", labels);
    const struct value *annotations = value_path(r->owner_doc, "metadata.annotations");
    const struct value *cause = value_get(annotations, "kubernetes.io/change-cause");
    if (cause != NULL) {
        value_set(a, value_ensure_map(a, meta, "annotations"), "kubernetes.io/change-cause", value_copy(a, cause));
    }
    owner_add(a, doc, r->owner);
    value_set(a, value_ensure_map(a, value_ensure_map(a, doc, "data"), "spec"), "template", state);
    value_set(a, doc, "revision", value_int(a, number_next(r)));
    return doc;
}

/* A revision without an owner that says the same, left by `delete --cascade=orphan`, is taken. */
static int adopt(struct revisions *r, const struct object *revision, struct error *err)
{
    struct value *doc = object_to_value(r->a, revision);
    owner_add(r->a, doc, r->owner);
    value_set(r->a, doc, "revision", value_int(r->a, number_next(r)));
    r->written++;
    DECIDED(r->out, REASON_ADOPTS, .what = str_of(revision->kind->singular), .more = revision->name);
    return txn_update_value(r->out->txn, revision->kind, doc, TXN_PART_ALL, revision->revision, err);
}

/* Said once: until it has another name nothing comes of it. */
static void impossible(struct revisions *r, struct str name)
{
    controller_event(r->out, r->in, r->owner, "Warning", "FailedCreate",
                     arena_printf(r->a, "%s-controller", r->owner->kind->singular),
                     "Failed to create a revision: its name would be that of the %s and a hash, %zu characters; at "
                     "most %u are allowed. Give the %s a shorter name",
                     r->owner->kind->name, name.n, NAME_KEY_MAX, r->owner->kind->name);
    DECIDED(r->out, REASON_NAME_TOO_LONG, .what = name);
}

int revisions_current(struct revisions *r, struct str *name, struct error *err)
{
    const struct value *template = value_path(r->owner_doc, "spec.template");
    for (unsigned i = r->items.count; i-- > 0;) {
        const struct object *revision = r->items.items[i];
        if (is_of_template(r, revision, template)) {
            *name = revision->name;
            return i + 1 == r->items.count ? 0 : renumber(r, revision, err);
        }
    }
    char hash[16];
    for (;; r->collisions++) {
        template_hash(r->a, template, r->collisions, hash);
        *name = str_of(arena_printf(r->a, "%.*s-%s", STR_ARG(r->owner->name), hash));
        if (name->n > NAME_KEY_MAX) {
            impossible(r, *name);
            *name = STR_NONE;
            return 0;
        }
        const struct object *other = view_get(r->in->view, revision_kind(), r->owner->ns, *name);
        if (other == NULL) {
            break;
        }
        if (str_empty(other->owner_uid) && !other->deleting && is_of_template(r, other, template)) {
            return adopt(r, other, err);
        }
    }
    r->written++;
    DECIDED(r->out, REASON_NEW_REVISION, .what = *name);
    return txn_create_value(r->out->txn, revision_kind(), document_new(r, template, *name, hash), err);
}

void revisions_truncate(struct revisions *r, int64_t limit, bool (*is_live)(void *data, const struct object *revision),
                        void *data)
{
    unsigned idle = 0;
    for (unsigned i = 0; i < r->items.count; i++) {
        idle += !is_live(data, r->items.items[i]);
    }
    for (unsigned i = 0; i < r->items.count && (int64_t)idle > limit; i++) {
        if (!is_live(data, r->items.items[i])) {
            txn_delete(r->out->txn, r->items.items[i]);
            DECIDED(r->out, REASON_FORGETS_SET, .what = r->items.items[i]->name);
            idle--;
        }
    }
}
