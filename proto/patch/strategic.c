/* Strategic merge: maps merge, lists merge by the keys in the kind's table, and directives say the rest.
 *
 *   $patch: replace | delete | merge     in a map, or in an element of a keyed list
 *   $retainKeys: [k, ...]                members of the map that stay; all others go
 *   $setElementOrder/FIELD: [...]        order of a merged list; without it the elements of the patch stand in the
 *   patch's order
 *   $deleteFromPrimitiveList/FIELD: []   elements to take out of a list of scalars
 *
 * Source: Kubernetes, "Strategic Merge Patch"
 * (community/contributors/devel/sig-api-machinery/strategic-merge-patch.md). */
#include <assert.h>

#include "proto/patch/elements.h"
#include "proto/patch/patch_int.h"

#define ORDER_PREFIX  "$setElementOrder/"
#define DELETE_PREFIX "$deleteFromPrimitiveList/"

struct strategic {
    struct arena *arena;
    struct error *err;
};

static int merge_map(const struct strategic *s, struct place p, const struct value *current, const struct value *patch,
                     const struct crumb *at, struct value **out);

static bool is_directive(struct str key)
{
    return str_is(key, "$patch") || str_is(key, "$retainKeys") || str_starts(key, STR(ORDER_PREFIX)) ||
           str_starts(key, STR(DELETE_PREFIX));
}

static struct str without(struct str key, struct str prefix)
{
    return str_starts(key, prefix) ? (struct str){key.p + prefix.n, key.n - prefix.n} : STR_NONE;
}

static struct value *directive_for(const struct strategic *s, const struct value *patch, const char *prefix,
                                   struct str key)
{
    char *name = arena_printf(s->arena, "%s%.*s", prefix, STR_ARG(key));
    return value_get(patch, name);
}

/* A value that replaces or is new: directives inside are carried out on nothing, nulls vanish. */
static int merge_value(const struct strategic *s, struct place p, const struct value *current,
                       const struct value *patch, const struct crumb *at, struct value **out)
{
    if (value_is_map(patch)) {
        return merge_map(s, p, value_is_map(current) ? current : NULL, patch, at, out);
    }
    *out = copy_without_nulls(s->arena, patch);
    return 0;
}

/* ---- Keyed lists ---- */

/* $patch: delete takes elements out, $patch: replace drops all there were. */
static int apply_list_directives(const struct strategic *s, const struct field *f, struct elements *result,
                                 const struct value *patch, const struct crumb *at)
{
    for (unsigned i = 0; i < value_count(patch); i++) {
        const struct value *e = value_item(patch, i), *directive = value_get(e, "$patch");
        struct crumb here = {.up = at, .index = i};
        if (directive == NULL) {
            continue;
        }
        struct str what = value_to_str(directive);
        if (str_is(what, "replace")) {
            elements_clear(result);
        } else if (str_is(what, "delete")) {
            if (value_is_null(value_get(e, f->merge_key))) {
                return patch_error(s->err, &here, "$patch: delete needs %s to know the element", f->merge_key);
            }
            elements_take(s->arena, result, e, NULL);
        } else if (!str_is(what, "merge") || value_is_null(value_get(e, f->merge_key))) {
            return patch_error(s->err, &here, "$patch must be merge, replace or delete, with %s", f->merge_key);
        }
    }
    return 0;
}

/* Elements that only direct (replace, delete) add nothing themselves. */
static bool only_directs(const struct value *e)
{
    struct str what = value_to_str(value_get(e, "$patch"));
    return str_is(what, "replace") || str_is(what, "delete");
}

static int merge_keyed(const struct strategic *s, struct place p, const struct value *current,
                       const struct value *patch, const struct crumb *at, struct value **out)
{
    int rc = elements_check(p.f, patch, at, s->err);
    rc = rc == 0 ? elements_check_size(current, at, s->err) : rc;
    if (rc != 0) {
        return rc;
    }
    struct elements result = elements_of(s->arena, p.f, current, value_count(patch));
    rc = apply_list_directives(s, p.f, &result, patch, at);
    for (unsigned i = 0; rc == 0 && i < value_count(patch); i++) {
        const struct value *e = value_item(patch, i);
        struct crumb here = {.up = at, .index = i};
        struct value *merged;
        if (only_directs(e)) {
            continue;
        }
        unsigned target = elements_target(&result, e);
        bool there = target != ELEMENTS_NONE;
        rc = merge_map(s, place_element(p), there ? elements_at(&result, target) : NULL, e, &here, &merged);
        if (rc == 0 && there) {
            elements_set(&result, target, merged);
        } else if (rc == 0) {
            elements_append(&result, merged);
        }
    }
    *out = elements_list(s->arena, &result);
    return rc;
}

/* ---- Sets ---- */

static int merge_set(const struct strategic *s, struct place p, const struct value *current, const struct value *add,
                     const struct value *remove, const struct crumb *at, struct value **out)
{
    int rc = elements_check(p.f, add, at, s->err);
    rc = rc == 0 ? elements_check(p.f, remove, at, s->err) : rc;
    rc = rc == 0 ? elements_check_size(current, at, s->err) : rc;
    if (rc != 0) {
        return rc;
    }
    struct elements result = elements_of(s->arena, p.f, current, value_count(add));
    for (unsigned i = 0; i < value_count(remove); i++) {
        elements_take(s->arena, &result, value_item(remove, i), NULL);
    }
    for (unsigned i = 0; i < value_count(add); i++) {
        if (elements_find(&result, value_item(add, i)) == ELEMENTS_NONE) {
            elements_append(&result, value_copy(s->arena, value_item(add, i)));
        }
    }
    *out = elements_list(s->arena, &result);
    return 0;
}

/* ---- Order ---- */

/* What `order` names in its order, and the others between them where they stood before. */
static void put_in_order(const struct strategic *s, struct place p, const struct value *order,
                         const struct value *before, struct value **list)
{
    struct value *mine = value_list(s->arena);
    struct elements others = elements_of(s->arena, p.f, copy_without_nulls(s->arena, *list), 0);
    for (unsigned k = 0; k < value_count(order); k++) {
        if (!only_directs(value_item(order, k))) {
            elements_take(s->arena, &others, value_item(order, k), mine);
        }
    }
    *list = elements_weave(s->arena, p.f, mine, elements_list(s->arena, &others), before);
}

static int apply_order(const struct strategic *s, struct place p, const struct value *order, const struct value *patch,
                       const struct value *before, const struct crumb *at, struct value **list)
{
    int rc = elements_check(p.f, order, at, s->err);
    if (rc != 0 || !value_is_list(*list)) {
        return rc;
    }
    struct value *whole_key = value_list(s->arena), *first_key = value_list(s->arena);
    for (unsigned i = 0; i < value_count(order); i++) {
        struct value *e = value_item(order, i);
        value_append(s->arena, element_has_second_key(p.f, e) ? whole_key : first_key, e);
    }
    struct elements by_both = elements_of(s->arena, p.f, whole_key, 0);
    struct elements by_first = elements_of(s->arena, p.f, first_key, 0);
    for (unsigned i = 0; i < value_count(patch); i++) {
        const struct value *e = value_item(patch, i);
        if (!only_directs(e) && elements_find(&by_both, e) == ELEMENTS_NONE &&
            elements_find_first_key(&by_first, e) == ELEMENTS_NONE) {
            struct crumb here = {.up = at, .index = i};
            return patch_error(s->err, &here, "the element is not named in $setElementOrder");
        }
    }
    put_in_order(s, p, order, before, list);
    return 0;
}

static int merge_list(const struct strategic *s, struct place p, struct str key, const struct value *current,
                      const struct value *map_patch, const struct crumb *at, struct value **out)
{
    const struct value *patch = value_get_str_key(map_patch, key);
    const struct value *order = directive_for(s, map_patch, ORDER_PREFIX, key);
    const struct value *remove = directive_for(s, map_patch, DELETE_PREFIX, key);
    int rc = place_list_strategy(p) == LIST_KEYED ? merge_keyed(s, p, current, patch, at, out)
                                                  : merge_set(s, p, current, patch, remove, at, out);
    if (rc == 0 && !value_is_null(order)) {
        rc = apply_order(s, p, order, patch, current, at, out);
    } else if (rc == 0) {
        put_in_order(s, p, patch, current, out);
    }
    return rc;
}

/* A list that is taken whole: the directives still hold for scalars, which need no key. */
static int direct_scalars(const struct strategic *s, struct place p, struct str key, const struct value *current,
                          const struct value *map_patch, const struct crumb *at, struct value **out)
{
    const struct value *patch = value_get_str_key(map_patch, key);
    const struct value *base = patch != NULL ? patch : current;
    const struct value *order = directive_for(s, map_patch, ORDER_PREFIX, key);
    if (!value_is_list(base) || p.f->type == FIELD_OBJECT) {
        return patch_error(s->err, at, "%s and %s are for lists that are merged, and for lists of scalars",
                           ORDER_PREFIX, DELETE_PREFIX);
    }
    int rc = elements_check_size(base, at, s->err);
    rc = rc == 0 ? merge_set(s, p, base, NULL, directive_for(s, map_patch, DELETE_PREFIX, key), at, out) : rc;
    rc = rc == 0 ? elements_check(p.f, order, at, s->err) : rc;
    if (rc == 0 && !value_is_null(order)) {
        put_in_order(s, p, order, base, out);
    }
    return rc;
}

/* ---- Maps ---- */

static bool is_directed(const struct strategic *s, const struct value *patch, struct str key)
{
    return !value_is_null(directive_for(s, patch, ORDER_PREFIX, key)) ||
           !value_is_null(directive_for(s, patch, DELETE_PREFIX, key));
}

static int retain_keys(const struct strategic *s, struct value *result, const struct value *patch,
                       const struct crumb *at)
{
    const struct value *retain = value_get(patch, "$retainKeys");
    if (value_is_null(retain)) {
        return 0;
    }
    if (!value_is_list(retain) || retain->list.count > PATCH_LIST_MAX) {
        return patch_error(s->err, at, "$retainKeys must be a list of keys");
    }
    struct value *named = value_map(s->arena);
    for (unsigned i = 0; i < retain->list.count; i++) {
        if (!value_is_str(value_item(retain, i))) {
            return patch_error(s->err, at, "$retainKeys must be a list of keys");
        }
        value_set_str_key(s->arena, named, value_item(retain, i)->str, value_null(s->arena));
    }
    for (unsigned i = 0; i < patch->map.count; i++) {
        const struct value_member *m = &patch->map.members[i];
        if (!is_directive(m->key) && !value_is_null(m->value) && value_get_str_key(named, m->key) == NULL) {
            return patch_error(s->err, at, "\"%.*s\" is set, but is not among $retainKeys", STR_ARG(m->key));
        }
    }
    for (unsigned i = result->map.count; i > 0; i--) {
        if (value_get_str_key(named, result->map.members[i - 1].key) == NULL) {
            value_remove_str_key(result, result->map.members[i - 1].key);
        }
    }
    return 0;
}

/* One member of the patch (v), or (v NULL) a directive about a member that the patch does not name otherwise. `there`
 * knows what result had before; each key comes once, but for two directives about one list, which must be there
 * already. */
static int merge_member(const struct strategic *s, struct place p, struct value *result,
                        const struct value_index *there, struct str key, const struct value *v,
                        const struct value *patch, const struct crumb *at)
{
    struct crumb here = {.up = at, .key = key};
    struct place child = place_child(p, key);
    unsigned position = value_index_find(there, key);
    struct value **slot = position == VALUE_NOT_FOUND ? NULL : &result->map.members[position].value;
    const struct value *current = slot == NULL ? NULL : *slot;
    bool named = v != NULL;
    struct value *merged;
    if (named && v->type == VALUE_NULL) {
        if (slot != NULL) {
            *slot = NULL;
        }
        return 0;
    }
    bool list = place_list_strategy(child) != LIST_ATOMIC, scalars = !list && !named;
    if (!named && child.f == NULL) {
        return patch_error(s->err, &here, "there is no such list");
    }
    if (!named && child.f->shape == SHAPE_LIST && value_is_null(current)) {
        return 0;
    }
    if (named && !list && child.f != NULL && child.f->shape == SHAPE_LIST) {
        scalars = is_directed(s, patch, key);
    }
    int rc = list      ? merge_list(s, child, key, value_is_list(current) ? current : NULL, patch, &here, &merged)
             : scalars ? direct_scalars(s, child, key, current, patch, &here, &merged)
                       : merge_value(s, child, current, v, &here, &merged);
    if (rc == 0 && slot != NULL) {
        *slot = merged;
    } else if (rc == 0) {
        value_push(s->arena, result, key, merged);
    }
    return rc;
}

static int merge_map(const struct strategic *s, struct place p, const struct value *current, const struct value *patch,
                     const struct crumb *at, struct value **out)
{
    const struct value *directive = value_get(patch, "$patch");
    struct str what = directive == NULL ? STR("merge") : value_to_str(directive);
    if (str_is(what, "delete")) {
        *out = value_map(s->arena);
        return 0;
    }
    if (!str_is(what, "replace") && !str_is(what, "merge")) {
        return patch_error(s->err, at, "$patch must be merge, replace or delete, not \"%.*s\"", STR_ARG(what));
    }
    struct value *result = copy_members(s->arena, str_is(what, "replace") ? NULL : current);
    int rc = retain_keys(s, result, patch, at);
    CLEANUP_VALUE_INDEX struct value_index there = value_index_new(result);
    for (unsigned i = 0; rc == 0 && i < patch->map.count; i++) {
        struct str key = patch->map.members[i].key;
        struct str about = without(key, STR(ORDER_PREFIX));
        about = about.p == NULL ? without(key, STR(DELETE_PREFIX)) : about;
        if (!is_directive(key)) {
            rc = merge_member(s, p, result, &there, key, patch->map.members[i].value, patch, at);
        } else if (about.p != NULL && value_get_str_key(patch, about) == NULL) {
            rc = merge_member(s, p, result, &there, about, NULL, patch, at);
        }
    }
    value_drop_marked(result);
    *out = result;
    return rc;
}

int patch_strategic(const struct kind *k, struct arena *a, const struct value *current, const struct value *patch,
                    struct value **out, struct error *err)
{
    if (!value_is_map(patch)) {
        return error_set(err, ERR_INVALID, "a strategic merge patch must be a map, not a %s",
                         value_type_name(patch->type));
    }
    struct strategic s = {.arena = a, .err = err};
    return merge_map(&s, place_root(k), current, patch, NULL, out);
}
