/* Server-side apply's two changes of the document: what the configuration says is put upon it, and what it said the
 * last time is taken from it.
 *
 * Members of a union (a volume's source, a strategy's parameters) that the configuration does not name go from beside
 * those that it names, unless somebody owns them: defaults would stay, and be refused. */
#include "proto/managed/managed_int.h"
#include "proto/patch/elements.h"

struct merge {
    struct arena *a;
    struct error *err;
};

static int merge_value(const struct merge *w, struct place p, const struct value *live, const struct value *config,
                       const struct managed_set *others, const struct crumb *at, struct value **out);

static const struct managed_set *below(const struct managed_set *s, const struct managed_node *at)
{
    static const struct managed_set empty;
    const struct managed_node *n = s->count == 0 ? NULL : managed_find(s, at->sort, at->text);
    return n == NULL ? &empty : &n->below;
}

static void drop_beside(struct value *result, const struct value *config, const struct managed_set *others)
{
    for (unsigned i = 0; i < result->map.count; i++) {
        struct value_member *m = &result->map.members[i];
        if (value_get_str_key(config, m->key) == NULL && managed_find(others, MANAGED_FIELD, m->key) == NULL) {
            m->value = NULL;
        }
    }
    value_drop_marked(result);
}

static int merge_maps(const struct merge *w, struct place p, const struct value *live, const struct value *config,
                      const struct managed_set *others, const struct crumb *at, struct value **out)
{
    struct value *result = copy_members(w->a, live);
    if (p.f != NULL && p.schema != NULL && (p.f->flags & FIELD_RETAIN_KEYS)) {
        drop_beside(result, config, others);
    }
    CLEANUP_VALUE_INDEX struct value_index there = value_index_new(result);
    for (unsigned i = 0; i < config->map.count; i++) {
        const struct value_member *m = &config->map.members[i];
        if (value_is_null(m->value)) {
            continue;
        }
        struct crumb here = {.up = at, .key = m->key};
        struct managed_node n = {.sort = MANAGED_FIELD, .text = m->key};
        unsigned k = value_index_find(&there, m->key);
        struct value *was = k == VALUE_NOT_FOUND ? NULL : result->map.members[k].value, *merged;
        int rc = merge_value(w, place_child(p, m->key), was, m->value, below(others, &n), &here, &merged);
        if (rc != 0) {
            return rc;
        }
        if (was != NULL) {
            result->map.members[k].value = merged;
        } else {
            value_push(w->a, result, m->key, merged);
        }
    }
    *out = result;
    return 0;
}

/* Elements of the configuration in its order, and those of others between them. */
static int merge_lists(const struct merge *w, struct place p, const struct value *live, const struct value *config,
                       const struct managed_set *others, const struct crumb *at, struct value **out)
{
    int rc = elements_check(p.f, config, at, w->err);
    rc = rc == 0 ? elements_check_size(live, at, w->err) : rc;
    if (rc != 0) {
        return rc;
    }
    struct value *mine = value_list(w->a), *rest = value_list(w->a);
    struct elements in_live = elements_of(w->a, p.f, live, 0), in_config = elements_of(w->a, p.f, config, 0);
    VALUE_FOR(i, config)
    {
        const struct value *e = value_item(config, i);
        struct crumb here = {.up = at, .index = i};
        struct value *merged;
        if (elements_find(&in_config, e) != i) {
            return patch_error(w->err, &here, "Duplicate value: an element with the same key stands before it");
        }
        struct managed_node n = managed_item(w->a, p, e);
        const struct value *was = elements_at(&in_live, elements_find(&in_live, e));
        rc = merge_value(w, place_element(p), was, e, below(others, &n), &here, &merged);
        if (rc != 0) {
            return rc;
        }
        value_append(w->a, mine, merged);
    }
    VALUE_FOR(i, live)
    {
        struct value *e = value_item(live, i);
        if (elements_find(&in_config, e) == ELEMENTS_NONE) {
            value_append(w->a, rest, e);
        }
    }
    *out = elements_weave(w->a, p.f, mine, rest, live);
    return 0;
}

static int merge_value(const struct merge *w, struct place p, const struct value *live, const struct value *config,
                       const struct managed_set *others, const struct crumb *at, struct value **out)
{
    if (value_is_map(config) && config->map.count > 0 && !place_is_atomic(p) &&
        (p.schema != NULL || managed_shape_of(p, config) == MANAGED_MAP)) {
        return merge_maps(w, p, value_is_map(live) ? live : NULL, config, others, at, out);
    }
    if (value_is_map(config) && config->map.count == 0 && value_is_map(live) && !place_is_atomic(p)) {
        *out = (struct value *)live; /* it is to be there, whatever is in it */
        return 0;
    }
    if (value_is_list(config) && place_list_strategy(p) != LIST_ATOMIC) {
        return merge_lists(w, p, value_is_list(live) ? live : NULL, config, others, at, out);
    }
    *out = copy_without_nulls(w->a, config);
    return 0;
}

int managed_merge(struct arena *a, const struct kind *k, const struct value *live, const struct value *config,
                  const struct managed_set *others, struct value **out, struct error *err)
{
    struct merge w = {a, err};
    return merge_value(&w, place_root(k), live, config, others, NULL, out);
}

/* ---- What was applied the last time ---- */

struct prune {
    struct arena *a;
    enum managed_part part;
};

static struct value *prune_value(const struct prune *w, struct place p, const struct value *v, bool at_top,
                                 const struct managed_set *last, const struct managed_set *keep);

/* NULL: it goes. A struct goes with its defaults when nobody owns anything in it; of a free map and of a list only what
 * was applied. */
static struct value *prune_child(const struct prune *w, struct place child, struct value *v, bool fixed,
                                 const struct managed_node *last, const struct managed_node *keep)
{
    static const struct managed_set nothing;
    bool is_struct = child.schema != NULL && value_is_map(v) && !fixed;
    if (keep == NULL && (last->owned || is_struct)) {
        return NULL;
    }
    if (managed_shape_of(child, v) == MANAGED_LEAF) {
        return v;
    }
    struct value *rest = prune_value(w, child, v, false, &last->below, keep == NULL ? &nothing : &keep->below);
    return keep == NULL && !fixed && value_count(rest) == 0 ? NULL : rest;
}

static struct value *prune_map(const struct prune *w, struct place p, const struct value *v, bool at_top,
                               const struct managed_set *last, const struct managed_set *keep)
{
    struct value *out = value_map(w->a);
    for (unsigned i = 0; i < v->map.count; i++) {
        const struct value_member *m = &v->map.members[i];
        const struct managed_node *was = managed_find(last, MANAGED_FIELD, m->key);
        struct place child = place_child(p, m->key);
        bool system = child.f != NULL && !child.element && (child.f->flags & FIELD_READONLY);
        /* Without it the element would be another one. */
        bool is_key = p.element && p.f->shape == SHAPE_LIST && p.f->merge_key != NULL &&
                      (str_is(m->key, p.f->merge_key) || (p.f->merge_key2 != NULL && str_is(m->key, p.f->merge_key2)));
        struct value *rest = m->value;
        if (was != NULL && !system && !is_key) {
            /* What the system wrote there has no owner, and stays. */
            bool fixed = at_top && (str_is(m->key, "metadata") || str_is(m->key, "spec") || str_is(m->key, "status"));
            rest = prune_child(w, child, m->value, fixed, was, managed_find(keep, MANAGED_FIELD, m->key));
        }
        if (rest != NULL) {
            value_push(w->a, out, m->key, rest);
        }
    }
    return out;
}

static struct value *prune_list(const struct prune *w, struct place p, const struct value *v,
                                const struct managed_set *last, const struct managed_set *keep)
{
    struct value *out = value_list(w->a);
    VALUE_FOR(i, v)
    {
        struct value *e = value_item(v, i), *rest = e;
        struct managed_node n = managed_item(w->a, p, e);
        const struct managed_node *was = managed_find(last, n.sort, n.text);
        if (was != NULL) {
            const struct managed_node *kept = managed_find(keep, n.sort, n.text);
            rest = kept == NULL && !was->owned ? prune_child(w, place_element(p), e, true, was, NULL)
                                               : prune_child(w, place_element(p), e, false, was, kept);
        }
        if (rest != NULL) {
            value_append(w->a, out, rest);
        }
    }
    return out;
}

static struct value *prune_value(const struct prune *w, struct place p, const struct value *v, bool at_top,
                                 const struct managed_set *last, const struct managed_set *keep)
{
    return managed_shape_of(p, v) == MANAGED_MAP ? prune_map(w, p, v, at_top, last, keep)
                                                 : prune_list(w, p, v, last, keep);
}

struct value *managed_prune(struct arena *a, const struct kind *k, enum managed_part part, const struct value *doc,
                            const struct managed_set *last, const struct managed_set *keep)
{
    struct prune w = {a, part};
    return last->count == 0 || value_count(doc) == 0 ? (struct value *)doc
                                                     : prune_value(&w, place_root(k), doc, true, last, keep);
}
