/* VolumeBinding and VolumeRestrictions: the node reaches the volumes of the pod's claims, and has one for each claim
 * that waits for its first consumer (volumes.h). */
#include "scheduler/plugins/plugin.h"
#include "scheduler/volumes.h"

static bool volume_binding(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    struct claims_placing placing;
    const char *text = NULL;
    if (c->claims == NULL || (c->claims->blocked == NULL && claims_place(c->claims, n, &placing, &text))) {
        return true;
    }
    if (text != NULL) {
        reasons_add(why, "%s", text); /* else it is said once, for all nodes (reasons_write) */
    }
    return false;
}

static const char *const reads[] = {"volumes", NULL};

const struct plugin plugin_volume_binding = {
    .name = "VolumeBinding",
    .reads = reads,
    .fits = volume_binding,
};
