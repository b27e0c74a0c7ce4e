#include "tests/unit/agent_fakes.h"

#define WEB(more) "'containers':[{'name':'web','image':'nginx'" more "}]"

static void a_container_that_keeps_failing_restarts_with_growing_pauses(void **state)
{
    (void)state;
    static const int64_t pauses[] = {0, 10000, 20000, 40000, 80000, 160000, 300000, 300000};
    struct world w;
    world_open(&w, WEB(""));
    up_to_containers(&w);
    for (unsigned i = 0; i < ARRAY_SIZE(pauses); i++) {
        run_container(&w, "web");
        buf_reset(&w.orders);
        has_exited(&w, "web", 1);
        if (pauses[i] > 0) {
            assert_status(&w, "containerStatuses.web.state.waiting.reason", "CrashLoopBackOff");
            assert_status(&w, "containerStatuses.web.lastState.terminated.exitCode", "1");
            pass_ms(&w, pauses[i] - 1);
            expect_orders(&w, "");
            pass_ms(&w, 1);
        }
        expect_orders(&w, "pull web");
        assert_int_equal(box(&w, "web")->attempt, i);
    }
    assert_event(&w, "!BackOff: Back-off restarting failed container web in pod web_default(u1)");
    world_close(&w);
}

static void ten_minutes_of_running_make_the_pause_short_again(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(""));
    up_to_containers(&w);
    run_container(&w, "web");
    has_exited(&w, "web", 1);
    run_container(&w, "web");
    has_exited(&w, "web", 1);
    pass_ms(&w, 10000);
    run_container(&w, "web");
    pass_ms(&w, 601000);
    buf_reset(&w.orders);
    has_exited(&w, "web", 1);
    expect_orders(&w, "pull web");
    world_close(&w);
}

static void restart_policies_decide_by_the_exit_code(void **state)
{
    (void)state;
    struct podspec_container app = {0}, init = {.is_init = true}, sidecar = {.is_init = true, .is_sidecar = true};
    const struct {
        enum podspec_restart policy;
        const struct podspec_container *c;
        int exit_code;
        bool killed, again;
    } rows[] = {
        {PODSPEC_ALWAYS, &app, 0, false, true},      {PODSPEC_ALWAYS, &app, 1, false, true},
        {PODSPEC_ON_FAILURE, &app, 0, false, false}, {PODSPEC_ON_FAILURE, &app, 1, false, true},
        {PODSPEC_ON_FAILURE, &app, 0, true, true},   {PODSPEC_NEVER, &app, 1, false, false},
        {PODSPEC_NEVER, &app, 0, true, false},       {PODSPEC_ALWAYS, &init, 0, false, false},
        {PODSPEC_ALWAYS, &init, 1, false, true},     {PODSPEC_NEVER, &init, 1, false, false},
        {PODSPEC_NEVER, &sidecar, 0, false, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(container_restarts(rows[i].policy, rows[i].c, rows[i].exit_code, rows[i].killed),
                         rows[i].again);
    }
}

static void a_missing_image_shows_the_error_and_then_the_back_off(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(""));
    up_to_containers(&w);
    image_missing(&w, "web");
    assert_status(&w, "containerStatuses.web.state.waiting.reason", "ErrImagePull");
    assert_status(&w, "containerStatuses.web.state.waiting.message", "no such image");
    assert_event(&w, "!Failed: Failed to pull image \"nginx\": no such image");
    pass_ms(&w, CONTAINER_PULL_ERROR_MS);
    assert_status(&w, "containerStatuses.web.state.waiting.reason", "ImagePullBackOff");
    assert_event(&w, "BackOff: Back-off pulling image \"nginx\"");
    assert_event(&w, "!Failed: Error: ImagePullBackOff");
    expect_orders(&w, "");
    pass_ms(&w, 10000 - CONTAINER_PULL_ERROR_MS);
    expect_orders(&w, "pull web");
    image_missing(&w, "web");
    pass_ms(&w, CONTAINER_PULL_ERROR_MS);
    pass_ms(&w, 10000);
    expect_orders(&w, "");
    pass_ms(&w, 10000 - CONTAINER_PULL_ERROR_MS);
    expect_orders(&w, "pull web");
    run_container(&w, "web");
    assert_status(&w, "phase", "Running");
    world_close(&w);
}

static void a_loaded_image_ends_the_back_off(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(""));
    up_to_containers(&w);
    image_missing(&w, "web");
    pass_ms(&w, CONTAINER_PULL_ERROR_MS);
    expect_orders(&w, "");
    pod_images_changed(w.pod);
    expect_orders(&w, "pull web");
    run_container(&w, "web");
    pod_images_changed(w.pod);
    expect_orders(&w, "start web/0");
    world_close(&w);
}

static void a_missing_secret_is_a_config_error_until_it_comes(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(""));
    up_to_containers(&w);
    pass_ms(&w, CONTAINER_REFS_GRACE_MS);
    w.start_error = ERR_NOT_FOUND;
    w.error_message = "secret \"key\" not found";
    image_there(&w, "web");
    assert_status(&w, "containerStatuses.web.state.waiting.reason", "CreateContainerConfigError");
    assert_status(&w, "containerStatuses.web.state.waiting.message", "secret \"key\" not found");
    assert_event(&w, "!Failed: Error: secret \"key\" not found");
    w.start_error = 0;
    pod_refs_changed(w.pod);
    run_container(&w, "web");
    assert_status(&w, "phase", "Running");
    world_close(&w);
}

static void a_pull_waits_a_moment_for_its_secret(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(""));
    w.secrets_lack = true;
    up_to_containers(&w);
    expect_orders(&w, "");
    assert_status(&w, "containerStatuses.web.state.waiting.reason", "ContainerCreating");
    w.secrets_lack = false; /* it comes behind the pod */
    pod_refs_changed(w.pod);
    expect_orders(&w, "pull web, update volumes");
    world_close(&w);
    /* One that never comes is not waited for: the registry may let it be pulled. */
    world_open(&w, WEB(""));
    w.secrets_lack = true;
    up_to_containers(&w);
    expect_orders(&w, "");
    pass_ms(&w, CONTAINER_REFS_GRACE_MS);
    expect_orders(&w, "pull web");
    run_container(&w, "web");
    has_exited(&w, "web", 1);
    expect_orders(&w, "start web/0, pull web"); /* and not again */
    world_close(&w);
}

static void a_pull_tells_how_far_it_is_until_it_is_over(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(""));
    up_to_containers(&w);
    container_on_pull_step(box(&w, "web"), 20, xstrdup("Pulling image \"nginx\": 1.0 of 5.0 MB (20 %)"));
    assert_status(&w, "containerStatuses.web.state.waiting.reason", "ContainerCreating");
    assert_status(&w, "containerStatuses.web.state.waiting.message", "Pulling image \"nginx\": 1.0 of 5.0 MB (20 %)");
    image_there(&w, "web");
    assert_null(box(&w, "web")->message);
    world_close(&w);
}

static void a_login_in_an_image_name_is_told_to_nobody(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'containers':[{'name':'web','image':'ann:sesame@reg.example/x'}]");
    up_to_containers(&w);
    image_missing(&w, "web");
    pass_ms(&w, CONTAINER_PULL_ERROR_MS);
    assert_event(&w, "!Failed: Failed to pull image \"***@reg.example/x\"");
    assert_event(&w, "Back-off pulling image \"***@reg.example/x\"");
    assert_no_event(&w, "sesame");
    assert_status(&w, "containerStatuses.web.state.waiting.message", "Back-off pulling image \"***@reg.example/x\"");
    world_close(&w);
}

static void a_program_that_cannot_be_run_counts_as_an_end(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'restartPolicy':'Never'," WEB(""));
    up_to_containers(&w);
    image_there(&w, "web");
    not_started(&w, "web", "RunContainerError", "exec /nope: no such file");
    assert_status(&w, "containerStatuses.web.state.terminated.reason", "ContainerCannotRun");
    assert_status(&w, "containerStatuses.web.state.terminated.exitCode", "128");
    assert_status(&w, "phase", "Failed");
    world_close(&w);
}

static void a_container_that_cannot_be_created_is_tried_again(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(""));
    up_to_containers(&w);
    image_there(&w, "web");
    not_started(&w, "web", "CreateContainerError", "no space left");
    assert_status(&w, "containerStatuses.web.state.waiting.reason", "CreateContainerError");
    buf_reset(&w.orders);
    pass_ms(&w, 10000);
    expect_orders(&w, "pull web");
    run_container(&w, "web");
    assert_status(&w, "containerStatuses.web.restartCount", "0");
    world_close(&w);
}

static void the_message_of_an_oom_kill_is_shown(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'restartPolicy':'Never'," WEB(""));
    up_to_containers(&w);
    run_container(&w, "web");
    struct runtime_status st = {.attempt = 0,
                                .state = RUNTIME_EXITED,
                                .exit_code = 137,
                                .signal = 9,
                                .oom_killed = true,
                                .reason = "OOMKilled",
                                .message = "goodbye"};
    container_on_exit(box(&w, "web"), &st);
    assert_status(&w, "containerStatuses.web.state.terminated.reason", "OOMKilled");
    assert_status(&w, "containerStatuses.web.state.terminated.message", "goodbye");
    assert_status(&w, "containerStatuses.web.state.terminated.signal", "9");
    world_close(&w);
}

#define LIVENESS                                                                                                       \
    ",'livenessProbe':{'exec':{'command':['true']},'periodSeconds':5,'failureThreshold':2,'initialDelaySeconds':3}"

static void failing_liveness_restarts_the_container(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(LIVENESS));
    up_to_containers(&w);
    run_container(&w, "web");
    buf_reset(&w.orders);
    struct container *c = box(&w, "web");
    pass_ms(&w, 2999);
    expect_orders(&w, "");
    pass_ms(&w, 1);
    expect_orders(&w, "probe web Liveness");
    container_on_probe(c, PODSPEC_LIVENESS, c->token, false, "exit 1");
    assert_event(&w, "!Unhealthy: Liveness probe failed: exit 1");
    pass_ms(&w, 5000);
    expect_orders(&w, "probe web Liveness");
    container_on_probe(c, PODSPEC_LIVENESS, c->token, false, "exit 1");
    expect_orders(&w, "term web");
    assert_event(&w, "Killing: Container web failed liveness probe, will be restarted");
    has_exited(&w, "web", 0);
    run_container(&w, "web");
    assert_status(&w, "containerStatuses.web.restartCount", "1");
    world_close(&w);
}

static void an_answer_to_a_probe_of_the_former_attempt_changes_nothing(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(",'livenessProbe':{'exec':{'command':['true']},'failureThreshold':1}"));
    up_to_containers(&w);
    run_container(&w, "web");
    struct container *c = box(&w, "web");
    pass_ms(&w, PROBE_FIRST_MS);
    unsigned token = c->token;
    has_exited(&w, "web", 1);
    run_container(&w, "web");
    pass_ms(&w, PROBE_FIRST_MS);
    container_on_probe(c, PODSPEC_LIVENESS, token, false, "late");
    assert_int_equal(c->state, CONTAINER_RUNNING);
    world_close(&w);
}

static void a_container_is_ready_only_after_its_readiness_probe(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(",'readinessProbe':{'tcpSocket':{'port':80},'failureThreshold':1}"));
    up_to_containers(&w);
    run_container(&w, "web");
    struct container *c = box(&w, "web");
    assert_status(&w, "containerStatuses.web.ready", "false");
    pass_ms(&w, PROBE_FIRST_MS);
    container_on_probe(c, PODSPEC_READINESS, c->token, true, "");
    assert_status(&w, "conditions.Ready.status", "True");
    pass_ms(&w, 10000);
    container_on_probe(c, PODSPEC_READINESS, c->token, false, "refused");
    assert_status(&w, "conditions.ContainersReady.status", "False");
    assert_status(&w, "phase", "Running");
    world_close(&w);
}

static void readiness_is_probed_every_period_also_before_the_first_success(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(",'readinessProbe':{'tcpSocket':{'port':80},'periodSeconds':7}"));
    up_to_containers(&w);
    run_container(&w, "web");
    struct container *c = box(&w, "web");
    buf_reset(&w.orders);
    pass_ms(&w, PROBE_FIRST_MS);
    for (int i = 0; i < 5; i++) {
        expect_orders(&w, "probe web Readiness");
        container_on_probe(c, PODSPEC_READINESS, c->token, i == 3, "");
        assert_status(&w, "conditions.Ready.status", i >= 3 ? "True" : "False");
        pass_ms(&w, 6999);
        expect_orders(&w, "");
        pass_ms(&w, 1);
    }
    expect_orders(&w, "probe web Readiness");
    world_close(&w);
}

static void readiness_is_looked_at_to_the_end_and_liveness_is_not(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(",'readinessProbe':{'tcpSocket':{'port':80},'failureThreshold':1,'periodSeconds':2},"
                       "'livenessProbe':{'tcpSocket':{'port':80},'failureThreshold':1,'periodSeconds':2}"));
    up_to_containers(&w);
    run_container(&w, "web");
    struct container *c = box(&w, "web");
    pass_ms(&w, PROBE_FIRST_MS);
    container_on_probe(c, PODSPEC_LIVENESS, c->token, true, "");
    container_on_probe(c, PODSPEC_READINESS, c->token, true, "");
    assert_status(&w, "conditions.Ready.status", "True");
    pod_delete(w.pod, false);
    buf_reset(&w.orders);
    pass_ms(&w, 2000);
    expect_orders(&w, "probe web Readiness");
    container_on_probe(c, PODSPEC_READINESS, c->token, false, "refused");
    assert_status(&w, "conditions.Ready.status", "False");
    has_exited(&w, "web", 0);
    buf_reset(&w.orders);
    pass_ms(&w, 5000);
    expect_orders(&w, "");
    world_close(&w);
}

static void a_readiness_probe_in_flight_at_the_pre_stop_hook_is_made_again(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(",'readinessProbe':{'tcpSocket':{'port':80},'periodSeconds':2,'failureThreshold':1},"
                       "'lifecycle':{'preStop':{'exec':{'command':['x']}}}"));
    up_to_containers(&w);
    run_container(&w, "web");
    struct container *c = box(&w, "web");
    pass_ms(&w, PROBE_FIRST_MS);
    container_on_probe(c, PODSPEC_READINESS, c->token, true, "");
    pass_ms(&w, 2000);
    unsigned before = c->token;
    pod_delete(w.pod, false);
    container_on_probe(c, PODSPEC_READINESS, before, false, "late");
    assert_status(&w, "conditions.Ready.status", "True");
    buf_reset(&w.orders);
    pass_ms(&w, 2000);
    expect_orders(&w, "probe web Readiness");
    container_on_probe(c, PODSPEC_READINESS, c->token, false, "refused");
    assert_status(&w, "conditions.Ready.status", "False");
    container_on_hook(c, c->token, true, "");
    has_exited(&w, "web", 0);
    world_close(&w);
}

static void other_probes_wait_for_the_startup_probe(void **state)
{
    (void)state;
    struct world w;
    world_open(
        &w,
        WEB(",'startupProbe':{'exec':{'command':['a']},'periodSeconds':1},'livenessProbe':{'exec':{'command':['b']}}"));
    up_to_containers(&w);
    run_container(&w, "web");
    buf_reset(&w.orders);
    struct container *c = box(&w, "web");
    pass_ms(&w, PROBE_FIRST_MS);
    expect_orders(&w, "probe web Startup");
    assert_status(&w, "containerStatuses.web.started", "false");
    container_on_probe(c, PODSPEC_STARTUP, c->token, true, "");
    assert_status(&w, "containerStatuses.web.started", "true");
    pass_ms(&w, PROBE_FIRST_MS);
    expect_orders(&w, "probe web Liveness");
    world_close(&w);
}

static void the_pre_stop_hook_runs_before_the_signal_within_the_grace_period(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'terminationGracePeriodSeconds':10," WEB(",'lifecycle':{'preStop':{'exec':{'command':['x']}}}"));
    up_to_containers(&w);
    run_container(&w, "web");
    buf_reset(&w.orders);
    struct container *c = box(&w, "web");
    pod_delete(w.pod, false);
    expect_orders(&w, "hook web");
    pass_ms(&w, 4000);
    container_on_hook(c, c->token, true, "");
    expect_orders(&w, "term web");
    pass_ms(&w, 6000);
    expect_orders(&w, "kill web");
    world_close(&w);
}

static void a_hook_that_hangs_leaves_two_seconds_for_the_signal(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'terminationGracePeriodSeconds':10," WEB(",'lifecycle':{'preStop':{'exec':{'command':['x']}}}"));
    up_to_containers(&w);
    run_container(&w, "web");
    pod_delete(w.pod, false);
    buf_reset(&w.orders);
    pass_ms(&w, 10000);
    expect_orders(&w, "term web");
    pass_ms(&w, 2000);
    expect_orders(&w, "kill web");
    world_close(&w);
}

static void a_failing_post_start_hook_restarts_the_container(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(",'lifecycle':{'postStart':{'exec':{'command':['x']}}}"));
    up_to_containers(&w);
    run_container(&w, "web");
    expect_orders(&w, "start web/0, hook web");
    struct container *c = box(&w, "web");
    assert_status(&w, "containerStatuses.web.ready", "false");
    container_on_hook(c, c->token, false, "exit 2");
    assert_event(&w, "!FailedPostStartHook: PostStartHook failed: exit 2");
    expect_orders(&w, "term web");
    has_exited(&w, "web", 0);
    expect_orders(&w, "pull web");
    world_close(&w);
}

static void only_the_last_two_attempts_are_kept(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, WEB(""));
    up_to_containers(&w);
    for (int i = 0; i < 3; i++) {
        run_container(&w, "web");
        has_exited(&w, "web", 1);
        pass_ms(&w, 10000 << i);
    }
    assert_non_null(strstr(buf_cstr(&w.orders), "forget web/0"));
    assert_null(strstr(buf_cstr(&w.orders), "forget web/1"));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_container_that_keeps_failing_restarts_with_growing_pauses),
        cmocka_unit_test(ten_minutes_of_running_make_the_pause_short_again),
        cmocka_unit_test(restart_policies_decide_by_the_exit_code),
        cmocka_unit_test(a_missing_image_shows_the_error_and_then_the_back_off),
        cmocka_unit_test(a_loaded_image_ends_the_back_off),
        cmocka_unit_test(a_missing_secret_is_a_config_error_until_it_comes),
        cmocka_unit_test(a_pull_waits_a_moment_for_its_secret),
        cmocka_unit_test(a_pull_tells_how_far_it_is_until_it_is_over),
        cmocka_unit_test(a_login_in_an_image_name_is_told_to_nobody),
        cmocka_unit_test(a_program_that_cannot_be_run_counts_as_an_end),
        cmocka_unit_test(a_container_that_cannot_be_created_is_tried_again),
        cmocka_unit_test(the_message_of_an_oom_kill_is_shown),
        cmocka_unit_test(failing_liveness_restarts_the_container),
        cmocka_unit_test(an_answer_to_a_probe_of_the_former_attempt_changes_nothing),
        cmocka_unit_test(a_container_is_ready_only_after_its_readiness_probe),
        cmocka_unit_test(readiness_is_probed_every_period_also_before_the_first_success),
        cmocka_unit_test(readiness_is_looked_at_to_the_end_and_liveness_is_not),
        cmocka_unit_test(a_readiness_probe_in_flight_at_the_pre_stop_hook_is_made_again),
        cmocka_unit_test(other_probes_wait_for_the_startup_probe),
        cmocka_unit_test(the_pre_stop_hook_runs_before_the_signal_within_the_grace_period),
        cmocka_unit_test(a_hook_that_hangs_leaves_two_seconds_for_the_signal),
        cmocka_unit_test(a_failing_post_start_hook_restarts_the_container),
        cmocka_unit_test(only_the_last_two_attempts_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
