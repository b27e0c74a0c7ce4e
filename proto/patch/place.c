#include "proto/patch/place.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

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

static bool is_among(const char *name, const char *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool place_is_atomic(struct place p)
{
    static const char *const structs[] = {
        "ClaimSource",
        "ConfigMapKeySelector",
        "CrossVersionObjectReference",
        "EndpointAddress",
        "EndpointPort",
        "LabelSelector",
        "LocalObjectReference",
        "NodeSelector",
        "NodeSelectorTerm",
        "ObjectFieldSelector",
        "ObjectReference",
        "OwnerReference",
        "ResourceFieldSelector",
        "RoleRef",
        "ScopeSelector",
        "ScopedResourceSelectorRequirement",
        "Subject",
        "TopologySelectorTerm",
        "TypedLocalObjectReference",
    };
    static const char *const maps[] = {"nodeSelector", "selector"};
    if (p.schema != NULL) {
        return p.f != NULL && is_among(p.schema->name, structs, ARRAY_SIZE(structs));
    }
    return p.f != NULL && !p.element && p.f->shape == SHAPE_MAP && is_among(p.f->name, maps, ARRAY_SIZE(maps));
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
