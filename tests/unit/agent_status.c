#include "tests/unit/agent_fakes.h"

#define TWO "'containers':[{'name':'web','image':'nginx'},{'name':'app','image':'flask'}]"

static void a_pod_that_waits_names_its_reason_and_its_class(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, TWO);
    assert_status(&w, "phase", "Pending");
    assert_status(&w, "qosClass", "BestEffort");
    assert_status(&w, "hostIP", "192.0.2.1");
    assert_status(&w, "podIP", "<none>");
    assert_status(&w, "containerStatuses.web.state", "{\"waiting\":{\"reason\":\"ContainerCreating\"}}");
    assert_status(&w, "containerStatuses.web.imageID", "");
    assert_status(&w, "conditions.Initialized.status", "True");
    assert_status(&w, "conditions.Ready.message", "containers with unready status: [web app]");
    world_close(&w);
}

static void a_running_container_has_its_ids_and_times(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, TWO);
    up_to_containers(&w);
    run_container(&w, "web");
    assert_status(&w, "startTime", "2026-01-02T03:04:05Z");
    assert_status(&w, "containerStatuses.web.state", "{\"running\":{\"startedAt\":\"2026-01-02T03:04:05Z\"}}");
    assert_status(&w, "containerStatuses.web.containerID", "crun://u1_web_0");
    assert_status(&w, "containerStatuses.web.imageID", "sha256:aa");
    assert_status(&w, "containerStatuses.web.lastState", "{}");
    assert_status(&w, "containerStatuses.app.containerID", "<none>");
    assert_status(&w, "podIPs", "[{\"ip\":\"10.1.0.5\"}]");
    world_close(&w);
}

static void phases_follow_containers_and_policy(void **state)
{
    (void)state;
    static const struct {
        const char *policy;
        int web, app; /* exit codes; -1 = runs */
        const char *phase;
    } rows[] = {
        {"Always", -1, -1, "Running"},    {"Always", 0, 0, "Running"},    {"Always", 1, -1, "Running"},
        {"OnFailure", 0, 0, "Succeeded"}, {"OnFailure", 0, 1, "Running"}, {"OnFailure", 0, -1, "Running"},
        {"Never", 0, 0, "Succeeded"},     {"Never", 0, 1, "Failed"},      {"Never", 1, -1, "Running"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w;
        CLEANUP_FREE char *spec = xasprintf("'restartPolicy':'%s'," TWO, rows[i].policy);
        world_open(&w, spec);
        up_to_containers(&w);
        run_container(&w, "web");
        run_container(&w, "app");
        if (rows[i].web >= 0) {
            has_exited(&w, "web", rows[i].web);
        }
        if (rows[i].app >= 0) {
            has_exited(&w, "app", rows[i].app);
        }
        assert_status(&w, "phase", rows[i].phase);
        world_close(&w);
    }
}

static void conditions_of_others_are_kept(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.pod = pod_new(&w.node, spec_with("", TWO,
                                       "'conditions':[{'type':'PodScheduled','status':'True',"
                                       "'lastTransitionTime':'2026-01-01T00:00:00Z'},{'type':'Ready','status':'False',"
                                       "'lastTransitionTime':'2026-01-01T00:00:01Z'}]"));
    assert_status(&w, "conditions.PodScheduled.lastTransitionTime", "2026-01-01T00:00:00Z");
    assert_status(&w, "conditions.Ready.lastTransitionTime", "2026-01-01T00:00:01Z"); /* unchanged since */
    world_close(&w);
}

static void a_readiness_gate_holds_the_pod_back(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "'readinessGates':[{'conditionType':'lb/ok'}]," TWO);
    up_to_containers(&w);
    run_container(&w, "web");
    run_container(&w, "app");
    assert_status(&w, "conditions.ContainersReady.status", "True");
    assert_status(&w, "conditions.Ready.reason", "ReadinessGatesNotReady");
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_that_waits_names_its_reason_and_its_class),
        cmocka_unit_test(a_running_container_has_its_ids_and_times),
        cmocka_unit_test(phases_follow_containers_and_policy),
        cmocka_unit_test(conditions_of_others_are_kept),
        cmocka_unit_test(a_readiness_gate_holds_the_pod_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
