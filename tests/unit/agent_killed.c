/* A real agent that is killed at each step of a pod's life: where it comes, runs, ends and goes. The next one must take
 * over what runs, begin nothing twice, and leave nothing behind.
 *
 * The test is a master made of paper. The agent is this program once more (--agent), with crun, CNI, nftables, mounts
 * and control groups, in the test's own network and mounts; a failpoint kills it. Without root or these programs the
 * tests are skipped. */
#include "tests/unit/agent_master.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/pod/threshold.h"
#include "agent/util/fsutil.h"
#include "base/failpoint.h"
#include "proto/net/loop.h"
#include "tests/unit/agent_layout.h"

#define POLL_MS 20

struct fixture {
    uv_loop_t loop;
    char *ca, *ca_key;
    struct fake_master master;
    char dir[64], run[64], group[64];
    uv_timer_t poll;
    pid_t agent; /* 0: none */
    unsigned deaths;
    char name[64]; /* of the pod, and in its uid and its process */
    bool deleting;
    unsigned number;
    char seconds[32]; /* that its process sleeps: no other's, also of another test */
};

static bool isolated; /* set by main */

/* ---- The agent's side ---- */

static char *read_text(const char *dir, const char *name)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
    struct buf b = BUF_INIT;
    if (fs_read_file(path, 1 << 20, &b, NULL) != 0) {
        exit(3);
    }
    char *text = xstrdup(buf_cstr(&b));
    buf_close(&b);
    return text;
}

/* --agent DIR RUN GROUP MASTER FAILPOINTS */
static int be_agent(char **argv)
{
    const char *dir = argv[2], *masters[] = {argv[5], NULL}, *bad;
    uv_loop_t loop;
    struct net_tls *tls;
    struct error err = {0};
    struct thresholds never;
    struct agent *a;
    struct log log = {.name = "agent", .level = getenv("DEBUG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_OFF};
    CLEANUP_FREE char *home = xasprintf("%s/agent", dir), *images = xasprintf("%s/images", dir);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    thresholds_default(&never);
    if (!failpoint_arm(argv[6], &bad) || net_loop_init(&loop, &err) != 0 ||
        thresholds_parse(STR("memory.available<1Mi,nodefs.available<1Mi,pid.available<1"), &never, &err) != 0 ||
        net_tls_new(read_text(dir, "ca.pem"), read_text(dir, "agent.pem"), read_text(dir, "agent.key"), NULL, &tls,
                    &err) != 0) {
        return 4;
    }
    struct agent_config c = {.loop = &loop,
                             .env = env_real(),
                             .log = &log,
                             .tls = tls,
                             .name = "n1",
                             .dir = home,
                             .run_dir = argv[3],
                             .masters = masters,
                             .node_ip = "127.0.0.1",
                             .images_dir = images,
                             .cgroup_parent = argv[4],
                             .evict_at = &never,
                             .no_user_namespaces = true};
    if (agent_new(&c, &a, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return 5;
    }
    agent_start(a);
    uv_run(&loop, UV_RUN_DEFAULT);
    return 6;
}

static void begin_agent(struct fixture *f, const char *failpoints)
{
    const char *argv[] = {"/proc/self/exe", "--agent", f->dir, f->run, f->group, f->master.address, failpoints, NULL};
    f->agent = fork();
    if (f->agent == 0) {
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(2);
    }
    assert_true(f->agent > 0);
}

static void on_poll(uv_timer_t *t)
{
    struct fixture *f = t->data;
    int status;
    if (f->agent > 0 && waitpid(f->agent, &status, WNOHANG) == f->agent) {
        f->agent = 0;
        f->deaths++;
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
            fail_msg("the agent ended by itself, status %x", (unsigned)status);
        }
    }
}

static void end_agent(struct fixture *f)
{
    if (f->agent > 0) {
        kill(f->agent, SIGKILL);
        run_until(&f->loop, f->agent == 0);
        f->deaths--;
    }
}

/* ---- The master's side ---- */

static void tell_range(struct fixture *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "routes");
    mp_write_array(&b, 1);
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "name", STR("n1"));
    mp_write_key_str(&b, "podCIDR", STR("10.244.7.0/24"));
    mp_write_key_str(&b, "internalIP", STR("127.0.0.1"));
    assert_int_equal(rpc_stream_write(f->master.routes, buf_str(&b)), 0);
}

static char *pod(const struct fixture *f)
{
    return xasprintf(
        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','uid':'uid-%s'%s},'spec':{"
        "'nodeName':'n1','restartPolicy':'Always','terminationGracePeriodSeconds':20,'containers':[{'name':'c','image':"
        "'links:1','command':['/bin/sh','-c','echo x >>/out/%s; trap \\\"exit 0\\\" TERM; sleep %s & "
        "wait'],'ports':["
        "{'containerPort':80,'hostPort':20001}],'volumeMounts':[{'name':'usr','mountPath':'/usr','readOnly':true},{"
        "'name':'out','mountPath':'/out'},{'name':'ram','mountPath':'/ram'}]}],'volumes':[{'name':'usr','hostPath':{"
        "'path':'/usr'}},{'name':'out','hostPath':{'path':'%s/out'}},{'name':'ram','emptyDir':{'medium':'Memory'}}]}}",
        f->name, f->name,
        f->deleting ? ",'deletionTimestamp':'2026-01-02T03:04:05Z','deletionGracePeriodSeconds':20" : "", f->name,
        f->seconds, f->dir);
}

/* Of the newest agent, which has just registered. */
static void tell_all(struct fixture *f)
{
    struct fake_master *m = &f->master;
    CLEANUP_FREE char *json = pod(f);
    tell_range(f);
    master_order(m->refs, NULL, NULL);
    master_order(m->pods, "ADDED", json);
    master_order(m->pods, NULL, NULL);
}

static bool is_listening(const struct fixture *f)
{
    return f->master.pods != NULL && f->master.refs != NULL && f->master.routes != NULL;
}

/* An agent that has been told all, or one that is dead. */
static void bring_agent(struct fixture *f, const char *failpoints)
{
    f->master.pods = f->master.refs = f->master.routes = NULL;
    unsigned before = f->master.registrations, deaths = f->deaths;
    begin_agent(f, failpoints);
    run_until(&f->loop, f->deaths > deaths || (f->master.registrations > before && is_listening(f)));
    if (f->agent > 0) {
        tell_all(f);
    }
}

/* Until the master has heard it; an agent that dies meanwhile is replaced by one that is not killed. */
static void await(struct fixture *f, const char *fmt)
{
    CLEANUP_FREE char *text = xasprintf("%s default/%s%s", fmt, f->name, fmt[0] == 's' ? " Running" : "");
    for (;;) {
        run_until(&f->loop, f->agent == 0 || master_heard(&f->master, text));
        if (f->agent > 0) {
            return;
        }
        bring_agent(f, "");
    }
}

/* Until the agent knows that the master knows that the pod is gone. */
static void await_forgotten(struct fixture *f)
{
    CLEANUP_FREE char *file = xasprintf("%s/agent/pods/uid-%s.pod", f->dir, f->name);
    for (;;) {
        run_until(&f->loop, f->agent == 0 || !fs_exists(file));
        if (f->agent > 0) {
            return;
        }
        bring_agent(f, "");
    }
}

/* ---- What there is ---- */

/* Processes of the pod's that sleep; the pid of one. */
static unsigned sleepers(const struct fixture *f, int *pid)
{
    CLEANUP_FREE char *word = xasprintf("sleep%c%s", '\0', f->seconds);
    size_t n = strlen("sleep") + 1 + strlen(f->seconds);
    unsigned found = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[300];
        CLEANUP_BUF struct buf b = BUF_INIT;
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        if (atoi(e->d_name) > 0 && fs_read_file(path, 4096, &b, NULL) == 0 && b.size >= n &&
            memmem(b.data, b.size, word, n) == b.data) {
            found++;
            *pid = atoi(e->d_name);
        }
    }
    closedir(d);
    return found;
}

static unsigned starts(const struct fixture *f)
{
    CLEANUP_FREE char *path = xasprintf("%s/out/%s", f->dir, f->name);
    CLEANUP_BUF struct buf b = BUF_INIT;
    return fs_read_file(path, 4096, &b, NULL) == 0 ? (unsigned)(b.size / 2) : 0;
}

static void assert_nothing_left(const struct fixture *f)
{
    CLEANUP_FREE char *command = xasprintf(
        "cd / && { grep -F uid-%s /proc/self/mountinfo; find /sys/fs/cgroup -path /sys/fs/cgroup/unified "
        "-prune -o -path '*%s/*uid-%s*' -print; "
        "find %s/agent %s -path '*uid-%s*'; grep -rlF uid-%s %s/agent/network; ip -o link | grep veth; "
        "nft list table ip reeve-pods | grep 20001; for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | "
        "grep '^[^ ]*conmon .*uid-%s'; done; } >%s/left 2>/dev/null; cat %s/left; ! [ -s %s/left ]",
        f->name, f->group, f->name, f->dir, f->run, f->name, f->name, f->dir, f->name, f->dir, f->dir, f->dir);
    if (system(command) != 0) {
        fail_msg("%s: this is left", f->name);
    }
}

/* ---- Tests ---- */

static void live_and_die_at(struct fixture *f, const char *point, unsigned nth)
{
    int before = 0, after = 0;
    CLEANUP_FREE char *failpoints = xasprintf("%s=crash@%u", point, nth);
    f->number++;
    f->deaths = 0;
    f->deleting = false;
    snprintf(f->name, sizeof f->name, "p%u", f->number);
    snprintf(f->seconds, sizeof f->seconds, "1%07d%02u", (int)getpid(), f->number);
    master_forget(&f->master);
    bring_agent(f, failpoints);
    /* Comes, and runs. */
    run_until(&f->loop, f->agent == 0 || sleepers(f, &before) > 0);
    unsigned alive = sleepers(f, &before);
    await(f, "status");
    run_until(&f->loop, sleepers(f, &after) == 1);
    if (starts(f) != 1 || (alive == 1 && before != after)) {
        fail_msg("%s@%u: begun %u times; process %d before and %d after", point, nth, starts(f), before, after);
    }
    /* Ends, and goes. */
    f->deleting = true;
    if (f->agent > 0) {
        CLEANUP_FREE char *json = pod(f);
        master_order(f->master.pods, "MODIFIED", json);
    }
    await(f, "gone");
    await_forgotten(f);
    if (f->deaths != 1 || starts(f) != 1 || sleepers(f, &after) != 0) {
        fail_msg("%s@%u: the agent died %u times, the container was begun %u times", point, nth, f->deaths, starts(f));
    }
    end_agent(f);
    assert_nothing_left(f);
}

static void an_agent_killed_while_a_pod_comes_begins_it_once(void **state)
{
    struct fixture *f = *state;
    static const char *const points[] = {"pod_after_keep",       "sandbox_before_info",   "network_after_link",
                                         "network_after_rules",  "container_after_mount", "container_before_start",
                                         "container_after_start"};
    if (f == NULL) {
        skip();
    }
    for (unsigned i = 0; i < ARRAY_SIZE(points); i++) {
        live_and_die_at(f, points[i], 1);
    }
}

static void an_agent_killed_while_a_pod_goes_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *point;
        unsigned nth;
    } rows[] = {{"container_before_end", 1}, {"container_in_removal", 1}, {"pod_before_clean", 1},
                {"pod_before_clean", 2},     {"pod_before_clean", 3},     {"pod_before_clean", 4},
                {"pod_before_clean", 5},     {"pod_before_clean", 6},     {"network_after_rules", 2},
                {"pod_after_clean", 1},      {"pod_before_forget", 1}};
    if (f == NULL) {
        skip();
    }
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        live_and_die_at(f, rows[i].point, rows[i].nth);
    }
}

/* ---- Life ---- */

static void write_text(const struct fixture *f, const char *name, const char *text)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", f->dir, name);
    assert_int_equal(fs_write_file(path, str_of(text), 0600, false, NULL), 0);
}

/* An image of links only: the node's /usr is its content. */
static void make_image(const struct fixture *f)
{
    struct tar t;
    CLEANUP_FREE char *layout = xasprintf("%s/images/links", f->dir);
    static const char *const dirs[] = {"usr/", "etc/", "out/", "ram/", "w/"};
    tar_begin(&t, false);
    for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++) {
        tar_add(&t, dirs[i], AE_IFDIR, NULL);
    }
    tar_add(&t, "bin", AE_IFLNK, "usr/bin");
    tar_add(&t, "lib", AE_IFLNK, "usr/lib");
    tar_add(&t, "lib64", AE_IFLNK, "usr/lib64");
    tar_end(&t);
    make_layout(layout, "links:1", &t, 1);
}

static int set_up(void **state)
{
    struct error err = {0};
    struct pki_identity who = {.role = PKI_ROLE_NODE, .name = "n1"};
    char *cert, *key;
    if (!isolated) {
        *state = NULL;
        return 0;
    }
    struct fixture *f = xcalloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->poll);
    f->poll.data = f;
    uv_timer_start(&f->poll, on_poll, POLL_MS, POLL_MS);
    snprintf(f->dir, sizeof f->dir, "/tmp/reeve-killed-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->run, sizeof f->run, "/run/reeve-killed-%d", (int)getpid());
    snprintf(f->group, sizeof f->group, "reeve-killed-%d", (int)getpid());
    assert_int_equal(pki_make_ca("test", &f->ca, &f->ca_key, &err), 0);
    assert_int_equal(pki_issue(f->ca, f->ca_key, &who, "localhost,127.0.0.1", 3600, &cert, &key, &err), 0);
    write_text(f, "ca.pem", f->ca);
    write_text(f, "agent.pem", cert);
    write_text(f, "agent.key", key);
    free(cert);
    pki_free_key(key);
    CLEANUP_FREE char *out = xasprintf("%s/out", f->dir);
    assert_int_equal(fs_make_dirs(out, 0777, NULL), 0);
    make_image(f);
    assert_int_equal(chmod(f->dir, 0755), 0);
    master_open(&f->master, &f->loop, f->ca, f->ca_key);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f == NULL) {
        return 0;
    }
    end_agent(f);
    uv_close((uv_handle_t *)&f->poll, NULL);
    master_close(&f->master);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    fs_unmount_below(f->dir, NULL);
    fs_remove_tree(f->dir, NULL);
    fs_unmount_below(f->run, NULL);
    fs_remove_tree(f->run, NULL);
    CLEANUP_FREE char *rest = xasprintf("find /sys/fs/cgroup -path '*/%s/*' -name cgroup.procs -exec cat {} + | "
                                        "sort -u | xargs -r kill -9 2>/dev/null || :",
                                        f->group); /* of a test that failed */
    assert_int_equal(system(rest), 0);
    /* Where cgroup2 was, crun has made plain directories. */
    CLEANUP_FREE char *groups =
        xasprintf("rm -rf /sys/fs/cgroup/unified/%s; rmdir /sys/fs/cgroup/%s /sys/fs/cgroup/*/%s "
                  "2>/dev/null || :",
                  f->group, f->group, f->group);
    assert_int_equal(system(groups), 0);
    free(f->ca);
    pki_free_key(f->ca_key);
    free(f);
    return 0;
}

/* crun wants no cgroup2 with controllers beside version 1 ones. */
static bool enter_isolation(void)
{
    static const char *const programs[] = {"/usr/bin/crun", "/usr/bin/conmon", "/usr/sbin/nft"};
    for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
        if (access(programs[i], X_OK) != 0) {
            return false;
        }
    }
    if (geteuid() != 0 || unshare(CLONE_NEWNS | CLONE_NEWNET) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || system("ip link set lo up") != 0) {
        return false;
    }
    umount2("/sys/fs/cgroup/unified", MNT_DETACH);
    return true;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 7 && strcmp(argv[1], "--agent") == 0) {
        return be_agent(argv);
    }
    isolated = enter_isolation();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_agent_killed_while_a_pod_comes_begins_it_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_agent_killed_while_a_pod_goes_leaves_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
