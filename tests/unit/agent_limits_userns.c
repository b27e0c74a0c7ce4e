/* A pod with a user namespace of its own (hostUsers: false): its root is nobody on the node, and what is the node's or
 * another pod's stays out of its reach, while everything that a pod is used to works. */
#include "tests/unit/agent_limits_attack.h"

#include "agent/util/userns.h"
#include "agent/volume/volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define FIRST   0x70000000u
#define SECOND  (FIRST + USERNS_IDS)
#define USER    "7777"
#define POD_TWO "11111111-2222-3333-4444-666666666666"

/* ---- Inside ---- */

static long can_write(const char *path)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    return fd < 0 ? -1 : write(fd, "x\n", 2) == 2 ? 0 : -1;
}

static void tell_owner(const char *name, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        tell(name, -1);
        return;
    }
    printf("%s=%u:%u\n", name, st.st_uid, st.st_gid);
}

static int attack(const char *which)
{
    if (strcmp(which, "files") == 0) {
        tell_owner("root", "/");
        tell_owner("image", "/etc/passwd");
        tell_owner("cwd", "/made/for/work");
        tell_owner("secret", "/secret/..data/password");
        tell_owner("group", "/empty");
        tell_owner("memory", "/memory");
        tell_owner("shm", "/dev/shm");
        tell_owner("host", "/host/mine");
        tell("write-image", can_write("/etc/passwd"));
        tell("write-root", can_write("/new"));
        tell("write-hosts", can_write("/etc/hosts"));
        tell("write-empty", can_write("/empty/file"));
        tell("write-memory", can_write("/memory/file"));
        tell("write-host", can_write("/host/file"));
        tell("write-sub", can_write("/sub/file"));
        tell("write-termination", can_write("/dev/termination-log"));
        tell("write-secret", can_write("/secret/..data/password"));
        tell("chown", chown("/new", 1000, 1000));
        tell("chown-beyond", chown("/new", 70000, 70000));
        TELL_CHILD("become", setgid(33) != 0 || setuid(33) != 0 ? -1 : 0);
        TELL_CHILD("become-beyond", setuid(70000));
        tell("hostname", sethostname("pwned", 5)); /* has SYS_ADMIN, but of the pod only */
        tell("core-pattern", can_write("/proc/sys/kernel/core_pattern"));
        tell("mknod", mknod("/disk", S_IFBLK | 0666, makedev(254, 0)));
    }
    return 0;
}

/* ---- The node's side ---- */

static void new_sandbox(struct fixture *f, const char *uid, uint32_t first, bool shared_pid)
{
    unsigned before = f->dones;
    sandbox_make(
        f->sandboxes,
        &(struct sandbox_spec){.uid = uid, .hostname = "mapped", .user_first = first, .shared_pid = shared_pid},
        on_sandbox, f);
    wait_for(f, &f->dones, before + 1);
    assert_int_equal(f->sb.user_first, first);
}

static void drop_sandbox(struct fixture *f, const char *uid)
{
    unsigned before = f->dones;
    sandbox_remove(f->sandboxes, uid, on_done, f);
    wait_for(f, &f->dones, before + 1);
    assert_int_equal(f->done_error, 0);
}

/* The pod's sandbox of crun_setup is replaced. */
static int setup(void **state)
{
    struct error err = {0};
    crun_setup(state);
    struct fixture *f = *state;
    if (f == NULL) {
        return 0;
    }
    char run[128];
    snprintf(run, sizeof run, "%s/sandboxes", f->dir);
    if (userns_probe(f->dir, run, FIRST, &err) != 0) {
        print_message("skipped: %s\n", err.message);
        crun_teardown(state);
        *state = NULL;
        return 0;
    }
    drop_sandbox(f, POD);
    new_sandbox(f, POD, FIRST, false);
    f->dones = 0;
    return 0;
}

/* What the kernel says of a process: "Uid" as the node sees it. */
static unsigned uid_of(int pid)
{
    char path[64];
    unsigned uid = ~0u;
    CLEANUP_BUF struct buf b = BUF_INIT;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    assert_int_equal(fs_read_file(path, 1 << 16, &b, NULL), 0);
    const char *at = strstr(buf_cstr(&b), "\nUid:");
    assert_true(at != NULL && sscanf(at, "\nUid: %u", &uid) == 1);
    return uid;
}

static int pid_of(struct fixture *f)
{
    struct runtime_status st;
    assert_true(runtime_get(f->rt, f->id, &st));
    return st.pid;
}

static void root_of_a_pod_is_nobody_on_the_node(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[8];
    struct volume_store *volumes;
    struct error err = {0};
    struct volume_file files[] = {{.path = "password", .content = STR("sesame"), .mode = 0400}};
    char path[VOLUME_PATH_MAX], plain[5][VOLUME_PATH_MAX], shifted[5][VOLUME_PATH_MAX], host[128], file[FS_PATH_MAX];
    const char *add[] = {"SYS_ADMIN", "MKNOD", NULL};
    snprintf(path, sizeof path, "%s/volumes", f->dir);
    assert_int_equal(volume_store_new(&f->loop, path, NULL, &volumes, &err), 0);
    static const char *const targets[] = {"/secret", "/empty", "/memory", "/host", "/sub"};
    snprintf(host, sizeof host, "%s/host", f->dir);
    assert_int_equal(mkdir(host, 0755), 0);
    snprintf(file, sizeof file, "%s/mine", host);
    assert_int_equal(fs_write_file(file, STR("x"), 0644, false, NULL), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++) {
        char key[16];
        int rc = i == 0   ? volume_files(volumes, POD, "s", true, files, 1, -1, plain[i], NULL, &err)
                 : i == 1 ? volume_empty_dir(volumes, POD, "e", false, 0, 2000, plain[i], &err)
                 : i == 2 ? volume_empty_dir(volumes, POD, "m", true, 1 << 20, -1, plain[i], &err)
                 : i == 3 ? volume_host_path(volumes, host, "", plain[i], &err)
                          : volume_sub_path(volumes, POD, "c-4", plain[1], "deep/er", false, plain[i], &err);
        assert_int_equal(rc, 0);
        snprintf(key, sizeof key, "c-%u", i);
        if (volume_shift(volumes, POD, key, plain[i], f->sb.user, i == 3, shifted[i], &err) != 0) {
            fail_msg("%s", err.message);
        }
        mounts[i] = (struct runtime_mount){.source = shifted[i], .target = targets[i]};
    }
    attack_spec(f, &s, mounts, ARRAY_SIZE(targets));
    s.cwd = "/made/for/work";
    s.security.capabilities_add = add;
    const int64_t groups[] = {2000};
    s.security.supplemental_groups = groups;
    s.security.supplemental_groups_count = 1;
    CLEANUP_FREE char *text = attack_run(f, &s, "files");
    static const char *const results[][2] = {{"root", "0:0"},
                                             {"image", "0:0"},
                                             {"cwd", "0:0"},
                                             {"secret", "0:0"},
                                             {"group", "0:2000"},
                                             {"memory", "0:0"},
                                             {"shm", "0:0"},
                                             {"host", "0:0"},
                                             {"write-image", "ok"},
                                             {"write-root", "ok"},
                                             {"write-hosts", "ok"},
                                             {"write-empty", "ok"},
                                             {"write-memory", "ok"},
                                             {"write-host", "ok"},
                                             {"write-sub", "ok"},
                                             {"write-termination", "ok"},
                                             {"chown", "ok"},
                                             {"chown-beyond", "EINVAL"},
                                             {"become", "ok"},
                                             {"become-beyond", "EINVAL"},
                                             {"hostname", "ok"},
                                             {"mknod", "EPERM"},
                                             {"core-pattern", "EACCES"}};
    for (unsigned i = 0; i < ARRAY_SIZE(results); i++) {
        assert_result(text, results[i][0], results[i][1]);
    }
    assert_string_equal(f->message, "x\n"); /* the termination message */
    /* on the disk, volumes have the numbers that the pod sees: another range, or none, finds the same */
    struct stat st;
    snprintf(file, sizeof file, "%s/file", host);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_uid, 0);
    unsigned before = f->dones;
    volume_remove_pod(volumes, POD, on_done, f);
    wait_for(f, &f->dones, before + 1);
    assert_int_equal(f->done_error, 0);
    volume_store_close(volumes, NULL, NULL);
}

static void what_pods_are_used_to_works(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *server[] = {"sh", "-c", "echo up; exec sleep 600", NULL};
    const char *id[] = {"id", "-u", NULL}, *cat[] = {"cat", NULL};
    crun_spec(f, &s);
    s.security.run_as_user = 0;
    start(f, &s, server);
    assert_string_equal(f->start_message, "");
    assert_int_equal(uid_of(pid_of(f)), FIRST);
    run_inside(f, f->id, id, 60000);
    assert_int_equal(f->exec_code, 0);
    assert_string_equal(f->exec_output, "0\n");
    say_hello(f, cat); /* streams, as cp uses them */
    buf_reset(&f->streamed);
    unsigned before = f->ends; /* a terminal */
    const char *tty[] = {"sh", "-c", "tty && echo to-it >/dev/tty", NULL};
    runtime_exec_open(f->rt, f->id, &(struct runtime_exec_spec){.argv = tty, .tty = true}, &streaming, f);
    wait_for(f, &f->ends, before + 1);
    assert_int_equal(f->end_code, 0);
    assert_non_null(strstr(buf_cstr(&f->streamed), "to-it"));
    /* the agent comes back */
    struct sandbox found;
    assert_true(sandbox_find(f->sandboxes, POD, &found));
    assert_int_equal(found.user_first, FIRST);
    assert_string_equal(found.user, f->sb.user);
    close_runtime(f);
    open_crun(f);
    run_inside(f, f->id, id, 60000);
    assert_string_equal(f->exec_output, "0\n");
    CLEANUP_FREE char *text = read_log(f);
    assert_non_null(strstr(text, "up\n"));
    kill_it(f, SIGKILL);
    remove_it(f);

    /* a privileged container is so towards its pod */
    const char *raise[] = {"sh", "-c",
                           "echo 1 >/proc/sys/net/ipv4/ip_forward && ! echo x >/proc/sys/kernel/core_pattern", NULL};
    crun_spec(f, &s);
    s.security.run_as_user = 0;
    s.security.privileged = true;
    start(f, &s, sleeper);
    assert_string_equal(f->start_message, "");
    run_inside(f, f->id, raise, 60000);
    assert_int_equal(f->exec_code, 0);
    remove_it(f);

    /* another user; and one that no pod has */
    crun_spec(f, &s);
    s.security.run_as_user = 33;
    start(f, &s, sleeper);
    assert_string_equal(f->start_message, "");
    assert_int_equal(uid_of(pid_of(f)), FIRST + 33);
    remove_it(f);
    crun_spec(f, &s);
    s.security.run_as_user = USERNS_IDS;
    start(f, &s, sleeper);
    assert_string_equal(f->reason, "CreateContainerConfigError");
    assert_non_null(strstr(f->start_message, "65536 is none of a pod with hostUsers false"));
}

static void containers_share_a_pid_namespace_of_the_pods_own(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *ps[] = {"sh", "-c", "cat /proc/1/comm && ls /proc/1/root/ 2>&1", NULL};
    bool renewed = false;
    struct error err = {0};
    drop_sandbox(f, POD);
    new_sandbox(f, POD, FIRST, true);
    assert_int_equal(uid_of(f->sb.pause_pid), FIRST + 65535);
    for (unsigned i = 0; i < 2; i++) {
        crun_spec(f, &s);
        s.security.run_as_user = 0;
        start(f, &s, sleeper);
        assert_string_equal(f->start_message, "");
        run_inside(f, f->id, ps, 60000);
        assert_non_null(strstr(f->exec_output, "pause\n"));
        remove_it(f);
        kill(f->sb.pause_pid, SIGKILL); /* a killed holder is made anew in the same user namespace */
        siginfo_t dead;
        assert_int_equal(waitid(P_PID, (id_t)f->sb.pause_pid, &dead, WEXITED | WNOWAIT), 0);
        assert_int_equal(sandbox_renew(f->sandboxes, &f->sb, &renewed, &err), 0);
        assert_true(renewed);
        assert_int_equal(uid_of(f->sb.pause_pid), FIRST + 65535);
    }
}

/* ---- Others ---- */

/* As a process with the number that a container's user has: may it signal, or look into, that one? */
static bool reaches_process(unsigned as, int pid)
{
    pid_t child = fork();
    if (child == 0) {
        char path[64];
        if (setgid(as) != 0 || setuid(as) != 0) {
            _exit(2);
        }
        snprintf(path, sizeof path, "/proc/%d/environ", pid);
        bool reached = kill(pid, 0) == 0 || open(path, O_RDONLY) >= 0;
        snprintf(path, sizeof path, "/proc/%d/root/etc/passwd", pid);
        _exit(reached || open(path, O_RDONLY) >= 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status) == 1;
}

static void a_user_of_the_node_with_the_same_number_reaches_nothing(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    crun_spec(f, &s);
    s.security.run_as_user = s.security.run_as_group = atoi(USER);
    start(f, &s, sleeper);
    assert_string_equal(f->start_message, "");
    assert_false(reaches_process(atoi(USER), pid_of(f)));
    remove_it(f);
    struct sandbox own = f->sb;
    new_sandbox(f, POD_TWO, SECOND, false);
    assert_int_not_equal(own.user_first, f->sb.user_first);
    crun_spec(f, &s);
    s.security.run_as_user = s.security.run_as_group = atoi(USER);
    start(f, &s, sleeper);
    assert_false(reaches_process(FIRST + (unsigned)atoi(USER), pid_of(f))); /* the other pod's */
    assert_int_equal(uid_of(pid_of(f)), SECOND + (unsigned)atoi(USER));
    remove_it(f);
    f->sb = own;
    drop_sandbox(f, POD_TWO);
}

static void a_local_user_still_reaches_no_file(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct stat st;
    char path[FS_PATH_MAX];
    crun_spec(f, &s);
    s.security.run_as_user = 0;
    start(f, &s, sleeper);
    assert_string_equal(f->start_message, "");
    const char *way[] = {"", "/rt", "/rt/containers"};
    for (unsigned i = 0; i < ARRAY_SIZE(way); i++) {
        snprintf(path, sizeof path, "%s%s", f->dir, way[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0711); /* may be passed, not listed */
    }
    snprintf(path, sizeof path, "%s/rt/containers/%s", f->dir, f->id);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    snprintf(path, sizeof path, "%s/images", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    remove_it(f);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "attack") == 0) {
        return attack(argv[2]);
    }
#define CRUN_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, crun_teardown)
    const struct CMUnitTest tests[] = {
        CRUN_TEST(root_of_a_pod_is_nobody_on_the_node),
        CRUN_TEST(what_pods_are_used_to_works),
        CRUN_TEST(containers_share_a_pid_namespace_of_the_pods_own),
        CRUN_TEST(a_user_of_the_node_with_the_same_number_reaches_nothing),
        CRUN_TEST(a_local_user_still_reaches_no_file),
    };
    attack_init();
    have_crun = enter_private_mounts();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
