#include "master/front/params.h"

#include <string.h>

#include "base/mem.h"

void params_init(struct params *p, struct mp all)
{
    p->all = all;
    p->found = false;
    p->count = 0;
}

void params_move(struct params *p, struct mp all)
{
    p->all = all;
}

static void find(struct params *p)
{
    p->found = true;
    for (struct mp_iter it = mp_iter(p->all); mp_next(&it);) {
        if (p->count == PARAMS_MAX) {
            p->found = false; /* more than there are names of: each look is a walk, and the request will be refused */
            return;
        }
        p->at[p->count++] = (struct param_at){
            .key = (uint32_t)((const uint8_t *)it.key.p - p->all.p),
            .key_size = (uint32_t)it.key.n,
            .begin = (uint32_t)(it.value.p - p->all.p),
            .end = (uint32_t)(it.value.end - p->all.p),
        };
    }
}

struct mp params_get(struct params *p, const char *key)
{
    if (!p->found && p->count == 0 && mp_type(p->all) == MP_MAP) {
        find(p);
    }
    if (!p->found) {
        return mp_get(p->all, key);
    }
    size_t n = strlen(key);
    for (unsigned i = 0; i < p->count; i++) {
        const struct param_at *at = &p->at[i];
        if (at->key_size == n && memcmp(p->all.p + at->key, key, n) == 0) {
            return mp_of(p->all.p + at->begin, at->end - at->begin);
        }
    }
    return mp_get((struct mp){0}, key); /* as of a map that has it not */
}

int params_str(struct params *p, struct str method, const char *key, struct str *out, bool required, struct error *err)
{
    struct mp m = params_get(p, key);
    *out = mp_str(m);
    enum mp_type type = mp_type(m);
    if (type != MP_STR && type != MP_NONE && type != MP_NIL) {
        return error_set(err, ERR_USAGE, "%.*s: parameter \"%s\" must be a string", STR_ARG(method), key);
    }
    if (required && out->n == 0) {
        return error_set(err, ERR_USAGE, "%.*s: parameter \"%s\" is missing", STR_ARG(method), key);
    }
    return 0;
}
