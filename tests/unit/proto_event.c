/* The order of events within one second, and what an event with eventTime must have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "proto/facts/event.h"
#include "proto/schema/kind.h"

static struct value *base(struct arena *a, const char *name)
{
    struct value *doc = value_map(a), *metadata = value_map(a), *about = value_map(a), *source = value_map(a);
    value_set(a, metadata, "name", value_cstr(a, name));
    value_set(a, metadata, "namespace", value_cstr(a, "default"));
    value_set(a, metadata, "creationTimestamp", value_cstr(a, "2026-01-02T03:04:05Z"));
    value_set(a, about, "namespace", value_cstr(a, "default"));
    value_set(a, source, "component", value_cstr(a, "reeve-agent"));
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "Event"));
    value_set(a, doc, "metadata", metadata);
    value_set(a, doc, "involvedObject", about);
    value_set(a, doc, "source", source);
    value_set(a, doc, "reason", value_cstr(a, "Pulled"));
    value_set(a, doc, "type", value_cstr(a, "Normal"));
    return doc;
}

static struct object *stored(struct value *doc, uint64_t revision)
{
    struct object *o = NULL;
    struct error err = {0};
    assert_int_equal(object_from_value(kind_by_id(KIND_EVENT), doc, revision, &o, &err), 0);
    return o;
}

static void within_one_transaction_the_place_tells_what_came_first(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *x = base(&a, "z"), *y = base(&a, "a");
    event_set_first(&a, x, 1700000000123, 0, "m");
    event_set_first(&a, y, 1700000000123, 1, "m");
    CLEANUP_OBJECT struct object *first = stored(x, 7), *second = stored(y, 7);
    assert_true(event_compare(first, second) < 0);
    assert_true(event_compare_first(second, first) > 0);
    assert_true(str_is(value_path_str(y, "eventTime"), "2023-11-14T22:13:20.123001Z"));
}

static void an_event_that_happens_again_moves_behind_the_others(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *x = base(&a, "x"), *y = base(&a, "y");
    event_set_first(&a, x, 1700000000123, 0, "m");
    event_set_first(&a, y, 1700000000124, 0, "m");
    event_set_again(&a, x, 1700000000999, 5);
    CLEANUP_OBJECT struct object *again = stored(x, 9), *once = stored(y, 8);
    assert_true(event_compare(once, again) < 0);
    assert_true(event_compare_first(again, once) < 0);
    assert_int_equal(value_path_int(x, "count", 0), 2);
    assert_int_equal(value_path_int(x, "series.count", 0), 2);
}

static void a_long_message_is_cut_at_a_character_and_the_event_is_valid(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = base(&a, "x");
    char text[2002] = "x"; /* "x", then characters of two bytes: a cut at 1024 would halve one */
    for (unsigned i = 1; i + 2 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa4", 2);
    }
    value_set(&a, doc, "message", value_cstr(&a, text));
    event_set_first(&a, doc, 1700000000123, 4000, "m");
    assert_int_equal(value_path_str(doc, "message").n, 1023);
    struct error err = {0};
    assert_int_equal(kind_check(kind_by_id(KIND_EVENT), &a, doc, NULL, 0, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_one_transaction_the_place_tells_what_came_first),
        cmocka_unit_test(an_event_that_happens_again_moves_behind_the_others),
        cmocka_unit_test(a_long_message_is_cut_at_a_character_and_the_event_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
