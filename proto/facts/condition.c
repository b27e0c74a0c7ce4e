#include "proto/facts/condition.h"

#include <assert.h>

struct value *condition_get(const struct value *status, const char *type)
{
    return value_find(value_get(status, "conditions"), "type", str_of(type));
}

struct mp condition_in(struct mp conditions, struct str type)
{
    for (struct mp_iter it = mp_iter(conditions); mp_next(&it);) {
        if (str_eq(mp_str(mp_get(it.value, "type")), type)) {
            return it.value;
        }
    }
    return mp_of(NULL, 0);
}

struct mp condition_mp(const struct object *o, const char *type)
{
    return condition_in(mp_get(object_status(o), "conditions"), str_of(type));
}

bool condition_is(struct mp condition, const char *condition_status)
{
    return str_is(mp_str(mp_get(condition, "status")), condition_status);
}

struct value *condition_new(struct arena *a, const char *type, const char *condition_status, int64_t since_ms,
                            const char *reason, const char *message)
{
    assert(type != NULL && condition_status != NULL);
    struct value *c = value_map(a);
    value_set(a, c, "type", value_cstr(a, type));
    value_set(a, c, "status", value_cstr(a, condition_status));
    value_set(a, c, "lastTransitionTime", value_time(a, since_ms));
    if (reason != NULL && reason[0] != '\0') {
        value_set(a, c, "reason", value_cstr(a, reason));
    }
    if (message != NULL && message[0] != '\0') {
        value_set(a, c, "message", value_cstr(a, message));
    }
    return c;
}

static bool member_set_text(struct arena *a, struct value *map, const char *key, const char *text)
{
    if (text == NULL || str_is(value_to_str(value_get(map, key)), text)) {
        return false;
    }
    if (text[0] == '\0') {
        value_remove(map, key);
    } else {
        value_set(a, map, key, value_cstr(a, text));
    }
    return true;
}

bool condition_set(struct arena *a, struct value *status, const char *type, const char *condition_status,
                   const char *reason, const char *message, int64_t wall_ms, bool with_update_time)
{
    assert(type != NULL && condition_status != NULL);
    struct value *c = condition_get(status, type);
    bool is_new = c == NULL;
    if (is_new) {
        c = condition_new(a, type, condition_status, wall_ms, reason, message);
        value_append(a, value_ensure_list(a, status, "conditions"), c);
    }
    bool moved = member_set_text(a, c, "status", condition_status);
    bool changed = is_new || moved;
    changed |= member_set_text(a, c, "reason", reason);
    changed |= member_set_text(a, c, "message", message);
    if (moved) {
        value_set(a, c, "lastTransitionTime", value_time(a, wall_ms));
    }
    if (changed && with_update_time) {
        value_set(a, c, "lastUpdateTime", value_time(a, wall_ms));
    }
    return changed;
}

bool condition_remove(struct value *status, const char *type)
{
    struct value *list = value_get(status, "conditions");
    VALUE_FOR(i, list)
    {
        if (str_is(value_path_str(value_item(list, i), "type"), type)) {
            value_remove_at(list, i);
            return true;
        }
    }
    return false;
}

void condition_keep(struct arena *a, struct value *status, const struct value *former)
{
    const struct value *old = value_get(former, "conditions");
    struct value *list = value_ensure_list(a, status, "conditions");
    VALUE_FOR(i, old)
    {
        struct value *cond = value_item(old, i);
        if (value_is_map(cond) && value_find(list, "type", value_to_str(value_get(cond, "type"))) == NULL) {
            value_insert(a, list, 0, cond);
        }
    }
}
