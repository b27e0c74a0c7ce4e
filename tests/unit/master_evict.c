/* Evictions through a master: how many of those in flight a budget lets through, and what the refused ones are told. */
#include "tests/unit/kit/master_kit.h"

static int set_up(void **state)
{
    struct kit *k = kit_one(NULL);
    struct client *c = client_admin(k, 0);
    must(c, "create", "{object: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    client_close(c);
    *state = k;
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static void make_ready(struct client *c, const char *name, const char *app)
{
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: %s, labels: {app: %s}}, spec: {nodeName: n1, "
         "containers: "
         "[{name: c, image: i}]}}}",
         name, app);
    must(c, "patch",
         "{kind: Pod, name: %s, type: merge, part: status, patch: {status: {phase: Running, conditions: [{type: Ready, "
         "status: 'True'}]}}}",
         name);
}

static void make_budget(struct client *c, const char *name, const char *app, unsigned least)
{
    must(c, "create",
         "{object: {apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: %s}, spec: {minAvailable: %u, "
         "selector: {matchLabels: {app: %s}}}}}",
         name, least, app);
}

/* All of them are on their way at once, so the master has them in one turn, or nearly. */
static unsigned evict_together(struct client *c, const char *prefix, unsigned count, struct answer *answers)
{
    unsigned went = 0;
    for (unsigned i = 0; i < count; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        msgpack_write_value(&b, kit_doc(c->kit, "{name: %s-%u}", prefix, i));
        rpc_call(c->rpc, "evict", buf_str(&b), KIT_WAIT_MS, take_answer, &answers[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        kit_until(c->kit, &answers[i].done, "an eviction to be answered");
        went += answers[i].err.code == 0;
    }
    return went;
}

static void evictions_in_flight_break_no_budget(void **state)
{
    struct client *c = client_admin(*state, 0);
    struct answer answers[9] = {0};
    make_budget(c, "web", "web", 7);
    for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
        char name[16];
        snprintf(name, sizeof name, "web-%u", i);
        make_ready(c, name, "web");
    }
    assert_int_equal(evict_together(c, "web", ARRAY_SIZE(answers), answers), 2);
    for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
        const struct error *e = &answers[i].err;
        struct error_cause_text cause;
        if (e->code != 0) {
            assert_int_equal(e->code, ERR_LIMIT);
            assert_string_equal(err_reason(e->code), "TooManyRequests");
            assert_non_null(strstr(e->message, "Cannot evict pod as it would violate the pod's disruption budget."));
            assert_true(error_cause(e, 0, &cause) && cause.reason == ERROR_CAUSE_DISRUPTION_BUDGET);
            assert_true(str_is(cause.text, "The disruption budget web needs 7 healthy pods and has 7 currently"));
            assert_int_equal(e->retry_after_ms, 5000);
        }
    }
    /* The budget's status is of the same transaction. */
    must(c, "get", "{kind: PodDisruptionBudget, name: web}");
    assert_int_equal(int_at(c, "object.status.currentHealthy"), 7);
    assert_int_equal(int_at(c, "object.status.disruptionsAllowed"), 0);
    must(c, "list", "{kind: Pod, labelSelector: app=web}");
    unsigned marked = 0;
    for (unsigned i = 0; i < value_count(value_get(c->result, "items")); i++) {
        const struct value *pod = value_item(value_get(c->result, "items"), i);
        marked += value_path_str(pod, "metadata.deletionTimestamp").n > 0;
    }
    assert_int_equal(marked, 2);
    client_close(c);
}

static void an_eviction_is_a_deletion_with_its_options(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    for (unsigned i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "db-%u", i);
        make_ready(c, name, "db");
    }
    make_budget(c, "db", "db", 1);
    must(c, "evict", "{name: db-0, dryRun: true}");
    assert_true(text_at(c, "object.metadata.deletionTimestamp")[0] != '\0');
    must(c, "get", "{kind: Pod, name: db-0}");
    assert_string_equal(text_at(c, "object.metadata.deletionTimestamp"), "");
    refused(c, ERR_CONFLICT, "another object", "evict", "{name: db-0, uid: other}");
    refused(c, ERR_CONFLICT, "has been changed", "evict", "{name: db-0, revision: 1}");
    refused(c, ERR_NOT_FOUND, "pods \"none\" not found", "evict", "{name: none}");
    refused(c, ERR_USAGE, "negative", "evict", "{name: db-0, gracePeriodSeconds: -5}");
    refused(c, ERR_USAGE, "name", "evict", "{namespace: default}");
    /* A repetition is answered as the first time, though the budget would not let it happen again. */
    static const uint8_t id[16] = {7};
    struct value *params = kit_doc(k, "{name: db-0}");
    value_set(&k->arena, params, "id", value_bin(&k->arena, id, sizeof id));
    must_value(c, "evict", params);
    must(c, "get", "{kind: Pod, name: db-0}");
    assert_true(text_at(c, "object.metadata.deletionTimestamp")[0] != '\0');
    must(c, "evict", "{name: db-1, gracePeriodSeconds: 0}");
    assert_true(value_path_bool(c->result, "gone", false));
    must_value(c, "evict", params);
    refused(c, ERR_LIMIT, "disruption budget", "evict", "{name: db-2}");
    must(c, "cluster", "{}");
    assert_true(int_at(c, "stats.evictionsRefused") > 0);
    client_close(c);
}

static void nodes_may_not_evict(void **state)
{
    struct client *c = client_as(*state, 0, PKI_ROLE_NODE, "n1");
    refused(c, ERR_FORBIDDEN, NULL, "evict", "{name: db-0}");
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evictions_in_flight_break_no_budget),
        cmocka_unit_test(an_eviction_is_a_deletion_with_its_options),
        cmocka_unit_test(nodes_may_not_evict),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
