/* `reeve-master admin`. */
#include <signal.h>
#include <stdlib.h>

#include "master/auth/setup.h"
#include "master/master.h"

#define ASK_MS 15000

static int own_tls(const struct master_config *c, const char *ca, struct net_tls **out, struct error *err)
{
    char cert_path[600], key_path[600], *cert = NULL, *key = NULL;
    master_config_path(c, "master.crt", cert_path, sizeof cert_path);
    master_config_path(c, "master.key", key_path, sizeof key_path);
    int rv = pki_read_file(cert_path, PKI_PEM_MAX, &cert, NULL, err);
    rv = rv != 0 ? rv : pki_read_file(key_path, PKI_PEM_MAX, &key, NULL, err);
    rv = rv != 0 ? rv : net_tls_new(ca, cert, key, NULL, out, err);
    free(cert);
    pki_free_key(key);
    return rv;
}

static int ask(const struct master_config *c, struct net_tls *tls, const char *csr, struct buf *result,
               struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "csr", str_of(csr));
    mp_write_key_str(&b, "name", STR("admin"));
    mp_write_key_int(&b, "timeoutMs", ASK_MS - 5000);
    int rv = setup_call(tls, c->advertise, "cert.admin", buf_str(&b), ASK_MS, result, NULL, err);
    for (unsigned i = 0; rv != 0 && err_class(rv) == ERR_CLASS_RETRY && i < c->join_count; i++) {
        struct error other = {0};
        if (setup_call(tls, c->join_addresses[i], "cert.admin", buf_str(&b), ASK_MS, result, NULL, &other) == 0) {
            rv = 0;
        }
    }
    return rv == 0 ? 0
                   : error_wrap(err, "the CA's key is in parts at the masters, so the one that leads has to sign; "
                                     "this needs a majority of them, and best this one, to run");
}

static int online(const struct master_config *c, const char *ca, struct error *err)
{
    struct pki_identity who = {.role = PKI_ROLE_ADMIN, .name = "admin"};
    CLEANUP_BUF struct buf result = BUF_INIT;
    CLEANUP_FREE char *csr = NULL, *cert_pem = NULL, *ca_pem = NULL;
    char *key = NULL;
    struct net_tls *tls = NULL;
    signal(SIGPIPE, SIG_IGN);
    int rv = pki_make_request(&who, &csr, &key, err);
    rv = rv != 0 ? rv : own_tls(c, ca, &tls, err);
    rv = rv != 0 ? rv : ask(c, tls, csr, &result, err);
    if (rv == 0) {
        struct mp answer = mp_of(result.data, result.size);
        struct str cert = mp_str(mp_get(answer, "certificate")), cas = mp_str(mp_get(answer, "ca"));
        cert_pem = xasprintf("%.*s", STR_ARG(cert));
        ca_pem = xasprintf("%.*s", STR_ARG(cas));
        rv = pki_pair_fits(cert_pem, key) ? setup_write_admin(c, ca_pem, cert_pem, key, err)
                                          : error_set(err, ERR_PROTOCOL, "the leader has signed for another key");
    }
    net_tls_unref(tls);
    pki_free_key(key);
    return rv;
}

int setup_admin(const struct master_config *c, struct error *err)
{
    char *ca = NULL, *ca_key = NULL;
    int rv = setup_read_ca(c, &ca, &ca_key, err);
    if (rv == 0) {
        rv = ca_key != NULL ? setup_issue_admin(c, ca, ca_key, err) : online(c, ca, err);
    }
    free(ca);
    pki_free_key(ca_key);
    return rv;
}
