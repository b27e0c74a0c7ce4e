#include "controllers/util.h"

#include <assert.h>
#include <stdio.h>

#include "base/timefmt.h"
#include "proto/facts/storage.h"

/* Above this a percentage says no more: keeps products small. */
#define PERCENT_MAX 100000

/* ---- Objects ---- */

bool object_is_older(const struct object *a, const struct object *b)
{
    if (b == NULL) {
        return true;
    }
    int64_t x = object_created_ms(a), y = object_created_ms(b);
    return x != y ? x < y : str_cmp(a->uid, b->uid) < 0;
}

bool mp_list_has_str(struct mp list, const char *s)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        if (str_is(mp_str(it.value), s)) {
            return true;
        }
    }
    return false;
}

bool list_has_str(const struct value *list, const char *s)
{
    VALUE_FOR(i, list)
    {
        if (str_is(value_to_str(value_item(list, i)), s)) {
            return true;
        }
    }
    return false;
}

bool list_remove_str(struct value *list, const char *s)
{
    VALUE_FOR(i, list)
    {
        if (str_is(value_to_str(value_item(list, i)), s)) {
            value_remove_at(list, i);
            return true;
        }
    }
    return false;
}

struct cluster_config cluster_config_of(const struct view *v)
{
    struct cluster_config config;
    cluster_config_read(view_get(v, kind_of(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME)), &config);
    return config;
}

bool namespace_closed(const struct view *v, struct str ns)
{
    const struct object *o = view_get(v, kind_of(KIND_NAMESPACE), STR_NONE, ns);
    return o == NULL || o->deleting;
}

const struct kind *owner_kind(struct mp reference)
{
    return kind_of_reference(mp_str(mp_get(reference, "apiVersion")), mp_str(mp_get(reference, "kind")));
}

const struct object *owner_get(const struct view *v, struct str ns, struct mp reference)
{
    const struct kind *k = owner_kind(reference);
    if (k == NULL) {
        return NULL;
    }
    const struct object *o = view_get(v, k, k->namespaced ? ns : STR_NONE, mp_str(mp_get(reference, "name")));
    return o != NULL && str_eq(o->uid, mp_str(mp_get(reference, "uid"))) ? o : NULL;
}

struct mp owner_controller(const struct object *o)
{
    if (!str_empty(o->owner_uid)) {
        for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.ownerReferences")); mp_next(&it);) {
            if (mp_bool(mp_get(it.value, "controller"), false)) {
                return it.value;
            }
        }
    }
    return mp_of(NULL, 0);
}

struct value *owner_reference(struct arena *a, const struct object *owner)
{
    struct value *r = value_map(a);
    value_set(a, r, "apiVersion", value_cstr(a, owner->kind->api_version));
    value_set(a, r, "kind", value_cstr(a, owner->kind->name));
    value_set(a, r, "name", value_str(a, owner->name));
    value_set(a, r, "uid", value_str(a, owner->uid));
    value_set(a, r, "controller", value_bool(a, true));
    value_set(a, r, "blockOwnerDeletion", value_bool(a, true));
    return r;
}

void owner_add(struct arena *a, struct value *doc, const struct object *owner)
{
    owner_remove(doc, owner->uid);
    struct value *metadata = value_ensure_map(a, doc, "metadata");
    value_append(a, value_ensure_list(a, metadata, "ownerReferences"), owner_reference(a, owner));
}

struct str name_generate_free(const struct reconcile_in *in, struct arena *a, const struct kind *k, struct str ns,
                              struct str base, struct strmap *taken)
{
    struct str name;
    char suffix[6];
    do {
        rng_suffix(in->rng, suffix);
        name = str_of(arena_printf(a, "%.*s%s", STR_ARG(base), suffix));
    } while ((taken != NULL && strmap_get(taken, name) != NULL) || view_get(in->view, k, ns, name) != NULL);
    if (taken != NULL) {
        strmap_set(taken, name, taken);
    }
    return name;
}

struct value *document_owned(const struct reconcile_in *in, struct arena *a, const struct kind *k,
                             const struct object *owner)
{
    struct value *doc = value_map(a), *meta = value_ensure_map(a, doc, "metadata");
    struct str base = name_generate_prefix(a, owner->name), name = name_generate_free(in, a, k, owner->ns, base, NULL);
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, meta, "name", value_str(a, name));
    value_set(a, meta, "generateName", value_str(a, base));
    value_set(a, meta, "namespace", value_str(a, owner->ns));
    owner_add(a, doc, owner);
    return doc;
}

bool owner_remove(struct value *doc, struct str uid)
{
    struct value *metadata = value_get(doc, "metadata"), *list = value_get(metadata, "ownerReferences");
    VALUE_FOR(i, list)
    {
        if (str_eq(value_path_str(value_item(list, i), "uid"), uid)) {
            value_remove_at(list, i);
            if (value_count(list) == 0) {
                value_remove(metadata, "ownerReferences");
            }
            return true;
        }
    }
    return false;
}

struct value *claim_document(struct arena *a, const struct value *template, struct str ns, struct str name)
{
    const struct kind *k = kind_of(KIND_PERSISTENTVOLUMECLAIM);
    const struct value *labels = value_path(template, "metadata.labels"),
                       *annotations = value_path(template, "metadata.annotations");
    struct value *doc = value_map(a), *meta = value_ensure_map(a, doc, "metadata");
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, meta, "name", value_str(a, name));
    value_set(a, meta, "namespace", value_str(a, ns));
    if (value_count(labels) > 0) {
        value_set(a, meta, "labels", value_copy(a, labels));
    }
    if (annotations != NULL) {
        value_set(a, meta, "annotations", value_copy(a, annotations));
    }
    value_set(a, doc, "spec", map_copy(a, value_get(template, "spec")));
    kind_fill_defaults(k, a, doc);
    k->begin(a, doc);
    storage_add_finalizer(a, doc, STORAGE_PROTECT_CLAIM);
    return doc;
}

struct value *map_copy(struct arena *a, const struct value *v)
{
    return value_is_map(v) ? value_copy(a, v) : value_map(a);
}

int workload_sound(const struct object *o, struct error *err)
{
    static const char *const maps[] = {"spec.selector", "spec.template", "spec.template.metadata",
                                       "spec.template.spec"};
    for (unsigned i = 0; i < ARRAY_SIZE(maps); i++) {
        if (mp_type(mp_path(object_mp(o), maps[i])) != MP_MAP) {
            return error_set_field(err, ERR_INVALID, maps[i],
                                   "%s \"%.*s\" has no %s: nothing can be made of it; delete it, or apply it again",
                                   o->kind->name, STR_ARG(o->name), maps[i]);
        }
    }
    return str_empty(o->uid) ? error_set_field(err, ERR_INVALID, "metadata.uid", "%s \"%.*s\" has no uid",
                                               o->kind->name, STR_ARG(o->name))
                             : 0;
}

int workload_selects_own(const struct object *o, bool selects, struct error *err)
{
    return selects ? 0
                   : error_set_field(err, ERR_INVALID, "spec.selector",
                                     "%s \"%.*s\": spec.selector does not select what spec.template makes: nothing is "
                                     "made of it; delete it, or apply it again",
                                     o->kind->name, STR_ARG(o->name));
}

/* ---- Times ---- */

int64_t time_of(const struct value *v)
{
    int64_t ms = 0;
    return timefmt_parse(value_to_str(v), &ms) ? ms : 0;
}

int64_t time_of_mp(struct mp m)
{
    int64_t ms = 0;
    struct str s = mp_str(m);
    return !str_empty(s) && timefmt_parse(s, &ms) ? ms : 0;
}

bool status_set_int(struct arena *a, struct value *status, const char *key, int64_t v, bool keep_zero)
{
    const struct value *former = value_get(status, key);
    bool wanted = v != 0 || keep_zero;
    if (wanted ? former != NULL && former->type == VALUE_INT && former->integer == v : former == NULL) {
        return false;
    }
    if (wanted) {
        value_set(a, status, key, value_int(a, v));
    } else {
        value_remove(status, key);
    }
    return true;
}

/* ---- Lists ---- */

void object_list_add(struct arena *a, struct object_list *l, const struct object *o)
{
    l->items = arena_grow(a, l->items, l->count, &l->cap, sizeof *l->items, 16);
    l->items[l->count++] = o;
}

/* ---- Results ---- */

void requeue_in(struct reconcile_out *out, int64_t after_ms)
{
    after_ms = MAX(after_ms, 1);
    if (out->requeue_after_ms == 0 || after_ms < out->requeue_after_ms) {
        out->requeue_after_ms = after_ms;
    }
}

void reconcile_decided(struct reconcile_out *out, const struct decision *d)
{
    struct decision mine = *d;
    mine.what.p = d->what.n == 0 ? NULL : arena_strndup(out->arena, d->what.p, d->what.n);
    mine.more.p = d->more.n == 0 ? NULL : arena_strndup(out->arena, d->more.p, d->more.n);
    decisions_add(&out->decisions, &mine);
}

int64_t int_or_percent(const struct value *v, int64_t total, bool round_up, const char *fallback)
{
    struct value text = {.type = VALUE_STR, .str = str_of(fallback)};
    if (value_is_null(v)) {
        v = &text;
    }
    if (v->type == VALUE_INT) {
        return v->integer;
    }
    struct str s = value_to_str(v);
    int64_t n = 0;
    if (s.n > 1 && s.p[s.n - 1] == '%' && str_to_int64((struct str){s.p, s.n - 1}, &n)) {
        n = MIN(n, PERCENT_MAX);
        return round_up ? (total * n + 99) / 100 : total * n / 100;
    }
    return str_to_int64(s, &n) ? n : 0;
}

void map_self(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
              void *data)
{
    (void)tip;
    const struct object *o = now != NULL ? now : old;
    emit(data, o->kind, o->ns, o->name);
}

void map_owner(enum kind_id owner, const struct object *old, const struct object *now, controller_emit *emit,
               void *data)
{
    const struct object *states[] = {old, now};
    const struct kind *k = kind_of(owner);
    for (unsigned i = 0; i < 2; i++) {
        if (states[i] == NULL || states[i]->owner_kind != owner ||
            (i == 1 && old != NULL && str_eq(old->owner_uid, now->owner_uid))) {
            continue;
        }
        struct str name = mp_str(mp_get(owner_controller(states[i]), "name"));
        emit(data, k, k->namespaced ? states[i]->ns : STR_NONE, name);
    }
}
