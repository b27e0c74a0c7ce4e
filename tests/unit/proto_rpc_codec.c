/* Messages as bytes: where one ends, whatever the pieces it comes in, and errors as others write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/mem.h"
#include "proto/rpc/codec.h"
#include "proto/rpc/rpc.h"

static enum rpc_scan_result scan_pieces(const uint8_t *p, size_t n, size_t step, size_t limit, size_t *at)
{
    struct rpc_scan s;
    rpc_scan_init(&s);
    enum rpc_scan_result r = RPC_SCAN_MORE;
    for (size_t have = 0; r == RPC_SCAN_MORE && have < n;) {
        have = MIN(n, have + step);
        r = rpc_scan(&s, p, have, limit);
    }
    *at = s.at;
    return r;
}

/* A random document, mostly well-formed. */
static void random_item(struct rng *r, struct buf *b, unsigned depth)
{
    char text[300] = {0};
    unsigned n = (unsigned)rng_below(r, 5);
    switch (rng_below(r, depth > 5 ? 6 : 9)) {
    case 0:
        mp_write_nil(b);
        break;
    case 1:
        mp_write_int(b, (int64_t)rng_next(r) >> rng_below(r, 64));
        break;
    case 2:
        mp_write_float(b, 1.5);
        break;
    case 3:
        mp_write_str(b, (struct str){text, rng_below(r, sizeof text)});
        break;
    case 4:
        mp_write_bin(b, text, rng_below(r, sizeof text));
        break;
    case 5:
        mp_write_bool(b, true);
        break;
    case 6:
        mp_write_map(b, n);
        for (unsigned i = 0; i < n; i++) {
            mp_write_cstr(b, "key");
            random_item(r, b, depth + 1);
        }
        break;
    default:
        n = rng_below(r, 10) == 0 ? n + 16 : n;
        mp_write_array(b, n);
        for (unsigned i = 0; i < n; i++) {
            random_item(r, b, depth + 1);
        }
    }
}

static void scanner_finds_the_end_whatever_the_pieces(void **state)
{
    (void)state;
    struct rng r = {1};
    for (int i = 0; i < 2000; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        mp_write_array(&b, 3);
        for (int k = 0; k < 3; k++) {
            random_item(&r, &b, 0);
        }
        size_t size = b.size, at;
        assert_true(mp_valid(mp_of(b.data, size)));
        buf_append(&b, "\x93\xff\xff", 3); /* the next message */
        for (size_t step = 1; step < 40; step += 13) {
            assert_int_equal(scan_pieces(b.data, b.size, step, 1 << 20, &at), RPC_SCAN_DONE);
            assert_int_equal(at, size);
            assert_int_equal(scan_pieces(b.data, size - 1, step, 1 << 20, &at), RPC_SCAN_MORE);
            assert_int_equal(scan_pieces(b.data, size, step, size - 1, &at), RPC_SCAN_TOO_LARGE);
            assert_int_equal(scan_pieces(b.data, size, step, size, &at), RPC_SCAN_DONE);
        }
    }
}

static void scanner_and_validator_agree_on_damaged_bytes(void **state)
{
    (void)state;
    struct rng r = {2};
    unsigned done = 0;
    for (int i = 0; i < 20000; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        mp_write_array(&b, 2);
        random_item(&r, &b, 0);
        random_item(&r, &b, 0);
        b.data[rng_below(&r, b.size)] = (uint8_t)rng_next(&r);
        size_t at, at2;
        enum rpc_scan_result whole = scan_pieces(b.data, b.size, b.size, 1 << 20, &at);
        assert_int_equal(scan_pieces(b.data, b.size, 1, 1 << 20, &at2), whole);
        if (whole == RPC_SCAN_DONE) {
            done++;
            assert_true(mp_valid(mp_of(b.data, at)));
            assert_true(mp_type(mp_of(b.data, at)) == MP_ARRAY);
        } else if (mp_type(mp_of(b.data, b.size)) == MP_ARRAY) {
            assert_false(mp_valid(mp_of(b.data, b.size)));
        }
        struct rpc_message m;
        rpc_message_parse(mp_of(b.data, b.size), &m); /* reads nothing outside */
    }
    assert_true(done > 1000);
}

/* Elements are counted at all depths, keys too, and refused at the head that announces them. */
static void scanner_counts_elements(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_array(&b, 2);
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "k");
    mp_write_array(&b, 1000);
    size_t told_at = b.size;
    for (int i = 0; i < 1000; i++) {
        mp_write_nil(&b);
    }
    mp_write_nil(&b);
    for (uint64_t max = 1003; max < 1006; max++) {
        struct rpc_scan s;
        rpc_scan_init(&s);
        s.elements_max = max;
        assert_int_equal(rpc_scan(&s, b.data, told_at, 1 << 20), max < 1004 ? RPC_SCAN_TOO_MANY : RPC_SCAN_MORE);
        if (max >= 1004) {
            assert_int_equal(rpc_scan(&s, b.data, b.size, 1 << 20), RPC_SCAN_DONE);
            assert_int_equal(s.elements, 1004);
            rpc_scan_again(&s);
            assert_int_equal(s.elements, 0);
            assert_int_equal(s.elements_max, max);
        }
    }
}

static void scanner_accepts_documents_of_the_greatest_depth(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    size_t at;
    for (int i = 0; i < RPC_DEPTH_MAX; i++) {
        mp_write_array(&b, 1);
    }
    mp_write_nil(&b);
    assert_int_equal(scan_pieces(b.data, b.size, 7, 1000, &at), RPC_SCAN_DONE);
    buf_reset(&b);
    for (int i = 0; i <= RPC_DEPTH_MAX; i++) {
        mp_write_array(&b, 1);
    }
    mp_write_nil(&b);
    assert_int_equal(scan_pieces(b.data, b.size, 7, 1000, &at), RPC_SCAN_BAD);
}

static void what_masters_hand_on_may_be_deeper(void **state)
{
    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct rpc_scan s;
        for (unsigned i = 0; i < RPC_DEPTH_HANDED_MAX + more; i++) {
            mp_write_array(&b, 1);
        }
        mp_write_nil(&b);
        rpc_scan_init(&s);
        s.depth_max = RPC_DEPTH_HANDED_MAX;
        assert_int_equal(rpc_scan(&s, b.data, b.size, 1000), more == 0 ? RPC_SCAN_DONE : RPC_SCAN_BAD);
    }
}

static void errors_of_other_implementations_are_read(void **state)
{
    (void)state;
    struct error err;
    rpc_read_error(mp_of("\xa4oops", 5), &err);
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_string_equal(err.message, "oops");
    rpc_read_error(mp_of("\x05", 1), &err);
    assert_int_equal(err.code, ERR_INTERNAL);
    rpc_read_error(mp_of("\x81\xa4"
                         "code\x05",
                         7),
                   &err); /* a positive code is none of ours */
    assert_int_equal(err.code, ERR_INTERNAL);
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error in = {.code = ERR_LIMIT, .retry_after_ms = 10};
    memset(in.message, 'x', sizeof in.message - 1);
    rpc_write_error(&b, &in);
    rpc_read_error(mp_of(b.data, b.size), &err);
    assert_memory_equal(&in, &err, sizeof err);
}

static void errors_carry_their_causes_and_what_they_are_about(void **state)
{
    (void)state;
    struct error in = {0}, out;
    CLEANUP_BUF struct buf b = BUF_INIT;
    error_set_field(&in, ERR_INVALID, "spec.a", "it is wrong:\n* spec.a: Required value\n* spec.b: Too many: 7");
    error_set_about(&in, STR("apps"), STR("Deployment"), STR("web"));
    error_add_cause(&in, ERROR_CAUSE_REQUIRED, STR("spec.a"), STR("Required value"));
    error_add_cause(&in, ERROR_CAUSE_TOO_MANY, STR("spec.b"), STR("Too many: 7"));
    in.causes_all = 40;
    rpc_write_error(&b, &in);
    rpc_read_error(mp_of(b.data, b.size), &out);
    assert_memory_equal(&in, &out, sizeof out);
}

/* What a later release, or a hostile peer, may send. */
static void causes_that_are_not_understood_do_no_harm(void **state)
{
    (void)state;
    struct error err;
    struct error_cause_text c;
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 5);
    mp_write_key_int(&b, "code", ERR_INVALID);
    mp_write_key_str(&b, "message", STR("a: wrong"));
    mp_write_key_str(&b, "about", STR("no map"));
    mp_write_key_int(&b, "causesAll", -1);
    mp_write_cstr(&b, "causes");
    mp_write_array(&b, 3);
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "reason", STR("LaterReason"));
    mp_write_key_str(&b, "field", STR("a"));
    mp_write_key_str(&b, "message", STR("wrong"));
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "field", 7);
    mp_write_key_str(&b, "message", STR("said nowhere"));
    mp_write_int(&b, 7);
    rpc_read_error(mp_of(b.data, b.size), &err);
    assert_int_equal(err.causes_kept, 1);
    assert_int_equal(err.causes_all, 3);
    assert_true(error_cause(&err, 0, &c));
    assert_int_equal(c.reason, ERROR_CAUSE_INVALID);
    assert_true(str_is(c.field, "a") && str_is(c.text, "wrong"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scanner_finds_the_end_whatever_the_pieces),
        cmocka_unit_test(scanner_and_validator_agree_on_damaged_bytes),
        cmocka_unit_test(scanner_counts_elements),
        cmocka_unit_test(scanner_accepts_documents_of_the_greatest_depth),
        cmocka_unit_test(what_masters_hand_on_may_be_deeper),
        cmocka_unit_test(errors_of_other_implementations_are_read),
        cmocka_unit_test(errors_carry_their_causes_and_what_they_are_about),
        cmocka_unit_test(causes_that_are_not_understood_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
