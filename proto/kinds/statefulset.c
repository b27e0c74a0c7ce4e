/* StatefulSet: pods with names and volumes of their own. Source: Kubernetes apps/v1 StatefulSet. */
#include "proto/describe/parts.h"
#include "proto/kinds/storage.h"
#include "proto/kinds/workload.h"
#include "proto/schema/release.h"

#define WIDTH 20 /* of the labels of a description */

/* clang-format off */
SCHEMA_STATIC(rolling_update, "RollingUpdateStatefulSetStrategy", "Bounds of a rolling update.",
    INT32("partition", "Pods with an ordinal below this keep the old template.", DEFAULT("0")),
    INT_OR_STRING("maxUnavailable", "How many pods may be missing at once, as number or percentage (rounded up)."));

SCHEMA_STATIC(strategy, "StatefulSetUpdateStrategy", "How old pods are exchanged for new ones.",
    STRING("type", "RollingUpdate goes from the highest ordinal down; OnDelete waits until somebody deletes them.",
           DEFAULT("RollingUpdate"), ONE_OF("RollingUpdate|OnDelete")),
    OBJECT("rollingUpdate", rolling_update, "Bounds, for RollingUpdate."));

SCHEMA_STATIC(retention, "StatefulSetPersistentVolumeClaimRetentionPolicy", "What becomes of claims.",
    STRING("whenDeleted", "When the set is deleted.", DEFAULT("Retain"), ONE_OF("Retain|Delete")),
    STRING("whenScaled", "When the set becomes smaller.", DEFAULT("Retain"), ONE_OF("Retain|Delete")));

SCHEMA_STATIC(ordinals, "StatefulSetOrdinals", "The numbers of pods.",
    INT32("start", "The first of them.", ZERO));

SCHEMA_STATIC(statefulset_spec, "StatefulSetSpec", "What pods there are to be, and how to get there.",
    REPLICAS_ROW,
    SELECTOR_ROW(2),
    TEMPLATE_ROW,
    OBJECTS("volumeClaimTemplates", schema_claim,
            "Claims that each pod has for itself: NAME-SET-ORDINAL. Cannot change."),
    STRING("serviceName", "The headless Service below which pods have names. Cannot change."),
    STRING("podManagementPolicy", "OrderedReady: one after another, each waits for the one before. Parallel: all at "
           "once. Cannot change.", DEFAULT("OrderedReady"), ONE_OF("OrderedReady|Parallel")),
    OBJECT("updateStrategy", strategy, "How pods are exchanged.", DEFAULT("{}")),
    INT32("revisionHistoryLimit", "How many old templates are kept to go back to.", DEFAULT("10")),
    MIN_READY_ROW(9),
    OBJECT("persistentVolumeClaimRetentionPolicy", retention, "What becomes of claims.", DEFAULT("{}")),
    OBJECT("ordinals", ordinals, "The numbers of pods."));

SCHEMA_STATIC(condition, "StatefulSetCondition", "One statement about the set.",
    CONDITION_ROWS(3));

SCHEMA_STATIC(status, "StatefulSetStatus", "What is known of the set.",
    INT64("observedGeneration", "Generation of the spec that these numbers speak of.", ZERO),
    INT32("replicas", "Pods there are."),
    INT32("readyReplicas", "Pods that are Ready.", ZERO),
    INT32("currentReplicas", "Pods of the template that the set had before the update.", ZERO),
    INT32("updatedReplicas", "Pods of the newest template.", ZERO),
    STRING("currentRevision", "The ControllerRevision before the update."),
    STRING("updateRevision", "The newest ControllerRevision."),
    INT32("collisionCount", "Counts clashes of names of ControllerRevisions.", NUMBER(9)),
    OBJECTS("conditions", condition, "Statements about the set.", MERGE("type")),
    INT32("availableReplicas", "Pods that have been Ready for minReadySeconds."));

SCHEMA_STATIC(statefulset, "StatefulSet",
    "Keeps a number of pods running that are not alike: each has a name and claims that stay with it.",
    TYPE_META,
    OBJECT("spec", statefulset_spec, "What pods there are to be.", REQUIRED),
    OBJECT("status", status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

static void statefulset_fill(struct arena *a, struct value *obj)
{
    pod_spec_fill(a, value_at(obj, "spec", "template", "spec", NULL));
    struct value *how = value_at(obj, "spec", "updateStrategy", NULL);
    if (value_is_map(how) && str_is(value_to_str(value_get(how, "type")), "RollingUpdate")) {
        struct value *bounds = value_ensure_map(a, how, "rollingUpdate");
        if (value_get(bounds, "partition") == NULL) {
            value_set(a, bounds, "partition", value_int(a, 0));
        }
    }
}

/* ---- Rules ---- */

static void check_unchanged(const struct value *spec, const struct value *was, struct errlist *l)
{
    static const char *const may_change[] = {"replicas",
                                             "ordinals",
                                             "template",
                                             "updateStrategy",
                                             "revisionHistoryLimit",
                                             "persistentVolumeClaimRetentionPolicy",
                                             "minReadySeconds"};
    struct value *now = value_copy(l->arena, spec), *before = value_copy(l->arena, was);
    for (unsigned i = 0; i < ARRAY_SIZE(may_change); i++) {
        value_remove(now, may_change[i]);
        value_remove(before, may_change[i]);
    }
    if (!kind_equal(&kind_statefulset, "spec", now, before)) {
        bad_forbidden(l, spec, FPATH("spec"),
                      "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                      "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                      "'minReadySeconds' are forbidden");
    }
}

static void check_claim_templates(const struct value *templates, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, templates)
    {
        const struct value *template = value_item(templates, i), *meta = value_get(template, "metadata");
        const struct fpath *at = FPATH_ITEM(p, i);
        check_dns_label(l, template, value_get(meta, "name"), FPATH_AT(FPATH_AT(at, "metadata"), "name"));
        for (unsigned k = 0; k < i; k++) {
            if (value_equal(value_at(value_item(templates, k), "metadata", "name", NULL), value_get(meta, "name"))) {
                bad_duplicate(l, value_get(meta, "name"), FPATH_AT(FPATH_AT(at, "metadata"), "name"));
            }
        }
        claim_spec_check(value_get(template, "spec"), FPATH_AT(at, "spec"), l);
    }
}

/* The document with volumes in the template that stand for those of the claims: containers mount them. */
static struct value *with_claims(struct arena *a, const struct value *obj)
{
    struct value *doc = value_copy(a, obj), *pod = value_at(doc, "spec", "template", "spec", NULL);
    const struct value *templates = value_at(doc, "spec", "volumeClaimTemplates", NULL);
    if (value_count(templates) == 0 || !value_is_map(pod)) {
        return doc;
    }
    struct value *volumes = value_ensure_list(a, pod, "volumes");
    VALUE_FOR(i, templates)
    {
        const struct value *name = value_at(value_item(templates, i), "metadata", "name", NULL);
        bool is_there = !value_is_str(name);
        VALUE_FOR(k, volumes)
        {
            is_there = is_there || value_equal(value_get(value_item(volumes, k), "name"), name);
        }
        if (!is_there) {
            struct value *volume = value_map(a);
            value_set(a, volume, "name", value_copy(a, name));
            value_set(a, value_ensure_map(a, volume, "persistentVolumeClaim"), "claimName", value_copy(a, name));
            value_append(a, volumes, volume);
        }
    }
    return doc;
}

static void statefulset_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    static const struct workload_count counts[] = {
        {"replicas", {NULL}},
        {"readyReplicas", {"replicas"}},
        {"currentReplicas", {"replicas"}},
        {"updatedReplicas", {"replicas"}},
        {"availableReplicas", {"replicas", "readyReplicas"}},
        {"observedGeneration", {NULL}},
        {"collisionCount", {NULL}},
    };
    workload_check(with_claims(l->arena, obj), old == NULL ? NULL : with_claims(l->arena, old), l);
    workload_check_counts(obj, old, counts, ARRAY_SIZE(counts), l);
    const struct value *spec = value_get(obj, "spec"), *how = value_get(spec, "updateStrategy");
    const struct value *bounds = value_get(how, "rollingUpdate");
    const struct fpath *p = FPATH("spec"), *at = FPATH_AT(FPATH_AT(p, "updateStrategy"), "rollingUpdate");
    check_at_least(l, value_get(spec, "revisionHistoryLimit"), FPATH_AT(p, "revisionHistoryLimit"), 0);
    check_at_least(l, value_at(spec, "ordinals", "start", NULL), FPATH_AT(FPATH_AT(p, "ordinals"), "start"), 0);
    check_optional_name(l, spec, "serviceName", p);
    if (str_is(value_to_str(value_get(how, "type")), "OnDelete")) {
        if (bounds != NULL) {
            bad_value(l, bounds, at, "only allowed for updateStrategy 'RollingUpdate'");
        }
    } else if (bounds != NULL) {
        check_at_least(l, value_get(bounds, "partition"), FPATH_AT(at, "partition"), 0);
        if (value_get(bounds, "maxUnavailable") != NULL &&
            workload_check_bound(bounds, "maxUnavailable", true, at, l) == 0) {
            bad_value(l, value_get(bounds, "maxUnavailable"), FPATH_AT(at, "maxUnavailable"), "cannot be 0");
        }
    }
    if (value_is_map(spec) && value_is_map(value_get(old, "spec"))) {
        check_unchanged(spec, value_get(old, "spec"), l);
    } else {
        check_claim_templates(value_get(spec, "volumeClaimTemplates"), FPATH_AT(p, "volumeClaimTemplates"), l);
    }
}

/* ---- Columns ---- */

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "READY", .cell = workload_cell_ready_of},
    {.title = "AGE"},
    {.title = "CONTAINERS", .wide = true, .cell = workload_cell_names},
    {.title = "IMAGES", .wide = true, .cell = workload_cell_images},
};

/* ---- Description ---- */

static void describe_claims(struct buf *out, struct mp templates)
{
    if (mp_count(templates) == 0) {
        buf_puts(out, "Volume Claims:  <none>\n");
        return;
    }
    buf_puts(out, "Volume Claims:\n");
    for (struct mp_iter it = mp_iter(templates); mp_next(&it);) {
        struct mp spec = mp_get(it.value, "spec");
        describe_text(out, 1, 15, "Name:", mp_str(mp_path(it.value, "metadata.name")));
        describe_text(out, 1, 15, "StorageClass:", mp_str(mp_get(spec, "storageClassName")));
        describe_map(out, 1, 15, "Labels:", mp_path(it.value, "metadata.labels"), "=");
        describe_map(out, 1, 15, "Annotations:", mp_path(it.value, "metadata.annotations"), ": ");
        describe_text(out, 1, 15, "Capacity:", mp_str(mp_path(spec, "resources.requests.storage")));
        describe_label(out, 1, 15, "Access Modes:");
        buf_putc(out, '[');
        unsigned n = 0;
        for (struct mp_iter m = mp_iter(mp_get(spec, "accessModes")); mp_next(&m);) {
            struct str mode = mp_str(m.value);
            buf_printf(out, "%s%.*s", n++ > 0 ? " " : "", STR_ARG(mode));
        }
        buf_puts(out, "]\n");
    }
}

static void statefulset_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o), spec = mp_get(m, "spec"), bounds = mp_path(spec, "updateStrategy.rollingUpdate");
    struct str type = mp_str(mp_path(spec, "updateStrategy.type"));
    describe_text(out, 0, WIDTH, "Name:", o->name);
    describe_text(out, 0, WIDTH, "Namespace:", o->ns);
    describe_time(out, 0, WIDTH, "CreationTimestamp:", mp_str(mp_path(m, "metadata.creationTimestamp")));
    workload_describe_selector(out, WIDTH, mp_get(spec, "selector"));
    describe_map(out, 0, WIDTH, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_map(out, 0, WIDTH, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
    describe_label(out, 0, WIDTH, "Replicas:");
    buf_printf(out, "%lld desired | %lld total\n", (long long)mp_int(mp_get(spec, "replicas"), 1),
               (long long)mp_int(mp_path(m, "status.replicas"), 0));
    describe_text(out, 0, WIDTH, "Update Strategy:", type);
    if (str_is(type, "RollingUpdate")) {
        describe_label(out, 1, WIDTH - DESCRIBE_TAB, "Partition:");
        buf_printf(out, "%lld\n", (long long)mp_int(mp_get(bounds, "partition"), 0));
    }
    workload_describe_pods(out, WIDTH, c);
    buf_puts(out, "Pod Template:\n");
    describe_pod_template(out, mp_get(spec, "template"), 1);
    describe_claims(out, mp_get(spec, "volumeClaimTemplates"));
    describe_events(out, c);
}

static const struct kind_version versions[] = {
    {"apps/v1beta1", workload_version_up, NULL, .read_only = true},
    {"apps/v1beta2", workload_version_up, NULL, .read_only = true},
    {0},
};

static const struct kind_related related[] = {{.kind = KIND_POD}, {0}};

const struct kind kind_statefulset = {
    .id = KIND_STATEFULSET,
    .name = "StatefulSet",
    .api_version = "apps/v1",
    .plural = "statefulsets",
    .singular = "statefulset",
    .short_names = "sts",
    .since = RELEASE_LEVEL_CARRIED,
    .versions = versions,
    .namespaced = true,
    .has_status = true,
    .has_scale = true,
    .has_generation = true,
    .schema = &statefulset,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = statefulset_validate,
    .fill = statefulset_fill,
    .doubt = workload_doubt,
    .references = workload_references,
    .in_all = true,
    .is_pruned = true,
    .pods = "spec.template.spec",
    .describe = statefulset_describe,
    .related = related,
};
