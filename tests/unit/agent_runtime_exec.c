/* Commands in containers of crun: captured, streamed, and on a terminal. */
#include "tests/unit/agent_runtime_crun.h"

static void commands_run_inside(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *env[] = {"COLOUR=blue", NULL};
    const char *probe[] = {"sh", "-c", "echo $COLOUR $(id -u) $(hostname); exit 4", NULL};
    const char *slow[] = {"sleep", "50", NULL};
    crun_spec(f, &s);
    s.env = env;
    s.security.run_as_user = 33;
    start(f, &s, sleeper);
    run_inside(f, f->id, probe, 10000);
    assert_int_equal(f->exec_error, 0);
    assert_int_equal(f->exec_code, 4);
    assert_string_equal(f->exec_output, "blue 33 testpod\n");
    run_inside(f, f->id, slow, 300);
    assert_int_equal(f->exec_error, ERR_TIMEOUT);
    const char *left[] = {"sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", NULL};
    run_inside(f, f->id, left, 10000);
    assert_null(strstr(f->exec_output, "sleep 50"));
    run_inside(f, "nobody", probe, 0);
    assert_int_equal(f->exec_error, ERR_NOT_FOUND);
}

static void an_interactive_command_talks_both_ways(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *cat[] = {"sh", "-c", "cat; exit 3", NULL};
    /* crun sets the size only when it has let the command go: who asks first may hear 0 0. */
    const char *tty[] = {
        "sh", "-c", "while [ \"$(stty size)\" = '0 0' ]; do :; done; stty size; read x; stty size; echo got $x; tty",
        NULL};
    crun_spec(f, &s);
    start(f, &s, sleeper);
    say_hello(f, cat);
    assert_int_equal(f->end_code, 3);

    buf_reset(&f->streamed);
    struct runtime_exec *x = runtime_exec_open(
        f->rt, f->id,
        &(struct runtime_exec_spec){.argv = tty, .tty = true, .stdin_open = true, .rows = 33, .columns = 99},
        &streaming, f);
    wait_for_output(f, "33 99");
    runtime_exec_resize(f->rt, x, 44, 111);
    runtime_exec_write(f->rt, x, "word\n", 5);
    wait_for(f, &f->ends, 2);
    const char *out = buf_cstr(&f->streamed);
    assert_non_null(strstr(out, "44 111"));
    assert_non_null(strstr(out, "got word"));
    assert_non_null(strstr(out, "/dev/pts/"));

    x = runtime_exec_open(f->rt, f->id, &(struct runtime_exec_spec){.argv = sleeper}, &streaming, f);
    runtime_exec_kill(f->rt, x);
    wait_for(f, &f->ends, 3);
}

/* As soon as nobody writes any more the terminal is hung up, while the kernel still hands over what was written. */
static void the_end_of_a_terminals_output_is_not_lost(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *count[] = {"seq", "20000", NULL};
    crun_spec(f, &s);
    start(f, &s, sleeper);
    for (unsigned i = 0; i < 5; i++) {
        buf_reset(&f->streamed);
        runtime_exec_open(f->rt, f->id, &(struct runtime_exec_spec){.argv = count, .tty = true}, &streaming, f);
        wait_for(f, &f->ends, i + 1);
        assert_int_equal(f->end_code, 0);
        assert_true(str_ends(buf_str(&f->streamed), STR("\r\n20000\r\n")));
        assert_int_equal(f->streamed.size, 108894 + 20000); /* all of it, each line with a carriage return more */
    }
}

/* As a shell has it: what is not there is 127, what is no program 126; crun's own words go to stderr. */
static void a_command_that_cannot_be_run_says_so_and_exits_as_in_a_shell(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    static const struct {
        const char *command;
        int code;
        const char *text;
    } rows[] = {
        {"nonesuch", 127, "nonesuch"},
        {"/no/such", 127, "/no/such"},
        {"/etc/passwd", 126, "ermission denied"},
        {"/etc", 126, "not permitted"},
    };
    crun_spec(f, &s);
    start(f, &s, sleeper);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *argv[] = {rows[i].command, NULL};
        buf_reset(&f->streamed);
        runtime_exec_open(f->rt, f->id, &(struct runtime_exec_spec){.argv = argv}, &streaming, f);
        wait_for(f, &f->ends, i + 1);
        assert_int_equal(f->end_code, rows[i].code);
        assert_non_null(strstr(buf_cstr(&f->streamed), rows[i].text));
        run_inside(f, f->id, argv, 10000);
        assert_int_equal(f->exec_code, rows[i].code);
        assert_non_null(strstr(f->exec_output, rows[i].text));
    }
    /* the command's own 255 is its own */
    const char *own[] = {"sh", "-c", "echo not found >&2; exit 255", NULL};
    run_inside(f, f->id, own, 10000);
    assert_int_equal(f->exec_code, 255);
    runtime_exec_open(f->rt, f->id, &(struct runtime_exec_spec){.argv = own}, &streaming, f);
    wait_for(f, &f->ends, ARRAY_SIZE(rows) + 1);
    assert_int_equal(f->end_code, 255);
    kill_it(f, SIGKILL);
    run_inside(f, f->id, own, 10000);
    assert_int_equal(f->exec_error, ERR_USAGE);
}

int main(void)
{
    have_crun = enter_private_mounts();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commands_run_inside, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_command_that_cannot_be_run_says_so_and_exits_as_in_a_shell, crun_setup,
                                        crun_teardown),
        cmocka_unit_test_setup_teardown(an_interactive_command_talks_both_ways, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(the_end_of_a_terminals_output_is_not_lost, crun_setup, crun_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
