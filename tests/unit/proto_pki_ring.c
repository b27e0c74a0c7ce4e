/* Several keys that seal: what opens, and their file's text. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "base/mem.h"
#include "proto/pki/ring.h"

static struct pki_ring ring_of(unsigned count)
{
    struct pki_ring r = {0};
    for (unsigned i = 0; i < count; i++) {
        uint8_t key[PKI_SEAL_KEY_SIZE] = {(uint8_t)(0xa0 + i), 1, 2, 3};
        assert_int_equal(pki_ring_add(&r, key), 0);
    }
    return r;
}

static void twice(struct buf *text)
{
    CLEANUP_FREE char *copy = xstrndup((const char *)text->data, text->size);
    buf_append(text, copy, strlen(copy));
}

static void any_of_the_keys_opens_and_the_first_one_seals(void **state)
{
    (void)state;
    struct pki_ring old = ring_of(1), r = ring_of(2);
    CLEANUP_BUF struct buf sealed = BUF_INIT, plain = BUF_INIT;
    assert_int_equal(pki_seal(pki_ring_sealing(&old), STR("aad"), STR("secret"), &sealed), 0);
    pki_ring_seal_with(&r, 1);
    assert_int_equal(pki_ring_sealing(&r)[0], 0xa1);
    assert_int_equal(pki_ring_open(&r, STR("aad"), buf_str(&sealed), &plain), 0);
    assert_true(str_is(buf_str(&plain), "secret"));
    buf_reset(&plain);
    pki_ring_remove(&r, 1);
    assert_int_equal(pki_ring_open(&r, STR("aad"), buf_str(&sealed), &plain), ERR_CORRUPT);
    assert_int_equal(plain.size, 0);
    pki_ring_wipe(&r);
    assert_int_equal(pki_ring_open(&r, STR("aad"), buf_str(&sealed), &plain), ERR_CORRUPT);
    assert_null(pki_ring_sealing(&r));
}

static void a_ring_has_room_for_a_few_and_each_once(void **state)
{
    (void)state;
    struct pki_ring r = ring_of(PKI_RING_MAX);
    uint8_t more[PKI_SEAL_KEY_SIZE] = {7};
    char id[PKI_RING_ID_SIZE], other[PKI_RING_ID_SIZE];
    assert_int_equal(pki_ring_add(&r, r.keys[1]), 0);
    assert_int_equal(r.count, PKI_RING_MAX);
    assert_int_equal(pki_ring_add(&r, more), ERR_LIMIT);
    pki_ring_id(r.keys[2], id);
    assert_int_equal(strlen(id), PKI_RING_ID_SIZE - 1);
    assert_int_equal(pki_ring_find(&r, id), 2);
    pki_ring_id(more, other);
    assert_string_not_equal(id, other);
    assert_int_equal(pki_ring_find(&r, other), -1);
    pki_ring_seal_with(&r, 2); /* the others keep their order */
    assert_int_equal(r.keys[0][0], 0xa2);
    assert_int_equal(r.keys[1][0], 0xa0);
    assert_int_equal(r.keys[2][0], 0xa1);
    pki_ring_remove(&r, 0);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.keys[0][0], 0xa0);
    assert_int_equal(r.keys[2][0], 0); /* wiped */
}

static void a_text_says_which_one_seals(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= PKI_RING_MAX; n++) {
        struct pki_ring r = ring_of(n), got;
        CLEANUP_BUF struct buf text = BUF_INIT;
        pki_ring_write(&r, &text);
        assert_true(text.size <= PKI_RING_TEXT_MAX);
        assert_int_equal(pki_ring_read(buf_str(&text), &got), 0);
        assert_true(pki_ring_equal(&r, &got));
        assert_int_equal(strstr(buf_cstr(&text), " seals\n") != NULL, n > 1);
        pki_ring_seal_with(&got, n - 1);
        assert_int_equal(pki_ring_equal(&r, &got), n == 1);
    }
}

/* Of two keys each byte is altered, and the text is cut everywhere but behind the first key, where it is the text of
 * that one alone. */
static void a_damaged_text_is_found_out(void **state)
{
    (void)state;
    struct pki_ring r = ring_of(2), got;
    CLEANUP_BUF struct buf text = BUF_INIT;
    pki_ring_write(&r, &text);
    for (size_t i = 0; i + 1 < text.size; i++) { /* the last line's end may be missing */
        struct str cut = {(const char *)text.data, i};
        bool one = i == 2 * PKI_SEAL_KEY_SIZE;
        assert_int_equal(pki_ring_read(cut, &got), one ? 0 : ERR_CORRUPT);
        assert_int_equal(got.count, one);
        text.data[i] ^= 1;
        assert_int_equal(pki_ring_read(buf_str(&text), &got), ERR_CORRUPT);
        text.data[i] ^= 1;
    }
    assert_int_equal(pki_ring_read(STR_NONE, &got), ERR_CORRUPT);
    assert_int_equal(pki_ring_read(STR("\n"), &got), ERR_CORRUPT);
    twice(&text); /* too many, and the third one seals as well */
    assert_int_equal(pki_ring_read(buf_str(&text), &got), ERR_CORRUPT);
}

/* As programs before had it, by whatever editor it was looked at. */
static void one_key_alone_has_the_form_of_before(void **state)
{
    (void)state;
    struct pki_ring r;
    CLEANUP_BUF struct buf text = BUF_INIT;
    assert_int_equal(pki_ring_read(STR("00112233445566778899AABBccddeeff00112233445566778899aabbccddeeff\r\n\n"), &r),
                     0);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.keys[0][10], 0xaa);
    pki_ring_write(&r, &text);
    assert_string_equal(buf_cstr(&text), "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n");
    twice(&text);
    assert_int_equal(pki_ring_read(buf_str(&text), &r), ERR_CORRUPT); /* two, and nothing says which one seals */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_of_the_keys_opens_and_the_first_one_seals),
        cmocka_unit_test(a_ring_has_room_for_a_few_and_each_once),
        cmocka_unit_test(a_text_says_which_one_seals),
        cmocka_unit_test(a_damaged_text_is_found_out),
        cmocka_unit_test(one_key_alone_has_the_form_of_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
