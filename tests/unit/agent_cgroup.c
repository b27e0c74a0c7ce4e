#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/runtime/cgroup.h"
#include "agent/util/fsutil.h"
#include "base/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The machine's own hierarchies, and, where they are of version 1, the cgroup2 beside them (which has no controllers
 * then: making, killing and removing can be tried, limits cannot); for limits a directory with the files of version
 * 2. */

#define UID_1 "aaaaaaaa-1"

struct fixture {
    uv_loop_t loop;
    struct cgroup *c;
    char parent[64];
    unsigned dones;
    int error;
};

static void on_done(const struct error *err, void *data)
{
    struct fixture *f = data;
    f->dones++;
    f->error = err == NULL ? 0 : err->code;
}

static int open_at(void **state, const char *root)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    snprintf(f->parent, sizeof f->parent, "reeve-cgroup-%d", (int)getpid());
    if (geteuid() != 0 || (root != NULL && !fs_exists(root)) ||
        cgroup_new(&f->loop, root, f->parent, NULL, &f->c, NULL) != 0) {
        f->c = NULL;
    }
    *state = f;
    return 0;
}
static int setup(void **state)
{
    return open_at(state, NULL);
}
static int setup_unified(void **state)
{
    return open_at(state, "/sys/fs/cgroup/unified");
}
static int teardown(void **state)
{
    struct fixture *f = *state;
    char cmd[256];
    if (f->c != NULL) {
        cgroup_pod_remove(f->c, UID_1, on_done, f);
        cgroup_close(f->c, NULL, NULL);
        uv_run(&f->loop, UV_RUN_DEFAULT);
        snprintf(cmd, sizeof cmd, "rmdir /sys/fs/cgroup/%s /sys/fs/cgroup/*/%s 2>/dev/null || true", f->parent,
                 f->parent);
        assert_int_equal(system(cmd), 0);
    }
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}
#define NEED_CGROUPS(f)                                                                                                \
    if ((f)->c == NULL)                                                                                                \
    skip()

static bool read_file(struct fixture *f, const char *root, const char *path, const char *file, char out[64])
{
    char name[CGROUP_PATH_MAX + 128];
    (void)f;
    snprintf(name, sizeof name, "%s%s/%s", root, path, file);
    return fs_read_line(name, out, 64);
}

static void a_pods_group_has_its_limits(void **state)
{
    struct fixture *f = *state;
    NEED_CGROUPS(f);
    char path[CGROUP_PATH_MAX], text[64];
    struct cgroup_limits l = {
        .memory_bytes = 64 << 20, .cpu_shares = 512, .cpu_quota_us = 20000, .cpu_period_us = 100000, .pids_max = 50};
    assert_int_equal(cgroup_pod_make(f->c, UID_1, &l, path, NULL), 0);
    bool v1 = cgroup_version(f->c) == 1;
    if (read_file(f, v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup", path, v1 ? "memory.limit_in_bytes" : "memory.max",
                  text)) {
        assert_string_equal(text, "67108864");
    }
    if (v1 && read_file(f, "/sys/fs/cgroup/cpu", path, "cpu.cfs_quota_us", text)) {
        assert_string_equal(text, "20000");
        assert_true(read_file(f, "/sys/fs/cgroup/cpu", path, "cpu.shares", text));
        assert_string_equal(text, "512");
    }
    /* again, with other limits */
    l.memory_bytes = 32 << 20;
    assert_int_equal(cgroup_pod_make(f->c, UID_1, &l, path, NULL), 0);
    if (v1 && read_file(f, "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", text)) {
        assert_string_equal(text, "33554432");
    }
    unsigned cursor = 0;
    char uid[64];
    assert_true(cgroup_pod_next(f->c, &cursor, uid));
    assert_string_equal(uid, UID_1);
    assert_false(cgroup_pod_next(f->c, &cursor, uid));
}

#define UID_2 "bbbbbbbb-2"
#define BOMB  200

/* A child in the pod's group `leaf` that wants BOMB children of its own; how many it got. */
static unsigned forks_in(struct fixture *f, const char *uid)
{
    int ready[2], got[2];
    unsigned made = 0;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(got), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(ready[1]);
        if (read(ready[0], &byte, 1) == 1) {
            for (unsigned i = 0; i < BOMB; i++) {
                pid_t child = fork();
                if (child == 0) {
                    pause();
                    _exit(0);
                }
                made += child > 0;
            }
        }
        _exit(write(got[1], &made, sizeof made) == sizeof made ? (pause(), 0) : 1);
    }
    struct error err = {0};
    if (cgroup_pod_place(f->c, uid, "c", pid, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(write(ready[1], "x", 1), 1);
    assert_int_equal(read(got[0], &made, sizeof made), sizeof made);
    for (unsigned i = 0; i < 2; i++) {
        close(ready[i]);
        close(got[i]);
    }
    return made;
}

static void a_fork_bomb_is_held_in_its_pod_and_seen(void **state)
{
    struct fixture *f = *state;
    NEED_CGROUPS(f);
    char path[CGROUP_PATH_MAX];
    struct cgroup_limits l = {.pids_max = 50};
    assert_int_equal(cgroup_pod_make(f->c, UID_1, &l, path, NULL), 0);
    assert_int_equal(cgroup_pod_make(f->c, UID_2, &(struct cgroup_limits){.pids_max = 1024}, path, NULL), 0);
    assert_int_equal(cgroup_pod_forks_refused(f->c, UID_1), 0);
    assert_int_equal(forks_in(f, UID_1), 49);
    assert_true(cgroup_pod_forks_refused(f->c, UID_1) > 0);
    assert_int_equal(forks_in(f, UID_2), BOMB); /* the neighbour has its own */
    assert_int_equal(cgroup_pod_forks_refused(f->c, UID_2), 0);
    cgroup_pod_remove(f->c, UID_2, on_done, f);
    cgroup_pod_remove(f->c, UID_1, on_done, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    while (waitpid(-1, NULL, 0) > 0) {
    }
}

/* What /proc says of a process: the group it has in the hierarchy of a controller ("" = version 2). */
static bool is_in(int pid, const char *controller, const char *group)
{
    char path[64], want[CGROUP_PATH_MAX];
    CLEANUP_BUF struct buf b = BUF_INIT;
    snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    snprintf(want, sizeof want, "%s:%s\n", controller, group);
    assert_int_equal(fs_read_file(path, 1 << 16, &b, NULL), 0);
    return strstr(buf_cstr(&b), want) != NULL;
}

static void who_works_for_a_pod_does_so_on_its_time(void **state)
{
    struct fixture *f = *state;
    NEED_CGROUPS(f);
    char path[CGROUP_PATH_MAX], container[CGROUP_PATH_MAX + 8], leaf[CGROUP_PATH_MAX + 8];
    struct error err = {0};
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    assert_int_equal(cgroup_charge_pod("/none", pid, &err), 0); /* a container without a pod's group */
    cgroup_pod_path(f->c, UID_1, path);
    snprintf(container, sizeof container, "%s/c", path);
    snprintf(leaf, sizeof leaf, "%s/log", path);
    assert_int_equal(cgroup_charge_pod(container, pid, &err), 0); /* it is not there */
    assert_int_equal(cgroup_pod_make(f->c, UID_1, NULL, path, &err), 0);
    for (unsigned i = 0; i < 2; i++) {
        if (cgroup_charge_pod(container, pid, &err) != 0) {
            fail_msg("%s", err.message);
        }
    }
    assert_true(is_in(pid, cgroup_version(f->c) == 2 ? "0:" : "cpu", leaf) || is_in(pid, "cpu,cpuacct", leaf));
    assert_false(is_in(pid, "memory", leaf));
    assert_false(is_in(pid, "pids", leaf));
    cgroup_pod_remove(f->c, UID_1, on_done, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->error, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void all_pods_together_leave_the_machine_some(void **state)
{
    struct fixture *f = *state;
    NEED_CGROUPS(f);
    char path[CGROUP_PATH_MAX], all[80], text[64];
    assert_int_equal(cgroup_limit_all(f->c, UINT64_C(3) << 30, 60, NULL), 0);
    snprintf(all, sizeof all, "/%s", f->parent);
    bool v1 = cgroup_version(f->c) == 1;
    if (read_file(f, v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup", all, v1 ? "memory.limit_in_bytes" : "memory.max",
                  text)) {
        assert_string_equal(text, "3221225472");
    }
    assert_int_equal(cgroup_pod_make(f->c, UID_1, &(struct cgroup_limits){.pids_max = 1024}, path, NULL), 0);
    assert_int_equal(forks_in(f, UID_1), 59);
    assert_int_equal(cgroup_limit_all(f->c, 0, 1024, NULL), 0);
    cgroup_pod_remove(f->c, UID_1, on_done, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    while (waitpid(-1, NULL, 0) > 0) {
    }
}

static void usage_is_measured(void **state)
{
    struct fixture *f = *state;
    NEED_CGROUPS(f);
    char path[CGROUP_PATH_MAX];
    struct cgroup_usage u;
    assert_int_equal(cgroup_pod_make(f->c, UID_1, NULL, path, NULL), 0);
    assert_int_equal(cgroup_usage(f->c, path, &u, NULL), 0);
    assert_true(u.working_set_bytes <= u.memory_bytes);
    assert_int_equal(u.oom_kills, 0);
    assert_int_equal(cgroup_usage_all(f->c, &u, NULL), 0);
    assert_int_equal(cgroup_usage(f->c, "/no-such-group", &u, NULL), ERR_NOT_FOUND);
}

/* A child in the group of every hierarchy, with a child of its own. */
static pid_t child_in(const char *pattern)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char cmd[2048];
        snprintf(cmd, sizeof cmd, "for g in %s; do echo $$ >$g/cgroup.procs; done; sleep 60 & echo; sleep 60", pattern);
        dup2(ready[1], 1);
        execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void removal_kills_what_is_left(struct fixture *f, const char *roots)
{
    char path[CGROUP_PATH_MAX], pattern[1024], cmd[2048];
    assert_int_equal(cgroup_pod_make(f->c, UID_1, NULL, path, NULL), 0);
    /* a container's group below it */
    snprintf(cmd, sizeof cmd, "for g in %s; do mkdir $g%s/inner; done", roots, path);
    if (system(cmd) != 0) {
        /* cpuset groups of version 1 cannot be entered before they are filled, but they can be made */
    }
    snprintf(pattern, sizeof pattern, "%s%s", roots, path);
    pid_t pid = child_in(pattern);
    cgroup_pod_remove(f->c, UID_1, on_done, f);
    int status;
    /* The child is ours to reap; until then its group cannot go. */
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->dones, 1);
    assert_int_equal(f->error, 0);
    unsigned cursor = 0;
    char uid[64];
    assert_false(cgroup_pod_next(f->c, &cursor, uid));
    /* gone already is fine */
    cgroup_pod_remove(f->c, UID_1, on_done, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->dones, 2);
    assert_int_equal(f->error, 0);
}

/* A privileged container makes groups of its own below the one that it has, and what it began there outlives it. */
static void ended_one_goes_with_its_groups(struct fixture *f, const char *root)
{
    char path[CGROUP_PATH_MAX], container[CGROUP_PATH_MAX + 8], deep[FS_PATH_MAX];
    assert_int_equal(cgroup_pod_make(f->c, UID_1, NULL, path, NULL), 0);
    snprintf(container, sizeof container, "%s/c", path);
    snprintf(deep, sizeof deep, "%s%s/a/b", root, container);
    assert_int_equal(fs_make_dirs(deep, 0755, NULL), 0);
    signal(SIGCHLD, SIG_IGN); /* nobody needs to wait for them */
    child_in(deep);
    *strrchr(deep, '/') = '\0';
    child_in(deep);
    cgroup_kill(container);
    bool gone = cgroup_remove_ended(container);
    snprintf(deep, sizeof deep, "%s%s", root, container);
    bool there = fs_exists(deep);
    cgroup_pod_remove(f->c, UID_1, on_done, f); /* also ends what a failure would leave */
    uv_run(&f->loop, UV_RUN_DEFAULT);
    while (waitpid(-1, NULL, 0) > 0) {
    }
    signal(SIGCHLD, SIG_DFL);
    assert_true(gone);
    assert_false(there);
    assert_true(cgroup_remove_ended(container)); /* gone already is fine */
}

static void an_ended_container_goes_with_the_groups_that_it_made(void **state)
{
    struct fixture *f = *state;
    NEED_CGROUPS(f);
    ended_one_goes_with_its_groups(f, cgroup_version(f->c) == 1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup");
}

static void an_ended_container_goes_with_the_groups_of_version_two(void **state)
{
    struct fixture *f = *state;
    NEED_CGROUPS(f);
    ended_one_goes_with_its_groups(f, "/sys/fs/cgroup/unified");
}

static void removing_a_pod_kills_what_is_left(void **state)
{
    struct fixture *f = *state;
    NEED_CGROUPS(f);
    removal_kills_what_is_left(f, cgroup_version(f->c) == 1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup");
}

static void version_two_is_known_and_cleaned_as_well(void **state)
{
    struct fixture *f = *state;
    NEED_CGROUPS(f);
    assert_int_equal(cgroup_version(f->c), 2);
    removal_kills_what_is_left(f, "/sys/fs/cgroup/unified");
}

/* ---- A directory that looks like version 2 ---- */

struct look_alike {
    uv_loop_t loop;
    struct cgroup *c;
    char root[64];
    int handed_down; /* what is written to the root's cgroup.subtree_control comes out here */
};

static const char *const controls[] = {
    "cgroup.subtree_control", "memory.max", "pids.max", "cpu.weight", "cpu.max", "io.weight", NULL};

/* As the kernel's: a file that is read has what was last written, and nothing of what was there before. */
static void put(const struct look_alike *l, const char *group, const char *file, const char *text)
{
    char path[FS_PATH_MAX];
    fs_path(path, sizeof path, "%s%s/%s", l->root, group, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static void make_group(const struct look_alike *l, const char *group, const char *const *files)
{
    char path[FS_PATH_MAX];
    fs_path(path, sizeof path, "%s%s", l->root, group);
    assert_int_equal(mkdir(path, 0755), 0);
    for (; *files != NULL; files++) {
        put(l, group, *files, "");
    }
}

static void assert_has(const struct look_alike *l, const char *group, const char *file, const char *wanted)
{
    char path[FS_PATH_MAX], text[64] = "";
    fs_path(path, sizeof path, "%s%s/%s", l->root, group, file);
    assert_true(fs_read_line(path, text, sizeof text));
    assert_string_equal(text, wanted);
    put(l, group, file, "");
}

static int setup_look_alike(void **state)
{
    struct look_alike *l = xcalloc(1, sizeof *l);
    char path[FS_PATH_MAX];
    struct error err = {0};
    snprintf(l->root, sizeof l->root, "/tmp/reeve-cgroup2-XXXXXX");
    assert_non_null(mkdtemp(l->root));
    fs_path(path, sizeof path, "%s/cgroup.subtree_control", l->root);
    assert_int_equal(mkfifo(path, 0600), 0);
    l->handed_down = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true(l->handed_down >= 0);
    make_group(l, "/reeve", controls);
    uv_loop_init(&l->loop);
    if (cgroup_new_of(&l->loop, 2, l->root, "/reeve", NULL, &l->c, &err) != 0) {
        fail_msg("%s", err.message);
    }
    *state = l;
    return 0;
}

static int teardown_look_alike(void **state)
{
    struct look_alike *l = *state;
    char cmd[256];
    cgroup_close(l->c, NULL, NULL);
    uv_run(&l->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&l->loop), 0);
    close(l->handed_down);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", l->root);
    assert_int_equal(system(cmd), 0);
    free(l);
    return 0;
}

static void version_two_is_asked_for_its_controllers(void **state)
{
    struct look_alike *l = *state;
    char text[128] = "";
    assert_int_equal(cgroup_version(l->c), 2);
    assert_true(read(l->handed_down, text, sizeof text - 1) > 0);
    assert_string_equal(text, "+memory+cpu+pids+cpuset+io");
    assert_has(l, "/reeve", "cgroup.subtree_control", "+iouset"); /* the last one, over those before it */
    assert_has(l, "/reeve", "io.weight", "50");
}

static void limits_are_written_as_version_two_has_them(void **state)
{
    static const struct {
        struct cgroup_limits limits;
        const char *memory, *pids, *weight, *cpu;
    } rows[] = {
        {{64 << 20, 512, 20000, 100000, 50}, "67108864", "50", "20", "20000 100000"},
        {{0, 0, 0, 0, 0}, "max", "max", "1", "max 100000"},
        {{1, 2, 1000, 0, 1024}, "1", "1024", "1", "1000 100000"},
        {{UINT64_C(3) << 40, 1024, 250000, 50000, 0}, "3298534883328", "max", "39", "250000 50000"},
        {{0, 262144, 0, 50000, 1}, "max", "1", "10000", "max 50000"},
        {{0, 1 << 30, 0, 0, 1}, "max", "1", "10000", "max 100000"}, /* more than there is */
    };
    struct look_alike *l = *state;
    char path[CGROUP_PATH_MAX];
    make_group(l, "/reeve/pod" UID_1, controls);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(cgroup_pod_make(l->c, UID_1, &rows[i].limits, path, NULL), 0);
        assert_string_equal(path, "/reeve/pod" UID_1);
        assert_has(l, path, "memory.max", rows[i].memory);
        assert_has(l, path, "pids.max", rows[i].pids);
        assert_has(l, path, "cpu.weight", rows[i].weight);
        assert_has(l, path, "cpu.max", rows[i].cpu);
        put(l, path, "cgroup.subtree_control", "");
    }
    assert_int_equal(cgroup_limit_all(l->c, UINT64_C(3) << 30, 60, NULL), 0);
    assert_has(l, "/reeve", "memory.max", "3221225472");
    assert_has(l, "/reeve", "pids.max", "60");
    assert_int_equal(cgroup_limit_all(l->c, 0, 0, NULL), 0);
    assert_has(l, "/reeve", "memory.max", "max");
    assert_has(l, "/reeve", "pids.max", "max");
}

/* Controllers that nobody handed down have no files, which are not made; what cannot be written is told. */
static void what_version_two_lacks_is_passed_over_and_what_fails_is_told(void **state)
{
    static const char *const none[] = {NULL};
    struct look_alike *l = *state;
    struct cgroup_limits limits = {.memory_bytes = 64 << 20, .cpu_shares = 512, .cpu_quota_us = 20000, .pids_max = 50};
    struct error err = {0};
    char path[CGROUP_PATH_MAX], file[FS_PATH_MAX];
    make_group(l, "/reeve/pod" UID_1, none);
    assert_int_equal(cgroup_pod_make(l->c, UID_1, &limits, path, NULL), 0);
    fs_path(file, sizeof file, "%s%s/memory.max", l->root, path);
    assert_false(fs_exists(file));
    assert_int_equal(mkdir(file, 0755), 0); /* nobody can write to that */
    assert_true(cgroup_pod_make(l->c, UID_1, &limits, path, &err) != 0);
    assert_non_null(strstr(err.message, file));
}

static void usage_is_read_as_version_two_has_it(void **state)
{
    static const char *const none[] = {NULL};
    struct look_alike *l = *state;
    struct cgroup_usage u;
    const char *path = "/reeve/pod" UID_1;
    make_group(l, path, none);
    assert_int_equal(cgroup_usage(l->c, path, &u, NULL), ERR_NOT_FOUND);
    put(l, path, "memory.current", "1000000\n");
    put(l, path, "memory.stat", "anon 500000\nfile 450000\ninactive_file 400000\nactive_file 50000\n");
    put(l, path, "memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n");
    put(l, path, "cpu.stat", "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n");
    put(l, path, "pids.current", "7\n");
    put(l, path, "pids.events", "max 4\n");
    assert_int_equal(cgroup_usage(l->c, path, &u, NULL), 0);
    assert_int_equal(u.memory_bytes, 1000000);
    assert_int_equal(u.working_set_bytes, 600000);
    assert_int_equal(u.cpu_ns, 1234000);
    assert_int_equal(u.oom_kills, 2);
    assert_int_equal(u.pids, 7);
    assert_int_equal(cgroup_pod_forks_refused(l->c, UID_1), 4);
    assert_int_equal(cgroup_usage_brief(l->c, path, &u, NULL), 0);
    assert_int_equal(u.working_set_bytes, 600000);
    assert_int_equal(u.oom_kills, 0); /* who looks often is told less */
    put(l, "/reeve", "memory.current", "3000000\n");
    assert_int_equal(cgroup_usage_all(l->c, &u, NULL), 0);
    assert_int_equal(u.memory_bytes, 3000000);
}

static void the_hollow_one_measures_nothing(void **state)
{
    (void)state;
    uv_loop_t loop;
    char path[CGROUP_PATH_MAX];
    struct cgroup_usage u;
    struct fixture f = {0};
    uv_loop_init(&loop);
    struct cgroup *c = cgroup_hollow_new(&loop);
    assert_int_equal(cgroup_pod_make(c, UID_1, NULL, path, NULL), 0);
    assert_int_equal(cgroup_usage(c, path, &u, NULL), 0);
    cgroup_pod_remove(c, UID_1, on_done, &f);
    cgroup_close(c, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(f.dones, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void all_pods_have_half_of_the_weight_for_the_disk(void **state)
{
    struct fixture *f = *state;
    if (f->c == NULL || cgroup_version(f->c) != 1) {
        skip();
    }
    char path[FS_PATH_MAX], text[64];
    snprintf(path, sizeof path, "/sys/fs/cgroup/blkio/%s/blkio.bfq.weight", f->parent);
    if (!fs_read_line(path, text, sizeof text)) {
        skip(); /* a kernel without BFQ */
    }
    assert_string_equal(text, "50");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_pods_have_half_of_the_weight_for_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pods_group_has_its_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fork_bomb_is_held_in_its_pod_and_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(who_works_for_a_pod_does_so_on_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(all_pods_together_leave_the_machine_some, setup, teardown),
        cmocka_unit_test_setup_teardown(usage_is_measured, setup, teardown),
        cmocka_unit_test_setup_teardown(removing_a_pod_kills_what_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(version_two_is_known_and_cleaned_as_well, setup_unified, teardown),
        cmocka_unit_test_setup_teardown(an_ended_container_goes_with_the_groups_that_it_made, setup, teardown),
        cmocka_unit_test_setup_teardown(an_ended_container_goes_with_the_groups_of_version_two, setup_unified,
                                        teardown),
        cmocka_unit_test_setup_teardown(version_two_is_asked_for_its_controllers, setup_look_alike,
                                        teardown_look_alike),
        cmocka_unit_test_setup_teardown(limits_are_written_as_version_two_has_them, setup_look_alike,
                                        teardown_look_alike),
        cmocka_unit_test_setup_teardown(what_version_two_lacks_is_passed_over_and_what_fails_is_told, setup_look_alike,
                                        teardown_look_alike),
        cmocka_unit_test_setup_teardown(usage_is_read_as_version_two_has_it, setup_look_alike, teardown_look_alike),
        cmocka_unit_test(the_hollow_one_measures_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
