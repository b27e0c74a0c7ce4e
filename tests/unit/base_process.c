/* What a process asks of the kernel for itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/process.h"

/* Runs check in a child of its own, for limits cannot be raised again. */
static void in_child(bool (*check)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(check() ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool raises(void)
{
    struct rlimit limit = {128, 512};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || process_raise_descriptors() != 512 ||
        process_raise_descriptors() != 512 || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur != 512) {
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        getrlimit(RLIMIT_NOFILE, &limit);
        _exit(limit.rlim_cur == 128 && limit.rlim_max == 512 ? 0 : 1);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    return status == 0;
}

static void descriptors_are_raised_to_the_hard_limit_and_children_start_as_we_did(void **state)
{
    (void)state;
    in_child(raises);
}

#ifndef __SANITIZE_ADDRESS__
static bool hides(void)
{
    struct rlimit core;
    unsetenv("REEVE_DEBUG");
    process_hide_memory();
    return prctl(PR_GET_DUMPABLE) == 0 && getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0;
}

static bool leaves_it(void)
{
    setenv("REEVE_DEBUG", "1", 1);
    process_hide_memory();
    return prctl(PR_GET_DUMPABLE) == 1;
}
#endif

static void memory_is_hidden_from_core_files_and_others_unless_somebody_debugs(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();
#else
    in_child(hides);
    in_child(leaves_it);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_are_raised_to_the_hard_limit_and_children_start_as_we_did),
        cmocka_unit_test(memory_is_hidden_from_core_files_and_others_unless_somebody_debugs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
