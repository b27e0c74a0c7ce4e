/* TEST="PATTERN..." in the environment runs some tests of a program: those whose names one of the patterns fits ("*"
 * and "?" as in a shell). A pattern that fits none fails the program, for a list of tests must not lose one when it is
 * renamed. Every unit program has this between its main and cmocka, which knows one pattern only and does not mind that
 * nothing fits it. */
#include <assert.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int __real__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction set_up, CMFixtureFunction tear_down);
int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction set_up, CMFixtureFunction tear_down);

int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction set_up, CMFixtureFunction tear_down)
{
    const char *wanted = getenv("TEST");
    if (wanted == NULL || wanted[strspn(wanted, " ")] == '\0') {
        return __real__cmocka_run_group_tests(group, tests, count, set_up, tear_down);
    }
    bool *takes = calloc(count + 1, sizeof(*takes));
    struct CMUnitTest *taken = calloc(count + 1, sizeof(*taken));
    char *patterns = strdup(wanted);
    assert(takes != NULL && taken != NULL && patterns != NULL);
    int lost = 0;
    char *rest = patterns;
    for (char *pattern = strtok_r(rest, " ", &rest); pattern != NULL; pattern = strtok_r(NULL, " ", &rest)) {
        bool fits = false;
        for (size_t i = 0; i < count; i++) {
            if (fnmatch(pattern, tests[i].name, 0) == 0) {
                takes[i] = fits = true;
            }
        }
        if (!fits) {
            printf("TEST: no test is named \"%s\"\n", pattern);
            lost++;
        }
    }
    size_t picked = 0;
    for (size_t i = 0; i < count; i++) {
        if (takes[i]) {
            taken[picked++] = tests[i];
        }
    }
    int failed = lost > 0 ? lost : __real__cmocka_run_group_tests(group, taken, picked, set_up, tear_down);
    free(patterns);
    free(taken);
    free(takes);
    return failed;
}
