/* Addresses and ports of Services, given while they are let in: on the tip, in the turn that writes them. */
#include "master/api/admission.h"

int admit_service(const struct admission *ad, const struct value *before, struct value *doc, struct error *err)
{
    struct rng rng;
    struct claims own;
    env_random(ad->env, &rng.state, sizeof rng.state);
    claims_init(&own, NULL);
    const struct allocate al = {
        .view = ad->tip, .claims = ad->claims != NULL ? ad->claims : &own, .arena = ad->arena, .rng = &rng};
    int rv = service_allocate(&al, before, doc, err);
    claims_close(&own);
    return rv;
}
