/* Certificates of others: renewing those of nodes and users, and telling who has which.
 *
 * The leader signs, for exactly the identity that the connection's certificate proves; what else stands in the
 * request is not looked at. Any master takes the request, and hands it on. A node that comes with an expired
 * certificate (pki.h: grace) may do this one thing, and only while its Node object is there: a node that was deleted
 * joins anew with a token. The master that it is connected to sees to that. What nodes have is soft state: the
 * leader knows it of those that are connected. */
#include "master/auth/certs.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "master/auth/allowance.h"
#include "master/auth/authority.h"
#include "master/auth/identity.h"
#include "master/auth/reseal.h"
#include "master/auth/revoked.h"
#include "master/auth/rotate.h"
#include "master/front/call.h"
#include "master/master.h"

#define WARNINGS_MAX 8u /* of nodes, by name; the rest is counted */

static int64_t now_s(const struct master *m)
{
    return env_wall_ms(m->env) / 1000;
}

/* ---- cert.renew ---- */

void certs_note_renewed(struct session *s, const char *cert)
{
    int64_t from_s, until_s;
    if (pki_cert_info(cert, NULL, &from_s, &until_s, NULL) == 0) {
        s->cert_from_s = from_s;
        s->cert_until_s = until_s;
        if (pki_issuer(s->m->ca_pem, cert, s->cert_ca, NULL) != 0) {
            s->cert_ca[0] = '\0';
        }
    }
}

static void sign(struct call *c)
{
    struct master *m = c->m;
    if (!replica_leading(m->replica)) {
        errand_to_leader(&c->e);
        return;
    }
    struct str csr = mp_str(call_param(c, "csr"));
    struct error err = {0};
    char *cert = NULL;
    int64_t until_s = 0;
    const struct pki_identity *who = &c->e.who->identity;
    char groups[PRINCIPAL_GROUPS_BYTES + 1];
    principal_own_groups(c->e.who, groups);
    int rv = authority_sign_groups(m, who, groups, 0, arena_strndup(&c->e.arena, csr.p, csr.n), NULL, &cert, &err);
    if (rv == 0) {
        rv = pki_cert_info(cert, NULL, NULL, &until_s, &err);
    }
    if (rv != 0) {
        call_fail(c, &err);
        free(cert);
        return;
    }
    char date[TIMEFMT_SIZE];
    timefmt_rfc3339(until_s * 1000, date);
    log_info(&m->log, "certs", "certificate of %s %s renewed, valid until %s",
             c->e.who->role == PKI_ROLE_NODE   ? "node"
             : c->e.who->role == PKI_ROLE_USER ? "user"
                                               : "admin",
             c->e.who->name, date);
    if (call_session(c) != NULL) {
        certs_note_renewed(call_session(c), cert);
    }
    m->stats.certificates++;
    struct buf b = BUF_INIT;
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "certificate", str_of(cert));
    mp_write_key_str(&b, "ca", str_of(rotate_trust(m))); /* whom to trust from now on */
    mp_write_key_str(&b, "notAfter", str_of(date));
    call_reply(c, &b);
    buf_close(&b);
    free(cert);
}

static void sign_late(struct call *c)
{
    const struct view *v = store_committed(replica_store(c->m->replica));
    if (view_get(v, kind_by_id(KIND_NODE), STR_NONE, str_of(c->e.who->name)) == NULL) {
        call_failf(
            c, ERR_FORBIDDEN,
            "the certificate of node %s has expired, and the cluster has no such node any more: join it anew with "
            "a token (rctl token create, reeve-agent join)",
            c->e.who->name);
        return;
    }
    sign(c);
}

/* False: the call has been failed. */
static bool may_renew(struct call *c)
{
    struct master *m = c->m;
    char who[PKI_NAME_MAX + 8]; /* another role is another identity */
    snprintf(who, sizeof who, "%d %s", (int)c->e.who->role, c->e.who->name);
    /* One that waited for a leader was counted when it came. */
    int64_t wait_ms = c->e.tries > 0 ? 0 : allowance_take(m->renewals, str_of(who), 1, env_now_ms(m->env));
    if (wait_ms == 0) {
        return true;
    }
    struct error err = {0};
    m->stats.renewals_refused++;
    error_set(&err, ERR_LIMIT,
              "cert.renew: %s \"%s\" has had its certificate renewed too often; the next request is looked at in "
              "%lld s (%d at once, then one in %d s)",
              c->e.who->role == PKI_ROLE_NODE ? "node" : "user", c->e.who->name, (long long)(wait_ms + 999) / 1000,
              CERTS_RENEW_BURST, CERTS_RENEW_US / 1000000);
    err.retry_after_ms = (int)wait_ms;
    call_fail(c, &err);
    return false;
}

static void method_cert_renew(struct call *c)
{
    struct str csr;
    if (!call_str(c, "csr", &csr, true)) {
        return;
    }
    if (c->e.who->role == PKI_ROLE_MASTER) {
        call_failf(c, ERR_FORBIDDEN, "cert.renew: masters renew their certificates themselves");
        return;
    }
    int64_t limit_s = c->e.who->facts.limit_s;
    if (limit_s > 0) { /* approved for that time, and no more; known here, where the certificate was shown */
        call_failf(c, ERR_FORBIDDEN,
                   "cert.renew: the certificate of user \"%s\" was made by a CertificateSigningRequest for %lld s, and "
                   "is not renewed: ask again by one",
                   c->e.who->name, (long long)limit_s);
        return;
    }
    const struct session *s = call_session(c);
    if (may_renew(c)) {
        call_read(c, s != NULL && s->expired ? sign_late : sign); /* as committed: this master may lag behind */
    }
}

const struct method request_cert_renew = {"cert.renew", method_cert_renew,
                                          METHOD_NODE | METHOD_LATE | METHOD_AGAIN | METHOD_OPEN, "csr"};

/* ---- cert.status ---- */

static void write_time(struct buf *b, const char *key, int64_t s)
{
    char date[TIMEFMT_SIZE];
    timefmt_rfc3339(s * 1000, date);
    mp_write_key_str(b, key, str_of(date));
}

/* Four members of a map. */
static void write_life(struct buf *b, int64_t from_s, int64_t until_s, enum pki_state state)
{
    write_time(b, "notBefore", from_s);
    write_time(b, "notAfter", until_s);
    write_time(b, "renewBy", pki_renew_at_s(from_s, until_s, 0));
    mp_write_key_str(b, "state", str_of(pki_state_text(state)));
}

static void write_own(struct master *m, struct buf *b)
{
    const struct identity *id = &m->identity;
    mp_write_cstr(b, "own");
    mp_write_map(b, 8 + 2 * (id->failures > 0));
    mp_write_cstr(b, "subject");
    CLEANUP_FREE char *subject = xasprintf("O=reeve:masters CN=%s", id->name);
    mp_write_cstr(b, subject);
    write_life(b, id->from_s, id->until_s, identity_state(m));
    mp_write_key_str(b, "serial", str_of(id->serial));
    mp_write_key_str(b, "ca", str_of(id->ca));
    mp_write_key_bool(b, "oldCa", rotate_is_old(m, id->ca));
    if (id->failures > 0) {
        mp_write_key_int(b, "failures", id->failures);
        mp_write_key_str(b, "error", str_of(id->error));
    }
}

static void write_node(struct master *m, struct buf *b, struct str name)
{
    const struct session *s = strmap_get(&m->agents, name);
    bool known = s != NULL && s->principal->role == PKI_ROLE_NODE;
    mp_write_map(b, known ? 9 : 2);
    mp_write_key_str(b, "name", name);
    mp_write_cstr(b, "subject");
    CLEANUP_FREE char *subject = xasprintf("O=reeve:nodes CN=%.*s", STR_ARG(name));
    mp_write_cstr(b, subject);
    if (known) {
        write_life(b, s->cert_from_s, s->cert_until_s,
                   pki_cert_state(false, s->cert_from_s, s->cert_until_s, now_s(m)));
        mp_write_key_str(b, "serial", str_of(s->principal->facts.serial)); /* of its connection here */
        mp_write_key_str(b, "ca", str_of(s->cert_ca));
        mp_write_key_bool(b, "oldCa", rotate_is_old(m, s->cert_ca));
    }
}

static void write_nodes(struct master *m, struct buf *b)
{
    const struct view *v = store_committed(replica_store(m->replica));
    const struct kind *k = kind_by_id(KIND_NODE);
    struct view_iter it;
    mp_write_cstr(b, "nodes");
    mp_write_array(b, (uint32_t)view_count(v, k));
    view_iter(&it, v, k, STR_NONE);
    VIEW_FOR(o, &it)
    {
        write_node(m, b, o->name);
    }
}

/* Answered by every master for itself, with or without a leader: expired certificates may be why there is none. */
void verb_cert_status(struct api_call *c)
{
    struct master *m = c->m;
    const struct identity *id = &m->identity;
    bool leading = replica_leading(m->replica);
    struct replica_member members[64];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    struct buf b = BUF_INIT;
    mp_write_map(&b, 5 + leading + rotate_under_way(m) + reseal_under_way(m));
    mp_write_key_int(&b, "id", (int64_t)m->config.id);
    rotate_write(m, &b);
    reseal_write(m, &b);
    authority_write(m, &b);
    mp_write_cstr(&b, "ca");
    mp_write_map(&b, 4);
    CLEANUP_FREE char *subject = xasprintf("O=reeve:ca CN=%s", m->config.cluster);
    mp_write_key_str(&b, "subject", str_of(subject));
    write_time(&b, "notBefore", id->ca_from_s);
    write_time(&b, "notAfter", id->ca_until_s);
    mp_write_key_str(&b, "state",
                     str_of(pki_state_text(pki_cert_state(true, id->ca_from_s, id->ca_until_s, now_s(m)))));
    write_own(m, &b);
    mp_write_cstr(&b, "members");
    mp_write_array(&b, n);
    for (unsigned i = 0; i < n; i++) {
        mp_write_map(&b, 2);
        mp_write_key_int(&b, "id", (int64_t)members[i].id);
        mp_write_key_str(&b, "address", str_of(members[i].address));
    }
    if (leading) {
        write_nodes(m, &b);
    }
    c->front->told(c, mp_of(b.data, b.size));
    buf_close(&b);
}

/* ---- Warnings ---- */

struct warnings {
    struct buf texts; /* encoded */
    uint32_t count;
    unsigned nodes;
};

static bool alarming(enum pki_state s)
{
    return s == PKI_STATE_EXPIRING || s == PKI_STATE_EXPIRED;
}

static void warn(struct warnings *w, const char *who, enum pki_state state, int64_t until_s, const char *more)
{
    char date[TIMEFMT_SIZE];
    timefmt_rfc3339(until_s * 1000, date);
    CLEANUP_FREE char *text =
        xasprintf("certificate of %s %s on %s%s%s", who, state == PKI_STATE_EXPIRED ? "expired" : "expires", date,
                  more[0] == '\0' ? "" : "; renewing it failed: ", more);
    mp_write_cstr(&w->texts, text);
    w->count++;
}

static void warn_nodes(struct master *m, struct warnings *w)
{
    size_t cursor = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&m->agents, &cursor)) != NULL) {
        const struct session *s = e->value;
        enum pki_state state = pki_cert_state(false, s->cert_from_s, s->cert_until_s, now_s(m));
        if (s->principal->role != PKI_ROLE_NODE || !alarming(state)) {
            continue;
        }
        if (w->nodes++ < WARNINGS_MAX) {
            CLEANUP_FREE char *who = xasprintf("node %s", s->principal->name);
            warn(w, who, state, s->cert_until_s, "");
        }
    }
    if (w->nodes > WARNINGS_MAX) {
        CLEANUP_FREE char *text =
            xasprintf("certificates of %u more nodes have expired or expire soon", w->nodes - WARNINGS_MAX);
        mp_write_cstr(&w->texts, text);
        w->count++;
    }
}

void certs_write_warnings(struct master *m, struct buf *b)
{
    const struct identity *id = &m->identity;
    struct warnings w = {.texts = BUF_INIT};
    enum pki_state ca = pki_cert_state(true, id->ca_from_s, id->ca_until_s, now_s(m)), own = identity_state(m);
    if (alarming(ca)) {
        warn(&w, "the cluster's CA", ca, id->ca_until_s, "");
    }
    if (alarming(own) || id->failures > 0) {
        CLEANUP_FREE char *who = xasprintf("master %" PRIu64, m->config.id);
        warn(&w, who, own, id->until_s, id->error);
    }
    if (authority_is_lost(m)) {
        mp_write_str(&w.texts, STR("no master has got the key of the cluster's CA: nobody can join, and no certificate "
                                   "is renewed; `rctl cert rotate-ca` gives the cluster a new CA"));
        w.count++;
    }
    warn_nodes(m, &w);
    mp_write_array(b, w.count);
    buf_append(b, w.texts.data, w.texts.size);
    buf_close(&w.texts);
}
