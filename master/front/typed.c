#include "master/front/typed.h"

#include "master/front/verbs.h"

void typed_set(struct errand *e, enum api_verb verb, bool repeatable)
{
    const struct method *row = verbs_row(verb);
    e->name = str_of(row->name);
    e->flags = row->flags;
    e->verb = verb;
    e->newest = (row->flags & METHOD_NEWEST) != 0;
    e->repeatable = (row->flags & METHOD_WRITE) != 0 && repeatable;
}

bool typed_write(struct errand *e, struct buf *b)
{
    struct api_request q;
    if (!e->front->typed(e, &q)) {
        return false;
    }
    mp_write_key_str(b, "method", e->name);
    mp_write_cstr(b, "params");
    verbs_write(e->api.m, b, &q);
    arena_close(&e->arena); /* what it was made of need not be held while the leader is at it */
    arena_init(&e->arena);
    return true;
}

void typed_answered(struct errand *e, struct mp result)
{
    struct api_answer a;
    struct error err = {0};
    if (e->verb >= API_TOKEN) {
        e->api.front->told(&e->api, result);
        return;
    }
    if (verbs_read_answer(&e->arena, e->verb, result, &a, &err) != 0) {
        errand_fail(e, &err);
        return;
    }
    api_answer(&e->api, &a);
    verbs_answer_close(&a);
}
