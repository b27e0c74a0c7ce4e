#include "proto/backup/backup.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "base/mem.h"
#include "proto/model/msgpack.h"
#include "proto/rpc/api.h"

/* ---- The hash over everything ---- */

static EVP_MD_CTX *hash_new(void)
{
    EVP_MD_CTX *h = EVP_MD_CTX_new();
    if (h == NULL || EVP_DigestInit_ex(h, EVP_sha256(), NULL) != 1) {
        abort(); /* no memory */
    }
    return h;
}

static void hash_add(EVP_MD_CTX *h, const void *p, size_t n)
{
    int ok = EVP_DigestUpdate(h, p, n);
    assert(ok == 1);
    (void)ok;
}

static void hash_end(EVP_MD_CTX *h, uint8_t out[BACKUP_HASH_SIZE])
{
    unsigned n = BACKUP_HASH_SIZE;
    int ok = EVP_DigestFinal_ex(h, out, &n);
    assert(ok == 1 && n == BACKUP_HASH_SIZE);
    (void)ok;
}

/* ---- Writing ---- */

struct backup_writer {
    EVP_MD_CTX *hash;
    struct buf body;
    uint64_t state_bytes;
    enum backup_type last; /* 0 = nothing yet */
};

struct backup_writer *backup_writer_new(void)
{
    struct backup_writer *w = xcalloc(1, sizeof *w);
    w->hash = hash_new();
    return w;
}

void backup_writer_free(struct backup_writer *w)
{
    if (w != NULL) {
        EVP_MD_CTX_free(w->hash);
        mem_wipe(w->body.data, w->body.cap);
        buf_close(&w->body);
        free(w);
    }
}

static void put_record(struct backup_writer *w, enum backup_type type, const void *body, size_t n, struct buf *out)
{
    assert(n <= BACKUP_RECORD_MAX && type >= w->last);
    size_t start = out->size;
    buf_put_u8(out, (uint8_t)type);
    buf_put_u8(out, BACKUP_MUST);
    buf_put_u8(out, 0);
    buf_put_u8(out, 0);
    buf_put_u32(out, (uint32_t)n);
    buf_append(out, body, n);
    hash_add(w->hash, out->data + start, out->size - start);
    w->last = type;
}

static void put_body(struct backup_writer *w, enum backup_type type, struct buf *out)
{
    put_record(w, type, w->body.data, w->body.size, out);
    mem_wipe(w->body.data, w->body.size);
    buf_reset(&w->body);
}

static void write_uint(struct buf *b, const char *key, uint64_t v)
{
    mp_write_cstr(b, key);
    mp_write_uint(b, v);
}

void backup_write_meta(struct backup_writer *w, const struct backup_meta *meta, struct buf *out)
{
    assert(w->last == 0);
    struct buf *b = &w->body;
    mp_write_map(b, 9);
    write_uint(b, "format", BACKUP_FORMAT);
    mp_write_key_str(b, "version", STR(REEVE_VERSION));
    mp_write_key_str(b, "cluster", str_of(meta->cluster));
    write_uint(b, "revision", meta->revision);
    write_uint(b, "term", meta->term);
    write_uint(b, "index", meta->index);
    write_uint(b, "nextMasterId", meta->next_master_id);
    mp_write_key_int(b, "time", meta->wall_ms);
    mp_write_key_bool(b, "stale", meta->stale);
    put_body(w, BACKUP_META, out);
}

void backup_write_keys(struct backup_writer *w, const struct backup_keys *keys, struct buf *out)
{
    assert(w->last == BACKUP_META);
    struct buf *b = &w->body;
    mp_write_map(b, 3);
    mp_write_key_str(b, "ca", keys->ca);
    mp_write_key_str(b, "caKey", keys->ca_key);
    mp_write_cstr(b, "sealKey");
    mp_write_bin(b, keys->seal_key, PKI_SEAL_KEY_SIZE);
    put_body(w, BACKUP_KEYS, out);
}

void backup_write_state(struct backup_writer *w, const void *p, size_t n, struct buf *out)
{
    assert(w->last == BACKUP_KEYS || w->last == BACKUP_STATE);
    w->state_bytes += n;
    for (const uint8_t *at = p; n > 0;) {
        size_t part = MIN(n, (size_t)BACKUP_RECORD_MAX);
        put_record(w, BACKUP_STATE, at, part, out);
        at += part;
        n -= part;
    }
}

void backup_write_end(struct backup_writer *w, struct backup_end *end, struct buf *out)
{
    assert(w->last == BACKUP_STATE && end->kinds_count <= BACKUP_KINDS_MAX);
    hash_end(w->hash, end->sha256);
    EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL); /* what END itself adds goes nowhere */
    end->state_bytes = w->state_bytes;
    struct buf *b = &w->body;
    mp_write_map(b, 8);
    write_uint(b, "objects", end->objects);
    write_uint(b, "ids", end->ids);
    write_uint(b, "objectBytes", end->object_bytes);
    write_uint(b, "stateBytes", end->state_bytes);
    write_uint(b, "hashLo", end->hash_lo);
    write_uint(b, "hashHi", end->hash_hi);
    mp_write_cstr(b, "kinds");
    mp_write_map(b, end->kinds_count);
    for (unsigned i = 0; i < end->kinds_count; i++) {
        write_uint(b, end->kinds[i].name, end->kinds[i].count);
    }
    mp_write_cstr(b, "sha256");
    mp_write_bin(b, end->sha256, sizeof end->sha256);
    put_body(w, BACKUP_END, out);
}

/* ---- Reading ---- */

struct backup_reader {
    struct backup_events events;
    EVP_MD_CTX *hash;
    struct buf held; /* head and body of the record that is coming in */
    size_t want;     /* their size; 0 = the head is not whole yet */
    uint64_t at;     /* byte at which that record begins */
    uint64_t state_bytes;
    bool meta, keys, ended;
    struct backup_meta known;
};

struct backup_reader *backup_reader_new(const struct backup_events *events)
{
    struct backup_reader *r = xcalloc(1, sizeof *r);
    r->events = *events;
    r->hash = hash_new();
    return r;
}

void backup_reader_free(struct backup_reader *r)
{
    if (r != NULL) {
        EVP_MD_CTX_free(r->hash);
        mem_wipe(r->held.data, r->held.cap);
        buf_close(&r->held);
        free(r);
    }
}

bool backup_reader_ended(const struct backup_reader *r)
{
    return r->ended;
}

static int damaged(const struct backup_reader *r, const char *what, struct error *err)
{
    return error_set(err, ERR_CORRUPT, "the backup is damaged: %s (byte %" PRIu64 " of its content)", what, r->at);
}

static int newer(const struct backup_reader *r, const char *what, struct error *err)
{
    return error_set(
        err, ERR_UNSUPPORTED,
        "the backup was made by Reeve %s, format %u, and %s; this program (%s) reads formats up to %u: use "
        "a newer one",
        r->meta ? r->known.version : "(unknown)", r->meta ? r->known.format : 0, what, REEVE_VERSION, BACKUP_FORMAT);
}

static bool read_uint(struct mp map, const char *key, uint64_t *out)
{
    struct mp m = mp_get(map, key);
    return mp_read_uint(&m, out);
}

/* Text for people and file names: no control characters, whoever wrote it. */
static bool read_text(struct mp map, const char *key, char *out, size_t size)
{
    struct str s = mp_str(mp_get(map, key));
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return false;
        }
    }
    if (s.n >= size) {
        return false;
    }
    snprintf(out, size, "%.*s", STR_ARG(s));
    return true;
}

static int read_meta(struct backup_reader *r, struct mp m, struct error *err)
{
    struct backup_meta *meta = &r->known;
    uint64_t format;
    if (!read_uint(m, "format", &format) || format == 0 || format > UINT16_MAX ||
        !read_text(m, "version", meta->version, sizeof meta->version)) {
        return damaged(r, "it does not say what made it", err);
    }
    meta->format = (unsigned)format;
    r->meta = true;
    if (format > BACKUP_FORMAT) {
        return newer(r, "is of a later format", err);
    }
    if (!read_text(m, "cluster", meta->cluster, sizeof meta->cluster) || meta->cluster[0] == '\0' ||
        !read_uint(m, "revision", &meta->revision) || !read_uint(m, "term", &meta->term) ||
        !read_uint(m, "index", &meta->index) || !read_uint(m, "nextMasterId", &meta->next_master_id)) {
        return damaged(r, "it does not say what it is a backup of", err);
    }
    meta->wall_ms = mp_int(mp_get(m, "time"), 0);
    meta->stale = mp_bool(mp_get(m, "stale"), false);
    return r->events.on_meta == NULL ? 0 : r->events.on_meta(r->events.data, meta, err);
}

static int read_keys(struct backup_reader *r, struct mp m, struct error *err)
{
    struct backup_keys keys = {mp_str(mp_get(m, "ca")), mp_str(mp_get(m, "caKey")), NULL};
    struct mp seal_mp = mp_get(m, "sealKey");
    struct str seal = STR_NONE;
    bool no_key = keys.ca_key.p == NULL || (keys.ca_key.n > 0 && memchr(keys.ca_key.p, 0, keys.ca_key.n) != NULL);
    if (r->keys || keys.ca.n == 0 || memchr(keys.ca.p, 0, keys.ca.n) != NULL || no_key ||
        !mp_read_bin(&seal_mp, &seal) || seal.n != PKI_SEAL_KEY_SIZE) {
        return damaged(r, "the cluster's keys are not whole", err);
    }
    r->keys = true;
    keys.seal_key = (const uint8_t *)seal.p;
    return r->events.on_keys == NULL ? 0 : r->events.on_keys(r->events.data, &keys, err);
}

static int read_end(struct backup_reader *r, struct mp m, struct error *err)
{
    uint8_t sum[BACKUP_HASH_SIZE];
    struct str claimed = STR_NONE;
    struct mp sha = mp_get(m, "sha256"), kinds = mp_get(m, "kinds");
    CLEANUP_FREE struct backup_end *end = xcalloc(1, sizeof *end);
    if (!r->keys || !read_uint(m, "objects", &end->objects) || !read_uint(m, "ids", &end->ids) ||
        !read_uint(m, "objectBytes", &end->object_bytes) || !read_uint(m, "stateBytes", &end->state_bytes) ||
        !read_uint(m, "hashLo", &end->hash_lo) || !read_uint(m, "hashHi", &end->hash_hi) || mp_type(kinds) != MP_MAP ||
        mp_count(kinds) > BACKUP_KINDS_MAX || !mp_read_bin(&sha, &claimed) || claimed.n != sizeof sum) {
        return damaged(r, "its last record is not whole", err);
    }
    for (struct mp_iter it = mp_iter(kinds); mp_next(&it);) {
        struct backup_kind *k = &end->kinds[end->kinds_count++];
        if (it.key.n >= sizeof k->name || !mp_read_uint(&it.value, &k->count)) {
            return damaged(r, "its last record is not whole", err);
        }
        snprintf(k->name, sizeof k->name, "%.*s", STR_ARG(it.key));
    }
    hash_end(r->hash, sum);
    if (memcmp(sum, claimed.p, sizeof sum) != 0 || end->state_bytes != r->state_bytes) {
        return damaged(r, "its content is not what was written: the hashes differ", err);
    }
    memcpy(end->sha256, sum, sizeof sum);
    r->ended = true;
    return r->events.on_end == NULL ? 0 : r->events.on_end(r->events.data, end, err);
}

static int read_record(struct backup_reader *r, const uint8_t *head, const uint8_t *body, size_t n, struct error *err)
{
    if (!r->meta && head[0] != BACKUP_META) {
        return damaged(r, "it does not begin with what it is", err);
    }
    if (head[0] != BACKUP_END) {
        hash_add(r->hash, head, BACKUP_RECORD_HEAD);
        hash_add(r->hash, body, n);
    }
    if (head[0] == BACKUP_STATE) {
        if (!r->keys) {
            return damaged(r, "the state comes before the keys", err);
        }
        r->state_bytes += n;
        return r->events.on_state == NULL ? 0 : r->events.on_state(r->events.data, body, n, err);
    }
    struct mp m = mp_of(body, n);
    if (head[0] >= BACKUP_META && head[0] <= BACKUP_END && (mp_type(m) != MP_MAP || !mp_valid(m))) {
        return damaged(r, "a record is malformed", err);
    }
    switch (head[0]) {
    case BACKUP_META:
        return r->meta ? damaged(r, "it begins twice", err) : read_meta(r, m, err);
    case BACKUP_KEYS:
        return read_keys(r, m, err);
    case BACKUP_END:
        return read_end(r, m, err);
    default:
        return (head[1] & BACKUP_MUST) != 0 ? newer(r, "holds what is not known here", err) : 0;
    }
}

/* Bytes of input into the record, until it has `want`. */
static void fill(struct backup_reader *r, const uint8_t **at, size_t *n, size_t want)
{
    size_t part = MIN(*n, want - r->held.size);
    buf_append(&r->held, *at, part);
    *at += part;
    *n -= part;
}

/* The head is there: how large is the record? */
static int read_head(struct backup_reader *r, struct error *err)
{
    const uint8_t *h = r->held.data;
    uint32_t size = le_load_u32(h + 4);
    if (size > BACKUP_RECORD_MAX || h[0] == 0) {
        return damaged(r, "a record claims what cannot be", err);
    }
    if ((h[1] & ~BACKUP_MUST) != 0 || h[2] != 0 || h[3] != 0) {
        return newer(r, "marks records in a way not known here", err);
    }
    r->want = BACKUP_RECORD_HEAD + size;
    return 0;
}

int backup_reader_feed(struct backup_reader *r, const void *p, size_t n, struct error *err)
{
    int rc = 0;
    for (const uint8_t *at = p; rc == 0 && n > 0;) {
        if (r->ended) {
            return damaged(r, "something follows its end", err);
        }
        if (r->want == 0) {
            fill(r, &at, &n, BACKUP_RECORD_HEAD);
            if (r->held.size < BACKUP_RECORD_HEAD || (rc = read_head(r, err)) != 0) {
                break;
            }
        }
        fill(r, &at, &n, r->want);
        if (r->held.size == r->want) {
            rc = read_record(r, r->held.data, r->held.data + BACKUP_RECORD_HEAD, r->want - BACKUP_RECORD_HEAD, err);
            r->at += r->want;
            r->want = 0;
            mem_wipe(r->held.data, r->held.size);
            buf_reset(&r->held);
        }
    }
    return rc;
}

int backup_reader_finish(struct backup_reader *r, struct error *err)
{
    return r->ended ? 0 : damaged(r, "it ends before its last record", err);
}
