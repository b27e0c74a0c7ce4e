/* Facts that everybody must say alike: conditions, quality of service, preconditions, scores, and what makes events the
 * same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "proto/facts/condition.h"
#include "proto/facts/event.h"
#include "proto/facts/precondition.h"
#include "proto/facts/qos.h"
#include "proto/facts/scoring.h"
#include "proto/schema/kind.h"

#define T1 1700000000000 /* 2023-11-14T22:13:20Z */
#define T2 1700000060000

static struct object *pod_named(struct arena *a, const char *name, const char *uid, uint64_t revision)
{
    struct value *doc = value_map(a), *metadata = value_map(a);
    struct object *o = NULL;
    struct error err = {0};
    value_set(a, metadata, "name", value_cstr(a, name));
    value_set(a, metadata, "namespace", value_cstr(a, "shop"));
    value_set(a, metadata, "uid", value_cstr(a, uid));
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "Pod"));
    value_set(a, doc, "metadata", metadata);
    assert_int_equal(object_from_value(kind_by_id(KIND_POD), doc, revision, &o, &err), 0);
    return o;
}

/* ---- Conditions ---- */

static void the_transition_time_of_a_condition_moves_with_its_status_alone(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *status = value_map(&a);
    assert_true(condition_set(&a, status, "Ready", "False", "Starting", "one moment", T1, false));
    struct value *c = condition_get(status, "Ready");
    assert_true(str_is(value_path_str(c, "lastTransitionTime"), "2023-11-14T22:13:20Z"));
    assert_true(condition_set(&a, status, "Ready", "False", "Failing", NULL, T2, false));
    assert_true(str_is(value_path_str(c, "lastTransitionTime"), "2023-11-14T22:13:20Z"));
    assert_true(str_is(value_path_str(c, "reason"), "Failing"));
    assert_true(str_is(value_path_str(c, "message"), "one moment"));
    assert_false(condition_set(&a, status, "Ready", "False", "Failing", NULL, T2, false));
    assert_true(condition_set(&a, status, "Ready", "True", "", "", T2, false));
    assert_true(str_is(value_path_str(c, "lastTransitionTime"), "2023-11-14T22:14:20Z"));
    assert_null(value_get(c, "reason"));
    assert_null(value_get(c, "message"));
    assert_int_equal(value_count(value_get(status, "conditions")), 1);
}

static void the_update_time_moves_with_any_word_of_a_condition_where_it_is_kept(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *status = value_map(&a);
    assert_true(condition_set(&a, status, "Progressing", "True", "A", "x", T1, true));
    assert_false(condition_set(&a, status, "Progressing", "True", "A", "x", T2, true));
    struct value *c = condition_get(status, "Progressing");
    assert_true(str_is(value_path_str(c, "lastUpdateTime"), "2023-11-14T22:13:20Z"));
    assert_true(condition_set(&a, status, "Progressing", "True", "A", "y", T2, true));
    assert_true(str_is(value_path_str(c, "lastUpdateTime"), "2023-11-14T22:14:20Z"));
    assert_true(str_is(value_path_str(c, "lastTransitionTime"), "2023-11-14T22:13:20Z"));
}

static void a_condition_is_taken_away_and_the_others_stay(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *status = value_map(&a);
    condition_set(&a, status, "A", "True", NULL, NULL, T1, false);
    condition_set(&a, status, "B", "Unknown", NULL, NULL, T1, false);
    assert_true(condition_remove(status, "A"));
    assert_false(condition_remove(status, "A"));
    assert_null(condition_get(status, "A"));
    assert_true(str_is(value_path_str(condition_get(status, "B"), "status"), "Unknown"));
}

/* ---- Quality of service ---- */

static void a_pod_is_guaranteed_if_every_amount_is_limited_to_what_is_requested(void **state)
{
    (void)state;
    static const struct {
        struct {
            bool limited, requested, equal;
        } amounts[2];
        const char *name;
    } rows[] = {
        {{{false, false, false}, {false, false, false}}, "BestEffort"},
        {{{true, true, true}, {true, true, true}}, "Guaranteed"},
        {{{true, true, true}, {false, false, false}}, "Burstable"},
        {{{true, true, true}, {true, true, false}}, "Burstable"},
        {{{false, true, false}, {false, false, false}}, "Burstable"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct qos_sum sum = {0};
        enum qos_class parsed;
        for (unsigned k = 0; k < 2; k++) {
            qos_count(&sum, rows[i].amounts[k].limited, rows[i].amounts[k].requested, rows[i].amounts[k].equal);
        }
        assert_string_equal(qos_name(qos_of(&sum)), rows[i].name);
        assert_true(qos_parse(str_of(rows[i].name), &parsed));
        assert_int_equal(parsed, qos_of(&sum));
    }
    enum qos_class none;
    assert_false(qos_parse(STR("Best"), &none));
    assert_false(qos_parse(STR_NONE, &none));
}

/* ---- Preconditions ---- */

static void another_uid_or_revision_than_the_one_meant_is_a_conflict(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_OBJECT struct object *o = pod_named(&a, "web", "u1", 7);
    struct error err = {0};
    assert_int_equal(precondition_check(o, STR_NONE, 0, &err), 0);
    assert_int_equal(precondition_check(o, STR("u1"), 7, &err), 0);
    assert_int_equal(precondition_check(o, STR("u2"), 7, &err), ERR_CONFLICT);
    assert_string_equal(err.message, "pods \"web\" is another object than the one meant: its uid is u1, not u2");
    assert_string_equal(err.field, "metadata.uid");
    assert_int_equal(precondition_check(o, STR("u1"), 6, &err), ERR_CONFLICT);
    assert_string_equal(err.field, "metadata.resourceVersion");
    char name[PRECONDITION_NAME_SIZE];
    assert_string_equal(precondition_name(kind_by_id(KIND_DEPLOYMENT), STR("web"), name), "deployments.apps \"web\"");
}

/* ---- Events ---- */

static void events_are_the_same_by_object_reason_source_and_message(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_OBJECT struct object *o = pod_named(&a, "web", "u1", 7), *other = pod_named(&a, "web", "u2", 8);
    struct event_words w = event_about(o), changed[4];
    w.reason = "Pulled";
    w.component = "reeve-agent";
    w.message = STR("here");
    for (unsigned i = 0; i < ARRAY_SIZE(changed); i++) {
        changed[i] = w;
    }
    changed[0].reason = "Pulling";
    changed[1].component = "reeve-master";
    changed[2].message = STR("there");
    changed[3].uid = other->uid;
    struct value *doc = event_document(&a, &w);
    struct str name = event_name(&a, doc);
    assert_true(str_starts(name, STR("web.")));
    assert_true(str_is(event_namespace(doc), "shop"));
    assert_true(str_is(value_path_str(doc, "type"), "Normal"));
    assert_true(str_is(value_path_str(doc, "involvedObject.apiVersion"), "v1"));
    w.host = "n1"; /* who it happened to is the same wherever it was */
    assert_true(str_eq(event_name(&a, event_document(&a, &w)), name));
    for (unsigned i = 0; i < ARRAY_SIZE(changed); i++) {
        assert_false(str_eq(event_name(&a, event_document(&a, &changed[i])), name));
    }
}

static void an_event_about_what_has_no_namespace_lives_in_default(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct event_words w = {.kind = kind_by_id(KIND_NODE),
                                  .name = STR("n1"),
                                  .uid = STR("u"),
                                  .warning = true,
                                  .reason = "Full",
                                  .component = "reeve-master",
                                  .message = STR("m")};
    struct value *doc = event_document(&a, &w);
    assert_true(str_is(event_namespace(doc), "default"));
    assert_null(value_path(doc, "involvedObject.namespace"));
    assert_true(str_is(value_path_str(doc, "type"), "Warning"));
    event_set_name(&a, doc, event_namespace(doc), event_name(&a, doc));
    assert_true(str_is(value_path_str(doc, "metadata.namespace"), "default"));
}

/* "Between two points in a straight line, before the first and behind the last as there." */
static void a_shape_tells_what_a_node_is_worth(void **state)
{
    (void)state;
    struct scoring_shape s;
    static const struct {
        int64_t used, worth;
    } rows[] = {{0, 200}, {200, 200}, {250, 300}, {400, 600}, {500, 800}, {600, 800}, {700, 400}, {800, 0}, {1000, 0}};
    assert_true(scoring_shape_parse(STR("20:2,50:8,60:8,80:0"), &s));
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(scoring_shape_at(&s, rows[i].used), rows[i].worth);
    }
    assert_false(scoring_shape_packs(&s));
    assert_true(scoring_shape_parse(STR("0:0,100:10"), &s) && scoring_shape_packs(&s));
    assert_int_equal(scoring_shape_at(&s, 333), 333);
    assert_false(scoring_shape_parse(STR("0:0,,100:10"), &s));
    assert_false(scoring_shape_parse(STR("50"), &s));
    assert_int_equal(s.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_transition_time_of_a_condition_moves_with_its_status_alone),
        cmocka_unit_test(the_update_time_moves_with_any_word_of_a_condition_where_it_is_kept),
        cmocka_unit_test(a_condition_is_taken_away_and_the_others_stay),
        cmocka_unit_test(a_pod_is_guaranteed_if_every_amount_is_limited_to_what_is_requested),
        cmocka_unit_test(another_uid_or_revision_than_the_one_meant_is_a_conflict),
        cmocka_unit_test(events_are_the_same_by_object_reason_source_and_message),
        cmocka_unit_test(an_event_about_what_has_no_namespace_lives_in_default),
        cmocka_unit_test(a_shape_tells_what_a_node_is_worth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
