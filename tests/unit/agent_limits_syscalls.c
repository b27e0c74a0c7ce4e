/* System calls, capabilities and sockets that containers try, with crun: what our own profile and the default
 * capabilities leave. */
#include "tests/unit/agent_limits_attack.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#ifndef AF_ALG
#define AF_ALG 38
#endif

/* ---- Inside ---- */

static long clone_with(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        _exit(0);
    }
    if (pid > 0) {
        waitpid((pid_t)pid, NULL, 0);
    }
    return pid;
}

static void *nothing(void *arg)
{
    return arg;
}

static long thread(void)
{
    pthread_t t;
    errno = pthread_create(&t, NULL, nothing, NULL);
    return errno == 0 ? pthread_join(t, NULL) : -1;
}

/* As a 32-bit program makes it: other numbers, and a door that filters forget. */
static long call_32_bit(long number, long a, long b, long c)
{
#if defined(__x86_64__)
    long rc;
    __asm__ volatile("int $0x80" : "=a"(rc) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    errno = rc < 0 ? (int)-rc : 0;
    return rc < 0 ? -1 : rc;
#else
    (void)number, (void)a, (void)b, (void)c;
    errno = EPERM;
    return -1;
#endif
}

static long socketcall_32_bit(int family)
{
#if defined(__x86_64__)
    uint32_t *args = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    args[0] = (uint32_t)family;
    args[1] = SOCK_STREAM;
    args[2] = 0;
    return call_32_bit(102, 1, (long)args, 0);
#else
    return call_32_bit(0, family, 0, 0);
#endif
}

/* An echo request to the loopback address, and its answer. */
static long ping(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct icmphdr h = {.type = ICMP_ECHO}, back = {0};
    struct timeval patience = {.tv_sec = 60};
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        sendto(fd, &h, sizeof h, 0, (struct sockaddr *)&to, sizeof to) != sizeof h ||
        recv(fd, &back, sizeof back, 0) != sizeof back) {
        return -1;
    }
    errno = EPROTO;
    return back.type == ICMP_ECHOREPLY ? 0 : -1;
}

static long seccomp_mode(void)
{
    char line[128];
    long mode = -1;
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        sscanf(line, "Seccomp: %ld", &mode);
    }
    fclose(f);
    return mode;
}

static int attack(void)
{
    char path[] = "/dev/shm/x";
    printf("mode=%ld\n", seccomp_mode());
    TELL_CHILD("mount", syscall(SYS_mount, "x", "/dev/shm", "tmpfs", 0L, NULL));
    tell("move_mount", syscall(SYS_move_mount, -1, "", -1, "", 0L));
    TELL_CHILD("umount", syscall(SYS_umount2, "/proc/kcore", 2L));
    TELL_CHILD("pivot_root", syscall(SYS_pivot_root, ".", "."));
    TELL_CHILD("unshare-user", syscall(SYS_unshare, (long)CLONE_NEWUSER));
    TELL_CHILD("unshare-mount", syscall(SYS_unshare, (long)CLONE_NEWNS));
    TELL_CHILD("unshare-nothing", syscall(SYS_unshare, 0L));
    tell("clone-user", clone_with(CLONE_NEWUSER));
    tell("clone-user-net", clone_with(CLONE_NEWUSER | CLONE_NEWNET));
    tell("clone-plain", clone_with(0));
    tell("clone3", syscall(SYS_clone3, NULL, 0L));
    tell("setns", syscall(SYS_setns, -1L, 0L));
    tell("keyctl", syscall(SYS_keyctl, 0L, -3L, 0L));
    tell("add_key", syscall(SYS_add_key, "user", "x", "y", 1L, -3L));
    tell("request_key", syscall(SYS_request_key, "user", "x", NULL, -3L));
    tell("bpf", syscall(SYS_bpf, 0L, NULL, 0L));
    tell("perf", syscall(SYS_perf_event_open, NULL, 0L, -1L, -1L, 0L));
    tell("userfaultfd", syscall(SYS_userfaultfd, 1L));
    tell("io_uring", syscall(SYS_io_uring_setup, 1L, NULL));
    tell("kexec", syscall(SYS_kexec_load, 0L, 0L, NULL, 0L));
    tell("module", syscall(SYS_finit_module, -1L, "", 0L));
    tell("reboot", syscall(SYS_reboot, 0L, 0L, 0L, NULL));
    tell("swapon", syscall(SYS_swapon, "/x", 0L));
    tell("clock", syscall(SYS_clock_settime, -1L, NULL));
    TELL_CHILD("hostname", syscall(SYS_sethostname, "x", 1L));
    tell("by-handle", syscall(SYS_open_by_handle_at, -1L, NULL, 0L));
    tell("personality-read", personality(0xffffffff));
    TELL_CHILD("personality-exec", personality(READ_IMPLIES_EXEC));
    tell("unknown", syscall(1000));
    TELL_CHILD("chroot", chroot("/"));
    tell("thread", thread());
    tell("mknod", mknod("/dev/shm/null", S_IFCHR | 0666, makedev(1, 3)));
    unlink(path); /* of an attack before */
    tell("fifo", mkfifo(path, 0600));

    tell("unix", socket(AF_UNIX, SOCK_STREAM, 0));
    tell("inet", socket(AF_INET, SOCK_STREAM, 0));
    tell("inet6", socket(AF_INET6, SOCK_STREAM, 0));
    tell("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    tell("packet", socket(AF_PACKET, SOCK_RAW, 0));
    tell("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    tell("alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
    tell("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    tell("vsock-disguised", syscall(SYS_socket, (1L << 32) + AF_VSOCK, (long)SOCK_STREAM, 0L));
    tell("rds", socket(AF_RDS, SOCK_SEQPACKET, 0));
    tell("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0}));
    tell("ping", ping());

    tell("32-mount", call_32_bit(21, 0, 0, 0));
    tell("32-keyctl", call_32_bit(288, 0, -3, 0));
    tell("32-unshare", call_32_bit(310, CLONE_NEWUSER, 0, 0));
    tell("32-unix", call_32_bit(359, AF_UNIX, SOCK_STREAM, 0));
    tell("32-vsock", call_32_bit(359, AF_VSOCK, SOCK_STREAM, 0));
    tell("32-socketcall-vsock", socketcall_32_bit(AF_VSOCK));
    tell("32-socketcall-unix", socketcall_32_bit(AF_UNIX));
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

static void a_container_that_says_nothing_is_filtered(void **state)
{
    static const struct expected rows[] = {
        {"mode", "2"},
        {"mount", "EPERM"},
        {"move_mount", "EPERM"},
        {"umount", "EPERM"},
        {"pivot_root", "EPERM"},
        {"unshare-user", "EPERM"},
        {"unshare-mount", "EPERM"},
        {"unshare-nothing", "EPERM"},
        {"clone-user", "EPERM"},
        {"clone-user-net", "EPERM"},
        {"clone-plain", "ok"},
        {"clone3", "ENOSYS"},
        {"setns", "EPERM"},
        {"keyctl", "EPERM"},
        {"add_key", "EPERM"},
        {"request_key", "EPERM"},
        {"bpf", "EPERM"},
        {"perf", "EPERM"},
        {"userfaultfd", "EPERM"},
        {"io_uring", "EPERM"},
        {"kexec", "EPERM"},
        {"module", "EPERM"},
        {"reboot", "EPERM"},
        {"swapon", "EPERM"},
        {"clock", "EPERM"},
        {"hostname", "EPERM"},
        {"by-handle", "EPERM"},
        {"personality-read", "ok"},
        {"personality-exec", "ENOSYS"},
        {"unknown", "ENOSYS"},
        {"chroot", "ok"},
        {"thread", "ok"},
        {"mknod", "EPERM"},
        {"fifo", "ok"},
        {"unix", "ok"},
        {"inet", "ok"},
        {"inet6", "ok"},
        {"netlink", "ok"},
        {"packet", "EPERM"},
        {"raw", "EPERM"},
        {"alg", "EAFNOSUPPORT"},
        {"vsock", "EAFNOSUPPORT"},
        {"vsock-disguised", "EAFNOSUPPORT"},
        {"rds", "EAFNOSUPPORT"},
        {"pair", "ok"},
        {"ping", "ok"},
        {"32-mount", "EPERM"},
        {"32-keyctl", "EPERM"},
        {"32-unshare", "EPERM"},
#if defined(__x86_64__)
        {"32-unix", "ok"},
        {"32-vsock", "EAFNOSUPPORT"},
#endif
        {"32-socketcall-vsock", "EPERM"},
        {"32-socketcall-unix", "EPERM"},
    };
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[2];
    attack_spec(f, &s, mounts, 0);
    for (unsigned i = 0; i < 2; i++) { /* by a profile that is translated, and by one that is known */
        CLEANUP_FREE char *text = attack_run(f, &s, "all");
        compare(text, rows, ARRAY_SIZE(rows));
    }
    const char *add[] = {"SYS_ADMIN", NULL};
    s.security.capabilities_add = add; /* another profile, though the program of the first is kept */
    CLEANUP_FREE char *text = attack_run(f, &s, "all");
    assert_result(text, "mount", "ok");
    assert_result(text, "keyctl", "EPERM");
}

static void a_user_without_any_capability_can_still_ping(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[2];
    const char *all[] = {"ALL", NULL};
    attack_spec(f, &s, mounts, 0);
    s.security.run_as_user = s.security.run_as_group = 12345;
    s.security.capabilities_drop = all;
    CLEANUP_FREE char *text = attack_run(f, &s, "all");
    assert_result(text, "ping", "ok");
    assert_result(text, "raw", "EPERM");
    assert_result(text, "chroot", "EPERM");
}

static void a_capability_that_was_given_opens_what_it_is_for(void **state)
{
    static const struct expected rows[] = {
        {"mode", "2"},       {"mount", "ok"},       {"unshare-nothing", "ok"}, {"raw", "ok"},      {"mknod", "ok"},
        {"keyctl", "EPERM"}, {"io_uring", "EPERM"}, {"module", "EPERM"},       {"clock", "EPERM"},
    };
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[2];
    const char *add[] = {"SYS_ADMIN", "NET_RAW", "MKNOD", NULL};
    attack_spec(f, &s, mounts, 0);
    s.security.capabilities_add = add;
    CLEANUP_FREE char *text = attack_run(f, &s, "all");
    compare(text, rows, ARRAY_SIZE(rows));
}

static void a_capability_that_is_misspelt_keeps_the_container_from_starting(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *drop[] = {"SETUIDS", NULL};
    crun_spec(f, &s);
    s.security.capabilities_drop = drop;
    start(f, &s, sleeper);
    assert_string_equal(f->reason, "CreateContainerError");
    assert_non_null(strstr(f->start_message, "unknown capability \"SETUIDS\""));
}

static void commands_of_exec_are_filtered_as_well(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[2];
    char path[128];
    attack_spec(f, &s, mounts, 0);
    static const char *const env[] = {"ASAN_OPTIONS=detect_leaks=0", NULL};
    s.env = env;
    start(f, &s, sleeper);
    assert_string_equal(f->start_message, "");
    remove_it(f);
    start(f, &s, sleeper); /* its filter is a known one */
    assert_string_equal(f->start_message, "");
    snprintf(path, sizeof path, "/attack/%s", self_name);
    const char *argv[] = {path, "attack", "all", NULL};
    run_inside(f, f->id, argv, 60000);
    assert_int_equal(f->exec_code, 0);
    assert_non_null(strstr(f->exec_output, "mode=2\n"));
    assert_non_null(strstr(f->exec_output, "unshare-user=EPERM\n"));
    assert_non_null(strstr(f->exec_output, "keyctl=EPERM\n"));
    assert_non_null(strstr(f->exec_output, "raw=EPERM\n"));
}

static void no_filter_must_be_asked_for(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[2];
    attack_spec(f, &s, mounts, 0);
    s.security.seccomp_unconfined = true;
    CLEANUP_FREE char *text = attack_run(f, &s, "all");
    assert_result(text, "mode", "0");
    assert_result(text, "mount", "EPERM"); /* for want of the capability */
    assert_result(text, "unshare-nothing", "ok");
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "attack") == 0) {
        return attack();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_container_that_says_nothing_is_filtered, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_user_without_any_capability_can_still_ping, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_capability_that_was_given_opens_what_it_is_for, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_capability_that_is_misspelt_keeps_the_container_from_starting, crun_setup,
                                        crun_teardown),
        cmocka_unit_test_setup_teardown(commands_of_exec_are_filtered_as_well, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(no_filter_must_be_asked_for, crun_setup, crun_teardown),
    };
    attack_init();
    have_crun = enter_private_mounts();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
