/* Containers through crun and conmon: how they start, end, are adopted and removed. */
#include "tests/unit/agent_runtime_crun.h"
#include "base/env.h"

#include <sys/stat.h>

static void a_container_runs_logs_and_exits(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *cmd[] = {"sh", "-c", "echo out; echo err >&2; echo why >/dev/termination-log; hostname; exit 5", NULL};
    crun_spec(f, &s);
    start(f, &s, cmd);
    assert_string_equal(f->start_message, "");
    wait_for(f, &f->exits, 1);
    assert_int_equal(f->exit_code, 5);
    assert_string_equal(f->reason, "Error");
    assert_string_equal(f->message, "why\n");
    CLEANUP_FREE char *log = read_log(f);
    assert_non_null(strstr(log, " stdout F out\n"));
    assert_non_null(strstr(log, " stderr F err\n"));
    assert_non_null(strstr(log, " stdout F testpod\n"));
    struct runtime_status st;
    assert_true(runtime_get(f->rt, f->id, &st));
    assert_int_equal(st.state, RUNTIME_EXITED);
    remove_it(f);
    assert_int_equal(f->exits, 1);
}

static void a_signal_ends_a_container(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *cmd[] = {"sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done", NULL};
    crun_spec(f, &s);
    start(f, &s, cmd);
    /* the trap must be there before the signal */
    const char *probe[] = {"sh", "-c", "until grep -q 'SigCgt.*[4-7]...$' /proc/1/status; do sleep 0.02; done", NULL};
    run_inside(f, f->id, probe, 10000);
    kill_it(f, SIGTERM);
    assert_int_equal(f->exit_code, 7);
    remove_it(f);
    start(f, &s, sleeper);
    kill_it(f, SIGKILL);
    assert_int_equal(f->exit_code, 137);
    assert_int_equal(f->exit_signal, SIGKILL);
    assert_false(f->oom);
}

static void too_much_memory_is_an_oom_kill(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *cmd[] = {"sh", "-c", "a=xxxxxxxx; while :; do a=$a$a; done", NULL};
    crun_spec(f, &s);
    s.resources.memory_bytes = 16 << 20;
    start(f, &s, cmd);
    wait_for(f, &f->exits, 1);
    assert_int_equal(f->exit_code, 137);
    assert_true(f->oom);
    assert_string_equal(f->reason, "OOMKilled");
}

static void a_program_that_is_not_there_is_told(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *cmd[] = {"/no/such/program", NULL};
    crun_spec(f, &s);
    start(f, &s, cmd);
    assert_int_not_equal(f->start_error, 0);
    assert_string_equal(f->reason, "RunContainerError");
    assert_non_null(strstr(f->start_message, "/no/such/program"));
    struct runtime_status st;
    assert_false(runtime_get(f->rt, f->id, &st));
    s.security.run_as_non_root = true;
    s.security.run_as_user = 0;
    start(f, &s, cmd);
    assert_non_null(strstr(f->start_message, "non-root"));
    assert_string_equal(f->reason, "CreateContainerConfigError");
}

static void a_seccomp_profile_is_the_one_asked_for_or_there_is_no_container(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    char path[160];
    const char *mkdir_it[] = {"mkdir", "/dev/shm/made", NULL};
    crun_spec(f, &s);
    s.security.seccomp_localhost = "no/such.json";
    start(f, &s, sleeper);
    assert_string_equal(f->reason, "CreateContainerError");
    assert_non_null(strstr(f->start_message, "cannot load seccomp profile \"no/such.json\""));
    s.security.seccomp_localhost = "../../../../etc/passwd"; /* leads nowhere: above the directory there is nothing */
    start(f, &s, sleeper);
    assert_string_equal(f->reason, "CreateContainerError");

    snprintf(path, sizeof path, "%s/seccomp/mine.json", f->dir);
    assert_int_equal(fs_make_parent(path, 0755, NULL), 0);
    assert_int_equal(
        fs_write_file(path,
                      STR("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86_64\","
                          "\"SCMP_ARCH_AARCH64\"],\"syscalls\":[{\"names\":[\"mkdir\",\"mkdirat\"],\"action\":"
                          "\"SCMP_ACT_ERRNO\"}]}"),
                      0644, false, NULL),
        0);
    s.security.seccomp_localhost = "mine.json";
    start(f, &s, sleeper);
    assert_int_equal(f->start_error, 0);
    run_inside(f, f->id, mkdir_it, 20000);
    assert_non_null(strstr(f->exec_output, "Operation not permitted"));
    remove_it(f);

    assert_int_equal(fs_write_file(path, STR("{\"defaultAction\": \"ALLOW\"}"), 0644, false, NULL), 0);
    start(f, &s, sleeper);
    assert_string_equal(f->reason, "CreateContainerError");
    assert_non_null(strstr(f->start_message, "defaultAction \"ALLOW\" is no action of seccomp"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0644), 0); /* nobody waits for who writes into it */
    start(f, &s, sleeper);
    assert_string_equal(f->reason, "CreateContainerError");
    assert_non_null(strstr(f->start_message, "is not a regular file"));
}

static void what_is_mounted_below_a_read_only_mount_can_be_read_only_too(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    char outer[128], inner[140];
    const char *write_below[] = {"sh", "-c", "touch /outer/inner/x 2>&1 && echo written", NULL};
    snprintf(outer, sizeof outer, "%s/outer", f->dir);
    snprintf(inner, sizeof inner, "%s/inner", outer);
    assert_int_equal(fs_make_dirs(inner, 0777, NULL), 0);
    assert_int_equal(fs_mount("inner", inner, "tmpfs", 0, "mode=1777", NULL), 0);
    struct runtime_mount mounts[] = {usr, {.source = outer, .target = "/outer", .read_only = true}};
    crun_spec(f, &s);
    s.mounts = mounts;
    s.mounts_count = 2;
    start(f, &s, sleeper);
    run_inside(f, f->id, write_below, 20000);
    assert_string_equal(f->exec_output, "written\n");
    remove_it(f);
    mounts[1].read_only_below = true;
    start(f, &s, sleeper);
    assert_int_equal(f->start_error, 0);
    run_inside(f, f->id, write_below, 20000);
    assert_non_null(strstr(f->exec_output, "Read-only file system"));
}

static void done(const struct sandbox *sb, const struct error *err, void *data)
{
    struct fixture *f = data;
    assert_null(err);
    f->sb = *sb;
    f->dones++;
    uv_stop(&f->loop);
}

static bool says(struct fixture *f, const char *command, const char *text)
{
    const char *argv[] = {"sh", "-c", command, NULL};
    run_inside(f, f->id, argv, 20000);
    return strstr(f->exec_output, text) != NULL;
}

/* Until a command inside says so: nothing but the kernel is waited for. */
static void wait_inside(struct fixture *f, const char *command, const char *text)
{
    int64_t end = env_now_ms(env_real()) + 30000;
    while (!says(f, command, text)) {
        if (env_now_ms(env_real()) > end) {
            fail_msg("%s: waited in vain for %s, but: %s", command, text, f->exec_output);
        }
    }
}

static void containers_of_a_pod_can_share_their_processes(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct sandbox kept = f->sb;
    struct error err = {0};
    bool renewed;
    f->dones = 0;
    sandbox_make(f->sandboxes, &(struct sandbox_spec){.uid = "shared", .hostname = "h", .shared_pid = true}, done, f);
    wait_for(f, &f->dones, 1);
    int holder = f->sb.pause_pid;
    assert_true(holder > 1);
    assert_int_equal(cgroup_pod_place(f->cgroup, POD, "pause", holder, &err), 0);
    assert_int_equal(cgroup_pod_place(f->cgroup, POD, "pause", holder, &err), 0);
    struct sandbox found;
    assert_true(sandbox_find(f->sandboxes, "shared", &found));
    assert_int_equal(found.pause_pid, holder);

    const char *other[] = {"sh", "-c", "exec sleep 77", NULL};
    crun_spec(f, &s);
    s.name = "other";
    start(f, &s, other);
    assert_int_equal(f->start_error, 0);
    s.name = "c";
    const char *parent[] = {"sh", "-c", "sleep 88 & exec sleep 60", NULL};
    start(f, &s, parent);
    assert_int_equal(f->start_error, 0);
    wait_inside(f, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", "sleep 77");
    assert_true(says(f, "cat /proc/1/cmdline", "pause"));
    /* who shares the namespace gets nothing of the node by its holder */
    assert_true(says(f, "grep '^[UG]id' /proc/1/status", "65535"));
    assert_true(says(f, "grep CapEff /proc/1/status", "0000000000000000"));
    assert_true(says(f, "ls /proc/1/root/ 2>&1; cat /proc/1/exe 2>&1 | head -c 10", "ermission denied"));
    /* orphans are reaped: no zombie is left (what is between parentheses and Z in stat) */
    run_inside(f, f->id, (const char *const[]){"sh", "-c", "(sleep 0 & ) ; (true & )", NULL}, 20000);
    wait_inside(f, "cat /proc/[0-9]*/stat | grep -c ') Z ' || echo none", "none");

    /* the end of a container takes its children with it, and nobody else's */
    kill_it(f, SIGKILL);
    runtime_container_id(f->id, POD, "other", 0);
    wait_inside(f, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q 'sleep [8]8' || echo gone", "gone");
    assert_true(says(f, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", "sleep 77"));

    /* the holder is killed: all end, and it is made anew for those that are started again */
    unsigned exits = f->exits;
    kill(holder, SIGKILL);
    wait_for(f, &f->exits, exits + 1);
    assert_int_equal(f->exit_code, 137);
    assert_int_equal(sandbox_renew(f->sandboxes, &f->sb, &renewed, &err), 0);
    assert_true(renewed && f->sb.pause_pid != holder);
    assert_int_equal(sandbox_renew(f->sandboxes, &f->sb, &renewed, &err), 0);
    assert_false(renewed);
    s.sandbox = &f->sb;
    s.attempt = 1;
    s.name = "other";
    start(f, &s, other);
    assert_int_equal(f->start_error, 0);
    runtime_container_id(f->id, POD, "other", 1);
    assert_true(says(f, "cat /proc/1/cmdline", "pause"));

    holder = f->sb.pause_pid;
    f->dones = 0;
    sandbox_remove(f->sandboxes, "shared", on_done, f);
    wait_for(f, &f->dones, 1);
    assert_int_equal(f->done_error, 0);
    assert_int_equal(kill(holder, 0), -1);

    /* the agent was killed before it noted who holds the namespace */
    f->dones = 0;
    sandbox_make(f->sandboxes, &(struct sandbox_spec){.uid = "shared", .hostname = "h", .shared_pid = true}, done, f);
    wait_for(f, &f->dones, 1);
    holder = f->sb.pause_pid;
    char info[160];
    snprintf(info, sizeof info, "%s/sandboxes/shared/info", f->dir);
    assert_int_equal(unlink(info), 0);
    sandbox_remove(f->sandboxes, "shared", on_done, f);
    wait_for(f, &f->dones, 2);
    assert_int_equal(f->done_error, 0);
    assert_int_equal(kill(holder, 0), -1);
    f->sb = kept;
}

/* An ephemeral container and the one that it looks into. */
static void a_container_can_join_the_processes_of_another(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_status st;
    char path[64], target[RUNTIME_ID_MAX];
    const char *other[] = {"sh", "-c", "exec sleep 77", NULL};
    crun_spec(f, &s);
    s.name = "target";
    start(f, &s, other);
    assert_int_equal(f->start_error, 0);
    runtime_container_id(target, POD, "target", 0);
    assert_true(runtime_get(f->rt, target, &st));
    snprintf(path, sizeof path, "/proc/%d/ns/pid", st.pid);
    s.name = "c";
    s.pid_namespace = path;
    start(f, &s, sleeper);
    assert_int_equal(f->start_error, 0);
    assert_true(says(f, "tr '\\0' ' ' < /proc/1/cmdline", "sleep 77"));
    assert_true(says(f, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", "sleep 60"));

    /* its end is its own, with the target's it ends */
    kill_it(f, SIGKILL);
    assert_true(runtime_get(f->rt, target, &st) && st.state == RUNTIME_RUNNING);
    s.attempt = 1;
    start(f, &s, sleeper);
    assert_int_equal(f->start_error, 0);
    runtime_kill(f->rt, target, SIGKILL, on_done, f);
    wait_for(f, &f->exits, 3);

    /* whose processes are gone is no longer joined */
    s.attempt = 2;
    start(f, &s, sleeper);
    assert_int_not_equal(f->start_error, 0);
}

static void a_new_agent_adopts_what_runs_and_what_ended(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_status st;
    const char *brief[] = {"sh", "-c", "read x </dev/go; exit 6", NULL};
    char id0[RUNTIME_ID_MAX], id1[RUNTIME_ID_MAX];
    char fifo[128];
    snprintf(fifo, sizeof fifo, "%s/go", f->dir);
    assert_int_equal(mkfifo(fifo, 0666), 0);
    struct runtime_mount mounts[] = {usr, {.source = fifo, .target = "/dev/go"}};
    crun_spec(f, &s);
    s.note = "hash-1";
    s.mounts = mounts;
    s.mounts_count = 2;
    start(f, &s, sleeper);
    strcpy(id0, f->id);
    s.attempt = 1;
    start(f, &s, brief);
    runtime_container_id(id1, POD, "c", 1);
    close_runtime(f);
    /* the agent is away: one container ends */
    char cmd[512];
    snprintf(cmd, sizeof cmd, "echo >%s; while [ ! -s %s/rt/exits/%s ]; do sleep 0.02; done", fifo, f->dir, id1);
    assert_int_equal(system(cmd), 0);
    unsigned exits = f->exits;
    open_crun(f);
    assert_true(runtime_get(f->rt, id1, &st));
    assert_int_equal(st.state, RUNTIME_EXITED);
    assert_int_equal(st.exit_code, 6);
    assert_true(runtime_get(f->rt, id0, &st));
    assert_int_equal(st.state, RUNTIME_RUNNING);
    assert_string_equal(st.note, "hash-1");
    assert_string_equal(st.pod_uid, POD);
    runtime_kill(f->rt, id0, SIGKILL, on_done, f);
    wait_for(f, &f->exits, exits + 1);
    assert_int_equal(f->exit_code, 137);
}

static void a_container_whose_end_nobody_saw_is_found_out(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_status st;
    char path[512], text[32];
    crun_spec(f, &s);
    start(f, &s, sleeper);
    assert_true(runtime_get(f->rt, f->id, &st));
    int pid = st.pid;
    snprintf(path, sizeof path, "%s/rt/containers/%s/conmon.pid", f->dir, f->id);
    assert_true(fs_read_line(path, text, sizeof text));
    kill(atoi(text), SIGKILL);
    kill(pid, SIGKILL);
    wait_for(f, &f->exits, 1);
    assert_int_equal(f->exit_code, 255);
    assert_string_equal(f->reason, "ContainerStatusUnknown");
}

static void a_start_that_was_cut_off_is_cleaned_up(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    char path[256];
    struct runtime_status st;
    close_runtime(f);
    snprintf(path, sizeof path, "%s/rt/containers/half_c_0/state.json", f->dir);
    assert_int_equal(fs_make_parent(path, 0755, NULL), 0);
    assert_int_equal(fs_write_file(path, STR("{\"state\":\"starting\"}"), 0600, false, NULL), 0);
    open_crun(f);
    assert_false(runtime_get(f->rt, "half_c_0", &st));
    close_runtime(f); /* waits for the removal */
    assert_false(fs_exists(path));
    open_crun(f);
}

#define MANY 10u

static void many_containers_end_once_each(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    const char *cmd[] = {"sh", "-c", "exit 11", NULL};
    struct runtime_spec s;
    struct runtime_status st;
    char id[RUNTIME_ID_MAX];
    crun_spec(f, &s);
    s.command = cmd;
    for (unsigned i = 0; i < MANY; i++) {
        s.attempt = i;
        runtime_start(f->rt, &s, on_start, f);
    }
    wait_for(f, &f->starts, MANY);
    wait_for(f, &f->exits, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        runtime_container_id(id, POD, "c", i);
        assert_true(runtime_get(f->rt, id, &st));
        assert_int_equal(st.exit_code, 11);
        runtime_remove(f->rt, id, on_done, f);
    }
    wait_for(f, &f->dones, MANY);
    assert_int_equal(f->exits, MANY);
}

static void a_container_can_be_removed_while_it_runs_or_starts(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    crun_spec(f, &s);
    start(f, &s, sleeper);
    remove_it(f);
    assert_int_equal(f->exits, 0);
    runtime_start(f->rt, &s, on_start, f);
    runtime_remove(f->rt, f->id, on_done, f);
    wait_for(f, &f->dones, 2);
    assert_int_equal(f->starts, 2);
    assert_int_equal(f->start_error, ERR_CANCELED);
    struct runtime_status st;
    assert_false(runtime_get(f->rt, f->id, &st));
    assert_int_equal(f->exits, 0);
}

/* ---- Another runtime: crun, which writes down what it was asked for ---- */

#define OTHER "/tmp/reeve-other-runtime"

static int other_setup(void **state)
{
    static const struct runtime_handler other = {"other", OTHER};
    struct error err = {0};
    handler_of_test = &other;
    unlink(OTHER ".calls");
    assert_int_equal(fs_write_file(OTHER,
                                   STR("#!/bin/sh\n[ $# = 0 ] || echo \"$@\" >>" OTHER ".calls\n"
                                       "exec /usr/bin/crun \"$@\"\n"),
                                   0755, false, &err),
                     0);
    return crun_setup(state);
}

static int other_teardown(void **state)
{
    int rv = crun_teardown(state);
    handler_of_test = NULL;
    unlink(OTHER);
    unlink(OTHER ".calls");
    return rv;
}

static bool was_asked(const char *verb)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(fs_read_file(OTHER ".calls", 1 << 20, &b, NULL), 0);
    return strstr(buf_cstr(&b), verb) != NULL;
}

static void a_container_of_another_runtime_is_run_by_that_one_alone(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_status st;
    char config[FS_PATH_MAX];
    crun_spec(f, &s);
    s.handler = "nobody";
    start(f, &s, sleeper);
    assert_non_null(strstr(f->start_message, "no runtime for \"nobody\" is configured"));
    assert_string_equal(f->reason, "CreateContainerError");
    s.handler = "other";
    start(f, &s, sleeper);
    assert_string_equal(f->start_message, "");
    assert_true(was_asked(" create ") && was_asked(" start "));
    assert_true(says(f, "echo inside", "inside"));
    assert_true(was_asked(" exec "));
    /* A new agent knows by which, and what it needs to run commands in it. */
    close_runtime(f);
    open_crun(f);
    assert_true(runtime_get(f->rt, f->id, &st));
    assert_string_equal(st.handler, "other");
    assert_int_equal(st.state, RUNTIME_RUNNING);
    assert_true(says(f, "echo again", "again"));
    /* One that is not given it any more runs nothing else in its place, but can take the container away. */
    close_runtime(f);
    handler_of_test = NULL;
    open_crun(f);
    const char *echo[] = {"echo", "x", NULL};
    run_inside(f, f->id, echo, 20000);
    assert_int_equal(f->exec_error, ERR_UNSUPPORTED);
    assert_false(was_asked(" delete "));
    /* What an agent left that ended in the middle of a removal goes; that of a container stays. */
    char left[FS_PATH_MAX];
    struct error err = {0};
    fs_path(left, sizeof left, "%s/bundle-gone_c_0.json", f->run);
    assert_int_equal(fs_write_file(left, STR("{}"), 0600, false, &err), 0);
    close_runtime(f);
    open_crun(f);
    assert_false(fs_exists(left));
    fs_path(config, sizeof config, "%s/bundle-%s.json", f->run, f->id);
    assert_true(fs_exists(config));
    remove_it(f);
    assert_false(fs_exists(config));
    assert_false(runtime_get(f->rt, f->id, &st));
}

static void another_runtime_deletes_what_it_made(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    crun_spec(f, &s);
    s.handler = "other";
    start(f, &s, sleeper);
    kill_it(f, SIGKILL);
    assert_int_equal(f->exit_code, 137);
    remove_it(f);
    assert_true(was_asked(" delete --force "));
}

int main(void)
{
    have_crun = enter_private_mounts();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_container_runs_logs_and_exits, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_signal_ends_a_container, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(too_much_memory_is_an_oom_kill, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_program_that_is_not_there_is_told, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_seccomp_profile_is_the_one_asked_for_or_there_is_no_container, crun_setup,
                                        crun_teardown),
        cmocka_unit_test_setup_teardown(containers_of_a_pod_can_share_their_processes, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(what_is_mounted_below_a_read_only_mount_can_be_read_only_too, crun_setup,
                                        crun_teardown),
        cmocka_unit_test_setup_teardown(a_container_can_join_the_processes_of_another, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_new_agent_adopts_what_runs_and_what_ended, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_container_whose_end_nobody_saw_is_found_out, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_start_that_was_cut_off_is_cleaned_up, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(many_containers_end_once_each, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_container_can_be_removed_while_it_runs_or_starts, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_container_of_another_runtime_is_run_by_that_one_alone, other_setup,
                                        other_teardown),
        cmocka_unit_test_setup_teardown(another_runtime_deletes_what_it_made, other_setup, other_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
