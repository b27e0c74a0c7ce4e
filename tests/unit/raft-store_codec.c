/* Raft messages: there and back, and damaged ones refused without harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/mem.h"
#include "raft-store/raft/raft_codec.h"

static void write_read(const struct raft_message *m, struct raft_message *out)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    raft_codec_write(&b, m);
    int rc = raft_codec_read(mp_of(b.data, b.size), out, &err);
    if (rc != 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(out->type, m->type);
    for (size_t n = 0; n < b.size; n++) {      /* every prefix is refused */
        uint8_t *cut = xmemdup(b.data, n + 1); /* bounds are the sanitizer's */
        struct raft_message none;
        assert_int_equal(raft_codec_read(mp_of(cut, n), &none, &err), ERR_PROTOCOL);
        free(cut);
    }
}

static void votes_and_results_come_back_as_they_went(void **state)
{
    (void)state;
    struct raft_message out;
    struct raft_message vote = {.type = RAFT_REQUEST_VOTE, .request_vote = {2, 7, 3, UINT64_MAX, 6, true, false}};
    write_read(&vote, &out);
    assert_int_equal(out.request_vote.term, 7);
    assert_int_equal(out.request_vote.candidate_id, 3);
    assert_true(out.request_vote.last_log_index == UINT64_MAX);
    assert_true(out.request_vote.disrupt_leader && !out.request_vote.pre_vote);
    struct raft_message voted = {.type = RAFT_REQUEST_VOTE_RESULT, .request_vote_result = {2, 8, true, true, 1, 65535}};
    write_read(&voted, &out);
    assert_true(out.request_vote_result.vote_granted && out.request_vote_result.pre_vote);
    assert_int_equal(out.request_vote_result.capacity, 65535);
    struct raft_message result = {.type = RAFT_APPEND_ENTRIES_RESULT, .append_entries_result = {2, 9, 11, 10, 1, 2}};
    write_read(&result, &out);
    assert_int_equal(out.append_entries_result.rejected, 11);
    assert_int_equal(out.append_entries_result.last_log_index, 10);
    struct raft_message now = {.type = RAFT_TIMEOUT_NOW, .timeout_now = {0, 5, 6, 7}};
    write_read(&now, &out);
    assert_int_equal(out.timeout_now.last_log_term, 7);
}

static struct raft_buffer configuration(void)
{
    struct raft_configuration c;
    struct raft_buffer buf;
    raft_configuration_init(&c);
    assert_int_equal(raft_configuration_add(&c, 1, "10.0.0.1:7400", RAFT_VOTER), 0);
    assert_int_equal(raft_configuration_add(&c, 2, "master-2.example:7400", RAFT_SPARE), 0);
    assert_int_equal(raft_configuration_encode(&c, &buf), 0);
    raft_configuration_close(&c);
    return buf;
}

static void entries_share_one_batch(void **state)
{
    (void)state;
    char a[16] = "sixteen bytes..", b[8] = "eight..";
    struct raft_buffer conf = configuration();
    struct raft_entry entries[3] = {{.term = 4, .type = RAFT_COMMAND, .buf = {a, 16}},
                                    {.term = 4, .type = RAFT_BARRIER, .buf = {b, 8}},
                                    {.term = 5, .type = RAFT_CHANGE, .buf = conf}};
    struct raft_message m = {.type = RAFT_APPEND_ENTRIES, .append_entries = {0, 5, 10, 4, 9, entries, 3}}, out;
    write_read(&m, &out);
    assert_int_equal(out.append_entries.n_entries, 3);
    assert_int_equal(out.append_entries.leader_commit, 9);
    for (unsigned i = 0; i < 3; i++) {
        const struct raft_entry *e = &out.append_entries.entries[i];
        assert_ptr_equal(e->batch, out.append_entries.entries[0].batch);
        assert_int_equal(e->buf.len, entries[i].buf.len);
        assert_memory_equal(e->buf.base, entries[i].buf.base, e->buf.len);
        assert_int_equal(e->type, entries[i].type);
        assert_int_equal((uintptr_t)e->buf.base % 8, 0);
    }
    raft_codec_free(&out);
    raft_free(conf.base);
}

static void what_libraft_would_believe_is_refused(void **state)
{
    (void)state;
    struct raft_buffer conf = configuration();
    struct raft_entry e = {.term = 1, .type = RAFT_CHANGE, .buf = conf};
    struct raft_message m = {.type = RAFT_APPEND_ENTRIES, .append_entries = {0, 5, 10, 4, 9, &e, 1}}, out;
    struct error err = {0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    uint8_t *p = conf.base;
    uint8_t kept[8];
    memcpy(kept, p, 8);
    p[1] = 200; /* more servers than there are */
    raft_codec_write(&b, &m);
    assert_int_equal(raft_codec_read(mp_of(b.data, b.size), &out, &err), ERR_PROTOCOL);
    memcpy(p, kept, 8);
    uint8_t *second = p + 9 + 8 + sizeof "10.0.0.1:7400" + 1; /* the id of the other server */
    assert_int_equal(*second, 2);
    for (uint8_t id = 0; id < 2; id++) { /* nobody's, or the first one's */
        *second = id;
        buf_reset(&b);
        raft_codec_write(&b, &m);
        assert_int_equal(raft_codec_read(mp_of(b.data, b.size), &out, &err), ERR_PROTOCOL);
    }
    *second = 2;
    memset(p + 9 + 8, 'x', conf.len - 17); /* addresses that never end */
    buf_reset(&b);
    raft_codec_write(&b, &m);
    assert_int_equal(raft_codec_read(mp_of(b.data, b.size), &out, &err), ERR_PROTOCOL);
    raft_free(conf.base);
}

static void random_damage_never_harms(void **state)
{
    (void)state;
    struct rng r = {4711};
    char data[64] = {0};
    struct raft_buffer conf = configuration();
    struct raft_entry entries[2] = {{.term = 4, .type = RAFT_COMMAND, .buf = {data, 64}},
                                    {.term = 5, .type = RAFT_CHANGE, .buf = conf}};
    struct raft_message append = {.type = RAFT_APPEND_ENTRIES, .append_entries = {0, 5, 10, 4, 9, entries, 2}};
    struct raft_message install = {.type = RAFT_INSTALL_SNAPSHOT,
                                   .install_snapshot = {.term = 3, .last_index = 7, .last_term = 2, .conf_index = 1}};
    install.install_snapshot.data.len = 1000;
    assert_int_equal(raft_configuration_decode(&conf, &install.install_snapshot.conf), 0);
    unsigned good = 0;
    for (unsigned i = 0; i < 20000; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        raft_codec_write(&b, i % 2 == 0 ? &append : &install);
        for (unsigned k = 1 + (unsigned)rng_below(&r, 4); k > 0; k--) {
            b.data[rng_below(&r, b.size)] = (uint8_t)rng_below(&r, 256);
        }
        struct raft_message out;
        struct error err = {0};
        if (raft_codec_read(mp_of(b.data, b.size), &out, &err) == 0) {
            good++;
            raft_codec_free(&out);
        }
    }
    assert_true(good > 0 && good < 20000);
    raft_configuration_close(&install.install_snapshot.conf);
    raft_free(conf.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(votes_and_results_come_back_as_they_went),
        cmocka_unit_test(entries_share_one_batch),
        cmocka_unit_test(what_libraft_would_believe_is_refused),
        cmocka_unit_test(random_damage_never_harms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
