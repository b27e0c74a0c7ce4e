/* Backups: what is written is read again, in whatever pieces it comes; everything else is refused with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/mem.h"
#include "proto/backup/backup.h"
#include "proto/backup/file.h"
#include "proto/model/msgpack.h"
#include "proto/rpc/api.h"

#define LOG2_N     10u /* quick; real ones take half a second */
#define PASSPHRASE STR("correct horse")

static const uint8_t seal_key[PKI_SEAL_KEY_SIZE] = {1, 2, 3, 250};

/* A random size of 1 .. most, not above `left`. */
static size_t piece(struct rng *rng, size_t most, size_t left)
{
    size_t n = 1 + (size_t)rng_below(rng, most);
    return MIN(n, left);
}

/* ---- Content ---- */

struct seen {
    unsigned metas, keys, ends;
    struct backup_meta meta;
    struct backup_end end;
    struct buf state;
};

static int on_meta(void *data, const struct backup_meta *meta, struct error *err)
{
    (void)err;
    struct seen *s = data;
    s->metas++;
    s->meta = *meta;
    return 0;
}
static int on_keys(void *data, const struct backup_keys *keys, struct error *err)
{
    (void)err;
    struct seen *s = data;
    s->keys++;
    assert_true(str_is(keys->ca, "CA"));
    assert_true(str_is(keys->ca_key, "CA KEY"));
    assert_memory_equal(keys->seal_key, seal_key, sizeof seal_key);
    return 0;
}
static int on_state(void *data, const void *p, size_t n, struct error *err)
{
    (void)err;
    buf_append(&((struct seen *)data)->state, p, n);
    return 0;
}
static int on_end(void *data, const struct backup_end *end, struct error *err)
{
    (void)err;
    struct seen *s = data;
    s->ends++;
    s->end = *end;
    return 0;
}

static struct backup_reader *reader_for(struct seen *s)
{
    memset(s, 0, sizeof *s);
    return backup_reader_new(&(struct backup_events){s, on_meta, on_keys, on_state, on_end});
}

/* A state of `bytes` bytes that no compressor likes. */
static void write_content(struct buf *out, size_t bytes)
{
    struct rng rng = {42};
    CLEANUP_BUF struct buf state = BUF_INIT;
    while (state.size < bytes) {
        buf_put_u64(&state, rng_next(&rng));
    }
    struct backup_writer *w = backup_writer_new();
    struct backup_meta meta = {.cluster = "prod",
                               .revision = 1ull << 40,
                               .term = 7,
                               .index = 99,
                               .next_master_id = 4,
                               .wall_ms = 1767225600000};
    backup_write_meta(w, &meta, out);
    backup_write_keys(w, &(struct backup_keys){STR("CA"), STR("CA KEY"), seal_key}, out);
    for (size_t at = 0; at < bytes;) { /* in uneven pieces, some larger than a record */
        size_t n = piece(&rng, 2 * BACKUP_RECORD_MAX, bytes - at);
        backup_write_state(w, state.data + at, n, out);
        at += n;
    }
    if (bytes == 0) {
        backup_write_state(w, "x", 1, out);
    }
    struct backup_end end = {.objects = 3, .ids = 1, .object_bytes = 300, .hash_lo = UINT64_MAX, .hash_hi = 5};
    end.kinds_count = 2;
    end.kinds[0] = (struct backup_kind){"Pod", 2};
    end.kinds[1] = (struct backup_kind){"Node", 1};
    backup_write_end(w, &end, out);
    backup_writer_free(w);
}

static void assert_seen(const struct seen *s, size_t bytes)
{
    assert_int_equal(s->metas, 1);
    assert_int_equal(s->keys, 1);
    assert_int_equal(s->ends, 1);
    assert_int_equal(s->meta.format, BACKUP_FORMAT);
    assert_string_equal(s->meta.version, REEVE_VERSION);
    assert_string_equal(s->meta.cluster, "prod");
    assert_true(s->meta.revision == 1ull << 40 && s->meta.term == 7 && s->meta.index == 99);
    assert_true(s->meta.next_master_id == 4 && s->meta.wall_ms == 1767225600000 && !s->meta.stale);
    assert_int_equal(s->state.size, bytes);
    assert_true(s->end.state_bytes == bytes && s->end.objects == 3 && s->end.ids == 1 && s->end.object_bytes == 300);
    assert_true(s->end.hash_lo == UINT64_MAX && s->end.hash_hi == 5);
    assert_int_equal(s->end.kinds_count, 2);
    assert_string_equal(s->end.kinds[0].name, "Pod");
    assert_int_equal(s->end.kinds[1].count, 1);
}

static void content_is_read_as_it_was_written_in_pieces_of_any_size(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    size_t bytes = 3u << 20;
    write_content(&b, bytes);
    struct rng rng = {1};
    for (unsigned round = 0; round < 4; round++) {
        static const size_t most[] = {SIZE_MAX, 7, 4096, 3u << 20};
        struct seen s;
        struct error err = {0};
        struct backup_reader *r = reader_for(&s);
        for (size_t at = 0; at < b.size;) {
            size_t n = piece(&rng, most[round], b.size - at);
            assert_int_equal(backup_reader_feed(r, b.data + at, n, &err), 0);
            at += n;
        }
        assert_true(backup_reader_ended(r));
        assert_int_equal(backup_reader_finish(r, &err), 0);
        assert_seen(&s, bytes);
        backup_reader_free(r);
        buf_close(&s.state);
    }
}

static int read_content(const void *p, size_t n, struct error *err)
{
    *err = (struct error){0};
    struct backup_reader *r = backup_reader_new(&(struct backup_events){0});
    int rc = backup_reader_feed(r, p, n, err);
    if (rc == 0) {
        rc = backup_reader_finish(r, err);
    }
    backup_reader_free(r);
    return rc;
}

static void content_that_was_changed_anywhere_is_damaged(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    write_content(&b, 500);
    struct error err;
    assert_int_equal(read_content(b.data, b.size, &err), 0);
    for (size_t i = 0; i < b.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.data[i] ^= (uint8_t)(1u << bit);
            int rc = read_content(b.data, b.size, &err);
            b.data[i] ^= (uint8_t)(1u << bit);
            if (rc != ERR_CORRUPT && rc != ERR_UNSUPPORTED) {
                /* Names of kinds and counts in END are under no hash of this layer; the file's encryption covers
                 * them. */
                assert_true(rc == 0 && i > b.size - 250);
            } else {
                assert_true(err.message[0] != '\0');
            }
        }
    }
    for (size_t n = 0; n < b.size; n++) {
        assert_int_equal(read_content(b.data, n, &err), ERR_CORRUPT);
    }
    buf_putc(&b, 'x');
    assert_int_equal(read_content(b.data, b.size, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "follows its end"));
}

static void put_raw(struct buf *b, uint8_t type, uint8_t flags, const struct buf *body)
{
    buf_put_u8(b, type);
    buf_put_u8(b, flags);
    buf_put_u8(b, 0);
    buf_put_u8(b, 0);
    buf_put_u32(b, (uint32_t)body->size);
    buf_append(b, body->data, body->size);
}

static void put_foreign_meta(struct buf *b, unsigned format)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    mp_write_map(&body, 7);
    mp_write_key_int(&body, "format", format);
    mp_write_key_str(&body, "version", STR("9.4.0"));
    mp_write_key_str(&body, "cluster", STR("prod"));
    mp_write_key_int(&body, "revision", 1);
    mp_write_key_int(&body, "term", 1);
    mp_write_key_int(&body, "index", 1);
    mp_write_key_int(&body, "nextMasterId", 2);
    put_raw(b, BACKUP_META, BACKUP_MUST, &body);
}

static void what_a_newer_version_added_is_passed_over_unless_it_must_be_understood(void **state)
{
    (void)state;
    struct error err;
    CLEANUP_BUF struct buf b = BUF_INIT, body = BUF_INIT;
    put_foreign_meta(&b, 1);
    buf_puts(&body, "something");
    put_raw(&b, 77, 0, &body); /* may be passed over: the next complaint is the missing end */
    assert_int_equal(read_content(b.data, b.size, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "ends before its last record"));
    put_raw(&b, 78, BACKUP_MUST, &body);
    assert_int_equal(read_content(b.data, b.size, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "Reeve 9.4.0"));
    buf_reset(&b);
    put_foreign_meta(&b, 2);
    assert_int_equal(read_content(b.data, b.size, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "made by Reeve 9.4.0, format 2"));
    assert_non_null(strstr(err.message, "reads formats up to 1"));
    buf_reset(&b);
    put_foreign_meta(&b, 1);
    put_raw(&b, 79, 0x80, &body);
    assert_int_equal(read_content(b.data, b.size, &err), ERR_UNSUPPORTED);
}

static void an_order_other_than_the_rules_is_damage(void **state)
{
    (void)state;
    struct error err;
    CLEANUP_BUF struct buf b = BUF_INIT, body = BUF_INIT;
    buf_puts(&body, "state");
    put_raw(&b, BACKUP_STATE, BACKUP_MUST, &body);
    assert_int_equal(read_content(b.data, b.size, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "does not begin"));
    buf_reset(&b);
    put_foreign_meta(&b, 1);
    put_raw(&b, BACKUP_STATE, BACKUP_MUST, &body);
    assert_int_equal(read_content(b.data, b.size, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "before the keys"));
    buf_reset(&b);
    put_foreign_meta(&b, 1);
    put_foreign_meta(&b, 1);
    assert_int_equal(read_content(b.data, b.size, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "twice"));
    buf_reset(&b);
    put_foreign_meta(&b, 1);
    buf_put_u8(&b, BACKUP_STATE);
    buf_append(&b, "\1\0\0\xff\xff\xff\xff", 7); /* claims 4 GiB */
    assert_int_equal(read_content(b.data, b.size, &err), ERR_CORRUPT);
}

static void records_of_random_bytes_are_refused_in_peace(void **state)
{
    (void)state;
    struct rng rng = {7};
    struct error err;
    CLEANUP_BUF struct buf b = BUF_INIT, body = BUF_INIT;
    for (unsigned i = 0; i < 20000; i++) {
        buf_reset(&b);
        if (i % 2 == 0) {
            put_foreign_meta(&b, 1);
        }
        for (unsigned records = 1 + (unsigned)rng_below(&rng, 4); records > 0; records--) {
            buf_reset(&body);
            for (size_t n = (size_t)rng_below(&rng, 200); n > 0; n--) {
                buf_put_u8(&body, (uint8_t)rng_next(&rng));
            }
            put_raw(&b, (uint8_t)(1 + rng_below(&rng, 4)), BACKUP_MUST, &body);
        }
        assert_true(read_content(b.data, b.size, &err) != 0);
    }
}

/* ---- File ---- */

static void seal(struct buf *file, size_t bytes)
{
    struct rng rng = {9};
    struct error err = {0};
    struct backup_sealer *s;
    assert_int_equal(backup_sealer_new(PASSPHRASE, LOG2_N, file, &s, &err), 0);
    CLEANUP_BUF struct buf text = BUF_INIT;
    while (text.size < bytes) {
        buf_put_u8(&text, (uint8_t)text.size);
    }
    for (size_t at = 0; at < bytes;) {
        size_t n = piece(&rng, 600000, bytes - at);
        backup_sealer_feed(s, text.data + at, n, file);
        at += n;
    }
    backup_sealer_finish(s, file);
    backup_sealer_free(s);
}

/* Text that came out, however the reading ended. */
static int open_file(const void *p, size_t n, struct str passphrase, struct buf *out, struct error *err)
{
    *err = (struct error){0};
    buf_reset(out);
    struct backup_opener *o = backup_opener_new(passphrase);
    int rc = backup_opener_feed(o, p, n, out, err);
    if (rc == 0) {
        rc = backup_opener_finish(o, err);
    }
    backup_opener_free(o);
    return rc;
}

static void a_file_is_read_as_it_was_written_whatever_its_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        0, 1, BACKUP_CHUNK - 1, BACKUP_CHUNK, BACKUP_CHUNK + 1, 2 * BACKUP_CHUNK, 3 * BACKUP_CHUNK + 17};
    struct error err = {0};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        CLEANUP_BUF struct buf file = BUF_INIT, out = BUF_INIT;
        seal(&file, sizes[i]);
        struct backup_opener *o = backup_opener_new(PASSPHRASE);
        assert_null(backup_opener_info(o));
        for (size_t at = 0, n; at < file.size; at += n) {
            n = MIN(file.size - at, at < 300 ? 1 : (size_t)100001);
            assert_int_equal(backup_opener_feed(o, file.data + at, n, &out, &err), 0);
        }
        assert_int_equal(backup_opener_finish(o, &err), 0);
        const struct backup_file_info *f = backup_opener_info(o);
        assert_string_equal(f->version, REEVE_VERSION);
        assert_true(f->format == BACKUP_FORMAT && f->log2_n == LOG2_N && f->r == 8 && f->p == 1);
        backup_opener_free(o);
        assert_int_equal(out.size, sizes[i]);
        for (size_t j = 0; j < out.size; j++) {
            assert_int_equal(out.data[j], (uint8_t)j);
        }
    }
}

static void two_files_of_one_text_have_nothing_in_common(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf a = BUF_INIT, b = BUF_INIT;
    seal(&a, 1000);
    seal(&b, 1000);
    assert_int_equal(a.size, b.size);
    unsigned same = 0;
    for (size_t i = BACKUP_HEADER_SIZE + 4; i < a.size; i++) {
        same += a.data[i] == b.data[i];
    }
    assert_true(same < 40); /* 1016 / 256 by chance */
}

static void a_wrong_passphrase_is_told_apart_from_damage_further_on(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf file = BUF_INIT, out = BUF_INIT;
    struct error err;
    seal(&file, 3 * BACKUP_CHUNK);
    assert_int_equal(open_file(file.data, file.size, STR("correct hors"), &out, &err), ERR_CORRUPT);
    assert_string_equal(err.message, "wrong passphrase or damaged file");
    assert_int_equal(out.size, 0);
    size_t chunk = BACKUP_CHUNK + 4 + BACKUP_TAG_SIZE;
    file.data[BACKUP_HEADER_SIZE + chunk + 1000] ^= 1;
    assert_int_equal(open_file(file.data, file.size, PASSPHRASE, &out, &err), ERR_CORRUPT);
    char where[40];
    snprintf(where, sizeof where, "(byte %zu)", BACKUP_HEADER_SIZE + chunk);
    assert_non_null(strstr(err.message, where));
    assert_int_equal(out.size, BACKUP_CHUNK); /* what was whole before it, no more */
}

static void every_byte_of_a_file_counts(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf file = BUF_INIT, out = BUF_INIT;
    struct error err;
    seal(&file, 200);
    for (size_t i = 0; i < file.size; i++) {
        uint8_t flip = i == 49 ? 0x40 : 1; /* not a scrypt of twice the work */
        file.data[i] ^= flip;
        int rc = open_file(file.data, file.size, PASSPHRASE, &out, &err);
        file.data[i] ^= flip;
        assert_true(rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED);
        assert_int_equal(out.size, 0);
    }
}

static void a_file_that_is_cut_short_or_rearranged_is_refused(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf file = BUF_INIT, copy = BUF_INIT, out = BUF_INIT;
    struct error err;
    seal(&file, 3 * BACKUP_CHUNK + 5);
    size_t chunk = BACKUP_CHUNK + 4 + BACKUP_TAG_SIZE;
    static const size_t cuts[] = {0, 3, 4, 100, BACKUP_HEADER_SIZE, BACKUP_HEADER_SIZE + 2};
    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        assert_int_equal(open_file(file.data, cuts[i], PASSPHRASE, &out, &err), ERR_CORRUPT);
    }
    for (unsigned whole = 1; whole <= 3; whole++) { /* at the border of a chunk, nothing is missing to the eye */
        assert_int_equal(open_file(file.data, BACKUP_HEADER_SIZE + whole * chunk, PASSPHRASE, &out, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.message, "ends before its last chunk"));
    }
    assert_int_equal(open_file(file.data, file.size - 1, PASSPHRASE, &out, &err), ERR_CORRUPT);
    /* The second chunk twice; the second and third exchanged; the first one's place taken by the second; something
     * behind the end. */
    const uint8_t *head = file.data, *c0 = head + BACKUP_HEADER_SIZE, *c1 = c0 + chunk, *c2 = c1 + chunk,
                  *c3 = c2 + chunk;
    size_t last = file.size - (size_t)(c3 - head);
    const uint8_t *const orders[][4] = {{c0, c1, c1, c3}, {c0, c2, c1, c3}, {c1, c1, c2, c3}, {c0, c1, c2, c2}};
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        buf_reset(&copy);
        buf_append(&copy, head, BACKUP_HEADER_SIZE);
        for (unsigned j = 0; j < 4; j++) {
            buf_append(&copy, orders[i][j], orders[i][j] == c3 ? last : chunk);
        }
        assert_int_equal(open_file(copy.data, copy.size, PASSPHRASE, &out, &err), ERR_CORRUPT);
    }
    buf_putc(&file, 'x');
    assert_int_equal(open_file(file.data, file.size, PASSPHRASE, &out, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "follows its end"));
}

static void a_newer_format_is_named_with_who_made_it(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf file = BUF_INIT, out = BUF_INIT;
    struct error err;
    seal(&file, 10);
    file.data[4] = 2;
    strcpy((char *)file.data + 16, "9.4.0");
    assert_int_equal(open_file(file.data, file.size, PASSPHRASE, &out, &err), ERR_UNSUPPORTED);
    assert_non_null(
        strstr(err.message, "made by Reeve 9.4.0, format 2; this program (" REEVE_VERSION ") reads formats up to 1"));
    file.data[4] = 1;
    file.data[6] = 1;
    assert_int_equal(open_file(file.data, file.size, PASSPHRASE, &out, &err), ERR_UNSUPPORTED);
}

static void what_is_no_backup_is_said_to_be_none(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf out = BUF_INIT;
    struct error err;
    static const char text[] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\ndata: {k: v}\n";
    assert_int_equal(open_file(text, sizeof text, PASSPHRASE, &out, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "no backup of Reeve's"));
    assert_int_equal(open_file("", 0, PASSPHRASE, &out, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "is empty"));
}

static void a_header_cannot_make_its_reader_spend_what_it_likes(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf file = BUF_INIT, out = BUF_INIT;
    struct error err;
    seal(&file, 10);
    const uint8_t bad[][4] = {{1, 24, 8, 1}, {1, 17, 255, 1}, {1, 20, 8, 1}, {1, 10, 8, 200},   {1, 0, 8, 1},
                              {2, 10, 8, 1}, {1, 10, 0, 1},   {1, 10, 8, 0}, {1, 255, 255, 255}};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        memcpy(file.data + 48, bad[i], 4);
        assert_int_equal(open_file(file.data, file.size, PASSPHRASE, &out, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.message, "its header"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_is_read_as_it_was_written_in_pieces_of_any_size),
        cmocka_unit_test(content_that_was_changed_anywhere_is_damaged),
        cmocka_unit_test(what_a_newer_version_added_is_passed_over_unless_it_must_be_understood),
        cmocka_unit_test(an_order_other_than_the_rules_is_damage),
        cmocka_unit_test(records_of_random_bytes_are_refused_in_peace),
        cmocka_unit_test(a_file_is_read_as_it_was_written_whatever_its_size),
        cmocka_unit_test(two_files_of_one_text_have_nothing_in_common),
        cmocka_unit_test(a_wrong_passphrase_is_told_apart_from_damage_further_on),
        cmocka_unit_test(every_byte_of_a_file_counts),
        cmocka_unit_test(a_file_that_is_cut_short_or_rearranged_is_refused),
        cmocka_unit_test(a_newer_format_is_named_with_who_made_it),
        cmocka_unit_test(what_is_no_backup_is_said_to_be_none),
        cmocka_unit_test(a_header_cannot_make_its_reader_spend_what_it_likes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
