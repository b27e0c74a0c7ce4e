/* Fields that are known but not carried out: what is refused, what the client is warned of. Reads the state column of
 * the tables; nothing here knows a kind by name.
 *
 * Refusing looks at what a write adds: what an object has already was accepted by an older program, and neither a
 * change of its labels nor of its status may be held up by that. */
#include <assert.h>
#include <string.h>

#include "base/timefmt.h"
#include "proto/schema/table.h"

struct state_walk {
    struct arena *arena;
    enum field_state least; /* this state, or worse */
    /* One field that asks for what is not carried out. */
    void (*found)(void *data, const struct field *f, const struct value *v, const struct fpath *p);
    void *data;
};

/* "medium=Memory" */
static bool member_is(const struct value *map, const char *what)
{
    const char *is = strchr(what, '=');
    assert(is != NULL);
    struct str key = {what, (size_t)(is - what)};
    return str_is(value_to_str(value_get_str_key(map, key)), is + 1);
}

bool field_asks(const struct field *f, const struct value *map, const struct value *v)
{
    if (f->state == FIELD_DONE || value_is_null(v) || (f->beside != NULL && member_is(map, f->beside))) {
        return false;
    }
    switch (v->type) {
    case VALUE_BOOL:
        return f->quiet == NULL ? v->boolean : !in_choices(v->boolean ? STR("true") : STR("false"), f->quiet);
    case VALUE_STR:
        return v->str.n > 0 && (f->quiet == NULL || !in_choices(v->str, f->quiet));
    case VALUE_MAP:
        if (f->keys == NULL) {
            return v->map.count > 0 && (f->quiet == NULL || !member_is(v, f->quiet));
        }
        for (unsigned i = 0; i < v->map.count; i++) {
            if (in_choices(v->map.members[i].key, f->keys)) {
                return true;
            }
        }
        return false;
    case VALUE_LIST:
        return v->list.count > 0;
    default:
        return true;
    }
}

const struct value *field_old_element(const struct field *f, const struct value *old, const struct value *e, unsigned i)
{
    if (f->merge_key == NULL) {
        return i < value_count(old) && value_is_list(old) ? value_item(old, i) : NULL;
    }
    VALUE_FOR(j, old)
    {
        const struct value *key = value_get(value_item(old, j), f->merge_key);
        if (key != NULL && value_equal(key, value_get(e, f->merge_key))) {
            return value_item(old, j);
        }
    }
    return NULL;
}

static void walk_map(const struct state_walk *w, const struct schema *s, const struct value *v, const struct value *old,
                     const struct fpath *p)
{
    for (unsigned i = 0; i < value_count(v); i++) {
        const struct value_member *m = &v->map.members[i];
        const struct field *f = schema_field(s, m->key);
        if (f == NULL || (f->flags & (FIELD_READONLY | FIELD_STATUS)) || value_is_null(m->value)) {
            continue;
        }
        const struct fpath *at = FPATH_STR(p, m->key);
        const struct value *was = value_get_str_key(old, m->key);
        if (f->state >= w->least && field_asks(f, v, m->value) &&
            !(field_asks(f, old, was) && field_equal(f, m->value, was))) {
            w->found(w->data, f, m->value, at);
            continue; /* what stands below it goes the same way */
        }
        if (f->type != FIELD_OBJECT || f->shape == SHAPE_MAP) {
            continue;
        }
        if (f->shape == SHAPE_ONE && value_is_map(m->value)) {
            walk_map(w, f->sub, m->value, was, at);
        } else if (f->shape == SHAPE_LIST) {
            VALUE_FOR(j, m->value)
            {
                const struct value *e = value_item(m->value, j);
                if (value_is_map(e)) {
                    walk_map(w, f->sub, e, field_old_element(f, was, e, j), FPATH_ITEM(at, j));
                }
            }
        }
    }
}

static void refuse(void *data, const struct field *f, const struct value *v, const struct fpath *p)
{
    struct errlist *l = data;
    if (value_is_str(v) && f->quiet != NULL) {
        bad_forbidden(l, v, p,
                      arena_printf(l->arena, "\"%.*s\" is not carried out yet: %s", STR_ARG(v->str), f->undone));
    } else {
        bad_forbidden(l, v, p, arena_printf(l->arena, "not carried out yet: %s", f->undone));
    }
}

void kind_find_refused(const struct kind *k, const struct value *doc, const struct value *old, struct errlist *l)
{
    struct state_walk w = {.arena = l->arena, .least = FIELD_REFUSED, .found = refuse, .data = l};
    walk_map(&w, k->schema, doc, old, NULL);
}

struct warn_list {
    struct arena *arena;
    struct kind_warnings *out;
};

static void warn(void *data, const struct field *f, const struct value *v, const struct fpath *p)
{
    struct warn_list *l = data;
    (void)v;
    if (l->out->count < KIND_WARNINGS_MAX) {
        l->out->items[l->out->count++] =
            arena_printf(l->arena, "%s: not carried out yet: %s", fpath_text(l->arena, p), f->undone);
    }
}

void kind_find_warnings(const struct kind *k, struct arena *a, const struct value *doc, struct kind_warnings *out)
{
    assert(k != NULL && a != NULL && out != NULL);
    out->count = 0;
    struct warn_list l = {a, out};
    struct state_walk w = {.arena = a, .least = FIELD_WARNED, .found = warn, .data = &l};
    walk_map(&w, k->schema, doc, NULL, NULL);
}

void kind_find_doubts(const struct kind *k, struct arena *a, const struct value *doc, struct kind_warnings *out)
{
    if (k->doubt != NULL) {
        k->doubt(doc, a, out);
    }
}

#define CONDITION_TEXT_MAX 1024u

void kind_add_undone_condition(const struct kind *k, struct arena *a, struct value *doc, int64_t wall_ms)
{
    struct kind_warnings found;
    CLEANUP_BUF struct buf text = BUF_INIT;
    char now[TIMEFMT_SIZE];
    kind_find_warnings(k, a, doc, &found);
    for (unsigned i = 0; i < found.count && text.size + strlen(found.items[i]) < CONDITION_TEXT_MAX; i++) {
        buf_printf(&text, "%s%s", i == 0 ? "" : "; ", found.items[i]);
    }
    if (text.size == 0) {
        return;
    }
    timefmt_rfc3339(wall_ms, now);
    struct value *c = value_map(a);
    value_set(a, c, "type", value_cstr(a, CONDITION_NOT_CARRIED_OUT));
    value_set(a, c, "status", value_cstr(a, "True"));
    value_set(a, c, "lastTransitionTime", value_cstr(a, now));
    value_set(a, c, "reason", value_cstr(a, "FieldsIgnored"));
    value_set(a, c, "message", value_str(a, buf_str(&text)));
    value_append(a, value_ensure_list(a, value_ensure_map(a, doc, "status"), "conditions"), c);
}
