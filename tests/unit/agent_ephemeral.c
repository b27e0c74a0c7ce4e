/* Ephemeral containers: added to a pod that runs, run once, and nothing of the pod waits for them. */
#include "tests/unit/agent_fakes.h"

#include "agent/runtime/cgroup.h"

#define ONE        "'containers':[{'name':'web','image':'nginx'}]"
#define ONCE       "'restartPolicy':'Never'," ONE
#define INIT       "'initContainers':[{'name':'first','image':'i'}]," ONE
#define LOOK(n)    "{'name':'" n "','image':'sh','targetContainerName':'web'}"
#define WITH(list) ",'ephemeralContainers':[" list "]"
#define DELETED    ",'deletionTimestamp':'2026-01-02T03:04:05Z','deletionGracePeriodSeconds':3"

static void running(struct world *w, const char *spec)
{
    world_open(w, spec);
    up_to_containers(w);
    run_container(w, "web");
    buf_reset(&w->orders);
}

static void add(struct world *w, const char *spec)
{
    pod_update(w->pod, spec_of(spec));
}

static void one_added_to_a_running_pod_is_started_and_reported_apart(void **state)
{
    (void)state;
    struct world w;
    running(&w, ONE);
    struct container *web = box(&w, "web");
    add(&w, ONE WITH(LOOK("a")));
    expect_orders(&w, "update volumes, pull a");
    assert_ptr_equal(box(&w, "web"), web); /* answers on their way know it by its address */
    assert_status(&w, "ephemeralContainerStatuses.a.state.waiting.reason", "ContainerCreating");
    assert_status(&w, "phase", "Running");
    assert_status(&w, "conditions.Ready.status", "True");
    run_container(&w, "a");
    expect_orders(&w, "start a/0");
    assert_event(&w, "Started: Started container a");
    assert_status(&w, "ephemeralContainerStatuses.a.state.running.startedAt", "2026-01-02T03:04:05Z");
    assert_status(&w, "ephemeralContainerStatuses.a.restartCount", "0");
    assert_status(&w, "ephemeralContainerStatuses.a.ready", "false");
    assert_status(&w, "ephemeralContainerStatuses.a.started", "<none>");
    assert_status(&w, "containerStatuses.a", "<none>");
    world_close(&w);
}

static void the_same_order_again_starts_nothing_and_another_one_more(void **state)
{
    (void)state;
    struct world w;
    running(&w, ONE);
    add(&w, ONE WITH(LOOK("a")));
    run_container(&w, "a");
    struct container *a = box(&w, "a");
    buf_reset(&w.orders);
    add(&w, ONE WITH(LOOK("a")));
    expect_orders(&w, "update volumes");
    add(&w, ONE WITH(LOOK("b") "," LOOK("a"))); /* whatever the order */
    expect_orders(&w, "update volumes, pull b");
    assert_ptr_equal(box(&w, "a"), a);
    run_container(&w, "b");
    expect_orders(&w, "start b/0");
    assert_status(&w, "ephemeralContainerStatuses.a.state.waiting", "<none>");
    world_close(&w);
}

static void what_would_take_one_away_is_ignored(void **state)
{
    (void)state;
    struct world w;
    running(&w, ONE WITH(LOOK("a")));
    run_container(&w, "a");
    buf_reset(&w.orders);
    add(&w, ONE);
    add(&w, ONE WITH(LOOK("b")));
    add(&w, ONE WITH("{'name':'web','image':'x'}"));
    expect_orders(&w, "");
    assert_int_equal(w.pod->spec->count, 2);
    assert_int_equal(box(&w, "a")->state, CONTAINER_RUNNING);
    world_close(&w);
}

static void one_that_ended_is_not_started_again(void **state)
{
    (void)state;
    static const int codes[] = {0, 1};
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        struct world w;
        running(&w, ONE WITH(LOOK("a")));
        run_container(&w, "a");
        buf_reset(&w.orders);
        has_exited(&w, "a", codes[i]);
        pass_ms(&w, 600000);
        expect_orders(&w, "");
        assert_status(&w, "ephemeralContainerStatuses.a.state.terminated.exitCode", i == 0 ? "0" : "1");
        assert_status(&w, "ephemeralContainerStatuses.a.restartCount", "0");
        assert_status(&w, "phase", "Running");
        assert_status(&w, "conditions.Ready.status", "True");
        world_close(&w);
    }
}

static void an_image_that_is_missing_is_looked_for_again_and_harms_nobody(void **state)
{
    (void)state;
    struct world w;
    running(&w, ONE);
    add(&w, ONE WITH(LOOK("a")));
    image_missing(&w, "a");
    assert_status(&w, "ephemeralContainerStatuses.a.state.waiting.reason", "ErrImagePull");
    assert_status(&w, "phase", "Running");
    assert_status(&w, "conditions.ContainersReady.status", "True");
    buf_reset(&w.orders);
    pod_images_changed(w.pod);
    expect_orders(&w, "pull a");
    world_close(&w);
}

static void the_pod_finishes_although_one_runs(void **state)
{
    (void)state;
    struct world w;
    running(&w, ONCE WITH(LOOK("a")));
    run_container(&w, "a");
    buf_reset(&w.orders);
    has_exited(&w, "web", 0);
    expect_orders(&w, "term a");
    assert_status(&w, "phase", "Running"); /* told when nothing of it runs */
    has_exited(&w, "a", 143);
    expect_orders(&w, "clean network");
    clean_up(&w);
    assert_status(&w, "phase", "Succeeded"); /* whatever its exit code */
    assert_status(&w, "ephemeralContainerStatuses.a.state.terminated.exitCode", "143");
    world_close(&w);
}

static void it_starts_beside_an_init_container_that_fails(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, INIT);
    up_to_containers(&w);
    run_container(&w, "first");
    has_exited(&w, "first", 1);
    buf_reset(&w.orders);
    add(&w, INIT WITH(LOOK("a")));
    expect_orders(&w, "update volumes, pull a");
    run_container(&w, "a");
    assert_status(&w, "phase", "Pending");
    assert_status(&w, "ephemeralContainerStatuses.a.state.running.startedAt", "2026-01-02T03:04:05Z");
    world_close(&w);
}

static void before_the_sandbox_is_there_it_waits(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONE);
    pod_go(w.pod);
    buf_reset(&w.orders);
    add(&w, ONE WITH(LOOK("a")));
    expect_orders(&w, "");
    pod_on_sandbox(w.pod, NULL);
    pod_on_network(w.pod, "10.1.0.5", NULL);
    expect_orders(&w, "network, pull a, pull web");
    world_close(&w);
}

static void one_that_comes_too_late_is_not_started(void **state)
{
    (void)state;
    struct world w;
    running(&w, ONCE);
    pod_delete(w.pod, false);
    buf_reset(&w.orders);
    pod_update(w.pod, spec_with(DELETED, ONCE WITH(LOOK("a")), ""));
    expect_orders(&w, "");
    has_exited(&w, "web", 0);
    expect_orders(&w, "clean containers"); /* nothing is waited for */
    clean_up(&w);
    assert_true(w.gone);
    world_close(&w);

    running(&w, ONCE);
    has_exited(&w, "web", 0);
    clean_up(&w);
    assert_int_equal(w.pod->state, POD_FINISHED);
    add(&w, ONCE WITH(LOOK("a")));
    expect_orders(&w, "");
    assert_status(&w, "phase", "Succeeded");
    pod_delete(w.pod, false);
    clean_up(&w);
    assert_true(w.gone);
    world_close(&w);
}

static void deletion_stops_it_with_the_others(void **state)
{
    (void)state;
    struct world w;
    running(&w, ONE WITH(LOOK("a")));
    run_container(&w, "a");
    buf_reset(&w.orders);
    pod_delete(w.pod, false);
    expect_orders(&w, "term web, term a");
    has_exited(&w, "web", 0);
    expect_orders(&w, "");
    has_exited(&w, "a", 0);
    expect_orders(&w, "clean containers");
    world_close(&w);
}

/* After a restart of the agent: what it finds of `a`. */
static void adopted_ones_go_on_and_ended_ones_stay_ended(void **state)
{
    (void)state;
    static const struct {
        enum runtime_state state;
        bool found, alive;
        const char *orders, *status;
    } rows[] = {
        {RUNTIME_RUNNING, true, true, "", "running"},
        {RUNTIME_EXITED, true, true, "", "terminated"},
        {RUNTIME_EXITED, true, false, "", "terminated"}, /* a power cut */
        {RUNTIME_EXITED, false, true, "pull a", "waiting"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w;
        world_open(&w, ONE WITH(LOOK("a")));
        struct runtime_status st = {.state = rows[i].state,
                                    .exit_code = 3,
                                    .reason = "Error",
                                    .image_ref = "sha256:aa",
                                    .started_ms = w.wall_ms};
        struct runtime_status web = {.state = RUNTIME_RUNNING, .image_ref = "sha256:aa", .started_ms = w.wall_ms};
        if (rows[i].found) {
            container_adopt(box(&w, "a"), &st, rows[i].alive, false, false);
        }
        if (rows[i].alive) {
            container_adopt(box(&w, "web"), &web, true, true, true);
            pod_adopt_sandbox(w.pod, "10.1.0.9");
            pod_go(w.pod);
        } else {
            up_to_containers(&w);
            run_container(&w, "web");
            buf_reset(&w.orders);
        }
        expect_orders(&w, rows[i].orders);
        char path[80];
        snprintf(path, sizeof path, "ephemeralContainerStatuses.a.state.%s", rows[i].status);
        struct arena a;
        arena_init(&a);
        assert_string_not_equal(status_text(&w, &a, path), "<none>");
        arena_close(&a);
        assert_status(&w, "phase", "Running");
        world_close(&w);
    }
}

/* ---- The specification ---- */

static void they_stand_behind_the_others_and_count_for_nothing(void **state)
{
    (void)state;
    static const char spec[] =
        "'initContainers':[{'name':'first','image':'i'}],'containers':[{'name':'web','image':'n',"
        "'resources':{'limits':{'cpu':'1','memory':'64Mi'}}}]" WITH(LOOK("a") "," LOOK("b"));
    struct podspec *s = spec_of(spec);
    struct cgroup_limits limits;
    assert_int_equal(s->init_count, 1);
    assert_int_equal(s->main_count, 2);
    assert_int_equal(s->count, 4);
    assert_string_equal(s->containers[2].name, "a");
    assert_true(s->containers[3].is_ephemeral && !s->containers[3].is_init && !s->containers[1].is_ephemeral);
    assert_string_equal(s->containers[3].target, "web");
    assert_string_equal(s->containers[1].target, "");
    podspec_free(s);

    s = spec_of(
        "'containers':[{'name':'web','image':'n','resources':{'limits':{'cpu':'1','memory':'64Mi'}}}]" WITH(LOOK("a")));
    assert_int_equal(s->qos, QOS_GUARANTEED); /* the class of a pod does not change */
    podspec_pod_limits(s, &limits);
    assert_int_equal(limits.memory_bytes, 64 << 20);
    assert_int_equal(limits.cpu_quota_us, 100000);
    podspec_free(s);
}

static void more_than_a_pod_may_have_are_told(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf spec = BUF_INIT;
    struct world w;
    running(&w, ONE);
    buf_puts(&spec, ONE ",'ephemeralContainers':[");
    for (unsigned i = 0; i < PODSPEC_CONTAINERS_MAX + 1; i++) {
        buf_printf(&spec, "%s{'name':'e%u','image':'i'}", i == 0 ? "" : ",", i);
    }
    buf_puts(&spec, "]");
    add(&w, buf_cstr(&spec));
    assert_int_equal(w.pod->spec->count, PODSPEC_CONTAINERS_MAX);
    assert_event(&w, "!Failed: Error: a pod has at most 64 containers: 2 ephemeral ones are not started");
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_added_to_a_running_pod_is_started_and_reported_apart),
        cmocka_unit_test(the_same_order_again_starts_nothing_and_another_one_more),
        cmocka_unit_test(what_would_take_one_away_is_ignored),
        cmocka_unit_test(one_that_ended_is_not_started_again),
        cmocka_unit_test(an_image_that_is_missing_is_looked_for_again_and_harms_nobody),
        cmocka_unit_test(the_pod_finishes_although_one_runs),
        cmocka_unit_test(it_starts_beside_an_init_container_that_fails),
        cmocka_unit_test(before_the_sandbox_is_there_it_waits),
        cmocka_unit_test(one_that_comes_too_late_is_not_started),
        cmocka_unit_test(deletion_stops_it_with_the_others),
        cmocka_unit_test(adopted_ones_go_on_and_ended_ones_stay_ended),
        cmocka_unit_test(they_stand_behind_the_others_and_count_for_nothing),
        cmocka_unit_test(more_than_a_pod_may_have_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
