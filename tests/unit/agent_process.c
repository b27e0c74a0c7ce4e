#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/runtime/process.h"
#include "base/mem.h"

struct seen {
    unsigned calls;
    struct process_result r;
    char *out, *err, *message;
};

static void on_exit_seen(struct process *p, const struct process_result *r, void *data)
{
    struct seen *s = data;
    (void)p;
    s->calls++;
    s->r = *r;
    s->out = xstrndup(r->out.n == 0 ? "" : r->out.p, r->out.n);
    s->err = xstrndup(r->err.n == 0 ? "" : r->err.p, r->err.n);
    s->message = xstrdup(r->message);
}

static void seen_free(struct seen *s)
{
    free(s->out);
    free(s->err);
    free(s->message);
}

static void run_spec(const struct process_spec *spec, struct seen *s)
{
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    *s = (struct seen){0};
    process_run(&loop, spec, on_exit_seen, s);
    assert_int_equal(s->calls, 0); /* never inside the call */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(s->calls, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void run_shell(const char *script, struct seen *s, struct process_spec spec)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    spec.argv = argv;
    run_spec(&spec, s);
}

static void output_and_exit_code_are_reported(void **state)
{
    (void)state;
    struct seen s;
    run_shell("echo out; echo err >&2; exit 3", &s, (struct process_spec){0});
    assert_string_equal(s.out, "out\n");
    assert_string_equal(s.err, "err\n");
    assert_int_equal(s.r.exit_code, 3);
    assert_int_equal(s.r.error, 0);
    struct error e = {0};
    seen_free(&s);
    run_shell("echo first >&2; echo 'no such device' >&2; exit 1", &s, (struct process_spec){0});
    s.r.err = str_of(s.err);
    assert_int_equal(process_result_error(&s.r, "mount", &e), ERR_SYSTEM);
    assert_string_equal(e.message, "mount: no such device");
    seen_free(&s);
}

static void input_and_environment_reach_the_child(void **state)
{
    (void)state;
    struct seen s;
    const char *env[] = {"PATH=/usr/bin:/bin", "COLOUR=blue", NULL};
    run_shell("cat; echo $COLOUR; pwd", &s, (struct process_spec){.input = STR("hello "), .env = env, .cwd = "/usr"});
    assert_string_equal(s.out, "hello blue\n/usr\n");
    seen_free(&s);
}

static void a_missing_program_is_an_error_with_its_name(void **state)
{
    (void)state;
    struct seen s;
    const char *argv[] = {"/no/such/program", NULL};
    run_spec(&(struct process_spec){.argv = argv}, &s);
    assert_int_equal(s.r.error, ERR_NOT_FOUND);
    assert_non_null(strstr(s.message, "/no/such/program"));
    seen_free(&s);
}

static void output_beyond_the_limit_is_dropped(void **state)
{
    (void)state;
    struct seen s;
    run_shell("head -c 100000 /dev/zero | tr '\\0' x", &s, (struct process_spec){.output_max = 1000});
    assert_int_equal(strlen(s.out), 1000);
    assert_true(s.r.truncated);
    assert_int_equal(s.r.exit_code, 0);
    seen_free(&s);
}

/* Whoever says more than is kept must not keep us busy: it is read at a pace, and still to its end. */
static void output_beyond_the_limit_is_read_at_a_pace(void **state)
{
    (void)state;
    enum { BYTES = 4000000 };
    static const char *const scripts[] = {"head -c 4000000 /dev/zero; exit 3", "head -c 4000000 /dev/zero >&2; exit 3"};
    for (unsigned i = 0; i < ARRAY_SIZE(scripts); i++) {
        struct seen s;
        uint64_t start = uv_hrtime();
        run_shell(scripts[i], &s, (struct process_spec){.output_max = 1000});
        uint64_t took_ms = (uv_hrtime() - start) / 1000000;
        assert_int_equal((i == 0 ? s.r.out : s.r.err).n, 1000);
        assert_true(s.r.truncated);
        assert_int_equal(s.r.exit_code, 3);
        assert_true(took_ms >= BYTES / PROCESS_DROP_BYTES * PROCESS_DROP_MS / 2);
        seen_free(&s);
    }
}

static void the_timeout_kills_the_whole_group(void **state)
{
    (void)state;
    struct seen s;
    uint64_t before = uv_hrtime();
    run_shell("sleep 60 & sleep 60", &s, (struct process_spec){.timeout_ms = 50});
    assert_true(s.r.timed_out);
    assert_int_equal(s.r.signal, SIGKILL);
    assert_int_equal(s.r.exit_code, 137);
    assert_true(uv_hrtime() - before < 5000000000u);
    seen_free(&s);
}

static void a_grandchild_that_keeps_the_pipe_does_not_hold_us(void **state)
{
    (void)state;
    struct seen s;
    uint64_t before = uv_hrtime();
    run_shell("setsid sleep 3 & echo $!", &s, (struct process_spec){0});
    assert_int_equal(s.r.exit_code, 0);
    assert_true(uv_hrtime() - before < 2500000000u);
    kill(-atoi(s.out), SIGKILL);
    seen_free(&s);
}

static void a_cancelled_process_says_nothing(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct seen s = {0};
    const char *argv[] = {"sleep", "60", NULL};
    struct process *p = process_run(&loop, &(struct process_spec){.argv = argv}, on_exit_seen, &s);
    process_cancel(p);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(s.calls, 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void an_extra_descriptor_is_number_three(void **state)
{
    (void)state;
    struct seen s;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    run_shell("echo three >&3", &s, (struct process_spec){.extra_fd = fds[1]});
    char text[16] = "";
    assert_int_equal(read(fds[0], text, sizeof text - 1), 6);
    assert_string_equal(text, "three\n");
    close(fds[0]);
    close(fds[1]);
    seen_free(&s);
}

/* We ignore SIGPIPE and may hold back others: no command is to inherit that. */
static void a_command_begins_with_signals_as_at_a_programs_start(void **state)
{
    (void)state;
    struct seen s;
    sigset_t held, before;
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_BLOCK, &held, &before);
    run_shell("kill -PIPE $$; echo on", &s, (struct process_spec){0});
    assert_int_equal(s.r.signal, SIGPIPE);
    assert_int_equal(s.r.exit_code, 128 + SIGPIPE);
    assert_string_equal(s.out, "");
    seen_free(&s);
    run_shell("kill $$; echo on", &s, (struct process_spec){0});
    assert_int_equal(s.r.signal, SIGTERM);
    seen_free(&s);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* At the limit of descriptors the ends of the child's pipes make room for what tells of its end. */
static void a_command_runs_with_room_for_its_pipes_alone(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct seen s = {0};
    struct rlimit before, narrow;
    int fds[6];
    const char *argv[] = {"true", NULL};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    narrow = before;
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = dup(STDIN_FILENO);
    }
    narrow.rlim_cur = (rlim_t)fds[5]; /* libuv keeps one in reserve, two pipes have four */
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        close(fds[i]);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &narrow), 0);
    process_run(&loop, &(struct process_spec){.argv = argv}, on_exit_seen, &s);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(s.calls, 1);
    assert_string_equal(s.message, "");
    assert_int_equal(s.r.error, 0);
    assert_int_equal(s.r.exit_code, 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    seen_free(&s);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_exit_code_are_reported),
        cmocka_unit_test(input_and_environment_reach_the_child),
        cmocka_unit_test(a_missing_program_is_an_error_with_its_name),
        cmocka_unit_test(a_command_runs_with_room_for_its_pipes_alone),
        cmocka_unit_test(output_beyond_the_limit_is_dropped),
        cmocka_unit_test(output_beyond_the_limit_is_read_at_a_pace),
        cmocka_unit_test(the_timeout_kills_the_whole_group),
        cmocka_unit_test(a_grandchild_that_keeps_the_pipe_does_not_hold_us),
        cmocka_unit_test(a_cancelled_process_says_nothing),
        cmocka_unit_test(an_extra_descriptor_is_number_three),
        cmocka_unit_test(a_command_begins_with_signals_as_at_a_programs_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
