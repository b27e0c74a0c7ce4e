/* Snapshots. The first byte says what the rest is: 0 a snapshot as it came, 1 one whose checksums are put right, 2
 * records (they are made blocks and get the trailer that they need); bit 2: the store seals Secrets.
 * A snapshot replaces everything or nothing, and what it restored is written and read again the same. */
#include <xxhash.h>

#include "raft-store/store/entry.h"
#include "raft-store/store/snapshot.h"
#include "raft-store/store/view_edit.h"
#include "tests/fuzz/kit_store.h"

enum { RAW, FIX, RECORDS, SEALED = 4 };
#define BLOCK_HEAD 16u
#define TRAILER    40u

static uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_u64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

/* Magic, and the checksum of every block as far as their sizes make sense; whatever is left at the end is a trailer. */
static void fix(struct buf *b)
{
    if (b->size < 8) {
        return;
    }
    memcpy(b->data, "RVS1\2\0\0\0", 8);
    size_t at = 8;
    for (uint64_t block = 0; b->size - at >= BLOCK_HEAD; block++) {
        uint8_t *head = b->data + at;
        size_t packed = load_u32(head), left = b->size - at - BLOCK_HEAD;
        if (packed == 0 || packed > left) {
            memset(head, 0, 8);
            packed = MIN(left, TRAILER);
        }
        put_u64(head + 8, XXH3_64bits_withSeed(head + BLOCK_HEAD, packed, block));
        at += BLOCK_HEAD + packed;
    }
}

/* What the trailer must say: the records read as the reader reads them, as far as they are good. */
static void write_trailer(struct str records, struct buf *out, uint64_t block)
{
    struct view *v = view_new();
    const uint8_t *p = (const uint8_t *)records.p, *end = p + records.n;
    uint64_t ids = 0, kind, revision, top = 0;
    struct str body;
    while (p < end) {
        uint8_t type = *p++;
        if ((type == 2 || type == 3) &&
            end - p > TXN_ID_SIZE) { /* an id; 3: with a mark of 8 bytes for each object it touched */
            uint64_t marks = 0;
            p += TXN_ID_SIZE;
            if (!varint_read(&p, end, &revision) ||
                (type == 3 && (!varint_read(&p, end, &marks) || marks > (uint64_t)(end - p) / 8))) {
                break;
            }
            p += 8 * marks;
            ids++;
            continue;
        }
        if (type >= 128 && varint_read_str(&p, end, &body)) {
            continue;
        }
        struct object *o;
        if (type != 1 || !varint_read(&p, end, &kind) || p == end || *p++ != 0 || !varint_read(&p, end, &revision) ||
            !varint_read_str(&p, end, &body) || kind_stored((unsigned)MIN(kind, KIND_ID_MAX + 1u)) == NULL ||
            object_from_body(kind_stored((unsigned)kind), body.p, body.n, revision, &o, NULL) != 0) {
            break;
        }
        object_unref(view_put(v, o));
        object_unref(o);
        top = MAX(top, revision);
    }
    struct view_hash hash = view_state_hash(v);
    size_t start = out->size;
    buf_put_u64(out, 0);
    buf_put_u64(out, 0);
    buf_put_u64(out, top);
    buf_put_u64(out, view_count(v, NULL));
    buf_put_u64(out, ids);
    buf_put_u64(out, hash.lo);
    buf_put_u64(out, hash.hi);
    put_u64(out->data + start + 8, XXH3_64bits_withSeed(out->data + start + BLOCK_HEAD, TRAILER, block));
    view_unref(v);
}

static void wrap(struct str records, struct buf *out)
{
    buf_append(out, "RVS1\2\0\0\0", 8);
    if (records.n > 0) {
        buf_put_u32(out, (uint32_t)records.n);
        buf_put_u32(out, (uint32_t)records.n);
        buf_put_u64(out, XXH3_64bits_withSeed(records.p, records.n, 0));
        buf_append_str(out, records);
    }
    write_trailer(records, out, records.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f);
    bool sealed = (head & SEALED) != 0;
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    struct error err = {0};
    if ((head & 3) == RECORDS) {
        wrap(fuzz_rest(&f), &bytes);
    } else {
        buf_append_str(&bytes, fuzz_rest(&f));
        if ((head & 3) == FIX) {
            fix(&bytes);
        }
    }
    struct store *s = fuzz_store_new(sealed);
    struct view *was = view_ref(store_committed(s));
    int form = snapshot_check(bytes.data, bytes.size, &err);
    CHECK(form == 0 || ((form == ERR_CORRUPT || form == ERR_UNSUPPORTED) && err.code == form));
    err.code = 0;
    int rc = store_restore(s, bytes.data, bytes.size, 9, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        CHECK((rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED) && store_committed(s) == was && store_applied_index(s) == 1);
    } else {
        CHECK(form == 0 && store_applied_index(s) == 9);
        fuzz_store_check(s, sealed);
    }
    view_unref(was);
    store_free(s);
    return 0;
}
