/* What a master answers to the leader: which parts it has, its part, that a new one is on the disk; and what the leader
 * answers to others: their own certificates. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/auth/authority_int.h"
#include "master/auth/rotate.h"
#include "master/members/members.h"

static void refuse(struct rpc_request *req, const struct error *err)
{
    rpc_reply_error(req, err);
}

/* Who asks leads, as far as we know, in the term that we are in. Else the question has been answered. */
static bool from_leader(struct master *m, uint64_t peer_id, struct rpc_request *req, struct mp params)
{
    struct error err = {0};
    bool leads = peer_id != 0 && replica_leader(m->replica, NULL) == peer_id &&
                 mp_int(mp_get(params, "term"), -1) == (int64_t)replica_term(m->replica);
    if (!leads) {
        error_set(&err, ERR_NOT_LEADER, "master %" PRIu64 " does not lead, as far as master %" PRIu64 " knows", peer_id,
                  m->config.id);
        refuse(req, &err);
    }
    return leads;
}

static void tell(struct master *m, struct rpc_request *req, struct mp params)
{
    const struct authority *a = m->authority;
    struct buf b = BUF_INIT;
    if (a->have && mp_bool(mp_get(params, "settled"), false) && str_is(mp_str(mp_get(params, "deal")), a->now.deal)) {
        authority_settle(m, true);
    }
    mp_write_map(&b, 2);
    mp_write_key_bool(&b, "clear", m->ca_key_pem != NULL);
    mp_write_cstr(&b, "parts");
    mp_write_array(&b, a->own->count);
    for (unsigned i = 0; i < a->own->count; i++) {
        mp_write_cstr(&b, a->own->items[i].deal);
    }
    rpc_reply(req, buf_str(&b));
    buf_close(&b);
}

static void give(struct master *m, struct rpc_request *req, struct mp params)
{
    const struct authority *a = m->authority;
    struct str deal = mp_str(mp_get(params, "deal"));
    char name[PARTS_DEAL_SIZE];
    struct error err = {0};
    struct buf b = BUF_INIT;
    snprintf(name, sizeof name, "%.*s", STR_ARG(deal));
    const struct part *p = deal.n == PARTS_DEAL_SIZE - 1 ? parts_find(a->own, name) : NULL;
    if (p != NULL) {
        mp_write_map(&b, 2);
        mp_write_key_int(&b, "x", p->share.x);
        mp_write_cstr(&b, "part");
        mp_write_bin(&b, p->share.y, sizeof p->share.y);
    } else if (deal.n == 0 && !a->have && m->ca_key_pem != NULL) {
        mp_write_map(&b, 1);
        mp_write_key_str(&b, "clear", str_of(m->ca_key_pem));
    } else {
        error_set(&err, ERR_NOT_FOUND, "master %" PRIu64 " has no such part of the CA's key", m->config.id);
        refuse(req, &err);
        return;
    }
    rpc_reply(req, buf_str(&b));
    mem_wipe(b.data, b.size);
    buf_close(&b);
}

static void put(struct master *m, uint64_t peer_id, struct rpc_request *req, struct mp params)
{
    struct part part = {.generation = (uint64_t)mp_int(mp_get(params, "generation"), 0)};
    struct str deal = mp_str(mp_get(params, "deal")), y = STR_NONE;
    struct mp bin = mp_get(params, "part");
    int64_t x = mp_int(mp_get(params, "x"), 0);
    struct error err = {0};
    if (deal.n != PARTS_DEAL_SIZE - 1 || strspn(deal.p, "0123456789abcdef") < deal.n || x < 1 || x > PKI_SHARES_MAX ||
        !mp_read_bin(&bin, &y) || y.n != sizeof part.share.y) {
        error_set(&err, ERR_PROTOCOL, "ca.put from master %" PRIu64 ": malformed", peer_id);
        refuse(req, &err);
        return;
    }
    memcpy(part.deal, deal.p, deal.n);
    part.share.x = (uint8_t)x;
    memcpy(part.share.y, y.p, y.n);
    int rv = authority_keep_part(m, &part, &err);
    mem_wipe(&part, sizeof part);
    if (rv != 0) {
        log_warn_of(&m->log, "ca", "own part", "a part of the CA's key cannot be kept: %s", err.message);
        refuse(req, &err);
        return;
    }
    authority_settle(m, false);
    rpc_reply(req, STR("\x80"));
}

static void sign(struct master *m, uint64_t peer_id, struct rpc_request *req, struct mp params)
{
    struct pki_identity who = {.role = PKI_ROLE_MASTER};
    struct replica_member there;
    struct error err = {0};
    struct str csr = mp_str(mp_get(params, "csr")), sans = mp_str(mp_get(params, "sans"));
    CLEANUP_FREE char *csr_pem = xasprintf("%.*s", STR_ARG(csr));
    CLEANUP_FREE char *names = xasprintf("%.*s", STR_ARG(sans));
    CLEANUP_FREE char *cert = NULL;
    int rv;
    snprintf(who.name, sizeof who.name, "%" PRIu64, peer_id);
    if (!replica_leading(m->replica)) {
        rv = error_set(&err, ERR_NOT_LEADER, "master %" PRIu64 " does not lead", m->config.id);
    } else if (!members_find(m, peer_id, NULL, &there)) {
        rv = error_set(&err, ERR_FORBIDDEN, "master %" PRIu64 " is no member of the cluster", peer_id);
    } else if (rotate_delays_own(m)) {
        rv = error_set(&err, ERR_NO_QUORUM, "the cluster's CA is just being replaced");
    } else {
        rv = authority_sign(m, &who, csr_pem, names, &cert, &err);
    }
    if (rv != 0) {
        refuse(req, &err);
        return;
    }
    struct buf b = BUF_INIT;
    log_info(&m->log, "certs", "certificate of master %" PRIu64 " renewed", peer_id);
    mp_write_map(&b, 1);
    mp_write_key_str(&b, "certificate", str_of(cert));
    rpc_reply(req, buf_str(&b));
    buf_close(&b);
}

bool authority_on_request(struct master *m, uint64_t peer_id, struct rpc_request *req, struct str method,
                          struct mp params)
{
    bool has = str_is(method, "ca.has"), get = str_is(method, "ca.get"), put_it = str_is(method, "ca.put");
    if (str_is(method, "ca.sign")) {
        sign(m, peer_id, req, params);
        return true;
    }
    if (!has && !get && !put_it) {
        return false;
    }
    if (from_leader(m, peer_id, req, params)) {
        if (has) {
            tell(m, req, params);
        } else if (get) {
            give(m, req, params);
        } else {
            put(m, peer_id, req, params);
        }
    }
    return true;
}
