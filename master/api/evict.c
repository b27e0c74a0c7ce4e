/* evict: a pod is deleted unless a disruption budget forbids it. The rules are controllers/eviction.h's; the budget is
 * counted on the tip that the transaction changes, in the turn that changes it. */
#include "controllers/eviction.h"
#include "master/api/write.h"
#include "master/master.h"

static void decide(struct api_call *c, const void *request, const struct object *pod, struct txn *t, struct error *err)
{
    const struct api_evict *q = request;
    if (pod == NULL) {
        error_not_found(err, kind_by_id(KIND_POD), q->name);
        return;
    }
    eviction_request(t, c->arena, api_tip(c), pod, &q->options, env_wall_ms(c->m->env), err);
    c->m->stats.evictions_refused += eviction_is_refusal(err);
}

void verb_evict(struct api_call *c, const struct api_evict *q)
{
    const struct api_target of = {kind_by_id(KIND_POD), q->ns, q->name};
    write_of_one(c, API_EVICT, &q->how, &of, decide, q);
}
