/* What the kernel counts by user, and memory that is written as files: a container takes all it can of message queues,
 * pending signals, inotify, an emptyDir in memory and its termination log, and the node, its neighbours and a pod
 * with a user namespace go on. */
#include "tests/unit/agent_limits_attack.h"

#include "agent/util/userns.h"
#include "agent/volume/volume.h"
#include "base/env.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define FIRST   0x70000000u
#define POD_TWO "11111111-2222-3333-4444-666666666666"
#define MI      (1u << 20)

/* ---- Inside ---- */

static unsigned take_queues(void)
{
    char name[32];
    unsigned n = 0;
    struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 8192};
    for (; n < 64; n++) {
        snprintf(name, sizeof name, "/q%u", n);
        if (mq_open(name, O_CREAT | O_RDWR, 0600, &attr) < 0) {
            break;
        }
    }
    return n;
}

static unsigned take_signals(void)
{
    sigset_t set;
    unsigned n = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    while (n < (1u << 20) && sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0) {
        n++;
    }
    return n;
}

static unsigned take_inotify(void)
{
    unsigned n = 0;
    while (n < 10000 && inotify_init1(IN_CLOEXEC) >= 0) {
        n++;
    }
    return n;
}

static long fill(const char *path, uint64_t bytes)
{
    static const char block[64 << 10];
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (uint64_t done = 0; fd >= 0 && done < bytes; done += sizeof block) {
        ssize_t n = write(fd, block, sizeof block);
        if (n != (ssize_t)sizeof block) {
            errno = n >= 0 ? ENOSPC : errno;
            return -1;
        }
    }
    return fd < 0 ? -1 : 0;
}

static int attack(const char *which)
{
    if (strcmp(which, "take") == 0) {
        printf("queues=%u\n", take_queues());
        printf("inotify=%u\n", take_inotify());
        printf("signals=%u\n", take_signals());
        printf("all=taken\n");
        fflush(stdout);
        pause();
    } else if (strcmp(which, "fill") == 0) {
        tell("fill-memory", fill("/memory/file", 256 * MI));
        tell("fill-termination", fill("/dev/termination-log", 64 * MI));
    } else if (strcmp(which, "hog") == 0) {
        tell("hog", fill("/memory/file", 256 * MI));
    }
    return 0;
}

/* ---- The node's side ---- */

static void begin(struct fixture *f, struct runtime_spec *s, const char *which)
{
    static char path[128];
    static const char *const env[] = {"ASAN_OPTIONS=detect_leaks=0", NULL};
    snprintf(path, sizeof path, "/attack/%s", self_name);
    const char *cmd[] = {path, "attack", which, NULL};
    s->env = env;
    start(f, s, cmd);
    assert_string_equal(f->start_message, "");
}

/* A line "name=NUMBER" of the log, waited for. */
static unsigned number_of(struct fixture *f, const char *name)
{
    char line[64];
    unsigned n = ~0u;
    snprintf(line, sizeof line, " F %s=", name);
    for (int64_t until = env_now_ms(env_real()) + 60000; n == ~0u;) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        assert_true(env_now_ms(env_real()) < until);
        uv_run(&f->loop, UV_RUN_NOWAIT);
        fs_read_file(f->log, 1 << 20, &b, NULL);
        const char *at = strstr(buf_cstr(&b), line);
        if (at != NULL && strchr(at, '\n') != NULL && strstr(buf_cstr(&b), "all=taken") != NULL) {
            sscanf(at + strlen(line), "%u", &n);
        }
    }
    return n;
}

/* As the node's root. */
static void node_goes_on(bool inotify)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 8192};
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN);
        sigprocmask(SIG_BLOCK, &set, NULL);
        mq_unlink("/reeve-test");
        int bad = mq_open("/reeve-test", O_CREAT | O_RDWR, 0600, &attr) < 0 ? 1 : 0;
        mq_unlink("/reeve-test");
        bad |= sigqueue(getpid(), SIGRTMIN, (union sigval){0}) != 0 ? 2 : 0;
        bad |= inotify && inotify_init1(IN_CLOEXEC) < 0 ? 4 : 0;
        _exit(bad);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("the node has no more of (1 queues, 2 signals, 4 inotify): %d", WEXITSTATUS(status));
    }
}

static void queues_and_signals_are_left_to_the_node(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[2];
    struct rlimit l;
    attack_spec(f, &s, mounts, 0);
    begin(f, &s, "take");
    unsigned queues = number_of(f, "queues"), signals = number_of(f, "signals");
    print_message("root of a pod had %u queues and %u signals\n", queues, signals);
    assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &l), 0);
    assert_true(queues > 0 && queues <= 5);
    assert_true(signals > 0 && signals <= l.rlim_cur / 2);
    node_goes_on(false);
    remove_it(f);
}

static void make_sandbox(struct fixture *f, const char *uid, uint32_t first)
{
    unsigned before = f->dones;
    sandbox_make(f->sandboxes, &(struct sandbox_spec){.uid = uid, .hostname = "mapped", .user_first = first},
                 on_sandbox, f);
    wait_for(f, &f->dones, before + 1);
}

/* Two with user namespaces, one after the other and both at a time: the second has all that the first had. */
static void a_pod_with_a_user_namespace_takes_nobody_elses(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[2];
    struct error err = {0};
    char run[128];
    unsigned had[2][3];
    snprintf(run, sizeof run, "%s/sandboxes", f->dir);
    if (userns_probe(f->dir, run, FIRST, &err) != 0) {
        print_message("skipped: %s\n", err.message);
        return;
    }
    static const char *const names[] = {"one", "two"}, *const kinds[] = {"queues", "signals", "inotify"};
    for (unsigned i = 0; i < 2; i++) {
        make_sandbox(f, i == 0 ? "uid-one" : POD_TWO, FIRST + i * USERNS_IDS);
        attack_spec(f, &s, mounts, 0);
        s.name = names[i];
        snprintf(f->log, sizeof f->log, "%s/logs/%s/0.log", f->dir, names[i]);
        begin(f, &s, "take");
        for (unsigned k = 0; k < 3; k++) {
            had[i][k] = number_of(f, kinds[k]);
        }
    }
    print_message("each of two pods had %u queues, %u signals, %u inotify\n", had[0][0], had[0][1], had[0][2]);
    assert_true(had[0][0] > 0 && had[0][1] > 0 && had[0][2] > 0);
    assert_memory_equal(had[0], had[1], sizeof had[0]);
    node_goes_on(true);
    for (unsigned i = 0; i < 2; i++) {
        runtime_container_id(f->id, POD, names[i], 0);
        remove_it(f);
    }
}

/* ---- Memory ---- */

static void an_empty_dir_in_memory_and_the_termination_log_have_an_end(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[3];
    struct volume_store *volumes;
    struct error err = {0};
    struct cgroup_usage u;
    char path[VOLUME_PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/volumes", f->dir);
    assert_int_equal(volume_store_new(&f->loop, path, NULL, &volumes, &err), 0);

    /* with a size: it is full, and that is all */
    assert_int_equal(volume_empty_dir(volumes, POD, "m", true, 8 * MI, -1, path, &err), 0);
    mounts[0] = (struct runtime_mount){.source = path, .target = "/memory", .no_device = true};
    attack_spec(f, &s, mounts, 1);
    unlink(f->log);
    begin(f, &s, "fill");
    wait_for(f, &f->exits, 1);
    CLEANUP_FREE char *text = read_log(f);
    assert_result(text, "fill-memory", "ENOSPC");
    assert_result(text, "fill-termination", "ENOSPC");
    CLEANUP_FREE char *kept = xasprintf("%s/rt/containers/%s/message/termination-log", f->dir, f->id);
    assert_int_equal(stat(kept, &st), 0);
    assert_true(st.st_size <= 16 << 10);
    remove_it(f);

    /* without one, beyond the pod's memory: it dies of it, and a neighbour does not */
    static const char *const probe[] = {"sh", "-c", "test -d /proc/1 && echo fine", NULL};
    char group[CGROUP_PATH_MAX], id[RUNTIME_ID_MAX], cgroup[CGROUP_PATH_MAX];
    struct runtime_spec healthy;
    crun_spec(f, &healthy);
    assert_int_equal(cgroup_pod_make(f->cgroup, "healthy-pod", NULL, group, &err), 0);
    healthy.name = "healthy";
    healthy.cgroup_parent = group;
    start(f, &healthy, sleeper);
    runtime_container_id(id, POD, "healthy", 0);
    assert_int_equal(cgroup_pod_make(f->cgroup, POD, &(struct cgroup_limits){.memory_bytes = 32 * MI}, cgroup, &err),
                     0);
    assert_int_equal(volume_empty_dir(volumes, POD, "unbounded", true, 0, -1, path, &err), 0);
    attack_spec(f, &s, mounts, 1);
    unsigned before = f->exits;
    begin(f, &s, "hog");
    wait_for(f, &f->exits, before + 1);
    assert_true(f->oom);
    assert_int_equal(cgroup_usage(f->cgroup, cgroup, &u, NULL), 0);
    print_message("the pod holds %llu MiB\n", (unsigned long long)u.memory_bytes >> 20);
    assert_true(u.memory_bytes <= 32 * MI);
    run_inside(f, id, probe, 60000);
    assert_int_equal(f->exec_code, 0);
    remove_it(f);
    snprintf(f->id, sizeof f->id, "%s", id);
    remove_it(f);
    before = f->dones;
    volume_remove_pod(volumes, POD, on_done, f);
    wait_for(f, &f->dones, before + 1);
    before = f->dones;
    cgroup_pod_remove(f->cgroup, "healthy-pod", on_done, f);
    wait_for(f, &f->dones, before + 1);
    volume_store_close(volumes, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "attack") == 0) {
        return attack(argv[2]);
    }
#define CRUN_TEST(fn) cmocka_unit_test_setup_teardown(fn, crun_setup, crun_teardown)
    const struct CMUnitTest tests[] = {
        CRUN_TEST(queues_and_signals_are_left_to_the_node),
        CRUN_TEST(a_pod_with_a_user_namespace_takes_nobody_elses),
        CRUN_TEST(an_empty_dir_in_memory_and_the_termination_log_have_an_end),
    };
    attack_init();
    have_crun = enter_private_mounts();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
