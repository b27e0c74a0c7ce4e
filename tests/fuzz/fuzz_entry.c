/* Log entries. The first byte says what the rest is: bit 0: a payload (it is made an entry with the right checksum and
 * state hash) or a whole entry; bit 1, for an entry: the checksum and the state hash are put right; bit 2: the store
 * seals Secrets. An entry is applied whole or not at all; what was applied survives a snapshot; what was decoded
 * encodes to what decodes the same. */
#include <xxhash.h>

#include "raft-store/store/entry.h"
#include "tests/fuzz/kit_store.h"

enum { IS_PAYLOAD = 1, FIX = 2, SEALED = 4 };

/* Once more through the writers. Not an entry that apply would take, necessarily; false if it cannot be read. */
static bool rewrite(const struct buf *payload, struct buf *out)
{
    struct entry_reader r = {payload->data, payload->data + payload->size};
    struct entry_txn t;
    bool more;
    struct error err = {0};
    buf_reset(out);
    for (;;) {
        if (entry_next_txn(&r, &t, &more, &err) != 0) {
            CHECK(err.code == ERR_CORRUPT || err.code == ERR_UNSUPPORTED);
            return false;
        }
        if (!more) {
            return true;
        }
        entry_write_txn(out, &t);
        for (uint64_t i = 0; i < t.count; i++) {
            struct effect e;
            if (entry_next_effect(&r, &e, &err) != 0) {
                CHECK(err.code == ERR_CORRUPT || err.code == ERR_UNSUPPORTED);
                return false;
            }
            entry_write_effect(out, &e);
        }
    }
}

static void check_codec(const struct buf *entry)
{
    CLEANUP_BUF struct buf payload = BUF_INIT;
    CLEANUP_BUF struct buf one = BUF_INIT;
    CLEANUP_BUF struct buf two = BUF_INIT;
    CLEANUP_BUF struct buf again = BUF_INIT;
    struct view_hash before, hash;
    struct error err = {0};
    int rc = entry_open(entry->data, entry->size, &payload, &before, &err);
    if (rc != 0) {
        CHECK((rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED) && err.code == rc);
        return;
    }
    if (!rewrite(&payload, &one) || one.size == 0) {
        return;
    }
    CHECK(rewrite(&one, &two) && str_eq(buf_str(&one), buf_str(&two)));
    entry_finish(&again, &one, before, 0);
    CHECK(again.size % 8 == 0 && entry_open(again.data, again.size, &payload, &hash, &err) == 0);
    CHECK(str_eq(buf_str(&payload), buf_str(&one)) && hash.lo == before.lo && hash.hi == before.hi);
}

static void put_u64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static void fix(struct buf *entry, struct view_hash before)
{
    uint8_t *p = entry->data;
    if (entry->size < ENTRY_HEAD_SIZE) {
        return;
    }
    memcpy(p, "RVE1", 4);
    put_u64(p + 24, before.lo);
    put_u64(p + 32, before.hi);
    size_t packed = p[8] | (size_t)p[9] << 8 | (size_t)p[10] << 16;
    packed = MIN(packed, entry->size - ENTRY_HEAD_SIZE);
    put_u64(p + 16, XXH3_64bits_withSeed(p + 24, 16 + packed, XXH3_64bits(p, 16)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f);
    bool sealed = (head & SEALED) != 0;
    struct store *s = fuzz_store_new(sealed);
    struct view_hash before = view_state_hash(store_committed(s));
    CLEANUP_BUF struct buf entry = BUF_INIT;
    CLEANUP_BUF struct buf payload = BUF_INIT;
    struct error err = {0};
    if (head & IS_PAYLOAD) {
        buf_append_str(&payload, fuzz_rest(&f));
        if (payload.size > 0) {
            entry_finish(&entry, &payload, before, 0);
        }
    } else {
        buf_append_str(&entry, fuzz_rest(&f));
        if (head & FIX) {
            fix(&entry, before);
        }
    }
    check_codec(&entry);
    struct view *was = view_ref(store_committed(s));
    int rc = store_apply(s, 2, entry.data, entry.size, &err);
    if (rc != 0) {
        CHECK((rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED) && err.message[0] != '\0');
        CHECK(store_committed(s) == was && store_applied_index(s) == 1);
        CHECK(store_apply(s, 2, entry.data, entry.size, &err) == ERR_CORRUPT); /* it serves no more */
    } else {
        CHECK(store_applied_index(s) == 2 && view_revision(store_committed(s)) >= view_revision(was));
        fuzz_store_check(s, sealed);
    }
    view_unref(was);
    store_free(s);
    return 0;
}
