/* What counting a budget costs, and where it ends. COST=1 prints times. */
#include <inttypes.h>

#include "controllers/budget.h"
#include "controllers/eviction.h"
#include "raft-store/store/view_edit.h"
#include "tests/unit/raft-store_help.h"

static struct object *labelled(const struct object *like, unsigned number, const char *label)
{
    CLEANUP_ARENA struct arena a;
    struct object *out = NULL;
    struct error err = {0};
    arena_init(&a);
    struct value *doc = object_to_value(&a, like), *meta = value_get(doc, "metadata");
    value_set(&a, meta, "name", value_strf(&a, "p%06u", number));
    value_set(&a, meta, "uid", value_strf(&a, "u%06u", number));
    if (label != NULL) {
        value_set(&a, value_get(meta, "labels"), label, value_strf(&a, "%u", number));
    }
    must(object_from_value(like->kind, doc, 0, &out, &err), &err);
    return out;
}

static void put(struct view *v, struct object *o)
{
    object_unref(view_put(v, o));
    object_unref(o);
}

static void fill(struct view *v, unsigned count, const char *label)
{
    struct object *like = yaml_object(
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default, labels: {app: web}}, spec: {nodeName: n1, "
        "containers: [{name: c, image: i}]}, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}");
    for (unsigned i = 0; i < count; i++) {
        put(v, labelled(like, i, label));
    }
    object_unref(like);
}

static struct object *budget(const char *name, const char *spec)
{
    return yaml_object("{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: %s, namespace: default}, "
                       "spec: {%s, selector: {matchLabels: {app: web}}}}",
                       name, spec);
}

static int count(const struct view *v, const struct object *b, struct budget_counted *out, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    int64_t began = env_now_ms(env_real());
    int rv = budget_count(v, &a, b, 0, out, err);
    if (getenv("COST") != NULL) {
        printf("%" PRId64 " pods in %u visits, %" PRId64 " ms\n", out->pods, out->visits,
               env_now_ms(env_real()) - began);
    }
    return rv;
}

static void counting_costs_templates_and_not_pods(void **state)
{
    (void)state;
    struct view *v = view_new();
    CLEANUP_OBJECT struct object *b = budget("b", "minAvailable: 2");
    struct budget_counted c;
    struct error err = {0};
    fill(v, 5000, NULL);
    must(count(v, b, &c, &err), &err);
    assert_int_equal(c.count.healthy, 5000);
    assert_int_equal(c.visits, 1);
    view_unref(v);
}

static void what_cannot_be_counted_lets_nothing_go(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct view *v = view_new();
    struct budget_counted c;
    struct error err = {0};
    struct txn t;
    const struct deletion_options options = {.grace_s = -1};
    fill(v, BUDGET_GROUPS_MAX, "number");
    put(v, budget("b", "minAvailable: 2"));
    const struct object *b = view_get(v, kind_by_id(KIND_PODDISRUPTIONBUDGET), STR("default"), STR("b"));
    const struct object *pod = view_get(v, kind_by_id(KIND_POD), STR("default"), STR("p000001"));
    must(count(v, b, &c, &err), &err);
    assert_int_equal(c.visits, BUDGET_GROUPS_MAX);
    put(v, yaml_object("{apiVersion: v1, kind: Pod, metadata: {name: one, namespace: default, uid: one}, spec: "
                       "{containers: [{name: c, image: i}]}}"));
    assert_int_equal(count(v, b, &c, &err), ERR_INVALID);
    txn_init(&t, "test");
    assert_int_equal(eviction_request(&t, &a, v, pod, &options, 0, &err), ERR_LIMIT);
    assert_true(eviction_is_refusal(&err));
    assert_non_null(strstr(err.message, "The disruption budget b cannot be counted: the pods of namespace"));
    assert_int_equal(err.retry_after_ms, EVICTION_UNCOUNTED_MS);
    assert_int_equal(t.count, 0);
    txn_close(&t);
    view_unref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_costs_templates_and_not_pods),
        cmocka_unit_test(what_cannot_be_counted_lets_nothing_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
