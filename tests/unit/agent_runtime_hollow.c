/* The hollow runtime: containers that only say that they run. */
#include "tests/unit/agent_runtime.h"

static int hollow_setup(void **state)
{
    struct fixture *f = fixture_new();
    struct runtime_events ev = {.on_exit = on_exit_event, .data = f};
    f->images = image_store_hollow_new(&f->loop);
    f->image = image_find(f->images, "any:1");
    f->rt = runtime_hollow_new(&f->loop, &ev);
    *state = f;
    return 0;
}
static int hollow_teardown(void **state)
{
    struct fixture *f = *state;
    close_runtime(f);
    image_unref(f->image);
    image_store_close(f->images, NULL, NULL);
    fixture_close(f);
    free(f);
    return 0;
}

static void a_hollow_container_runs_until_it_is_killed(void **state)
{
    struct fixture *f = *state;
    struct runtime_spec s;
    base_spec(f, &s);
    start(f, &s, NULL);
    assert_int_equal(f->start_error, 0);
    assert_int_equal(f->exits, 0);
    kill_it(f, SIGTERM);
    assert_int_equal(f->exit_code, 143);
    remove_it(f);
}

static void a_hollow_container_does_what_its_command_says(void **state)
{
    struct fixture *f = *state;
    struct runtime_spec s;
    const char *exit3[] = {"exit", "3", NULL}, *fail[] = {"fail", NULL}, *deaf[] = {"ignore-term", NULL};
    base_spec(f, &s);
    start(f, &s, exit3);
    wait_for(f, &f->exits, 1);
    assert_int_equal(f->exit_code, 3);
    remove_it(f);
    start(f, &s, fail);
    assert_int_not_equal(f->start_error, 0);
    assert_string_equal(f->reason, "RunContainerError");
    start(f, &s, deaf);
    runtime_kill(f->rt, f->id, SIGTERM, on_done, f);
    wait_for(f, &f->dones, 2);
    assert_int_equal(f->exits, 1);
    kill_it(f, SIGKILL);
    assert_int_equal(f->exit_code, 137);
    remove_it(f);
    start(f, &s, NULL);
    start(f, &s, NULL);
    assert_int_equal(f->start_error, ERR_EXISTS);
    const char *env[] = {"HOLLOW_START_MS=5", "HOLLOW_EXIT_MS=5", "HOLLOW_EXIT_CODE=9", "HOLLOW_OOM=1", NULL};
    s.env = env;
    s.attempt = 1;
    start(f, &s, NULL);
    wait_for(f, &f->exits, 3);
    assert_int_equal(f->exit_code, 9);
    assert_string_equal(f->reason, "OOMKilled");
}

static void a_hollow_exec_answers_by_its_words(void **state)
{
    struct fixture *f = *state;
    struct runtime_spec s;
    const char *exit2[] = {"exit", "2", NULL}, *echo[] = {"echo", "a", "b", NULL}, *cat[] = {"cat", NULL};
    base_spec(f, &s);
    start(f, &s, NULL);
    run_inside(f, f->id, exit2, 0);
    assert_int_equal(f->exec_code, 2);
    run_inside(f, f->id, echo, 0);
    assert_string_equal(f->exec_output, "a b\n");
    run_inside(f, "nobody", echo, 0);
    assert_int_equal(f->exec_error, ERR_NOT_FOUND);
    say_hello(f, cat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_hollow_container_runs_until_it_is_killed, hollow_setup, hollow_teardown),
        cmocka_unit_test_setup_teardown(a_hollow_container_does_what_its_command_says, hollow_setup, hollow_teardown),
        cmocka_unit_test_setup_teardown(a_hollow_exec_answers_by_its_words, hollow_setup, hollow_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
