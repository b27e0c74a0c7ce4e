/* Command lines: options in all spellings, durations, numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/cmd/args.h"

static const struct option_row own[] = {
    {"container", 'c', OPTION_VALUE, NULL, NULL, "NAME", ""}, {"stdin", 'i', OPTION_FLAG, NULL, NULL, NULL, ""},
    {"tty", 't', OPTION_FLAG, NULL, NULL, NULL, ""},          {"filename", 'f', OPTION_REPEAT, NULL, NULL, "FILE", ""},
    {"dry-run", 0, OPTION_MAYBE, "none", "client", NULL, ""}, {"wait", 0, OPTION_FLAG, "true", NULL, NULL, ""},
};
static const struct option_row global[] = {
    {"namespace", 'n', OPTION_VALUE, NULL, NULL, "NAME", ""},
};
static const struct option_table tables[2] = {{own, ARRAY_SIZE(own)}, {global, ARRAY_SIZE(global)}};

struct fixture {
    struct arena arena;
    struct args args;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    arena_init(&f->arena);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_close(&f->arena);
    free(f);
    return 0;
}

#define PARSE(f, ...)                                                                                                  \
    ({                                                                                                                 \
        const char *const words_[] = {__VA_ARGS__};                                                                    \
        args_parse(&(f)->arena, tables, (int)ARRAY_SIZE(words_), words_, &(f)->args, &(f)->err);                       \
    })

static void a_value_follows_or_is_attached(void **state)
{
    struct fixture *f = *state;
    static const char *const spellings[][2] = {
        {"--container", "web"}, {"--container=web", NULL}, {"-c", "web"}, {"-cweb", NULL}, {"-c=web", NULL}};
    for (unsigned i = 0; i < ARRAY_SIZE(spellings); i++) {
        int n = spellings[i][1] == NULL ? 1 : 2;
        assert_int_equal(args_parse(&f->arena, tables, n, spellings[i], &f->args, &f->err), 0);
        assert_string_equal(args_get(&f->args, tables, "container"), "web");
        assert_int_equal(f->args.words_count, 0);
    }
}

static void flags_may_be_bundled_and_mixed_with_words(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(PARSE(f, "hello", "-ti", "-n", "shop", "more"), 0);
    assert_true(args_flag(&f->args, tables, "stdin"));
    assert_true(args_flag(&f->args, tables, "tty"));
    assert_string_equal(args_get(&f->args, tables, "namespace"), "shop");
    assert_int_equal(f->args.words_count, 2);
    assert_string_equal(f->args.words[1], "more");
}

static void a_bundle_may_end_with_an_option_that_has_a_value(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(PARSE(f, "-tic", "web"), 0);
    assert_true(args_flag(&f->args, tables, "tty"));
    assert_string_equal(args_get(&f->args, tables, "container"), "web");
}

static void what_follows_two_dashes_stands_as_it_is(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(PARSE(f, "hello", "--", "sh", "-c", "ls --all"), 0);
    assert_int_equal(f->args.words_count, 4);
    assert_int_equal(f->args.dash, 1);
    assert_true(f->args.has_dash);
    assert_string_equal(f->args.words[2], "-c");
    assert_false(args_given(&f->args, "container"));
}

static void a_flag_can_be_switched_off(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(PARSE(f, "x"), 0);
    assert_true(args_flag(&f->args, tables, "wait"));
    assert_int_equal(PARSE(f, "--wait=false"), 0);
    assert_false(args_flag(&f->args, tables, "wait"));
    assert_int_equal(PARSE(f, "--wait=maybe"), ERR_USAGE);
}

static void a_value_may_be_left_out_where_that_means_something(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(PARSE(f, "a"), 0);
    assert_string_equal(args_get(&f->args, tables, "dry-run"), "none");
    assert_int_equal(PARSE(f, "--dry-run", "a"), 0);
    assert_string_equal(args_get(&f->args, tables, "dry-run"), "client");
    assert_int_equal(f->args.words_count, 1);
    assert_int_equal(PARSE(f, "--dry-run=server"), 0);
    assert_string_equal(args_get(&f->args, tables, "dry-run"), "server");
}

static void repeated_options_keep_their_order(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(PARSE(f, "-f", "a.yaml", "--filename=b.yaml", "-f", "-"), 0);
    assert_int_equal(args_count(&f->args, "filename"), 3);
    assert_string_equal(args_at(&f->args, "filename", 0), "a.yaml");
    assert_string_equal(args_at(&f->args, "filename", 2), "-");
    assert_null(args_at(&f->args, "filename", 3));
}

static void an_unknown_option_names_the_nearest(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(PARSE(f, "--contaner", "x"), ERR_USAGE);
    assert_non_null(strstr(f->err.message, "did you mean --container?"));
    assert_int_equal(PARSE(f, "-z"), ERR_USAGE);
    assert_int_equal(PARSE(f, "--container"), ERR_USAGE);
    assert_non_null(strstr(f->err.message, "needs a value"));
}

static void durations_have_units_and_may_be_summed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"30s", 30000}, {"5m", 300000}, {"1h30m", 5400000}, {"500ms", 500},
                {"15", 15000},  {"0", 0},       {"2d", 172800000},  {"1.5s", 1500}};
    static const char *const bad[] = {"", "x", "5x", "5m3", "-1s", " 5s", "s", "1e99h"};
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        int64_t ms = -1;
        assert_int_equal(args_duration_ms("timeout", good[i].text, &ms, NULL), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t ms;
        assert_int_equal(args_duration_ms("timeout", bad[i], &ms, NULL), ERR_USAGE);
    }
}

static void numbers_are_whole_and_within_their_range(void **state)
{
    (void)state;
    int64_t n;
    struct error err = {0};
    assert_int_equal(args_int("replicas", "3", 0, 10, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_int_equal(args_int("replicas", "-1", 0, 10, &n, &err), ERR_USAGE);
    assert_non_null(strstr(err.message, "out of range"));
    assert_int_equal(args_int("replicas", "3x", 0, 10, &n, &err), ERR_USAGE);
    assert_int_equal(args_int("replicas", "", 0, 10, &n, &err), ERR_USAGE);
    assert_int_equal(args_int("replicas", "99999999999999999999", 0, 10, &n, &err), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_value_follows_or_is_attached, setup, teardown),
        cmocka_unit_test_setup_teardown(flags_may_be_bundled_and_mixed_with_words, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bundle_may_end_with_an_option_that_has_a_value, setup, teardown),
        cmocka_unit_test_setup_teardown(what_follows_two_dashes_stands_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flag_can_be_switched_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_value_may_be_left_out_where_that_means_something, setup, teardown),
        cmocka_unit_test_setup_teardown(repeated_options_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_option_names_the_nearest, setup, teardown),
        cmocka_unit_test(durations_have_units_and_may_be_summed),
        cmocka_unit_test(numbers_are_whole_and_within_their_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
