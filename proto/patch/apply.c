/* The three-way merge of apply, done directly on the three documents: what kubectl computes as a patch and the server
 * then carries out is one walk here.
 *
 * For each member, with L = last applied, M = manifest, C = current:
 *   in M              what M says, merged into C
 *   in L, not in M    removed from C: the user took it out of the manifest
 *   only in C         stays: a default, or somebody else's */
#include <assert.h>

#include "proto/patch/elements.h"
#include "proto/patch/patch_int.h"
#include "proto/text/text.h"

struct apply {
    struct arena *arena;
    struct error *err;
};

static int apply_map(const struct apply *w, struct place p, const struct value *last, const struct value *manifest,
                     const struct value *current, const struct crumb *at, struct value **out);

static struct value *of_type(const struct value *v, enum value_type t)
{
    return v != NULL && v->type == t ? (struct value *)v : NULL;
}

/* Elements of M in its order, merged with their counterparts; those of C that L does not name stay between them. */
static int apply_list(const struct apply *w, struct place p, const struct value *last, const struct value *manifest,
                      const struct value *current, const struct crumb *at, struct value **out)
{
    const struct field *f = p.f;
    int rc = elements_check(f, manifest, at, w->err);
    rc = rc == 0 ? elements_check_size(current, at, w->err) : rc;
    rc = rc == 0 ? elements_check_size(last, at, w->err) : rc;
    if (rc != 0) {
        return rc;
    }
    struct value *mine = value_list(w->arena), *others = value_list(w->arena);
    struct elements in_last = elements_of(w->arena, f, last, 0), in_current = elements_of(w->arena, f, current, 0),
                    in_manifest = elements_of(w->arena, f, manifest, 0);
    for (unsigned i = 0; rc == 0 && i < value_count(manifest); i++) {
        const struct value *e = value_item(manifest, i);
        struct value *merged = (struct value *)e;
        struct crumb here = {.up = at, .index = i};
        if (f->type == FIELD_OBJECT) {
            rc = apply_map(w, place_element(p), elements_at(&in_last, elements_find(&in_last, e)), e,
                           elements_at(&in_current, elements_find(&in_current, e)), &here, &merged);
        }
        if (rc == 0) {
            value_append(w->arena, mine, merged);
        }
    }
    for (unsigned i = 0; rc == 0 && i < value_count(current); i++) {
        struct value *e = value_item(current, i);
        if (elements_find(&in_manifest, e) == ELEMENTS_NONE && elements_find(&in_last, e) == ELEMENTS_NONE) {
            value_append(w->arena, others, e);
        }
    }
    if (rc == 0) {
        *out = elements_weave(w->arena, f, mine, others, current);
    }
    return rc;
}

static int apply_value(const struct apply *w, struct place p, const struct value *last, const struct value *manifest,
                       const struct value *current, const struct crumb *at, struct value **out)
{
    if (value_is_map(manifest)) {
        return apply_map(w, p, of_type(last, VALUE_MAP), manifest, of_type(current, VALUE_MAP), at, out);
    }
    if (value_is_list(manifest) && place_list_strategy(p) != LIST_ATOMIC) {
        return apply_list(w, p, of_type(last, VALUE_LIST), manifest, of_type(current, VALUE_LIST), at, out);
    }
    *out = copy_without_nulls(w->arena, manifest);
    return 0;
}

/* What the system sets is not taken away because a manifest says null or does not say it any more. */
static bool may_remove(struct place child)
{
    return child.f == NULL || child.element || !(child.f->flags & FIELD_READONLY);
}

static bool says_something(const struct value *map)
{
    for (unsigned i = 0; i < map->map.count; i++) {
        if (!value_is_null(map->map.members[i].value)) {
            return true;
        }
    }
    return false;
}

static void remove_members(struct place p, const struct value_index *in_last, const struct value *manifest,
                           struct value *result)
{
    /* A union (a volume's source, a strategy's parameters): nothing stays beside what the manifest says; "{}" says
     * nothing. */
    bool retain = p.f != NULL && (p.f->flags & FIELD_RETAIN_KEYS) && p.schema != NULL && says_something(manifest);
    CLEANUP_VALUE_INDEX struct value_index in_manifest = value_index_new(manifest);
    for (unsigned i = 0; i < result->map.count; i++) {
        struct value_member *r = &result->map.members[i];
        unsigned at = value_index_find(&in_manifest, r->key);
        const struct value *m = at == VALUE_NOT_FOUND ? NULL : manifest->map.members[at].value;
        bool taken_out = retain || m != NULL || value_index_find(in_last, r->key) != VALUE_NOT_FOUND;
        if (value_is_null(m) && taken_out && may_remove(place_child(p, r->key))) {
            r->value = NULL;
        }
    }
    value_drop_marked(result);
}

static int apply_map(const struct apply *w, struct place p, const struct value *last, const struct value *manifest,
                     const struct value *current, const struct crumb *at, struct value **out)
{
    struct value *result = copy_members(w->arena, current);
    CLEANUP_VALUE_INDEX struct value_index in_last = value_index_new(last);
    remove_members(p, &in_last, manifest, result);
    CLEANUP_VALUE_INDEX struct value_index there = value_index_new(result);
    for (unsigned i = 0; i < manifest->map.count; i++) {
        const struct value_member *m = &manifest->map.members[i];
        if (value_is_null(m->value)) {
            continue;
        }
        struct crumb here = {.up = at, .key = m->key};
        unsigned at_last = value_index_find(&in_last, m->key), at_result = value_index_find(&there, m->key);
        struct value *merged;
        int rc = apply_value(
            w, place_child(p, m->key), at_last == VALUE_NOT_FOUND ? NULL : last->map.members[at_last].value, m->value,
            at_result == VALUE_NOT_FOUND ? NULL : result->map.members[at_result].value, &here, &merged);
        if (rc != 0) {
            return rc;
        }
        if (at_result != VALUE_NOT_FOUND) {
            result->map.members[at_result].value = merged;
        } else {
            value_push(w->arena, result, m->key, merged);
        }
    }
    *out = result;
    return 0;
}

/* The manifest as it is remembered: without an annotation that remembers an older one. */
static struct value *without_annotation(struct arena *a, const struct value *manifest)
{
    struct value *m = value_copy(a, manifest);
    struct value *annotations = value_at(m, "metadata", "annotations", NULL);
    if (value_is_map(annotations) && value_remove(annotations, APPLY_ANNOTATION) && annotations->map.count == 0) {
        value_remove(value_get(m, "metadata"), "annotations");
    }
    return m;
}

/* `doc` is changed along the path to the annotation only, on copies of the maps there. */
static void remember(struct arena *a, struct value *doc, const struct value *manifest)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    json_write_canonical(&text, manifest);
    struct value *metadata = copy_members(a, value_get(doc, "metadata"));
    struct value *annotations = copy_members(a, value_get(metadata, "annotations"));
    value_set(a, annotations, APPLY_ANNOTATION, value_str(a, buf_str(&text)));
    value_set(a, metadata, "annotations", annotations);
    value_set(a, doc, "metadata", metadata);
}

int patch_three_way(const struct kind *k, struct arena *a, const struct value *last_applied,
                    const struct value *manifest, const struct value *current, struct value **out, struct error *err)
{
    assert(a != NULL && out != NULL);
    if (!value_is_map(manifest) || !value_is_map(current)) {
        return error_set(err, ERR_INVALID, "apply needs two maps; the manifest is a %s, the object a %s",
                         value_type_name(manifest == NULL ? VALUE_NULL : manifest->type),
                         value_type_name(current == NULL ? VALUE_NULL : current->type));
    }
    struct apply w = {.arena = a, .err = err};
    const struct value *plain = without_annotation(a, manifest);
    int rc = apply_map(&w, place_root(k), of_type(last_applied, VALUE_MAP), plain, current, NULL, out);
    if (rc == 0) {
        remember(a, *out, plain);
    }
    return rc;
}

struct value *patch_first_apply(struct arena *a, const struct value *manifest)
{
    assert(value_is_map(manifest));
    struct value *plain = without_annotation(a, manifest);
    struct value *out = copy_without_nulls(a, plain);
    remember(a, out, plain);
    return out;
}
