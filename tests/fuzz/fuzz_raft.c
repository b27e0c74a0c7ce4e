/* Raft's messages between masters: what can be read is written back the same, and its parts are what libraft relies
 * on. */
#include "raft-store/raft/raft_codec.h"
#include "tests/fuzz/fuzz.h"

static void check_entries(const struct raft_append_entries *a)
{
    CHECK(a->n_entries <= RAFT_CODEC_ENTRIES_MAX);
    for (unsigned i = 0; i < a->n_entries; i++) {
        const struct raft_entry *e = &a->entries[i];
        CHECK(e->term > 0 && e->buf.len > 0 && e->buf.len % 8 == 0 && e->batch == a->entries[0].batch);
        CHECK((uintptr_t)e->buf.base % 8 == 0);
        if (e->type == RAFT_CHANGE) {
            /* What libraft does with it when it is appended. */
            struct raft_configuration c;
            raft_configuration_init(&c);
            int rc = raft_configuration_decode(&e->buf, &c);
            CHECK(rc == 0);
            raft_configuration_close(&c);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_message m, back;
    CLEANUP_BUF struct buf one = BUF_INIT;
    CLEANUP_BUF struct buf two = BUF_INIT;
    struct error err = {0};
    int rc = raft_codec_read(mp_of(data, size), &m, &err);
    if (rc != 0) {
        CHECK(rc == ERR_PROTOCOL && err.message[0] != '\0');
        return 0;
    }
    if (m.type == RAFT_APPEND_ENTRIES) {
        check_entries(&m.append_entries);
    }
    raft_codec_write(&one, &m);
    CHECK(one.size <= raft_codec_size(&m) || m.type == RAFT_INSTALL_SNAPSHOT);
    CHECK(raft_codec_read(mp_of(one.data, one.size), &back, &err) == 0 && back.type == m.type);
    raft_codec_write(&two, &back);
    CHECK(str_eq(buf_str(&one), buf_str(&two)));
    raft_codec_free(&m);
    raft_codec_free(&back);
    return 0;
}
