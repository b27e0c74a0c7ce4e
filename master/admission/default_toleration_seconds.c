/* Source: Kubernetes' admission plugin DefaultTolerationSeconds. Controllers give it to what they make
 * (controllers/workloads/pods.c). */
#include "master/admission/row.h"
#include "proto/facts/toleration.h"

static int give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    (void)err;
    toleration_add_defaults(ad->arena, value_ensure_map(ad->arena, c->doc, "spec"));
    return 0;
}

const struct admission_row admission_default_toleration_seconds = {
    .name = "DefaultTolerationSeconds",
    .kinds = {KIND_POD},
    .operations = ADMISSION_CREATE,
    .mutates = true,
    .help = "A pod stays 300 s on a node that is not ready or not reachable, where it does not say for how long.",
    .give = give,
};
