/* Frames of SPDY/3.1 out of bytes, however these are cut; blocks of headers; and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/spdy/spdy.h"

/* Everything that a frame says; pieces of data as if they had come at once. */
static void tell(struct buf *out, const struct spdy_frame *f, uint32_t *data_of)
{
    if (f->type == SPDY_DATA && *data_of == f->stream) {
        buf_append_str(out, f->data);
    } else if (f->type == SPDY_DATA) {
        buf_printf(out, "data %u %.*s", f->stream, STR_ARG(f->data));
    } else {
        buf_printf(out, "%u %u %u", (unsigned)f->type, f->stream, f->value);
        for (unsigned i = 0; i < f->count; i++) {
            buf_printf(out, " %.*s=%.*s", STR_ARG(f->pairs[i].name), STR_ARG(f->pairs[i].value));
        }
    }
    *data_of = f->type == SPDY_DATA && !f->fin ? f->stream : 0;
    buf_puts(out, f->fin ? " fin" : "");
    if (*data_of == 0) {
        buf_putc(out, '\n');
    }
}

/* cut: bytes of the first piece. */
static void feed(struct str bytes, size_t cut, struct buf *out)
{
    struct spdy_in in;
    size_t at = 0, end = cut;
    uint32_t data_of = 0;
    spdy_in_init(&in);
    for (;;) {
        struct spdy_frame f;
        size_t used;
        enum spdy_step step = spdy_in_feed(&in, bytes.p + at, end - at, &used, &f);
        at += used;
        assert_true(at <= end);
        if (step == SPDY_FRAME) {
            tell(out, &f, &data_of);
        } else if (step == SPDY_BAD) {
            assert_non_null(in.why);
            buf_printf(out, "bad: %s\n", in.why);
            break;
        } else {
            assert_int_equal(at, end);
            if (end == bytes.n) {
                break;
            }
            end = bytes.n;
        }
    }
    spdy_in_close(&in);
}

/* Whole, and cut in two at every place: the same comes of it. */
static void expect(struct str bytes, const char *wanted)
{
    for (size_t cut = 0; cut <= bytes.n; cut++) {
        CLEANUP_BUF struct buf out = BUF_INIT;
        feed(bytes, cut, &out);
        assert_string_equal(buf_cstr(&out), wanted);
    }
}

/* [4 headers] */
static void the_dictionary_is_the_specifications(void **state)
{
    (void)state;
    uint8_t d[SPDY_DICTIONARY_SIZE];
    spdy_dictionary(d);
    assert_true(adler32(adler32(0, NULL, 0), d, sizeof d) == 0xe3c6a7c2u); /* as streams of others name it */
}

/* [4 headers] One window for all blocks of a direction. */
static void frames_come_out_however_they_are_cut(void **state)
{
    (void)state;
    static const struct spdy_pair first[] = {{STR("streamtype"), STR("error")}, {STR("port"), STR("80")}},
                                  second[] = {{STR("streamtype"), STR("data")}, {STR("port"), STR("80")}};
    struct spdy_out out;
    CLEANUP_BUF struct buf b = BUF_INIT;
    spdy_out_init(&out);
    spdy_put_stream(&out, &b, 1, true, first, ARRAY_SIZE(first));
    spdy_put_stream(&out, &b, 3, false, second, ARRAY_SIZE(second)); /* told with the window of the first */
    spdy_put_reply(&out, &b, 1, false, NULL, 0);
    spdy_put_data(&b, 3, STR("some bytes"), false);
    spdy_put_ping(&b, 7);
    spdy_put_data(&b, 3, STR(""), false); /* is nothing */
    spdy_put_data(&b, 3, STR(""), true);
    spdy_put_reset(&b, 5, SPDY_CANCEL);
    spdy_put_goaway(&b, 3, 0);
    expect(buf_str(&b), "1 1 0 streamtype=error port=80 fin\n1 3 0 streamtype=data port=80\n2 1 0\n"
                        "data 3 some bytes6 0 7\ndata 3  fin\n3 5 5\n7 3 0\n");
    spdy_out_close(&out);
}

static void large_data_is_several_frames_and_never_held(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf plain = BUF_INIT, b = BUF_INIT, back = BUF_INIT;
    for (unsigned i = 0; i < 200000; i++) {
        buf_putc(&plain, (char)('a' + i % 26));
    }
    spdy_put_data(&b, 9, buf_str(&plain), true);
    struct spdy_in in;
    struct spdy_frame f;
    spdy_in_init(&in);
    for (size_t at = 0, used, fins = 0; at < b.size || fins == 0;) {
        if (spdy_in_feed(&in, b.data + at, MIN(b.size - at, (size_t)1000), &used, &f) == SPDY_FRAME) {
            buf_append_str(&back, f.data);
            fins += f.fin;
        }
        at += used;
        assert_true(spdy_in_held(&in) < 1024);
    }
    assert_true(str_eq(buf_str(&plain), buf_str(&back)));
    spdy_in_close(&in);
}

#define BYTES(text) ((struct str){text, sizeof(text) - 1})

static void what_is_malformed_ends_the_reading(void **state)
{
    (void)state;
    expect(BYTES("\x80\x02\0\1\0\0\0\0"), "bad: a frame of another version than SPDY/3\n");
    expect(BYTES("\0\0\0\0\0\0\0\1x"), "bad: data of no stream\n");
    expect(BYTES("\x80\3\0\1\0\0\0\2"), "bad: a control frame has a length that its type cannot have\n");
    expect(BYTES("\x80\3\0\6\0\0\0\5"), "bad: a control frame has a length that its type cannot have\n");
    expect(BYTES("\x80\3\0\1\0\1\0\0"), "bad: a control frame is too large\n");
    expect(BYTES("\x80\3\0\3\0\0\0\10\0\0\0\0\0\0\0\1"), "bad: a frame is about stream 0\n");
    expect(BYTES("\x80\3\0\4\0\0\0\4\0\0\0\1"), "bad: SETTINGS has not as many entries as it says\n");
    expect(BYTES("\x80\3\0\1\0\0\0\16\0\0\0\1\0\0\0\0\0\0garb"), "bad: a block of headers cannot be inflated\n");
}

/* A block of our own making, as one that is compressed with what is said. */
static void put_block(struct buf *b, struct str plain, bool dictionary)
{
    z_stream z = {0};
    uint8_t d[SPDY_DICTIONARY_SIZE], packed[8192];
    spdy_dictionary(d);
    assert_int_equal(deflateInit(&z, 9), Z_OK);
    assert_int_equal(deflateSetDictionary(&z, d, dictionary ? sizeof d : 100), Z_OK);
    z.next_in = (Bytef *)plain.p;
    z.avail_in = (uInt)plain.n;
    z.next_out = packed;
    z.avail_out = sizeof packed;
    assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
    size_t n = sizeof packed - z.avail_out;
    deflateEnd(&z);
    uint8_t head[] = {0x80, 3, 0, 1, 0, 0, (uint8_t)((n + 10) >> 8), (uint8_t)(n + 10), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    buf_append(b, head, sizeof head);
    buf_append(b, packed, n);
}

static void refused(struct str plain, bool dictionary, const char *why)
{
    CLEANUP_BUF struct buf b = BUF_INIT, wanted = BUF_INIT;
    put_block(&b, plain, dictionary);
    buf_printf(&wanted, "bad: %s\n", why);
    expect(buf_str(&b), buf_cstr(&wanted));
}

static void blocks_of_headers_are_what_they_say(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf bomb = BUF_INIT;
    for (unsigned i = 0; i < 1000000; i++) {
        buf_putc(&bomb, '\0');
    }
    refused(BYTES("\0\0\0\0"), false, "a block of headers is compressed with another dictionary");
    refused(BYTES("\0\0\0\41"), true, "a block of headers has too many of them");
    refused(BYTES("\0\0\0\1\0\0\0\5name"), true, "a block of headers is malformed");
    refused(BYTES("\0\0\0\1\0\0\0\0\0\0\0\1v"), true, "a block of headers is malformed");
    refused(BYTES("\0\0\0\1\xff\xff\xff\xff"), true, "a block of headers is malformed");
    refused(BYTES("\0\0\0\0more"), true, "a block of headers has more bytes than headers");
    refused(buf_str(&bomb), true, "a block of headers is too large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dictionary_is_the_specifications),
        cmocka_unit_test(frames_come_out_however_they_are_cut),
        cmocka_unit_test(large_data_is_several_frames_and_never_held),
        cmocka_unit_test(what_is_malformed_ends_the_reading),
        cmocka_unit_test(blocks_of_headers_are_what_they_say),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
