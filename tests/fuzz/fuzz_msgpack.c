/* msgpack documents, and reading in place of bytes that nobody has checked. */
#include "proto/model/msgpack.h"
#include "proto/rpc/rpc.h"
#include "tests/fuzz/fuzz.h"

/* Each getter on bytes as they come: must stay inside, whatever it answers. */
static void touch(struct mp m, unsigned depth, unsigned *budget)
{
    if (*budget == 0 || depth > 80) {
        return;
    }
    (*budget)--;
    struct str s = mp_str(m);
    CHECK(s.n == 0 || ((const uint8_t *)s.p >= m.p && (const uint8_t *)s.p + s.n <= m.end));
    mp_int(m, 0);
    mp_bool(m, false);
    mp_get(m, "metadata");
    mp_path(m, "metadata.labels.app");
    uint32_t said = mp_count(m), seen = 0;
    for (struct mp_iter it = mp_iter(m); mp_next(&it); seen++) {
        CHECK(it.value.p >= m.p && it.value.end <= m.end && it.value.p < it.value.end);
        touch(it.value, depth + 1, budget);
    }
    CHECK(seen <= said);
    struct mp skip = m;
    if (mp_skip(&skip)) {
        CHECK(skip.p > m.p && skip.p <= m.end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc;
    struct error err = {0};
    unsigned budget = 2000;
    struct mp m = mp_of(data, size);
    touch(m, 0, &budget);
    struct error peer;
    rpc_read_error(m, &peer);
    CHECK(peer.code < 0);

    arena_init(&a);
    bool valid = mp_valid(m);
    int rc = msgpack_read_value(&a, data, size, &doc, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    } else {
        CHECK(valid);
        fuzz_check_value(doc);
        fuzz_check_forms(doc);
    }
    if (valid) {
        doc = msgpack_read_checked(&a, m);
        CLEANUP_BUF struct buf out = BUF_INIT;
        msgpack_write_value(&out, doc);
        CHECK(mp_valid(mp_of(out.data, out.size)) && mp_shortest(mp_of(out.data, out.size)));
        if (mp_shortest(m) && rc == 0) {
            CHECK(out.size == size && memcmp(out.data, data, size) == 0);
        }
    }
    return 0;
}
