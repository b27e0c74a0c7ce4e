#include "agent/link/renew.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"

#define OTHER_AGAIN_MS 60000

struct renew {
    struct renew_config config;
    char *ca_path, *cert_path, *key_path, *ca_pem;
    char *refused_path, *refused;
    int64_t from_s, until_s;
    int64_t due_ms;                                              /* wall clock */
    char standing[PKI_STANDING_SIZE], wanted[PKI_STANDING_SIZE]; /* ours; the one that the masters give now */
    char tried[PKI_STANDING_SIZE];                               /* asked for, and when again at the earliest */
    int64_t again_ms;
    unsigned failures;
    char error[ERROR_MESSAGE_MAX]; /* the last one that was told */
    char *key_pem;                 /* of the request under way; NULL: none is */
    renew_done_cb *done;
    void *data;
};

static void date_of(int64_t s, char out[TIMEFMT_SIZE])
{
    timefmt_rfc3339(s * 1000, out);
}

/* The certificate in use is this one. */
static int note_life(struct renew *r, const char *cert_pem, struct error *err)
{
    uint32_t random;
    if (pki_standing(r->ca_pem, cert_pem, r->standing, NULL) != 0) {
        r->standing[0] = '\0'; /* whoever makes TLS of it says what is wrong */
    }
    int rv = pki_cert_info(cert_pem, NULL, &r->from_s, &r->until_s, err);
    if (rv == 0) {
        env_random(r->config.env, &random, sizeof random);
        r->due_ms = pki_renew_at_s(r->from_s, r->until_s, random) * 1000;
        r->failures = 0;
        r->error[0] = '\0';
    }
    return rv;
}

int renew_new(const struct renew_config *c, struct renew **out, struct error *err)
{
    struct renew *r = xcalloc(1, sizeof *r);
    r->ca_path = xasprintf("%s/ca.pem", c->dir);
    CLEANUP_FREE char *cert_pem = NULL;
    r->config = *c;
    r->config.name = xstrdup(c->name);
    r->config.dir = NULL;
    r->cert_path = xasprintf("%s/agent.pem", c->dir);
    r->key_path = xasprintf("%s/agent.key", c->dir);
    r->refused_path = xasprintf("%s/masters.refused", c->dir);
    if (pki_read_file(r->refused_path, PKI_REFUSED_MAX, &r->refused, NULL, NULL) != 0 ||
        !pki_refused_valid(str_of(r->refused))) {
        free(r->refused);
        r->refused = xstrdup("");
    }
    int rv = pki_read_file(r->ca_path, PKI_PEM_MAX, &r->ca_pem, NULL, err);
    rv = rv != 0 ? rv : pki_read_file(r->cert_path, PKI_PEM_MAX, &cert_pem, NULL, err);
    rv = rv != 0 ? rv : note_life(r, cert_pem, err);
    if (rv != 0) {
        renew_free(r);
        return rv;
    }
    if (renew_expired(r)) {
        char date[TIMEFMT_SIZE];
        bool early = env_wall_ms(c->env) < r->from_s * 1000; /* signed while a clock ran ahead */
        date_of(early ? r->from_s : r->until_s, date);
        log_warn(c->log, "renew", "the certificate of this node %s %s: asking the masters for a new one",
                 early ? "is valid only from" : "expired on", date);
    }
    *out = r;
    return 0;
}

void renew_free(struct renew *r)
{
    if (r == NULL) {
        return;
    }
    assert(r->key_pem == NULL);
    free((char *)r->config.name);
    free(r->ca_path);
    free(r->cert_path);
    free(r->key_path);
    free(r->ca_pem);
    free(r->refused_path);
    free(r->refused);
    free(r);
}

/* Another try for the same standing waits a while: a master may not be able to give it. */
static bool is_other(const struct renew *r)
{
    return r->wanted[0] != '\0' && r->standing[0] != '\0' && strcmp(r->wanted, r->standing) != 0 &&
           (strcmp(r->wanted, r->tried) != 0 || env_now_ms(r->config.env) >= r->again_ms);
}

bool renew_due(const struct renew *r)
{
    int64_t now_ms = env_wall_ms(r->config.env);
    return r->key_pem == NULL && (now_ms >= r->due_ms || now_ms < r->from_s * 1000 || is_other(r));
}

void renew_told(struct renew *r, struct str standing)
{
    if (standing.n < sizeof r->wanted) {
        snprintf(r->wanted, sizeof r->wanted, "%.*s", STR_ARG(standing));
    }
}

bool renew_refuse(struct renew *r, struct str refused)
{
    struct error err = {0};
    if (!pki_refused_valid(refused) || str_is(refused, r->refused)) {
        return false;
    }
    free(r->refused);
    r->refused = refused.n == 0 ? xstrdup("") : xstrndup(refused.p, refused.n);
    log_info(r->config.log, "renew", "masters that count no more: %s", r->refused);
    if (pki_write_file(r->refused_path, r->refused, strlen(r->refused), 0644, &err) != 0) {
        log_warn(r->config.log, "renew", "the list of masters that count no more could not be kept: %s", err.message);
    }
    return true;
}

const char *renew_refused(const struct renew *r)
{
    return r->refused;
}

const char *renew_standing(const struct renew *r)
{
    return r->standing;
}

bool renew_expired(const struct renew *r)
{
    int64_t now_ms = env_wall_ms(r->config.env);
    return now_ms >= r->until_s * 1000 || now_ms < r->from_s * 1000;
}

bool renew_asking(const struct renew *r)
{
    return r->key_pem != NULL;
}

void renew_life(const struct renew *r, int64_t *from_s, int64_t *until_s)
{
    *from_s = r->from_s;
    *until_s = r->until_s;
}

/* ---- The answer ---- */

/* With an expired certificate each connection is such an attempt, every few seconds: the same reason is told ever
 * more rarely. */
static void note_failure(struct renew *r, const struct error *why)
{
    int64_t pause_ms = pki_renew_pause_ms(r->from_s, r->until_s, r->failures++);
    char date[TIMEFMT_SIZE], pause[TIMEFMT_SIZE];
    date_of(r->until_s, date);
    timefmt_age(pause_ms, pause);
    r->due_ms = env_wall_ms(r->config.env) + pause_ms;
    if (strcmp(r->error, why->message) == 0 && (r->failures & (r->failures - 1)) != 0) {
        return;
    }
    snprintf(r->error, sizeof r->error, "%s", why->message);
    log_warn(r->config.log, "renew", "renewing the certificate (valid until %s) failed, next attempt in %s: %s", date,
             pause, why->message);
}

/* A master that certifies something else than it was asked for is not to be trusted with the node's identity. */
static int check(const struct renew *r, const char *cert_pem, const char *key_pem, struct error *err)
{
    struct pki_identity who;
    int rv = pki_cert_info(cert_pem, &who, NULL, NULL, err);
    if (rv != 0) {
        return error_wrap(err, "the master's answer to cert.renew");
    }
    if (who.role != PKI_ROLE_NODE || strcmp(who.name, r->config.name) != 0 || !pki_pair_fits(cert_pem, key_pem)) {
        return error_set(err, ERR_PROTOCOL, "the master certified \"%s\" or another key instead of node \"%s\"",
                         who.name, r->config.name);
    }
    return 0;
}

/* The CAs, the certificate and its key, so that after a crash between any two steps what is there fits together: while
 * the pair is being replaced the former CAs are trusted as well. */
static int write_all(struct renew *r, const char *ca_pem, const char *cert_pem, const char *key_pem, struct error *err)
{
    bool same = strcmp(ca_pem, r->ca_pem) == 0;
    CLEANUP_FREE char *both = xasprintf("%s%s", ca_pem, r->ca_pem);
    int rv = same ? 0 : pki_write_file(r->ca_path, both, strlen(both), 0644, err);
    rv = rv != 0 ? rv : pki_write_pair(r->cert_path, r->key_path, cert_pem, key_pem, err);
    return rv != 0 || same ? rv : pki_write_file(r->ca_path, ca_pem, strlen(ca_pem), 0644, err);
}

/* ca_pem: whom the master says to trust from now on; "" from an older one: nothing changes. */
static struct net_tls *take(struct renew *r, const char *ca_pem, const char *cert_pem, const char *key_pem,
                            struct error *err)
{
    ca_pem = ca_pem[0] == '\0' ? r->ca_pem : ca_pem;
    struct net_tls *tls = NULL;
    struct error unwritten = {0};
    unsigned failures = r->failures;
    char date[TIMEFMT_SIZE];
    if (check(r, cert_pem, key_pem, err) != 0 || net_tls_new(ca_pem, cert_pem, key_pem, NULL, &tls, err) != 0) {
        return NULL;
    }
    int rv = write_all(r, ca_pem, cert_pem, key_pem, &unwritten);
    if (rv == 0 && ca_pem != r->ca_pem) { /* else the next renewal writes it */
        free(r->ca_pem);
        r->ca_pem = xstrdup(ca_pem);
    }
    note_life(r, cert_pem, NULL);
    date_of(r->until_s, date);
    log_info(r->config.log, "renew", "certificate renewed, valid until %s", date);
    if (rv != 0) {
        r->failures = failures;
        error_wrap(&unwritten, "the new one is used, but could not be kept");
        note_failure(r, &unwritten);
    }
    return tls;
}

static void on_answer(const struct rpc_result *result, void *data)
{
    struct renew *r = data;
    struct net_tls *tls = NULL;
    struct error err = {0};
    char *key_pem = TAKE_PTR(r->key_pem);
    if (result->error != NULL) {
        err = *result->error;
    } else {
        struct str cert = mp_str(mp_get(result->result, "certificate")), ca = mp_str(mp_get(result->result, "ca"));
        CLEANUP_FREE char *ca_pem = xstrndup(ca.n == 0 ? "" : ca.p, ca.n);
        CLEANUP_FREE char *cert_pem = xstrndup(cert.n == 0 ? "" : cert.p, cert.n);
        tls = take(r, ca_pem, cert_pem, key_pem, &err);
    }
    pki_free_key(key_pem);
    if (tls == NULL && err.code != ERR_CLOSED) { /* the next session asks again */
        note_failure(r, &err);
    }
    r->done(tls, tls == NULL ? &err : NULL, r->data);
}

void renew_send(struct renew *r, struct rpc_session *rpc, int64_t timeout_ms, renew_done_cb *done, void *data)
{
    assert(r->key_pem == NULL);
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    CLEANUP_BUF struct buf params = BUF_INIT;
    CLEANUP_FREE char *csr = NULL;
    struct error err;
    snprintf(who.name, sizeof who.name, "%s", r->config.name);
    if (pki_make_request(&who, &csr, &r->key_pem, &err) != 0) {
        log_error(r->config.log, "renew", "a request for a certificate: %s", err.message); /* no memory, no entropy */
        abort();
    }
    r->done = done;
    r->data = data;
    snprintf(r->tried, sizeof r->tried, "%s", r->wanted);
    r->again_ms = env_now_ms(r->config.env) + OTHER_AGAIN_MS;
    mp_write_map(&params, 1);
    mp_write_key_str(&params, "csr", str_of(csr));
    rpc_call(rpc, "cert.renew", buf_str(&params), timeout_ms, on_answer, r);
}
