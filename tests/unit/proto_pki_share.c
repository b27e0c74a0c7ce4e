/* A key in parts: proto/pki/share.h. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/pki/pki.h"
#include "proto/pki/share.h"

#define PARTS 7u

static void make_key(uint8_t key[PKI_SHARE_SIZE])
{
    for (unsigned i = 0; i < PKI_SHARE_SIZE; i++) {
        key[i] = (uint8_t)(i * 37 + 1);
    }
}

static unsigned choose(const struct pki_share *all, unsigned count, unsigned mask, struct pki_share *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        if (mask & 1u << i) {
            out[n++] = all[i];
        }
    }
    return n;
}

static void every_subset_of_the_threshold_gives_the_key_and_every_other_part(void **state)
{
    (void)state;
    uint8_t key[PKI_SHARE_SIZE], got[PKI_SHARE_SIZE];
    struct pki_share all[PARTS], some[PARTS];
    make_key(key);
    for (unsigned count = 1; count <= PARTS; count++) {
        for (unsigned threshold = 1; threshold <= count; threshold++) {
            assert_int_equal(pki_share_split(key, threshold, count, all), 0);
            for (unsigned mask = 1; mask < 1u << count; mask++) {
                unsigned n = choose(all, count, mask, some);
                if (n < threshold) {
                    continue;
                }
                assert_true(pki_share_at(some, n, 0, got));
                assert_memory_equal(got, key, sizeof key);
                for (unsigned i = 0; i < count; i++) {
                    assert_true(pki_share_at(some, n, all[i].x, got));
                    assert_memory_equal(got, all[i].y, sizeof got);
                }
            }
        }
    }
}

static void a_threshold_of_one_is_the_key_in_each_part(void **state)
{
    (void)state;
    uint8_t key[PKI_SHARE_SIZE];
    struct pki_share all[3];
    make_key(key);
    assert_int_equal(pki_share_split(key, 1, 3, all), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_memory_equal(all[i].y, key, sizeof key);
    }
}

/* With one part fewer than are needed, for every key that could be there is a part that fits: whatever the missing
 * one is, the rest has said nothing. */
static void fewer_than_the_threshold_fit_every_key(void **state)
{
    (void)state;
    uint8_t key[PKI_SHARE_SIZE], got[PKI_SHARE_SIZE];
    struct pki_share all[5], some[5];
    make_key(key);
    assert_int_equal(pki_share_split(key, 3, 5, all), 0);
    for (unsigned mask = 1; mask < 1u << 5; mask++) {
        if (choose(all, 5, mask, some) != 2) {
            continue;
        }
        assert_true(pki_share_at(some, 2, 0, got));
        assert_memory_not_equal(got, key, sizeof key);
        bool seen[256] = {false};
        struct pki_share guess = {.x = 9};
        for (unsigned y = 0; y < 256; y++) {
            guess.y[0] = (uint8_t)y;
            some[2] = guess;
            assert_true(pki_share_at(some, 3, 0, got));
            seen[got[0]] = true;
        }
        for (unsigned v = 0; v < 256; v++) {
            assert_true(seen[v]);
        }
    }
}

static void parts_of_the_same_key_are_others_each_time(void **state)
{
    (void)state;
    uint8_t key[PKI_SHARE_SIZE], got[PKI_SHARE_SIZE];
    struct pki_share one[3], two[3], mixed[2];
    make_key(key);
    assert_int_equal(pki_share_split(key, 2, 3, one), 0);
    assert_int_equal(pki_share_split(key, 2, 3, two), 0);
    assert_memory_not_equal(one[0].y, two[0].y, PKI_SHARE_SIZE);
    mixed[0] = one[0];
    mixed[1] = two[1];
    assert_true(pki_share_at(mixed, 2, 0, got));
    assert_memory_not_equal(got, key, sizeof key);
}

static void a_bad_part_is_noticed_by_the_tag_of_what_is_sealed(void **state)
{
    (void)state;
    uint8_t key[PKI_SHARE_SIZE], got[PKI_SHARE_SIZE];
    struct pki_share all[3];
    CLEANUP_BUF struct buf sealed = BUF_INIT, plain = BUF_INIT;
    make_key(key);
    assert_int_equal(pki_seal(key, STR("aad"), STR("the CA's key"), &sealed), 0);
    assert_int_equal(pki_share_split(key, 2, 3, all), 0);
    assert_true(pki_share_at(all, 2, 0, got));
    assert_int_equal(pki_open(got, STR("aad"), buf_str(&sealed), &plain), 0);
    for (unsigned at = 0; at < PKI_SHARE_SIZE; at++) {
        all[1].y[at] ^= 0x40;
        assert_true(pki_share_at(all, 2, 0, got));
        assert_int_equal(pki_open(got, STR("aad"), buf_str(&sealed), &plain), ERR_CORRUPT);
        all[1].y[at] ^= 0x40;
    }
}

static void the_same_part_twice_and_part_zero_are_refused(void **state)
{
    (void)state;
    uint8_t key[PKI_SHARE_SIZE], got[PKI_SHARE_SIZE];
    struct pki_share all[3];
    make_key(key);
    assert_int_equal(pki_share_split(key, 2, 3, all), 0);
    all[1] = all[0];
    assert_false(pki_share_at(all, 2, 0, got));
    all[1].x = 0;
    assert_false(pki_share_at(all, 2, 0, got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_subset_of_the_threshold_gives_the_key_and_every_other_part),
        cmocka_unit_test(a_threshold_of_one_is_the_key_in_each_part),
        cmocka_unit_test(fewer_than_the_threshold_fit_every_key),
        cmocka_unit_test(parts_of_the_same_key_are_others_each_time),
        cmocka_unit_test(a_bad_part_is_noticed_by_the_tag_of_what_is_sealed),
        cmocka_unit_test(the_same_part_twice_and_part_zero_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
