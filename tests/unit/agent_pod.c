#include "agent/pod/status.h"
#include "tests/unit/agent_fakes.h"

#define ONE  "'containers':[{'name':'web','image':'nginx'}]"
#define ONCE "'restartPolicy':'Never','containers':[{'name':'web','image':'nginx'}]"
#define TWO  "'containers':[{'name':'web','image':'nginx'},{'name':'app','image':'flask'}]"
#define INIT                                                                                                           \
    "'initContainers':[{'name':'first','image':'i'},{'name':'second','image':'i'}],"                                   \
    "'containers':[{'name':'web','image':'nginx'}]"
#define SIDECAR                                                                                                        \
    "'restartPolicy':'Never','initContainers':[{'name':'log','image':'i','restartPolicy':'Always'}],"                  \
    "'containers':[{'name':'web','image':'nginx'}]"

static void a_pod_goes_through_volumes_sandbox_and_network_to_its_containers(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, TWO);
    pod_go(w.pod);
    expect_orders(&w, "mount, sandbox");
    assert_status(&w, "phase", "Pending");
    pod_on_sandbox(w.pod, NULL);
    expect_orders(&w, "network");
    pod_on_network(w.pod, "10.1.0.5", NULL);
    expect_orders(&w, "pull web, pull app");
    image_there(&w, "web");
    image_there(&w, "app");
    expect_orders(&w, "start web/0, start app/0");
    has_started(&w, "web");
    assert_status(&w, "phase", "Pending");
    has_started(&w, "app");
    assert_status(&w, "phase", "Running");
    assert_status(&w, "podIP", "10.1.0.5");
    assert_status(&w, "conditions.Ready.status", "True");
    assert_event(&w, "Started: Started container app");
    world_close(&w);
}

static void init_containers_run_one_after_another(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, INIT);
    up_to_containers(&w);
    run_container(&w, "first");
    expect_orders(&w, "start first/0");
    assert_status(&w, "conditions.Initialized.message", "containers with incomplete status: [first second]");
    has_exited(&w, "first", 0);
    expect_orders(&w, "pull second");
    run_container(&w, "second");
    has_exited(&w, "second", 0);
    expect_orders(&w, "start second/0, pull web");
    run_container(&w, "web");
    assert_status(&w, "phase", "Running");
    assert_status(&w, "conditions.Initialized.status", "True");
    assert_status(&w, "initContainerStatuses.first.ready", "true");
    world_close(&w);
}

static void an_init_container_that_fails_is_tried_again_before_the_others(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, INIT);
    up_to_containers(&w);
    run_container(&w, "first");
    has_exited(&w, "first", 1);
    expect_orders(&w, "start first/0, pull first");
    run_container(&w, "first");
    has_exited(&w, "first", 1);
    expect_orders(&w, "start first/1");
    assert_status(&w, "initContainerStatuses.first.state.waiting.reason", "CrashLoopBackOff");
    assert_status(&w, "phase", "Pending");
    world_close(&w);
}

static void a_failed_init_container_with_restart_policy_never_fails_the_pod(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'restartPolicy':'Never'," INIT);
    up_to_containers(&w);
    run_container(&w, "first");
    has_exited(&w, "first", 3);
    assert_int_equal(w.pod->state, POD_CLEANING);
    clean_up(&w);
    assert_int_equal(w.pod->state, POD_FINISHED);
    assert_status(&w, "phase", "Failed");
    assert_status(&w, "initContainerStatuses.first.state.terminated.exitCode", "3");
    world_close(&w);
}

static void a_sidecar_runs_beside_the_containers_and_ends_after_them(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, SIDECAR);
    up_to_containers(&w);
    run_container(&w, "log");
    expect_orders(&w, "start log/0, pull web");
    run_container(&w, "web");
    expect_orders(&w, "start web/0");
    has_exited(&w, "web", 0);
    expect_orders(&w, "term log");
    assert_status(&w, "phase", "Running"); /* not over before the sidecar has ended */
    has_exited(&w, "log", 143);
    expect_orders(&w, "clean network");
    clean_up(&w);
    assert_status(&w, "phase", "Succeeded");
    world_close(&w);
}

static void a_missing_config_map_keeps_the_pod_waiting_until_it_comes(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONE);
    w.mount_error = ERR_NOT_FOUND;
    w.error_message = "configmap \"conf\" not found";
    pod_go(w.pod);
    assert_no_event(&w, "FailedMount"); /* the other stream may lag behind */
    pass_ms(&w, CONTAINER_REFS_GRACE_MS);
    assert_event(&w, "!FailedMount: MountVolume.SetUp failed: configmap \"conf\" not found");
    expect_orders(&w, "mount, mount");
    assert_int_equal(pod_deadline(w.pod), INT64_MAX); /* no polling */
    w.mount_error = 0;
    pod_refs_changed(w.pod);
    expect_orders(&w, "mount, sandbox");
    world_close(&w);
}

static void a_runtime_that_the_node_lacks_keeps_the_pod_waiting(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONE);
    w.handler_error = ERR_NOT_FOUND;
    w.error_message = "RuntimeClass \"kata\" not found";
    pod_go(w.pod);
    assert_no_event(&w, "FailedCreatePodSandBox"); /* the other stream may lag behind */
    pass_ms(&w, CONTAINER_REFS_GRACE_MS);
    assert_event(&w, "!FailedCreatePodSandBox: Failed to create pod sandbox: RuntimeClass \"kata\" not found");
    /* The class comes, but nothing that runs it: it is looked again, now and then. */
    w.handler_error = ERR_UNSUPPORTED;
    w.error_message = "no runtime for \"kata\" is configured";
    pod_refs_changed(w.pod);
    assert_event(&w, "!FailedCreatePodSandBox: Failed to create pod sandbox: no runtime for \"kata\" is configured");
    assert_status(&w, "phase", "Pending");
    expect_orders(&w, "");
    w.handler_error = 0;
    pass_ms(&w, 1000);
    expect_orders(&w, "mount, sandbox");
    world_close(&w);
}

static void a_sandbox_that_fails_is_made_again_later(void **state)
{
    (void)state;
    struct world w;
    struct error err;
    error_set(&err, ERR_SYSTEM, "no veth");
    world_open(&w, ONE);
    pod_go(w.pod);
    pod_on_sandbox(w.pod, NULL);
    pod_on_network(w.pod, NULL, &err);
    assert_event(&w, "!FailedCreatePodSandBox: Failed to create pod sandbox: network: no veth");
    expect_orders(&w, "mount, sandbox, network");
    pass_ms(&w, 1000);
    expect_orders(&w, "network");
    world_close(&w);
}

static void deleted(struct pod *p)
{
    pod_delete(p, false);
}
static void removed(struct pod *p)
{
    pod_delete(p, true);
}
static void evicted(struct pod *p)
{
    pod_evict(p, "too much", false);
}

static void deletion_stops_the_containers_and_gives_everything_back(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, TWO);
    up_to_containers(&w);
    run_container(&w, "web");
    run_container(&w, "app");
    buf_reset(&w.orders);
    pod_delete(w.pod, false);
    expect_orders(&w, "term web, term app");
    assert_event(&w, "Killing: Stopping container web");
    has_exited(&w, "web", 0);
    expect_orders(&w, "");
    has_exited(&w, "app", 143);
    const char *const steps[] = {"clean containers", "clean network", "clean sandbox",
                                 "clean volumes",    "clean cgroup",  "clean logs"};
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        assert_false(w.gone);
        expect_orders(&w, steps[i]);
        pod_on_clean(w.pod, NULL);
    }
    assert_true(w.gone);
    assert_non_null(strstr(buf_cstr(&w.journal), "gone - (pod deleted)"));
    world_close(&w);
}

/* Nobody is led to it any more when the first container hears of its end. */
static void a_pod_leaves_its_services_before_a_container_gets_its_signal(void **state)
{
    (void)state;
    static void (*const ends[])(struct pod * p) = {deleted, removed, evicted};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        struct world w;
        world_open(&w, TWO);
        w.tells_leaving = true;
        up_to_containers(&w);
        run_container(&w, "web");
        run_container(&w, "app");
        buf_reset(&w.orders);
        ends[i](w.pod);
        expect_orders(&w, "leave, term web, term app");
        pod_delete(w.pod, false);
        assert_null(strstr(buf_cstr(&w.orders), "leave")); /* once */
        world_close(&w);
    }
}

static void containers_that_ignore_the_stop_signal_are_killed_after_the_grace_period(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'terminationGracePeriodSeconds':5," ONE);
    up_to_containers(&w);
    run_container(&w, "web");
    buf_reset(&w.orders);
    pod_delete(w.pod, false);
    expect_orders(&w, "term web");
    pass_ms(&w, 4999);
    expect_orders(&w, "");
    pass_ms(&w, 1);
    expect_orders(&w, "kill web");
    pass_ms(&w, CONTAINER_REKILL_MS);
    expect_orders(&w, "kill web");
    has_exited(&w, "web", 137);
    assert_int_equal(w.pod->state, POD_CLEANING);
    world_close(&w);
}

static void a_shorter_grace_period_given_later_counts(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONE);
    up_to_containers(&w);
    run_container(&w, "web");
    pod_delete(w.pod, false);
    buf_reset(&w.orders);
    pod_update(w.pod, spec_with(",'deletionTimestamp':'2026-01-02T03:04:05Z','deletionGracePeriodSeconds':3", ONE, ""));
    pass_ms(&w, 3000);
    expect_orders(&w, "kill web");
    world_close(&w);
}

static void deletion_while_the_sandbox_is_made_waits_for_the_answer(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONE);
    pod_go(w.pod);
    buf_reset(&w.orders);
    pod_delete(w.pod, true);
    expect_orders(&w, "");
    pod_on_sandbox(w.pod, NULL);
    expect_orders(&w, "clean containers");
    clean_up(&w);
    assert_true(w.gone);
    world_close(&w);
}

static void deletion_while_a_container_starts_stops_it_afterwards(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONE);
    up_to_containers(&w);
    image_there(&w, "web");
    pod_delete(w.pod, false);
    expect_orders(&w, "start web/0");
    has_started(&w, "web");
    expect_orders(&w, "term web");
    has_exited(&w, "web", 0);
    expect_orders(&w, "clean containers");
    world_close(&w);
}

static void a_pod_whose_containers_succeed_is_succeeded_and_keeps_their_logs(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONCE);
    up_to_containers(&w);
    run_container(&w, "web");
    buf_reset(&w.orders);
    has_exited(&w, "web", 0);
    expect_orders(&w, "clean network");
    pod_on_clean(w.pod, NULL);
    pod_on_clean(w.pod, NULL);
    pod_on_clean(w.pod, NULL);
    pod_on_clean(w.pod, NULL);
    expect_orders(&w, "clean sandbox, clean volumes, clean cgroup");
    assert_int_equal(w.pod->state, POD_FINISHED);
    assert_status(&w, "phase", "Succeeded");
    assert_status(&w, "conditions.Ready.reason", "PodCompleted");
    pod_delete(w.pod, false);
    expect_orders(&w, "clean containers");
    clean_up(&w);
    assert_true(w.gone);
    world_close(&w);
}

static void a_pod_deleted_while_it_is_being_cleaned_loses_its_logs_too(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONCE);
    up_to_containers(&w);
    run_container(&w, "web");
    has_exited(&w, "web", 0);
    pod_delete(w.pod, false);
    clean_up(&w);
    assert_true(w.gone);
    world_close(&w);
}

static void a_pod_past_its_active_deadline_fails(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'activeDeadlineSeconds':60," ONE);
    up_to_containers(&w);
    run_container(&w, "web");
    buf_reset(&w.orders);
    pass_ms(&w, 60000);
    expect_orders(&w, "term web");
    assert_status(&w, "phase", "Running");
    has_exited(&w, "web", 143);
    clean_up(&w);
    assert_status(&w, "phase", "Failed");
    assert_status(&w, "reason", "DeadlineExceeded");
    world_close(&w);
}

static void an_evicted_pod_fails_with_hardly_any_grace_and_does_not_restart(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'terminationGracePeriodSeconds':300," ONE);
    up_to_containers(&w);
    run_container(&w, "web");
    buf_reset(&w.orders);
    pod_evict(w.pod, "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ", false);
    expect_orders(&w, "term web");
    assert_event(&w, "!Evicted: Usage of EmptyDir volume \"v\" exceeds the limit");
    pass_ms(&w, 1000);
    expect_orders(&w, "kill web");
    has_exited(&w, "web", 137);
    clean_up(&w);
    assert_status(&w, "phase", "Failed");
    assert_status(&w, "reason", "Evicted");
    assert_status(&w, "conditions.DisruptionTarget.status", "<none>"); /* that was its own fault */
    world_close(&w);
}

static void a_pod_that_goes_for_its_node_is_a_target_of_disruption(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'terminationGracePeriodSeconds':300," ONE);
    up_to_containers(&w);
    run_container(&w, "web");
    assert_status(&w, "conditions.DisruptionTarget.status", "<none>");
    pod_evict(w.pod, "The node was low on resource: memory. ", true);
    assert_status(&w, "conditions.DisruptionTarget.status", "True");
    assert_status(&w, "conditions.DisruptionTarget.reason", "TerminationByKubelet");
    assert_status(&w, "conditions.DisruptionTarget.message", "The node was low on resource: memory. ");
    world_close(&w);
}

static void a_pod_the_node_does_not_take_fails_without_a_start(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.pod = pod_new(&w.node, spec_of(ONE));
    pod_reject(w.pod, "OutOfcpu", "Pod was rejected: no");
    assert_event(&w, "!OutOfcpu: Pod was rejected: no");
    while (w.pod->pending > 0) {
        pod_on_clean(w.pod, NULL);
    }
    expect_orders(&w, "clean network, clean sandbox, clean volumes, clean cgroup");
    assert_status(&w, "phase", "Failed");
    assert_status(&w, "reason", "OutOfcpu");
    assert_status(&w, "message", "Pod was rejected: no");
    pod_go(w.pod);
    expect_orders(&w, "");
    world_close(&w);
}

static void a_failing_clean_up_step_is_tried_again_and_given_up_in_the_end(void **state)
{
    (void)state;
    struct world w;
    struct error err;
    error_set(&err, ERR_SYSTEM, "plugin is broken");
    world_open(&w, ONE);
    up_to_containers(&w);
    pod_delete(w.pod, false);
    image_there(&w, "web"); /* the answer that was outstanding */
    pod_on_clean(w.pod, NULL);
    for (int i = 0; i < 5; i++) {
        assert_non_null(strstr(buf_cstr(&w.orders), "clean network"));
        buf_reset(&w.orders);
        pod_on_clean(w.pod, &err);
        pass_ms(&w, 5000);
    }
    expect_orders(&w, "clean sandbox");
    world_close(&w);
}

static struct runtime_status running_status(struct world *w, unsigned attempt)
{
    return (struct runtime_status){
        .attempt = attempt, .state = RUNTIME_RUNNING, .image_ref = "sha256:aa", .started_ms = w->wall_ms - 60000};
}

static void an_adopted_pod_goes_on_without_a_start(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONE);
    struct runtime_status st = running_status(&w, 4);
    container_adopt(box(&w, "web"), &st, true, true, true);
    pod_adopt_sandbox(w.pod, "10.1.0.9");
    pod_go(w.pod);
    expect_orders(&w, "");
    assert_status(&w, "phase", "Running");
    assert_status(&w, "podIP", "10.1.0.9");
    assert_status(&w, "containerStatuses.web.restartCount", "4");
    assert_status(&w, "containerStatuses.web.ready", "true");
    has_exited(&w, "web", 1);
    expect_orders(&w, "pull web");
    image_there(&w, "web");
    expect_orders(&w, "start web/5");
    world_close(&w);
}

static void an_adopted_pod_that_was_deleted_meanwhile_is_stopped(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.pod = pod_new(&w.node,
                    spec_with(",'deletionTimestamp':'2026-01-02T03:04:05Z','deletionGracePeriodSeconds':3", ONE, ""));
    struct runtime_status st = running_status(&w, 0);
    container_adopt(box(&w, "web"), &st, true, true, true);
    pod_adopt_sandbox(w.pod, "10.1.0.9");
    pod_go(w.pod);
    expect_orders(&w, "term web");
    world_close(&w);
}

static void after_a_power_cut_containers_run_again_with_the_next_attempt(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, INIT);
    struct runtime_status st = {
        .attempt = 2, .state = RUNTIME_EXITED, .exit_code = 255, .reason = "ContainerStatusUnknown"};
    struct runtime_status done = {.attempt = 0, .state = RUNTIME_EXITED, .exit_code = 0, .reason = "Completed"};
    container_adopt(box(&w, "web"), &st, false, true, true);
    container_adopt(box(&w, "first"), &done, false, true, true);
    up_to_containers(&w);
    run_container(&w, "first");
    expect_orders(&w, "start first/1"); /* a new sandbox: init containers run again */
    has_exited(&w, "first", 0);
    run_container(&w, "second");
    has_exited(&w, "second", 0);
    buf_reset(&w.orders);
    run_container(&w, "web");
    assert_status(&w, "containerStatuses.web.restartCount", "3");
    assert_status(&w, "containerStatuses.web.lastState.terminated.reason", "ContainerStatusUnknown");
    world_close(&w);
}

static void after_a_power_cut_a_pod_that_may_not_restart_has_failed(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONCE);
    struct runtime_status st = {
        .attempt = 0, .state = RUNTIME_EXITED, .exit_code = 255, .reason = "ContainerStatusUnknown"};
    container_adopt(box(&w, "web"), &st, false, true, true);
    pod_go(w.pod);
    clean_up(&w);
    assert_status(&w, "phase", "Failed");
    world_close(&w);
}

static void a_pod_that_had_finished_gives_back_what_is_left(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONCE);
    pod_adopt_sandbox(w.pod, "10.1.0.9");
    pod_adopt_finished(w.pod);
    expect_orders(&w, "clean network");
    clean_up(&w);
    assert_int_equal(w.pod->state, POD_FINISHED);
    assert_true(w.pod->status_frozen);
    world_close(&w);
}

static void a_changed_image_restarts_the_container_with_it(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONE);
    up_to_containers(&w);
    run_container(&w, "web");
    buf_reset(&w.orders);
    pod_update(w.pod, spec_of("'containers':[{'name':'web','image':'nginx:2'}]"));
    expect_orders(&w, "term web, update volumes");
    has_exited(&w, "web", 0);
    run_container(&w, "web");
    assert_status(&w, "containerStatuses.web.image", "nginx:2");
    world_close(&w);
}

static void conditions_keep_the_time_of_their_last_change(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, ONE);
    up_to_containers(&w);
    assert_status(&w, "conditions.Ready.message", "containers with unready status: [web]");
    run_container(&w, "web");
    assert_status(&w, "conditions.Ready.lastTransitionTime", "2026-01-02T03:04:05Z");
    pass_ms(&w, 10000);
    assert_status(&w, "conditions.Ready.lastTransitionTime", "2026-01-02T03:04:05Z");
    has_exited(&w, "web", 1);
    assert_status(&w, "conditions.Ready.lastTransitionTime", "2026-01-02T03:04:15Z");
    world_close(&w);
}

static void a_pod_that_was_refused_processes_says_so(void **state)
{
    (void)state;
    struct world w;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    world_open(&w, ONE);
    up_to_containers(&w);
    run_container(&w, "web");
    assert_false(pod_forks_refused(w.pod, 0, 1000));
    struct value *list = value_get(status_document(w.pod, 1000, &a), "conditions");
    assert_null(value_find(list, "type", STR("reeve.io/PidsLimit")));
    assert_true(pod_forks_refused(w.pod, 7, 86400000));
    assert_false(pod_forks_refused(w.pod, 7, 90000000)); /* no more than before */
    assert_false(pod_forks_refused(w.pod, 3, 90000000)); /* a group of it is gone */
    list = value_get(status_document(w.pod, 90000000, &a), "conditions");
    const struct value *c = value_find(list, "type", STR("reeve.io/PidsLimit"));
    assert_non_null(c);
    assert_true(str_is(value_path_str(c, "status"), "True"));
    assert_true(str_is(value_path_str(c, "reason"), "ForksRefused"));
    assert_true(str_is(value_path_str(c, "lastTransitionTime"), "1970-01-02T00:00:00Z"));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_goes_through_volumes_sandbox_and_network_to_its_containers),
        cmocka_unit_test(init_containers_run_one_after_another),
        cmocka_unit_test(an_init_container_that_fails_is_tried_again_before_the_others),
        cmocka_unit_test(a_failed_init_container_with_restart_policy_never_fails_the_pod),
        cmocka_unit_test(a_sidecar_runs_beside_the_containers_and_ends_after_them),
        cmocka_unit_test(a_missing_config_map_keeps_the_pod_waiting_until_it_comes),
        cmocka_unit_test(a_runtime_that_the_node_lacks_keeps_the_pod_waiting),
        cmocka_unit_test(a_sandbox_that_fails_is_made_again_later),
        cmocka_unit_test(deletion_stops_the_containers_and_gives_everything_back),
        cmocka_unit_test(a_pod_leaves_its_services_before_a_container_gets_its_signal),
        cmocka_unit_test(containers_that_ignore_the_stop_signal_are_killed_after_the_grace_period),
        cmocka_unit_test(a_shorter_grace_period_given_later_counts),
        cmocka_unit_test(deletion_while_the_sandbox_is_made_waits_for_the_answer),
        cmocka_unit_test(deletion_while_a_container_starts_stops_it_afterwards),
        cmocka_unit_test(a_pod_whose_containers_succeed_is_succeeded_and_keeps_their_logs),
        cmocka_unit_test(a_pod_deleted_while_it_is_being_cleaned_loses_its_logs_too),
        cmocka_unit_test(a_pod_past_its_active_deadline_fails),
        cmocka_unit_test(an_evicted_pod_fails_with_hardly_any_grace_and_does_not_restart),
        cmocka_unit_test(a_pod_that_goes_for_its_node_is_a_target_of_disruption),
        cmocka_unit_test(a_pod_the_node_does_not_take_fails_without_a_start),
        cmocka_unit_test(a_failing_clean_up_step_is_tried_again_and_given_up_in_the_end),
        cmocka_unit_test(an_adopted_pod_goes_on_without_a_start),
        cmocka_unit_test(an_adopted_pod_that_was_deleted_meanwhile_is_stopped),
        cmocka_unit_test(after_a_power_cut_containers_run_again_with_the_next_attempt),
        cmocka_unit_test(after_a_power_cut_a_pod_that_may_not_restart_has_failed),
        cmocka_unit_test(a_pod_that_had_finished_gives_back_what_is_left),
        cmocka_unit_test(a_changed_image_restarts_the_container_with_it),
        cmocka_unit_test(conditions_keep_the_time_of_their_last_change),
        cmocka_unit_test(a_pod_that_was_refused_processes_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
