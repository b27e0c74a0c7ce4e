#include "proto/patch/patch.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/patch/patch_int.h"

int patch_type_parse(struct str s)
{
    return str_is(s, "strategic") ? PATCH_STRATEGIC
           : str_is(s, "merge")   ? PATCH_MERGE
           : str_is(s, "json")    ? PATCH_JSON
                                  : -1;
}

/* ---- Places ---- */

static struct place place_of(const struct field *f, bool element)
{
    struct place p = {.f = f, .element = element};
    if (f != NULL && f->type == FIELD_OBJECT && (element || f->shape == SHAPE_ONE)) {
        p.schema = f->sub;
    }
    return p;
}

struct place place_root(const struct kind *k)
{
    return (struct place){.schema = k == NULL ? NULL : k->schema};
}

struct place place_child(struct place map, struct str key)
{
    if (map.schema != NULL) {
        return place_of(schema_field(map.schema, key), false);
    }
    bool free_map = map.f != NULL && !map.element && map.f->shape == SHAPE_MAP;
    return place_of(free_map ? map.f : NULL, free_map);
}

struct place place_element(struct place list)
{
    bool is_list = list.f != NULL && !list.element && list.f->shape == SHAPE_LIST;
    return place_of(is_list ? list.f : NULL, is_list);
}

enum list_strategy place_list_strategy(struct place p)
{
    if (p.f == NULL || p.element || p.f->shape != SHAPE_LIST) {
        return LIST_ATOMIC;
    }
    if (p.f->type == FIELD_OBJECT) {
        return p.f->merge_key != NULL ? LIST_KEYED : LIST_ATOMIC;
    }
    return p.f->flags & FIELD_SET ? LIST_SET : LIST_ATOMIC;
}

/* ---- Errors ---- */

static void write_path(struct buf *b, const struct crumb *at)
{
    if (at == NULL) {
        return;
    }
    write_path(b, at->up);
    if (str_empty(at->key)) {
        buf_printf(b, "[%u]", at->index);
    } else {
        buf_puts(b, b->size == 0 ? "" : ".");
        buf_append_str(b, at->key);
    }
}

int patch_error(struct error *err, const struct crumb *at, const char *fmt, ...)
{
    CLEANUP_BUF struct buf path = BUF_INIT;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    write_path(&path, at);
    const char *where = buf_cstr(&path);
    return error_set_field(err, ERR_INVALID, where, "%s%s%s", where, *where == '\0' ? "" : ": ", text);
}

/* ---- Elements of lists ---- */

static bool second_key_same(const struct field *f, const struct value *a, const struct value *b)
{
    if (f->merge_key2 == NULL) {
        return true;
    }
    const struct field *second = schema_field(f->sub, str_of(f->merge_key2));
    struct str fallback = str_of(second == NULL ? NULL : second->fallback);
    const struct value *va = value_get(a, f->merge_key2), *vb = value_get(b, f->merge_key2);
    return str_eq(value_is_null(va) ? fallback : value_to_str(va), value_is_null(vb) ? fallback : value_to_str(vb));
}

/* Lists are compared each with each, so most of the time of a merge is here: names mostly differ in length or at
 * their ends. */
static bool keys_equal(const struct value *a, const struct value *b)
{
    if (value_is_str(a) && value_is_str(b) && a->str.n > 0 &&
        (a->str.n != b->str.n || a->str.p[a->str.n - 1] != b->str.p[b->str.n - 1])) {
        return false;
    }
    return value_equal(a, b);
}

static const struct value *key_of(const struct value *e, const char *key)
{
    for (unsigned i = 0; value_is_map(e) && i < e->map.count; i++) {
        const struct value_member *m = &e->map.members[i];
        if (m->key.n > 0 && m->key.p[0] == key[0] && str_is(m->key, key)) {
            return m->value;
        }
    }
    return NULL;
}

static bool first_key_same(const struct field *f, const struct value *a, const struct value *b)
{
    if (f->type != FIELD_OBJECT) {
        return keys_equal(a, b);
    }
    const struct value *ka = key_of(a, f->merge_key);
    return !value_is_null(ka) && keys_equal(ka, key_of(b, f->merge_key));
}

bool element_has_key(const struct field *f, const struct value *a, const struct value *b)
{
    return keys_equal(key_of(a, f->merge_key), key_of(b, f->merge_key));
}

bool element_same(const struct field *f, const struct value *a, const struct value *b)
{
    return first_key_same(f, a, b) && second_key_same(f, a, b);
}

bool element_answers(const struct field *f, const struct value *probe, const struct value *e)
{
    bool any = f->merge_key2 == NULL || value_is_null(value_get(probe, f->merge_key2));
    return first_key_same(f, probe, e) && (any || second_key_same(f, probe, e));
}

static unsigned element_index(const struct field *f, const struct value *list, const struct value *like)
{
    unsigned i = 0;
    while (i < value_count(list) && !element_same(f, value_item(list, i), like)) {
        i++;
    }
    return i;
}

struct value *element_find(const struct field *f, const struct value *list, const struct value *like)
{
    unsigned i = element_index(f, list, like);
    return i < value_count(list) ? value_item(list, i) : NULL;
}

int elements_check_size(const struct value *list, const struct crumb *at, struct error *err)
{
    return value_count(list) <= PATCH_LIST_MAX ? 0
                                               : patch_error(err, at, "%u elements; lists of at most %u can be merged",
                                                             value_count(list), PATCH_LIST_MAX);
}

int elements_check(const struct field *f, const struct value *list, const struct crumb *at, struct error *err)
{
    if (value_is_null(list)) {
        return 0;
    }
    if (!value_is_list(list)) {
        return patch_error(err, at, "a list is expected, not a %s", value_type_name(list->type));
    }
    int rc = elements_check_size(list, at, err);
    if (rc != 0) {
        return rc;
    }
    for (unsigned i = 0; f->type == FIELD_OBJECT && i < list->list.count; i++) {
        const struct value *e = list->list.items[i];
        struct crumb here = {.up = at, .index = i};
        if (!value_is_map(e)) {
            return patch_error(err, &here, "a map is expected, not a %s", value_type_name(e->type));
        }
        bool directive = value_get(e, "$patch") != NULL;
        if (!directive && value_is_null(value_get(e, f->merge_key))) {
            return patch_error(err, &here, "%s is required: elements are merged by it", f->merge_key);
        }
    }
    return 0;
}

struct value *elements_weave(struct arena *a, const struct field *f, const struct value *mine,
                             const struct value *others, const struct value *before)
{
    struct value *out = value_list(a);
    unsigned i = 0, k = 0, known = value_count(before);
    while (i < value_count(mine) || k < value_count(others)) {
        bool take_other = i == value_count(mine);
        if (!take_other && k < value_count(others)) {
            unsigned other_at = element_index(f, before, value_item(others, k));
            unsigned mine_at = element_index(f, before, value_item(mine, i));
            take_other = mine_at < known && other_at < mine_at;
        }
        value_append(a, out, take_other ? value_item(others, k++) : value_item(mine, i++));
    }
    return out;
}

/* ---- Copies ---- */

struct value *copy_without_nulls(struct arena *a, const struct value *v)
{
    if (value_is_map(v)) {
        struct value *out = value_map(a);
        out->line = v->line;
        out->column = v->column;
        for (unsigned i = 0; i < v->map.count; i++) {
            const struct value_member *m = &v->map.members[i];
            if (!value_is_null(m->value)) {
                struct value_member *added = value_push(a, out, m->key, copy_without_nulls(a, m->value));
                added->line = m->line;
                added->column = m->column;
            }
        }
        return out;
    }
    if (value_is_list(v)) {
        struct value *out = value_list(a);
        out->line = v->line;
        out->column = v->column;
        for (unsigned i = 0; i < v->list.count; i++) {
            value_append(a, out, copy_without_nulls(a, v->list.items[i]));
        }
        return out;
    }
    return value_copy(a, v);
}

struct value *copy_members(struct arena *a, const struct value *map)
{
    struct value *out = value_map(a);
    for (unsigned i = 0; value_is_map(map) && i < map->map.count; i++) {
        value_push(a, out, map->map.members[i].key, map->map.members[i].value);
    }
    return out;
}

/* ---- JSON merge patch (RFC 7386) ---- */

static struct value *merge(struct arena *a, const struct value *target, const struct value *patch)
{
    if (!value_is_map(patch)) {
        return value_copy(a, patch);
    }
    struct value *out = copy_members(a, target);
    CLEANUP_VALUE_INDEX struct value_index there = value_index_new(out);
    for (unsigned i = 0; i < patch->map.count; i++) {
        const struct value_member *m = &patch->map.members[i];
        unsigned at = value_index_find(&there, m->key);
        struct value **slot = at == VALUE_NOT_FOUND ? NULL : &out->map.members[at].value;
        struct value *merged = value_is_null(m->value) ? NULL : merge(a, slot == NULL ? NULL : *slot, m->value);
        if (slot != NULL) {
            *slot = merged;
        } else if (merged != NULL) {
            value_push(a, out, m->key, merged);
        }
    }
    value_drop_marked(out);
    return out;
}

int patch_apply(enum patch_type type, const struct kind *k, struct arena *a, const struct value *current,
                const struct value *patch, struct value **out, struct error *err)
{
    assert(a != NULL && current != NULL && patch != NULL && out != NULL);
    switch (type) {
    case PATCH_STRATEGIC:
        return patch_strategic(k, a, current, patch, out, err);
    case PATCH_JSON:
        return patch_json(a, current, patch, out, err);
    case PATCH_MERGE:
        break;
    }
    if (!value_is_map(patch)) {
        return error_set(err, ERR_INVALID, "a merge patch must be a map, not a %s", value_type_name(patch->type));
    }
    *out = merge(a, current, patch);
    return 0;
}
