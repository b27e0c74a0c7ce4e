/* HorizontalPodAutoscaler: as many pods as what they use asks for. Source: Kubernetes autoscaling/v2. */
#include "proto/kinds/horizontalpodautoscaler.h"

#include "proto/model/quantity.h"
#include "proto/schema/release.h"
#include "proto/text/text.h"

#define WINDOW_MAX_S 3600
#define PERIOD_MAX_S 1800
#define METRICS_MAX  16u /* ours: each is computed of all pods */
#define POLICIES_MAX 16u
#define OTHER_WHY    "only what pods use of cpu and memory is measured; the number of pods would not follow it"

/* clang-format off */
SCHEMA_STATIC(target_ref, "CrossVersionObjectReference", "What is scaled.",
    STRING("kind", "Its kind: Deployment, ReplicaSet, StatefulSet, ReplicationController.", REQUIRED),
    STRING("name", "Its name.", REQUIRED_KEY),
    STRING("apiVersion", "The version of its kind."));

SCHEMA_STATIC(metric_target, "MetricTarget", "What the metric is to be.",
    STRING("type", "Utilization: percent of what containers request. AverageValue: an amount for each pod.", REQUIRED,
           ONE_OF("Utilization|Value|AverageValue")),
    QUANTITY("value", "The amount of all; not for what pods use."),
    QUANTITY("averageValue", "The mean amount of a pod."),
    INT32("averageUtilization", "The mean, in percent of what is requested."));

SCHEMA_STATIC(resource_source, "ResourceMetricSource", "What pods use.",
    STRING("name", "cpu or memory.", REQUIRED),
    OBJECT("target", metric_target, "What it is to be.", REQUIRED));

SCHEMA_STATIC(container_source, "ContainerResourceMetricSource", "What one container of each pod uses.",
    STRING("name", "cpu or memory.", REQUIRED),
    OBJECT("target", metric_target, "What it is to be.", REQUIRED),
    STRING("container", "The container.", REQUIRED));

SCHEMA_STATIC(metric, "MetricSpec", "One thing that the number of pods follows.",
    STRING("type", "Which of the others is set: Resource or ContainerResource.", REQUIRED,
           ONE_OF("ContainerResource|External|Object|Pods|Resource")),
    ANY("object", "A number that another object has.", REFUSED(OTHER_WHY)),
    ANY("pods", "A number that pods have.", REFUSED(OTHER_WHY)),
    OBJECT("resource", resource_source, "What pods use."),
    OBJECT("containerResource", container_source, "What one container of each pod uses.", NUMBER(7)),
    ANY("external", "A number from elsewhere.", REFUSED(OTHER_WHY), NUMBER(5)));

SCHEMA_STATIC(policy, "HPAScalingPolicy", "How much may change in some time.",
    STRING("type", "Pods: so many. Percent: so many of a hundred.", REQUIRED, ONE_OF("Pods|Percent")),
    INT32("value", "How many, or how many of a hundred.", REQUIRED),
    INT32("periodSeconds", "In this time.", REQUIRED));

SCHEMA_STATIC(rules, "HPAScalingRules", "How fast it goes in one direction.",
    INT32("stabilizationWindowSeconds", "What was recommended in this time counts: the highest on the way down, the "
          "lowest on the way up.", NUMBER(3)),
    STRING("selectPolicy", "Max: the policy that allows most. Min: the least. Disabled: not at all.",
           ONE_OF("Max|Min|Disabled"), NUMBER(1)),
    OBJECTS("policies", policy, "How much may change in some time."),
    QUANTITY("tolerance", "Up to this part of the target nothing is done (0.1).", NUMBER(4)));

SCHEMA_STATIC(behavior, "HorizontalPodAutoscalerBehavior", "How fast it goes.",
    OBJECT("scaleUp", rules, "On the way up."),
    OBJECT("scaleDown", rules, "On the way down."));

SCHEMA_STATIC(hpa_spec, "HorizontalPodAutoscalerSpec", "What is scaled, within what bounds, by what.",
    OBJECT("scaleTargetRef", target_ref, "What is scaled.", REQUIRED),
    INT32("minReplicas", "There are never fewer pods.", DEFAULT("1")),
    INT32("maxReplicas", "There are never more pods.", REQUIRED),
    OBJECTS("metrics", metric, "What the number of pods follows; the one that asks for most counts."),
    OBJECT("behavior", behavior, "How fast it goes."));

SCHEMA_STATIC(metric_value, "MetricValueStatus", "What a metric is.",
    QUANTITY("value", "The amount of all."),
    QUANTITY("averageValue", "The mean amount of a pod."),
    INT32("averageUtilization", "The mean, in percent of what is requested."));

SCHEMA_STATIC(resource_status, "ResourceMetricStatus", "What pods use.",
    STRING("name", "cpu or memory."),
    OBJECT("current", metric_value, "What it is."));

SCHEMA_STATIC(container_status, "ContainerResourceMetricStatus", "What one container of each pod uses.",
    STRING("name", "cpu or memory."),
    OBJECT("current", metric_value, "What it is."),
    STRING("container", "The container."));

SCHEMA_STATIC(metric_status, "MetricStatus", "What one of the metrics is.",
    STRING("type", "Which of the others is set."),
    ANY("object", "A number that another object has.", NO_NUMBER),
    ANY("pods", "A number that pods have.", NO_NUMBER),
    OBJECT("resource", resource_status, "What pods use.", NUMBER(4)),
    OBJECT("containerResource", container_status, "What one container of each pod uses.", NUMBER(7)),
    ANY("external", "A number from elsewhere.", NO_NUMBER));

SCHEMA_STATIC(condition, "HorizontalPodAutoscalerCondition", "One statement about the autoscaler.",
    STRING("type", "AbleToScale, ScalingActive or ScalingLimited."),
    STRING("status", "True, False or Unknown."),
    TIME("lastTransitionTime", "When status last changed."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(hpa_status, "HorizontalPodAutoscalerStatus", "What is known of the autoscaler.",
    INT64("observedGeneration", "Generation of the spec that this speaks of."),
    TIME("lastScaleTime", "When it last changed the number of pods."),
    INT32("currentReplicas", "How many pods the target is to have.", ZERO),
    INT32("desiredReplicas", "How many it should have."),
    OBJECTS("currentMetrics", metric_status, "What the metrics are."),
    OBJECTS("conditions", condition, "Statements about the autoscaler.", MERGE("type")));

SCHEMA_STATIC(hpa, "HorizontalPodAutoscaler", "Makes a workload as large as what its pods use asks for.",
    TYPE_META,
    OBJECT("spec", hpa_spec, "What is scaled, within what bounds, by what.", REQUIRED),
    OBJECT("status", hpa_status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

/* ---- Defaults ---- */

static struct value *cpu_metric(struct arena *a, int64_t percent)
{
    struct value *m = value_map(a), *source = value_map(a), *target = value_map(a);
    value_set(a, m, "type", value_cstr(a, "Resource"));
    value_set(a, m, "resource", source);
    value_set(a, source, "name", value_cstr(a, "cpu"));
    value_set(a, source, "target", target);
    value_set(a, target, "type", value_cstr(a, "Utilization"));
    value_set(a, target, "averageUtilization", value_int(a, percent));
    return m;
}

static void add_policy(struct arena *a, struct value *rules_map, const char *type, int64_t value)
{
    struct value *p = value_map(a);
    value_set(a, p, "type", value_cstr(a, type));
    value_set(a, p, "value", value_int(a, value));
    value_set(a, p, "periodSeconds", value_int(a, 15));
    value_append(a, value_ensure_list(a, rules_map, "policies"), p);
}

static void fill_rules(struct arena *a, struct value *b, const char *name, bool up)
{
    struct value *r = value_ensure_map(a, b, name);
    if (!value_is_map(r)) {
        return;
    }
    if (up && value_is_null(value_get(r, "stabilizationWindowSeconds"))) {
        value_set(a, r, "stabilizationWindowSeconds", value_int(a, 0));
    }
    if (value_is_null(value_get(r, "selectPolicy"))) {
        value_set(a, r, "selectPolicy", value_cstr(a, "Max"));
    }
    if (value_count(value_get(r, "policies")) == 0) {
        if (up) {
            add_policy(a, r, "Pods", 4);
        }
        add_policy(a, r, "Percent", 100);
    }
}

static void hpa_fill(struct arena *a, struct value *obj)
{
    struct value *spec = value_get(obj, "spec");
    if (!value_is_map(spec)) {
        return;
    }
    if (value_count(value_get(spec, "metrics")) == 0) {
        struct value *list = value_list(a);
        value_append(a, list, cpu_metric(a, 80));
        value_set(a, spec, "metrics", list);
    }
    struct value *b = value_get(spec, "behavior");
    if (value_is_map(b)) {
        fill_rules(a, b, "scaleUp", true);
        fill_rules(a, b, "scaleDown", false);
    }
}

/* ---- Other versions ---- */

/* A metric of v1's annotations and of v2beta1: {resource: {name, targetAverageUtilization | targetAverageValue}}. */
static void metric_up(struct arena *a, struct value *m)
{
    static const char *const sources[] = {"resource", "containerResource"};
    for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
        struct value *source = value_get(m, sources[i]), *percent = value_get(source, "targetAverageUtilization"),
                     *amount = value_get(source, "targetAverageValue");
        if (!value_is_map(source) || value_get(source, "target") != NULL) {
            continue;
        }
        struct value *target = value_map(a);
        value_set(a, target, "type", value_cstr(a, amount != NULL ? "AverageValue" : "Utilization"));
        if (amount != NULL) {
            value_set(a, target, "averageValue", amount);
        }
        if (percent != NULL) {
            value_set(a, target, "averageUtilization", percent);
        }
        value_remove(source, "targetAverageUtilization");
        value_remove(source, "targetAverageValue");
        value_set(a, source, "target", target);
    }
}

static void metrics_up(struct arena *a, struct value *list)
{
    VALUE_FOR(i, list)
    {
        metric_up(a, value_item(list, i));
    }
}

static void v2beta1_up(struct arena *a, struct value *doc)
{
    struct value *spec = value_get(doc, "spec"), *status = value_get(doc, "status");
    metrics_up(a, value_get(spec, "metrics"));
    if (value_is_map(status)) {
        value_remove(status, "currentMetrics"); /* in other words; made anew each period */
    }
}

/* What v1 has no fields for stands in annotations, as JSON. */
#define V1_METRICS  "autoscaling.alpha.kubernetes.io/metrics"
#define V1_BEHAVIOR "autoscaling.alpha.kubernetes.io/behavior"
static const char *const v1_status[] = {"autoscaling.alpha.kubernetes.io/conditions",
                                        "autoscaling.alpha.kubernetes.io/current-metrics"};
static const char *const v1_status_members[] = {"conditions", "currentMetrics"};

/* Taken out of the annotations; NULL if it is not there, or no JSON (it stays then, and means nothing). */
static struct value *annotation_take(struct arena *a, struct value *annotations, const char *key)
{
    struct value *text = value_get(annotations, key), *out = NULL;
    if (!value_is_str(text) || json_read(a, text->str, &out, NULL) != 0) {
        return NULL;
    }
    value_remove(annotations, key);
    return out;
}

/* Who writes the status in v1 has read it with these annotations. */
static void status_up(struct arena *a, struct value *status, struct value *annotations)
{
    for (unsigned i = 0; value_is_map(annotations) && i < ARRAY_SIZE(v1_status); i++) {
        struct value *list = annotation_take(a, annotations, v1_status[i]);
        if (value_is_list(list) && value_is_map(status)) {
            value_set(a, status, v1_status_members[i], list);
        }
        value_remove(annotations, v1_status[i]);
    }
}

static void v1_up(struct arena *a, struct value *doc)
{
    struct value *spec = value_get(doc, "spec"), *status = value_get(doc, "status"),
                 *annotations = value_at(doc, "metadata", "annotations", NULL);
    if (!value_is_map(spec)) {
        return;
    }
    struct value *percent = value_get(spec, "targetCPUUtilizationPercentage"), *list = value_list(a);
    if (!value_is_null(percent)) {
        struct value *m = cpu_metric(a, 0);
        value_set(a, value_path(m, "resource.target"), "averageUtilization", percent);
        value_append(a, list, m);
    }
    value_remove(spec, "targetCPUUtilizationPercentage");
    const struct value *others = annotation_take(a, annotations, V1_METRICS);
    for (unsigned i = 0; value_is_list(others) && i < value_count(others); i++) {
        metric_up(a, value_item(others, i));
        value_append(a, list, value_item(others, i));
    }
    if (value_count(list) > 0) {
        value_set(a, spec, "metrics", list);
    }
    struct value *b = annotation_take(a, annotations, V1_BEHAVIOR);
    if (b != NULL) {
        value_set(a, spec, "behavior", b);
    }
    status_up(a, status, annotations);
    if (value_is_map(annotations) && value_count(annotations) == 0) {
        value_remove(value_get(doc, "metadata"), "annotations");
    }
    if (value_is_map(status)) {
        value_remove(status, "currentCPUUtilizationPercentage");
    }
}

static bool is_cpu_percent(const struct value *m)
{
    return str_is(value_path_str(m, "resource.name"), "cpu") &&
           value_path(m, "resource.target.averageUtilization") != NULL;
}

static struct value *metric_down(struct arena *a, const struct value *m)
{
    static const char *const sources[] = {"resource", "containerResource"};
    struct value *copy = value_copy(a, m);
    for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
        struct value *source = value_get(copy, sources[i]), *target = value_get(source, "target");
        if (!value_is_map(target)) {
            continue;
        }
        struct value *percent = value_get(target, "averageUtilization"), *amount = value_get(target, "averageValue");
        value_remove(source, "target");
        value_set(a, source, "targetAverageUtilization", percent);
        value_set(a, source, "targetAverageValue", amount);
    }
    return copy;
}

static void annotation_put(struct arena *a, struct value *doc, const char *key, const struct value *v)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    json_write(&b, v, 0);
    struct value *annotations = value_ensure_map(a, value_ensure_map(a, doc, "metadata"), "annotations");
    value_set(a, annotations, key, value_str(a, buf_str(&b)));
}

/* Of the status, too: as it is in the newer version. */
static void status_down(struct arena *a, struct value *doc)
{
    struct value *status = value_get(doc, "status"), *current = value_get(status, "currentMetrics");
    VALUE_FOR(i, current)
    {
        const struct value *m = value_item(current, i);
        struct value *percent = value_path(m, "resource.current.averageUtilization");
        if (str_is(value_path_str(m, "resource.name"), "cpu") && percent != NULL) {
            value_set(a, status, "currentCPUUtilizationPercentage", percent);
        }
    }
    for (unsigned i = 0; value_is_map(status) && i < ARRAY_SIZE(v1_status); i++) {
        if (value_count(value_get(status, v1_status_members[i])) > 0) {
            annotation_put(a, doc, v1_status[i], value_get(status, v1_status_members[i]));
        }
        value_remove(status, v1_status_members[i]);
    }
}

static void v1_down(struct arena *a, struct value *doc)
{
    struct value *spec = value_get(doc, "spec"), *list = value_get(spec, "metrics"), *others = value_list(a);
    bool told = false;
    status_down(a, doc);
    if (!value_is_map(spec)) {
        return;
    }
    VALUE_FOR(i, list)
    {
        const struct value *m = value_item(list, i);
        if (!told && is_cpu_percent(m)) {
            value_set(a, spec, "targetCPUUtilizationPercentage", value_path(m, "resource.target.averageUtilization"));
            told = true;
        } else {
            value_append(a, others, metric_down(a, m));
        }
    }
    value_remove(spec, "metrics");
    if (value_count(others) > 0) {
        annotation_put(a, doc, V1_METRICS, others);
    }
    if (value_get(spec, "behavior") != NULL) {
        annotation_put(a, doc, V1_BEHAVIOR, value_get(spec, "behavior"));
        value_remove(spec, "behavior");
    }
}

/* ---- Rules ---- */

static void check_positive(struct errlist *l, const struct value *v, const struct fpath *p)
{
    if (!value_is_null(v) && quantity_cmp(value_to_str(v), STR("0")) <= 0) {
        bad_value(l, v, p, "must be positive");
    }
}

static void check_target(const struct value *source, const struct fpath *p, struct errlist *l)
{
    const struct value *target = value_get(source, "target"), *percent = value_get(target, "averageUtilization"),
                       *amount = value_get(target, "averageValue");
    const struct fpath *at = FPATH_AT(p, "target");
    if (target == NULL) {
        return; /* said */
    }
    check_at_least(l, percent, FPATH_AT(at, "averageUtilization"), 1);
    check_positive(l, amount, FPATH_AT(at, "averageValue"));
    if (value_get(target, "value") != NULL) {
        bad_forbidden(l, value_get(target, "value"), FPATH_AT(at, "value"),
                      "what pods use has a mean alone: set averageValue or averageUtilization");
    }
    if (percent == NULL && amount == NULL) {
        bad_missing(l, target, FPATH_AT(at, "averageUtilization"),
                    "must set either a target raw value or a target utilization");
    } else if (percent != NULL && amount != NULL) {
        bad_forbidden(l, amount, FPATH_AT(at, "averageValue"),
                      "may not set both a target raw value and a target utilization");
    }
}

static void check_source(const struct value *source, const struct fpath *p, struct errlist *l)
{
    const struct value *name = value_get(source, "name"), *container = value_get(source, "container");
    if (name != NULL && !in_choices(value_to_str(name), "cpu|memory")) {
        bad_choice(l, name, FPATH_AT(p, "name"), "cpu|memory");
    }
    if (container != NULL) {
        check_dns_label(l, source, container, FPATH_AT(p, "container"));
    }
    check_target(source, p, l);
}

static void check_metric(const struct value *m, const struct fpath *p, struct errlist *l)
{
    static const struct {
        const char *type, *member;
    } rows[] = {{"Object", "object"},
                {"Pods", "pods"},
                {"Resource", "resource"},
                {"ContainerResource", "containerResource"},
                {"External", "external"}};
    struct str type = value_to_str(value_get(m, "type"));
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct value *source = value_get(m, rows[i].member);
        const struct fpath *at = FPATH_AT(p, rows[i].member);
        if (str_is(type, rows[i].type) && source == NULL) {
            bad_missing(l, m, at, "must populate information for the given metric source");
        } else if (type.n > 0 && !str_is(type, rows[i].type) && source != NULL) {
            bad_forbidden(l, source, at, "must populate the given metric source only");
        } else if (source != NULL && (i == 2 || i == 3)) {
            check_source(source, at, l);
        }
    }
}

static void check_rules(const struct value *b, const char *name, const struct fpath *behavior_path, struct errlist *l)
{
    const struct value *r = value_get(b, name), *policies = value_get(r, "policies"),
                       *tolerance = value_get(r, "tolerance");
    const struct fpath *p = FPATH_AT(behavior_path, name);
    if (r == NULL) {
        return;
    }
    check_range(l, value_get(r, "stabilizationWindowSeconds"), FPATH_AT(p, "stabilizationWindowSeconds"), 0,
                WINDOW_MAX_S);
    if (value_count(policies) > POLICIES_MAX) {
        bad_value(l, policies, FPATH_AT(p, "policies"), "must have at most 16 policies");
    }
    VALUE_FOR(i, policies)
    {
        const struct value *one = value_item(policies, i);
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "policies"), i);
        check_at_least(l, value_get(one, "value"), FPATH_AT(at, "value"), 1);
        check_range(l, value_get(one, "periodSeconds"), FPATH_AT(at, "periodSeconds"), 1, PERIOD_MAX_S);
    }
    if (!value_is_null(tolerance) && quantity_cmp(value_to_str(tolerance), STR("0")) < 0) {
        bad_value(l, tolerance, FPATH_AT(p, "tolerance"), "must be greater than or equal to 0");
    }
}

static void hpa_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    (void)old;
    const struct value *spec = value_get(obj, "spec"), *ref = value_get(spec, "scaleTargetRef"),
                       *least = value_get(spec, "minReplicas"), *most = value_get(spec, "maxReplicas"),
                       *metrics = value_get(spec, "metrics"), *b = value_get(spec, "behavior");
    const struct fpath *p = FPATH("spec");
    struct str kind = value_to_str(value_get(ref, "kind")), version = value_to_str(value_get(ref, "apiVersion"));
    const struct kind *k = kind_of_reference(version.n > 0 ? version : STR("v1"), kind);
    if (k != NULL && !k->has_scale) {
        bad_value(l, value_get(ref, "kind"), FPATH_AT(FPATH_AT(p, "scaleTargetRef"), "kind"),
                  "has no number of pods (spec.replicas)");
    }
    check_at_least(l, least, FPATH_AT(p, "minReplicas"), 1);
    check_at_least(l, most, FPATH_AT(p, "maxReplicas"), 1);
    if (value_to_int(most, 1) >= 1 && value_to_int(most, INT32_MAX) < value_to_int(least, 1)) {
        bad_value(l, most, FPATH_AT(p, "maxReplicas"), "must be greater than or equal to `minReplicas`");
    }
    if (value_count(metrics) > METRICS_MAX) {
        bad_value(l, metrics, FPATH_AT(p, "metrics"), "must have at most 16 metrics");
    }
    VALUE_FOR(i, metrics)
    {
        check_metric(value_item(metrics, i), FPATH_ITEM(FPATH_AT(p, "metrics"), i), l);
    }
    check_rules(b, "scaleUp", FPATH_AT(p, "behavior"), l);
    check_rules(b, "scaleDown", FPATH_AT(p, "behavior"), l);
}

static void hpa_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    struct mp ref = mp_get(object_spec(o), "scaleTargetRef");
    struct str version = mp_str(mp_get(ref, "apiVersion")), name = mp_str(mp_get(ref, "name"));
    const struct kind *k = kind_of_reference(version.n > 0 ? version : STR("v1"), mp_str(mp_get(ref, "kind")));
    if (k != NULL && name.n > 0) {
        cb(data, &(struct kind_reference){
                     .kind = k, .ns = k->namespaced ? o->ns : STR_NONE, .name = name, .use = REFERENCE_TARGET});
    }
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "REFERENCE", .cell = hpa_cell_reference},
    {.title = "TARGETS", .cell = hpa_cell_targets},
    {.title = "MINPODS", .cell = hpa_cell_min},
    {.title = "MAXPODS", .cell = hpa_cell_max, .value = COLUMN_PLAIN},
    {.title = "REPLICAS", .cell = hpa_cell_replicas, .value = COLUMN_PLAIN},
    {.title = "AGE"},
};

/* clang-format off */
SCHEMA_STATIC(v1_spec, "HorizontalPodAutoscalerSpec", "What is scaled, within what bounds.",
    OBJECT("scaleTargetRef", target_ref, "What is scaled.", REQUIRED),
    INT32("minReplicas", "There are never fewer pods."),
    INT32("maxReplicas", "There are never more pods.", REQUIRED),
    INT32("targetCPUUtilizationPercentage", "What pods are to use of the cpu that they request, in percent."));
SCHEMA_STATIC(v1_state, "HorizontalPodAutoscalerStatus", "What is known of the autoscaler.",
    INT64("observedGeneration", "Generation of the spec that this speaks of."),
    TIME("lastScaleTime", "When it last changed the number of pods."),
    INT32("currentReplicas", "Pods there are."),
    INT32("desiredReplicas", "Pods there should be."),
    INT32("currentCPUUtilizationPercentage", "What pods use of the cpu that they request, in percent."));
SCHEMA_STATIC(v1_hpa, "HorizontalPodAutoscaler", "As many pods as what they use of the cpu asks for; in autoscaling/v2 "
              "other metrics count as well.",
    TYPE_META,
    OBJECT("spec", v1_spec, "What is scaled, within what bounds."),
    OBJECT("status", v1_state, "What is known of the autoscaler.", .flags = FIELD_STATUS));
/* clang-format on */

static const struct kind_version versions[] = {
    {"autoscaling/v1", v1_up, v1_down, .read_only = false, .schema = &v1_hpa},
    {"autoscaling/v2beta2", NULL, NULL, .read_only = true},
    {"autoscaling/v2beta1", v2beta1_up, NULL, .read_only = true},
    {0},
};

const struct kind kind_horizontalpodautoscaler = {
    .id = KIND_HORIZONTALPODAUTOSCALER,
    .name = "HorizontalPodAutoscaler",
    .api_version = "autoscaling/v2",
    .plural = "horizontalpodautoscalers",
    .singular = "horizontalpodautoscaler",
    .short_names = "hpa",
    .since = RELEASE_LEVEL_CARRIED,
    .namespaced = true,
    .has_status = true,
    .has_generation = true,
    .versions = versions,
    .schema = &hpa,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = hpa_validate,
    .fill = hpa_fill,
    .references = hpa_references,
    .in_all = true,
    .is_pruned = false,
    .describe = hpa_describe,
};
