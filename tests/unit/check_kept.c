/* The histories that are kept: every good one passes all checkers, every bad one is caught by the checker and for the
 * reason in its name, CHECKER-ANOMALY[.NUMBER-WORDS].jsonl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>

#include "tests/check/check.h"

#define FOLDER "tests/check/histories/"

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_history(const struct dirent *d)
{
    return str_ends(str_of(d->d_name), STR(".jsonl"));
}

static void load(struct hist *h, const char *folder, const char *name)
{
    CLEANUP_FREE char *path = xasprintf(FOLDER "%s/%s", folder, name);
    struct error err = {0};
    hist_init(h);
    if (hist_read_file(h, path, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static unsigned for_all(const char *folder, void (*judge)(const struct hist *h, const char *name))
{
    CLEANUP_FREE char *path = xasprintf(FOLDER "%s", folder);
    struct dirent **names;
    int count = scandir(path, &names, is_history, by_name);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        struct hist h;
        load(&h, folder, names[i]->d_name);
        judge(&h, names[i]->d_name);
        hist_close(&h);
        free(names[i]);
    }
    free(names);
    return (unsigned)count;
}

static void must_pass(const struct hist *h, const char *name)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (check_all(h, &(struct check_options){0}, &out) != VERDICT_VALID || out.size == 0) {
        fail_msg("%s should pass:\n%s", name, buf_cstr(&out));
    }
}

static void must_be_caught(const struct hist *h, const char *name)
{
    CLEANUP_FREE char *checker = xstrdup(name);
    char *anomaly = strchr(checker, '-');
    assert_non_null(anomaly);
    *anomaly++ = '\0';
    *strchr(anomaly, '.') = '\0';
    const struct checker *c = checkers;
    while (c->name != NULL && strcmp(c->name, checker) != 0) {
        c++;
    }
    assert_non_null(c->name);
    struct findings f;
    findings_init(&f);
    c->run(h, &(struct check_options){0}, &f);
    CLEANUP_BUF struct buf out = BUF_INIT;
    findings_print(&f, h, &out);
    if (findings_verdict(&f) != VERDICT_INVALID || !findings_have(&f, anomaly)) {
        fail_msg("%s should be caught as %s, but:\n%s", name, anomaly, buf_cstr(&out));
    }
    for (unsigned i = 0; i < f.count; i++) {
        assert_true(f.items[i].ops_count > 0); /* every finding names the operations that prove it */
    }
    findings_close(&f);
}

static void good_histories_pass(void **state)
{
    (void)state;
    print_message("%u good histories\n", for_all("good", must_pass));
}

static void bad_histories_are_caught_for_the_reason_in_their_name(void **state)
{
    (void)state;
    print_message("%u bad histories\n", for_all("bad", must_be_caught));
}

static void a_history_that_is_serializable_but_not_strictly_passes_without_real_time(void **state)
{
    (void)state;
    static const char *const names[] = {"append-G0-realtime.jsonl", "append-G1c-realtime.jsonl",
                                        "append-G-single-realtime.jsonl", "append-G2-realtime.jsonl",
                                        "append-lost-append.jsonl"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct hist h;
        CLEANUP_BUF struct buf out = BUF_INIT;
        load(&h, "bad", names[i]);
        if (check_all(&h, &(struct check_options){.serializable_only = true}, &out) != VERDICT_VALID) {
            fail_msg("%s:\n%s", names[i], buf_cstr(&out));
        }
        hist_close(&h);
    }
}

static void a_checker_that_gives_up_says_unknown_and_never_passes(void **state)
{
    (void)state;
    struct hist h;
    CLEANUP_BUF struct buf out = BUF_INIT;
    load(&h, "good", "register-concurrent-writes-either-order.jsonl");
    assert_int_equal(check_all(&h, &(struct check_options){.states_max = 1}, &out), VERDICT_UNKNOWN);
    assert_non_null(strstr(buf_cstr(&out), "gave up: x: more than 1 states"));
    hist_close(&h);
    load(&h, "good", "append-serial.jsonl");
    size_t op = hist_invoke(&h, 9, HIST_TXN, 100);
    hist_step_append(&h, op, "x", 1); /* a second time */
    hist_sort(&h);
    assert_int_equal(check_all(&h, &(struct check_options){0}, &out), VERDICT_UNKNOWN);
    assert_non_null(strstr(buf_cstr(&out), "elements must be unique"));
    hist_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_histories_pass),
        cmocka_unit_test(bad_histories_are_caught_for_the_reason_in_their_name),
        cmocka_unit_test(a_history_that_is_serializable_but_not_strictly_passes_without_real_time),
        cmocka_unit_test(a_checker_that_gives_up_says_unknown_and_never_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
