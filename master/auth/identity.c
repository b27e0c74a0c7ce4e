/* Who this master is: the CA, its own key and certificate, the keys that seal Secrets; from files into use.
 *
 * The certificate is renewed when two thirds of its life have passed (pki.h): this master makes a key and a request,
 * and the leader signs (authority.h: ca.sign). Listeners and transport take the new one for handshakes to come;
 * sessions that are open live on under the old one. If the new pair cannot be written (full disk), it is used all the
 * same and written with a later one.
 *
 *   request made --signed here, or by the leader--> pair written, on a worker thread --> in use
 *
 * A master that was off for too long starts with its expired certificate: the others take it for a year (pki.h:
 * PKI_EXPIRED_GRACE_S), as it takes theirs, so that all of them can find a leader, who signs new ones. So does one
 * whose certificate names another id (a recovery without the CA's key). */
#include "master/auth/identity.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "master/auth/authority.h"
#include "master/auth/rotate.h"
#include "master/auth/setup.h"
#include "master/master.h"

#define SIGN_MS 10000

/* What the data directory holds; ca_key_pem NULL: it is in parts (authority.h). */
struct files {
    char *ca_pem, *ca_key_pem, *cert_pem, *key_pem;
    struct pki_ring seal_keys;
};

static void files_free(struct files *f)
{
    free(f->ca_pem);
    pki_free_key(f->ca_key_pem);
    free(f->cert_pem);
    pki_free_key(f->key_pem);
    mem_wipe(f, sizeof *f);
}

static int read_files(const struct master_config *c, struct files *f, struct error *err)
{
    char path[600], key_path[600];
    int rv = setup_read_ca(c, &f->ca_pem, &f->ca_key_pem, err);
    if (rv == 0) {
        master_config_path(c, "master.crt", path, sizeof path);
        master_config_path(c, "master.key", key_path, sizeof key_path);
        rv = pki_read_pair(path, key_path, &f->cert_pem, &f->key_pem, err);
    }
    return rv != 0 ? rv : master_config_seal_keys(c, &f->seal_keys, err);
}

/* ---- Making a new one ---- */

static void own_identity(const struct master_config *c, struct pki_identity *who)
{
    *who = (struct pki_identity){.role = PKI_ROLE_MASTER};
    snprintf(who->name, sizeof who->name, "%" PRIu64, c->id);
}

static int write_files(const struct master_config *c, const char *cert_pem, const char *key_pem, struct error *err)
{
    char path[600], key_path[600];
    master_config_path(c, "master.crt", path, sizeof path);
    master_config_path(c, "master.key", key_path, sizeof key_path);
    return pki_write_pair(path, key_path, cert_pem, key_pem, err);
}

/* At the start: is the pair of files of use at all? One that is damaged or another CA's is not touched: a person
 * shall see it. Without ca.key it is taken into use as it is, and replaced when somebody signs. */
static int replace_if_useless(struct master *m, struct files *f, bool *useless, struct error *err)
{
    struct pki_identity who, we;
    int64_t from_s, until_s, now_ms = env_wall_ms(m->env);
    struct error why = {0};
    *useless = false;
    own_identity(&m->config, &we);
    if (!pki_pair_fits(f->cert_pem, f->key_pem) || pki_cert_info(f->cert_pem, &who, &from_s, &until_s, NULL) != 0) {
        return 0;
    }
    bool ours = who.role == we.role && strcmp(who.name, we.name) == 0;
    bool early = from_s * 1000 > now_ms; /* made while the clock ran ahead */
    if (ours && !early && until_s * 1000 > now_ms) {
        return 0;
    }
    char date[TIMEFMT_SIZE], *cert = NULL, *key = NULL;
    timefmt_rfc3339((early ? from_s : until_s) * 1000, date);
    if (ours) {
        log_warn(&m->log, "identity", "the certificate of this master %s %s: making a new one",
                 early ? "is valid only from" : "expired on", date);
    } else {
        log_warn(&m->log, "identity", "master.crt is not that of master %s: making a new one", we.name);
    }
    *useless = f->ca_key_pem == NULL;
    if (*useless) {
        return 0;
    }
    int rv = setup_issue(&m->config, f->ca_pem, f->ca_key_pem, &cert, &key, err);
    if (rv != 0) {
        return error_wrap(err, "a new certificate for this master with the CA in %s", m->config.dir);
    }
    if (write_files(&m->config, cert, key, &why) != 0) {
        log_warn(&m->log, "identity", "the new certificate is used, but could not be kept: %s", why.message);
    }
    free(f->cert_pem);
    pki_free_key(f->key_pem);
    f->cert_pem = cert;
    f->key_pem = key;
    return 0;
}

/* ---- Into use ---- */

static int make_tls(const char *ca_pem, const char *cert_pem, const char *key_pem, struct net_tls **out,
                    struct error *err)
{
    int rv = net_tls_new_lenient(ca_pem, cert_pem, key_pem, out, err);
    if (rv == 0) {
        net_tls_set_grace(*out, PKI_EXPIRED_GRACE_S);
        net_tls_set_late_masters(*out);
    }
    return rv;
}

static void use_tls(struct master *m, struct net_tls *tls)
{
    net_tls_unref(m->tls);
    m->tls = tls;
    for (unsigned i = 0; i < m->listeners_count; i++) {
        net_listener_set_tls(m->listeners[i], tls);
    }
    if (m->transport != NULL) {
        transport_set_tls(m->transport, tls);
    }
}

/* Takes tls; its certificate and key are these. */
static void use(struct master *m, struct net_tls *tls, const char *cert_pem, const char *key_pem)
{
    struct identity *id = &m->identity;
    uint32_t random;
    char *cert = xstrdup(cert_pem), *key = xstrdup(key_pem);
    use_tls(m, tls);
    free(id->cert_pem);
    pki_free_key(id->key_pem);
    id->cert_pem = cert;
    id->key_pem = key;
    if (pki_issuer(m->ca_pem, cert, id->ca, NULL) != 0) {
        id->ca[0] = '\0';
    }
    struct pki_facts facts;
    int rv = pki_cert_facts(cert, &facts, NULL);
    assert(rv == 0);
    id->from_s = facts.from_s;
    id->until_s = facts.until_s;
    memcpy(id->serial, facts.serial, sizeof id->serial);
    struct pki_identity who;
    rv = pki_cert_info(cert, &who, NULL, NULL, NULL);
    assert(rv == 0);
    snprintf(id->name, sizeof id->name, "%s", who.name);
    rv = pki_cert_info(m->ca_pem, NULL, &id->ca_from_s, &id->ca_until_s, NULL);
    assert(rv == 0);
    (void)rv;
    env_random(m->env, &random, sizeof random);
    id->due_ms = pki_renew_at_s(id->from_s, id->until_s, random) * 1000;
    id->failures = 0;
    id->useless = false;
    id->error[0] = '\0';
    if (id->until_s >= id->ca_until_s) {
        char date[TIMEFMT_SIZE];
        timefmt_rfc3339(id->ca_until_s * 1000, date);
        id->due_ms = INT64_MAX;
        log_warn(&m->log, "identity", "the cluster's CA expires on %s, and all certificates with it", date);
    }
}

int identity_load(struct master *m, struct error *err)
{
    assert(!m->stopping);
    struct files f = {0};
    struct net_tls *tls = NULL;
    bool useless = false;
    int rv = read_files(&m->config, &f, err);
    if (rv == 0) {
        rv = replace_if_useless(m, &f, &useless, err);
    }
    if (rv == 0) {
        rv = make_tls(f.ca_pem, f.cert_pem, f.key_pem, &tls, err);
        if (rv != 0) {
            error_wrap(err, "master.crt, master.key and ca.crt in %s", m->config.dir);
        }
    }
    if (rv == 0 && f.ca_key_pem != NULL) {
        /* It will be the cluster's, in parts: find out now, not when the first one joins, that it is of no use. */
        rv = setup_check_ca(f.ca_pem, f.ca_key_pem, err);
        if (rv != 0) {
            error_wrap(err, "ca.key does not belong to ca.crt in %s", m->config.dir);
        }
    }
    if (rv == 0) {
        free(m->ca_pem);
        pki_free_key(m->ca_key_pem);
        m->ca_pem = TAKE_PTR(f.ca_pem);
        m->ca_key_pem = TAKE_PTR(f.ca_key_pem);
        m->seal_keys = f.seal_keys;
        m->identity.generation++;
        use(m, TAKE_PTR(tls), f.cert_pem, f.key_pem);
        m->identity.useless = useless;
        rotate_restart(m);
    }
    net_tls_unref(tls);
    files_free(&f);
    return rv;
}

int identity_set_trust(struct master *m, const char *cas_pem, struct error *err)
{
    struct identity *id = &m->identity;
    struct net_tls *tls = NULL;
    int rv = make_tls(cas_pem, id->cert_pem, id->key_pem, &tls, err);
    if (rv != 0) {
        return rv;
    }
    free(m->ca_pem);
    m->ca_pem = xstrdup(cas_pem);
    use_tls(m, tls);
    rv = pki_cert_info(m->ca_pem, NULL, &id->ca_from_s, &id->ca_until_s, NULL);
    assert(rv == 0); /* make_tls has read it */
    return rv;
}

/* ---- Renewal ---- */

struct renewal {
    uv_work_t req;
    struct master *m;
    struct master_config config; /* copies: the worker thread touches nothing of the master's */
    unsigned generation;
    char *cert_pem, *key_pem; /* cert_pem NULL: nobody signed */
    struct error error;       /* code 0: made and written */
};

static void renewal_free(struct renewal *r)
{
    free(r->cert_pem);
    pki_free_key(r->key_pem);
    free(r);
}

static void note_failure(struct master *m, const struct error *why, unsigned failures)
{
    struct identity *id = &m->identity;
    int64_t pause_ms = pki_renew_pause_ms(id->from_s, id->until_s, failures);
    char date[TIMEFMT_SIZE], pause[TIMEFMT_SIZE];
    timefmt_rfc3339(id->until_s * 1000, date);
    timefmt_age(pause_ms, pause);
    id->failures = failures + 1;
    id->due_ms = env_wall_ms(m->env) + pause_ms;
    snprintf(id->error, sizeof id->error, "%.200s", why->message);
    log_warn(&m->log, "identity", "renewing the certificate (valid until %s) failed, next attempt in %s: %s", date,
             pause, why->message);
}

static void finish(struct master *m, struct renewal *r)
{
    struct net_tls *tls = NULL;
    struct error err = {0};
    unsigned failures = m->identity.failures;
    if (r->generation != m->identity.generation) {
        /* The files were replaced meanwhile, and we may have written over them: what is there is looked at again. */
        if (identity_load(m, &err) != 0) {
            note_failure(m, &err, failures);
        }
        return;
    }
    if (r->cert_pem == NULL) {
        note_failure(m, &r->error, failures);
    } else if (make_tls(m->ca_pem, r->cert_pem, r->key_pem, &tls, &err) != 0) {
        note_failure(m, &err, failures);
    } else {
        char date[TIMEFMT_SIZE];
        use(m, tls, r->cert_pem, r->key_pem);
        timefmt_rfc3339(m->identity.until_s * 1000, date);
        log_info(&m->log, "identity", "certificate renewed, valid until %s", date);
        if (r->error.code != 0) {
            error_wrap(&r->error, "the new one is used, but could not be kept");
            note_failure(m, &r->error, failures);
        }
    }
}

static void renewed(uv_work_t *req, int status)
{
    struct renewal *r = req->data;
    struct master *m = r->m;
    (void)status; /* never canceled */
    m->identity.renewing = false;
    if (!m->stopping) {
        finish(m, r);
    }
    renewal_free(r);
}

static void write_pair(uv_work_t *req)
{
    struct renewal *r = req->data;
    write_files(&r->config, r->cert_pem, r->key_pem, &r->error);
}

/* Signed, or not: cert_pem and error are filled in. */
static void go_on(struct renewal *r)
{
    struct master *m = r->m;
    int code = r->error.code;
    if (r->cert_pem != NULL && !pki_pair_fits(r->cert_pem, r->key_pem)) {
        free(TAKE_PTR(r->cert_pem));
        code = error_set(&r->error, ERR_PROTOCOL, "the leader has signed for another key");
    }
    if (r->cert_pem != NULL && !m->stopping) {
        r->req.data = r;
        int rv = uv_queue_work(&m->loop, &r->req, write_pair, renewed);
        assert(rv == 0); /* only a NULL callback is refused */
        (void)rv;
        return;
    }
    m->identity.renewing = false;
    /* Nobody leads, or the CA's key is just being put together: that will pass, and is looked at with the next
     * chore. */
    bool soon = code == ERR_NOT_LEADER || code == ERR_NO_QUORUM || code == ERR_CLOSED;
    if (!m->stopping && !soon && r->generation == m->identity.generation) {
        note_failure(m, &r->error, m->identity.failures);
    }
    renewal_free(r);
}

static void signed_by_leader(const struct rpc_result *result, void *data)
{
    struct renewal *r = data;
    if (result->error != NULL) {
        r->error = *result->error;
    } else {
        struct str cert = mp_str(mp_get(result->result, "certificate"));
        r->cert_pem = cert.n == 0 ? NULL : xstrndup(cert.p, cert.n);
        if (r->cert_pem == NULL) {
            error_set(&r->error, ERR_PROTOCOL, "the leader's answer to ca.sign has no certificate");
        }
    }
    go_on(r);
}

static void ask_leader(struct renewal *r, uint64_t leader, const char *csr, const char *sans)
{
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "csr", str_of(csr));
    mp_write_key_str(&b, "sans", str_of(sans));
    transport_call(r->m->transport, leader, "ca.sign", buf_str(&b), SIGN_MS, signed_by_leader, r);
    buf_close(&b);
}

void identity_tick(struct master *m)
{
    struct identity *id = &m->identity;
    int64_t now_ms = env_wall_ms(m->env);
    /* One from the future was made while the clock ran ahead: nobody would take it. After a failure the pause counts
     * all the same. */
    bool early = (now_ms < id->from_s * 1000 || id->useless) && id->failures == 0;
    bool other_ca = rotate_wants_own(m) && (id->failures == 0 || now_ms >= id->due_ms);
    if (id->renewing || m->stopping || (now_ms < id->due_ms && !early && !other_ca)) {
        return;
    }
    uint64_t leader = replica_leader(m->replica, NULL);
    bool here = replica_leading(m->replica) || m->ca_key_pem != NULL;
    if (here && rotate_delays_own(m)) {
        return;
    }
    if (!here && (leader == 0 || leader == m->config.id || transport_session(m->transport, leader) == NULL)) {
        return;
    }
    struct renewal *r = xcalloc(1, sizeof *r);
    struct pki_identity who;
    CLEANUP_FREE char *csr = NULL;
    char sans[SETUP_SANS_MAX];
    *r = (struct renewal){.m = m, .config = m->config, .generation = id->generation};
    own_identity(&m->config, &who);
    setup_sans(&m->config, sans, sizeof sans);
    id->renewing = true;
    if (pki_make_request(&who, &csr, &r->key_pem, &r->error) != 0) {
        go_on(r);
    } else if (here) {
        authority_sign(m, &who, csr, sans, &r->cert_pem, &r->error);
        go_on(r);
    } else {
        ask_leader(r, leader, csr, sans);
    }
}

enum pki_state identity_state(const struct master *m)
{
    return pki_cert_state(false, m->identity.from_s, m->identity.until_s, env_wall_ms(m->env) / 1000);
}
