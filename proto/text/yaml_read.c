/* YAML in: libyaml's events become values.
 *
 * The parser is libyaml's; what is ours is typing of scalars, anchors, merge keys, and the limits. Nodes are counted as
 * they are made, copies by aliases included, so that no text of a few bytes unfolds into gigabytes; depth is counted
 * on the way down. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <yaml.h>

#include "base/strmap.h"
#include "proto/text/scalar.h"
#include "proto/text/text.h"

#define ANCHORS_MAX 1024u
#define TAG_PREFIX  "tag:yaml.org,2002:"

struct anchor {
    const char *name;
    const struct value *value; /* NULL while the node it names is still being read */
};

struct reader {
    struct arena *arena;
    yaml_parser_t parser;
    const char *file;
    struct str text;
    struct error *err;
    unsigned nodes, nodes_max;
    size_t alias_bytes;
    bool keeps_twice; /* keys that stand twice in a map stay, for text_settle_twice */
    struct anchor anchors[ANCHORS_MAX];
    unsigned anchors_count;
};

static int fail_at(struct reader *r, int code, unsigned line, unsigned column, const char *message)
{
    if (r->file != NULL) {
        return error_set(r->err, code, "%s:%u:%u: %s", r->file, line, column, message);
    }
    return error_set(r->err, code, "line %u, column %u: %s", line, column, message);
}

#define FAIL(r, code, line, column, ...)                                                                               \
    ({                                                                                                                 \
        char fail_text_[512];                                                                                          \
        snprintf(fail_text_, sizeof fail_text_, __VA_ARGS__);                                                          \
        fail_at(r, code, line, column, fail_text_);                                                                    \
    })

/* libyaml's complaint. Reader errors (bad encoding) know a byte offset only. */
static int fail_parser(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem == NULL ? "malformed text" : p->problem;
    if (p->error == YAML_READER_ERROR) {
        unsigned line = 1, column = 1;
        for (size_t i = 0; i < p->problem_offset && i < r->text.n; i++) {
            column = r->text.p[i] == '\n' ? 1 : column + 1;
            line += r->text.p[i] == '\n';
        }
        return FAIL(r, ERR_INVALID, line, column, "%s (a byte that is no text: is this UTF-8?)", problem);
    }
    unsigned line = (unsigned)p->problem_mark.line + 1, column = (unsigned)p->problem_mark.column + 1;
    const char *hint = strstr(problem, "cannot start any token") != NULL
                           ? " (a tab? indent with spaces; quote text that begins with @, ` or %)"
                           : "";
    if (p->context != NULL) {
        return FAIL(r, ERR_INVALID, line, column, "%s: %s%s (begun on line %u)", p->context, problem, hint,
                    (unsigned)p->context_mark.line + 1);
    }
    return FAIL(r, ERR_INVALID, line, column, "%s%s", problem, hint);
}

static int next_event(struct reader *r, yaml_event_t *ev)
{
    return yaml_parser_parse(&r->parser, ev) ? 0 : fail_parser(r);
}
#define CLEANUP_EVENT __attribute__((cleanup(yaml_event_delete)))

static unsigned line_of(const yaml_event_t *ev)
{
    return (unsigned)ev->start_mark.line + 1;
}

static unsigned column_of(const yaml_event_t *ev)
{
    return (unsigned)ev->start_mark.column + 1;
}

static int count_node(struct reader *r, unsigned line, unsigned column)
{
    if (++r->nodes > r->nodes_max) {
        return FAIL(r, ERR_TOO_LARGE, line, column, "the document unfolds to more than %u values", r->nodes_max);
    }
    return 0;
}

/* ---- Scalars ---- */

static struct str scalar_text(const yaml_event_t *ev)
{
    return (struct str){(const char *)ev->data.scalar.value, ev->data.scalar.length};
}

static int fail_tag(struct reader *r, const yaml_event_t *ev, const char *tag)
{
    return FAIL(r, ERR_INVALID, line_of(ev), column_of(ev), "tag %.100s does not fit this value, or is not supported",
                tag);
}

/* An explicit tag decides: !!str, !!int, !!float, !!bool, !!null, !!binary. */
static int read_tagged(struct reader *r, const yaml_event_t *ev, const char *tag, struct value *v)
{
    struct str s = scalar_text(ev);
    static const size_t prefix = sizeof TAG_PREFIX - 1;
    const char *name = strncmp(tag, TAG_PREFIX, prefix) == 0 ? tag + prefix : "";
    if (strcmp(tag, "!") == 0 || strcmp(name, "str") == 0) {
        v->type = VALUE_STR;
        v->str = s;
        return 0;
    }
    if (strcmp(name, "binary") == 0) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        if (!base64_read(&b, s)) {
            return fail_tag(r, ev, "!!binary");
        }
        v->type = VALUE_STR;
        v->str = (struct str){arena_strndup(r->arena, (const char *)b.data, b.size), b.size};
        return 0;
    }
    enum value_type t = scalar_resolve(s, v);
    if (strcmp(name, "float") == 0 && t == VALUE_INT) {
        double d = (double)v->integer;
        v->type = VALUE_FLOAT;
        v->number = d;
        return 0;
    }
    bool fits = (strcmp(name, "int") == 0 && t == VALUE_INT) || (strcmp(name, "float") == 0 && t == VALUE_FLOAT) ||
                (strcmp(name, "bool") == 0 && t == VALUE_BOOL) || (strcmp(name, "null") == 0 && t == VALUE_NULL);
    return fits ? 0 : fail_tag(r, ev, tag);
}

static int read_scalar(struct reader *r, const yaml_event_t *ev, struct value *v)
{
    struct str s = scalar_text(ev);
    const char *tag = (const char *)ev->data.scalar.tag;
    if (tag != NULL) {
        int rc = read_tagged(r, ev, tag, v);
        if (rc != 0) {
            return rc;
        }
    } else if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        scalar_resolve(s, v);
    } else {
        v->type = VALUE_STR;
        v->str = s;
    }
    if (v->type == VALUE_FLOAT && !isfinite(v->number)) {
        return FAIL(r, ERR_INVALID, line_of(ev), column_of(ev),
                    "%.20s is no number that JSON can express; quote it if text is meant", s.p);
    }
    if (v->type == VALUE_STR) {
        v->str = (struct str){arena_strndup(r->arena, v->str.p, v->str.n), v->str.n};
    }
    return 0;
}

/* ---- Anchors ---- */

static int add_anchor(struct reader *r, const yaml_event_t *ev, const yaml_char_t *name, unsigned *slot)
{
    if (r->anchors_count == ANCHORS_MAX) {
        return FAIL(r, ERR_TOO_LARGE, line_of(ev), column_of(ev), "more than %u anchors in one document", ANCHORS_MAX);
    }
    *slot = r->anchors_count++;
    r->anchors[*slot] = (struct anchor){.name = arena_strdup(r->arena, (const char *)name)};
    return 0;
}

/* A copy of the nodes; the bytes of strings are shared, since nothing changes them. */
static int copy_anchored(struct reader *r, const yaml_event_t *ev, const struct value *v, unsigned depth,
                         struct value **out)
{
    int rc = count_node(r, line_of(ev), column_of(ev));
    if (rc != 0) {
        return rc;
    }
    if (v->type == VALUE_STR) {
        r->alias_bytes += v->str.n;
    }
    if (depth > VALUE_DEPTH_MAX || r->alias_bytes > TEXT_ALIAS_BYTES_MAX) {
        return FAIL(r, ERR_TOO_LARGE, line_of(ev), column_of(ev),
                    "the aliases unfold to too much (%u levels, %u bytes at most)", VALUE_DEPTH_MAX,
                    TEXT_ALIAS_BYTES_MAX);
    }
    struct value *c = arena_memdup(r->arena, v, sizeof *v);
    *out = c;
    if (v->type == VALUE_LIST) {
        c->list.cap = v->list.count;
        c->list.items = arena_alloc(r->arena, v->list.count * sizeof *c->list.items);
        for (unsigned i = 0; rc == 0 && i < v->list.count; i++) {
            rc = copy_anchored(r, ev, v->list.items[i], depth + 1, &c->list.items[i]);
        }
    } else if (v->type == VALUE_MAP) {
        c->map.cap = v->map.count;
        c->map.members = arena_memdup(r->arena, v->map.members, v->map.count * sizeof *c->map.members);
        for (unsigned i = 0; rc == 0 && i < v->map.count; i++) {
            r->alias_bytes += v->map.members[i].key.n;
            rc = copy_anchored(r, ev, v->map.members[i].value, depth + 1, &c->map.members[i].value);
        }
    }
    return rc;
}

static int read_alias(struct reader *r, const yaml_event_t *ev, unsigned depth, struct value **out)
{
    const char *name = (const char *)ev->data.alias.anchor;
    for (unsigned i = r->anchors_count; i > 0; i--) {
        const struct anchor *a = &r->anchors[i - 1];
        if (strcmp(a->name, name) != 0) {
            continue;
        }
        if (a->value == NULL) {
            return FAIL(r, ERR_INVALID, line_of(ev), column_of(ev), "alias *%.100s is inside of what it names", name);
        }
        return copy_anchored(r, ev, a->value, depth, out);
    }
    return FAIL(r, ERR_INVALID, line_of(ev), column_of(ev), "alias *%.100s names no anchor above it", name);
}

/* ---- Nodes ---- */

static int read_node(struct reader *r, const yaml_event_t *ev, unsigned depth, struct value **out);

static int read_list(struct reader *r, unsigned depth, struct value *list)
{
    for (;;) {
        CLEANUP_EVENT yaml_event_t ev = {0};
        struct value *item;
        int rc = next_event(r, &ev);
        if (rc != 0 || ev.type == YAML_SEQUENCE_END_EVENT) {
            return rc;
        }
        rc = read_node(r, &ev, depth + 1, &item);
        if (rc != 0) {
            return rc;
        }
        value_append(r->arena, list, item);
    }
}

/* JSON has only strings as keys: scalars of other types become their text, as in kubectl. */
static int read_key(struct reader *r, const yaml_event_t *ev, struct str *key, bool *merge)
{
    if (ev->type != YAML_SCALAR_EVENT) {
        return FAIL(r, ERR_INVALID, line_of(ev), column_of(ev),
                    "a key must be a plain text, not a list, a map or an alias");
    }
    struct value v = {0};
    int rc = read_scalar(r, ev, &v);
    if (rc != 0) {
        return rc;
    }
    *merge = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && str_is(scalar_text(ev), "<<");
    switch (v.type) {
    case VALUE_STR:
        *key = v.str;
        return 0;
    case VALUE_INT:
        *key = str_of(arena_printf(r->arena, "%lld", (long long)v.integer));
        return 0;
    case VALUE_BOOL:
        *key = v.boolean ? STR("true") : STR("false");
        return 0;
    case VALUE_FLOAT:
        *key = (struct str){arena_strndup(r->arena, scalar_text(ev).p, scalar_text(ev).n), scalar_text(ev).n};
        return 0;
    default:
        return FAIL(r, ERR_INVALID, line_of(ev), column_of(ev), "a key must not be empty or null");
    }
}

/* `<<: *base` or `<<: [*a, *b]`: members that the map itself does not have; earlier sources win. */
static int merge_source(struct reader *r, struct value *map, const struct value *source, struct strmap *keys)
{
    if (!value_is_map(source)) {
        return FAIL(r, ERR_INVALID, source->line, source->column, "<< must be given a map or a list of maps, not a %s",
                    value_type_name(source->type));
    }
    for (unsigned i = 0; i < source->map.count; i++) {
        const struct value_member *m = &source->map.members[i];
        if (strmap_set(keys, m->key, map) != NULL) {
            continue;
        }
        if (map->map.count >= VALUE_MEMBERS_MAX) {
            return FAIL(r, ERR_TOO_LARGE, map->line, map->column, "more than %u members in one map", VALUE_MEMBERS_MAX);
        }
        struct value_member *added = value_push(r->arena, map, m->key, m->value);
        added->line = m->line;
        added->column = m->column;
    }
    return 0;
}

static int merge_into(struct reader *r, struct value *map, const struct value *source)
{
    CLEANUP(strmap_close) struct strmap keys; /* the same map may be merged in many thousand times */
    int rc = 0;
    strmap_init(&keys);
    for (unsigned i = 0; i < map->map.count; i++) {
        strmap_set(&keys, map->map.members[i].key, map);
    }
    if (!value_is_list(source)) {
        return merge_source(r, map, source, &keys);
    }
    for (unsigned i = 0; rc == 0 && i < source->list.count; i++) {
        if (value_is_list(source->list.items[i])) {
            break;
        }
        rc = merge_source(r, map, source->list.items[i], &keys);
    }
    return rc;
}

static int check_members(struct reader *r, const struct value *map)
{
    unsigned first, second;
    if (map->map.count > VALUE_MEMBERS_MAX) {
        return FAIL(r, ERR_TOO_LARGE, map->line, map->column, "more than %u members in one map", VALUE_MEMBERS_MAX);
    }
    if (!r->keeps_twice && value_find_duplicate(map, &first, &second)) {
        const struct value_member *a = &map->map.members[first], *b = &map->map.members[second];
        return FAIL(r, ERR_INVALID, b->line, b->column, "key \"%.100s\" was given already on line %u", b->key.p,
                    a->line);
    }
    return 0;
}

static int read_map(struct reader *r, unsigned depth, struct value *map)
{
    struct value *merges = NULL;
    for (;;) {
        CLEANUP_EVENT yaml_event_t key_ev = {0};
        CLEANUP_EVENT yaml_event_t ev = {0};
        int rc = next_event(r, &key_ev);
        if (rc != 0) {
            return rc;
        }
        if (key_ev.type == YAML_MAPPING_END_EVENT) {
            rc = check_members(r, map);
            if (rc == 0 && merges != NULL) {
                rc = merge_into(r, map, merges);
                rc = rc == 0 ? check_members(r, map) : rc;
            }
            return rc;
        }
        struct str key = STR_NONE;
        bool merge = false;
        struct value *v;
        if ((rc = read_key(r, &key_ev, &key, &merge)) != 0 || (rc = next_event(r, &ev)) != 0 ||
            (rc = read_node(r, &ev, depth + 1, &v)) != 0) {
            return rc;
        }
        if (merge && merges == NULL) {
            merges = v;
            continue;
        }
        struct value_member *m = value_push(r->arena, map, key, v);
        m->line = line_of(&key_ev);
        m->column = column_of(&key_ev);
    }
}

static int read_container(struct reader *r, const yaml_event_t *ev, unsigned depth, struct value *v)
{
    bool is_map = ev->type == YAML_MAPPING_START_EVENT;
    const char *tag = (const char *)(is_map ? ev->data.mapping_start.tag : ev->data.sequence_start.tag);
    if (tag != NULL && strcmp(tag, "!") != 0 && strcmp(tag, is_map ? TAG_PREFIX "map" : TAG_PREFIX "seq") != 0) {
        return fail_tag(r, ev, tag);
    }
    if (depth > VALUE_DEPTH_MAX) {
        return FAIL(r, ERR_INVALID, line_of(ev), column_of(ev), "nested deeper than %d levels", VALUE_DEPTH_MAX);
    }
    v->type = is_map ? VALUE_MAP : VALUE_LIST;
    return is_map ? read_map(r, depth, v) : read_list(r, depth, v);
}

static int read_node(struct reader *r, const yaml_event_t *ev, unsigned depth, struct value **out)
{
    if (ev->type == YAML_ALIAS_EVENT) {
        return read_alias(r, ev, depth, out);
    }
    const yaml_char_t *anchor = ev->type == YAML_SCALAR_EVENT           ? ev->data.scalar.anchor
                                : ev->type == YAML_SEQUENCE_START_EVENT ? ev->data.sequence_start.anchor
                                                                        : ev->data.mapping_start.anchor;
    unsigned slot = 0;
    int rc = count_node(r, line_of(ev), column_of(ev));
    if (rc == 0 && anchor != NULL) {
        rc = add_anchor(r, ev, anchor, &slot);
    }
    if (rc != 0) {
        return rc;
    }
    struct value *v = value_null(r->arena);
    v->line = line_of(ev);
    v->column = column_of(ev);
    rc = ev->type == YAML_SCALAR_EVENT ? read_scalar(r, ev, v) : read_container(r, ev, depth, v);
    if (rc == 0 && anchor != NULL) {
        r->anchors[slot].value = v;
    }
    *out = v;
    return rc;
}

/* ---- Streams ---- */

static int read_stream(struct reader *r, struct value *docs)
{
    for (;;) {
        CLEANUP_EVENT yaml_event_t ev = {0};
        int rc = next_event(r, &ev);
        if (rc != 0 || ev.type == YAML_STREAM_END_EVENT) {
            return rc;
        }
        if (ev.type == YAML_STREAM_START_EVENT || ev.type == YAML_DOCUMENT_START_EVENT) {
            r->anchors_count = 0;
            continue;
        }
        if (ev.type == YAML_DOCUMENT_END_EVENT) {
            continue;
        }
        struct value *v;
        rc = read_node(r, &ev, 1, &v);
        if (rc != 0) {
            return rc;
        }
        if (v->type != VALUE_NULL) {
            value_append(r->arena, docs, v);
        }
    }
}

struct str text_skip_bom(struct str text)
{
    const struct str bom = STR("\xef\xbb\xbf");
    return str_starts(text, bom) ? (struct str){text.p + bom.n, text.n - bom.n} : text;
}

/* JSON is tried as JSON first, as kubectl does: libyaml refuses tabs, surrogate pairs and objects one after the other
 * that JSON allows. If it is no JSON after all (`{a: b}`), libyaml finds out, and its error is the one to tell; unless
 * a first object was JSON and another one begins behind it, which is no YAML. */
static bool read_as_json(struct arena *a, struct str text, const char *file, unsigned nodes_max, bool keeps_twice,
                         struct value *docs, int *rc, struct error *err)
{
    struct error why = {0};
    struct str rest;
    *rc = json_read_objects(a, text, file, nodes_max, keeps_twice, docs, &rest, &why);
    if (*rc != 0 && value_count(docs) < 2 && !(value_count(docs) == 1 && str_starts(rest, STR("{")))) {
        return false;
    }
    if (*rc != 0 && err != NULL) {
        *err = why;
    }
    return *rc != 0 || value_count(docs) > 0;
}

static int read_text(struct arena *a, struct str text, const char *file, unsigned nodes_max, bool keeps_twice,
                     struct value ***docs, unsigned *count, struct error *err)
{
    assert(a != NULL && docs != NULL && count != NULL);
    if (text.n > TEXT_SIZE_MAX) {
        return error_set(err, ERR_TOO_LARGE, "%s%s%zu bytes of text; at most %u are read", file == NULL ? "" : file,
                         file == NULL ? "" : ": ", text.n, TEXT_SIZE_MAX);
    }
    text = text_skip_bom(text);
    struct value *json = value_list(a);
    int failed;
    if (read_as_json(a, text, file, nodes_max, keeps_twice, json, &failed, err)) {
        *docs = json->list.items;
        *count = json->list.count;
        return failed;
    }
    CLEANUP_FREE struct reader *r = xcalloc(1, sizeof *r);
    r->arena = a;
    r->file = file;
    r->keeps_twice = keeps_twice;
    r->text = text;
    r->nodes_max = nodes_max;
    r->err = err;
    if (!yaml_parser_initialize(&r->parser)) {
        return error_set(err, ERR_SYSTEM, "no memory for the YAML parser");
    }
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)(text.p == NULL ? "" : text.p), text.n);
    struct value *list = value_list(a);
    int rc = read_stream(r, list);
    yaml_parser_delete(&r->parser);
    if (rc == 0) {
        *docs = list->list.items;
        *count = list->list.count;
    }
    return rc;
}

int yaml_read(struct arena *a, struct str text, const char *file, struct value ***docs, unsigned *count,
              struct error *err)
{
    return read_text(a, text, file, TEXT_NODES_MAX, false, docs, count, err);
}

int yaml_read_most(struct arena *a, struct str text, const char *file, unsigned nodes_max, struct value ***docs,
                   unsigned *count, struct error *err)
{
    return read_text(a, text, file, nodes_max, false, docs, count, err);
}

int yaml_read_twice(struct arena *a, struct str text, const char *file, unsigned nodes_max, struct value ***docs,
                    unsigned *count, struct value *twice, struct error *err)
{
    int rc = read_text(a, text, file, nodes_max, true, docs, count, err);
    for (unsigned i = 0; rc == 0 && i < *count; i++) {
        rc = text_settle_twice(a, (*docs)[i], twice, err);
    }
    return rc;
}
