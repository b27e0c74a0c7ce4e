#include "agent/runtime/sandbox_pause.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "base/mem.h"

#define NOBODY_UID 65535
#define LOAD_AT    0x400000u

/* for (;;) pause(); */
#if defined(__x86_64__)
#define MACHINE EM_X86_64
static const uint8_t code[] = {0xb8, 0x22, 0x00, 0x00, 0x00, /* mov eax, 34: pause */
                               0x0f, 0x05,                   /* syscall */
                               0xeb, 0xf7};                  /* jmp to the first */
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
static const uint32_t code[] = {0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004, /* x0 to x4 = 0 */
                                0xd2800928,                                                 /* x8 = 73: ppoll */
                                0xd4000001,                                                 /* svc */
                                0x17fffff9};                                                /* b to the first */
#else
#define MACHINE EM_NONE
static const uint8_t code[] = {0};
#endif

/* A whole program: one segment, no libraries. */
struct program {
    Elf64_Ehdr head;
    Elf64_Phdr segment;
    uint8_t code[sizeof code];
};

static void write_program(struct program *p)
{
    *p = (struct program){.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                                   .e_type = ET_EXEC,
                                   .e_machine = MACHINE,
                                   .e_version = EV_CURRENT,
                                   .e_entry = LOAD_AT + offsetof(struct program, code),
                                   .e_phoff = offsetof(struct program, segment),
                                   .e_ehsize = sizeof(Elf64_Ehdr),
                                   .e_phentsize = sizeof(Elf64_Phdr),
                                   .e_phnum = 1},
                          .segment = {.p_type = PT_LOAD,
                                      .p_flags = PF_R | PF_X,
                                      .p_vaddr = LOAD_AT,
                                      .p_paddr = LOAD_AT,
                                      .p_filesz = sizeof *p,
                                      .p_memsz = sizeof *p,
                                      .p_align = 0x1000}};
    memcpy(p->code, code, sizeof code);
}

/* ---- The child: between fork and execve of a process with threads, so system calls only ---- */

static int own_root(const char *root, const struct program *program)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("pause", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,nr_inodes=8,mode=0555") != 0 ||
        chdir(root) != 0) {
        return -1;
    }
    int fd = open("pause", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0111);
    if (fd < 0 || write(fd, program, sizeof *program) != (ssize_t)sizeof *program || close(fd) != 0) {
        return -1;
    }
    if (mount(NULL, root, NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0 ||
        syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0) {
        return -1;
    }
    return chdir("/");
}

static int drop_all(int keep_fd)
{
    sigset_t none;
    sigemptyset(&none);
    if (signal(SIGCHLD, SIG_IGN) == SIG_ERR || sigprocmask(SIG_SETMASK, &none, NULL) != 0 || setsid() < 0) {
        return -1;
    }
#ifdef SYS_close_range
    if (keep_fd > 0) { /* everything of ours is close-on-exec; this is for what libraries opened */
        syscall(SYS_close_range, 0u, (unsigned)keep_fd - 1, 0u);
    }
    syscall(SYS_close_range, (unsigned)keep_fd + 1, ~0u, 0u);
#endif
    return setgroups(0, NULL) == 0 && setresgid(NOBODY_UID, NOBODY_UID, NOBODY_UID) == 0 &&
                   setresuid(NOBODY_UID, NOBODY_UID, NOBODY_UID) == 0
               ? prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
               : -1;
}

static void __attribute__((noreturn)) fail(int why_fd)
{
    int e = errno;
    _exit(write(why_fd, &e, sizeof e) == (ssize_t)sizeof e ? 1 : 2);
}

static void await(int go_fd)
{
    char go;
    if (read(go_fd, &go, 1) != 1) {
        _exit(3); /* who made us is gone, and nobody else knows of us */
    }
}

static void __attribute__((noreturn)) child(const char *root, const struct program *program, int go_fd, int why_fd)
{
    char *argv[] = {"pause", NULL}, *env[] = {NULL};
    await(go_fd);
    if (own_root(root, program) == 0 && drop_all(why_fd) == 0) {
        execve("/pause", argv, env);
    }
    fail(why_fd);
}

/* With a user namespace: one that enters it, being a process without threads, and makes the PID namespace there. Its
 * child, the agent's by CLONE_PARENT, becomes the holder. The root is made before: the way to it is root's of the
 * node. */
static void __attribute__((noreturn))
in_between(const char *root, const struct program *program, int user_fd, int pid_fd, int go_fd, int why_fd)
{
    char *argv[] = {"pause", NULL}, *env[] = {NULL};
    if (own_root(root, program) != 0 || setns(user_fd, CLONE_NEWUSER) != 0 || unshare(CLONE_NEWPID) != 0) {
        fail(why_fd);
    }
    int pid = (int)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    if (pid > 0) {
        _exit(write(pid_fd, &pid, sizeof pid) == (ssize_t)sizeof pid ? 0 : 2);
    }
    if (pid == 0) {
        close(pid_fd);
        await(go_fd);
        if (drop_all(why_fd) == 0) {
            execve("/pause", argv, env);
        }
    }
    fail(why_fd);
}

/* ---- The parent ---- */

static int bind_to(const char *pid_namespace, int pid, struct error *err)
{
    char source[64];
    snprintf(source, sizeof source, "/proc/%d/ns/pid", pid);
    CLEANUP_CLOSE int fd = open(pid_namespace, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
    return fd < 0 ? error_set_errno(err, errno, "cannot create %s", pid_namespace)
                  : fs_mount(source, pid_namespace, NULL, MS_BIND, NULL, err);
}

/* Lets the child go on and hears whether it became what it should be. */
static int let_go(int go_fd, int why_fd, struct error *err)
{
    int e = 0;
    ssize_t n = write(go_fd, "g", 1);
    e = n == 1 ? 0 : errno;
    do {
        n = e != 0 ? 0 : read(why_fd, &e, sizeof e);
    } while (n < 0 && errno == EINTR);
    return e == 0 && n == 0 ? 0
                            : error_set_errno(err, e, "cannot start the process that holds the pod's PID namespace");
}

/* The holder's pid, from who made it; -1 with errno, as told by why_fd. */
static int start_in(const char *user_namespace, const char *root, const struct program *program, const int go[2],
                    const int why[2])
{
    int said[2], holder = -1, e = EIO;
    CLEANUP_CLOSE int user_fd = open(user_namespace, O_RDONLY | O_CLOEXEC);
    if (user_fd < 0 || pipe2(said, O_CLOEXEC) != 0) {
        return -1;
    }
    pid_t p = fork();
    if (p == 0) {
        close(said[0]);
        close(go[1]);
        close(why[0]);
        in_between(root, program, user_fd, said[1], go[0], why[1]);
    }
    e = p < 0 ? errno : e;
    close(said[1]);
    if (p > 0) {
        ssize_t n;
        do {
            n = read(said[0], &holder, sizeof holder);
        } while (n < 0 && errno == EINTR);
        while (waitpid(p, NULL, 0) < 0 && errno == EINTR) {
        }
        if (n != (ssize_t)sizeof holder) {
            holder = -1;
            struct pollfd ready = {.fd = why[0], .events = POLLIN}; /* we hold its other end ourselves */
            e = poll(&ready, 1, 0) == 1 && read(why[0], &e, sizeof e) == (ssize_t)sizeof e ? e : EIO;
        }
    }
    close(said[0]);
    errno = e;
    return holder;
}

int sandbox_pause_start(const char *root, const char *pid_namespace, const char *user_namespace, int *pid,
                        struct error *err)
{
    struct program program;
    int go[2] = {-1, -1}, why[2] = {-1, -1};
    if (MACHINE == EM_NONE) {
        return error_set(err, ERR_UNSUPPORTED, "shareProcessNamespace is not supported on this machine's architecture");
    }
    write_program(&program);
    pid_t p = -1;
    int rc = pipe2(go, O_CLOEXEC) != 0 || pipe2(why, O_CLOEXEC) != 0 ||
                     (user_namespace[0] != '\0'    ? (p = start_in(user_namespace, root, &program, go, why)) < 0
                      : unshare(CLONE_NEWPID) != 0 ? true
                                                   : (p = fork()) < 0)
                 ? error_set_errno(err, errno, "cannot make a PID namespace for the pod")
                 : 0;
    if (p == 0) {
        close(go[1]);
        child(root, &program, go[0], why[1]);
    }
    close(go[0]);
    close(why[1]);
    rc = rc != 0 ? rc : bind_to(pid_namespace, p, err);
    rc = rc != 0 ? rc : let_go(go[1], why[0], err);
    close(go[1]);
    close(why[0]);
    if (rc != 0 && p > 0) {
        kill(p, SIGKILL);
        waitpid(p, NULL, 0);
    }
    *pid = p;
    return rc;
}

bool sandbox_pause_lives(int pid, const char *pid_namespace)
{
    char path[64];
    struct stat file, process;
    char line[512];
    /* One that was killed and not waited for yet still has its namespace. */
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const char *state = fs_read_line(path, line, sizeof line) ? strrchr(line, ')') : NULL;
    if (state == NULL || strncmp(state, ") Z", 3) == 0 || strncmp(state, ") X", 3) == 0) {
        return false;
    }
    snprintf(path, sizeof path, "/proc/%d/ns/pid", pid);
    return pid > 1 && stat(pid_namespace, &file) == 0 && stat(path, &process) == 0 && file.st_ino == process.st_ino &&
           file.st_dev == process.st_dev;
}

static void end_one(int pid)
{
    kill(pid, SIGKILL);
    /* Only the agent that made it can wait; after a restart it is the init process's. */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

void sandbox_pause_end(int pid, const char *pid_namespace)
{
    if (sandbox_pause_lives(pid, pid_namespace)) {
        end_one(pid);
        return;
    }
    if (pid > 1) {
        waitpid(pid, NULL, WNOHANG); /* ours, and dead already */
    }
    DIR *d = opendir("/proc");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        int other = atoi(e->d_name);
        if (sandbox_pause_lives(other, pid_namespace)) {
            end_one(other);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}
