/* Messages of masters that are damaged, or of another version, or lie: whatever can be written as one, in whatever
 * state it finds a master, ends nobody. Random ones, from a seed: numbers near what is true and at the ends of their
 * range, entries of every sort. */
#include "tests/unit/raft-store_cluster.h"

#include "raft-store/raft/raft_codec.h"
#include "raft-store/store/entry.h"

#define SEEDS    60
#define MESSAGES 300

static uint64_t draw(struct rng *r, uint64_t near)
{
    switch (rng_next(r) % 12) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return UINT64_MAX;
    case 3:
        return INT64_MAX;
    case 4:
        return UINT64_C(1) << (rng_next(r) % 64);
    case 5:
        return near + 1000;
    default:
        return near + rng_next(r) % 5 - 2; /* below 0: the largest */
    }
}

static void draw_configuration(struct rng *r, struct raft_configuration *c)
{
    raft_configuration_init(c);
    for (uint64_t id = 1; id <= 4; id++) {
        if (rng_next(r) % 4 != 0) {
            char address[ADDRESS_MAX];
            member_address(id, address);
            assert_int_equal(raft_configuration_add(c, id, address, (int)(rng_next(r) % 3)), 0);
        }
    }
}

/* All data of the entries lies in one batch, as the codec makes it. */
static void draw_entries(struct rng *r, struct raft_append_entries *a)
{
    static struct raft_entry entries[4];
    static uint64_t batch[4][64];
    a->entries = entries;
    a->n_entries = (unsigned)(rng_next(r) % (ARRAY_SIZE(entries) + 1));
    for (unsigned i = 0; i < a->n_entries; i++) {
        entries[i] = (struct raft_entry){.term = draw(r, a->term),
                                         .type = (unsigned short)(RAFT_COMMAND + rng_next(r) % 3),
                                         .buf = {batch[i], 8 * (1 + (unsigned)(rng_next(r) % 20))}};
        for (unsigned k = 0; k < ARRAY_SIZE(batch[i]); k++) {
            batch[i][k] = rng_next(r);
        }
        if (entries[i].type == RAFT_CHANGE) {
            struct raft_configuration c;
            struct raft_buffer buf;
            draw_configuration(r, &c);
            assert_int_equal(raft_configuration_encode(&c, &buf), 0);
            assert_true(buf.len <= sizeof batch[i]);
            memcpy(batch[i], buf.base, buf.len);
            entries[i].buf.len = buf.len;
            raft_free(buf.base);
            raft_configuration_close(&c);
        }
    }
}

/* As bytes, the way every message comes. */
static void draw_message(struct rng *r, const struct replica_stats *s, uint64_t term, uint64_t from, struct buf *out)
{
    struct raft_message m = {.type = (enum raft_message_type)(RAFT_APPEND_ENTRIES + rng_next(r) % 6)};
    uint64_t index = rng_next(r) % 2 != 0 ? s->commit_index : s->last_index;
    bool yes = rng_next(r) % 2 != 0, other = rng_next(r) % 2 != 0;
    unsigned char version = (unsigned char)(rng_next(r) % 4);
    struct raft_configuration conf = {0};
    switch (m.type) {
    case RAFT_REQUEST_VOTE:
        m.request_vote = (struct raft_request_vote){version,       draw(r, term), draw(r, from), draw(r, index),
                                                    draw(r, term), yes,           other};
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        m.request_vote_result = (struct raft_request_vote_result){
            version, draw(r, term), yes, other, (unsigned short)rng_next(r), (unsigned short)rng_next(r)};
        break;
    case RAFT_APPEND_ENTRIES:
        m.append_entries = (struct raft_append_entries){
            version, draw(r, term), draw(r, index), draw(r, term), draw(r, index), NULL, 0};
        draw_entries(r, &m.append_entries);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        m.append_entries_result = (struct raft_append_entries_result){version,
                                                                      draw(r, term),
                                                                      yes ? 0 : draw(r, index),
                                                                      draw(r, index),
                                                                      (unsigned short)rng_next(r),
                                                                      (unsigned short)rng_next(r)};
        break;
    case RAFT_INSTALL_SNAPSHOT:
        draw_configuration(r, &conf);
        m.install_snapshot = (struct raft_install_snapshot){.version = version,
                                                            .term = draw(r, term),
                                                            .last_index = draw(r, index),
                                                            .last_term = draw(r, term),
                                                            .conf_index = draw(r, index),
                                                            .conf = conf,
                                                            .data = {NULL, 64}};
        break;
    default:
        m.timeout_now = (struct raft_timeout_now){version, draw(r, term), draw(r, index), draw(r, term)};
    }
    raft_codec_write(out, &m);
    raft_configuration_close(&conf);
}

/* True: it could be read, and was handed over. */
static bool say(struct cluster *c, uint64_t from, uint64_t to, const struct buf *bytes)
{
    struct raft_message m;
    struct error err = {0};
    char address[ADDRESS_MAX];
    struct sim_io *io = c->sim.ios[to];
    if (raft_codec_read(mp_of(bytes->data, bytes->size), &m, &err) != 0) {
        return false;
    }
    if (m.type == RAFT_INSTALL_SNAPSHOT) {
        m.install_snapshot.data.base = raft_malloc(m.install_snapshot.data.len);
        memset(m.install_snapshot.data.base, 7, m.install_snapshot.data.len);
    }
    member_address(from, address);
    m.server_id = from;
    m.server_address = address;
    io->recv(&io->io, &m);
    return true;
}

static void nothing_that_a_master_says_ends_another_one(void **state)
{
    (void)state;
    unsigned said = 0, alive = 0;
    uint64_t absurd = 0;
    uint64_t first = getenv("SEED") == NULL ? 1 : strtoull(getenv("SEED"), NULL, 10); /* another course */
    for (uint64_t seed = first; seed < first + SEEDS; seed++) {
        struct cluster c;
        struct rng r = {seed};
        cluster_start_with(&c, 3, seed, 5, false);
        await_leader(&c);
        write_range(&c, 0, 12);
        for (unsigned i = 0; i < MESSAGES; i++) {
            CLEANUP_BUF struct buf bytes = BUF_INIT;
            uint64_t to = 1 + rng_next(&r) % 3, from = 1 + rng_next(&r) % 4; /* 4: nobody */
            struct replica *n = c.members[to].replica;
            struct replica_stats s;
            if (from == to) {
                continue;
            }
            replica_stats(n, &s);
            draw_message(&r, &s, replica_current_term(n), from, &bytes);
            said += say(&c, from, to, &bytes);
            if (rng_next(&r) % 8 == 0) {
                run_for(&c, 1 + (int64_t)(rng_next(&r) % 400));
            }
        }
        run_for(&c, 2000);
        for (uint64_t id = 1; id <= 3; id++) {
            struct replica_stats s;
            replica_stats(c.members[id].replica, &s);
            absurd += s.absurd;
            if (c.members[id].fatal) {
                fail_msg("seed %u, master %u: %s", (unsigned)seed, (unsigned)id, c.members[id].fatal_error.message);
            }
            alive++;
        }
        cluster_close(&c);
    }
    assert_true(said > SEEDS * MESSAGES / 4);
    assert_true(absurd > said / 4 && absurd < said); /* of some it could not be told */
    assert_int_equal(alive, 3 * SEEDS);
}

/* A leader whose log has another entry where ours is committed: libraft gives up in a way that frees the message
 * twice. */
static void entries_behind_another_past_than_the_committed_one_are_not_followed(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 7);
    struct member *follower = next_to(&c, await_leader(&c));
    write_range(&c, 0, 5);
    run_for(&c, 500);
    struct replica_stats before, after;
    struct buf payload = BUF_INIT, entry = BUF_INIT, bytes = BUF_INIT;
    replica_stats(follower->replica, &before);
    entry_write_txn(&payload, &(struct entry_txn){.revision = 1});
    entry_finish(&entry, &payload, (struct view_hash){0, 0}, 0);
    uint64_t term = replica_current_term(follower->replica) + 5, from = next_to(&c, follower)->id;
    struct raft_entry one = {.term = term, .type = RAFT_COMMAND, .buf = {entry.data, entry.size}};
    struct raft_message m = {.type = RAFT_APPEND_ENTRIES,
                             .append_entries = {1, term, before.commit_index, term - 1, before.commit_index, &one, 1}};
    raft_codec_write(&bytes, &m);
    assert_true(say(&c, from, follower->id, &bytes));
    replica_stats(follower->replica, &after);
    assert_int_equal(after.last_index, before.last_index);
    assert_int_equal(after.absurd, before.absurd); /* its numbers are possible; what it says is not true */
    run_for(&c, 3000);
    assert_false(follower->fatal);
    write_range(&c, 5, 8);
    run_for(&c, 1000);
    assert_all_equal(&c);
    cluster_close(&c);
    buf_close(&payload);
    buf_close(&entry);
    buf_close(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_a_master_says_ends_another_one),
        cmocka_unit_test(entries_behind_another_past_than_the_committed_one_are_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
