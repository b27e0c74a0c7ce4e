/* What an informer of the fault test takes, and what it says of masters that leave something out, go back or repeat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/text/text.h"
#include "tests/fault/copy.h"

struct fixture {
    struct watcher watcher;
    struct copy copy;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->watcher = (struct watcher){.process = 500, .last = "z"};
    f->copy.w = &f->watcher;
    hist_init(&f->watcher.hist);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    copy_close(&f->copy);
    buf_close(&f->watcher.held);
    hist_close(&f->watcher.hist);
    free(f);
    return 0;
}

/* "ADDED a 7 at 3"; a mark is "BOOKMARK at 3", the first one "FIRST at 3"; "ERROR 410". */
static void tell(struct fixture *f, const char *text)
{
    char type[20] = "", name[20] = "", line[400];
    int number = 0, version = 0;
    if (sscanf(text, "ERROR %d", &number) == 1) {
        snprintf(line, sizeof line, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":%d}}", number);
    } else if (sscanf(text, "%19s at %d", type, &version) == 2) {
        bool first = strcmp(type, "FIRST") == 0;
        snprintf(
            line, sizeof line,
            "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"ConfigMap\",\"metadata\":{\"resourceVersion\":\"%d\"%s}}}",
            version, first ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "");
    } else {
        assert_int_equal(sscanf(text, "%19s %19s %d at %d", type, name, &number, &version), 4);
        snprintf(line, sizeof line,
                 "{\"type\":\"%s\",\"object\":{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\","
                 "\"resourceVersion\":\"%d\"},"
                 "\"data\":{\"v\":\"%d\"}}}",
                 type, name, version, number);
    }
    copy_line(&f->copy, str_of(line));
}

/* "a=7 b=9" */
static void page(struct fixture *f, const char *objects)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct value *items;
    arena_init(&a);
    buf_puts(&text, "[");
    for (const char *at = objects; *at != '\0'; at += strcspn(at, " ")) {
        char name[20];
        int number;
        at += strspn(at, " ");
        assert_int_equal(sscanf(at, "%19[^=]=%d", name, &number), 2);
        buf_printf(&text, "%s{\"metadata\":{\"name\":\"%s\"},\"data\":{\"v\":\"%d\"}}", text.size > 1 ? "," : "", name,
                   number);
    }
    buf_puts(&text, "]");
    assert_int_equal(json_read(&a, buf_str(&text), &items, NULL), 0);
    copy_page(&f->copy, items);
}

static void list(struct fixture *f, const char *objects, const char *version)
{
    copy_begin(&f->copy);
    page(f, objects);
    copy_listed(&f->copy, str_of(version));
}

static void assert_held(const struct fixture *f, const char *want)
{
    char have[200] = "";
    const struct watched *held = (const void *)f->watcher.held.data;
    for (size_t i = 0; i < f->watcher.held.size / sizeof *held; i++) {
        size_t n = strlen(have);
        snprintf(have + n, sizeof have - n, "%s%s=%lld", n > 0 ? " " : "", held[i].name, (long long)held[i].number);
    }
    assert_string_equal(have, want);
}

static void pages_are_a_list(void **state)
{
    struct fixture *f = *state;
    copy_begin(&f->copy);
    page(f, "a=1 b=2");
    assert_false(f->watcher.synced);
    page(f, "c=3");
    copy_listed(&f->copy, STR("7"));
    assert_true(f->watcher.synced);
    assert_held(f, "a=1 b=2 c=3");
    assert_int_equal(copy_version(&f->copy), 7);
    assert_int_equal(f->watcher.hist.count, 1);
    assert_string_equal(f->watcher.wrong, "");
}

static void a_stream_begins_with_what_is_there(void **state)
{
    struct fixture *f = *state;
    f->copy.listing = true;
    copy_begin(&f->copy);
    tell(f, "ADDED b 2 at 3");
    tell(f, "ADDED a 1 at 5"); /* in whatever order */
    assert_held(f, "");
    tell(f, "FIRST at 6");
    tell(f, "MODIFIED a 4 at 7");
    assert_held(f, "b=2 a=4");
    assert_int_equal(copy_version(&f->copy), 7);
    assert_string_equal(f->watcher.wrong, "");
}

static void events_and_marks_go_on_from_a_list(void **state)
{
    struct fixture *f = *state;
    list(f, "a=1 b=2", "7");
    tell(f, "MODIFIED a 3 at 8");
    tell(f, "ADDED c 4 at 9");
    tell(f, "BOOKMARK at 12");
    tell(f, "BOOKMARK at 12");
    tell(f, "DELETED b 2 at 13");
    tell(f, "ADDED b 5 at 14");
    assert_held(f, "a=3 c=4 b=5");
    assert_int_equal(f->watcher.hist.count, 5); /* the list, and each event */
    assert_string_equal(f->watcher.wrong, "");
    assert_false(f->watcher.complete);
    tell(f, "ADDED z 6 at 15");
    assert_true(f->watcher.complete);
}

static void a_410_ends_an_answer_and_is_no_fault(void **state)
{
    struct fixture *f = *state;
    list(f, "a=1", "7");
    tell(f, "ERROR 410");
    assert_true(f->copy.failed && f->copy.expired);
    f->copy.failed = f->copy.expired = false;
    tell(f, "ERROR 500");
    assert_true(f->copy.failed && !f->copy.expired);
    assert_string_equal(f->watcher.wrong, "");
}

/* Behind a list of a=1, b=2 at 7. */
static void what_nobody_may_tell_is_noted(void **state)
{
    (void)state;
    static const struct {
        const char *lines[4], *want;
    } rows[] = {
        {{"MODIFIED a 3 at 7"}, "an event behind what was told"},
        {{"MODIFIED a 3 at 9", "MODIFIED b 4 at 9"}, "an event behind what was told"},
        {{"MODIFIED a 3 at 9", "MODIFIED b 4 at 8"}, "an event behind what was told"},
        {{"BOOKMARK at 10", "MODIFIED a 3 at 10"}, "an event behind what was told"}, /* the mark was too high */
        {{"BOOKMARK at 6"}, "a mark behind what was told"},
        {{"MODIFIED a 3 at 9", "BOOKMARK at 8"}, "a mark behind what was told"},
        {{"FIRST at 9"}, "a mark that does not fit"},
        {{"ADDED a 3 at 8"}, "an event of what is not held so"},    /* it was not told that a is gone */
        {{"MODIFIED c 3 at 8"}, "an event of what is not held so"}, /* nor that c is there */
        {{"DELETED c 3 at 8"}, "an event of what is not held so"},
        {{"DELETED a 3 at 8"}, "an event of what is not held so"}, /* it was not told that a is 3 */
        {{"MODIFIED a 3 at 0"}, "an event behind what was told"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        void *one;
        setup(&one);
        struct fixture *f = one;
        list(f, "a=1 b=2", "7");
        for (size_t k = 0; k < ARRAY_SIZE(rows[i].lines) && rows[i].lines[k] != NULL; k++) {
            assert_string_equal(f->watcher.wrong, "");
            tell(f, rows[i].lines[k]);
        }
        if (strncmp(f->watcher.wrong, rows[i].want, strlen(rows[i].want)) != 0) {
            fail_msg("row %zu: \"%s\"", i, f->watcher.wrong);
        }
        assert_true(f->copy.failed);
        teardown(&one);
    }
}

static void assert_wrong(struct fixture *f, const char *want)
{
    if (strncmp(f->watcher.wrong, want, strlen(want)) != 0) {
        fail_msg("\"%s\"", f->watcher.wrong);
    }
}

static void a_list_does_not_go_back_behind_a_mark(void **state)
{
    struct fixture *f = *state;
    list(f, "a=1", "7");
    tell(f, "BOOKMARK at 12");
    list(f, "a=1", "11");
    assert_wrong(f, "a list behind what was told");
}

static void who_was_killed_knows_no_version(void **state)
{
    struct fixture *f = *state;
    list(f, "a=1", "7");
    copy_forget(&f->copy);
    assert_int_equal(copy_version(&f->copy), 0);
    list(f, "a=1", "6"); /* the judge of histories has an eye on that */
    assert_string_equal(f->watcher.wrong, "");
}

static void nothing_is_listed_twice(void **state)
{
    struct fixture *f = *state;
    copy_begin(&f->copy);
    page(f, "a=1 b=2");
    page(f, "b=2");
    assert_wrong(f, "listed twice: b");
}

static void a_stream_that_begins_lists_first(void **state)
{
    struct fixture *f = *state;
    f->copy.listing = true;
    copy_begin(&f->copy);
    tell(f, "ADDED a 1 at 3");
    tell(f, "MODIFIED a 2 at 4");
    assert_wrong(f, "a change before the first mark");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_are_a_list, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_begins_with_what_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(events_and_marks_go_on_from_a_list, setup, teardown),
        cmocka_unit_test_setup_teardown(a_410_ends_an_answer_and_is_no_fault, setup, teardown),
        cmocka_unit_test(what_nobody_may_tell_is_noted),
        cmocka_unit_test_setup_teardown(a_list_does_not_go_back_behind_a_mark, setup, teardown),
        cmocka_unit_test_setup_teardown(who_was_killed_knows_no_version, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_listed_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_that_begins_lists_first, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
