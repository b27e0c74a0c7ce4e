/* Job: pods that are to come to an end. Source: Kubernetes batch/v1 Job. */
#include "proto/kinds/job.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/timefmt.h"
#include "proto/describe/parts.h"
#include "proto/facts/condition.h"
#include "proto/facts/indexes.h"
#include "proto/schema/release.h"
#include "proto/schema/selector.h"

#define WIDTH          21 /* of the labels of a description */
#define RULES_MAX      20u
#define EXIT_CODES_MAX 255u
#define INDEXED_MAX    100000
#define MANAGED_WHY    "no other program but the masters looks after Jobs"

/* clang-format off */
SCHEMA_STATIC(exit_codes, "PodFailurePolicyOnExitCodesRequirement", "Exit codes of containers.",
    STRING("containerName", "Of this container; absent: of any."),
    STRING("operator", "In: one of the values; NotIn: none of them.", REQUIRED, ONE_OF("In|NotIn")),
    ROW("values", FIELD_INT32, "The codes; 0 only with NotIn.", .shape = SHAPE_LIST, REQUIRED));

SCHEMA_STATIC(pod_condition, "PodFailurePolicyOnPodConditionsPattern", "A condition of a pod.",
    STRING("type", "Its type.", REQUIRED),
    STRING("status", "Its status.", DEFAULT("True")));

SCHEMA_STATIC(failure_rule, "PodFailurePolicyRule", "What a pod's failure means.",
    STRING("action", "FailJob: the Job has failed. FailIndex: its index has. Ignore: it does not count. Count: it "
           "counts as usual.", REQUIRED, ONE_OF("FailJob|FailIndex|Ignore|Count")),
    OBJECT("onExitCodes", exit_codes, "If a container ended so."),
    OBJECTS("onPodConditions", pod_condition, "If the pod has one of these conditions."));

SCHEMA_STATIC(failure_policy, "PodFailurePolicy", "What failures of pods mean: the first rule that fits decides.",
    OBJECTS("rules", failure_rule, "The rules, in their order.", REQUIRED));

SCHEMA_STATIC(success_rule, "SuccessPolicyRule", "When the Job has succeeded.",
    STRING("succeededIndexes", "When these indexes have succeeded: \"0,3-5\"."),
    INT32("succeededCount", "When so many have, of those above if there are any."));

SCHEMA_STATIC(success_policy, "SuccessPolicy", "When the Job has succeeded before all of it has.",
    OBJECTS("rules", success_rule, "One of these rules is enough.", REQUIRED));

SCHEMA_STATIC(job_spec, "JobSpec", "What is to come to an end, how often, and what failures mean.",
    INT32("parallelism", "How many pods may run at once."),
    INT32("completions", "How many pods are to succeed; absent: as soon as one has, no other is begun."),
    INT64("activeDeadlineSeconds", "The Job fails if it is not done after this time."),
    OBJECT("podFailurePolicy", failure_policy, "What failures of pods mean.", NUMBER(11)),
    OBJECT("successPolicy", success_policy, "When it has succeeded before all of it has.", NUMBER(16)),
    INT32("backoffLimit", "How many failures are put up with.", NUMBER(7)),
    INT32("backoffLimitPerIndex", "The same for each index.", NUMBER(12)),
    INT32("maxFailedIndexes", "How many indexes may fail before the Job does."),
    OBJECT("selector", schema_label_selector, "Which pods are its own; made by the masters.", NUMBER(4)),
    BOOLEAN("manualSelector", "The selector is the one given here."),
    OBJECT("template", schema_pod_template, "The pods.", REQUIRED),
    INT32("ttlSecondsAfterFinished", "It is deleted so long after its end.", NUMBER(8)),
    STRING("completionMode", "Indexed: each pod has a number of its own. NonIndexed: they are all alike.",
           DEFAULT("NonIndexed"), ONE_OF("NonIndexed|Indexed")),
    BOOLEAN("suspend", "No pods run.", DEFAULT("false")),
    STRING("podReplacementPolicy", "TerminatingOrFailed: a pod that is being deleted is replaced at once. Failed: when "
           "it has ended.", ONE_OF("TerminatingOrFailed|Failed"), NUMBER(14)),
    STRING("managedBy", "Who looks after it.", REFUSED(MANAGED_WHY), QUIET("kubernetes.io/job-controller")));

SCHEMA(schema_job_template, "JobTemplateSpec", "The Jobs to be made.",
    OBJECT("metadata", schema_object_meta, "Labels and annotations of the Jobs.", ZERO),
    OBJECT("spec", job_spec, "What they are to be.", REQUIRED));

SCHEMA_STATIC(job_condition, "JobCondition", "One statement about the Job.",
    STRING("type", "Suspended, FailureTarget, Failed, SuccessCriteriaMet or Complete."),
    STRING("status", "True, False or Unknown."),
    TIME("lastProbeTime", "When it was last confirmed."),
    TIME("lastTransitionTime", "When status last changed."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(uncounted, "UncountedTerminatedPods", "Ended pods that are not in the counts yet; always empty here, "
    "where a pod's end and its count are one transaction.",
    STRINGS("succeeded", "Their uids."),
    STRINGS("failed", "Their uids."));

SCHEMA_STATIC(job_status, "JobStatus", "What is known of the Job.",
    OBJECTS("conditions", job_condition, "Statements about the Job.", MERGE("type")),
    TIME("startTime", "When it was begun, or resumed."),
    TIME("completionTime", "When it had succeeded."),
    INT32("active", "Pods that have not ended.", ZERO),
    INT32("succeeded", "Pods that have succeeded.", ZERO),
    INT32("failed", "Pods that have failed.", ZERO),
    INT32("terminating", "Pods that are being deleted.", NUMBER(11)),
    STRING("completedIndexes", "Indexes that have succeeded: \"0,3-5\".", NUMBER(7)),
    STRING("failedIndexes", "Indexes that have failed for good.", NUMBER(10)),
    OBJECT("uncountedTerminatedPods", uncounted, "Ended pods that are not counted yet.", NUMBER(8)),
    INT32("ready", "Pods that are Ready."));

SCHEMA_STATIC(job, "Job", "Runs pods until so many of them have succeeded.",
    TYPE_META,
    OBJECT("spec", job_spec, "What is to come to an end.", REQUIRED),
    OBJECT("status", job_status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

/* ---- Defaults ---- */

static void fill_int(struct arena *a, struct value *map, const char *name, int64_t v)
{
    if (value_is_null(value_get(map, name))) {
        value_set(a, map, name, value_int(a, v));
    }
}

void job_fill_spec(struct arena *a, struct value *spec)
{
    if (!value_is_map(spec)) {
        return;
    }
    bool no_count = value_is_null(value_get(spec, "completions"));
    if (no_count && value_is_null(value_get(spec, "parallelism"))) {
        fill_int(a, spec, "completions", 1);
    }
    fill_int(a, spec, "parallelism", 1);
    fill_int(a, spec, "backoffLimit", value_get(spec, "backoffLimitPerIndex") != NULL ? INT32_MAX : 6);
    if (value_is_null(value_get(spec, "podReplacementPolicy"))) {
        bool judged = value_get(spec, "podFailurePolicy") != NULL;
        value_set(a, spec, "podReplacementPolicy", value_cstr(a, judged ? "Failed" : "TerminatingOrFailed"));
    }
    pod_spec_fill(a, value_at(spec, "template", "spec", NULL));
}

static void job_fill(struct arena *a, struct value *obj)
{
    job_fill_spec(a, value_get(obj, "spec"));
}

/* ---- Rules ---- */

static void check_exit_codes(const struct value *codes, const struct fpath *p, struct errlist *l)
{
    const struct value *values = value_get(codes, "values");
    bool in = str_is(value_to_str(value_get(codes, "operator")), "In");
    if (value_is_list(values) && (value_count(values) == 0 || value_count(values) > EXIT_CODES_MAX)) {
        bad_value(l, values, FPATH_AT(p, "values"), "must have at least one and at most 255 values");
    }
    VALUE_FOR(i, values)
    {
        if (in && value_to_int(value_item(values, i), -1) == 0) {
            bad_value(l, value_item(values, i), FPATH_ITEM(FPATH_AT(p, "values"), i),
                      "must not be 0 for the In operator");
        }
    }
}

static void check_failure_policy(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *policy = value_get(spec, "podFailurePolicy"), *rules = value_get(policy, "rules");
    const struct fpath *at = FPATH_AT(FPATH_AT(p, "podFailurePolicy"), "rules");
    if (policy == NULL) {
        return;
    }
    if (!str_is(value_to_str(value_at(spec, "template", "spec", "restartPolicy", NULL)), "Never")) {
        bad_value(l, policy, FPATH_AT(p, "podFailurePolicy"),
                  "only allowed when template.spec.restartPolicy is \"Never\"");
    }
    if (value_count(rules) > RULES_MAX) {
        bad_value(l, rules, at, "must have at most 20 rules");
    }
    VALUE_FOR(i, rules)
    {
        const struct value *rule = value_item(rules, i), *codes = value_get(rule, "onExitCodes");
        unsigned conditions = value_count(value_get(rule, "onPodConditions"));
        if ((codes != NULL) == (conditions > 0)) {
            bad_value(l, rule, FPATH_ITEM(at, i), "specifying one of OnExitCodes and OnPodConditions is required");
        }
        if (codes != NULL) {
            check_exit_codes(codes, FPATH_AT(FPATH_ITEM(at, i), "onExitCodes"), l);
        }
        if (str_is(value_to_str(value_get(rule, "action")), "FailIndex") &&
            value_get(spec, "backoffLimitPerIndex") == NULL) {
            bad_value(l, value_get(rule, "action"), FPATH_AT(FPATH_ITEM(at, i), "action"),
                      "requires the backoffLimitPerIndex to be set");
        }
    }
}

static void check_success_policy(const struct value *spec, bool indexed, const struct fpath *p, struct errlist *l)
{
    const struct value *policy = value_get(spec, "successPolicy"), *rules = value_get(policy, "rules");
    const struct fpath *at = FPATH_AT(FPATH_AT(p, "successPolicy"), "rules");
    int64_t completions = value_to_int(value_get(spec, "completions"), 0);
    if (policy == NULL) {
        return;
    }
    if (!indexed) {
        bad_value(l, policy, FPATH_AT(p, "successPolicy"), "requires indexed completion mode");
    }
    if (value_count(rules) == 0 || value_count(rules) > RULES_MAX) {
        bad_value(l, policy, at, "must have at least one and at most 20 rules");
    }
    VALUE_FOR(i, rules)
    {
        const struct value *rule = value_item(rules, i), *which = value_get(rule, "succeededIndexes"),
                           *count = value_get(rule, "succeededCount");
        const struct fpath *r = FPATH_ITEM(at, i);
        struct indexes set = {0};
        if (which == NULL && count == NULL) {
            bad_missing(l, rule, r, "at least one of succeededCount or succeededIndexes must be specified");
        }
        if (which != NULL && !indexes_parse(&set, l->arena, value_to_str(which), completions)) {
            bad_value(l, which, FPATH_AT(r, "succeededIndexes"),
                      "must be indexes below completions, ascending (such as \"0,3-5\")");
        }
        int64_t most = which != NULL ? indexes_count(&set) : completions;
        check_range(l, count, FPATH_AT(r, "succeededCount"), 0, most);
    }
}

void job_check_spec(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    static const char *const counts[] = {"parallelism",         "completions",      "activeDeadlineSeconds",
                                         "backoffLimit",        "maxFailedIndexes", "ttlSecondsAfterFinished",
                                         "backoffLimitPerIndex"};
    bool indexed = str_is(value_to_str(value_get(spec, "completionMode")), "Indexed");
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        check_at_least(l, value_get(spec, counts[i]), FPATH_AT(p, counts[i]), 0);
    }
    if (indexed && value_is_null(value_get(spec, "completions"))) {
        bad_missing(l, spec, FPATH_AT(p, "completions"), "when completion mode is Indexed");
    }
    if (indexed) {
        check_range(l, value_get(spec, "parallelism"), FPATH_AT(p, "parallelism"), 0, INDEXED_MAX);
    }
    const struct value *per_index = value_get(spec, "backoffLimitPerIndex"),
                       *most = value_get(spec, "maxFailedIndexes");
    if (per_index != NULL && !indexed) {
        bad_value(l, per_index, FPATH_AT(p, "backoffLimitPerIndex"), "requires indexed completion mode");
    }
    if (most != NULL && per_index == NULL) {
        bad_missing(l, spec, FPATH_AT(p, "backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    check_failure_policy(spec, p, l);
    check_success_policy(spec, indexed, p, l);
    workload_check_template(value_get(spec, "template"), "OnFailure|Never", FPATH_AT(p, "template"), l);
    const struct value *restart = value_at(spec, "template", "spec", "restartPolicy", NULL);
    if (str_is(value_to_str(restart), "Always")) {
        return; /* said */
    }
    if (per_index != NULL && !str_is(value_to_str(restart), "Never")) {
        bad_value(l, per_index, FPATH_AT(p, "backoffLimitPerIndex"),
                  "only allowed when template.spec.restartPolicy is \"Never\"");
    }
}

static void put(struct arena *a, struct value *map, const char *key, const struct value *v)
{
    if (v != NULL) {
        value_set(a, map, key, value_copy(a, v));
    } else {
        value_remove(map, key);
    }
}

/* The labels that its pods are found by stay. */
static bool keeps_selected(const struct value *spec, const struct value *labels)
{
    const struct value *match = value_at(spec, "selector", "matchLabels", NULL);
    for (unsigned i = 0; i < value_count(match); i++) {
        const struct value_member *m = &match->map.members[i];
        const struct value *label = value_get_str_key(labels, m->key);
        if (label == NULL || !value_equal(label, m->value)) {
            return false;
        }
    }
    return true;
}

/* "A Job's template never changes, but for one that is suspended and has not begun: node affinity, node selector,
 * tolerations, scheduling gates, annotations and labels may." The old template as if those had been as they are now. */
static const struct value *template_with_directives(struct arena *a, const struct value *old, const struct value *now)
{
    static const char *const of_spec[] = {"nodeSelector", "tolerations", "schedulingGates"}, *const of_metadata[] = {
                                                                                                 "annotations",
                                                                                                 "labels"};
    struct value *t = value_copy(a, old);
    struct value *spec = value_ensure_map(a, t, "spec"), *meta = value_ensure_map(a, t, "metadata");
    const struct value *affinity = value_at(now, "spec", "affinity", "nodeAffinity", NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(of_spec); i++) {
        put(a, spec, of_spec[i], value_at(now, "spec", of_spec[i], NULL));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(of_metadata); i++) {
        put(a, meta, of_metadata[i], value_at(now, "metadata", of_metadata[i], NULL));
    }
    if (affinity != NULL || value_get(spec, "affinity") != NULL) {
        struct value *all = value_ensure_map(a, spec, "affinity");
        put(a, all, "nodeAffinity", affinity);
        if (value_count(all) == 0 && value_is_null(value_at(now, "spec", "affinity", NULL))) {
            value_remove(spec, "affinity"); /* taken off whole */
        }
    }
    return t;
}

static bool template_stays(const struct value *spec, const struct value *old, struct arena *a)
{
    const struct value *was = value_get(old, "spec"), *now = value_get(spec, "template"),
                       *before = value_get(was, "template");
    bool waits = value_to_bool(value_get(was, "suspend"), false) && value_at(old, "status", "startTime", NULL) == NULL;
    if (waits && value_is_map(before) && keeps_selected(was, value_at(now, "metadata", "labels", NULL))) {
        before = template_with_directives(a, before, now);
    }
    return kind_equal(&kind_job, "spec.template", now, before);
}

static void check_unchanged(const struct value *spec, const struct value *old, const struct fpath *p, struct errlist *l)
{
    const struct value *was = value_get(old, "spec");
    static const char *const fixed[] = {"completionMode",       "podFailurePolicy", "successPolicy",
                                        "backoffLimitPerIndex", "manualSelector",   "podReplacementPolicy"};
    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
        const struct value *now = value_get(spec, fixed[i]), *before = value_get(was, fixed[i]);
        if (!(value_is_null(now) && value_is_null(before)) &&
            (now == NULL || before == NULL || !value_equal(now, before))) {
            check_immutable(l, now != NULL ? now : spec, before != NULL ? before : value_null(l->arena),
                            FPATH_AT(p, fixed[i]));
        }
    }
    const struct value *selector = value_get(was, "selector");
    if (selector != NULL && !value_equal(value_get(spec, "selector"), selector)) {
        check_immutable(l, value_get(spec, "selector"), selector, FPATH_AT(p, "selector"));
    }
    if (!template_stays(spec, old, l->arena)) {
        bad_value(l, value_get(spec, "template"), FPATH_AT(p, "template"), "field is immutable");
    } else if (!kind_equal(&kind_job, "spec.template", value_get(spec, "template"), value_get(was, "template"))) {
        workload_check_template(value_get(spec, "template"), "OnFailure|Never", FPATH_AT(p, "template"), l);
    }
    const struct value *completions = value_get(spec, "completions"), *before = value_get(was, "completions");
    if (value_to_int(completions, -1) != value_to_int(before, -1)) {
        bool elastic = str_is(value_to_str(value_get(spec, "completionMode")), "Indexed") &&
                       value_to_int(completions, -1) == value_to_int(value_get(spec, "parallelism"), -1);
        if (!elastic) {
            bad_value(l, completions, FPATH_AT(p, "completions"), "field is immutable");
        }
    }
}

static void job_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec"), *was = value_get(old, "spec");
    const struct fpath *p = FPATH("spec");
    static const struct workload_count counts[] = {
        {"active", {NULL}}, {"succeeded", {NULL}}, {"failed", {NULL}}, {"terminating", {NULL}}, {"ready", {NULL}}};
    workload_check_counts(obj, old, counts, ARRAY_SIZE(counts), l);
    if (value_is_map(was)) {
        check_unchanged(spec, old, p, l);
        return;
    }
    job_check_spec(spec, p, l);
    if (value_get(spec, "selector") != NULL && !value_to_bool(value_get(spec, "manualSelector"), false)) {
        bad_value(l, value_get(spec, "selector"), FPATH_AT(p, "selector"),
                  "`selector` is made by the masters unless manualSelector is true");
    }
}

/* ---- Columns ---- */

static const char *state_of(const struct object *o)
{
    static const struct {
        const char *type, *word;
    } rows[] = {{"Complete", "Complete"},
                {"Failed", "Failed"},
                {"SuccessCriteriaMet", "SuccessCriteriaMet"},
                {"FailureTarget", "FailureTarget"},
                {"Suspended", "Suspended"}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows) && !o->deleting; i++) {
        if (condition_is(condition_mp(o, rows[i].type), "True")) {
            return rows[i].word;
        }
    }
    return o->deleting ? "Terminating" : "Running";
}

static void cell_status(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_puts(out, state_of(o));
}

static void cell_completions(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp spec = object_spec(o), completions = mp_get(spec, "completions");
    int64_t parallelism = mp_int(mp_get(spec, "parallelism"), 1);
    cell_int(out, mp_get(object_status(o), "succeeded"));
    if (mp_type(completions) == MP_INT || mp_type(completions) == MP_UINT) {
        buf_printf(out, "/%" PRId64, mp_int(completions, 0));
    } else if (parallelism > 1) {
        buf_printf(out, "/1 of %" PRId64, parallelism);
    } else {
        buf_puts(out, "/1");
    }
}

static int64_t time_at(const struct object *o, const char *name)
{
    int64_t ms = 0;
    return timefmt_parse(mp_str(mp_get(object_status(o), name)), &ms) ? ms : 0;
}

/* From the start to the end, or until now. Nothing: it has not begun. */
static void cell_duration(struct buf *out, const struct object *o, int64_t now_ms)
{
    int64_t from = time_at(o, "startTime"), to = time_at(o, "completionTime");
    if (to == 0 && condition_is(condition_mp(o, "Failed"), "True")) {
        timefmt_parse(mp_str(mp_get(condition_mp(o, "Failed"), "lastTransitionTime")), &to);
    }
    if (from != 0) {
        kind_write_since(out, from, to != 0 ? to : now_ms);
    }
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "STATUS", .cell = cell_status},
    {.title = "COMPLETIONS", .cell = cell_completions},
    {.title = "DURATION", .cell = cell_duration},
    {.title = "AGE"},
    WORKLOAD_WIDE_COLUMNS,
};

/* ---- Description ---- */

static void int_line(struct buf *out, const char *label, struct mp v)
{
    describe_label(out, 0, WIDTH, label);
    if (mp_type(v) == MP_INT || mp_type(v) == MP_UINT) {
        buf_printf(out, "%" PRId64 "\n", mp_int(v, 0));
    } else {
        buf_puts(out, "<unset>\n");
    }
}

static void job_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o), spec = object_spec(o), status = object_status(o);
    bool indexed = str_is(mp_str(mp_get(spec, "completionMode")), "Indexed");
    CLEANUP_BUF struct buf took = BUF_INIT;
    describe_text(out, 0, WIDTH, "Name:", o->name);
    describe_text(out, 0, WIDTH, "Namespace:", o->ns);
    workload_describe_selector(out, WIDTH, mp_get(spec, "selector"));
    describe_map(out, 0, WIDTH, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_map(out, 0, WIDTH, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
    for (struct mp_iter it = mp_iter(mp_path(m, "metadata.ownerReferences")); mp_next(&it);) {
        if (mp_bool(mp_get(it.value, "controller"), false)) {
            struct str kind = mp_str(mp_get(it.value, "kind")), name = mp_str(mp_get(it.value, "name"));
            describe_label(out, 0, WIDTH, "Controlled By:");
            buf_printf(out, "%.*s/%.*s\n", STR_ARG(kind), STR_ARG(name));
        }
    }
    int_line(out, "Parallelism:", mp_get(spec, "parallelism"));
    int_line(out, "Completions:", mp_get(spec, "completions"));
    describe_text(out, 0, WIDTH, "Completion Mode:", mp_str(mp_get(spec, "completionMode")));
    describe_text(out, 0, WIDTH, "Suspend:", mp_bool(mp_get(spec, "suspend"), false) ? STR("true") : STR("false"));
    int_line(out, "Backoff Limit:", mp_get(spec, "backoffLimit"));
    if (time_at(o, "startTime") != 0) {
        describe_time(out, 0, WIDTH, "Start Time:", mp_str(mp_get(status, "startTime")));
    }
    if (time_at(o, "completionTime") != 0) {
        describe_time(out, 0, WIDTH, "Completed At:", mp_str(mp_get(status, "completionTime")));
    }
    cell_duration(&took, o, c->now_ms);
    if (took.size > 0) {
        describe_text(out, 0, WIDTH, "Duration:", buf_str(&took));
    }
    if (mp_get(spec, "activeDeadlineSeconds").p != NULL) {
        describe_label(out, 0, WIDTH, "Active Deadline:");
        buf_printf(out, "%" PRId64 "s\n", mp_int(mp_get(spec, "activeDeadlineSeconds"), 0));
    }
    describe_label(out, 0, WIDTH, "Pods Statuses:");
    buf_printf(out, "%" PRId64 " Active (%" PRId64 " Ready) / %" PRId64 " Succeeded / %" PRId64 " Failed\n",
               mp_int(mp_get(status, "active"), 0), mp_int(mp_get(status, "ready"), 0),
               mp_int(mp_get(status, "succeeded"), 0), mp_int(mp_get(status, "failed"), 0));
    if (indexed) {
        struct str done = mp_str(mp_get(status, "completedIndexes"));
        describe_text(out, 0, WIDTH, "Completed Indexes:", done.n > 0 ? done : STR("<none>"));
    }
    buf_puts(out, "Pod Template:\n");
    describe_pod_template(out, mp_get(spec, "template"), 1);
    describe_conditions(out, mp_get(status, "conditions"), true);
    describe_events(out, c);
}

static const struct kind_related related[] = {{.kind = KIND_POD}, {0}};

const struct kind kind_job = {
    .id = KIND_JOB,
    .name = "Job",
    .api_version = "batch/v1",
    .plural = "jobs",
    .singular = "job",
    .short_names = "",
    .since = RELEASE_LEVEL_CARRIED,
    .namespaced = true,
    .has_status = true,
    .has_generation = true,
    .selectable = "status.successful=status.succeeded",
    .schema = &job,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = job_validate,
    .fill = job_fill,
    .doubt = workload_doubt,
    .references = workload_references,
    .in_all = true,
    .is_pruned = true,
    .pods = "spec.template.spec",
    .describe = job_describe,
    .related = related,
};
