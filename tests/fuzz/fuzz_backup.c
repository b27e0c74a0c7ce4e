/* Backup files. The first byte says what the rest is, the second how large the pieces are: 0 a file as it came; 1 the
 * text of a file: it is sealed under the key, and opened again; 2 the records themselves; 3 records whose final SHA-256
 * is put right. What is read does not depend on the pieces, and what was sealed opens to the same. */
#include <openssl/sha.h>

#include "proto/backup/backup.h"
#include "proto/backup/file.h"
#include "tests/fuzz/fuzz.h"

enum { FILE_RAW, FILE_SEALED, RECORDS, RECORDS_FIX };

struct seen {
    unsigned metas, keys, ends;
    uint64_t state_bytes, state_sum;
};

static int on_meta(void *data, const struct backup_meta *meta, struct error *err)
{
    (void)err;
    struct seen *s = data;
    CHECK(s->metas == 0 && s->keys == 0 && s->ends == 0 && s->state_bytes == 0);
    CHECK(meta->format <= BACKUP_FORMAT && memchr(meta->version, 0, sizeof meta->version) != NULL &&
          memchr(meta->cluster, 0, sizeof meta->cluster) != NULL);
    s->metas++;
    return 0;
}
static int on_keys(void *data, const struct backup_keys *keys, struct error *err)
{
    (void)err;
    struct seen *s = data;
    uint8_t copy[PKI_SEAL_KEY_SIZE];
    CHECK(s->metas == 1 && s->ends == 0 && keys->seal_key != NULL);
    memcpy(copy, keys->seal_key, sizeof copy);
    CHECK(keys->ca.n == 0 || keys->ca.p != NULL);
    s->keys++;
    return 0;
}
static int on_state(void *data, const void *p, size_t n, struct error *err)
{
    (void)err;
    struct seen *s = data;
    CHECK(s->metas == 1 && s->ends == 0 && n <= BACKUP_RECORD_MAX);
    s->state_bytes += n;
    for (size_t i = 0; i < n; i++) {
        s->state_sum = s->state_sum * 31 + ((const uint8_t *)p)[i];
    }
    return 0;
}
static int on_end(void *data, const struct backup_end *end, struct error *err)
{
    (void)err;
    struct seen *s = data;
    CHECK(s->metas == 1 && s->ends == 0 && end->kinds_count <= BACKUP_KINDS_MAX);
    for (unsigned i = 0; i < end->kinds_count; i++) {
        CHECK(memchr(end->kinds[i].name, 0, sizeof end->kinds[i].name) != NULL);
    }
    s->ends++;
    return 0;
}

static int read_records(struct str bytes, size_t piece, struct seen *s)
{
    const struct backup_events events = {s, on_meta, on_keys, on_state, on_end};
    struct backup_reader *r = backup_reader_new(&events);
    struct error err = {0};
    int rc = 0;
    for (size_t at = 0, n; rc == 0 && at < bytes.n; at += n) {
        n = MIN(piece, bytes.n - at);
        uint8_t *copy = xmemdup(bytes.p + at, n);
        rc = backup_reader_feed(r, copy, n, &err);
        free(copy);
    }
    rc = rc == 0 ? backup_reader_finish(r, &err) : rc;
    if (rc == 0) {
        CHECK(s->ends == 1 && backup_reader_ended(r));
    } else {
        CHECK_FAILED(rc, err);
    }
    backup_reader_free(r);
    return rc;
}

static void check_records(struct str bytes, size_t piece)
{
    struct seen one = {0}, two = {0};
    int rc = read_records(bytes, SIZE_MAX, &one);
    CHECK(read_records(bytes, piece, &two) == rc);
    CHECK(one.metas == two.metas && one.keys == two.keys && one.ends == two.ends);
    CHECK(one.state_bytes == two.state_bytes && one.state_sum == two.state_sum);
}

static int open_file(struct backup_opener *o, struct str bytes, size_t piece, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct error err = {0};
    int rc = 0;
    for (size_t at = 0, n; rc == 0 && at < bytes.n; at += n) {
        n = MIN(piece, bytes.n - at);
        buf_reset(&text);
        rc = backup_opener_feed(o, bytes.p + at, n, &text, &err);
        buf_append_str(out, buf_str(&text));
    }
    rc = rc == 0 ? backup_opener_finish(o, &err) : rc;
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    }
    backup_opener_free(o);
    return rc;
}

#define PASSPHRASE STR("correct horse")

/* The salt is random, and thereby the key: so the opener gets the passphrase, and the derivation is the cheapest
 * there is. */
static void check_sealed(struct str text, size_t piece)
{
    CLEANUP_BUF struct buf file = BUF_INIT;
    CLEANUP_BUF struct buf back = BUF_INIT;
    struct backup_sealer *s;
    struct error err = {0};
    CHECK(backup_sealer_new(PASSPHRASE, 4, &file, &s, &err) == 0);
    backup_sealer_feed(s, text.p, text.n, &file);
    backup_sealer_finish(s, &file);
    backup_sealer_free(s);
    CHECK(open_file(backup_opener_new(PASSPHRASE), buf_str(&file), piece, &back) == 0);
    CHECK(str_eq(text, buf_str(&back)));
    if (file.size > 0 && text.n > 0) { /* a bit of it, and a byte less */
        file.data[(unsigned char)text.p[0] * 7919u % file.size] ^= 4;
        buf_reset(&back);
        int rc = open_file(backup_opener_new(PASSPHRASE), buf_str(&file), piece, &back);
        CHECK(rc != 0);
    }
}

/* The SHA-256 in END is of all bytes before that record: find the last record, and the hash in it. */
static void fix(struct buf *b)
{
    size_t at = 0, last = SIZE_MAX;
    while (b->size - at >= BACKUP_RECORD_HEAD) {
        const uint8_t *h = b->data + at;
        size_t n = h[4] | (size_t)h[5] << 8 | (size_t)h[6] << 16 | (size_t)h[7] << 24;
        last = at;
        if (n > b->size - at - BACKUP_RECORD_HEAD) {
            break;
        }
        at += BACKUP_RECORD_HEAD + n;
    }
    static const char key[] = "sha256\xc4\x20";
    uint8_t *hash = last == SIZE_MAX ? NULL : memmem(b->data + last, b->size - last, key, sizeof key - 1);
    if (hash != NULL && (size_t)(b->data + b->size - hash) >= sizeof key - 1 + BACKUP_HASH_SIZE) {
        SHA256(b->data, last, hash + sizeof key - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[BACKUP_KEY_SIZE] = {1, 2, 3};
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f);
    size_t piece = 1 + fuzz_byte(&f);
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT;
    buf_append_str(&bytes, fuzz_rest(&f));
    switch (head & 3) {
    case FILE_RAW:
        open_file(backup_opener_new_with_key(key), buf_str(&bytes), piece, &out);
        check_records(buf_str(&out), piece);
        break;
    case FILE_SEALED:
        check_sealed(buf_str(&bytes), piece);
        break;
    case RECORDS_FIX:
        fix(&bytes);
        __attribute__((fallthrough));
    default:
        check_records(buf_str(&bytes), piece);
    }
    return 0;
}
