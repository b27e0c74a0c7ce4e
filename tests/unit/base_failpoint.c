/* Failpoints: what arms them, when they strike. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"

#define POINT ((enum failpoint)0)

static void arm(const char *suffix)
{
    char text[160];
    const char *bad = NULL;
    snprintf(text, sizeof text, "%s=%s", failpoint_name(POINT), suffix);
    failpoint_disarm_all();
    assert_true(failpoint_arm(text, &bad));
}

static void an_unarmed_point_does_nothing(void **state)
{
    (void)state;
    failpoint_disarm_all();
    assert_false(failpoint(POINT));
}

static void an_error_strikes_once_at_the_nth_hit(void **state)
{
    (void)state;
    arm("error@3");
    assert_false(failpoint(POINT));
    assert_false(failpoint(POINT));
    assert_true(failpoint(POINT));
    assert_false(failpoint(POINT));
    assert_int_equal(failpoint_hits(POINT), 4);
}

static void with_a_plus_it_strikes_from_then_on(void **state)
{
    (void)state;
    arm("error@2+");
    assert_false(failpoint(POINT));
    assert_true(failpoint(POINT));
    assert_true(failpoint(POINT));
}

static void a_crash_is_a_sigkill(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        arm("crash");
        failpoint(POINT);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void who_stands_goes_on_when_told(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        arm("stand");
        _exit(failpoint(POINT) ? 1 : 7);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void nonsense_is_refused_and_shown(void **state)
{
    (void)state;
    static const char *const texts[] = {"nonesuch=error",
                                        "=error",
                                        "x",
                                        "snapshot_before_put=explode",
                                        "snapshot_before_put=error@0",
                                        "snapshot_before_put=error@1x",
                                        "snapshot_before_put=sleep:x"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *bad = NULL;
        failpoint_disarm_all();
        assert_false(failpoint_arm(texts[i], &bad));
        assert_ptr_equal(bad, texts[i]);
    }
}

static void names_are_sorted(void **state)
{
    (void)state;
    for (unsigned f = 1; f < FAILPOINT_COUNT; f++) {
        assert_true(strcmp(failpoint_name((enum failpoint)(f - 1)), failpoint_name((enum failpoint)f)) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unarmed_point_does_nothing),
        cmocka_unit_test(an_error_strikes_once_at_the_nth_hit),
        cmocka_unit_test(with_a_plus_it_strikes_from_then_on),
        cmocka_unit_test(a_crash_is_a_sigkill),
        cmocka_unit_test(who_stands_goes_on_when_told),
        cmocka_unit_test(nonsense_is_refused_and_shown),
        cmocka_unit_test(names_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
