/* What a container finds mounted: flags of data and of /dev/shm, sizes, /proc, /sys and control groups, and setuid
 * programs. */
#include "tests/unit/agent_limits_attack.h"

#include "agent/volume/volume.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* ---- Inside ---- */

/* Writes what could change something if it were let; nothing it writes is understood by the kernel. */
static long write_to(const char *path)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -1 : write(fd, "?", 1);
}

static long bytes_of(const char *path)
{
    char bytes[64];
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
}

/* Not every kernel has every file. */
static void tell_shut(const char *name, long rc)
{
    if (rc < 0 && (errno == EROFS || errno == ENOENT)) {
        printf("%s=shut\n", name);
    } else {
        tell(name, rc);
    }
}

static void tell_empty(const char *name, const char *path)
{
    long n = bytes_of(path);
    printf("%s=%s\n", name, n == 0 || (n < 0 && errno == ENOENT) ? "empty" : n < 0 ? strerrorname_np(errno) : "full");
}

static void tell_flags(const char *name, const char *path)
{
    struct statvfs st;
    if (statvfs(path, &st) != 0) {
        tell(name, -1);
        return;
    }
    printf("%s=%s%s%s%s\n", name, (st.f_flag & ST_RDONLY) != 0 ? "ro" : "rw",
           (st.f_flag & ST_NOSUID) != 0 ? ",nosuid" : "", (st.f_flag & ST_NODEV) != 0 ? ",nodev" : "",
           (st.f_flag & ST_NOEXEC) != 0 ? ",noexec" : "");
}

static void tell_size(const char *name, const char *path)
{
    struct statvfs st;
    printf("%s=%llu\n", name, statvfs(path, &st) != 0 ? 0ull : (unsigned long long)st.f_blocks * st.f_frsize >> 10);
}

/* A program that is put there and run. */
static long run_from(const char *dir)
{
    char path[128];
    snprintf(path, sizeof path, "%s/program", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (fd < 0 || write(fd, "#!/bin/sh\nexit 0\n", 17) != 17 || close(fd) != 0) {
        return -1;
    }
    int why[2];
    if (pipe2(why, O_CLOEXEC) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, path, NULL);
        int e = errno;
        _exit(write(why[1], &e, sizeof e) == sizeof e ? 1 : 2);
    }
    close(why[1]);
    errno = 0;
    int e = 0;
    ssize_t n = read(why[0], &e, sizeof e);
    close(why[0]);
    waitpid(pid, NULL, 0);
    errno = n == sizeof e ? e : 0;
    return n == 0 ? 0 : -1;
}

static long fill(const char *path)
{
    static const char bytes[64 << 10];
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    ssize_t n = 1;
    for (unsigned i = 0; fd >= 0 && n > 0 && i < (16 << 20) / sizeof bytes; i++) {
        n = write(fd, bytes, sizeof bytes);
    }
    return fd < 0 || n < 0 ? -1 : 0;
}

static int attack(const char *which)
{
    if (strcmp(which, "mounts") == 0) {
        tell_flags("secret", "/secret");
        tell_flags("shm", "/dev/shm");
        tell_flags("hosts", "/etc/hosts");
        tell_flags("resolv", "/etc/resolv.conf");
        tell_flags("termination", "/dev/termination-log");
        tell_flags("empty", "/empty");
        tell("run-shm", run_from("/dev/shm"));
        tell("run-empty", run_from("/empty"));
        tell("write-secret", write_to("/secret/password"));
        tell_size("size-shm", "/dev/shm");
        tell_size("size-dev", "/dev");
        tell_size("size-hosts", "/etc/hosts");
        tell("fill-hosts", fill("/etc/hosts"));
    } else if (strcmp(which, "kernel") == 0) {
        tell_shut("core_pattern", write_to("/proc/sys/kernel/core_pattern"));
        tell_shut("sysrq", write_to("/proc/sysrq-trigger"));
        tell_shut("irq", write_to("/proc/irq/default_smp_affinity"));
        tell_shut("uevent", write_to("/sys/kernel/uevent_helper"));
        /* With version 1 crun puts a tmpfs of 1 MiB above the controllers; that is no control group. */
        tell_shut("cgroup", write_to("/sys/fs/cgroup/cgroup.procs"));
        tell_shut("cgroup-memory", mkdir("/sys/fs/cgroup/memory/mine", 0755));
        tell_shut("cgroup-devices", write_to("/sys/fs/cgroup/devices/devices.allow"));
        tell_shut("firmware", mkdir("/sys/firmware/x", 0755));
        tell_empty("kcore", "/proc/kcore");
        tell_empty("keys", "/proc/keys");
        tell_empty("timers", "/proc/timer_list");
        tell_empty("interrupts", "/proc/interrupts");
        tell("remount", access("/proc/1/root/sys/kernel", W_OK));
        tell("cpu", bytes_of("/proc/cpuinfo") > 0 ? 0 : -1);
        tell("null", write_to("/dev/null"));
    } else if (strcmp(which, "euid") == 0) {
        printf("euid=%d\n", (int)geteuid());
    }
    return 0;
}

/* ---- Outside ---- */

struct expected {
    const char *name, *result;
};

static void compare(const char *text, const struct expected *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_result(text, rows[i].name, rows[i].result);
    }
}

static void data_is_mounted_as_data(void **state)
{
    static const struct expected rows[] = {
        {"secret", "ro,nosuid,nodev,noexec"},
        {"shm", "rw,nosuid,nodev,noexec"},
        {"hosts", "rw,nosuid,nodev,noexec"},
        {"resolv", "rw,nosuid,nodev,noexec"},
        {"termination", "rw,nosuid,nodev,noexec"},
        {"empty", "rw,nodev"},
        {"run-shm", "EACCES"},
        {"run-empty", "ok"},
        {"write-secret", "EROFS"},
        {"size-shm", "65536"},
        {"size-dev", "65536"},
        {"size-hosts", "4096"},
        {"fill-hosts", "ENOSPC"},
    };
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct volume_store *volumes;
    struct error err = {0};
    struct runtime_spec s;
    struct runtime_mount mounts[4];
    char secret[VOLUME_PATH_MAX], empty[VOLUME_PATH_MAX], path[256];
    struct volume_file files[] = {{.path = "password", .content = STR("x")}};
    snprintf(path, sizeof path, "%s/volumes", f->dir);
    assert_int_equal(volume_store_new(&f->loop, path, NULL, &volumes, &err), 0);
    assert_int_equal(volume_files(volumes, POD, "s", true, files, 1, -1, secret, NULL, &err), 0);
    assert_int_equal(volume_empty_dir(volumes, POD, "e", false, 0, -1, empty, &err), 0);
    mounts[0] = (struct runtime_mount){.source = secret, .target = "/secret", .data = true, .read_only = true};
    mounts[1] = (struct runtime_mount){.source = empty, .target = "/empty", .no_device = true};
    attack_spec(f, &s, mounts, 2);
    CLEANUP_FREE char *text = attack_run(f, &s, "mounts");
    compare(text, rows, ARRAY_SIZE(rows));

    /* its neighbours do not notice that this pod has filled all it could */
    struct sandbox full = f->sb;
    unsigned before = f->dones;
    sandbox_make(f->sandboxes, &(struct sandbox_spec){.uid = "neighbour", .hostname = "n"}, on_sandbox, f);
    wait_for(f, &f->dones, before + 1);
    assert_int_equal(sandbox_set_ip(f->sandboxes, &f->sb, "10.0.0.9", NULL, &err), 0);
    f->sb = full;
    sandbox_remove(f->sandboxes, "neighbour", on_done, f);
    volume_remove_pod(volumes, POD, on_done, f);
    wait_for(f, &f->dones, before + 3);
    volume_store_close(volumes, NULL, NULL);
}

static void the_kernels_files_are_hidden_or_read_only(void **state)
{
    static const struct expected rows[] = {
        {"core_pattern", "shut"},   {"sysrq", "shut"},    {"irq", "shut"},
        {"uevent", "shut"},         {"cgroup", "shut"},   {"cgroup-memory", "shut"},
        {"cgroup-devices", "shut"}, {"firmware", "shut"}, {"kcore", "empty"},
        {"keys", "empty"},          {"timers", "empty"},  {"interrupts", "empty"},
        {"remount", "EROFS"},       {"cpu", "ok"},        {"null", "ok"},
    };
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[2];
    attack_spec(f, &s, mounts, 0);
    CLEANUP_FREE char *text = attack_run(f, &s, "kernel");
    compare(text, rows, ARRAY_SIZE(rows));
}

/* A setuid copy of this program, on a file system of its own. */
static void a_setuid_program_gives_nothing_where_rights_may_not_grow(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[3];
    char suid[128], copy[160], own[FS_PATH_MAX + 128];
    CLEANUP_BUF struct buf program = BUF_INIT;
    struct error err = {0};
    snprintf(suid, sizeof suid, "%s/suid", f->dir);
    snprintf(copy, sizeof copy, "%s/program", suid);
    snprintf(own, sizeof own, "%s/%s", self_dir, self_name);
    assert_int_equal(mkdir(suid, 0755), 0);
    assert_int_equal(fs_read_file(own, 256 << 20, &program, &err), 0);
    assert_int_equal(fs_write_file(copy, buf_str(&program), 04755, false, &err), 0);
    mounts[0] = (struct runtime_mount){.source = suid, .target = "/suid"};
    attack_spec(f, &s, mounts, 1);
    s.security.run_as_user = s.security.run_as_group = 12345;
    static const char *const env[] = {"ASAN_OPTIONS=detect_leaks=0", NULL}, *const cmd[] = {"/suid/program", "attack",
                                                                                            "euid", NULL};
    static const struct {
        bool no_new_privileges, data;
        const char *euid;
    } rows[] = {{false, false, "0"}, {true, false, "12345"}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        s.env = env;
        s.security.no_new_privileges = rows[i].no_new_privileges;
        unlink(f->log);
        unsigned before = f->exits;
        start(f, &s, cmd);
        assert_string_equal(f->start_message, "");
        wait_for(f, &f->exits, before + 1);
        CLEANUP_FREE char *text = read_log(f);
        assert_result(text, "euid", rows[i].euid);
        remove_it(f);
    }
    mounts[0].data = true; /* not even run from where data lies */
    start(f, &s, cmd);
    assert_int_not_equal(f->start_error, 0);
    assert_string_equal(f->reason, "RunContainerError");
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "attack") == 0) {
        return attack(argv[2]);
    }
#define CRUN_TEST(fn) cmocka_unit_test_setup_teardown(fn, crun_setup, crun_teardown)
    const struct CMUnitTest tests[] = {
        CRUN_TEST(data_is_mounted_as_data),
        CRUN_TEST(the_kernels_files_are_hidden_or_read_only),
        CRUN_TEST(a_setuid_program_gives_nothing_where_rights_may_not_grow),
    };
    attack_init();
    have_crun = enter_private_mounts();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
