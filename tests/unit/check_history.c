/* Histories: recorded, written, read back, joined, and refused when they are malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/buf.h"
#include "tests/check/history.h"

static void record_one_of_each(struct hist *h)
{
    int64_t list[] = {1, 2};
    h->initial = (struct hist_value){true, 0};
    h->total = (struct hist_value){true, 200};
    size_t op = hist_read(h, 1, "x", 10);
    hist_result(h, op, 0, 5);
    hist_complete(h, op, HIST_OK, 20);
    op = hist_read(h, 1, "y", 20);
    hist_result_none(h, op, 0);
    hist_complete(h, op, HIST_OK, 20);
    op = hist_write(h, 1, "x", INT64_MIN, 21);
    hist_set_revision(h, op, 7);
    hist_complete(h, op, HIST_OK, 25);
    op = hist_cas(h, 2, "x", 5, 6, 22);
    hist_set_refused(h, op);
    hist_set_error(h, op, "x \"is\" 7");
    hist_complete(h, op, HIST_FAIL, 30);
    op = hist_create(h, 2, "z", 1, 31);
    hist_complete(h, op, HIST_INFO, 40);
    op = hist_invoke(h, 2, HIST_TXN, 41);
    hist_step_append(h, op, "l", 3);
    hist_step_read(h, op, "l");
    hist_step_read(h, op, "m");
    hist_result_list(h, op, 1, list, 2);
    hist_result_list(h, op, 2, list, 0);
    hist_complete(h, op, HIST_OK, 43);
    hist_complete(h, hist_add(h, 3, "s", 4, 43), HIST_OK, 44);
    op = hist_members(h, 3, "s", 45);
    hist_result_list(h, op, 0, list, 2);
    hist_complete(h, op, HIST_OK, 46);
    hist_complete(h, hist_enqueue(h, 3, "q", 9, 47), HIST_OK, 48);
    op = hist_drain(h, 3, "q", 49);
    hist_result_list(h, op, 0, list, 1);
    hist_complete(h, op, HIST_OK, 50);
    hist_complete(h, hist_transfer(h, 3, "a", "b", 5, 51), HIST_OK, 52);
    op = hist_invoke(h, 3, HIST_BALANCES, 53);
    hist_result_account(h, op, "a", 95);
    hist_result_account(h, op, "b", 105);
    hist_complete(h, op, HIST_OK, 54);
    hist_complete(h, hist_remove(h, 3, "x", 54), HIST_OK, 55);
    hist_told(h, 4, HIST_RESUME, 3, 55);
    op = hist_told(h, 4, HIST_LIST, 4, 56);
    hist_step_put(h, op, "x", (struct hist_value){true, 1});
    hist_step_put(h, op, "y", (struct hist_value){0});
    op = hist_told(h, 4, HIST_EVENT, 5, 57);
    hist_step_put(h, op, "x", (struct hist_value){true, 2});
    hist_step_delete(h, op, "y");
    op = hist_told(h, 5, HIST_LOG, 5, 57);
    hist_step_delete(h, op, "y");
    hist_write(h, 1, "never answered", 1, 58);
}

static void print(const struct hist *h, struct buf *out)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(hist_write_stream(h, f, NULL), 0);
    rewind(f);
    for (int c; (c = fgetc(f)) != EOF;) {
        buf_putc(out, (char)c);
    }
    fclose(f);
}

static int parse(struct hist *h, const char *text, struct error *err)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    fputs(text, f);
    rewind(f);
    int rc = hist_read_stream(h, f, "test", err);
    fclose(f);
    return rc;
}

static void what_was_written_is_read_back_the_same(void **state)
{
    (void)state;
    struct hist h, again;
    CLEANUP_BUF struct buf first = BUF_INIT, second = BUF_INIT;
    struct error err = {0};
    hist_init(&h);
    hist_init(&again);
    record_one_of_each(&h);
    print(&h, &first);
    assert_int_equal(parse(&again, buf_cstr(&first), &err), 0);
    assert_string_equal(err.message, "");
    assert_int_equal(again.count, h.count);
    print(&again, &second);
    assert_string_equal(buf_cstr(&first), buf_cstr(&second));
    for (size_t i = 0; i < h.count; i++) {
        CLEANUP_BUF struct buf a = BUF_INIT, b = BUF_INIT;
        hist_describe(&h.ops[i], &a);
        hist_describe(&again.ops[i], &b);
        assert_string_equal(buf_cstr(&a), buf_cstr(&b));
    }
    hist_close(&h);
    hist_close(&again);
}

static void the_lines_are_as_the_header_says(void **state)
{
    (void)state;
    struct hist h;
    CLEANUP_BUF struct buf text = BUF_INIT;
    hist_init(&h);
    record_one_of_each(&h);
    print(&h, &text);
    static const char *const lines[] = {
        "{\"type\":\"note\",\"f\":\"registers\",\"value\":{\"initial\":0}}\n",
        "{\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"value\":[\"x\",null],\"time\":10000}\n",
        "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"value\":[\"x\",5],\"time\":20000}\n",
        "{\"process\":2,\"type\":\"fail\",\"f\":\"cas\",\"value\":[\"x\",[5,6]],\"time\":30000,"
        "\"refused\":true,\"error\":\"x \\\"is\\\" 7\"}\n",
        "{\"process\":2,\"type\":\"ok\",\"f\":\"txn\",\"value\":[[\"append\",\"l\",3],[\"r\",\"l\",[1,2]],"
        "[\"r\",\"m\",[]]],\"time\":43000}\n",
        "{\"process\":4,\"type\":\"ok\",\"f\":\"event\",\"value\":{\"revision\":5,\"changes\":[[\"put\",\"x\",2],"
        "[\"delete\",\"y\"]]},\"time\":57000}\n",
        "{\"process\":3,\"type\":\"ok\",\"f\":\"balances\",\"value\":{\"a\":95,\"b\":105},\"time\":54000}\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        if (strstr(buf_cstr(&text), lines[i]) == NULL) {
            fail_msg("not written: %s", lines[i]);
        }
    }
    hist_close(&h);
}

static void joined_histories_are_ordered_by_start_and_share_keys(void **state)
{
    (void)state;
    struct hist a, b;
    hist_init(&a);
    hist_init(&b);
    hist_complete(&a, hist_write(&a, 1, "x", 1, 10), HIST_OK, 20);
    hist_complete(&a, hist_write(&a, 1, "x", 2, 30), HIST_OK, 40);
    hist_complete(&b, hist_write(&b, 2, "x", 3, 5), HIST_OK, 50);
    hist_complete(&b, hist_write(&b, 2, "x", 4, 50), HIST_OK, 60);
    hist_join(&a, &b);
    assert_int_equal(b.count, 0);
    assert_int_equal(a.count, 4);
    static const int64_t values[] = {3, 1, 2, 4};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(a.ops[i].number, i);
        assert_int_equal(a.ops[i].steps[0].value.number, values[i]);
        assert_ptr_equal(a.ops[i].steps[0].key, a.ops[0].steps[0].key);
    }
    hist_close(&a);
    hist_close(&b);
}

static void what_is_unfinished_at_the_end_has_unknown_outcome(void **state)
{
    (void)state;
    struct hist h;
    hist_init(&h);
    assert_int_equal(
        parse(&h,
              "{\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"value\":[\"x\",1],\"time\":5000}\n"
              "{\"process\":\"nemesis\",\"type\":\"info\",\"f\":\"kill\",\"value\":\"m1\",\"time\":6000}\n",
              NULL),
        0);
    assert_int_equal(h.count, 1);
    assert_int_equal(h.ops[0].outcome, HIST_INFO);
    assert_true(h.ops[0].end_us == HIST_NEVER);
    hist_close(&h);
}

static void malformed_lines_are_refused_by_line_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"{\"process\":1,", "test:1"},
        {"{\"process\":1,\"type\":\"start\",\"f\":\"read\",\"time\":1}", "type must be"},
        {"{\"process\":1,\"type\":\"invoke\",\"f\":\"sing\",\"time\":1}", "unknown function \"sing\""},
        {"{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"value\":[\"x\",1],\"time\":1}", "has not invoked read"},
        {"{\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"value\":[\"x\",null],\"time\":1}\n"
         "{\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"value\":[\"x\",null],\"time\":1}",
         "test:2: process 1 is busy"},
        {"{\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"value\":[\"x\",null],\"time\":9000}\n"
         "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"value\":[\"x\",1],\"time\":1000}",
         "completed before"},
        {"{\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"value\":[\"x\",null],\"time\":1}\n"
         "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"value\":[\"x\",[1]],\"time\":1}",
         "must be an integer"},
        {"{\"process\":1,\"type\":\"invoke\",\"f\":\"cas\",\"value\":[\"x\",5],\"time\":1}", "must be like"},
        {"{\"process\":1,\"type\":\"invoke\",\"f\":\"txn\",\"value\":[[\"w\",\"x\",5]],\"time\":1}", "a step of a txn"},
        {"{\"process\":1,\"type\":\"ok\",\"f\":\"event\",\"value\":{\"revision\":1},\"time\":1}", "must be like"},
        {"{\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"value\":[\"x\",1]}", "must be integers"},
        {"[1]", "type must be"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct hist h;
        struct error err = {0};
        hist_init(&h);
        assert_int_equal(parse(&h, cases[i].text, &err), ERR_INVALID);
        if (strstr(err.message, cases[i].reason) == NULL) {
            fail_msg("\"%s\" should say \"%s\"", err.message, cases[i].reason);
        }
        hist_close(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back_the_same),
        cmocka_unit_test(the_lines_are_as_the_header_says),
        cmocka_unit_test(joined_histories_are_ordered_by_start_and_share_keys),
        cmocka_unit_test(what_is_unfinished_at_the_end_has_unknown_outcome),
        cmocka_unit_test(malformed_lines_are_refused_by_line_and_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
