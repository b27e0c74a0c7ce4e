/* Certificates that connections have now, one row each.
 *
 * OpenSSL keeps the peer's certificate as long as the connection, and takes some KiB for it. A user has many
 * connections with one certificate, so they have one copy of it, and of what is read out of it. A row comes with the
 * first of them and goes with the last one. Handshakes are done on a thread beside the loop (net/worker.h), hence the
 * lock. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/net/net_int.h"

static struct str key_of(const struct net_known *k)
{
    return (struct str){(const char *)k->print, sizeof k->print};
}

/* The row of a certificate, byte by byte the same; NULL: there is none. */
static struct net_known *find(const struct net_tls *t, const X509 *cert, const uint8_t print[PKI_FINGERPRINT_SIZE])
{
    struct net_known *k = strmap_get(&t->known, (struct str){(const char *)print, PKI_FINGERPRINT_SIZE});
    return k != NULL && X509_cmp(k->cert, cert) == 0 ? k : NULL;
}

X509 *net_known_cert(struct net_tls *t, const X509 *cert)
{
    uint8_t print[PKI_FINGERPRINT_SIZE];
    pki_x509_fingerprint(cert, print);
    uv_mutex_lock(&t->known_lock);
    struct net_known *k = find(t, cert, print);
    X509 *same = k == NULL ? NULL : k->cert;
    if (same != NULL) {
        X509_up_ref(same);
    }
    uv_mutex_unlock(&t->known_lock);
    return same;
}

/* What is read out of the certificate. */
static struct net_known *row_new(X509 *cert, const char *ca)
{
    char groups[PKI_GROUPS_SIZE] = "";
    struct pki_identity who;
    pki_x509_identity(cert, &who);
    if (who.role == PKI_ROLE_USER) {
        pki_x509_groups(cert, groups);
    }
    size_t n = 0;
    while (groups[n] != '\0') {
        n += strlen(groups + n) + 1;
    }
    struct net_known *k = xcalloc(1, sizeof *k + n + 1);
    memcpy(k->groups, groups, n);
    k->refs = 1;
    k->who = who;
    pki_x509_facts(cert, &k->facts);
    memcpy(k->facts.ca, ca, sizeof k->facts.ca);
    pki_x509_fingerprint(cert, k->print);
    X509_up_ref(cert);
    k->cert = cert;
    return k;
}

struct net_known *net_known_get(struct net_tls *t, X509 *cert, const char ca[33])
{
    struct net_known *fresh = row_new(cert, ca);
    uv_mutex_lock(&t->known_lock);
    struct net_known *k = find(t, cert, fresh->print);
    if (k != NULL && strcmp(k->facts.ca, ca) == 0) {
        k->refs++;
    } else {
        k = TAKE_PTR(fresh);
        if (strmap_get(&t->known, key_of(k)) == NULL) { /* of another CA's chain: it has a row for itself */
            strmap_set(&t->known, key_of(k), k);
        }
    }
    uv_mutex_unlock(&t->known_lock);
    if (fresh != NULL) {
        X509_free(fresh->cert);
        free(fresh);
    }
    return k;
}

void net_known_give(struct net_tls *t, struct net_known *k)
{
    if (k == NULL) {
        return;
    }
    uv_mutex_lock(&t->known_lock);
    assert(k->refs > 0);
    bool last = --k->refs == 0;
    if (last && strmap_get(&t->known, key_of(k)) == k) {
        strmap_remove(&t->known, key_of(k));
    }
    uv_mutex_unlock(&t->known_lock);
    if (last) {
        X509_free(k->cert);
        free(k);
    }
}
