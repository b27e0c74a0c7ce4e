/* A pod that takes all it can get, beside a healthy one whose probes go on: processes, memory, its log. */
#include "tests/unit/agent_runtime_crun.h"

#include "base/env.h"

#include <sys/stat.h>

#define HEALTHY "healthy-pod"
#define PROBES  5

static const char *const probe[] = {"sh", "-c", "test -d /proc/1 && echo fine", NULL};

/* The neighbour: its own group, otherwise the same pod's surroundings. */
static void start_healthy(struct fixture *f, struct runtime_spec *s, char id[RUNTIME_ID_MAX])
{
    static char group[CGROUP_PATH_MAX], log[160];
    struct error err = {0};
    struct cgroup_limits limits = {.pids_max = 1024};
    if (cgroup_pod_make(f->cgroup, HEALTHY, &limits, group, &err) != 0) {
        fail_msg("%s", err.message);
    }
    crun_spec(f, s);
    snprintf(log, sizeof log, "%s/logs/h/0.log", f->dir);
    s->name = "healthy";
    s->cgroup_parent = group;
    s->log_path = log;
    start(f, s, sleeper);
    assert_string_equal(f->start_message, "");
    runtime_container_id(id, POD, "healthy", 0);
    snprintf(f->id, sizeof f->id, "%s", id); /* base_spec's is of "c" */
}

static void probes_pass(struct fixture *f, const char *id)
{
    for (unsigned i = 0; i < PROBES; i++) {
        run_inside(f, id, probe, 60000);
        assert_int_equal(f->exec_code, 0);
    }
}

static void end_healthy(struct fixture *f, const char *id)
{
    snprintf(f->id, sizeof f->id, "%s", id);
    kill_it(f, SIGKILL);
    remove_it(f);
    f->dones = 0;
    cgroup_pod_remove(f->cgroup, HEALTHY, on_done, f);
    wait_for(f, &f->dones, 1);
    assert_int_equal(f->done_error, 0);
}

static void limit_pod(struct fixture *f, const struct cgroup_limits *limits)
{
    char path[CGROUP_PATH_MAX];
    assert_int_equal(cgroup_pod_make(f->cgroup, POD, limits, path, NULL), 0);
}

static void a_fork_bomb_is_its_own_pods_trouble(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s, h;
    char id[RUNTIME_ID_MAX];
    const char *bomb[] = {"sh", "-c", "while :; do sleep 100 & done", NULL};
    start_healthy(f, &h, id);
    limit_pod(f, &(struct cgroup_limits){.pids_max = 200});
    crun_spec(f, &s);
    start(f, &s, bomb);
    struct cgroup_usage u = {0};
    for (int64_t until = env_now_ms(env_real()) + 60000; u.pids < 190 && f->exits == 0;) {
        assert_true(env_now_ms(env_real()) < until); /* until it is full, or the shell has given up */
        assert_int_equal(cgroup_usage(f->cgroup, f->cgroup_path, &u, NULL), 0);
        probes_pass(f, id);
    }
    assert_true(u.pids <= 200);
    assert_int_equal(cgroup_pod_forks_refused(f->cgroup, HEALTHY), 0);
    assert_true(cgroup_pod_forks_refused(f->cgroup, POD) > 0);
    probes_pass(f, id);
    if (f->exits == 0) {
        kill_it(f, SIGKILL);
    }
    end_healthy(f, id);
}

static void a_pod_without_memory_dies_alone(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s, h;
    char id[RUNTIME_ID_MAX];
    const char *hog[] = {"sh", "-c", "a=xxxxxxxx; while :; do a=$a$a; done", NULL};
    start_healthy(f, &h, id);
    limit_pod(
        f, &(struct cgroup_limits){.memory_bytes = 24 << 20, .pids_max = 200}); /* of the pod, not of the container */
    crun_spec(f, &s);
    start(f, &s, hog);
    probes_pass(f, id);
    wait_for(f, &f->exits, 1);
    assert_true(f->oom);
    assert_string_equal(f->reason, "OOMKilled"); /* so its status says */
    probes_pass(f, id);
    end_healthy(f, id);
}

static uint64_t logs_size(struct fixture *f, const char *name)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < 10; i++) {
        char path[FS_PATH_MAX];
        struct stat st;
        snprintf(path, sizeof path, i == 0 ? "%s/logs/%s/0.log" : "%s/logs/%s/0.log.%u", f->dir, name, i);
        if (stat(path, &st) == 0) {
            assert_true(st.st_size <= 2 * RUNTIME_LOG_MAX + (64 << 10));
            sum += (uint64_t)st.st_size;
        }
    }
    return sum;
}

static void a_flood_of_a_log_does_not_outrun_its_rotation(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s, h;
    char id[RUNTIME_ID_MAX];
    /* 128 MiB, far more than may lie there, faster than anybody looks */
    const char *flood[] = {"sh", "-c",
                           "yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | head -c 134217728", NULL};
    start_healthy(f, &h, id);
    crun_spec(f, &s);
    start(f, &s, flood);
    uint64_t most = 0;
    while (f->exits == 0) {
        probes_pass(f, id);
        uint64_t size = logs_size(f, "c");
        most = MAX(most, size);
    }
    print_message("a log of 128 MiB took at most %llu MiB\n", (unsigned long long)most >> 20);
    assert_int_equal(f->exit_code, 0);
    assert_true(logs_size(f, "c") <= (uint64_t)2 * RUNTIME_LOG_MAX * RUNTIME_LOG_FILES);
    end_healthy(f, id);
}

/* User and system time of a process. */
static unsigned long process_cpu_ms(int pid)
{
    char path[64], line[1024];
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    assert_true(fs_read_line(path, line, sizeof line));
    const char *at = strrchr(line, ')');
    assert_true(at != NULL &&
                sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) == 2);
    return (user + kernel) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK);
}

static uint64_t cpu_ms_of(struct fixture *f, const char *group)
{
    struct cgroup_usage u = {0};
    assert_int_equal(cgroup_usage(f->cgroup, group, &u, NULL), 0);
    return u.cpu_ns / 1000000;
}

/* A line costs who writes it to the log far more than who says it, and that is the same pod. */
static void a_flood_of_lines_is_written_on_its_pods_time(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    char group[CGROUP_PATH_MAX], path[FS_PATH_MAX], line[256];
    const char *flood[] = {"sh", "-c", "yes '' | head -c 4000000; exec sleep 60", NULL};
    crun_spec(f, &s);
    start(f, &s, flood);
    assert_string_equal(f->start_message, "");
    fs_path(group, sizeof group, "%s/%s", f->cgroup_path, f->id);
    fs_path(path, sizeof path, "%s/rt/containers/%s/conmon.pid", f->dir, f->id);
    assert_true(fs_read_line(path, line, sizeof line));
    int conmon = atoi(line);
    for (int64_t until = env_now_ms(env_real()) + 60000; process_cpu_ms(conmon) < 100;) {
        assert_true(env_now_ms(env_real()) < until);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    uint64_t own = cpu_ms_of(f, group), whole = cpu_ms_of(f, f->cgroup_path);
    print_message("container %llu ms, its pod %llu ms\n", (unsigned long long)own, (unsigned long long)whole);
    assert_true(whole >= own + 50);
}

/* Who writes the log also keeps the exit code: it is there in the end, however little time the pod has. */
static void a_pod_with_hardly_any_time_still_ends_with_its_code(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *flood[] = {"sh", "-c", "yes '' | head -c 100000; exit 7", NULL};
    limit_pod(f, &(struct cgroup_limits){.cpu_quota_us = 2000, .cpu_period_us = 100000});
    crun_spec(f, &s);
    start(f, &s, flood);
    assert_string_equal(f->start_message, "");
    wait_for(f, &f->exits, 1);
    assert_int_equal(f->exit_code, 7);
}

int main(void)
{
    have_crun = enter_private_mounts();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_fork_bomb_is_its_own_pods_trouble, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_pod_without_memory_dies_alone, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_flood_of_a_log_does_not_outrun_its_rotation, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_flood_of_lines_is_written_on_its_pods_time, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_pod_with_hardly_any_time_still_ends_with_its_code, crun_setup, crun_teardown),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
