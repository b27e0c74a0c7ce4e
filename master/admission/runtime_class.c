/* Source: Kubernetes' admission plugin RuntimeClass. */
#include "controllers/runtime_class.h"
#include "master/admission/row.h"

static int give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    struct value *spec = value_get(c->doc, "spec");
    if (c->before != NULL || !value_is_map(spec)) {
        return 0; /* it cannot change (pod_update.c) */
    }
    int rv = runtime_class_give(ad->tip, ad->same_txn, ad->arena, spec, err);
    if (rv != 0) {
        struct str name = value_to_str(value_at(c->doc, "metadata", "name", NULL));
        error_wrap(err, "pods \"%.*s\" is forbidden", STR_ARG(name));
    }
    return rv;
}

const struct admission_row admission_runtime_class = {
    .name = "RuntimeClass",
    .kinds = {KIND_POD},
    .operations = ADMISSION_CREATE,
    .mutates = true,
    .help = "A pod gets the overhead, node labels and tolerations of its runtime class, which has to be there.",
    .give = give,
};
