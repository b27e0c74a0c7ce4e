#include "proto/patch/patch.h"

#include <assert.h>

#include "proto/patch/patch_int.h"

int patch_type_parse(struct str s)
{
    return str_is(s, "strategic") ? PATCH_STRATEGIC
           : str_is(s, "merge")   ? PATCH_MERGE
           : str_is(s, "json")    ? PATCH_JSON
                                  : -1;
}

const char *patch_type_word(enum patch_type type)
{
    return type == PATCH_STRATEGIC ? "strategic" : type == PATCH_MERGE ? "merge" : "json";
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
