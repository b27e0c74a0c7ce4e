/* Spellings of manifests that people still have: old groups and versions of the workload kinds. Converted in place to
 * today's, with what the old spelling implied written out. The defaults are today's. */
#include <assert.h>

#include "proto/schema/table.h"

static void convert_workload(struct arena *a, struct value *doc)
{
    struct value *spec = value_get(doc, "spec");
    if (!value_is_map(spec)) {
        return;
    }
    value_remove(spec, "rollbackTo"); /* an order, not a state; rollout undo took its place */
    struct value *labels = value_at(spec, "template", "metadata", "labels", NULL);
    if (value_is_null(value_get(spec, "selector")) && value_count(labels) > 0) {
        struct value *selector = value_map(a);
        value_set(a, selector, "matchLabels", value_copy(a, labels));
        value_set(a, spec, "selector", selector);
    }
}

static const struct {
    const char *api_version, *kind;
    enum kind_id id;
    void (*convert)(struct arena *a, struct value *doc);
} OLD_SPELLINGS[] = {
    {"extensions/v1beta1", "Deployment", KIND_DEPLOYMENT, convert_workload},
    {"apps/v1beta1", "Deployment", KIND_DEPLOYMENT, convert_workload},
    {"apps/v1beta2", "Deployment", KIND_DEPLOYMENT, convert_workload},
    {"extensions/v1beta1", "ReplicaSet", KIND_REPLICASET, convert_workload},
    {"apps/v1beta2", "ReplicaSet", KIND_REPLICASET, convert_workload},
};

const struct kind *convert_old_spelling(struct arena *a, struct value *doc)
{
    struct str api = value_to_str(value_get(doc, "apiVersion")), kind = value_to_str(value_get(doc, "kind"));
    for (unsigned i = 0; i < ARRAY_SIZE(OLD_SPELLINGS); i++) {
        if (str_is(api, OLD_SPELLINGS[i].api_version) && str_is(kind, OLD_SPELLINGS[i].kind)) {
            const struct kind *k = kind_by_id(OLD_SPELLINGS[i].id);
            value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
            OLD_SPELLINGS[i].convert(a, doc);
            return k;
        }
    }
    return NULL;
}
