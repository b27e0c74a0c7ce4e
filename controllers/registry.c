#include "controllers/registry.h"

#include <string.h>

static const struct controller *const all[] = {
    &controller_deployment,     &controller_replicaset,     &controller_garbage,   &controller_namespace,
    &controller_node_lifecycle, &controller_taint_eviction, &controller_node_ipam, &controller_pod_garbage,
    &controller_event_ttl,      &controller_tokens,
};

const struct controller *const *controllers_all(unsigned *count)
{
    *count = ARRAY_SIZE(all);
    return all;
}

const struct controller *controller_by_name(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        if (strcmp(all[i]->name, name) == 0) {
            return all[i];
        }
    }
    return NULL;
}
