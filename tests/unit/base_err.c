/* Errors as programs read them: causes, and the object that they are about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void assert_cause(const struct error *err, unsigned i, enum error_cause reason, const char *field,
                         const char *text)
{
    struct error_cause_text c;
    assert_true(error_cause(err, i, &c));
    assert_int_equal(c.reason, reason);
    assert_true(str_is(c.field, field));
    assert_true(str_is(c.text, text));
}

static void causes_stand_in_the_message(void **state)
{
    (void)state;
    struct error err = {0};
    struct error_cause_text c;
    error_set(&err, ERR_INVALID, "it is wrong:\n* a.b: Required value\n* c: Duplicate value: 1");
    assert_false(error_cause(&err, 0, &c));
    error_add_cause(&err, ERROR_CAUSE_REQUIRED, STR("a.b"), STR("Required value"));
    error_add_cause(&err, ERROR_CAUSE_DUPLICATE, STR("c"), STR("Duplicate value: 1"));
    assert_cause(&err, 0, ERROR_CAUSE_REQUIRED, "a.b", "Required value");
    assert_cause(&err, 1, ERROR_CAUSE_DUPLICATE, "c", "Duplicate value: 1");
    assert_false(error_cause(&err, 2, &c));
    struct error copy = err; /* plain data */
    memset(&err, 0xff, sizeof err);
    assert_cause(&copy, 1, ERROR_CAUSE_DUPLICATE, "c", "Duplicate value: 1");
}

static void a_cause_that_the_message_does_not_tell_is_counted_only(void **state)
{
    (void)state;
    struct error err = {0};
    error_set(&err, ERR_INVALID, "a: wrong");
    error_add_cause(&err, ERROR_CAUSE_INVALID, STR("b"), STR("wrong"));
    error_add_cause(&err, ERROR_CAUSE_INVALID, STR("a"), STR("right"));
    assert_int_equal(err.causes_all, 2);
    assert_int_equal(err.causes_kept, 0);
    error_add_cause(NULL, ERROR_CAUSE_INVALID, STR("a"), STR("wrong"));
}

static void the_first_causes_are_kept_and_all_are_counted(void **state)
{
    (void)state;
    struct error err = {0};
    error_set(&err, ERR_INVALID, "a: wrong");
    for (unsigned i = 0; i < ERROR_CAUSES_MAX + 5; i++) {
        error_add_cause(&err, ERROR_CAUSE_INVALID, STR("a"), STR("wrong"));
    }
    assert_int_equal(err.causes_kept, ERROR_CAUSES_MAX);
    assert_int_equal(err.causes_all, ERROR_CAUSES_MAX + 5);
}

static void a_prefix_moves_the_causes_and_cuts_those_that_have_no_room(void **state)
{
    (void)state;
    struct error err = {0};
    char long_text[ERROR_MESSAGE_MAX];
    memset(long_text, 'x', sizeof long_text - 8);
    long_text[sizeof long_text - 8] = '\0';
    error_set(&err, ERR_INVALID, "a: %s", long_text);
    error_add_cause(&err, ERROR_CAUSE_INVALID, STR("a"), STR("xxx"));
    error_add_cause(&err, ERROR_CAUSE_INVALID, STR("a"), str_of(long_text));
    assert_int_equal(err.causes_kept, 2);
    error_wrap(&err, "line %d", 7);
    assert_int_equal(err.causes_kept, 1);
    assert_int_equal(err.causes_all, 2);
    assert_cause(&err, 0, ERROR_CAUSE_INVALID, "a", "xxx");
    assert_memory_equal(err.message, "line 7: a: xxx", 14);
}

static void a_field_alone_is_a_cause(void **state)
{
    (void)state;
    struct error err = {0};
    error_set_field(&err, ERR_FORBIDDEN, "spec.x", "not allowed");
    assert_cause(&err, 0, ERROR_CAUSE_FORBIDDEN, "spec.x", "not allowed");
    assert_string_equal(error_cause_word(ERROR_CAUSE_FORBIDDEN), "FieldValueForbidden");
}

static void an_error_names_its_object(void **state)
{
    (void)state;
    struct error err = {0};
    struct str group, kind, name;
    char long_name[ERROR_ABOUT_MAX];
    error_set(&err, ERR_NOT_FOUND, "gone");
    assert_false(error_about(&err, &group, &kind, &name));
    error_set_about(&err, STR("apps"), STR("deployments"), STR("web"));
    assert_true(error_about(&err, &group, &kind, &name));
    assert_true(str_is(group, "apps") && str_is(kind, "deployments") && str_is(name, "web"));
    error_set_about(&err, STR_NONE, STR("pods"), STR("a"));
    assert_true(error_about(&err, &group, &kind, &name));
    assert_true(str_is(group, "") && str_is(kind, "pods") && str_is(name, "a"));
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    error_set_about(&err, STR_NONE, STR("pods"), str_of(long_name));
    assert_false(error_about(&err, &group, &kind, &name));
    error_set_about(&err, STR_NONE, STR("pods"), (struct str){long_name, ERROR_ABOUT_MAX - 7});
    assert_true(error_about(&err, &group, &kind, &name));
    assert_int_equal(name.n, ERROR_ABOUT_MAX - 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(causes_stand_in_the_message),
        cmocka_unit_test(a_cause_that_the_message_does_not_tell_is_counted_only),
        cmocka_unit_test(the_first_causes_are_kept_and_all_are_counted),
        cmocka_unit_test(a_prefix_moves_the_causes_and_cuts_those_that_have_no_room),
        cmocka_unit_test(a_field_alone_is_a_cause),
        cmocka_unit_test(an_error_names_its_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
