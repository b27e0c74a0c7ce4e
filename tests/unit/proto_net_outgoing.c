/* What a connection has to send comes out as it was put in, however it came and however it is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/net/outgoing.h"

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static size_t some_size(uint64_t *seed)
{
    static const uint32_t most[] = {3, 100, 5000, NET_GIVEN_MIN, 3 * NET_GIVEN_MIN, 150000};
    return next(seed) % most[next(seed) % ARRAY_SIZE(most)];
}

static void put_random(struct buf *b, uint64_t *seed, size_t n)
{
    uint8_t *p = buf_reserve(b, n);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)next(seed);
    }
    b->size += n;
}

static void what_was_put_in_comes_out_in_its_order(void **state)
{
    (void)state;
    uint64_t seed = 7;
    struct net_outgoing q;
    struct buf all = BUF_INIT; /* what must come out yet */
    net_outgoing_init(&q);
    for (unsigned i = 0; i < 3000; i++) {
        size_t n = some_size(&seed), from = all.size;
        if (next(&seed) % 3 == 0) {
            put_random(&all, &seed, n);
            net_outgoing_append(&q, all.data + from, n, next(&seed) % 2 == 0 ? 0 : 70000);
        } else if (next(&seed) % 2 == 0) {
            size_t at = next(&seed) % 20;
            struct buf b = BUF_INIT;
            put_random(&b, &seed, at + n);
            buf_append(&all, b.data + at, n);
            net_outgoing_give(&q, &b, at);
            assert_true(b.data == NULL && b.size == 0);
        }
        assert_int_equal(net_outgoing_size(&q), all.size);
        for (unsigned takes = next(&seed) % 8; takes > 0 && all.size > 0; takes--) {
            struct str s = net_outgoing_next(&q);
            assert_in_range(s.n, 1, all.size);
            n = 1 + next(&seed) % (next(&seed) % 2 == 0 ? s.n : MIN(s.n, (size_t)16384));
            assert_memory_equal(s.p, all.data, n);
            net_outgoing_took(&q, n);
            buf_consume(&all, n);
        }
        assert_int_equal(net_outgoing_size(&q), all.size);
        assert_true((net_outgoing_next(&q).n == 0) == (all.size == 0));
    }
    net_outgoing_close(&q);
    buf_close(&all);
}

static void a_large_buffer_is_taken_over_and_an_empty_queue_holds_nothing(void **state)
{
    (void)state;
    struct net_outgoing q;
    net_outgoing_init(&q);
    for (unsigned i = 0; i < 3; i++) {
        struct buf b = BUF_INIT, c = BUF_INIT;
        uint64_t seed = 1;
        put_random(&b, &seed, 4 * NET_GIVEN_MIN);
        put_random(&c, &seed, 2 * NET_GIVEN_MIN);
        const uint8_t *first = b.data, *second = c.data;
        net_outgoing_give(&q, &b, 5);
        net_outgoing_give(&q, &c, 0);
        net_outgoing_append(&q, "end", 3, 0);
        assert_ptr_equal(net_outgoing_next(&q).p, first + 5);
        assert_int_equal(net_outgoing_next(&q).n, 4 * NET_GIVEN_MIN - 5);
        net_outgoing_took(&q, 4 * NET_GIVEN_MIN - 5);
        assert_ptr_equal(net_outgoing_next(&q).p, second);
        net_outgoing_took(&q, net_outgoing_next(&q).n);
        while (net_outgoing_next(&q).n > 0) {
            net_outgoing_took(&q, net_outgoing_next(&q).n);
        }
        assert_int_equal(net_outgoing_size(&q), 0);
        assert_in_range(q.first.cap, 0, 512);
    }
    net_outgoing_close(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_in_comes_out_in_its_order),
        cmocka_unit_test(a_large_buffer_is_taken_over_and_an_empty_queue_holds_nothing),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
