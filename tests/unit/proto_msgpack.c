/* msgpack: shortest encodings, round trips, and hostile bytes. The bytes to read are copied to the exact size on the
 * heap, so that a sanitizer sees every step outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <msgpack.h>
#include <stdlib.h>

#include "base/env.h"
#include "proto/model/msgpack.h"

#define BYTES(literal) (literal), sizeof(literal) - 1

static void assert_bytes(struct buf *b, const char *want, size_t n)
{
    assert_int_equal(b->size, n);
    assert_memory_equal(b->data, want, n);
    buf_reset(b);
}

static void integers_take_the_shortest_form(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    static const struct {
        int64_t v;
        const char *bytes;
        size_t n;
    } cases[] = {
        {0, BYTES("\0")},
        {127, BYTES("\x7f")},
        {128, BYTES("\xcc\x80")},
        {256, BYTES("\xcd\x01\0")},
        {65536, BYTES("\xce\0\x01\0\0")},
        {1ll << 32, BYTES("\xcf\0\0\0\x01\0\0\0\0")},
        {-1, BYTES("\xff")},
        {-32, BYTES("\xe0")},
        {-33, BYTES("\xd0\xdf")},
        {-129, BYTES("\xd1\xff\x7f")},
        {-32769, BYTES("\xd2\xff\xff\x7f\xff")},
        {INT64_MIN, BYTES("\xd3\x80\0\0\0\0\0\0\0")},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mp_write_int(&b, cases[i].v);
        assert_int_equal(mp_int(mp_of(b.data, b.size), -7), cases[i].v);
        assert_bytes(&b, cases[i].bytes, cases[i].n);
    }
}

static void heads_take_the_shortest_form(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_cstr(&b, "hi");
    assert_bytes(&b, BYTES("\xa2hi"));
    mp_write_str(&b, STR_NONE);
    assert_bytes(&b, BYTES("\xa0"));
    mp_write_bin(&b, "\0", 1);
    assert_bytes(&b, BYTES("\xc4\x01\0"));
    mp_write_array(&b, 15);
    assert_bytes(&b, BYTES("\x9f"));
    mp_write_array(&b, 16);
    assert_bytes(&b, BYTES("\xdc\0\x10"));
    mp_write_map(&b, 16);
    assert_bytes(&b, BYTES("\xde\0\x10"));
    mp_write_nil(&b);
    mp_write_bool(&b, true);
    mp_write_bool(&b, false);
    assert_bytes(&b, BYTES("\xc0\xc3\xc2"));
    mp_write_float(&b, 1.5);
    assert_bytes(&b, BYTES("\xcb\x3f\xf8\0\0\0\0\0\0"));
    mp_write_uint(&b, UINT64_MAX);
    assert_bytes(&b, BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"));
}

static struct value *random_value(struct arena *a, struct rng *r, unsigned depth)
{
    switch (rng_below(r, depth > 6 ? 6 : 8)) {
    case 0:
        return value_null(a);
    case 1:
        return value_bool(a, rng_below(r, 2));
    case 2:
        return value_int(a, (int64_t)(rng_next(r) >> rng_below(r, 64)) * (rng_below(r, 2) ? 1 : -1));
    case 3:
        return value_float(a, (double)rng_next(r) / 3.0);
    case 4:
        return value_str(a, (struct str){(char *)arena_alloc(a, 70000), rng_below(r, 20) ? rng_below(r, 40) : 66000});
    case 5:
        return value_bin(a, arena_alloc(a, 300), rng_below(r, 300));
    case 6: {
        struct value *l = value_list(a);
        for (uint64_t n = rng_below(r, 20); n > 0; n--) {
            value_append(a, l, random_value(a, r, depth + 1));
        }
        return l;
    }
    default: {
        struct value *m = value_map(a);
        for (uint64_t n = rng_below(r, 20); n > 0; n--) {
            value_set(a, m, arena_printf(a, "k%u", (unsigned)rng_below(r, 1000)), random_value(a, r, depth + 1));
        }
        return m;
    }
    }
}

static void documents_survive_the_round_trip(void **state)
{
    (void)state;
    struct rng r = {42};
    for (int i = 0; i < 200; i++) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        CLEANUP_BUF struct buf b = BUF_INIT;
        CLEANUP_BUF struct buf again = BUF_INIT;
        struct value *v = random_value(&a, &r, 3), *back;
        struct error err = {0};
        msgpack_write_value(&b, v);
        assert_true(mp_valid(mp_of(b.data, b.size)));
        assert_true(mp_shortest(mp_of(b.data, b.size)));
        assert_true(value_equal(msgpack_read_checked(&a, mp_of(b.data, b.size)), v));
        assert_int_equal(msgpack_read_value(&a, b.data, b.size, &back, &err), 0);
        assert_true(value_equal(v, back));
        msgpack_write_value(&again, back);
        assert_int_equal(again.size, b.size);
        assert_memory_equal(again.data, b.data, b.size);
        /* Another reader agrees about where the document ends. */
        msgpack_unpacked other;
        msgpack_unpacked_init(&other);
        size_t end = 0;
        assert_int_equal(msgpack_unpack_next(&other, (const char *)b.data, b.size, &end), MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(end, b.size);
        msgpack_unpacked_destroy(&other);
    }
}

/* Every reader on these bytes; nothing may be touched outside, nothing may hang. */
static void read_in_all_ways(const uint8_t *bytes, size_t n)
{
    uint8_t *exact = xmemdup(bytes, n);
    struct mp m = mp_of(exact, n);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *v;
    bool valid = mp_valid(m);
    int rc = msgpack_read_value(&a, exact, n, &v, NULL);
    assert_true(rc == 0 ? valid : rc == ERR_PROTOCOL);
    (void)mp_type(m);
    (void)mp_count(m);
    (void)mp_str(m);
    (void)mp_int(m, 0);
    (void)mp_bool(m, false);
    (void)mp_get(m, "a");
    (void)mp_path(m, "a.b.c");
    unsigned items = 0;
    for (struct mp_iter it = mp_iter(m); mp_next(&it);) {
        assert_true(it.value.p >= exact && it.value.end <= exact + n);
        items++;
    }
    assert_true(items <= n);
    struct mp skip = m;
    if (mp_skip(&skip)) {
        assert_true(skip.p <= m.end);
    } else {
        assert_ptr_equal(skip.p, m.p);
        assert_false(valid);
    }
    free(exact);
}

static void random_bytes_are_never_read_outside(void **state)
{
    (void)state;
    struct rng r = {7};
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[48];
        size_t n = rng_below(&r, sizeof bytes);
        for (size_t k = 0; k < n; k++) {
            /* Mostly heads of containers and strings. */
            bytes[k] = (uint8_t)(rng_below(&r, 3) ? 0x80 + rng_below(&r, 96) : rng_next(&r));
        }
        read_in_all_ways(bytes, n);
    }
}

static void damaged_documents_are_never_read_outside(void **state)
{
    (void)state;
    struct rng r = {11};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    for (int i = 0; i < 50; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        msgpack_write_value(&b, random_value(&a, &r, 5));
        for (size_t cut = 0; cut < b.size; cut += 1 + b.size / 50) {
            read_in_all_ways(b.data, cut);
        }
        for (int k = 0; k < 50; k++) {
            size_t at = rng_below(&r, b.size);
            uint8_t old = b.data[at];
            b.data[at] = (uint8_t)rng_next(&r);
            read_in_all_ways(b.data, b.size);
            b.data[at] = old;
        }
    }
}

static void claimed_counts_beyond_the_bytes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
        {BYTES("\xdd\xff\xff\xff\xff")},  /* array of 4G */
        {BYTES("\xdf\xff\xff\xff\xff")},  /* map of 4G */
        {BYTES("\xdb\xff\xff\xff\xffx")}, /* text of 4 GiB */
        {BYTES("\xc6\xff\xff\xff\xffx")},
        {BYTES("\xdc\0\x03\x01\x02")},
        {BYTES("\x82\xa1k\x01\xa1")},
        {BYTES("\xdb\xff\xff")},
        {BYTES("\xcf\0")},
        {BYTES("\x91")},
        {BYTES("")},
    };
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct value *v;
        struct error err = {0};
        read_in_all_ways((const uint8_t *)cases[i].bytes, cases[i].n);
        assert_int_equal(msgpack_read_value(&a, cases[i].bytes, cases[i].n, &v, &err), ERR_PROTOCOL);
        assert_true(err.message[0] != '\0');
    }
    assert_int_equal(a.total_bytes, 0);
}

static void depth_is_limited(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    for (unsigned depth = VALUE_DEPTH_MAX - 1; depth <= VALUE_DEPTH_MAX + 1; depth++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        for (unsigned i = 0; i < depth; i++) {
            mp_write_array(&b, 1);
        }
        mp_write_nil(&b);
        struct value *v;
        assert_int_equal(msgpack_read_value(&a, b.data, b.size, &v, NULL), depth <= VALUE_DEPTH_MAX ? 0 : ERR_PROTOCOL);
        assert_int_equal(mp_valid(mp_of(b.data, b.size)), depth <= VALUE_DEPTH_MAX);
    }
    /* Skipping needs no stack, however deep. */
    size_t n = 1 << 20;
    uint8_t *deep = xmalloc(n);
    memset(deep, 0x91, n);
    struct mp m = mp_of(deep, n);
    assert_false(mp_skip(&m));
    deep[n - 1] = 0xc0;
    assert_true(mp_skip(&m));
    free(deep);
}

static void foreign_types_and_double_keys_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
        {BYTES("\xd4\x01\x00")},                         /* ext */
        {BYTES("\xc7\x01\x01\x00")},                     /* ext 8 */
        {BYTES("\xc1")},                                 /* reserved */
        {BYTES("\x81\x01\x02")},                         /* integer as key */
        {BYTES("\x81\xc0\x02")},                         /* nil as key */
        {BYTES("\x01\x02")},                             /* two documents */
        {BYTES("\x82\xa1k\x01\xa1k\x02")},               /* k twice */
        {BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff")}, /* no int64 */
    };
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct value *v;
        assert_int_equal(msgpack_read_value(&a, cases[i].bytes, cases[i].n, &v, NULL), ERR_PROTOCOL);
    }
}

static void longer_forms_are_noticed(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "\xcc\x7f",  "\xcd\0\x01",           "\xd0\xff",    "\xd1\xff\x81",
        "\xd9\x01x", "\xca\x3f\x80\x01\x01", "\xd1\x5c\xf0"}; /* 23792: as long as it can be, but signed */
    static const size_t sizes[] = {2, 3, 2, 3, 3, 5, 3};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_false(mp_shortest(mp_of(cases[i], sizes[i])));
    }
    assert_true(mp_shortest(mp_of("\xd0\x80", 2)) && mp_shortest(mp_of("\xcc\xff", 2)));
}

static void maps_of_too_many_members_are_refused(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, VALUE_MEMBERS_MAX + 1);
    for (unsigned i = 0; i <= VALUE_MEMBERS_MAX; i++) {
        mp_write_key_int(&b, arena_printf(&a, "%u", i), 1);
    }
    struct value *v;
    assert_int_equal(msgpack_read_value(&a, b.data, b.size, &v, NULL), ERR_TOO_LARGE);
}

static void lookups_walk_in_place(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 3);
    mp_write_cstr(&b, "metadata");
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "name", STR("web"));
    mp_write_cstr(&b, "labels");
    mp_write_map(&b, 1);
    mp_write_key_str(&b, "app.kubernetes.io/name", STR("x"));
    mp_write_cstr(&b, "spec");
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "replicas", 3);
    mp_write_key_bool(&b, "paused", true);
    mp_write_cstr(&b, "list");
    mp_write_array(&b, 2);
    mp_write_int(&b, 10);
    mp_write_int(&b, 20);
    struct mp m = mp_of(b.data, b.size);
    assert_true(mp_valid(m));
    assert_true(str_is(mp_str(mp_path(m, "metadata.name")), "web"));
    assert_true(str_is(mp_str(mp_get(mp_path(m, "metadata.labels"), "app.kubernetes.io/name")), "x"));
    assert_int_equal(mp_int(mp_path(m, "spec.replicas"), 0), 3);
    assert_true(mp_bool(mp_path(m, "spec.paused"), false));
    assert_int_equal(mp_type(mp_path(m, "spec.nope.deeper")), MP_NONE);
    assert_int_equal(mp_int(mp_path(m, "metadata.name"), 5), 5);
    assert_int_equal(mp_count(m), 3);
    int64_t sum = 0;
    for (struct mp_iter it = mp_iter(mp_get(m, "list")); mp_next(&it);) {
        sum += mp_int(it.value, 0);
    }
    assert_int_equal(sum, 30);
    unsigned keys = 0;
    for (struct mp_iter it = mp_iter(m); mp_next(&it); keys++) {
        assert_true(it.is_map && it.key.n > 0);
    }
    assert_int_equal(keys, 3);
}

static void failed_reads_leave_the_cursor(void **state)
{
    (void)state;
    struct mp m = mp_of("\xa2hi", 3), before = m;
    uint32_t n;
    int64_t i;
    uint64_t u;
    bool t;
    struct str s;
    assert_false(mp_read_map(&m, &n) || mp_read_array(&m, &n) || mp_read_int(&m, &i) || mp_read_uint(&m, &u) ||
                 mp_read_bool(&m, &t) || mp_read_nil(&m) || mp_read_bin(&m, &s));
    assert_ptr_equal(m.p, before.p);
    assert_true(mp_read_str(&m, &s) && str_is(s, "hi") && m.p == m.end);
    m = mp_of("\xff", 1);
    assert_false(mp_read_uint(&m, &u));
    m = mp_of("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    assert_int_equal(mp_type(m), MP_UINT);
    assert_false(mp_read_int(&m, &i));
    assert_true(mp_read_uint(&m, &u) && u == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_take_the_shortest_form),
        cmocka_unit_test(heads_take_the_shortest_form),
        cmocka_unit_test(documents_survive_the_round_trip),
        cmocka_unit_test(random_bytes_are_never_read_outside),
        cmocka_unit_test(damaged_documents_are_never_read_outside),
        cmocka_unit_test(claimed_counts_beyond_the_bytes_are_refused),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(foreign_types_and_double_keys_are_refused),
        cmocka_unit_test(longer_forms_are_noticed),
        cmocka_unit_test(maps_of_too_many_members_are_refused),
        cmocka_unit_test(lookups_walk_in_place),
        cmocka_unit_test(failed_reads_leave_the_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
