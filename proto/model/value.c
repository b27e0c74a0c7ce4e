#include "proto/model/value.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/timefmt.h"

static struct value *new_value(struct arena *a, enum value_type type)
{
    assert(a != NULL);
    struct value *v = arena_alloc(a, sizeof *v);
    v->type = type;
    return v;
}

static struct str copy_str(struct arena *a, struct str s)
{
    return (struct str){arena_strndup(a, s.p, s.n), s.n};
}

struct value *value_null(struct arena *a)
{
    return new_value(a, VALUE_NULL);
}

struct value *value_bool(struct arena *a, bool b)
{
    struct value *v = new_value(a, VALUE_BOOL);
    v->boolean = b;
    return v;
}

struct value *value_int(struct arena *a, int64_t i)
{
    struct value *v = new_value(a, VALUE_INT);
    v->integer = i;
    return v;
}

struct value *value_float(struct arena *a, double d)
{
    struct value *v = new_value(a, VALUE_FLOAT);
    v->number = d;
    return v;
}

struct value *value_str(struct arena *a, struct str s)
{
    struct value *v = new_value(a, VALUE_STR);
    v->str = copy_str(a, s);
    return v;
}

struct value *value_cstr(struct arena *a, const char *s)
{
    return value_str(a, str_of(s));
}

struct value *value_time(struct arena *a, int64_t wall_ms)
{
    char text[TIMEFMT_SIZE];
    timefmt_rfc3339(wall_ms, text);
    return value_cstr(a, text);
}

struct value *value_strf(struct arena *a, const char *fmt, ...)
{
    struct value *v = new_value(a, VALUE_STR);
    va_list ap;
    va_start(ap, fmt);
    v->str = str_of(arena_vprintf(a, fmt, ap));
    va_end(ap);
    return v;
}

struct value *value_bin(struct arena *a, const void *p, size_t n)
{
    struct value *v = new_value(a, VALUE_BIN);
    v->str = copy_str(a, (struct str){p, n});
    return v;
}

struct value *value_list(struct arena *a)
{
    return new_value(a, VALUE_LIST);
}

struct value *value_map(struct arena *a)
{
    return new_value(a, VALUE_MAP);
}

struct value *value_copy(struct arena *a, const struct value *v)
{
    assert(v != NULL);
    struct value *c = new_value(a, v->type);
    *c = *v;
    switch (v->type) {
    case VALUE_STR:
    case VALUE_BIN:
        c->str = copy_str(a, v->str);
        break;
    case VALUE_LIST:
        c->list.cap = v->list.count;
        c->list.items = arena_alloc(a, v->list.count * sizeof *c->list.items);
        for (unsigned i = 0; i < v->list.count; i++) {
            c->list.items[i] = value_copy(a, v->list.items[i]);
        }
        break;
    case VALUE_MAP:
        c->map.cap = v->map.count;
        c->map.members = arena_alloc(a, v->map.count * sizeof *c->map.members);
        for (unsigned i = 0; i < v->map.count; i++) {
            c->map.members[i] = v->map.members[i];
            c->map.members[i].key = copy_str(a, v->map.members[i].key);
            c->map.members[i].value = value_copy(a, v->map.members[i].value);
        }
        break;
    default:
        break;
    }
    return c;
}

/* ---- Maps ---- */

static struct value_member *find_member(const struct value *map, struct str key)
{
    if (map == NULL || map->type != VALUE_MAP) {
        return NULL;
    }
    char first = key.n > 0 ? key.p[0] : '\0';
    for (unsigned i = 0; i < map->map.count; i++) {
        struct str own = map->map.members[i].key;
        if (own.n == key.n && (own.n == 0 || (own.p[0] == first && memcmp(own.p, key.p, own.n) == 0))) {
            return &map->map.members[i];
        }
    }
    return NULL;
}

struct value *value_get_str_key(const struct value *map, struct str key)
{
    const struct value_member *m = find_member(map, key);
    return m == NULL ? NULL : m->value;
}

/* Most members are others already by their first letter, and most lookups find nothing: how long the key is, is asked
 * for when it may be there. */
struct value *value_get(const struct value *map, const char *key)
{
    if (map == NULL || map->type != VALUE_MAP || key == NULL) {
        return NULL;
    }
    size_t n = 0;
    for (unsigned i = 0; i < map->map.count; i++) {
        struct str own = map->map.members[i].key;
        if (own.n == 0 ? key[0] != '\0' : own.p[0] != key[0]) {
            continue;
        }
        n = n > 0 ? n : strlen(key);
        if (own.n == n && memcmp(own.p, key, n) == 0) {
            return map->map.members[i].value;
        }
    }
    return NULL;
}

/* Arena memory cannot be given back, so arrays double: the waste is at most what they hold in the end. */
#define CAP_LEAST 4

struct value_member *value_push(struct arena *a, struct value *map, struct str key, struct value *v)
{
    assert(map != NULL && map->type == VALUE_MAP && v != NULL);
    if (map->map.count == map->map.cap) {
        map->map.members =
            arena_grow(a, map->map.members, map->map.count, &map->map.cap, sizeof *map->map.members, CAP_LEAST);
    }
    struct value_member *m = &map->map.members[map->map.count++];
    *m = (struct value_member){.key = copy_str(a, key), .value = v};
    return m;
}

void value_set_str_key(struct arena *a, struct value *map, struct str key, struct value *v)
{
    assert(map != NULL && map->type == VALUE_MAP);
    if (v == NULL) {
        return;
    }
    struct value_member *m = find_member(map, key);
    if (m != NULL) {
        m->value = v;
        return;
    }
    value_push(a, map, key, v);
}

void value_set(struct arena *a, struct value *map, const char *key, struct value *v)
{
    value_set_str_key(a, map, str_of(key), v);
}

bool value_remove_str_key(struct value *map, struct str key)
{
    struct value_member *m = find_member(map, key);
    if (m == NULL) {
        return false;
    }
    struct value_member *end = map->map.members + map->map.count;
    memmove(m, m + 1, (size_t)(end - (m + 1)) * sizeof *m);
    map->map.count--;
    return true;
}

bool value_remove(struct value *map, const char *key)
{
    return value_remove_str_key(map, str_of(key));
}

static int cmp_members(const void *pa, const void *pb)
{
    const struct value_member *a = *(const struct value_member *const *)pa;
    const struct value_member *b = *(const struct value_member *const *)pb;
    int c = str_cmp(a->key, b->key);
    return c != 0 ? c : (a > b) - (a < b);
}

/* The members in order of their keys (equal keys: as they stand). The caller frees. */
static const struct value_member **sorted_members(const struct value *map)
{
    const struct value_member **index = xmalloc(map->map.count * sizeof *index);
    for (unsigned i = 0; i < map->map.count; i++) {
        index[i] = &map->map.members[i];
    }
    qsort(index, map->map.count, sizeof *index, cmp_members);
    return index;
}

#define INDEX_LEAST 17u /* fewer are found sooner by looking at each */

static int cmp_positions(const void *pa, const void *pb, void *map)
{
    const struct value_member *m = ((const struct value *)map)->map.members;
    return str_cmp(m[*(const unsigned *)pa].key, m[*(const unsigned *)pb].key);
}

struct value_index value_index_new(const struct value *map)
{
    struct value_index x = {.map = map, .count = value_is_map(map) ? map->map.count : 0};
    if (x.count >= INDEX_LEAST) {
        x.sorted = xmalloc(x.count * sizeof *x.sorted);
        for (unsigned i = 0; i < x.count; i++) {
            x.sorted[i] = i;
        }
        qsort_r(x.sorted, x.count, sizeof *x.sorted, cmp_positions, (void *)map);
    }
    return x;
}

void value_index_close(struct value_index *x)
{
    free(x->sorted);
    x->sorted = NULL;
}

unsigned value_index_find(const struct value_index *x, struct str key)
{
    unsigned from = 0, to = x->count;
    if (x->sorted == NULL) {
        while (from < to && !str_eq(x->map->map.members[from].key, key)) {
            from++;
        }
        return from < to ? from : VALUE_NOT_FOUND;
    }
    while (from < to) {
        unsigned mid = from + (to - from) / 2;
        int c = str_cmp(key, x->map->map.members[x->sorted[mid]].key);
        if (c == 0) {
            return x->sorted[mid];
        }
        from = c > 0 ? mid + 1 : from;
        to = c < 0 ? mid : to;
    }
    return VALUE_NOT_FOUND;
}

void value_drop_marked(struct value *map)
{
    unsigned left = 0;
    for (unsigned i = 0; i < map->map.count; i++) {
        if (map->map.members[i].value != NULL) {
            map->map.members[left++] = map->map.members[i];
        }
    }
    map->map.count = left;
}

bool value_find_duplicate(const struct value *map, unsigned *first, unsigned *second)
{
    assert(map != NULL && map->type == VALUE_MAP);
    const struct value_member *m = map->map.members;
    if (map->map.count <= 16) {
        for (unsigned i = 1; i < map->map.count; i++) {
            for (unsigned j = 0; j < i; j++) {
                if (str_eq(m[j].key, m[i].key)) {
                    *first = j;
                    *second = i;
                    return true;
                }
            }
        }
        return false;
    }
    CLEANUP_FREE const struct value_member **index = sorted_members(map);
    bool found = false;
    for (unsigned i = 1; i < map->map.count; i++) {
        unsigned at = (unsigned)(index[i] - map->map.members);
        if (str_eq(index[i - 1]->key, index[i]->key) && (!found || at < *second)) {
            *first = (unsigned)(index[i - 1] - map->map.members);
            *second = at;
            found = true;
        }
    }
    return found;
}

struct value *value_ensure_map(struct arena *a, struct value *map, const char *key)
{
    struct value *v = value_get(map, key);
    if (!value_is_map(v)) {
        v = value_map(a);
        value_set(a, map, key, v);
    }
    return v;
}

struct value *value_ensure_list(struct arena *a, struct value *map, const char *key)
{
    struct value *v = value_get(map, key);
    if (!value_is_list(v)) {
        v = value_list(a);
        value_set(a, map, key, v);
    }
    return v;
}

struct value *value_at(const struct value *v, ...)
{
    va_list ap;
    va_start(ap, v);
    for (const char *key; v != NULL && (key = va_arg(ap, const char *)) != NULL;) {
        v = value_get(v, key);
    }
    va_end(ap);
    return (struct value *)v;
}

struct value *value_path(const struct value *v, const char *path)
{
    assert(path != NULL);
    while (v != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        v = value_get_str_key(v, (struct str){path, n});
        path += n + (path[n] == '.');
    }
    return (struct value *)v;
}

/* ---- Lists ---- */

void value_insert(struct arena *a, struct value *list, unsigned at, struct value *v)
{
    assert(list != NULL && list->type == VALUE_LIST && at <= list->list.count && v != NULL);
    if (list->list.count == list->list.cap) {
        list->list.items =
            arena_grow(a, list->list.items, list->list.count, &list->list.cap, sizeof *list->list.items, CAP_LEAST);
    }
    struct value **slot = list->list.items + at;
    memmove(slot + 1, slot, (list->list.count - at) * sizeof *slot);
    *slot = v;
    list->list.count++;
}

void value_append(struct arena *a, struct value *list, struct value *v)
{
    assert(list != NULL && list->type == VALUE_LIST);
    value_insert(a, list, list->list.count, v);
}

void value_remove_at(struct value *list, unsigned at)
{
    assert(list != NULL && list->type == VALUE_LIST && at < list->list.count);
    struct value **slot = list->list.items + at;
    memmove(slot, slot + 1, (list->list.count - at - 1) * sizeof *slot);
    list->list.count--;
}

struct value *value_find(const struct value *list, const char *key, struct str s)
{
    if (!value_is_list(list)) {
        return NULL;
    }
    for (unsigned i = 0; i < list->list.count; i++) {
        const struct value *k = value_get(list->list.items[i], key);
        if (value_is_str(k) && str_eq(k->str, s)) {
            return list->list.items[i];
        }
    }
    return NULL;
}

/* ---- Scalars ---- */

struct str value_to_str(const struct value *v)
{
    return v != NULL && v->type == VALUE_STR ? v->str : STR_NONE;
}

int64_t value_to_int(const struct value *v, int64_t fallback)
{
    return v != NULL && v->type == VALUE_INT ? v->integer : fallback;
}

bool value_to_bool(const struct value *v, bool fallback)
{
    return v != NULL && v->type == VALUE_BOOL ? v->boolean : fallback;
}

struct str value_path_str(const struct value *v, const char *path)
{
    return value_to_str(value_path(v, path));
}

int64_t value_path_int(const struct value *v, const char *path, int64_t fallback)
{
    return value_to_int(value_path(v, path), fallback);
}

bool value_path_bool(const struct value *v, const char *path, bool fallback)
{
    return value_to_bool(value_path(v, path), fallback);
}

const char *value_type_name(enum value_type t)
{
    static const char *const names[] = {
        [VALUE_NULL] = "null",  [VALUE_BOOL] = "boolean", [VALUE_INT] = "integer", [VALUE_FLOAT] = "number",
        [VALUE_STR] = "string", [VALUE_BIN] = "bytes",    [VALUE_LIST] = "list",   [VALUE_MAP] = "map",
    };
    assert((unsigned)t < ARRAY_SIZE(names));
    return names[t];
}

/* ---- Equality ---- */

static bool maps_equal(const struct value *a, const struct value *b)
{
    if (a->map.count != b->map.count) {
        return false;
    }
    /* Usually the order is the same; only if not is it worth an index. */
    unsigned i = 0;
    while (i < a->map.count && str_eq(a->map.members[i].key, b->map.members[i].key)) {
        if (!value_equal(a->map.members[i].value, b->map.members[i].value)) {
            return false;
        }
        i++;
    }
    if (i == a->map.count) {
        return true;
    }
    CLEANUP_FREE const struct value_member **ia = sorted_members(a);
    CLEANUP_FREE const struct value_member **ib = sorted_members(b);
    for (i = 0; i < a->map.count; i++) {
        if (!str_eq(ia[i]->key, ib[i]->key) || !value_equal(ia[i]->value, ib[i]->value)) {
            return false;
        }
    }
    return true;
}

static bool scalars_equal(const struct value *a, const struct value *b)
{
    if (a->type == VALUE_INT && b->type == VALUE_FLOAT) {
        return (double)a->integer == b->number;
    }
    if (a->type == VALUE_FLOAT && b->type == VALUE_INT) {
        return a->number == (double)b->integer;
    }
    return false;
}

bool value_equal(const struct value *a, const struct value *b)
{
    if (a == b || a == NULL || b == NULL) {
        return a == b;
    }
    if (a->type != b->type) {
        return scalars_equal(a, b);
    }
    switch (a->type) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return a->boolean == b->boolean;
    case VALUE_INT:
        return a->integer == b->integer;
    case VALUE_FLOAT:
        return a->number == b->number;
    case VALUE_STR:
    case VALUE_BIN:
        return str_eq(a->str, b->str);
    case VALUE_LIST:
        if (a->list.count != b->list.count) {
            return false;
        }
        for (unsigned i = 0; i < a->list.count; i++) {
            if (!value_equal(a->list.items[i], b->list.items[i])) {
                return false;
            }
        }
        return true;
    case VALUE_MAP:
        return maps_equal(a, b);
    }
    return false;
}
