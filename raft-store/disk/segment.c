/* One segment file of libraft's: u64 format (1), then batches: u32 CRC of the head, u32 CRC of the data; head: u64
 * count n, n times u64 term, u8 type, 3 unused, u32 size; then the data of the n entries, each a multiple of 8. A
 * segment that is being written is followed by zeros. */
#include <assert.h>
#include <string.h>

#include "base/le.h"
#include "raft-store/disk/disk_int.h"

#define FORMAT            1u
#define BATCH_PREFIX      16u /* checksums and count */
#define ENTRY_HEAD        16u
#define BATCH_ENTRIES_MAX 262144u /* libraft's limit */

void disk_crc_init(struct disk_crc *c)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i << 24;
        for (int bit = 0; bit < 8; bit++) {
            v = v & 0x80000000u ? v << 1 ^ 0x04c11db7u : v << 1;
        }
        c->table[0][i] = v;
    }
    for (int k = 1; k < 8; k++) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t v = c->table[k - 1][i];
            c->table[k][i] = v << 8 ^ c->table[0][v >> 24];
        }
    }
}

uint32_t disk_crc(const struct disk_crc *c, const uint8_t *p, size_t n, uint32_t crc)
{
    for (; n >= 8; n -= 8, p += 8) {
        crc ^= (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        crc = c->table[7][crc >> 24] ^ c->table[6][crc >> 16 & 255] ^ c->table[5][crc >> 8 & 255] ^
              c->table[4][crc & 255] ^ c->table[3][p[4]] ^ c->table[2][p[5]] ^ c->table[1][p[6]] ^ c->table[0][p[7]];
    }
    for (; n > 0; n--, p++) {
        crc = crc << 8 ^ c->table[0][crc >> 24 ^ *p];
    }
    return crc;
}

static bool zeros(struct str s, size_t from, size_t to)
{
    return from >= to || (s.p[from] == 0 && memcmp(s.p + from, s.p + from + 1, to - from - 1) == 0);
}

/* Is a sector of [from, to) untouched? Of the first one only what lies behind `from` is looked at: what stands
 * before it was there already. */
static bool has_zero_sector(struct str s, size_t from, size_t to)
{
    while (from < to) {
        size_t end = (from / DISK_SECTOR + 1) * DISK_SECTOR;
        if (zeros(s, from, end < s.n ? end : s.n)) {
            return true;
        }
        from = end;
    }
    return false;
}

/* Would the head fit its checksum if one bit of the count were another? Then the count was altered, and says nothing
 * about how far the head reaches. */
static bool count_was_altered(const struct disk_segment *s, const uint8_t *p, uint64_t n)
{
    size_t left = s->bytes.n - s->at;
    for (int bit = 0; bit < 19; bit++) {
        uint64_t m = n ^ (uint64_t)1 << bit;
        if (m == 0 || m > (left - BATCH_PREFIX) / ENTRY_HEAD) {
            continue;
        }
        uint8_t count[8] = {(uint8_t)m, (uint8_t)(m >> 8), (uint8_t)(m >> 16)};
        uint32_t crc = disk_crc(s->crc, count, sizeof count, 0);
        if (le_load_u32(p) == disk_crc(s->crc, p + BATCH_PREFIX, (size_t)m * ENTRY_HEAD, crc)) {
            return true;
        }
    }
    return false;
}

/* What stands at s->at is no batch. Cut short, or damaged? The checks run from what is read first to what is read last:
 * each trusts what the ones before it have found whole. */
static enum disk_segment_end judge(struct disk_segment *s, size_t head, size_t size)
{
    const uint8_t *p = (const uint8_t *)s->bytes.p + s->at;
    uint64_t n = le_load_u64(p + 8);
    size_t to = s->at + BATCH_PREFIX;
    if (zeros(s->bytes, s->at, s->bytes.n)) {
        return s->count == 0 ? DISK_SEGMENT_EMPTY : DISK_SEGMENT_COMPLETE;
    }
    s->damage = "there is no entry where one should begin";
    if (n > BATCH_ENTRIES_MAX || (n > 0 && head == 0)) {
        return DISK_SEGMENT_DAMAGED; /* the count lies in one sector, so it was written, and not as this */
    }
    if (head > 0 && size == 0) {
        s->damage = "an entry's head does not fit its checksum";
        if (count_was_altered(s, p, n)) {
            return DISK_SEGMENT_DAMAGED;
        }
        to = s->at + head;
    } else if (size > 0) {
        s->damage = "an entry does not fit its checksum";
        to = s->at + head + size;
    }
    return s->open && has_zero_sector(s->bytes, s->at, to) ? DISK_SEGMENT_UNFINISHED : DISK_SEGMENT_DAMAGED;
}

/* One batch at s->at; 0: there is one, at the end of which s->at stands then. */
static int walk_batch(struct disk_segment *s, int (*each)(void *data, struct disk_entry *e), void *data, int *rv,
                      enum disk_segment_end *end)
{
    const uint8_t *p = (const uint8_t *)s->bytes.p + s->at;
    size_t left = s->bytes.n - s->at, size = 0;
    *end = DISK_SEGMENT_DAMAGED;
    if (left < BATCH_PREFIX) { /* libraft does not read on either, be it zeros */
        s->damage = "the file is cut short";
        return -1;
    }
    uint64_t n = le_load_u64(p + 8);
    bool fits = n > 0 && n <= (left - BATCH_PREFIX) / ENTRY_HEAD;
    size_t head = fits ? BATCH_PREFIX + (size_t)n * ENTRY_HEAD : 0;
    if (!fits || le_load_u32(p) != disk_crc(s->crc, p + 8, head - 8, 0)) {
        *end = judge(s, head, 0);
        return -1;
    }
    for (uint64_t i = 0; i < n; i++) {
        size += le_load_u32(p + BATCH_PREFIX + i * ENTRY_HEAD + 12);
    }
    if (size > left - head) {
        s->damage = "the file is cut short within an entry";
        return -1;
    }
    if ((s->open || s->thorough) && le_load_u32(p + 4) != disk_crc(s->crc, p + head, size, 0)) {
        *end = judge(s, head, size);
        return -1;
    }
    const uint8_t *body = p + head;
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *h = p + BATCH_PREFIX + i * ENTRY_HEAD;
        struct disk_entry e = {.term = le_load_u64(h), .type = h[8], .data = body, .size = le_load_u32(h + 12)};
        body += e.size;
        *rv = each(data, &e);
        if (*rv != 0) {
            return -1;
        }
        s->count++;
    }
    s->at += head + size;
    assert(s->at <= s->bytes.n && body == (const uint8_t *)s->bytes.p + s->at);
    *end = DISK_SEGMENT_COMPLETE;
    return 0;
}

enum disk_segment_end disk_segment_walk(struct disk_segment *s, int (*each)(void *data, struct disk_entry *e),
                                        void *data, int *rv)
{
    enum disk_segment_end end = DISK_SEGMENT_COMPLETE;
    s->count = 0;
    s->at = 0;
    s->damage = NULL;
    *rv = 0;
    if (s->bytes.n == 0 || (s->open && zeros(s->bytes, 0, s->bytes.n))) {
        return DISK_SEGMENT_EMPTY;
    }
    if (s->bytes.n < 8 || le_load_u64((const uint8_t *)s->bytes.p) != FORMAT) {
        /* The first sector is written with the first entry: untouched, it means that nothing of that write counts. */
        if (s->open && has_zero_sector(s->bytes, 0, 1)) {
            return DISK_SEGMENT_UNFINISHED;
        }
        s->damage = "its head says neither format 1 nor that it was never used";
        return DISK_SEGMENT_DAMAGED;
    }
    s->at = 8;
    while (s->at < s->bytes.n && walk_batch(s, each, data, rv, &end) == 0) {
    }
    assert(end != DISK_SEGMENT_DAMAGED || s->damage != NULL || *rv != 0);
    return end;
}

bool disk_configuration_read(struct str s, struct raft_configuration *out)
{
    const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;
    raft_configuration_init(out);
    bool ok = s.n >= 9 && p[0] == 1;
    uint64_t n = ok ? le_load_u64(p + 1) : 0;
    p += 9;
    for (uint64_t i = 0; ok && i < n; i++) {
        const uint8_t *nul = end - p > 9 ? memchr(p + 8, 0, (size_t)(end - p) - 8) : NULL;
        ok = nul != NULL && end - nul > 1 &&
             raft_configuration_add(out, le_load_u64(p), (const char *)p + 8, nul[1]) == 0;
        p = ok ? nul + 2 : p;
    }
    if (!ok) {
        raft_configuration_close(out);
        raft_configuration_init(out);
    }
    assert(ok ? out->n == n : out->n == 0);
    return ok;
}
