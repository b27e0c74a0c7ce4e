/* fault [--fault NAME] [--workload NAME] [--seconds N] [--masters N] [--seed N] [--short] [--list] [--keep]
 * [--loopback]
 *
 * Jepsen-style: real masters, each on a machine of its own as far as the network can tell, clients at work, faults;
 * each run's history is judged by tests/check. Without a fault or a workload named: a matrix of cells, with a table at
 * the end. Each cell is a process of its own (as root: with pid, mount and network namespaces of its own, so that
 * nothing of it is left when it ends, however it ends).
 *
 * A cell that fails keeps what it left in BUILD/tests/fault/CELL: data directories, logs, history, what the fault
 * did when. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fault/kit.h"
#include "tests/fault/matrix.h"

#define CELL_LIMIT_S 300 /* beyond its seconds: setting up, recovering, judging */

struct run {
    struct arena arena;
    const char *base; /* BUILD/tests/fault */
    struct trial_config config;
    bool keep, interrupted;
    struct trial_result *shared;
    struct matrix_row rows[MATRIX_MAX];
    unsigned count, passed, failed;
};

static volatile sig_atomic_t interrupted;
static void on_signal(int number)
{
    interrupted = number;
}

/* ---- One cell ---- */

/* The cell's process: the first of its pid namespace, so with it all masters end. */
static void cell_main(struct run *r, const struct matrix_row *row)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    if (r->config.root && (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
                           mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)) {
        fault_die("mount namespace", NULL);
    }
    struct trial_config config = r->config;
    config.nemesis = row->nemesis;
    config.workload = row->workload;
    config.masters = row->masters;
    config.seconds = row->seconds;
    config.dir = row->dir;
    trial_run(&config, r->shared);
    fflush(NULL);
    _exit(0);
}

static pid_t start_cell(struct run *r, const struct matrix_row *row)
{
    fflush(NULL);
    /* fork, with namespaces. */
    long pid = syscall(SYS_clone, (r->config.root ? CLONE_NEWPID | CLONE_NEWNS : 0) | SIGCHLD, 0, 0, 0, 0);
    if (pid < 0) {
        fault_die("start a cell", NULL);
    }
    if (pid == 0) {
        cell_main(r, row);
    }
    return (pid_t)pid;
}

static void end_cell(struct run *r, pid_t pid, int64_t limit_s)
{
    int64_t end_us = fault_now_us() + limit_s * 1000000;
    int status = 0;
    struct trial_result *result = r->shared;
    while (waitpid(pid, &status, WNOHANG) != pid) {
        if (interrupted || fault_now_us() > end_us) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            break;
        }
        fault_sleep_ms(20);
    }
    if (!result->finished) {
        result->passed = false;
        if (result->note[0] == '\0') {
            snprintf(result->note, sizeof result->note,
                     interrupted           ? "interrupted"
                     : WIFSIGNALED(status) ? "the cell did not end within its time, or was killed (signal %d)"
                                           : "the cell could not be run (exit %d); its last words are above",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
    }
}

static void run_cell(struct run *r, struct matrix_row *row)
{
    row->dir = arena_printf(&r->arena, "%s/%s+%s-%u", r->base, row->nemesis->name, row->workload->name, row->masters);
    fault_remove_tree(row->dir);
    fault_make_dir(row->dir);
    *r->shared = (struct trial_result){.recovery_ms = -1, .settle_ms = -1};
    end_cell(r, start_cell(r, row), row->seconds + CELL_LIMIT_S);
    row->result = *r->shared;
    row->ran = true;
    r->passed += row->result.passed;
    r->failed += !row->result.passed;
    matrix_print_row(row);
    if (row->result.passed && !r->keep) {
        fault_remove_tree(row->dir);
        return;
    }
    printf("  kept: %s (mN.log, mN/, events, history.jsonl, judgement)\n", row->dir);
    if (row->workload->check != NULL) {
        printf("  judge again: %s/../check/check %s/history.jsonl\n", r->base, row->dir);
    }
    printf("  run again: make fault FAULT=%s WORKLOAD=%s SECONDS=%lld MASTERS=%u SEED=%llu\n", row->nemesis->name,
           row->workload->name, (long long)row->seconds, row->masters, (unsigned long long)r->config.seed);
    fflush(stdout);
}

/* ---- The program ---- */

static int usage(void)
{
    fprintf(stderr, "usage: fault [--fault NAME|list] [--workload NAME|list] [--seconds N] [--masters 3|5] [--seed N]\n"
                    "             [--short] [--keep] [--loopback] [--master PROGRAM] [--agent PROGRAM]\n"
                    "--short     the cells that run with every change\n"
                    "--keep      keep what passing cells leave, too\n"
                    "--loopback  no namespaces, so without what needs them (as without root)\n");
    return 2;
}

/* Programs and cells lie beside this program: BUILD/tests/fault/fault. */
static void find_places(struct run *r)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[MAX(n, 0)] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL) {
        fault_die("/proc/self/exe", NULL);
    }
    *slash = '\0';
    r->base = arena_strdup(&r->arena, self);
    r->config.program = arena_printf(&r->arena, "%s/../reeve-master", r->base);
    r->config.agent = arena_printf(&r->arena, "%s/../reeve-agent", r->base);
    r->config.shim = arena_printf(&r->arena, "%s/shim.so", r->base);
}

static void take_lock(struct run *r)
{
    int fd = open(arena_printf(&r->arena, "%s/lock", r->base), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        fprintf(stderr, "fault: another run in %s is at work\n", r->base);
        exit(FAULT_EXIT_BROKEN);
    }
}

static bool parse_name(const char *option, const char *value, struct matrix_choice *choice)
{
    bool fault = strcmp(option, "--fault") == 0;
    if (strcmp(value, "list") == 0) {
        matrix_list();
        exit(0);
    }
    if (fault) {
        choice->nemesis = nemesis_find(value);
    } else {
        choice->workload = workload_find(value);
    }
    if ((fault && choice->nemesis == NULL) || (!fault && choice->workload == NULL)) {
        fprintf(stderr, "fault: there is no %s \"%s\"; \"make fault FAULT=list\" names all\n",
                fault ? "fault" : "workload", value);
        return false;
    }
    return true;
}

/* False: wrong words. */
static bool parse(int argc, char **argv, struct run *r, struct matrix_choice *choice)
{
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(option, "--short") == 0) {
            choice->brief = true;
        } else if (strcmp(option, "--keep") == 0) {
            r->keep = true;
        } else if (strcmp(option, "--loopback") == 0) {
            r->config.root = false;
        } else if (value == NULL) {
            return false;
        } else if (strcmp(option, "--fault") == 0 || strcmp(option, "--workload") == 0) {
            i++;
            if (value[0] != '\0' && !parse_name(option, value, choice)) {
                return false;
            }
        } else if (strcmp(option, "--seconds") == 0) {
            choice->seconds = strtoll(argv[++i], NULL, 10);
        } else if (strcmp(option, "--masters") == 0) {
            choice->masters = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(option, "--seed") == 0) {
            r->config.seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(option, "--master") == 0) {
            r->config.program = argv[++i];
        } else if (strcmp(option, "--agent") == 0) {
            r->config.agent = argv[++i];
        } else {
            return false;
        }
    }
    return choice->masters <= 7 && choice->seconds >= 0;
}

int main(int argc, char **argv)
{
    static struct run r;
    struct matrix_choice choice = {0};
    arena_init(&r.arena);
    find_places(&r);
    r.config.root = geteuid() == 0;
    env_random(env_real(), &r.config.seed, 4);
    if (!parse(argc, argv, &r, &choice)) {
        return usage();
    }
    take_lock(&r);
    r.count = matrix_choose(&choice, r.config.root, r.rows);
    r.config.talk = r.count == 1;
    r.shared = mmap(NULL, sizeof *r.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r.shared == MAP_FAILED) {
        fault_die("shared memory", NULL);
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    printf("fault: %u cells, seed %llu%s\n", r.count, (unsigned long long)r.config.seed,
           r.config.root ? "" : "; on loopback, without what needs namespaces of its own");
    matrix_print_head();
    for (unsigned i = 0; i < r.count && !interrupted; i++) {
        run_cell(&r, &r.rows[i]);
    }
    if (r.count > 1) {
        matrix_print_table(r.rows, r.count);
    }
    printf("%u passed, %u failed\n", r.passed, r.failed);
    arena_close(&r.arena);
    return interrupted ? 130 : r.failed > 0 || r.passed == 0 ? 1 : 0;
}
