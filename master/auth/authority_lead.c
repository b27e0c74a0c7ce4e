/* The leader: asks the voters, joins what they give, and holds the keys. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/locked.h"
#include "master/auth/authority_int.h"
#include "master/auth/rotate_int.h"
#include "master/members/members.h"
#include "proto/schema/release.h"

#define ASK_EVERY        10u  /* chores, while all is well */
#define WITHOUT_AFTER_MS 5000 /* changes of the members wait so long for a key that does not come */

/* ---- Who there is ---- */

/* Who does not vote yet is one of them once it has said that it can, and then as long as it is a member. */
static bool is_target(const struct authority *a, const struct replica_member *w)
{
    const struct voter *v = authority_voter((struct authority *)a, w->id);
    bool can = (v != NULL && v->told && !v->unable) || (a->have && sealed_part_of(&a->now, w->id) != 0);
    return w->id != a->leaving && (w->role == RAFT_VOTER || can);
}

unsigned authority_targets(struct master *m, uint64_t out[SEALED_MEMBERS_MAX], bool *votes, unsigned *voters)
{
    struct replica_member members[SEALED_MEMBERS_MAX];
    bool of[SEALED_MEMBERS_MAX];
    unsigned all = replica_members(m->replica, members, ARRAY_SIZE(members)), n = 0;
    *voters = 0;
    for (unsigned i = 0; i < all; i++) {
        if (!is_target(m->authority, &members[i])) {
            continue;
        }
        unsigned at = n++;
        for (; at > 0 && out[at - 1] > members[i].id; at--) {
            out[at] = out[at - 1];
            of[at] = of[at - 1];
        }
        out[at] = members[i].id;
        of[at] = members[i].role == RAFT_VOTER;
        *voters += of[at];
    }
    if (votes != NULL) {
        memcpy(votes, of, n * sizeof *of);
    }
    return n;
}

struct voter *authority_voter(struct authority *a, uint64_t id)
{
    for (unsigned i = 0; a->lead != NULL && i < SEALED_MEMBERS_MAX; i++) {
        if (a->lead->voters[i].id == id) {
            return &a->lead->voters[i];
        }
    }
    return NULL;
}

static void note_voter(struct authority *a, uint64_t id)
{
    struct voter *v = authority_voter(a, id);
    v = v != NULL ? v : authority_voter(a, 0);
    if (v != NULL) {
        v->id = id;
        v->here = true;
    }
}

/* All members, and who was given a part of the generation. */
static void note_voters(struct master *m)
{
    struct authority *a = m->authority;
    struct replica_member members[SEALED_MEMBERS_MAX];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    for (unsigned i = 0; i < SEALED_MEMBERS_MAX; i++) {
        a->lead->voters[i].here = false;
    }
    for (unsigned i = 0; i < n; i++) {
        note_voter(a, members[i].id);
    }
    for (unsigned i = 0; a->have && i < a->now.count; i++) {
        note_voter(a, a->now.members[i]);
    }
    for (unsigned i = 0; i < SEALED_MEMBERS_MAX; i++) {
        struct voter *v = &a->lead->voters[i];
        if (v->id != 0 && !v->here) {
            mem_wipe(v, sizeof *v); /* answers on their way find no row */
        }
    }
}

struct ca_question *authority_question(struct master *m, uint64_t id, const char *deal)
{
    struct ca_question *q = xcalloc(1, sizeof *q);
    *q = (struct ca_question){.m = m, .epoch = m->authority->epoch, .id = id};
    snprintf(q->deal, sizeof q->deal, "%s", deal);
    return q;
}

struct voter *authority_answered(struct ca_question *q, struct master **m, char deal[PARTS_DEAL_SIZE])
{
    struct authority *a = q->m->authority;
    struct voter *v = q->epoch == a->epoch && !q->m->stopping ? authority_voter(a, q->id) : NULL;
    *m = q->m;
    memcpy(deal, q->deal, sizeof q->deal);
    free(q);
    return v;
}

static void write_term(struct master *m, struct buf *b, unsigned more)
{
    mp_write_map(b, 1 + more);
    mp_write_key_int(b, "term", (int64_t)replica_term(m->replica));
}

/* ---- Who has what ---- */

static void has_answered(const struct rpc_result *result, void *data)
{
    struct master *m;
    char deal[PARTS_DEAL_SIZE];
    struct voter *v = authority_answered(data, &m, deal);
    if (v == NULL) {
        return;
    }
    struct authority *a = m->authority;
    v->asking = false;
    if (result->error != NULL) {
        v->unable = result->error->code == ERR_UNSUPPORTED;
        return;
    }
    v->told = true;
    v->unable = v->has = false;
    v->told_ms = env_now_ms(m->env);
    v->clear = mp_bool(mp_get(result->result, "clear"), false);
    for (struct mp_iter it = mp_iter(mp_get(result->result, "parts")); mp_next(&it);) {
        v->has |= a->have && str_is(mp_str(it.value), a->now.deal);
    }
    authority_lead(m);
}

static bool is_settled(const struct authority *a)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SEALED_MEMBERS_MAX; i++) {
        n += a->lead->voters[i].has;
    }
    return a->have && a->lead->held.split && n + 1 >= a->now.threshold;
}

static void ask_one(struct master *m, struct voter *v)
{
    struct authority *a = m->authority;
    struct buf b = BUF_INIT;
    write_term(m, &b, 2);
    mp_write_key_str(&b, "deal", str_of(a->have ? a->now.deal : ""));
    mp_write_key_bool(&b, "settled", is_settled(a));
    v->asking = true;
    transport_call(m->transport, v->id, "ca.has", buf_str(&b), AUTHORITY_ASK_MS, has_answered,
                   authority_question(m, v->id, ""));
    buf_close(&b);
}

static void ask_who_has(struct master *m)
{
    struct authority *a = m->authority;
    bool due = a->ticks++ % ASK_EVERY == 0;
    for (unsigned i = 0; i < SEALED_MEMBERS_MAX; i++) {
        struct voter *v = &a->lead->voters[i];
        bool part = a->have && sealed_part_of(&a->now, v->id) != 0;
        bool well = v->unable || (v->told && !v->clear && (v->has || !part));
        if (v->id == 0 || v->id == m->config.id || v->asking || (well && !due)) {
            continue;
        }
        if (transport_session(m->transport, v->id) == NULL) {
            v->told = v->has = v->unable = false; /* it may come back with another disk, or another program */
        } else {
            ask_one(m, v);
        }
    }
}

/* ---- Gathering ---- */

/* If the box is damaged the keys that are held stay, and another generation is made of them. */
static void take_keys(struct master *m, const struct sealed *s)
{
    struct held *h = &m->authority->lead->held;
    h->split = sealed_open(s, h->key, &h->keys) == 0;
    h->open |= h->split;
}

static void blame_wrong(struct master *m, const struct sealed *s, const struct pki_share *parts, const bool *fits,
                        unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t id = s->members[parts[i].x - 1];
        struct voter *v = authority_voter(m->authority, id);
        if (!fits[i]) {
            log_warn(&m->log, "ca",
                     "the part of the CA's key that master %" PRIu64 " keeps is wrong; it gets the right "
                     "one",
                     id);
            if (v != NULL && id != m->config.id) {
                v->has = false;
                authority_give(m, v);
            } else if (id == m->config.id) {
                authority_give(m, NULL);
            }
        }
    }
}

static void try_to_join(struct master *m)
{
    struct authority *a = m->authority;
    struct held *h = &a->lead->held;
    struct sealed s;
    unsigned n = 0, answered = 0, voters = 0;
    bool fits[SEALED_MEMBERS_MAX];
    if (!authority_committed(m, &s)) {
        return;
    }
    struct pki_share *parts = locked_new(SEALED_MEMBERS_MAX * sizeof *parts);
    for (unsigned i = 0; i < s.count; i++) {
        struct voter *v = authority_voter(a, s.members[i]);
        struct replica_member there;
        if (v != NULL && v->got && v->share.x == i + 1) {
            parts[n++] = v->share;
        }
        bool voter = members_find(m, s.members[i], NULL, &there);
        voters += voter;
        answered += voter && v != NULL && v->answered;
    }
    if (sealed_join(&s, parts, n, h->key, fits)) {
        h->threshold = 0;
        for (unsigned i = 0; i < n && h->threshold < s.threshold; i++) {
            if (fits[i]) {
                h->shares[h->threshold++] = parts[i];
            }
        }
        memcpy(h->deal, s.deal, sizeof h->deal);
        take_keys(m, &s);
        a->lost = false;
        log_info(&m->log, "ca", "the CA's key is at hand: %u of %u parts, generation %" PRIu64, n, s.count,
                 s.generation);
        blame_wrong(m, &s, parts, fits, n);
    } else {
        a->lost = answered == voters;
        if (a->lost && !a->complained) {
            a->complained = true;
            log_error(
                &m->log, "ca",
                "all masters have been asked, and the %u parts of the CA's key that they have are not enough, or "
                "are wrong: %u are needed. Nobody can be certified; `rctl cert rotate-ca` gives the cluster a new "
                "CA",
                n, s.threshold);
        }
    }
    locked_free(parts, SEALED_MEMBERS_MAX * sizeof *parts);
}

static void hold_clear(struct master *m, const char *key_pem)
{
    struct held *h = &m->authority->lead->held;
    const struct object *former = rotate_key_in(store_committed(replica_store(m->replica)));
    struct mp bin = former == NULL ? (struct mp){NULL, NULL} : mp_get(mp_get(object_mp(former), "data"), "key");
    struct str next = STR_NONE;
    h->open = keyring_add(&h->keys, key_pem);
    if (former != NULL && mp_read_bin(&bin, &next) && next.n > 0 && next.n < SEALED_KEY_SIZE) {
        char *pem = xstrndup(next.p, next.n); /* an older leader has begun a rotation */
        keyring_add(&h->keys, pem);
        pki_free_key(pem);
    }
}

static void got(const struct rpc_result *result, void *data)
{
    struct master *m;
    char deal[PARTS_DEAL_SIZE];
    struct voter *v = authority_answered(data, &m, deal);
    if (v == NULL) {
        return;
    }
    struct authority *a = m->authority;
    struct str y = STR_NONE, clear;
    v->getting = false;
    if (a->lead->held.open || strcmp(deal, a->have ? a->now.deal : "") != 0) {
        return;
    }
    if (result->error != NULL) {
        int code = result->error->code;
        v->answered = code == ERR_NOT_FOUND || code == ERR_UNSUPPORTED;
    } else if ((clear = mp_str(mp_get(result->result, "clear"))).n > 0 && clear.n < SEALED_KEY_SIZE && !a->have) {
        char *pem = xstrndup(clear.p, clear.n);
        if (pki_pair_fits(m->ca_pem, pem)) {
            hold_clear(m, pem);
        }
        pki_free_key(pem);
    } else {
        struct mp bin = mp_get(result->result, "part");
        int64_t x = mp_int(mp_get(result->result, "x"), 0);
        v->answered = true;
        v->got = mp_read_bin(&bin, &y) && y.n == sizeof v->share.y && x >= 1 && x <= PKI_SHARES_MAX;
        if (v->got) {
            v->share.x = (uint8_t)x;
            memcpy(v->share.y, y.p, y.n);
        }
    }
    if (a->have && !a->lead->held.open) {
        try_to_join(m);
    }
    authority_lead(m);
}

static void take_own(struct master *m)
{
    struct authority *a = m->authority;
    struct voter *v = authority_voter(a, m->config.id);
    const struct part *p = a->have ? parts_find(a->own, a->now.deal) : NULL;
    if (v != NULL && !v->answered) {
        v->answered = true;
        v->got = p != NULL;
        if (p != NULL) {
            v->share = p->share;
        }
        try_to_join(m);
    }
}

static void gather(struct master *m)
{
    struct authority *a = m->authority;
    take_own(m);
    for (unsigned i = 0; i < SEALED_MEMBERS_MAX && !a->lead->held.open; i++) {
        struct voter *v = &a->lead->voters[i];
        bool wanted = a->have ? sealed_part_of(&a->now, v->id) != 0 : v->clear;
        bool again = v->answered && a->ticks % ASK_EVERY != 0; /* it had none: not so soon */
        if (v->id == 0 || v->id == m->config.id || v->getting || v->got || again || !wanted ||
            transport_session(m->transport, v->id) == NULL) {
            continue;
        }
        struct buf b = BUF_INIT;
        write_term(m, &b, 1);
        mp_write_key_str(&b, "deal", str_of(a->have ? a->now.deal : ""));
        v->getting = true;
        transport_call(m->transport, v->id, "ca.get", buf_str(&b), AUTHORITY_ASK_MS, got,
                       authority_question(m, v->id, a->have ? a->now.deal : ""));
        buf_close(&b);
    }
}

/* ---- What can be done now ---- */

/* The committed generation is another one than the keys that are held are from, or has another box. */
static void follow_committed(struct master *m)
{
    struct authority *a = m->authority;
    struct lead *l = a->lead;
    struct sealed s;
    if (!authority_committed(m, &s)) {
        l->held.split = false;
        return;
    }
    if (l->dealing && strcmp(l->deal.to.deal, s.deal) == 0) { /* ours */
        memcpy(l->held.deal, s.deal, sizeof s.deal);
        memcpy(l->held.key, l->deal.key, sizeof l->held.key);
        memcpy(l->held.shares, l->deal.shares, sizeof l->held.shares);
        l->held.threshold = s.threshold;
        l->held.split = true;
        for (unsigned i = 0; i < s.count; i++) {
            struct voter *v = authority_voter(a, s.members[i]);
            if (v != NULL) {
                v->has = l->deal.of[i].has;
            }
        }
        a->refresh = a->refresh == REFRESH_WANTED ? REFRESH_DONE : a->refresh;
        log_info(&m->log, "ca",
                 "generation %" PRIu64 " of the CA's key: %u parts, of which %u are needed, are with the masters",
                 s.generation, s.count, s.threshold);
        authority_drop_deal(a);
    }
    if (l->held.split && strcmp(l->held.deal, s.deal) == 0) {
        take_keys(m, &s);
    } else {
        l->held.split = false;
        for (unsigned i = 0; i < SEALED_MEMBERS_MAX; i++) {
            l->voters[i].has = l->voters[i].got = l->voters[i].answered = false;
        }
    }
}

void authority_follow(struct master *m)
{
    struct authority *a = m->authority;
    if (a->lead != NULL && a->lead->followed != a->revision) {
        a->lead->followed = a->revision;
        follow_committed(m);
    }
}

void authority_lead(struct master *m)
{
    struct authority *a = m->authority;
    struct lead *l = a->lead;
    if (l == NULL || m->stopping) {
        return;
    }
    note_voters(m);
    authority_follow(m);
    if (l->dealing) {
        authority_deal_advance(m);
        return;
    }
    if (!l->held.open && m->ca_key_pem != NULL && pki_pair_fits(m->ca_pem, m->ca_key_pem)) {
        hold_clear(m, m->ca_key_pem);
    }
    if (!l->held.open) {
        gather(m);
    }
    if (!l->held.open && a->refresh == REFRESH_WANTED && (a->lost || !a->have)) {
        l->held.open = true; /* without a key */
    }
    if (l->held.open && authority_wants_deal(m)) {
        authority_deal(m);
        return;
    }
    for (unsigned i = 0; i < SEALED_MEMBERS_MAX && l->held.split; i++) {
        struct voter *v = &l->voters[i];
        if (v->id != 0 && v->id != m->config.id && v->told && !v->has && !v->giving) {
            authority_give(m, v);
        }
    }
    if (l->held.split && sealed_part_of(&a->now, m->config.id) != 0 && parts_find(a->own, a->now.deal) == NULL &&
        env_now_ms(m->env) >= a->retry_ms) {
        authority_give(m, NULL);
    }
}

void authority_tick(struct master *m)
{
    struct authority *a = m->authority;
    if (a->lead == NULL || m->stopping) {
        return;
    }
    if (a->leaving != 0 && list_empty(&m->changes)) {
        a->leaving = 0;
    }
    authority_lead(m);
    if (a->lead != NULL) {
        ask_who_has(m);
    }
}

bool authority_settled(const struct master *m)
{
    const struct authority *a = m->authority;
    return a->lead != NULL && a->lead->held.open && a->lead->held.split && !a->lead->dealing;
}

/* No key is to be had, or not soon: the members do not wait for it. */
static bool goes_without(const struct master *m)
{
    const struct authority *a = m->authority;
    return !a->have || (!a->lead->held.open && (a->lost || env_now_ms(m->env) - a->since_ms >= WITHOUT_AFTER_MS));
}

bool authority_may_drop(struct master *m, uint64_t id)
{
    struct authority *a = m->authority;
    struct replica_member there;
    uint64_t want[SEALED_MEMBERS_MAX];
    bool votes[SEALED_MEMBERS_MAX];
    unsigned voters, up = 0;
    if (a->lead == NULL || id == m->config.id || !members_find(m, id, NULL, &there) || goes_without(m) ||
        (there.role != RAFT_VOTER && sealed_part_of(&a->now, id) == 0)) {
        return true;
    }
    a->leaving = id;
    unsigned n = authority_targets(m, want, votes, &voters);
    for (unsigned i = 0; i < n; i++) {
        up += votes[i] && members_up(m, want[i]);
    }
    /* Without a majority of the others the removal is refused as well (replica.h). */
    if (up < voters / 2 + 1 || (authority_settled(m) && authority_is_dealt(a, want, n, voters))) {
        return true;
    }
    authority_lead(m);
    return false;
}

bool authority_may_vote(struct master *m, uint64_t id)
{
    struct authority *a = m->authority;
    if (a->lead == NULL || goes_without(m)) {
        return true;
    }
    struct voter *v = authority_voter(a, id);
    if (v != NULL && !v->told && !v->asking && transport_session(m->transport, id) != NULL) {
        ask_one(m, v);
    }
    return v != NULL && (v->unable || (authority_settled(m) && v->has && sealed_part_of(&a->now, id) != 0));
}

/* ---- For the rotation ---- */

int authority_fresh(struct master *m, struct error *err)
{
    struct authority *a = m->authority;
    if (a->refresh == REFRESH_DONE && authority_settled(m)) {
        return 0;
    }
    if (!a->have && store_level(replica_store(m->replica)) < RELEASE_LEVEL_PARTS) {
        return error_set(
            err, ERR_NO_QUORUM,
            "the CA's key is in clear on the masters' disks (ca.key), and is replaced when it is in parts: "
            "that waits for the cluster's feature level %u, so for the upgrade of all masters",
            RELEASE_LEVEL_PARTS);
    }
    if (a->refresh == REFRESH_NO) {
        a->refresh = REFRESH_WANTED;
        a->retry_ms = 0;
        authority_lead(m);
    }
    for (unsigned i = 0; a->lead != NULL && i < SEALED_MEMBERS_MAX; i++) {
        if (a->lead->voters[i].unable) {
            return error_set(err, ERR_NO_QUORUM,
                             "master %" PRIu64 " is of a version that cannot keep a part of the CA's key: upgrade it",
                             a->lead->voters[i].id);
        }
    }
    return error_set(err, ERR_NO_QUORUM,
                     "the masters are just given new parts of the CA's key, or a majority of them does not answer; try "
                     "again, and see `rctl cert status`");
}

static int put_keys(struct master *m, struct txn *t, struct keyring *keys, const char *more_ca, struct error *err)
{
    struct authority *a = m->authority;
    const struct view *tip = store_tip(replica_store(m->replica));
    const struct object *o = tip == NULL ? NULL : sealed_in(tip);
    struct sealed s;
    if (!authority_settled(m) || o == NULL || o->revision != a->revision || !sealed_read(o, &s)) {
        return error_set(err, ERR_BUSY, "the masters are just given new parts of the CA's key; try again");
    }
    authority_cas(m, keys, more_ca, s.cas);
    return sealed_put(tip, t, &s, a->lead->held.key, keys, err);
}

int authority_add_key(struct master *m, struct txn *t, const char *ca_pem, const char *key_pem, struct error *err)
{
    struct authority *a = m->authority;
    if (!authority_settled(m)) {
        return error_set(err, ERR_BUSY, "the masters are just given new parts of the CA's key; try again");
    }
    struct keyring *keys = locked_new(sizeof *keys);
    const char *current = keyring_find(&a->lead->held.keys, m->ca_pem);
    int rv = 0;
    if (current != NULL) {
        keyring_add(keys, current); /* what else there may be is left over from a rotation */
    }
    rv = keyring_add(keys, key_pem) ? put_keys(m, t, keys, ca_pem, err)
                                    : error_set(err, ERR_TOO_LARGE, "the key of the new CA is too long");
    a->refresh = rv == 0 ? REFRESH_NO : a->refresh;
    locked_free(keys, sizeof *keys);
    return rv;
}

int authority_keep_key(struct master *m, struct txn *t, const char *ca_pem, struct error *err)
{
    struct authority *a = m->authority;
    const char *key = a->lead == NULL ? NULL : keyring_find(&a->lead->held.keys, ca_pem);
    if (key == NULL) {
        return error_set(err, ERR_NO_QUORUM, "the key of the new CA is not at hand");
    }
    struct keyring *keys = locked_new(sizeof *keys);
    keyring_add(keys, key);
    int rv = put_keys(m, t, keys, ca_pem, err);
    locked_free(keys, sizeof *keys);
    return rv;
}

void authority_cas(const struct master *m, const struct keyring *keys, const char *more_ca,
                   char out[SEALED_KEYS_MAX * 33 + 1])
{
    const char *const texts[] = {more_ca == NULL ? "" : more_ca, m->ca_pem};
    size_t n = 0;
    char print[33];
    out[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const char *at = texts[i];
        for (char *ca; (ca = pki_next_cert(&at)) != NULL; free(ca)) {
            if (keyring_find(keys, ca) != NULL && pki_cert_fingerprint(ca, print, NULL) == 0 &&
                strstr(out, print) == NULL && n + 34 <= SEALED_KEYS_MAX * 33 + 1) {
                n += (size_t)snprintf(out + n, 34, "%s%s", n == 0 ? "" : " ", print);
            }
        }
    }
}
