/* rctl exec on a terminal, and rctl attach, while the master that they lead over is killed: what is typed comes through
 * once, and the session goes on. */
#include <pty.h>
#include <termios.h>

#include "tests/unit/master_streams.h"

/* The leader serves the agent; rctl may talk to any of the masters, so each is killed in turn. */
static void kill_and_start(struct state *s, unsigned i)
{
    kit_stop(s->kit, i, SIGKILL);
    pass(s, 700);
    kit_start(s->kit, i);
    s->leader = kit_leader(s->kit);
}

/* rctl with a terminal for its input and output. Its end of ours: *terminal. */
static struct proc start_on_terminal(struct state *s, const char *const *args, int *terminal)
{
    struct proc p = {.input = -1};
    char path[600];
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    int other;
    snprintf(path, sizeof path, "%s", program("rctl"));
    snprintf(p.err, sizeof p.err, "%s/terminal-err", s->kit->dir);
    assert_int_equal(openpty(terminal, &other, NULL, NULL, &size), 0);
    fcntl(*terminal, F_SETFL, O_NONBLOCK);
    fcntl(*terminal, F_SETFD, FD_CLOEXEC);
    pid_t parent = getpid();
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int err = open(p.err, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (getppid() != parent || setsid() < 0 || dup2(other, 0) < 0 || dup2(other, 1) < 0 || dup2(err, 2) < 0) {
            _exit(126);
        }
        execv(path, (char *const *)args);
        _exit(127);
    }
    close(other);
    assert_true(procs_count < ARRAY_SIZE(procs_started));
    procs_started[procs_count++] = p.pid;
    return p;
}

static bool shows(int terminal, struct buf *seen, const char *text)
{
    char part[1024];
    for (ssize_t n; (n = read(terminal, part, sizeof part)) > 0;) {
        buf_append(seen, part, (size_t)n);
    }
    return strstr(buf_cstr(seen), text) != NULL;
}

static void type_and_see(struct state *s, int terminal, struct buf *seen, const char *text)
{
    assert_int_equal(write(terminal, text, strlen(text)), (ssize_t)strlen(text));
    wait_for(s, text, shows(terminal, seen, text));
}

static void test_a_command_on_a_terminal_goes_on_whichever_master_is_killed(void **state)
{
    struct state *s = *state;
    int terminal;
    CLEANUP_BUF struct buf seen = BUF_INIT;
    const char *const args[] = {"rctl", "--config", s->config[MASTERS], "exec", "-it", "p", "--", "cat", NULL};
    struct proc p = start_on_terminal(s, args, &terminal);
    struct termios raw = {.c_lflag = ICANON};
    wait_for(s, "the raw terminal", tcgetattr(terminal, &raw) == 0 && (raw.c_lflag & ICANON) == 0);
    type_and_see(s, terminal, &seen, "zero.");
    for (unsigned i = 0; i < MASTERS; i++) {
        char text[32];
        kill_and_start(s, i);
        snprintf(text, sizeof text, "after %u.", i);
        type_and_see(s, terminal, &seen, text);
    }
    assert_non_null(strstr(buf_cstr(&seen), "zero.after 0.after 1.after 2.")); /* each once, in order */
    finish(s, &p, SIGTERM);
    assert_int_equal(tcgetattr(terminal, &raw), 0);
    assert_true((raw.c_lflag & ICANON) != 0); /* as it was before */
    close(terminal);
}

static bool runs(struct state *s, const char *name)
{
    struct client *c = client_admin(s->kit, s->leader);
    bool running =
        call(c, "get", "{kind: Pod, name: %s}", name) == 0 && strcmp(text_at(c, "object.status.phase"), "Running") == 0;
    client_close(c);
    return running;
}

static void test_who_is_attached_stays_so_whichever_master_is_killed(void **state)
{
    struct state *s = *state;
    struct client *c = client_admin(s->kit, s->leader);
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: q}, spec: {nodeName: n1, containers: [{name: c, image: "
         "i, command: [cat], stdin: true}]}}}");
    client_close(c);
    wait_for(s, "the pod to run", runs(s, "q"));
    struct proc p = start(s, (const char *[]){"rctl", "--config", s->config[MASTERS], "attach", "-i", "q", NULL}, true);
    for (unsigned i = 0; i <= MASTERS; i++) {
        echo_line(s, &p, i);
        if (i < MASTERS) {
            kill_and_start(s, i);
        }
    }
    CLEANUP_FREE char *all = text_of(p.out);
    assert_string_equal(all, "echo 0\necho 1\necho 2\necho 3\n");
    finish(s, &p, SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_command_on_a_terminal_goes_on_whichever_master_is_killed),
        cmocka_unit_test(test_who_is_attached_stays_so_whichever_master_is_killed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
