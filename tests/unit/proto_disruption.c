/* Disruption budgets as facts: how many pods are to be healthy, who may go, and which of several pods break how many
 * budgets. */
#include <stdlib.h>

#include "proto/facts/disruption.h"
#include "tests/unit/proto_kind_fixture.h"

static struct object *budget_of(struct fixture *f, const char *name, const char *spec, const char *status)
{
    return fixture_object(f, arena_printf(&f->arena,
                                          "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: %s, "
                                          "namespace: shop}, spec: {%s}, status: {%s}}",
                                          name, spec, status));
}

static struct object *pod_of(struct fixture *f, const char *name, const char *labels, const char *status)
{
    return fixture_object(f, arena_printf(&f->arena,
                                          "{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: shop, labels: "
                                          "{%s}}, spec: {containers: [{name: c, image: i}]}, status: {%s}}",
                                          name, labels, status));
}

#define READY     "phase: Running, conditions: [{type: Ready, status: 'True'}]"
#define NOT_READY "phase: Running, conditions: [{type: Ready, status: 'False'}]"

/* ---- How many ---- */

static void numbers_and_percentages_become_counts(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *spec;
        int64_t pods, scale, expected, desired;
        bool by_scale;
    } rows[] = {
        {"minAvailable: 2", 5, 0, 5, 2, false},
        {"minAvailable: 0", 5, 0, 5, 0, false},
        {"minAvailable: 9", 5, 0, 5, 9, false}, /* more than there are: nothing may go */
        {"minAvailable: 50%", 3, 7, 7, 4, true},
        {"minAvailable: 100%", 7, 7, 7, 7, true},
        {"minAvailable: 0%", 7, 7, 7, 0, true},
        {"minAvailable: 1%", 1, 1, 1, 1, true},
        {"maxUnavailable: 1", 3, 5, 5, 4, true},
        {"maxUnavailable: 9", 3, 5, 5, 0, true},
        {"maxUnavailable: 30%", 3, 7, 7, 4, true}, /* 2.1 are 3 */
        {"maxUnavailable: 0%", 3, 7, 7, 7, true},
        {"maxUnavailable: 100%", 3, 7, 7, 0, true},
        {"", 3, 7, 0, 0, false},
        {"minAvailable: what", 3, 7, 7, 7, true}, /* of an older program: as if nothing might go */
        {"maxUnavailable: 500%", 3, 7, 7, 0, true},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_OBJECT struct object *b = budget_of(f, "b", rows[i].spec, "");
        struct disruption_count c = {.healthy = 6};
        disruption_expect(b, rows[i].pods, rows[i].scale, &c);
        if (c.expected != rows[i].expected || c.desired != rows[i].desired ||
            disruption_by_scale(b) != rows[i].by_scale) {
            fail_msg("%s: %d expected, %d desired", rows[i].spec, (int)c.expected, (int)c.desired);
        }
    }
}

static void what_may_go_is_what_is_too_much_and_nothing_where_nothing_is_expected(void **state)
{
    (void)state;
    assert_int_equal(disruption_allowed(&(struct disruption_count){3, 2, 3}), 1);
    assert_int_equal(disruption_allowed(&(struct disruption_count){2, 2, 3}), 0);
    assert_int_equal(disruption_allowed(&(struct disruption_count){1, 2, 3}), 0);
    assert_int_equal(disruption_allowed(&(struct disruption_count){3, 0, 0}), 0);
}

/* ---- Who may go ---- */

static void a_pod_that_is_not_healthy_goes_by_the_policy(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *policy;
        struct disruption_count count;
        bool healthy;
        enum disruption_verdict verdict;
    } rows[] = {
        {"", {3, 2, 3}, true, DISRUPTION_COUNTS},
        {"", {2, 2, 3}, true, DISRUPTION_BREAKS},
        {"", {2, 2, 3}, false, DISRUPTION_FREE},
        {"", {1, 2, 3}, false, DISRUPTION_BREAKS},
        {"", {0, 0, 3}, false, DISRUPTION_FREE},
        {"", {0, 0, 0}, false, DISRUPTION_BREAKS},
        {"unhealthyPodEvictionPolicy: IfHealthyBudget", {1, 2, 3}, false, DISRUPTION_BREAKS},
        {"unhealthyPodEvictionPolicy: AlwaysAllow", {1, 2, 3}, false, DISRUPTION_FREE},
        {"unhealthyPodEvictionPolicy: AlwaysAllow", {2, 2, 3}, true, DISRUPTION_BREAKS},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_OBJECT struct object *b = budget_of(f, "b", rows[i].policy, "");
        if (disruption_judge(b, &rows[i].count, rows[i].healthy) != rows[i].verdict) {
            fail_msg("row %u", i);
        }
    }
}

/* ---- Pods that are taken one after another ---- */

static void pods_break_budgets_in_the_order_in_which_they_are_taken(void **state)
{
    struct fixture *f = *state;
    CLEANUP_OBJECT struct object *web =
        budget_of(f, "web", "minAvailable: 1, selector: {matchLabels: {app: web}}",
                  "currentHealthy: 3, desiredHealthy: 1, expectedPods: 3, "
                  "disruptionsAllowed: 2, disruptedPods: {gone: '2026-01-01T00:00:00Z'}");
    CLEANUP_OBJECT struct object *all =
        budget_of(f, "all", "minAvailable: 4, selector: {}", "currentHealthy: 5, desiredHealthy: 4, expectedPods: 6");
    CLEANUP_OBJECT struct object *none = budget_of(f, "none", "minAvailable: 9", "currentHealthy: 5, expectedPods: 6");
    CLEANUP_OBJECT struct object *a = pod_of(f, "a", "app: web", READY), *b = pod_of(f, "b", "app: web", READY),
                                 *c = pod_of(f, "c", "app: web", READY), *d = pod_of(f, "d", "app: db", READY),
                                 *begins = pod_of(f, "begins", "app: db", "phase: Pending"),
                                 *sick = pod_of(f, "sick", "app: web", NOT_READY),
                                 *gone = pod_of(f, "gone", "app: web", READY);
    struct disruption_budgets *set = disruption_budgets_new(&f->arena);
    disruption_budgets_add(set, web);
    disruption_budgets_add(set, none);
    assert_int_equal(disruption_budgets_count(set), 1); /* one without a selector selects nothing */
    assert_false(disruption_take(set, a));
    assert_false(disruption_take(set, gone)); /* somebody has counted it */
    assert_false(disruption_take(set, sick)); /* uses nothing up */
    assert_false(disruption_take(set, b));
    assert_true(disruption_take(set, c));
    assert_true(disruption_take(set, sick)); /* the others are not enough now */
    disruption_budgets_restart(set);
    assert_false(disruption_take(set, c));
    disruption_budgets_add(set, all);
    disruption_budgets_restart(set);
    assert_false(disruption_take(set, begins));
    assert_false(disruption_take(set, d)); /* of `all` alone, which allows one */
    assert_true(disruption_take(set, a));
    assert_true(disruption_take(set, b));
}

static void budgets_hold_pods_of_their_own_namespace_alone(void **state)
{
    struct fixture *f = *state;
    CLEANUP_OBJECT struct object *a = pod_of(f, "a", "app: web", READY);
    struct disruption_budgets *set = disruption_budgets_new(&f->arena);
    struct object *others[20];
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        others[i] = fixture_object(f, arena_printf(&f->arena,
                                                   "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: "
                                                   "{name: b, namespace: s%u}, spec: {minAvailable: 1, selector: {}}}",
                                                   (i * 7) % 20));
        disruption_budgets_add(set, others[i]);
    }
    assert_false(disruption_take(set, a));
    CLEANUP_OBJECT struct object *own = budget_of(f, "own", "minAvailable: 1, selector: {}", "");
    disruption_budgets_add(set, own);
    assert_true(disruption_take(set, a));
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        object_unref(others[i]);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(numbers_and_percentages_become_counts),
        T(what_may_go_is_what_is_too_much_and_nothing_where_nothing_is_expected),
        T(a_pod_that_is_not_healthy_goes_by_the_policy),
        T(pods_break_budgets_in_the_order_in_which_they_are_taken),
        T(budgets_hold_pods_of_their_own_namespace_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
