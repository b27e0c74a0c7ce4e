/* A document as a mutable tree: what YAML, JSON and msgpack are read into, and what patches, defaulting and controllers
 * work on. All nodes and strings of a document live in one arena and die with it; nothing is freed singly.
 *
 * Maps keep insertion order and have unique keys (a later value_set replaces). Nodes that came from text know their
 * line and column (1-based; 0 = unknown) for error messages. Depth is limited by VALUE_DEPTH_MAX wherever a document is
 * read. Sharing a node between two documents of the same arena is allowed only if neither is changed afterwards:
 * value_copy. */
#ifndef PROTO_MODEL_VALUE_H
#define PROTO_MODEL_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

#define VALUE_DEPTH_MAX 64
/* Members of one map, as far as readers let a stranger choose: lookups are linear, so this bounds what they cost. */
#define VALUE_MEMBERS_MAX 16384u
#define VALUE_ITEMS_MAX   16384u /* of one list, likewise */

enum value_type { VALUE_NULL, VALUE_BOOL, VALUE_INT, VALUE_FLOAT, VALUE_STR, VALUE_BIN, VALUE_LIST, VALUE_MAP };

struct value;
struct value_member {
    struct str key;
    struct value *value;
    unsigned line, column; /* of the key */
};
struct value {
    enum value_type type;
    unsigned line, column;
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct str str; /* VALUE_STR and VALUE_BIN */
        struct {
            struct value **items;
            unsigned count, cap;
        } list;
        struct {
            struct value_member *members;
            unsigned count, cap;
        } map;
    };
};

struct value *value_null(struct arena *a);
struct value *value_bool(struct arena *a, bool b);
struct value *value_int(struct arena *a, int64_t i);
struct value *value_float(struct arena *a, double d);
struct value *value_str(struct arena *a, struct str s);     /* copies the bytes */
struct value *value_cstr(struct arena *a, const char *s);   /* copies */
struct value *value_time(struct arena *a, int64_t wall_ms); /* "2026-01-02T03:04:05Z", as metav1.Time has it */
struct value *value_strf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct value *value_bin(struct arena *a, const void *p, size_t n); /* copies */
struct value *value_list(struct arena *a);
struct value *value_map(struct arena *a);
struct value *value_copy(struct arena *a, const struct value *v); /* deep */

/* Maps. get: NULL if v is NULL, not a map, or has no such key. set: replaces or appends; the key is copied.
 * v == NULL in value_set removes nothing and stores nothing; use value_remove. */
struct value *value_get(const struct value *map, const char *key);
struct value *value_get_str_key(const struct value *map, struct str key);
void value_set(struct arena *a, struct value *map, const char *key, struct value *v);
void value_set_str_key(struct arena *a, struct value *map, struct str key, struct value *v);
/* Append without looking for the key: for readers, which find duplicates in one go afterwards. Returns the new
 * member. */
struct value_member *value_push(struct arena *a, struct value *map, struct str key, struct value *v);
/* The first pair of members with equal keys (first < second); false if all keys are unique. O(n log n). */
bool value_find_duplicate(const struct value *map, unsigned *first, unsigned *second);
/* Which member has a key, quickly, for who asks many times of a map that may be large (value_get looks at one after the
 * other). Positions stay right while members get other values or new ones are pushed behind; not found: new keys,
 * and VALUE_NOT_FOUND. */
#define VALUE_NOT_FOUND UINT32_MAX
struct value_index {
    const struct value *map;
    unsigned count;   /* members it knows */
    unsigned *sorted; /* their positions by key; NULL for few */
};
struct value_index value_index_new(const struct value *map); /* NULL or no map: empty */
void value_index_close(struct value_index *x);
unsigned value_index_find(const struct value_index *x, struct str key);
#define CLEANUP_VALUE_INDEX __attribute__((cleanup(value_index_close)))
/* Take out the members whose value was set to NULL, in one go; the only use of such a member. */
void value_drop_marked(struct value *map);
bool value_remove(struct value *map, const char *key);
bool value_remove_str_key(struct value *map, struct str key);
/* The map below key, made if absent (or if it is null). */
struct value *value_ensure_map(struct arena *a, struct value *map, const char *key);
struct value *value_ensure_list(struct arena *a, struct value *map, const char *key);

/* Walk down maps by a NULL-terminated list of keys: value_at(v, "spec", "template", NULL). NULL if any step is
 * missing. */
struct value *value_at(const struct value *v, ...) __attribute__((sentinel));
/* The same by a dotted path, "spec.template.spec" (keys with dots cannot be named this way). */
struct value *value_path(const struct value *v, const char *path);

/* Lists. */
void value_append(struct arena *a, struct value *list, struct value *v);
void value_insert(struct arena *a, struct value *list, unsigned at, struct value *v);
void value_remove_at(struct value *list, unsigned at);
static inline unsigned value_count(const struct value *v)
{
    return v == NULL ? 0 : v->type == VALUE_LIST ? v->list.count : v->type == VALUE_MAP ? v->map.count : 0;
}
/* NULL if it is no list, or has fewer: documents of others may have a map where a list is expected, and value_count
 * counts both. */
static inline struct value *value_item(const struct value *list, unsigned i)
{
    return list != NULL && list->type == VALUE_LIST && i < list->list.count ? list->list.items[i] : NULL;
}
#define VALUE_FOR(i, list) for (unsigned i = 0; i < value_count(list); i++)
/* The element of a list of maps whose `key` is the string s; NULL if none. */
struct value *value_find(const struct value *list, const char *key, struct str s);

/* Scalars with a fallback when v is NULL or of another type. */
struct str value_to_str(const struct value *v); /* STR_NONE as fallback */
int64_t value_to_int(const struct value *v, int64_t fallback);
bool value_to_bool(const struct value *v, bool fallback);
/* The same by dotted path. */
struct str value_path_str(const struct value *v, const char *path);
int64_t value_path_int(const struct value *v, const char *path, int64_t fallback);
bool value_path_bool(const struct value *v, const char *path, bool fallback);
static inline bool value_is_null(const struct value *v)
{
    return v == NULL || v->type == VALUE_NULL;
}
static inline bool value_is_map(const struct value *v)
{
    return v != NULL && v->type == VALUE_MAP;
}
static inline bool value_is_list(const struct value *v)
{
    return v != NULL && v->type == VALUE_LIST;
}
static inline bool value_is_str(const struct value *v)
{
    return v != NULL && v->type == VALUE_STR;
}
const char *value_type_name(enum value_type t); /* "string", "map", ... */

/* Semantic equality: map order is ignored, list order counts, 1 equals 1.0. NULL equals NULL only. */
bool value_equal(const struct value *a, const struct value *b);

#endif
