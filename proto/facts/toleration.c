#include "proto/facts/toleration.h"

static bool tolerates(const struct value *list, const char *key)
{
    VALUE_FOR(i, list)
    {
        const struct value *t = value_item(list, i);
        struct str own = value_to_str(value_get(t, "key")), effect = value_to_str(value_get(t, "effect"));
        if ((str_empty(own) || str_is(own, key)) && (str_empty(effect) || str_is(effect, "NoExecute"))) {
            return true;
        }
    }
    return false;
}

void toleration_add_defaults(struct arena *a, struct value *spec)
{
    static const char *const keys[] = {TAINT_NODE_NOT_READY, TAINT_NODE_UNREACHABLE};
    struct value *list = value_ensure_list(a, spec, "tolerations");
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        if (tolerates(list, keys[i])) {
            continue;
        }
        struct value *t = value_map(a);
        value_set(a, t, "key", value_cstr(a, keys[i]));
        value_set(a, t, "operator", value_cstr(a, "Exists"));
        value_set(a, t, "effect", value_cstr(a, "NoExecute"));
        value_set(a, t, "tolerationSeconds", value_int(a, TOLERATION_DEFAULT_S));
        value_append(a, list, t);
    }
}
