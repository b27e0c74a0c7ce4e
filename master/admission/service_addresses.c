/* Addresses and ports of Services, given while they are let in: on the tip, in the turn that writes them. */
#include "master/admission/row.h"

static int give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    struct rng rng;
    struct claims own;
    env_random(ad->env, &rng.state, sizeof rng.state);
    claims_init(&own, NULL);
    const struct allocate al = {
        .view = ad->tip, .claims = ad->claims != NULL ? ad->claims : &own, .arena = ad->arena, .rng = &rng};
    int rv = service_allocate(&al, c->before, c->doc, err);
    claims_close(&own);
    return rv;
}

const struct admission_row admission_service_addresses = {
    .name = "ServiceAddresses",
    .kinds = {KIND_SERVICE},
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE,
    .mutates = true,
    .help = "A Service gets its address and node ports, and none that another one has.",
    .give = give,
};
