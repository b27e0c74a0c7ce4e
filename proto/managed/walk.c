/* Sets of paths of documents, and what differs between two. */
#include "proto/managed/managed_int.h"
#include "proto/patch/elements.h"
#include "proto/text/text.h"

bool managed_counts(enum managed_part part, bool at_top, bool in_metadata, struct str key)
{
    static const char *const system[] = {"name",
                                         "namespace",
                                         "uid",
                                         "resourceVersion",
                                         "generation",
                                         "creationTimestamp",
                                         "deletionTimestamp",
                                         "deletionGracePeriodSeconds",
                                         "selfLink",
                                         "managedFields",
                                         MANAGED_MEMBER};
    if (at_top) {
        bool status = str_is(key, "status");
        return part == MANAGED_STATUS ? status : !status && !str_is(key, "apiVersion") && !str_is(key, "kind");
    }
    for (size_t i = 0; in_metadata && i < ARRAY_SIZE(system); i++) {
        if (str_is(key, system[i])) {
            return false;
        }
    }
    return true;
}

/* Each element has its key, and there are not too many: otherwise the list is one value. */
static bool has_keys(const struct field *f, const struct value *list)
{
    VALUE_FOR(i, list)
    {
        const struct value *e = value_item(list, i);
        bool good = f->type == FIELD_OBJECT ? value_is_map(e) && !value_is_null(value_get(e, f->merge_key))
                                            : !value_is_map(e) && !value_is_list(e);
        if (!good) {
            return false;
        }
    }
    return value_count(list) <= PATCH_LIST_MAX;
}

enum managed_shape managed_shape_of(struct place p, const struct value *v)
{
    bool whole_map = p.f != NULL && !p.element && p.f->shape == SHAPE_MAP;
    if (value_is_map(v)) {
        bool known = p.schema != NULL || whole_map;
        return v->map.count > 0 && known && !place_is_atomic(p) ? MANAGED_MAP : MANAGED_LEAF;
    }
    if (value_is_list(v)) {
        return place_list_strategy(p) != LIST_ATOMIC && v->list.count > 0 && has_keys(p.f, v) ? MANAGED_LIST
                                                                                              : MANAGED_LEAF;
    }
    return MANAGED_LEAF;
}

static struct str text_of(struct arena *a, const struct value *v)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    json_write_canonical(&b, v);
    return (struct str){arena_strndup(a, (const char *)b.data, b.size), b.size};
}

struct managed_node managed_item(struct arena *a, struct place list, const struct value *item)
{
    const struct field *f = list.f;
    if (f->type != FIELD_OBJECT) {
        return (struct managed_node){.sort = MANAGED_VALUE, .text = text_of(a, item)};
    }
    struct value *keys = value_map(a);
    value_set(a, keys, f->merge_key, value_get(item, f->merge_key));
    if (f->merge_key2 != NULL) {
        struct value *second = value_get(item, f->merge_key2);
        const struct field *row = schema_field(f->sub, str_of(f->merge_key2));
        if (!value_is_null(second)) {
            value_set(a, keys, f->merge_key2, second);
        } else if (row != NULL && row->fallback != NULL) {
            value_set(a, keys, f->merge_key2, value_cstr(a, row->fallback));
        }
    }
    return (struct managed_node){.sort = MANAGED_KEY, .text = text_of(a, keys)};
}

/* ---- All of a document ---- */

struct walk {
    struct arena *a;
    enum managed_part part;
};
/* Where a walk is: at the top, in metadata, or further down. */
enum level { AT_TOP, IN_METADATA, BELOW };

static enum level level_below(enum level l, struct str key)
{
    return l == AT_TOP && str_is(key, "metadata") ? IN_METADATA : BELOW;
}

static void add_all(const struct walk *w, struct place p, const struct value *v, enum level l, struct managed_set *s);

/* A value of its own: a leaf, or what is below it. always: it is owned itself even so. */
static void add_value(const struct walk *w, struct place p, const struct value *v, enum level l, bool always,
                      struct managed_node n, struct managed_set *s)
{
    n.owned = always || managed_shape_of(p, v) == MANAGED_LEAF;
    add_all(w, p, v, l, &n.below);
    if (n.owned || n.below.count > 0) {
        managed_add(w->a, s, n);
    }
}

static void add_all(const struct walk *w, struct place p, const struct value *v, enum level l, struct managed_set *s)
{
    switch (managed_shape_of(p, v)) {
    case MANAGED_LEAF:
        return;
    case MANAGED_MAP:
        for (unsigned i = 0; i < v->map.count; i++) {
            const struct value_member *m = &v->map.members[i];
            if (value_is_null(m->value) || !managed_counts(w->part, l == AT_TOP, l == IN_METADATA, m->key)) {
                continue;
            }
            struct managed_node n = {.sort = MANAGED_FIELD, .text = m->key};
            add_value(w, place_child(p, m->key), m->value, level_below(l, m->key), p.schema == NULL, n, s);
        }
        break;
    case MANAGED_LIST:
        VALUE_FOR(i, v)
        {
            const struct value *e = value_item(v, i);
            add_value(w, place_element(p), e, BELOW, true, managed_item(w->a, p, e), s);
        }
        break;
    }
    managed_close(w->a, s);
}

struct managed_set managed_of(const struct kind *k, struct arena *a, enum managed_part part, const struct value *doc)
{
    struct managed_set s = {0};
    struct walk w = {a, part};
    add_all(&w, place_root(k), doc, AT_TOP, &s);
    return s;
}

/* ---- Two documents ---- */

static void compare_maps(const struct walk *w, struct place p, const struct value *was, const struct value *now,
                         enum level l, struct managed_set *changed, struct managed_set *gone);
static void compare_lists(const struct walk *w, struct place p, const struct value *was, const struct value *now,
                          struct managed_set *changed, struct managed_set *gone);

/* What stands at one element in both. */
static void compare_value(const struct walk *w, struct place p, const struct value *was, const struct value *now,
                          enum level l, struct managed_node at, struct managed_set *changed, struct managed_set *gone)
{
    enum managed_shape shape = managed_shape_of(p, now);
    struct managed_node to = at, from = at;
    if (shape != managed_shape_of(p, was)) {
        from.whole = true;
        add_value(w, p, now, l, false, to, changed);
        managed_add(w->a, gone, from);
        return;
    }
    if (shape == MANAGED_MAP) {
        compare_maps(w, p, was, now, l, &to.below, &from.below);
    } else if (shape == MANAGED_LIST) {
        compare_lists(w, p, was, now, &to.below, &from.below);
    } else {
        to.owned = !value_equal(was, now);
    }
    if (to.owned || to.below.count > 0) {
        managed_add(w->a, changed, to);
    }
    if (from.below.count > 0) {
        managed_add(w->a, gone, from);
    }
}

static void compare_maps(const struct walk *w, struct place p, const struct value *was, const struct value *now,
                         enum level l, struct managed_set *changed, struct managed_set *gone)
{
    CLEANUP_VALUE_INDEX struct value_index in_was = value_index_new(was), in_now = value_index_new(now);
    for (unsigned i = 0; i < now->map.count; i++) {
        const struct value_member *m = &now->map.members[i];
        if (value_is_null(m->value) || !managed_counts(w->part, l == AT_TOP, l == IN_METADATA, m->key)) {
            continue;
        }
        struct managed_node n = {.sort = MANAGED_FIELD, .text = m->key};
        unsigned at = value_index_find(&in_was, m->key);
        const struct value *before = at == VALUE_NOT_FOUND ? NULL : was->map.members[at].value;
        struct place child = place_child(p, m->key);
        enum level below = level_below(l, m->key);
        if (value_is_null(before)) {
            add_value(w, child, m->value, below, p.schema == NULL, n, changed);
        } else if (l != AT_TOP || !value_equal(before, m->value)) { /* mostly the same: at once */
            compare_value(w, child, before, m->value, below, n, changed, gone);
        }
    }
    for (unsigned i = 0; i < was->map.count; i++) {
        const struct value_member *m = &was->map.members[i];
        unsigned at = value_index_find(&in_now, m->key);
        bool is_gone = at == VALUE_NOT_FOUND || value_is_null(now->map.members[at].value);
        if (is_gone && !value_is_null(m->value) && managed_counts(w->part, l == AT_TOP, l == IN_METADATA, m->key)) {
            managed_add(w->a, gone, (struct managed_node){.sort = MANAGED_FIELD, .text = m->key, .whole = true});
        }
    }
    managed_close(w->a, changed);
    managed_close(w->a, gone);
}

static void compare_lists(const struct walk *w, struct place p, const struct value *was, const struct value *now,
                          struct managed_set *changed, struct managed_set *gone)
{
    struct elements in_was = elements_of(w->a, p.f, was, 0), in_now = elements_of(w->a, p.f, now, 0);
    struct place child = place_element(p);
    VALUE_FOR(i, now)
    {
        const struct value *e = value_item(now, i);
        struct managed_node n = managed_item(w->a, p, e);
        const struct value *before = elements_at(&in_was, elements_find(&in_was, e));
        if (before == NULL) {
            add_value(w, child, e, BELOW, true, n, changed);
        } else {
            compare_value(w, child, before, e, BELOW, n, changed, gone);
        }
    }
    VALUE_FOR(i, was)
    {
        const struct value *e = value_item(was, i);
        if (elements_find(&in_now, e) == ELEMENTS_NONE) {
            struct managed_node n = managed_item(w->a, p, e);
            n.whole = true;
            managed_add(w->a, gone, n);
        }
    }
    managed_close(w->a, changed);
    managed_close(w->a, gone);
}

void managed_compare(const struct kind *k, struct arena *a, enum managed_part part, const struct value *before,
                     const struct value *after, struct managed_set *changed, struct managed_set *gone)
{
    struct walk w = {a, part};
    *changed = *gone = (struct managed_set){0};
    if (value_is_map(before) && value_is_map(after)) {
        compare_maps(&w, place_root(k), before, after, AT_TOP, changed, gone);
    } else if (value_is_map(after)) {
        *changed = managed_of(k, a, part, after);
    }
}
