#include "proto/backup/file.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "base/mem.h"
#include "proto/backup/backup.h"
#include "proto/rpc/api.h"

#define SALT_SIZE  32u
#define NONCE_SIZE 12u
#define AT_FORMAT  4u
#define AT_FLAGS   6u
#define AT_SIZE    8u
#define AT_CHUNK   12u
#define AT_VERSION 16u
#define AT_KDF     48u
#define AT_SALT    52u
#define KDF_SCRYPT 1u
#define CHUNK_HEAD 4u
/* What is common to the headers of all formats, from which a reader tells why it can't go on. */
#define HEADER_COMMON (AT_VERSION + 32u)

static const uint8_t magic[4] = {'R', 'V', 'B', '1'};

static int derive(struct str passphrase, const uint8_t *salt, const struct backup_file_info *f,
                  uint8_t key[BACKUP_KEY_SIZE], struct error *err)
{
    if (EVP_PBE_scrypt(passphrase.p, passphrase.n, salt, SALT_SIZE, 1ull << f->log2_n, f->r, f->p,
                       BACKUP_SCRYPT_BYTES_MAX + (64u << 20), key, BACKUP_KEY_SIZE) != 1) {
        return error_set(err, ERR_SYSTEM,
                         "cannot derive the key from the passphrase: scrypt with N=2^%u, r=%u, p=%u "
                         "needs %llu MiB of memory",
                         f->log2_n, f->r, f->p, (128ull * f->r << f->log2_n) >> 20);
    }
    return 0;
}

static void nonce_of(uint64_t number, bool final, uint8_t nonce[NONCE_SIZE])
{
    le_store_u32(nonce, (uint32_t)number);
    le_store_u32(nonce + 4, (uint32_t)(number >> 32));
    le_store_u32(nonce + 8, final);
}

/* ---- Writing ---- */

struct backup_sealer {
    uint8_t key[BACKUP_KEY_SIZE];
    uint8_t header[BACKUP_HEADER_SIZE];
    EVP_CIPHER_CTX *ctx;
    struct buf text; /* of the chunk that is being filled */
    uint64_t number;
    bool finished;
};

int backup_sealer_new(struct str passphrase, unsigned log2_n, struct buf *out, struct backup_sealer **sealer,
                      struct error *err)
{
    struct backup_file_info f = {.log2_n = log2_n == 0 ? BACKUP_SCRYPT_LOG2_N : log2_n, .r = 8, .p = 1};
    struct backup_sealer *s = xcalloc(1, sizeof *s);
    uint8_t *h = s->header;
    memcpy(h, magic, sizeof magic);
    h[AT_FORMAT] = BACKUP_FORMAT;
    le_store_u32(h + AT_SIZE, BACKUP_HEADER_SIZE);
    le_store_u32(h + AT_CHUNK, BACKUP_CHUNK);
    snprintf((char *)h + AT_VERSION, AT_KDF - AT_VERSION, "%s", REEVE_VERSION);
    const uint8_t kdf[] = {KDF_SCRYPT, (uint8_t)f.log2_n, (uint8_t)f.r, (uint8_t)f.p};
    memcpy(h + AT_KDF, kdf, sizeof kdf);
    int rc = RAND_bytes(h + AT_SALT, SALT_SIZE) == 1 ? 0 : error_set(err, ERR_SYSTEM, "no random numbers");
    if (rc == 0) {
        rc = derive(passphrase, h + AT_SALT, &f, s->key, err);
    }
    if (rc != 0) {
        backup_sealer_free(s);
        return rc;
    }
    if ((s->ctx = EVP_CIPHER_CTX_new()) == NULL) {
        abort(); /* no memory */
    }
    buf_append(out, h, BACKUP_HEADER_SIZE);
    *sealer = s;
    return 0;
}

void backup_sealer_free(struct backup_sealer *s)
{
    if (s != NULL) {
        EVP_CIPHER_CTX_free(s->ctx);
        mem_wipe(s->text.data, s->text.cap);
        buf_close(&s->text);
        mem_wipe(s, sizeof *s);
        free(s);
    }
}

static void seal_chunk(struct backup_sealer *s, bool final, struct buf *out)
{
    assert(!s->finished && (final || s->text.size == BACKUP_CHUNK) && s->text.size <= BACKUP_CHUNK);
    uint8_t nonce[NONCE_SIZE];
    int n = 0, tail = 0, size = (int)s->text.size;
    nonce_of(s->number, final, nonce);
    buf_put_u32(out, (uint32_t)size | (final ? BACKUP_FINAL : 0));
    uint8_t *to = buf_reserve(out, (size_t)size + BACKUP_TAG_SIZE);
    bool ok = EVP_EncryptInit_ex(s->ctx, EVP_aes_256_gcm(), NULL, s->key, nonce) == 1 &&
              (s->number > 0 || EVP_EncryptUpdate(s->ctx, NULL, &n, s->header, BACKUP_HEADER_SIZE) == 1);
    n = 0;
    ok = ok && (size == 0 || EVP_EncryptUpdate(s->ctx, to, &n, s->text.data, size) == 1) &&
         EVP_EncryptFinal_ex(s->ctx, to + n, &tail) == 1 &&
         EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, BACKUP_TAG_SIZE, to + size) == 1;
    assert(ok && n + tail == size);
    (void)ok;
    out->size += (size_t)size + BACKUP_TAG_SIZE;
    s->number++;
    buf_reset(&s->text);
}

void backup_sealer_feed(struct backup_sealer *s, const void *p, size_t n, struct buf *out)
{
    for (const uint8_t *at = p; n > 0;) {
        if (s->text.size == BACKUP_CHUNK) { /* not before more comes: it may be the last */
            seal_chunk(s, false, out);
        }
        size_t part = MIN(n, BACKUP_CHUNK - s->text.size);
        buf_append(&s->text, at, part);
        at += part;
        n -= part;
    }
}

void backup_sealer_finish(struct backup_sealer *s, struct buf *out)
{
    seal_chunk(s, true, out);
    s->finished = true;
}

/* ---- Reading ---- */

struct backup_opener {
    struct buf passphrase;
    uint8_t key[BACKUP_KEY_SIZE];
    bool has_key, opened, final;
    struct backup_file_info info;
    struct buf header, held; /* held: the header or chunk that is coming in */
    uint64_t at;             /* byte at which that begins */
    uint64_t number;
    EVP_CIPHER_CTX *ctx;
};

struct backup_opener *backup_opener_new(struct str passphrase)
{
    struct backup_opener *o = xcalloc(1, sizeof *o);
    buf_append_str(&o->passphrase, passphrase);
    if ((o->ctx = EVP_CIPHER_CTX_new()) == NULL) {
        abort(); /* no memory */
    }
    return o;
}

struct backup_opener *backup_opener_new_with_key(const uint8_t key[BACKUP_KEY_SIZE])
{
    struct backup_opener *o = backup_opener_new(STR_NONE);
    memcpy(o->key, key, BACKUP_KEY_SIZE);
    o->has_key = true;
    return o;
}

static void wipe(struct buf *b)
{
    mem_wipe(b->data, b->cap);
    buf_close(b);
}

void backup_opener_free(struct backup_opener *o)
{
    if (o != NULL) {
        EVP_CIPHER_CTX_free(o->ctx);
        wipe(&o->passphrase);
        buf_close(&o->header);
        buf_close(&o->held);
        mem_wipe(o, sizeof *o);
        free(o);
    }
}

const struct backup_file_info *backup_opener_info(const struct backup_opener *o)
{
    return o->opened ? &o->info : NULL;
}

static int damaged(const struct backup_opener *o, const char *what, struct error *err)
{
    return error_set(err, ERR_CORRUPT, "the backup is damaged: %s (byte %" PRIu64 ")", what, o->at);
}

/* The part that all formats share. */
static int read_common(struct backup_opener *o, struct error *err)
{
    const uint8_t *h = o->held.data;
    struct backup_file_info *f = &o->info;
    if (memcmp(h, magic, sizeof magic) != 0) {
        return error_set(err, ERR_CORRUPT, "this is no backup of Reeve's: it does not begin with \"RVB1\"");
    }
    memcpy(f->version, h + AT_VERSION, 32);
    for (unsigned i = 0; i < 32 && f->version[i] != '\0'; i++) {
        f->version[i] = f->version[i] < 0x21 || f->version[i] > 0x7e ? '?' : f->version[i];
    }
    f->format = (unsigned)(h[AT_FORMAT] | h[AT_FORMAT + 1] << 8);
    if (f->format > BACKUP_FORMAT || h[AT_FLAGS] != 0 || h[AT_FLAGS + 1] != 0) {
        return error_set(
            err, ERR_UNSUPPORTED,
            "the backup was made by Reeve %s, format %u%s; this program (%s) reads formats up to %u: use a "
            "newer one",
            f->version, f->format, f->format > BACKUP_FORMAT ? "" : " with marks that are not known here",
            REEVE_VERSION, BACKUP_FORMAT);
    }
    uint32_t size = le_load_u32(h + AT_SIZE);
    f->chunk_size = le_load_u32(h + AT_CHUNK);
    if (f->format == 0 || size < BACKUP_HEADER_SIZE || size > BACKUP_HEADER_MAX || f->chunk_size == 0 ||
        f->chunk_size > BACKUP_CHUNK_MAX) {
        return damaged(o, "its header says what cannot be", err);
    }
    return 0;
}

static int open_header(struct backup_opener *o, struct error *err)
{
    const uint8_t *h = o->held.data;
    struct backup_file_info *f = &o->info;
    f->log2_n = h[AT_KDF + 1];
    f->r = h[AT_KDF + 2];
    f->p = h[AT_KDF + 3];
    if (h[AT_KDF] != KDF_SCRYPT || f->log2_n < 1 || f->log2_n > 24 || f->r == 0 || f->p == 0 || f->p > 4 ||
        128ull * f->r << f->log2_n > BACKUP_SCRYPT_BYTES_MAX) {
        return damaged(o, "its header says what cannot be", err);
    }
    if (!o->has_key) {
        int rc = derive(buf_str(&o->passphrase), h + AT_SALT, f, o->key, err);
        if (rc != 0) {
            return rc;
        }
        wipe(&o->passphrase);
        o->has_key = true;
    }
    buf_append(&o->header, h, o->held.size);
    o->opened = true;
    return 0;
}

static int open_chunk(struct backup_opener *o, uint32_t size, bool final, struct buf *out, struct error *err)
{
    const uint8_t *from = o->held.data + CHUNK_HEAD;
    uint8_t nonce[NONCE_SIZE], *to = buf_reserve(out, size + 1);
    int n = 0, tail = 0;
    nonce_of(o->number, final, nonce);
    bool ok = EVP_DecryptInit_ex(o->ctx, EVP_aes_256_gcm(), NULL, o->key, nonce) == 1 &&
              (o->number > 0 || EVP_DecryptUpdate(o->ctx, NULL, &n, o->header.data, (int)o->header.size) == 1);
    n = 0;
    ok = ok && (size == 0 || EVP_DecryptUpdate(o->ctx, to, &n, from, (int)size) == 1) &&
         EVP_CIPHER_CTX_ctrl(o->ctx, EVP_CTRL_AEAD_SET_TAG, BACKUP_TAG_SIZE, (void *)(from + size)) == 1 &&
         EVP_DecryptFinal_ex(o->ctx, to + n, &tail) == 1;
    if (!ok) {
        mem_wipe(to, size); /* unauthenticated text goes nowhere */
        return o->number == 0 ? error_set(err, ERR_CORRUPT, "wrong passphrase or damaged file")
                              : damaged(o, "what lies there was changed, or belongs elsewhere", err);
    }
    out->size += size;
    o->number++;
    o->final = final;
    return 0;
}

/* Bytes of input into what is held, until it has `want`: true then. */
static bool fill(struct backup_opener *o, const uint8_t **at, size_t *n, size_t want)
{
    if (o->held.size < want) {
        size_t part = MIN(*n, want - o->held.size);
        buf_append(&o->held, *at, part);
        *at += part;
        *n -= part;
    }
    return o->held.size >= want;
}

static void next(struct backup_opener *o)
{
    o->at += o->held.size;
    buf_reset(&o->held);
}

int backup_opener_feed(struct backup_opener *o, const void *p, size_t n, struct buf *out, struct error *err)
{
    int rc = 0;
    for (const uint8_t *at = p; rc == 0 && n > 0;) {
        if (o->final) {
            return damaged(o, "something follows its end", err);
        }
        if (!o->opened) {
            if (fill(o, &at, &n, HEADER_COMMON) && (rc = read_common(o, err)) == 0 &&
                fill(o, &at, &n, le_load_u32(o->held.data + AT_SIZE)) && (rc = open_header(o, err)) == 0) {
                next(o);
            }
            continue;
        }
        if (!fill(o, &at, &n, CHUNK_HEAD)) {
            break;
        }
        uint32_t head = le_load_u32(o->held.data), size = head & ~BACKUP_FINAL;
        bool final = (head & BACKUP_FINAL) != 0;
        if (size > o->info.chunk_size || (!final && size != o->info.chunk_size)) {
            rc = o->number == 0 ? error_set(err, ERR_CORRUPT, "wrong passphrase or damaged file")
                                : damaged(o, "a chunk claims a size that cannot be", err);
        } else if (fill(o, &at, &n, CHUNK_HEAD + (size_t)size + BACKUP_TAG_SIZE) &&
                   (rc = open_chunk(o, size, final, out, err)) == 0) {
            next(o);
        }
    }
    return rc;
}

int backup_opener_finish(struct backup_opener *o, struct error *err)
{
    if (o->final) {
        return 0;
    }
    o->at += o->held.size;
    if (!o->opened && o->held.size < sizeof magic) {
        return error_set(err, ERR_CORRUPT, "this is no backup of Reeve's: it %s",
                         o->held.size == 0 ? "is empty" : "does not begin with \"RVB1\"");
    }
    return damaged(o, "it ends before its last chunk, as a file does that was not written to its end", err);
}
