/* The profile that containers get: what a program needs, and not what reaches past the container.
 *
 * What is not named does not exist for the container (ENOSYS): so calls of a later kernel are shut until somebody has
 * thought about them, and libraries fall back to older ones. What is kept out on purpose is refused (EPERM), as
 * programs expect it. Kept out are
 *   - doors to the kernel as a whole: modules, kexec, reboot, clocks, swap, accounting, quotas;
 *   - what belongs to no namespace: keyrings (add_key, keyctl, request_key), system-wide tracing (bpf,
 *     perf_event_open);
 *   - mounts and new namespaces: a user namespace gives all capabilities inside it, and with them the parts of the
 *     kernel that only administrators used to reach. clone3 hides its flags in memory where no filter sees them, so it
 *     does not exist (programs use clone then);
 *   - parts that need no right at all and were the way out of containers again and again: io_uring, userfaultfd, rare
 *     protocol families (AF_ALG, AF_VSOCK, AF_RDS, AF_TIPC, ...), old emulations (vm86, uselib, personality).
 * A capability that was given opens what it is for, as with Docker and containerd: who adds SYS_ADMIN wants to mount.
 *
 * Families of sockets are listed, not excluded: a filter compares 64 bits, the kernel looks at 32, so "not 40" is true
 * for 40 + 2^32. On 32-bit x86 sockets can also be made by socketcall, whose arguments no filter sees: it is refused,
 * and with it the network of 32-bit programs that know no other way. */
#include "agent/runtime/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

/* Names are separated by spaces; those that a machine does not have are passed over by the runtime. */
struct group {
    const char *capability; /* of which one is needed: "A B"; NULL = allowed to all */
    const char *names;
};

static const struct group groups[] = {
    /* files that are open */
    {NULL,
     "read pread64 readv preadv preadv2 write pwrite64 writev pwritev pwritev2 close close_range dup dup2 dup3 fcntl "
     "fcntl64 ioctl lseek _llseek sendfile sendfile64 splice tee vmsplice copy_file_range readahead fadvise64 "
     "fadvise64_64 arm_fadvise64_64 fallocate ftruncate ftruncate64 flock sync syncfs fsync fdatasync "
     "sync_file_range sync_file_range2 arm_sync_file_range cachestat"},
    /* names in file systems, and what is known of them */
    {NULL, "open openat openat2 creat access faccessat faccessat2 stat stat64 lstat lstat64 fstat fstat64 fstatat64 "
           "newfstatat oldstat oldlstat oldfstat statx statfs statfs64 fstatfs fstatfs64 getcwd chdir fchdir umask "
           "getdents getdents64 link linkat symlink symlinkat readlink readlinkat unlink unlinkat rename renameat "
           "renameat2 mkdir mkdirat rmdir mknod mknodat truncate truncate64 name_to_handle_at"},
    {NULL, "chmod fchmod fchmodat fchmodat2 chown chown32 lchown lchown32 fchown fchown32 fchownat utime utimes "
           "futimesat utimensat utimensat_time64 getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr "
           "setxattrat listxattr llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr "
           "removexattrat"},
    /* waiting for many things */
    {NULL, "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl "
           "epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4 "
           "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark io_setup io_submit io_cancel "
           "io_destroy io_getevents io_pgetevents io_pgetevents_time64"},
    /* memory */
    {NULL,
     "brk mmap mmap2 munmap mremap mprotect pkey_alloc pkey_free pkey_mprotect msync madvise mincore mlock mlock2 "
     "mlockall munlock munlockall remap_file_pages memfd_create memfd_secret membarrier mseal map_shadow_stack"},
    /* processes and threads, their order and their signals */
    {NULL,
     "execve execveat fork vfork exit exit_group wait4 waitid waitpid kill tkill tgkill pidfd_open "
     "pidfd_send_signal process_mrelease getpid getppid gettid getpgid getpgrp setpgid getsid setsid times "
     "getrusage getrlimit ugetrlimit setrlimit prlimit64 getpriority setpriority nice ioprio_get ioprio_set prctl "
     "arch_prctl set_tid_address set_robust_list get_robust_list set_thread_area get_thread_area rseq "
     "restart_syscall pause"},
    {NULL, "sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler "
           "sched_setscheduler sched_getattr sched_setattr sched_get_priority_max sched_get_priority_min "
           "sched_rr_get_interval sched_rr_get_interval_time64 getcpu futex futex_time64 futex_waitv futex_wait "
           "futex_wake futex_requeue"},
    {NULL, "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
           "rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack signal sigpending sigprocmask sigreturn "
           "sigsuspend sgetmask ssetmask"},
    /* debuggers, of one's own processes (since Linux 4.8 a tracer is no way around a filter) */
    {NULL, "ptrace process_vm_readv process_vm_writev"},
    /* less rights for oneself */
    {NULL, "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self capget capset"},
    /* users and groups */
    {NULL, "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid "
           "getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 "
           "setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups "
           "setgroups32"},
    /* time: to read it and to wait for it; to set it takes a capability that the kernel asks for in adjtimex itself */
    {NULL, "time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep "
           "clock_nanosleep_time64 nanosleep adjtimex clock_adjtime clock_adjtime64 alarm getitimer setitimer "
           "timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 "
           "timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64"},
    /* between processes */
    {NULL, "pipe pipe2 ipc semget semctl semop semtimedop semtimedop_time64 msgget msgctl msgsnd msgrcv shmget shmctl "
           "shmat shmdt mq_open mq_unlink mq_notify mq_getsetattr mq_timedsend mq_timedsend_time64 mq_timedreceive "
           "mq_timedreceive_time64"},
    /* sockets that are there; how they are made stands below */
    {NULL, "bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt shutdown send sendto "
           "sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64"},
    /* what machine this is */
    {NULL, "uname olduname oldolduname sysinfo getrandom"},
    /* of the processor, on machines that have it */
    {NULL, "modify_ldt breakpoint cacheflush set_tls get_tls riscv_flush_icache"},

    {"CAP_SYS_ADMIN", "mount umount umount2 mount_setattr move_mount open_tree open_tree_attr fsopen fsconfig fsmount "
                      "fspick pivot_root statmount listmount unshare setns clone clone3 sethostname setdomainname "
                      "quotactl quotactl_fd fanotify_init lookup_dcookie socket socketpair socketcall"},
    {"CAP_SYS_ADMIN CAP_BPF", "bpf"},
    {"CAP_SYS_ADMIN CAP_PERFMON", "perf_event_open"},
    {"CAP_SYS_ADMIN CAP_SYSLOG", "syslog"},
    {"CAP_SYS_MODULE", "init_module finit_module delete_module"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_RAWIO", "iopl ioperm"},
    {"CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYS_NICE", "mbind get_mempolicy set_mempolicy set_mempolicy_home_node move_pages migrate_pages"},
    {"CAP_SYS_PTRACE", "kcmp process_madvise pidfd_getfd"},
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
};

/* Nobody's, whatever the capabilities are. */
static const char never[] = "add_key keyctl request_key io_uring_setup io_uring_enter io_uring_register userfaultfd "
                            "kexec_load kexec_file_load swapon swapoff nfsservctl uselib ustat sysfs _sysctl vm86 "
                            "vm86old create_module get_kernel_syms query_module";

/* Of the above those of which more is said below; clone3 does not exist without the capability: libraries use clone. */
static const char own_rules[] = " clone clone3 socket socketpair ";

static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};
#define FAMILY_LAST AF_PACKET

static const uint64_t personalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
static const uint64_t namespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

static const char *const architectures[] = {
#if defined(__x86_64__)
    "SCMP_ARCH_X86_64", "SCMP_ARCH_X86" /* not X32: hardly a kernel has it, and it is a second door to everything */
#elif defined(__aarch64__)
    "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"
#else
#error "seccomp: name the architecture of this machine"
#endif
};

static bool has_one_of(const char *wanted, const char *const *caps, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *at = strstr(wanted, caps[i]);
        size_t n = strlen(caps[i]);
        if (at != NULL && (at == wanted || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) {
            return true;
        }
    }
    return false;
}

static struct value *add_rule(struct arena *a, struct value *rules, const char *action, int error)
{
    struct value *r = value_map(a);
    value_set(a, r, "names", value_list(a));
    value_set(a, r, "action", value_cstr(a, action));
    if (error != 0) {
        value_set(a, r, "errnoRet", value_int(a, error));
    }
    value_append(a, rules, r);
    return r;
}

static bool is_listed(const char *list, const char *name, size_t n)
{
    for (const char *at = list; at != NULL && (at = memmem(at, strlen(at), name, n)) != NULL; at++) {
        if (at > list && at[-1] == ' ' && at[n] == ' ') {
            return true;
        }
    }
    return false;
}

static void add_names(struct arena *a, struct value *rule, const char *names, const char *but)
{
    while (*names != '\0') {
        size_t n = strcspn(names, " ");
        if (!is_listed(but, names, n)) {
            value_append(a, value_get(rule, "names"), value_str(a, (struct str){names, n}));
        }
        names += n + (names[n] == ' ');
    }
}

static void add_argument(struct arena *a, struct value *rule, const char *op, uint64_t value, uint64_t second)
{
    struct value *args = value_list(a), *arg = value_map(a);
    value_set(a, arg, "index", value_int(a, 0));
    value_set(a, arg, "value", value_int(a, (int64_t)value));
    if (second != 0 || strcmp(op, "SCMP_CMP_MASKED_EQ") == 0) {
        value_set(a, arg, "valueTwo", value_int(a, (int64_t)second));
    }
    value_set(a, arg, "op", value_cstr(a, op));
    value_append(a, args, arg);
    value_set(a, rule, "args", args);
}

static void allow_if(struct arena *a, struct value *rules, const char *name, const char *op, uint64_t value,
                     uint64_t second)
{
    struct value *r = add_rule(a, rules, "SCMP_ACT_ALLOW", 0);
    add_names(a, r, name, NULL);
    add_argument(a, r, op, value, second);
}

static void refuse_if(struct arena *a, struct value *rules, const char *name, int error, const char *op, uint64_t value,
                      uint64_t second)
{
    struct value *r = add_rule(a, rules, "SCMP_ACT_ERRNO", error);
    add_names(a, r, name, NULL);
    add_argument(a, r, op, value, second);
}

/* Every family is either allowed or "not supported", which is what programs expect to hear of one that the kernel
 * lacks. */
static void add_families(struct arena *a, struct value *rules)
{
    for (int family = 0; family <= FAMILY_LAST; family++) {
        bool listed = false;
        for (unsigned i = 0; i < ARRAY_SIZE(families); i++) {
            listed |= families[i] == family;
        }
        if (listed) {
            allow_if(a, rules, "socket", "SCMP_CMP_EQ", (uint64_t)family, 0);
        } else {
            refuse_if(a, rules, "socket", EAFNOSUPPORT, "SCMP_CMP_EQ", (uint64_t)family, 0);
        }
    }
    refuse_if(a, rules, "socket", EAFNOSUPPORT, "SCMP_CMP_GT", FAMILY_LAST, 0);
    allow_if(a, rules, "socketpair", "SCMP_CMP_EQ", AF_UNIX, 0);
    refuse_if(a, rules, "socketpair", EAFNOSUPPORT, "SCMP_CMP_GT", AF_UNIX, 0);
}

/* Processes and threads, but no namespaces. */
static void add_clone(struct arena *a, struct value *rules)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(namespaces); i++) {
        all |= namespaces[i];
    }
    allow_if(a, rules, "clone", "SCMP_CMP_MASKED_EQ", all, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(namespaces); i++) {
        refuse_if(a, rules, "clone", EPERM, "SCMP_CMP_MASKED_EQ", namespaces[i], namespaces[i]);
    }
}

struct value *seccomp_default(struct arena *a, const char *const *caps, unsigned caps_count)
{
    struct value *out = value_map(a), *arches = value_list(a), *rules = value_list(a);
    bool admin = has_one_of("CAP_SYS_ADMIN", caps, caps_count);
    for (unsigned i = 0; i < ARRAY_SIZE(architectures); i++) {
        value_append(a, arches, value_cstr(a, architectures[i]));
    }
    struct value *allowed = add_rule(a, rules, "SCMP_ACT_ALLOW", 0);
    struct value *refused = add_rule(a, rules, "SCMP_ACT_ERRNO", EPERM);
    for (unsigned i = 0; i < ARRAY_SIZE(groups); i++) {
        bool open = groups[i].capability == NULL || has_one_of(groups[i].capability, caps, caps_count);
        add_names(a, open ? allowed : refused, groups[i].names, open ? NULL : own_rules);
    }
    add_names(a, refused, never, NULL);
    if (!admin) {
        add_clone(a, rules);
        add_families(a, rules);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(personalities); i++) {
        allow_if(a, rules, "personality", "SCMP_CMP_EQ", personalities[i], 0);
    }
    value_set(a, out, "defaultAction", value_cstr(a, "SCMP_ACT_ERRNO"));
    value_set(a, out, "defaultErrnoRet", value_int(a, ENOSYS));
    value_set(a, out, "architectures", arches);
    value_set(a, out, "syscalls", rules);
    return out;
}
