/* A generation of the CA's key is made, handed out, and committed; and who has no part of the one that counts is given
 * it. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "master/auth/authority_int.h"
#include "master/auth/rotate_int.h"
#include "proto/schema/release.h"

#define RETRY_MS      1000
#define ANSWER_OLD_MS 10000 /* a voter's word that it can keep parts */

void authority_drop_deal(struct authority *a)
{
    mem_wipe(&a->lead->deal, sizeof a->lead->deal);
    a->lead->dealing = false;
}

static void fail(struct master *m)
{
    m->authority->retry_ms = env_now_ms(m->env) + RETRY_MS;
    authority_drop_deal(m->authority);
}

static bool same_members(const struct sealed *s, const uint64_t *ids, unsigned n)
{
    return s->count == n && memcmp(s->members, ids, n * sizeof *ids) == 0;
}

bool authority_is_dealt(const struct authority *a, const uint64_t *ids, unsigned n, unsigned voters)
{
    return same_members(&a->now, ids, n) && a->now.threshold == voters / 2 + 1;
}

/* Enough of the voters can keep a part: all for the first generation, since who cannot would go on with ca.key, and
 * not before the cluster's feature level says that no older program comes back, to which a directory without ca.key is
 * of no use; later as many as are needed. */
static bool enough_can(struct master *m, const uint64_t *ids, const bool *votes, unsigned n, unsigned voters)
{
    struct authority *a = m->authority;
    unsigned can = 0;
    if (!a->have && store_level(replica_store(m->replica)) < RELEASE_LEVEL_PARTS) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        const struct voter *v = authority_voter(a, ids[i]);
        bool told = v != NULL && v->told && !v->unable && env_now_ms(m->env) - v->told_ms < ANSWER_OLD_MS;
        can += votes[i] && (ids[i] == m->config.id || told);
    }
    return can >= (a->have ? voters / 2 + 1 : voters);
}

bool authority_wants_deal(struct master *m)
{
    struct authority *a = m->authority;
    uint64_t ids[SEALED_MEMBERS_MAX];
    bool votes[SEALED_MEMBERS_MAX];
    unsigned voters, n = authority_targets(m, ids, votes, &voters);
    bool wanted =
        !a->have || !a->lead->held.split || a->refresh == REFRESH_WANTED || !authority_is_dealt(a, ids, n, voters);
    return wanted && voters > 0 && env_now_ms(m->env) >= a->retry_ms && enough_can(m, ids, votes, n, voters);
}

/* ---- Handing out ---- */

static void write_part(struct master *m, struct buf *b, const struct sealed *s, const struct pki_share *share)
{
    mp_write_map(b, 5);
    mp_write_key_int(b, "term", (int64_t)replica_term(m->replica));
    mp_write_key_int(b, "generation", (int64_t)s->generation);
    mp_write_key_str(b, "deal", str_of(s->deal));
    mp_write_key_int(b, "x", share->x);
    mp_write_cstr(b, "part");
    mp_write_bin(b, share->y, sizeof share->y);
}

static void send_part(struct master *m, uint64_t id, const struct sealed *s, const struct pki_share *share,
                      rpc_result_cb *cb)
{
    struct buf b = BUF_INIT;
    write_part(m, &b, s, share);
    transport_call(m->transport, id, "ca.put", buf_str(&b), AUTHORITY_ASK_MS, cb, authority_question(m, id, s->deal));
    mem_wipe(b.data, b.size);
    buf_close(&b);
}

static int keep_own(struct master *m, const struct sealed *s, const struct pki_share *share)
{
    struct part part = {.generation = s->generation, .share = *share};
    struct error err = {0};
    memcpy(part.deal, s->deal, sizeof part.deal);
    int rv = authority_keep_part(m, &part, &err);
    mem_wipe(&part, sizeof part);
    if (rv != 0) {
        log_warn_of(&m->log, "ca", "own part", "our part of the CA's key cannot be kept: %s", err.message);
    }
    return rv;
}

static void dealt(const struct rpc_result *result, void *data)
{
    struct master *m;
    char deal[PARTS_DEAL_SIZE];
    struct voter *v = authority_answered(data, &m, deal);
    struct lead *l = m->authority->lead;
    if (v == NULL || !l->dealing || strcmp(l->deal.to.deal, deal) != 0) {
        return;
    }
    unsigned x = sealed_part_of(&l->deal.to, v->id);
    if (x != 0) {
        l->deal.of[x - 1].asking = false;
        l->deal.of[x - 1].has = result->error == NULL;
        v->unable |= result->error != NULL && result->error->code == ERR_UNSUPPORTED;
    }
    authority_deal_advance(m);
}

void authority_deal(struct master *m)
{
    struct authority *a = m->authority;
    struct deal *d = &a->lead->deal;
    uint8_t name[8];
    assert(!a->lead->dealing);
    mem_wipe(d, sizeof *d);
    bool votes[SEALED_MEMBERS_MAX];
    unsigned voters;
    d->to.count = authority_targets(m, d->to.members, votes, &voters);
    d->to.threshold = voters / 2 + 1;
    d->to.generation = a->now.generation + 1;
    env_random(m->env, name, sizeof name);
    for (unsigned i = 0; i < sizeof name; i++) {
        snprintf(d->to.deal + 2 * i, 3, "%02x", name[i]);
    }
    env_random(m->env, d->key, sizeof d->key);
    a->lead->dealing = true;
    if (pki_share_split(d->key, d->to.threshold, d->to.count, d->shares) != 0) {
        fail(m);
        return;
    }
    for (unsigned i = 0; i < d->to.count; i++) {
        uint64_t id = d->to.members[i];
        d->of[i].votes = votes[i];
        if (id == m->config.id) {
            d->of[i].has = keep_own(m, &d->to, &d->shares[i]) == 0;
        } else if (transport_session(m->transport, id) != NULL) {
            d->of[i].asking = true;
            send_part(m, id, &d->to, &d->shares[i], dealt);
        }
    }
    authority_deal_advance(m);
}

/* ---- Committing ---- */

static void committed(const struct txn_result *result, const struct error *error, void *data)
{
    struct master *m;
    char deal[PARTS_DEAL_SIZE];
    struct voter *v = authority_answered(data, &m, deal);
    (void)result;
    if (v == NULL) {
        return;
    }
    struct authority *a = m->authority;
    if (error != NULL && a->lead->dealing && strcmp(a->lead->deal.to.deal, deal) == 0) {
        log_debug(&m->log, "ca", "the generation is not committed: %s", error->message);
        fail(m);
    } else if (error == NULL && failpoint(FAILPOINT_ca_after_commit)) {
        log_debug(&m->log, "ca", "failpoint");
    }
    master_wake(m);
}

static void submit(struct master *m)
{
    struct authority *a = m->authority;
    struct deal *d = &a->lead->deal;
    const struct view *tip = store_tip(replica_store(m->replica));
    struct error err = {0};
    struct txn t;
    if (tip == NULL || failpoint(FAILPOINT_ca_before_commit)) {
        fail(m);
        return;
    }
    const struct object *clear = rotate_key_in(tip);
    authority_cas(m, &a->lead->held.keys, rotate_next(m), d->to.cas);
    txn_init(&t, "ca");
    int rv = sealed_put(tip, &t, &d->to, d->key, &a->lead->held.keys, &err);
    if (rv == 0 && clear != NULL) {
        txn_delete(&t, clear);
    }
    if (rv == 0) {
        d->submitted = true;
        replica_submit(m->replica, &t, committed, authority_question(m, m->config.id, d->to.deal), NULL);
    } else {
        log_warn(&m->log, "ca", "a new generation of the CA's key cannot be made: %s", err.message);
        fail(m);
    }
    txn_close(&t);
}

void authority_deal_advance(struct master *m)
{
    struct authority *a = m->authority;
    struct deal *d = &a->lead->deal;
    uint64_t ids[SEALED_MEMBERS_MAX];
    unsigned voters, n = authority_targets(m, ids, NULL, &voters), has = 0, asking = 0;
    if (!a->lead->dealing || d->submitted) {
        return;
    }
    if (!same_members(&d->to, ids, n) || d->to.threshold != voters / 2 + 1) { /* others meanwhile */
        authority_drop_deal(a);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        bool own = ids[i] == m->config.id;
        has += d->of[i].has && d->of[i].votes;
        asking += d->of[i].asking;
        if (own && !d->of[i].has) {
            fail(m);
            return;
        }
    }
    if (asking > 0) {
        return;
    }
    if (has < (a->have ? d->to.threshold : voters)) {
        fail(m);
        return;
    }
    submit(m);
}

/* ---- Missing parts ---- */

static void given(const struct rpc_result *result, void *data)
{
    struct master *m;
    char deal[PARTS_DEAL_SIZE];
    struct voter *v = authority_answered(data, &m, deal);
    if (v == NULL) {
        return;
    }
    v->giving = false;
    if (result->error == NULL && strcmp(deal, m->authority->now.deal) == 0) {
        v->has = true;
        log_info(&m->log, "ca", "master %" PRIu64 " has got its part of the CA's key", v->id);
    } else {
        v->told = false; /* it is asked again, and then given */
    }
}

void authority_give(struct master *m, struct voter *v)
{
    struct authority *a = m->authority;
    const struct held *h = &a->lead->held;
    unsigned x = sealed_part_of(&a->now, v == NULL ? m->config.id : v->id);
    struct pki_share share = {.x = (uint8_t)x};
    if (x == 0 || !pki_share_at(h->shares, h->threshold, (uint8_t)x, share.y)) {
        return;
    }
    if (v == NULL && keep_own(m, &a->now, &share) != 0) {
        a->retry_ms = env_now_ms(m->env) + RETRY_MS;
    } else if (v == NULL) {
        authority_settle(m, false);
    } else if (transport_session(m->transport, v->id) != NULL) {
        v->giving = true;
        send_part(m, v->id, &a->now, &share, given);
    }
    mem_wipe(&share, sizeof share);
}
