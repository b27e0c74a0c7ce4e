#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/cgroup.h"
#include "agent/fsutil.h"
#include "agent/runtime.h"
#include "agent/runtime_oci.h"
#include "base/mem.h"
#include "proto/text.h"
#include "tests/unit/agent_layout.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Pure parts ---- */

static const struct runtime_security plain = {.run_as_user = -1, .run_as_group = -1};

static bool has_cap(const struct runtime_security *s, const char *name)
{
    const char *caps[64];
    unsigned n = oci_capabilities(s, caps);
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(caps[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void capabilities_follow_add_and_drop(void **state)
{
    (void)state;
    const char *all[] = {"ALL", NULL}, *chown[] = {"chown", NULL}, *admin[] = {"CAP_NET_ADMIN", NULL};
    struct runtime_security s = plain;
    assert_true(has_cap(&s, "CAP_CHOWN"));
    assert_false(has_cap(&s, "CAP_NET_ADMIN"));
    s.capabilities_drop = all;
    assert_false(has_cap(&s, "CAP_CHOWN"));
    s.capabilities_add = chown;
    assert_true(has_cap(&s, "CAP_CHOWN"));
    assert_false(has_cap(&s, "CAP_KILL"));
    s = plain;
    s.capabilities_drop = chown;
    assert_false(has_cap(&s, "CAP_CHOWN"));
    assert_true(has_cap(&s, "CAP_KILL"));
    if (geteuid() == 0) {
        s.capabilities_add = admin;
        assert_true(has_cap(&s, "CAP_NET_ADMIN"));
    }
}

static const struct str passwd = {"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:Web:/var/www:/bin/sh\n", 64};
static const struct str group = {"root:x:0:\nadm:x:4:web,other\nweb:x:34:\n", 38};

static void users_are_looked_up_in_the_image(void **state)
{
    (void)state;
    struct oci_user u;
    struct error err = {0};
    assert_int_equal(oci_user_resolve("web", passwd, group, &plain, &u, &err), 0);
    assert_int_equal(u.uid, 33);
    assert_int_equal(u.gid, 34);
    assert_int_equal(u.groups_count, 1);
    assert_int_equal(u.groups[0], 4);
    assert_string_equal(u.home, "/var/www");
    assert_int_equal(oci_user_resolve("33:adm", passwd, group, &plain, &u, &err), 0);
    assert_int_equal(u.gid, 4);
    assert_int_equal(oci_user_resolve("1000", passwd, group, &plain, &u, &err), 0);
    assert_int_equal(u.uid, 1000);
    assert_int_equal(u.gid, 0);
    assert_int_equal(oci_user_resolve("nobody", passwd, group, &plain, &u, &err), ERR_INVALID);
    assert_int_equal(oci_user_resolve("", passwd, group, &plain, &u, &err), 0);
    assert_int_equal(u.uid, 0);
}

static void the_security_context_wins_over_the_image(void **state)
{
    (void)state;
    struct oci_user u;
    struct error err = {0};
    int64_t extra[] = {2000};
    struct runtime_security s = plain;
    s.run_as_user = 33;
    s.run_as_group = 7;
    s.supplemental_groups = extra;
    s.supplemental_groups_count = 1;
    assert_int_equal(oci_user_resolve("root", passwd, group, &s, &u, &err), 0);
    assert_int_equal(u.uid, 33);
    assert_int_equal(u.gid, 7);
    assert_int_equal(u.groups[u.groups_count - 1], 2000);
    s = plain;
    s.run_as_non_root = true;
    assert_int_equal(oci_user_resolve("", passwd, group, &s, &u, &err), ERR_FORBIDDEN);
    assert_non_null(strstr(err.message, "runAsNonRoot"));
}

static void command_and_args_replace_as_in_kubernetes(void **state)
{
    (void)state;
    const char *entry[] = {"e", NULL}, *cmd[] = {"c", NULL}, *mine[] = {"m", NULL}, *none[] = {NULL};
    struct image im = {.entrypoint = entry, .cmd = cmd, .env = none};
    struct runtime_spec s;
    runtime_spec_init(&s);
    s.image = &im;
    const struct {
        const char *const *command, *const *args;
        const char *first, *second;
    } cases[] = {{NULL, NULL, "e", "c"}, {mine, NULL, "m", NULL}, {NULL, mine, "e", "m"}, {cmd, mine, "c", "m"}};
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        s.command = cases[i].command;
        s.args = cases[i].args;
        CLEANUP_FREE const char **got = oci_args(&s);
        assert_string_equal(got[0], cases[i].first);
        if (cases[i].second == NULL) {
            assert_null(got[1]);
        } else {
            assert_string_equal(got[1], cases[i].second);
            assert_null(got[2]);
        }
    }
}

static void the_configuration_carries_what_the_spec_says(void **state)
{
    (void)state;
    const char *none[] = {NULL}, *args[] = {"run", NULL}, *env[] = {"A=2", NULL}, *image_env[] = {"A=1", "B=1", NULL};
    struct image im = {.entrypoint = none, .cmd = none, .env = image_env, .cwd = "/srv"};
    struct runtime_mount mounts[] = {{.source = "/x/deep", .target = "/data/deep"},
                                     {.source = "/x", .target = "/data", .read_only = true},
                                     {.source = "/h", .target = "/etc/hosts"}};
    struct sandbox sb = {.hosts = "/sb/hosts", .net = "/sb/net", .hostname = "web"};
    struct oci_user user = {.uid = 1000};
    struct runtime_spec s;
    runtime_spec_init(&s);
    s.image = &im;
    s.env = env;
    s.mounts = mounts;
    s.mounts_count = 3;
    s.sandbox = &sb;
    s.resources.memory_bytes = 64 << 20;
    s.resources.cpu_quota_us = 50000;
    s.security.no_new_privileges = true;
    s.security.read_only_root = true;
    struct oci_input in = {
        .spec = &s, .args = args, .user = &user, .rootfs = "/r", .cgroups_path = "/reeve/x", .termination_log = "/t"};
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc;
    assert_int_equal(oci_config_write(&in, &b, NULL), 0);
    assert_int_equal(json_read(&a, buf_str(&b), &doc, NULL), 0);
    assert_int_equal(value_path_int(doc, "linux.resources.memory.limit", 0), 64 << 20);
    assert_int_equal(value_path_int(doc, "linux.resources.cpu.quota", 0), 50000);
    assert_int_equal(value_path_int(doc, "process.user.uid", 0), 1000);
    assert_true(value_path_bool(doc, "process.noNewPrivileges", false));
    assert_true(value_path_bool(doc, "root.readonly", false));
    assert_true(str_is(value_path_str(doc, "process.cwd"), "/srv"));
    /* root keeps its capabilities, others have them only as a bound */
    assert_int_equal(value_count(value_path(doc, "process.capabilities.effective")), 0);
    assert_true(value_count(value_path(doc, "process.capabilities.bounding")) > 5);
    const char *text = buf_cstr(&b);
    assert_non_null(strstr(text, "\"A=2\""));
    assert_null(strstr(text, "\"A=1\""));
    assert_non_null(strstr(text, "\"B=1\""));
    assert_true(strstr(text, "\"/data\"") < strstr(text, "\"/data/deep\""));
    assert_null(strstr(text, "/sb/hosts")); /* the user's mount stands there */
    assert_non_null(strstr(text, "{\"type\":\"network\",\"path\":\"/sb/net\"}"));
}

static void a_seccomp_profile_is_reduced_to_what_applies(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *caps[] = {"CAP_SYS_ADMIN"};
    struct str profile = str_of(
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\","
        "\"subArchitectures\":"
        "[\"SCMP_ARCH_X86\"]},{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":[\"SCMP_ARCH_ARM\"]}],"
        "\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"comment\":\"x\",\"includes\":{},"
        "\"excludes\":{}},"
        "{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
        "{\"names\":[\"weird\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"s390x\"]}},"
        "{\"names\":[\"old\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"99.0\"}}]}");
    struct value *v = oci_seccomp(&a, profile, NULL, 0, NULL);
    assert_non_null(v);
    assert_int_equal(value_count(value_get(v, "syscalls")), 1);
    assert_int_equal(value_count(value_get(v, "architectures")), 2);
    v = oci_seccomp(&a, profile, caps, 1, NULL);
    assert_int_equal(value_count(value_get(v, "syscalls")), 2);
    assert_null(oci_seccomp(&a, STR("{"), NULL, 0, NULL));
}

/* ---- Running ---- */

#define POD "11111111-2222-3333-4444-555555555555"

struct fixture {
    uv_loop_t loop;
    uv_timer_t limit;
    bool limit_hit;
    struct runtime *rt;
    struct image_store *images;
    struct sandbox_store *sandboxes;
    struct cgroup *cgroup;
    struct image *image;
    struct sandbox sb;
    char dir[64], run[64], cgroup_path[CGROUP_PATH_MAX], id[RUNTIME_ID_MAX], log[256];
    unsigned starts, exits, dones, execs, ends;
    int start_error, done_error, exec_error, exit_code;
    char start_message[ERROR_MESSAGE_MAX], reason[64], exec_output[4096], message[256];
    bool oom;
    int exit_signal, exec_code, end_code, end_error;
    struct buf streamed;
    bool closed;
};

static void on_exit_event(const struct runtime_status *st, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    assert_true(f->starts > 0);
    f->exits++;
    f->exit_code = st->exit_code;
    f->exit_signal = st->signal;
    f->oom = st->oom_killed;
    snprintf(f->reason, sizeof f->reason, "%s", st->reason);
    snprintf(f->message, sizeof f->message, "%s", st->message);
}
static void on_start(const struct runtime_started *r, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    f->starts++;
    f->start_error = r->error == NULL ? 0 : r->error->code;
    snprintf(f->start_message, sizeof f->start_message, "%s", r->error == NULL ? "" : r->error->message);
    snprintf(f->reason, sizeof f->reason, "%s", r->reason);
    if (r->error == NULL) {
        assert_int_equal(r->status->state, RUNTIME_RUNNING);
        assert_true(r->status->pid > 0 && r->status->started_ms > 0);
    }
}
static void on_done(const struct error *err, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    f->dones++;
    f->done_error = err == NULL ? 0 : err->code;
}
static void on_exec(const struct runtime_exec_result *r, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    f->execs++;
    f->exec_error = r->error == NULL ? 0 : r->error->code;
    f->exec_code = r->exit_code;
    snprintf(f->exec_output, sizeof f->exec_output, "%.*s", STR_ARG(r->output));
}
static void on_stream_output(struct runtime_exec *x, int fd, const uint8_t *p, size_t n, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    (void)x;
    (void)fd;
    buf_append(&f->streamed, p, n);
}
static void on_stream_end(struct runtime_exec *x, int exit_code, const struct error *err, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    (void)x;
    f->ends++;
    f->end_code = exit_code;
    f->end_error = err == NULL ? 0 : err->code;
}
static void on_closed(void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    f->closed = true;
}
static void on_limit(uv_timer_t *t)
{
    struct fixture *f = t->data;
    uv_stop(&f->loop);
    f->limit_hit = true;
}

/* Turns the loop until *counter reaches n. */
static void wait_for(struct fixture *f, const unsigned *counter, unsigned n)
{
    f->limit_hit = false;
    uv_timer_start(&f->limit, on_limit, 20000, 0);
    while (*counter < n && !f->limit_hit) {
        uv_run(&f->loop, UV_RUN_DEFAULT); /* until a callback stops it */
    }
    uv_timer_stop(&f->limit);
    assert_int_equal(*counter, n);
}

static void start(struct fixture *f, struct runtime_spec *spec, const char *const *command)
{
    spec->command = command;
    unsigned before = f->starts;
    runtime_start(f->rt, spec, on_start, f);
    assert_int_equal(f->starts, before);
    wait_for(f, &f->starts, before + 1);
}
static void base_spec(struct fixture *f, struct runtime_spec *s)
{
    runtime_spec_init(s);
    s->pod_uid = POD;
    s->pod_name = "p";
    s->pod_ns = "default";
    s->name = "c";
    s->image = f->image;
    s->log_path = f->log;
    runtime_container_id(f->id, POD, "c", 0);
}
static void remove_it(struct fixture *f)
{
    unsigned before = f->dones;
    runtime_remove(f->rt, f->id, on_done, f);
    assert_int_equal(f->dones, before);
    wait_for(f, &f->dones, before + 1);
    assert_int_equal(f->done_error, 0);
    struct runtime_status st;
    assert_false(runtime_get(f->rt, f->id, &st));
}
static void close_runtime(struct fixture *f)
{
    f->closed = false;
    runtime_close(f->rt, on_closed, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->closed);
}

/* ---- Hollow ---- */

static int hollow_setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct runtime_events ev = {.on_exit = on_exit_event, .data = f};
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->limit);
    f->limit.data = f;
    f->images = image_store_hollow_new(&f->loop);
    f->image = image_find(f->images, "any:1");
    f->rt = runtime_hollow_new(&f->loop, &ev);
    *state = f;
    return 0;
}
static int hollow_teardown(void **state)
{
    struct fixture *f = *state;
    close_runtime(f);
    image_unref(f->image);
    image_store_close(f->images, NULL, NULL);
    uv_close((uv_handle_t *)&f->limit, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    buf_close(&f->streamed);
    free(f);
    return 0;
}

static void a_hollow_container_runs_until_it_is_killed(void **state)
{
    struct fixture *f = *state;
    struct runtime_spec s;
    base_spec(f, &s);
    start(f, &s, NULL);
    assert_int_equal(f->start_error, 0);
    assert_int_equal(f->exits, 0);
    runtime_kill(f->rt, f->id, SIGTERM, on_done, f);
    wait_for(f, &f->exits, 1);
    assert_int_equal(f->exit_code, 143);
    remove_it(f);
}

static void a_hollow_container_does_what_its_command_says(void **state)
{
    struct fixture *f = *state;
    struct runtime_spec s;
    const char *exit3[] = {"exit", "3", NULL}, *fail[] = {"fail", NULL}, *deaf[] = {"ignore-term", NULL};
    base_spec(f, &s);
    start(f, &s, exit3);
    wait_for(f, &f->exits, 1);
    assert_int_equal(f->exit_code, 3);
    remove_it(f);
    start(f, &s, fail);
    assert_int_not_equal(f->start_error, 0);
    assert_string_equal(f->reason, "RunContainerError");
    start(f, &s, deaf);
    runtime_kill(f->rt, f->id, SIGTERM, on_done, f);
    wait_for(f, &f->dones, 2);
    assert_int_equal(f->exits, 1);
    runtime_kill(f->rt, f->id, SIGKILL, on_done, f);
    wait_for(f, &f->exits, 2);
    assert_int_equal(f->exit_code, 137);
    remove_it(f);
    start(f, &s, NULL);
    start(f, &s, NULL);
    assert_int_equal(f->start_error, ERR_EXISTS);
    const char *env[] = {"HOLLOW_START_MS=5", "HOLLOW_EXIT_MS=5", "HOLLOW_EXIT_CODE=9", "HOLLOW_OOM=1", NULL};
    s.env = env;
    s.attempt = 1;
    start(f, &s, NULL);
    wait_for(f, &f->exits, 3);
    assert_int_equal(f->exit_code, 9);
    assert_string_equal(f->reason, "OOMKilled");
}

static void a_hollow_exec_answers_by_its_words(void **state)
{
    struct fixture *f = *state;
    struct runtime_spec s;
    const char *exit2[] = {"exit", "2", NULL}, *echo[] = {"echo", "a", "b", NULL}, *cat[] = {"cat", NULL};
    base_spec(f, &s);
    start(f, &s, NULL);
    runtime_exec(f->rt, f->id, exit2, 0, on_exec, f);
    wait_for(f, &f->execs, 1);
    assert_int_equal(f->exec_code, 2);
    runtime_exec(f->rt, f->id, echo, 0, on_exec, f);
    wait_for(f, &f->execs, 2);
    assert_string_equal(f->exec_output, "a b\n");
    runtime_exec(f->rt, "nobody", echo, 0, on_exec, f);
    wait_for(f, &f->execs, 3);
    assert_int_equal(f->exec_error, ERR_NOT_FOUND);
    struct runtime_exec_events ev = {.on_output = on_stream_output, .on_end = on_stream_end};
    struct runtime_exec *x =
        runtime_exec_open(f->rt, f->id, &(struct runtime_exec_spec){.argv = cat, .stdin_open = true}, &ev, f);
    runtime_exec_write(f->rt, x, "hello", 5);
    runtime_exec_end_input(f->rt, x);
    wait_for(f, &f->ends, 1);
    assert_string_equal(buf_cstr(&f->streamed), "hello");
}

/* ---- crun ---- */

/* crun wants no cgroup2 with controllers beside version 1 ones: in a mount namespace of its own it is taken away. Once per process and
 * before the pool has threads: they stay where they were made. */
static bool enter_private_mounts(void)
{
    if (geteuid() != 0 || access("/usr/bin/crun", X_OK) != 0 || access("/usr/bin/conmon", X_OK) != 0 ||
        unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return false;
    }
    umount2("/sys/fs/cgroup/unified", MNT_DETACH);
    return true;
}

static void on_sandbox(const struct sandbox *sb, const struct error *err, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    assert_null(err);
    f->sb = *sb;
    f->dones++;
}
static void on_loaded(const struct image_loaded *r, void *data)
{
    struct fixture *f = data;
    assert_null(r->error);
    uv_stop(&f->loop);
    f->dones++;
}

/* An image of links only: the node's /usr, mounted read-only, is its content. */
static void make_image(struct fixture *f)
{
    struct tar t;
    char layout[128];
    tar_begin(&t, false);
    tar_add(&t, "usr/", AE_IFDIR, NULL);
    tar_add(&t, "etc/", AE_IFDIR, NULL);
    tar_add(&t, "etc/passwd", AE_IFREG, "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n");
    tar_add(&t, "bin", AE_IFLNK, "usr/bin");
    tar_add(&t, "lib", AE_IFLNK, "usr/lib");
    tar_add(&t, "lib64", AE_IFLNK, "usr/lib64");
    tar_end(&t);
    snprintf(layout, sizeof layout, "%s/layout", f->dir);
    make_layout(layout, "links:1", &t, 1);
    image_load_path(f->images, layout, NULL, on_loaded, f);
    wait_for(f, &f->dones, 1);
    f->image = image_find(f->images, "links:1");
    assert_non_null(f->image);
}

static void open_crun(struct fixture *f)
{
    char dir[128];
    struct error err = {0};
    struct runtime_events ev = {.on_exit = on_exit_event, .data = f};
    snprintf(dir, sizeof dir, "%s/rt", f->dir);
    struct runtime_crun_config c = {.dir = dir, .run_dir = f->run, .images = f->images};
    if (runtime_crun_new(&f->loop, &c, &ev, &f->rt, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static bool have_crun; /* set by main */

static int crun_setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct error err = {0};
    char path[128];
    *state = f;
    if (!have_crun) {
        free(f);
        *state = NULL;
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->limit);
    f->limit.data = f;
    strcpy(f->dir, "/tmp/reeve-runtime-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->run, sizeof f->run, "/run/reeve-test-%d", (int)getpid());
    snprintf(f->log, sizeof f->log, "%s/logs/c/0.log", f->dir);
    snprintf(path, sizeof path, "%s/images", f->dir);
    assert_int_equal(image_store_new(&f->loop, path, NULL, &f->images, &err), 0);
    make_image(f);
    snprintf(path, sizeof path, "%s/sandboxes", f->dir);
    assert_int_equal(sandbox_store_new(&f->loop, path, NULL, &f->sandboxes, &err), 0);
    sandbox_make(f->sandboxes, &(struct sandbox_spec){.uid = POD, .hostname = "testpod"}, on_sandbox, f);
    wait_for(f, &f->dones, 2);
    snprintf(path, sizeof path, "reeve-test-%d", (int)getpid());
    if (cgroup_new(&f->loop, NULL, path, NULL, &f->cgroup, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(cgroup_pod_make(f->cgroup, POD, NULL, f->cgroup_path, &err), 0);
    open_crun(f);
    f->dones = 0;
    return 0;
}

static int crun_teardown(void **state)
{
    struct fixture *f = *state;
    char cmd[256];
    if (f == NULL) {
        return 0;
    }
    unsigned cursor = 0;
    struct runtime_status st;
    while (runtime_next(f->rt, &cursor, &st)) {
        snprintf(f->id, sizeof f->id, "%s", st.id);
        remove_it(f);
        cursor = 0;
    }
    close_runtime(f);
    f->dones = 0;
    sandbox_remove(f->sandboxes, POD, on_done, f);
    cgroup_pod_remove(f->cgroup, POD, on_done, f);
    wait_for(f, &f->dones, 2);
    assert_int_equal(f->done_error, 0);
    image_unref(f->image);
    image_store_close(f->images, NULL, NULL);
    sandbox_store_close(f->sandboxes, NULL, NULL);
    cgroup_close(f->cgroup, NULL, NULL);
    uv_close((uv_handle_t *)&f->limit, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    fs_unmount_below(f->dir, NULL);
    fs_remove_tree(f->dir, NULL);
    fs_remove_tree(f->run, NULL);
    snprintf(cmd, sizeof cmd, "rmdir /sys/fs/cgroup/reeve-test-%d /sys/fs/cgroup/*/reeve-test-%d 2>/dev/null",
             (int)getpid(), (int)getpid());
    if (system(cmd) != 0) {
        /* the shell's word on patterns that match nothing */
    }
    buf_close(&f->streamed);
    free(f);
    return 0;
}
#define NEED_CRUN(f)                                                                                                   \
    if ((f) == NULL)                                                                                                   \
    skip()

static const struct runtime_mount usr = {.source = "/usr", .target = "/usr", .read_only = true};

static void crun_spec(struct fixture *f, struct runtime_spec *s)
{
    base_spec(f, s);
    s->sandbox = &f->sb;
    s->cgroup_parent = f->cgroup_path;
    s->mounts = &usr;
    s->mounts_count = 1;
}

static char *read_log(struct fixture *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(fs_read_file(f->log, 1 << 20, &b, NULL), 0);
    return xstrdup(buf_cstr(&b));
}

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
    runtime_exec(f->rt, f->id, probe, 10000, on_exec, f);
    wait_for(f, &f->execs, 1);
    runtime_kill(f->rt, f->id, SIGTERM, on_done, f);
    wait_for(f, &f->exits, 1);
    assert_int_equal(f->exit_code, 7);
    remove_it(f);
    const char *sleeper[] = {"sleep", "60", NULL};
    start(f, &s, sleeper);
    runtime_kill(f->rt, f->id, SIGKILL, on_done, f);
    wait_for(f, &f->exits, 2);
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

static void commands_run_inside(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *cmd[] = {"sleep", "60", NULL}, *env[] = {"COLOUR=blue", NULL};
    const char *probe[] = {"sh", "-c", "echo $COLOUR $(id -u) $(hostname); exit 4", NULL};
    const char *slow[] = {"sleep", "50", NULL};
    crun_spec(f, &s);
    s.env = env;
    s.security.run_as_user = 33;
    start(f, &s, cmd);
    runtime_exec(f->rt, f->id, probe, 10000, on_exec, f);
    wait_for(f, &f->execs, 1);
    assert_int_equal(f->exec_error, 0);
    assert_int_equal(f->exec_code, 4);
    assert_string_equal(f->exec_output, "blue 33 testpod\n");
    runtime_exec(f->rt, f->id, slow, 300, on_exec, f);
    wait_for(f, &f->execs, 2);
    assert_int_equal(f->exec_error, ERR_TIMEOUT);
    const char *left[] = {"sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", NULL};
    runtime_exec(f->rt, f->id, left, 10000, on_exec, f);
    wait_for(f, &f->execs, 3);
    assert_null(strstr(f->exec_output, "sleep 50"));
    runtime_exec(f->rt, "nobody", probe, 0, on_exec, f);
    wait_for(f, &f->execs, 4);
    assert_int_equal(f->exec_error, ERR_NOT_FOUND);
}

static void an_interactive_command_talks_both_ways(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *cmd[] = {"sleep", "60", NULL}, *cat[] = {"sh", "-c", "cat; exit 3", NULL};
    const char *tty[] = {"sh", "-c", "stty size; read x; stty size; echo got $x; tty", NULL};
    struct runtime_exec_events ev = {.on_output = on_stream_output, .on_end = on_stream_end};
    crun_spec(f, &s);
    start(f, &s, cmd);
    struct runtime_exec *x =
        runtime_exec_open(f->rt, f->id, &(struct runtime_exec_spec){.argv = cat, .stdin_open = true}, &ev, f);
    runtime_exec_write(f->rt, x, "hello", 5);
    runtime_exec_end_input(f->rt, x);
    wait_for(f, &f->ends, 1);
    assert_string_equal(buf_cstr(&f->streamed), "hello");
    assert_int_equal(f->end_code, 3);

    buf_reset(&f->streamed);
    x = runtime_exec_open(
        f->rt, f->id,
        &(struct runtime_exec_spec){.argv = tty, .tty = true, .stdin_open = true, .rows = 33, .columns = 99}, &ev, f);
    while (f->ends == 1 && strstr(buf_cstr(&f->streamed), "33 99") == NULL) {
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    runtime_exec_resize(f->rt, x, 44, 111);
    runtime_exec_write(f->rt, x, "word\n", 5);
    wait_for(f, &f->ends, 2);
    const char *out = buf_cstr(&f->streamed);
    if (strstr(out, "44 111") == NULL) {
        print_error("ended with %d after: %s\n", f->end_code, out);
    }
    assert_non_null(strstr(out, "44 111"));
    assert_non_null(strstr(out, "got word"));
    assert_non_null(strstr(out, "/dev/pts/"));

    x = runtime_exec_open(f->rt, f->id, &(struct runtime_exec_spec){.argv = cmd}, &ev, f);
    runtime_exec_kill(f->rt, x);
    wait_for(f, &f->ends, 3);
}

static void a_new_agent_adopts_what_runs_and_what_ended(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_status st;
    const char *sleeper[] = {"sleep", "60", NULL}, *brief[] = {"sh", "-c", "read x </dev/go; exit 6", NULL};
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
    const char *sleeper[] = {"sleep", "60", NULL};
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
    const char *sleeper[] = {"sleep", "60", NULL};
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

int main(void)
{
    have_crun = enter_private_mounts();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_follow_add_and_drop),
        cmocka_unit_test(users_are_looked_up_in_the_image),
        cmocka_unit_test(the_security_context_wins_over_the_image),
        cmocka_unit_test(command_and_args_replace_as_in_kubernetes),
        cmocka_unit_test(the_configuration_carries_what_the_spec_says),
        cmocka_unit_test(a_seccomp_profile_is_reduced_to_what_applies),
        cmocka_unit_test_setup_teardown(a_hollow_container_runs_until_it_is_killed, hollow_setup, hollow_teardown),
        cmocka_unit_test_setup_teardown(a_hollow_container_does_what_its_command_says, hollow_setup, hollow_teardown),
        cmocka_unit_test_setup_teardown(a_hollow_exec_answers_by_its_words, hollow_setup, hollow_teardown),
        cmocka_unit_test_setup_teardown(a_container_runs_logs_and_exits, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_signal_ends_a_container, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(too_much_memory_is_an_oom_kill, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_program_that_is_not_there_is_told, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(commands_run_inside, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(an_interactive_command_talks_both_ways, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_new_agent_adopts_what_runs_and_what_ended, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_container_whose_end_nobody_saw_is_found_out, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_start_that_was_cut_off_is_cleaned_up, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(many_containers_end_once_each, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_container_can_be_removed_while_it_runs_or_starts, crun_setup, crun_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
