/* Nothing is made in the place of the Leases of nodes, which masters make of heartbeats (master/api/node_leases.h). */
#include "proto/facts/node_lease.h"
#include "master/admission/row.h"

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    (void)ad;
    if (c->before != NULL || !node_lease_in(c->kind, c->now->ns)) {
        return 0;
    }
    error_set(err, ERR_FORBIDDEN,
              "leases.coordination.k8s.io \"%.*s\" is forbidden: leases of nodes are made of the heartbeats that "
              "masters hear, and nobody makes others in namespace " NODE_LEASE_NS,
              STR_ARG(c->now->name));
    kind_error_about(err, c->kind, c->now->name);
    return ERR_FORBIDDEN;
}

const struct admission_row admission_node_lease = {
    .name = "NodeLease",
    .kinds = {KIND_LEASE},
    .kinds_told = "leases in " NODE_LEASE_NS,
    .operations = ADMISSION_CREATE,
    .help = "Leases of nodes are made of the heartbeats that masters hear; nobody makes others beside them.",
    .check = check,
};
