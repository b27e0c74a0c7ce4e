#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/runtime/journal.h"
#include "base/buf.h"
#include "proto/pki/pki.h"

struct fixture {
    char dir[64], path[128], old[160];
};

static int64_t wall(void *data)
{
    (void)data;
    return 1767323045678;
}
static const struct env env = {NULL, NULL, wall, NULL, NULL};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/journal-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/journal.jsonl", f->dir);
    snprintf(f->old, sizeof f->old, "%s.1", f->path);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    unlink(f->old);
    rmdir(f->dir);
    free(f);
    return 0;
}

static const struct journal_entry start = {.event = "start",
                                           .ns = "default",
                                           .pod = "web",
                                           .uid = "u1",
                                           .container = "nginx",
                                           .attempt = 2,
                                           .why = "restart",
                                           .exit_code = -1};

static char *content(const char *path)
{
    char *text = NULL;
    size_t size;
    struct error err;
    assert_int_equal(pki_read_file(path, 1 << 20, &text, &size, &err), 0);
    return text;
}

static void a_line_says_what_happened_to_whom_and_why(void **state)
{
    struct fixture *f = *state;
    struct journal *j;
    assert_int_equal(journal_open(f->path, 0, &env, NULL, &j, NULL), 0);
    journal_write(j, &start);
    journal_write(j, &(struct journal_entry){.event = "exit",
                                             .ns = "a",
                                             .pod = "b",
                                             .uid = "c",
                                             .container = "d",
                                             .why = "say \"x\"\n",
                                             .exit_code = 137});
    journal_write(j, &(struct journal_entry){
                         .event = "gone", .ns = "a", .pod = "b", .uid = "c", .why = "pod deleted", .exit_code = -1});
    journal_close(j);
    char *text = content(f->path);
    assert_string_equal(
        text,
        "{\"t\":\"2026-01-02T03:04:05.678Z\",\"event\":\"start\",\"ns\":\"default\",\"pod\":\"web\",\"uid\":\"u1\","
        "\"container\":\"nginx\",\"attempt\":2,\"why\":\"restart\"}\n"
        "{\"t\":\"2026-01-02T03:04:05.678Z\",\"event\":\"exit\",\"ns\":\"a\",\"pod\":\"b\",\"uid\":\"c\","
        "\"container\":\"d\",\"attempt\":0,\"why\":\"say \\\"x\\\"\\u000a\",\"exit\":137}\n"
        "{\"t\":\"2026-01-02T03:04:05.678Z\",\"event\":\"gone\",\"ns\":\"a\",\"pod\":\"b\",\"uid\":\"c\","
        "\"why\":\"pod deleted\"}\n");
    free(text);
}

static void lines_are_appended_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct journal *j;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(journal_open(f->path, 0, &env, NULL, &j, NULL), 0);
        journal_write(j, &start);
        journal_close(j);
    }
    char *text = content(f->path);
    assert_int_equal(strlen(text) % 2, 0);
    assert_memory_equal(text, text + strlen(text) / 2, strlen(text) / 2);
    free(text);
}

static void a_full_journal_becomes_the_old_one(void **state)
{
    struct fixture *f = *state;
    struct journal *j;
    assert_int_equal(journal_open(f->path, 400, &env, NULL, &j, NULL), 0);
    for (int i = 0; i < 7; i++) {
        journal_write(j, &start);
    }
    journal_close(j);
    char *text = content(f->path), *old = content(f->old);
    assert_true(strlen(text) <= 400 && strlen(old) <= 400);
    free(text);
    free(old);
}

static void a_journal_that_cannot_be_opened_says_where(void **state)
{
    (void)state;
    struct journal *j = NULL;
    struct error err;
    assert_int_equal(journal_open("/nowhere/journal.jsonl", 0, &env, NULL, &j, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere/journal.jsonl"));
    assert_null(j);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_line_says_what_happened_to_whom_and_why),
        WITH(lines_are_appended_after_a_restart),
        WITH(a_full_journal_becomes_the_old_one),
        WITH(a_journal_that_cannot_be_opened_says_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
