/* The fault test's judge of rollouts: what it must find, and what it must let pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/text/text.h"
#include "tests/fault/rollout.h"

struct fixture {
    struct arena arena;
    struct rollout_events told;
    struct buf why;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    arena_init(&f->arena);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rollout_events_close(&f->told);
    buf_close(&f->why);
    arena_close(&f->arena);
    free(f);
    return 0;
}

static void tell(struct fixture *f, uint64_t revision, enum kind_id kind, bool deleted, const char *text)
{
    struct value **docs;
    unsigned count;
    struct object *o;
    struct error err = {0};
    if (yaml_read(&f->arena, str_of(text), NULL, &docs, &count, &err) != 0 ||
        object_from_value(kind_by_id(kind), docs[0], revision, &o, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    rollout_events_add(&f->told, revision, deleted, o);
    object_unref(o);
}

static void deployment(struct fixture *f, uint64_t revision, int replicas, int generation, int observed)
{
    tell(f, revision, KIND_DEPLOYMENT, false,
         arena_printf(&f->arena,
                      "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: d, generation: %d},\n"
                      " spec: {replicas: %d}, status: {observedGeneration: %d}}",
                      generation, replicas, observed));
}

static void set(struct fixture *f, uint64_t revision, const char *name, int replicas)
{
    tell(f, revision, KIND_REPLICASET, false,
         arena_printf(
             &f->arena,
             "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: %s, namespace: d, uid: %s, labels: {app: "
             "web}}, spec: {replicas: %d}}",
             name, name, replicas));
}

enum pod_state { WAITS, READY, ENDS, GONE };
static void pod(struct fixture *f, uint64_t revision, const char *owner, int number, enum pod_state state)
{
    tell(f, revision, KIND_POD, state == GONE,
         arena_printf(
             &f->arena,
             "{apiVersion: v1, kind: Pod, metadata: {name: %s-%d, namespace: d, uid: %s-%d%s,\n"
             " ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: %s, uid: %s, controller: true}]},\n"
             " status: {conditions: [{type: Ready, status: '%s'}]}}",
             owner, number, owner, number, state >= ENDS ? ", deletionTimestamp: '2026-01-01T00:00:00Z'" : "", owner,
             owner, state == READY ? "True" : "False"));
}

/* Four replicas, all Ready, of the old set. */
static void begin(struct fixture *f)
{
    deployment(f, 1, 4, 1, 1);
    set(f, 2, "old", 4);
    for (int i = 0; i < 4; i++) {
        pod(f, 3, "old", i, WAITS);
        pod(f, 4 + (uint64_t)i, "old", i, READY);
    }
}

static unsigned judged(struct fixture *f)
{
    return rollout_judge(&f->told, 1, &f->why);
}

static void test_an_orderly_rollout_passes(void **state)
{
    struct fixture *f = *state;
    begin(f);
    set(f, 10, "new", 1);
    pod(f, 11, "new", 0, WAITS);
    set(f, 12, "old", 3);
    pod(f, 13, "old", 0, ENDS);
    set(f, 14, "new", 2);
    pod(f, 15, "new", 1, WAITS);
    pod(f, 16, "new", 0, READY);
    pod(f, 17, "new", 1, READY);
    pod(f, 18, "old", 0, GONE);
    set(f, 19, "old", 2);
    pod(f, 20, "old", 1, ENDS);
    assert_int_equal(judged(f), 0);
}

static void test_one_pod_too_many_wanted_is_found(void **state)
{
    struct fixture *f = *state;
    begin(f);
    set(f, 10, "new", 2);
    assert_int_equal(judged(f), 1);
    assert_non_null(strstr(buf_cstr(&f->why), "want 6 pods; 4 + 1"));
}

static void test_one_serving_pod_too_few_is_found(void **state)
{
    struct fixture *f = *state;
    begin(f);
    set(f, 10, "new", 1);
    pod(f, 11, "new", 0, WAITS);
    set(f, 12, "old", 2);
    assert_int_equal(judged(f), 1);
    assert_non_null(strstr(buf_cstr(&f->why), "keep 2 Ready pods; 4 - 1"));
}

static void test_giving_up_what_does_not_serve_passes(void **state)
{
    struct fixture *f = *state;
    begin(f);
    pod(f, 10, "old", 2, WAITS); /* no longer Ready, for reasons of its own */
    pod(f, 10, "old", 3, WAITS);
    set(f, 11, "old", 2);
    pod(f, 12, "old", 2, ENDS);
    assert_int_equal(judged(f), 0);
}

static void test_scaling_down_passes_and_the_former_number_counts_until_it_is_seen(void **state)
{
    struct fixture *f = *state;
    begin(f);
    deployment(f, 10, 2, 2, 1);
    set(f, 11, "new", 1); /* not seen yet: 4 + 1 */
    set(f, 12, "old", 1);
    deployment(f, 13, 2, 2, 2);
    set(f, 14, "new", 3); /* seen: 2 + 1 */
    assert_int_equal(judged(f), 1);
    assert_non_null(strstr(buf_cstr(&f->why), "revision 14"));
}

static void test_a_set_that_makes_more_than_it_wants_is_found(void **state)
{
    struct fixture *f = *state;
    begin(f);
    pod(f, 10, "old", 4, WAITS);
    assert_int_equal(judged(f), 1);
    assert_non_null(strstr(buf_cstr(&f->why), "old has 5 pods"));
}

static void test_a_set_that_takes_a_serving_pod_below_what_it_wants_is_found(void **state)
{
    struct fixture *f = *state;
    begin(f);
    pod(f, 10, "old", 3, ENDS);
    assert_int_equal(judged(f), 1);
    assert_non_null(strstr(buf_cstr(&f->why), "lost 1 Ready pods"));
}

/* ---- Journals ---- */

static unsigned judged_journals(struct fixture *f, const char *one, const char *other, unsigned living)
{
    char paths[2][40] = {"/tmp/fault-journal-XXXXXX", "/tmp/fault-journal-XXXXXX"};
    const char *texts[2] = {one, other}, *names[2] = {paths[0], paths[1]};
    struct api_list pods = {0};
    for (unsigned i = 0; i < 2; i++) {
        int fd = mkstemp(paths[i]);
        assert_true(fd >= 0 && write(fd, texts[i], strlen(texts[i])) == (ssize_t)strlen(texts[i]));
        close(fd);
    }
    for (int i = 0; i < (int)living; i++) {
        pod(f, 1, "p", i, READY);
    }
    pods.items = xcalloc(living + 1, sizeof(struct object *));
    for (; pods.count < living; pods.count++) {
        pods.items[pods.count] = f->told.items[pods.count].object;
    }
    unsigned found = rollout_judge_journals(names, 2, &pods, &f->why);
    free(pods.items);
    unlink(paths[0]);
    unlink(paths[1]);
    return found;
}

#define LINE(event, n, attempt)                                                                                        \
    "{\"t\":\"x\",\"event\":\"" event "\",\"ns\":\"d\",\"pod\":\"p-" n "\",\"uid\":\"p-" n                             \
    "\",\"container\":\"c\",\"attempt\":" attempt ",\"why\":\"\"}\n"

static void test_pods_that_ran_once_where_the_store_has_them_pass(void **state)
{
    assert_int_equal(judged_journals(*state, LINE("start", "0", "0") LINE("exit", "0", "0") LINE("start", "0", "1"),
                                     LINE("start", "1", "0") LINE("start", "7", "0") LINE("exit", "7", "0"), 2),
                     0);
}

static void test_a_pod_on_two_nodes_is_found(void **state)
{
    assert_true(judged_journals(*state, LINE("start", "0", "0"), LINE("start", "0", "0"), 1) > 0);
}

static void test_a_container_started_twice_is_found(void **state)
{
    assert_int_equal(judged_journals(*state, LINE("start", "0", "0") LINE("start", "0", "0"), "", 1), 1);
}

static void test_containers_lost_with_their_agent_may_start_again(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(judged_journals(f, LINE("start", "0", "0") ROLLOUT_LOST LINE("start", "0", "0"), "", 1), 0);
    /* Of the other node nothing is excused. */
    assert_true(judged_journals(f, LINE("start", "0", "0") LINE("start", "0", "0"), ROLLOUT_LOST, 1) > 0);
    assert_true(judged_journals(f, LINE("start", "0", "0") ROLLOUT_LOST, "", 1) > 0);
}

static void test_a_pod_that_runs_on_though_it_is_gone_is_found(void **state)
{
    assert_int_equal(judged_journals(*state, LINE("start", "0", "0") LINE("start", "1", "0"), "", 1), 1);
}

static void test_a_pod_that_runs_nowhere_is_found(void **state)
{
    assert_true(judged_journals(*state, LINE("start", "0", "0"), "", 2) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_orderly_rollout_passes),
        TEST(test_one_pod_too_many_wanted_is_found),
        TEST(test_one_serving_pod_too_few_is_found),
        TEST(test_giving_up_what_does_not_serve_passes),
        TEST(test_scaling_down_passes_and_the_former_number_counts_until_it_is_seen),
        TEST(test_a_set_that_makes_more_than_it_wants_is_found),
        TEST(test_a_set_that_takes_a_serving_pod_below_what_it_wants_is_found),
        TEST(test_pods_that_ran_once_where_the_store_has_them_pass),
        TEST(test_a_pod_on_two_nodes_is_found),
        TEST(test_a_container_started_twice_is_found),
        TEST(test_containers_lost_with_their_agent_may_start_again),
        TEST(test_a_pod_that_runs_on_though_it_is_gone_is_found),
        TEST(test_a_pod_that_runs_nowhere_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
