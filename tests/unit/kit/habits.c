#include "tests/unit/kit/habits.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define LINE_WAIT_MS 30000

static const char *beside(struct habits *h, const char *name)
{
    const char *master = kit_program();
    return arena_printf(&h->kit->arena, "%.*s/%s", (int)(strrchr(master, '/') - master), master, name);
}

static const char *in_home(struct habits *h, const char *name)
{
    return arena_printf(&h->kit->arena, "%s/%s", h->home, name);
}

static char *read_file(const char *path)
{
    struct buf b = BUF_INIT;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) {
        buf_append(&b, part, n);
    }
    fclose(f);
    buf_cstr(&b);
    return (char *)buf_take(&b, NULL);
}

void habits_file(struct habits *h, const char *name, const char *text)
{
    FILE *f = fopen(in_home(h, name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A process in a group of its own, so that a line that hangs is ended with all it has started. */
static pid_t start(struct habits *h, const char *const *argv, const char *in, const char *out, const char *err)
{
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    int fd_in = open(in, O_RDONLY), fd_out = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600),
        fd_err = open(err, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    if (getppid() != parent || fd_in < 0 || fd_out < 0 || fd_err < 0 || dup2(fd_in, 0) < 0 || dup2(fd_out, 1) < 0 ||
        dup2(fd_err, 2) < 0 || chdir(h->home) != 0) {
        _exit(126);
    }
    execv(argv[0], (char *const *)argv);
    _exit(127);
}

/* Exit code; 128 + signal; -1 if it had to be ended. */
static int finish(struct habits *h, pid_t pid, int64_t wait_ms)
{
    int status = 0;
    for (int64_t until = kit_now() + wait_ms; waitpid(pid, &status, WNOHANG) == 0; kit_turn(h->kit, 5)) {
        if (kit_now() > until) {
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int habits_type(struct habits *h, const char *line, const char *input)
{
    const char *in = "/dev/null", *out = arena_printf(&h->kit->arena, "%s/line.out", h->kit->dir),
               *err = arena_printf(&h->kit->arena, "%s/line.err", h->kit->dir);
    if (input != NULL) {
        habits_file(h, ".input", input);
        in = in_home(h, ".input");
    }
    const char *const argv[] = {"/bin/sh", "-c", line, NULL};
    int code = finish(h, start(h, argv, in, out, err), LINE_WAIT_MS);
    free(h->out);
    free(h->err);
    h->out = read_file(out);
    h->err = read_file(err);
    return code;
}

static void tell(const struct habits *h, const char *line, int code)
{
    printf("\n$ %s\nexit %d\n---- stdout\n%s---- stderr\n%s----\n", line, code, h->out, h->err);
}

void habits_must(struct habits *h, const char *line, const char *input)
{
    int code = habits_type(h, line, input);
    if (code != 0) {
        tell(h, line, code);
        fail_msg("the test's own preparation failed: %s", line);
    }
}

void habits_until(struct habits *h, const char *line)
{
    int code;
    for (int64_t until = kit_now() + KIT_WAIT_MS; (code = habits_type(h, line, NULL)) != 0; kit_turn(h->kit, 100)) {
        if (kit_now() > until) {
            tell(h, line, code);
            fail_msg("waited in vain for: %s", line);
        }
    }
}

/* NULL, or what is missing or should not be there. */
static const char *disagreement(struct habits *h, const char *want, const char *got)
{
    struct arena *a = &h->kit->arena;
    if (want == NULL) {
        return NULL;
    }
    if (want[0] == '=') {
        return strcmp(want + 1, got) == 0 ? NULL : arena_printf(a, "is not exactly \"%s\"", want + 1);
    }
    char *copy = arena_strdup(a, want), *save = NULL;
    for (char *part = strtok_r(copy, "\n", &save); part != NULL; part = strtok_r(NULL, "\n", &save)) {
        bool absent = part[0] == '!';
        if ((strstr(got, part + absent) != NULL) == absent) {
            return arena_printf(a, "%s \"%s\"", absent ? "has" : "lacks", part + absent);
        }
    }
    return NULL;
}

static bool row_holds(struct habits *h, const struct habit *row)
{
    int code = habits_type(h, row->line, row->input);
    const char *wrong[] = {disagreement(h, row->out, h->out), disagreement(h, row->err, h->err)};
    bool code_fits = row->code == HABIT_ANY ? code >= 0 && code < 128 : code == row->code;
    if (code_fits && wrong[0] == NULL && wrong[1] == NULL) {
        return true;
    }
    tell(h, row->line, code);
    if (!code_fits) {
        printf("the exit code is not %d\n", row->code);
    }
    for (int i = 0; i < 2; i++) {
        if (wrong[i] != NULL) {
            printf("%s %s\n", i == 0 ? "stdout" : "stderr", wrong[i]);
        }
    }
    return false;
}

void habits_run(struct habits *h, const struct habit *rows, unsigned count)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < count; i++) {
        wrong += !row_holds(h, &rows[i]);
    }
    if (wrong > 0) {
        fail_msg("%u of %u lines are wrong", wrong, count);
    }
}

/* A command that does not end by itself: its first lines, and then it is ended. */
static void make_first(struct habits *h)
{
    static const char script[] =
        "#!/bin/sh\n"
        "lines=$1; shift; file=$(mktemp \"$HOME/first-XXXXXX\")\n"
        "\"$@\" >\"$file\" & pid=$!\n"
        "while [ \"$(wc -l <\"$file\")\" -lt \"$lines\" ] && kill -0 $pid 2>/dev/null; do sleep 0.05; done\n"
        "kill $pid 2>/dev/null; wait $pid 2>/dev/null\n"
        "head -n \"$lines\" \"$file\"\n";
    habits_file(h, "first", script);
    assert_int_equal(chmod(in_home(h, "first"), 0700), 0);
}

static void start_agent(struct habits *h, unsigned nodes)
{
    struct kit *k = h->kit;
    struct client *c = client_admin(k, 0);
    must(c, "token", "{role: node, uses: 100}");
    const char *program = beside(h, "reeve-agent"), *dir = arena_printf(&k->arena, "%s/hollow", k->dir),
               *count = arena_printf(&k->arena, "%u", nodes), *log = arena_printf(&k->arena, "%s/agent.log", k->dir);
    const char *const join[] = {program,
                                "join",
                                "--dir",
                                dir,
                                "--name",
                                "hollow",
                                "--token",
                                text_at(c, "token"),
                                "--hollow-nodes",
                                count,
                                k->masters[0].addr,
                                NULL};
    const char *const run[] = {program, "run", "--dir", dir, "--runtime", "hollow", "--hollow-nodes", count, NULL};
    client_close(c);
    if (finish(h, start(h, join, "/dev/null", log, log), LINE_WAIT_MS) != 0) {
        CLEANUP_FREE char *said = read_file(log);
        fail_msg("reeve-agent join: %s", said);
    }
    h->agent = start(h, run, "/dev/null", log, log);
    habits_until(h, arena_printf(&k->arena, "test \"$(rctl get nodes | grep -cw Ready)\" = %u", nodes));
}

struct habits *habits_start(unsigned nodes)
{
    return habits_start_with(nodes, NULL);
}

struct habits *habits_start_with(unsigned nodes, const char *const *args)
{
    struct habits *h = xcalloc(1, sizeof *h);
    h->kit = kit_one(args);
    snprintf(h->home, sizeof h->home, "%s/home", h->kit->dir);
    assert_int_equal(mkdir(h->home, 0700), 0);
    CLEANUP_FREE char *config = read_file(arena_printf(&h->kit->arena, "%s/admin.config", h->kit->masters[0].dir));
    habits_file(h, "config", config);
    const char *program = beside(h, "rctl");
    make_first(h);
    setenv("PATH",
           arena_printf(&h->kit->arena, "%.*s:%s:/usr/local/bin:/usr/bin:/bin", (int)(strrchr(program, '/') - program),
                        program, h->home),
           1);
    setenv("HOME", h->home, 1);
    setenv("REEVE_CONFIG", in_home(h, "config"), 1);
    setenv("NO_COLOR", "1", 1);
    if (nodes > 0) {
        start_agent(h, nodes);
    }
    return h;
}

void habits_stop(struct habits *h)
{
    if (h->agent != 0) {
        kill(h->agent, SIGTERM);
        assert_int_equal(finish(h, h->agent, KIT_WAIT_MS), 0);
    }
    free(h->out);
    free(h->err);
    kit_free(h->kit);
    free(h);
}

int habits_set_up(void **state, unsigned nodes, const char *line, const char *input)
{
    struct habits *h = habits_start(nodes);
    *state = h;
    if (line != NULL) {
        habits_must(h, line, input);
    }
    return 0;
}

int habits_tear_down(void **state)
{
    habits_stop(*state);
    return 0;
}
