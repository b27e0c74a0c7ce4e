/* PodGroup: pods that get nodes all together or not at all.
 *
 * What was decided, and why. A group is an object of its own and pods name it, as KEP-4671 has it since v1.36: who
 * waits for whom can be read off the pods, and replicas of a group are as many groups, each placed for itself. There is
 * no timeout: it was to free the room of half a gang, and here half a gang holds none (scheduler/gang.h). minCount may
 * be changed, as in v1beta1, so that a gang that is too large can be let go; basic and gang cannot replace each other.
 * minCount has a bound (GANG_MEMBERS_MAX), since a gang is placed in one transaction. What the KEP has of topology and
 * of devices for groups (schedulingConstraints, resourceClaims) is refused: pods have affinity, and there are no
 * devices. Source: Kubernetes scheduling.k8s.io/v1alpha2 PodGroup; v1alpha3 and v1beta1 are taken as far as they are
 * the same. */
#include <inttypes.h>

#include "proto/describe/parts.h"
#include "proto/facts/condition.h"
#include "proto/facts/gang.h"
#include "proto/kinds/workload.h"
#include "proto/schema/release.h"

#define WIDTH          14
#define TOPOLOGY_WHY   "a group cannot ask for places; write affinity or topologySpreadConstraints of its pods"
#define ONE_POLICY_WHY "exactly one of basic and gang"

/* clang-format off */
SCHEMA_STATIC(workload_template, "WorkloadPodGroupTemplateReference", "A template of groups in a Workload.",
    STRING("workloadName", "The Workload.", REQUIRED),
    STRING("podGroupTemplateName", "Its template.", REQUIRED));

SCHEMA_STATIC(template_reference, "PodGroupTemplateReference", "What the group was made from; for people.",
    OBJECT("workload", workload_template, "A template of groups in a Workload."));

SCHEMA_STATIC(basic_policy, "BasicSchedulingPolicy", "Pods are placed one by one, as all others.");

SCHEMA_STATIC(gang_policy, "GangSchedulingPolicy", "Pods are placed all together or not at all.",
    INT32("minCount", "So many of the pods get nodes at the same time, or none does; those beyond are placed as there is "
          "room. At least 1, at most 1000.", REQUIRED));

SCHEMA_STATIC(group_policy, "PodGroupSchedulingPolicy", "How the pods are placed: exactly one of the two.",
    OBJECT("basic", basic_policy, "One by one, as all others. {} says so."),
    OBJECT("gang", gang_policy, "All together or not at all."));

SCHEMA_STATIC(group_spec, "PodGroupSpec", "How the pods of the group are placed.",
    OBJECT("podGroupTemplateRef", template_reference, "What the group was made from. Cannot change."),
    OBJECT("schedulingPolicy", group_policy, "How the pods are placed. Of it only minCount may be changed.", REQUIRED),
    ANY("schedulingConstraints", "Places for the group as a whole.", REFUSED(TOPOLOGY_WHY), NO_NUMBER),
    ANY("resourceClaims", "Devices for the group.", REFUSED(CLAIMS_WHY), NO_NUMBER));

SCHEMA_STATIC(group_condition, "Condition", "One thing that is said of the group's state.",
    STRING("type", "What it is about."),
    STRING("status", "True, False or Unknown."),
    INT64("observedGeneration", "The generation of spec that it is about.", ZERO),
    TIME("lastTransitionTime", "When status last changed."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(group_status, "PodGroupStatus", "Where the group stands.",
    OBJECTS("conditions", group_condition, "PodGroupScheduled: have enough members a node? If not, the message says what "
            "is missing.", MERGE("type")));

SCHEMA_STATIC(group, "PodGroup", "Pods that get nodes all together or not at all. A pod says that it belongs to the group in "
              "spec.schedulingGroup.podGroupName.",
    TYPE_META,
    OBJECT("spec", group_spec, "How the pods of the group are placed.", REQUIRED),
    OBJECT("status", group_status, "Where the group stands.", .flags = FIELD_STATUS));
/* clang-format on */

static const struct kind_version versions[] = {{"scheduling.k8s.io/v1alpha3", NULL, NULL, .read_only = true},
                                               {"scheduling.k8s.io/v1beta1", NULL, NULL, .read_only = true},
                                               {0}};

/* ---- Rules ---- */

static void group_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec"), *policy = value_get(spec, "schedulingPolicy");
    const struct value *gang = value_get(policy, "gang"), *basic = value_get(policy, "basic");
    const struct fpath *p = FPATH("spec"), *at = FPATH_AT(p, "schedulingPolicy");
    if (policy != NULL && (gang == NULL) == (basic == NULL)) {
        bad_value(l, policy, at, ONE_POLICY_WHY);
    }
    check_range(l, value_get(gang, "minCount"), FPATH_AT(FPATH_AT(at, "gang"), "minCount"), 1, GANG_MEMBERS_MAX);
    if (old != NULL) {
        const struct value *before = value_get(old, "spec");
        bool was_gang = value_at(before, "schedulingPolicy", "gang", NULL) != NULL;
        if (policy != NULL && was_gang != (gang != NULL)) {
            bad_forbidden(l, policy, at, "basic and gang cannot replace each other: delete the group and make it anew");
        }
        check_immutable(l, value_get(spec, "podGroupTemplateRef"), value_get(before, "podGroupTemplateRef"),
                        FPATH_AT(p, "podGroupTemplateRef"));
    }
}

/* ---- How it is shown ---- */

static void policy_write(struct buf *out, const struct object *o)
{
    buf_puts(out, gang_min_count(o) > 0 ? "Gang" : "Basic");
}

static void cell_policy(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    policy_write(out, o);
}

static void cell_min(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    if (gang_min_count(o) > 0) {
        buf_printf(out, "%" PRId64, gang_min_count(o));
    } else {
        buf_puts(out, "<none>");
    }
}

static void cell_scheduled(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_get(condition_mp(o, GANG_CONDITION), "status"));
}

static void cell_message(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_get(condition_mp(o, GANG_CONDITION), "message"));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "POLICY", .cell = cell_policy},
    {.title = "MIN-COUNT", .cell = cell_min},
    {.title = "SCHEDULED", .cell = cell_scheduled},
    {.title = "AGE"},
    {.title = "MESSAGE", .wide = true, .cell = cell_message},
};

static void describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp condition = condition_mp(o, GANG_CONDITION);
    struct mp from = mp_path(object_mp(o), "spec.podGroupTemplateRef.workload");
    describe_head(out, o, WIDTH);
    describe_label(out, 0, WIDTH, "Policy:");
    policy_write(out, o);
    buf_putc(out, '\n');
    if (gang_min_count(o) > 0) {
        describe_label(out, 0, WIDTH, "Min count:");
        buf_printf(out, "%" PRId64 "\n", gang_min_count(o));
    }
    if (mp_type(from) == MP_MAP) {
        describe_label(out, 0, WIDTH, "Made from:");
        buf_printf(out, "%.*s/%.*s\n", STR_ARG(mp_str(mp_get(from, "workloadName"))),
                   STR_ARG(mp_str(mp_get(from, "podGroupTemplateName"))));
    }
    if (mp_type(condition) == MP_MAP) {
        describe_text(out, 0, WIDTH, "Scheduled:", mp_str(mp_get(condition, "status")));
        describe_text(out, 0, WIDTH, "Why:", mp_str(mp_get(condition, "message")));
    }
    describe_events(out, c);
}

const struct kind kind_podgroup = {
    .id = KIND_PODGROUP,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "PodGroup",
    .api_version = "scheduling.k8s.io/v1alpha2",
    .plural = "podgroups",
    .singular = "podgroup",
    .short_names = "pg",
    .versions = versions,
    .namespaced = true,
    .has_status = true,
    .has_generation = true,
    .schema = &group,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = group_validate,
    .describe = describe,
};
