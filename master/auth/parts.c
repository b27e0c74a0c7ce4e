#include "master/auth/parts.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/locked.h"
#include "base/mem.h"
#include "proto/pki/pki.h"

#define FILE_MAX    4096u
#define CHECK_BYTES 8u

struct parts *parts_new(void)
{
    return locked_new(sizeof(struct parts));
}

void parts_free(struct parts *p)
{
    locked_free(p, sizeof *p);
}

/* ---- One line ---- */

static void write_hex(struct buf *b, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(b, "%02x", p[i]);
    }
}

static bool read_hex(const char *text, uint8_t *out, size_t n)
{
    if (strlen(text) != 2 * n || strspn(text, "0123456789abcdef") != 2 * n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return true;
}

static void write_part(struct buf *b, const struct part *p)
{
    uint8_t check[SHA256_DIGEST_LENGTH];
    size_t begin = b->size;
    buf_printf(b, "%" PRIu64 " %s %u ", p->generation, p->deal, p->share.x);
    write_hex(b, p->share.y, sizeof p->share.y);
    SHA256(b->data + begin, b->size - begin, check);
    buf_printf(b, " ");
    write_hex(b, check, CHECK_BYTES);
    buf_printf(b, "\n");
}

static bool read_part(const char *line, struct part *out)
{
    char deal[PARTS_DEAL_SIZE], part[2 * PKI_SHARE_SIZE + 1], check[2 * CHECK_BYTES + 1];
    uint8_t digest[SHA256_DIGEST_LENGTH], said[CHECK_BYTES];
    unsigned x;
    const char *last = strrchr(line, ' ');
    bool ok = last != NULL &&
              sscanf(line, "%" SCNu64 " %16[0-9a-f] %u %64[0-9a-f] %16[0-9a-f]", &out->generation, deal, &x, part,
                     check) == 5 &&
              x >= 1 && x <= PKI_SHARES_MAX && strlen(deal) == PARTS_DEAL_SIZE - 1 &&
              read_hex(part, out->share.y, sizeof out->share.y) && read_hex(check, said, sizeof said);
    if (ok) {
        SHA256((const uint8_t *)line, (size_t)(last - line), digest);
        ok = memcmp(digest, said, sizeof said) == 0;
    }
    if (ok) {
        out->share.x = (uint8_t)x;
        memcpy(out->deal, deal, sizeof deal);
    }
    mem_wipe(part, sizeof part);
    return ok;
}

/* ---- The file ---- */

int parts_load(const char *dir, struct parts *out, unsigned *damaged, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, PARTS_FILE);
    char *text = NULL, *save = NULL;
    struct stat st;
    size_t size = 0;
    *damaged = 0;
    out->count = 0;
    if (stat(path, &st) != 0 && errno == ENOENT) {
        return 0;
    }
    int rv = pki_read_file(path, FILE_MAX, &text, &size, err);
    if (rv != 0) {
        return rv;
    }
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        if (out->count < PARTS_MAX && read_part(line, &out->items[out->count])) {
            out->count++;
        } else {
            ++*damaged;
        }
    }
    mem_wipe(text, size);
    free(text);
    return 0;
}

int parts_save(const char *dir, const struct parts *p, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, PARTS_FILE);
    CLEANUP_BUF_WIPE struct buf b = BUF_INIT;
    buf_reserve(&b, FILE_MAX); /* it does not move, so nothing is left behind */
    for (unsigned i = 0; i < p->count; i++) {
        write_part(&b, &p->items[i]);
    }
    return pki_write_file(path, b.data, b.size, 0600, err);
}

/* ---- Which ---- */

const struct part *parts_find(const struct parts *p, const char *deal)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (strcmp(p->items[i].deal, deal) == 0) {
            return &p->items[i];
        }
    }
    return NULL;
}

static void drop(struct parts *p, unsigned i)
{
    p->items[i] = p->items[--p->count];
    mem_wipe(&p->items[p->count], sizeof p->items[p->count]);
}

void parts_put(struct parts *p, const struct part *part, const char *kept)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (strcmp(p->items[i].deal, part->deal) == 0) {
            p->items[i] = *part;
            return;
        }
    }
    if (p->count == PARTS_MAX) {
        unsigned oldest = strcmp(p->items[0].deal, kept) == 0 ? 1 : 0;
        for (unsigned i = oldest + 1; i < p->count; i++) {
            bool older = p->items[i].generation < p->items[oldest].generation;
            oldest = older && strcmp(p->items[i].deal, kept) != 0 ? i : oldest;
        }
        drop(p, oldest);
    }
    p->items[p->count++] = *part;
}

bool parts_drop_former(struct parts *p, uint64_t generation, const char *deal)
{
    unsigned before = p->count;
    for (unsigned i = 0; i < p->count;) {
        if (p->items[i].generation <= generation && strcmp(p->items[i].deal, deal) != 0) {
            drop(p, i);
        } else {
            i++;
        }
    }
    return p->count < before;
}
