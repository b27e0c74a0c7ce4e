#include "client/cmd/renew.h"

#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "proto/pki/pki.h"

static int ask(struct rctl *r, const char *csr, const char *key, int64_t *until_s, struct error *err)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    struct pki_identity who, was;
    struct value *params = value_map(&r->arena);
    value_set(&r->arena, params, "csr", value_cstr(&r->arena, csr));
    int rc = api_read(r->api, "cert.renew", params, &reply, err);
    if (rc != 0) {
        return rc;
    }
    struct str cert = mp_str(mp_get(reply.result, "certificate"));
    const char *cert_pem = arena_strndup(&r->arena, cert.n == 0 ? "" : cert.p, cert.n);
    rc = pki_cert_info(cert_pem, &who, NULL, until_s, err);
    rc = rc != 0 ? rc : pki_cert_info(r->target.cert_pem, &was, NULL, NULL, err);
    if (rc == 0 && (who.role != was.role || strcmp(who.name, was.name) != 0 || !pki_pair_fits(cert_pem, key))) {
        rc = error_set(err, ERR_PROTOCOL, "the master certified something else than it was asked for");
    }
    struct str ca = mp_str(mp_get(reply.result, "ca")); /* an older master says nothing */
    const char *ca_pem = ca.n == 0 ? NULL : arena_strndup(&r->arena, ca.p, ca.n);
    struct net_tls *tls = NULL;
    if (rc == 0 && ca_pem != NULL) {
        rc = net_tls_new(ca_pem, cert_pem, key, NULL, &tls, err); /* else the next command could not connect */
        net_tls_unref(tls);
    }
    return rc != 0 ? rc : config_replace_cert(&r->config, &r->target, ca_pem, cert_pem, key, err);
}

int renew_now(struct rctl *r, int64_t *until_s, struct error *err)
{
    struct pki_identity who;
    char *csr, *key;
    int rc = config_check_replace(&r->config, &r->target, err); /* before a master signs in vain */
    rc = rc != 0 ? rc : pki_cert_info(r->target.cert_pem, &who, NULL, NULL, err);
    rc = rc != 0 ? rc : pki_make_request(&who, &csr, &key, err);
    if (rc != 0) {
        return rc;
    }
    rc = ask(r, csr, key, until_s, err);
    free(csr);
    pki_free_key(key);
    return rc;
}

static void tell_end(struct rctl *r, const struct error *why, int64_t until_s)
{
    char date[TIMEFMT_SIZE];
    timefmt_rfc3339(until_s * 1000, date);
    rctl_note(r, "warning: your client certificate expires on %s and is not renewed: %s", date, why->message);
}

bool renew_is_other(const struct rctl *r)
{
    const char *given = r->api == NULL ? "" : api_standing(r->api);
    return given[0] != '\0' && pki_stands_otherwise(r->target.ca_pem, r->target.cert_pem, given);
}

/* The cluster's CA is being replaced, or was. What fails is told only if the certificate will count no more; else
 * the next command tries again. */
static void renew_other(struct rctl *r)
{
    struct error err = {0};
    int64_t until_s;
    char issuer[33] = "";
    pki_issuer(r->target.ca_pem, r->target.cert_pem, issuer, NULL);
    bool same_ca = strncmp(issuer, api_standing(r->api), 32) == 0;
    int rc = renew_now(r, &until_s, &err);
    if (rc == 0 && !same_ca) {
        rctl_note(r, "note: the cluster's CA is being replaced: renewed the client certificate in %s", r->config.path);
    } else if (rc != 0 && rc != ERR_CONFLICT && !same_ca) {
        rctl_note(r,
                  "warning: the cluster's CA is being replaced, and your client certificate is not renewed, so it "
                  "will count no more: %s",
                  err.message);
    }
}

void renew_by_the_way(struct rctl *r)
{
    int64_t from_s, until_s, now_s = rctl_now_ms() / 1000;
    struct error err = {0};
    bool as_another = opt(r, "as") != NULL; /* whose certificate it is not */
    struct pki_facts facts;
    if (r->api == NULL || as_another || !r->config_loaded || pki_cert_facts(r->target.cert_pem, &facts, NULL) != 0) {
        return;
    }
    from_s = facts.from_s;
    until_s = facts.until_s;
    enum pki_state state = pki_cert_state(false, from_s, until_s, now_s);
    const char *refused = api_refused_masters(r->api), *had = r->target.refused == NULL ? "" : r->target.refused;
    if (refused != NULL && strcmp(refused, had) != 0) {
        config_set_refused(&r->config, &r->target, refused, NULL); /* if not, the next command tries again */
    }
    if (facts.limit_s > 0) { /* it was made for that time, and no master renews it */
        return;
    }
    if (renew_is_other(r)) {
        renew_other(r);
        return;
    }
    if (state == PKI_STATE_OK) {
        return;
    }
    int64_t new_until_s;
    int rc = renew_now(r, &new_until_s, &err);
    if (rc == 0) {
        char date[TIMEFMT_SIZE];
        timefmt_rfc3339(new_until_s * 1000, date);
        rctl_note(r, "note: renewed the client certificate in %s, valid until %s", r->config.path, date);
    } else if (rc != ERR_CONFLICT && state != PKI_STATE_RENEWING) { /* another rctl did it; or there is time left */
        tell_end(r, &err, until_s);
    }
}
