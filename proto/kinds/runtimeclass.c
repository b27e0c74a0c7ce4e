/* RuntimeClass: a way to run containers that nodes offer, by a name. What it gives to pods is told in
 * controllers/runtime_class.h. Source: Kubernetes node.k8s.io/v1 RuntimeClass, and its validation. */
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"

#define TOLERATIONS_MAX 100u /* each is compared with each, and with those of each new pod */

/* clang-format off */
SCHEMA_STATIC(class_overhead, "Overhead", "What a pod of the class needs itself.",
    QUANTITY_MAP("podFixed", "Resources of the pod itself, beside its containers."));

SCHEMA_STATIC(class_scheduling, "Scheduling", "Nodes that can run the class.",
    STRING_MAP("nodeSelector", "Labels that such nodes have. Pods of the class get them into their nodeSelector."),
    OBJECTS("tolerations", schema_toleration, "Taints of such nodes. Pods of the class put up with them."));

SCHEMA_STATIC(class, "RuntimeClass", "A way to run containers that nodes offer. Pods name it in runtimeClassName.",
    TYPE_META,
    STRING("handler", "The runtime by its name on the nodes: crun, or another that reeve-agent was given with "
           "--runtime-handler. Cannot change.", REQUIRED),
    OBJECT("overhead", class_overhead, "What a pod of the class needs itself."),
    OBJECT("scheduling", class_scheduling, "Nodes that can run the class; all of them if absent."));
/* clang-format on */

static void check_duplicates(const struct value *list, const struct fpath *p, struct errlist *l)
{
    if (value_count(list) > TOLERATIONS_MAX) {
        errlist_add(l, ERROR_CAUSE_TOO_MANY, list, fpath_text(l->arena, p), "Too many: %u: must have at most %u items",
                    value_count(list), TOLERATIONS_MAX);
        return;
    }
    VALUE_FOR(i, list)
    {
        for (unsigned k = 0; k < i; k++) {
            if (value_equal(value_item(list, i), value_item(list, k))) {
                bad_duplicate(l, value_item(list, i), FPATH_ITEM(p, i));
                break;
            }
        }
    }
}

static void class_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *handler = value_get(obj, "handler"), *scheduling = value_get(obj, "scheduling"),
                       *tolerations = value_get(scheduling, "tolerations"),
                       *before = value_at(old, "scheduling", "tolerations", NULL);
    const struct fpath *p = FPATH("scheduling"), *at = FPATH_AT(p, "tolerations");
    if (old != NULL) {
        check_immutable(l, handler, value_get(old, "handler"), FPATH("handler"));
    }
    if (value_to_str(handler).n > 0 && !name_is_dns_label(value_to_str(handler))) {
        bad_value(l, handler, FPATH("handler"), NAME_LABEL_WHY);
    }
    check_container_resources(l, value_at(obj, "overhead", "podFixed", NULL), FPATH_AT(FPATH("overhead"), "podFixed"));
    check_labels(l, value_get(scheduling, "nodeSelector"), FPATH_AT(p, "nodeSelector"));
    pod_tolerations_check(tolerations, at, l);
    if (before == NULL || tolerations == NULL ||
        !value_equal(tolerations, before)) { /* a former version had no limit */
        check_duplicates(tolerations, at, l);
    }
}

static void cell_handler(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(mp_get(object_mp(o), "handler")));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "HANDLER", .cell = cell_handler},
    {.title = "AGE"},
};

const struct kind kind_runtimeclass = {
    .id = KIND_RUNTIMECLASS,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "RuntimeClass",
    .api_version = "node.k8s.io/v1",
    .plural = "runtimeclasses",
    .singular = "runtimeclass",
    .short_names = "",
    .is_content = true,
    .schema = &class,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = class_validate,
    .put_makes = true,
    .put_needs_version = true,
};
