#include "proto/pki/ring.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define HEX_DIGITS (2 * PKI_SEAL_KEY_SIZE)

void pki_ring_id(const uint8_t key[PKI_SEAL_KEY_SIZE], char out[PKI_RING_ID_SIZE])
{
    static const char purpose[] = "reeve: id of a key that seals";
    uint8_t text[sizeof purpose + PKI_SEAL_KEY_SIZE], digest[SHA256_DIGEST_LENGTH];
    memcpy(text, purpose, sizeof purpose);
    memcpy(text + sizeof purpose, key, PKI_SEAL_KEY_SIZE);
    SHA256(text, sizeof text, digest);
    mem_wipe(text, sizeof text);
    for (size_t i = 0; i < (PKI_RING_ID_SIZE - 1) / 2; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

int pki_ring_find(const struct pki_ring *r, const char *id)
{
    char other[PKI_RING_ID_SIZE];
    for (unsigned i = 0; i < r->count; i++) {
        pki_ring_id(r->keys[i], other);
        if (strcmp(other, id) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int pki_ring_add(struct pki_ring *r, const uint8_t key[PKI_SEAL_KEY_SIZE])
{
    for (unsigned i = 0; i < r->count; i++) {
        if (CRYPTO_memcmp(r->keys[i], key, PKI_SEAL_KEY_SIZE) == 0) {
            return 0;
        }
    }
    if (r->count == PKI_RING_MAX) {
        return ERR_LIMIT;
    }
    memcpy(r->keys[r->count++], key, PKI_SEAL_KEY_SIZE);
    return 0;
}

void pki_ring_seal_with(struct pki_ring *r, unsigned place)
{
    uint8_t key[PKI_SEAL_KEY_SIZE];
    assert(place < r->count);
    memcpy(key, r->keys[place], sizeof key);
    memmove(&r->keys[1], &r->keys[0], place * sizeof r->keys[0]);
    memcpy(r->keys[0], key, sizeof key);
    mem_wipe(key, sizeof key);
}

void pki_ring_remove(struct pki_ring *r, unsigned place)
{
    assert(place < r->count);
    r->count--;
    memmove(&r->keys[place], &r->keys[place + 1], (r->count - place) * sizeof r->keys[0]);
    mem_wipe(r->keys[r->count], sizeof r->keys[0]);
}

bool pki_ring_equal(const struct pki_ring *a, const struct pki_ring *b)
{
    return a->count == b->count && CRYPTO_memcmp(a->keys, b->keys, a->count * sizeof a->keys[0]) == 0;
}

void pki_ring_wipe(struct pki_ring *r)
{
    mem_wipe(r, sizeof *r);
}

int pki_ring_open(const struct pki_ring *r, struct str aad, struct str sealed, struct buf *out)
{
    int rv = ERR_CORRUPT;
    for (unsigned i = 0; i < r->count && rv == ERR_CORRUPT; i++) {
        rv = pki_open(r->keys[i], aad, sealed, out);
    }
    return rv;
}

/* ---- As text ---- */

void pki_ring_write(const struct pki_ring *r, struct buf *out)
{
    assert(r->count > 0 && r->count <= PKI_RING_MAX);
    for (unsigned i = 0; i < r->count; i++) {
        char id[PKI_RING_ID_SIZE];
        for (unsigned k = 0; k < PKI_SEAL_KEY_SIZE; k++) {
            buf_printf(out, "%02x", r->keys[i][k]);
        }
        pki_ring_id(r->keys[i], id);
        if (r->count > 1) {
            buf_printf(out, " %s%s", id, i == 0 ? " seals" : "");
        }
        buf_putc(out, '\n');
    }
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool read_key(struct str *line, uint8_t key[PKI_SEAL_KEY_SIZE])
{
    if (line->n < HEX_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < PKI_SEAL_KEY_SIZE; i++) {
        int high = digit(line->p[2 * i]), low = digit(line->p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        key[i] = (uint8_t)(high << 4 | low);
    }
    *line = (struct str){line->p + HEX_DIGITS, line->n - HEX_DIGITS};
    return true;
}

/* Behind a key: nothing, if it is alone; otherwise its id, and for the first one that it seals. */
static bool rest_fits(struct str rest, const uint8_t key[PKI_SEAL_KEY_SIZE], bool first, bool *alone)
{
    char id[PKI_RING_ID_SIZE], want[sizeof id + 8];
    pki_ring_id(key, id);
    snprintf(want, sizeof want, " %s%s", id, first ? " seals" : "");
    *alone = rest.n == 0;
    return *alone ? first : str_is(rest, want);
}

static bool read_lines(struct str text, struct pki_ring *out)
{
    bool alone = false;
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        struct str line = {text.p, end == NULL ? text.n : (size_t)(end - text.p)};
        size_t used = line.n + (end != NULL);
        uint8_t *key = out->count < PKI_RING_MAX ? out->keys[out->count] : NULL;
        text = (struct str){text.p + used, text.n - used};
        if (line.n > 0 && line.p[line.n - 1] == '\r') {
            line.n--;
        }
        if (line.n == 0 && out->count > 0) {
            continue;
        }
        if (key == NULL || alone || !read_key(&line, key) || !rest_fits(line, key, out->count == 0, &alone)) {
            return false;
        }
        out->count++;
    }
    return out->count > 0 && alone == (out->count == 1);
}

int pki_ring_read(struct str text, struct pki_ring *out)
{
    *out = (struct pki_ring){0};
    if (!read_lines(text, out)) {
        pki_ring_wipe(out);
        return ERR_CORRUPT;
    }
    return 0;
}
