/* Who this master is: the CA, its own key and certificate, the key that seals Secrets; from files into use. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/master.h"

#define PEM_MAX (64u << 10)

/* What the data directory holds. */
struct files {
    char *ca_pem, *ca_key_pem, *cert_pem, *key_pem;
    uint8_t seal_key[32];
};

static void files_free(struct files *f)
{
    free(f->ca_pem);
    pki_free_key(f->ca_key_pem);
    free(f->cert_pem);
    pki_free_key(f->key_pem);
    explicit_bzero(f, sizeof *f);
}

static int read_seal_key(const struct master_config *c, uint8_t key[32], struct error *err)
{
    char path[600];
    char *hex = NULL;
    size_t size;
    master_config_path(c, "seal.key", path, sizeof path);
    int rv = pki_read_file(path, 256, &hex, &size, err);
    if (rv != 0) {
        return rv;
    }
    size_t digits = strspn(hex, "0123456789abcdefABCDEF");
    if (digits != 64 || digits + strspn(hex + digits, "\r\n") != size) {
        rv = error_set(err, ERR_CORRUPT, "%s is damaged: expected 64 hexadecimal digits", path);
    }
    for (size_t i = 0; i < 32 && rv == 0; i++) {
        sscanf(hex + 2 * i, "%2hhx", &key[i]);
    }
    pki_free_key(hex);
    return rv;
}

static int read_files(const struct master_config *c, struct files *f, struct error *err)
{
    const struct {
        const char *file;
        char **text;
    } rows[] = {
        {"ca.crt", &f->ca_pem}, {"ca.key", &f->ca_key_pem}, {"master.crt", &f->cert_pem}, {"master.key", &f->key_pem}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char path[600];
        master_config_path(c, rows[i].file, path, sizeof path);
        int rv = pki_read_file(path, PEM_MAX, rows[i].text, NULL, err);
        if (rv != 0) {
            return rv;
        }
    }
    return read_seal_key(c, f->seal_key, err);
}

/* Newcomers' certificates are signed with the CA's key: find out now, not when the first one joins, that it is of no use. */
static int check_ca_key(const struct master_config *c, const struct files *f, struct error *err)
{
    struct pki_identity who = {.role = PKI_ROLE_NODE, .name = "trial"};
    char *cert = NULL, *key = NULL;
    struct net_tls *tls = NULL;
    int rv = pki_issue(f->ca_pem, f->ca_key_pem, &who, NULL, 60, &cert, &key, err);
    if (rv == 0) {
        rv = net_tls_new(f->ca_pem, cert, key, NULL, &tls, err);
    }
    net_tls_unref(tls);
    free(cert);
    pki_free_key(key);
    return rv == 0 ? 0 : error_wrap(err, "ca.key does not belong to ca.crt in %s", c->dir);
}

static void set_tls(struct master *m, struct net_tls *tls)
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

int identity_load(struct master *m, struct error *err)
{
    assert(!m->stopping);
    struct files f = {0};
    struct net_tls *tls = NULL;
    int rv = read_files(&m->config, &f, err);
    if (rv == 0) {
        rv = net_tls_new(f.ca_pem, f.cert_pem, f.key_pem, NULL, &tls, err);
        if (rv != 0) {
            error_wrap(err, "master.crt, master.key and ca.crt in %s", m->config.dir);
        }
    }
    if (rv == 0) {
        rv = check_ca_key(&m->config, &f, err);
    }
    if (rv == 0) {
        free(m->ca_pem);
        pki_free_key(m->ca_key_pem);
        m->ca_pem = TAKE_PTR(f.ca_pem);
        m->ca_key_pem = TAKE_PTR(f.ca_key_pem);
        memcpy(m->seal_key, f.seal_key, sizeof m->seal_key);
        set_tls(m, TAKE_PTR(tls));
    }
    net_tls_unref(tls);
    files_free(&f);
    return rv;
}
