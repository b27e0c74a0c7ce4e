/* evict: a pod is deleted unless a disruption budget forbids it. The rules are controllers/eviction.h's; the budget is
 * counted on the tip that the transaction changes, in the turn that changes it. */
#include "controllers/eviction.h"
#include "master/api/write.h"
#include "master/master.h"

void verb_evict(struct api_call *c, const struct api_evict *q)
{
    const struct kind *k = kind_by_id(KIND_POD);
    const struct api_target of = {k, q->ns, q->name};
    struct txn t;
    struct error err = {0};
    api_txn_init(&t, &q->how);
    bool repeat = api_repeats(c, &t);
    const struct object *pod = repeat ? NULL : view_get(api_tip(c), k, q->ns, q->name);
    if (!repeat && pod == NULL) {
        error_not_found(&err, k, q->name);
    } else if (!repeat) {
        eviction_request(&t, c->arena, api_tip(c), pod, &q->options, env_wall_ms(c->m->env), &err);
        c->m->stats.evictions_refused += eviction_is_refusal(&err);
    }
    if (err.code != 0) {
        api_refuse_of(c, &of, &err);
    } else {
        struct write *w = write_new(c, API_EVICT);
        write_add(w, k, q->ns, q->name, pod);
        write_submit(w, &q->how, &t);
    }
    txn_close(&t);
}
