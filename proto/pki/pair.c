#include <assert.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "proto/pki/x509.h"

static char *next_path(const char *cert_path)
{
    return xasprintf("%s.next", cert_path);
}

bool pki_pair_fits(const char *cert_pem, const char *key_pem)
{
    X509 *cert = pki_x509_parse(cert_pem, NULL);
    EVP_PKEY *key = cert == NULL ? NULL : pki_key_parse(key_pem, NULL);
    bool fits = key != NULL && X509_check_private_key(cert, key) == 1;
    ERR_clear_error();
    EVP_PKEY_free(key);
    X509_free(cert);
    return fits;
}

int pki_write_pair(const char *cert_path, const char *key_path, const char *cert_pem, const char *key_pem,
                   struct error *err)
{
    assert(pki_pair_fits(cert_pem, key_pem));
    CLEANUP_FREE char *next = next_path(cert_path);
    int rv = pki_write_file(next, cert_pem, strlen(cert_pem), 0644, err);
    if (rv == 0 && failpoint(FAILPOINT_pair_before_key)) {
        return error_set(err, ERR_IO, "write %s: failpoint", key_path);
    }
    if (rv == 0) {
        rv = pki_write_file(key_path, key_pem, strlen(key_pem), 0600, err);
    }
    if (rv == 0 && failpoint(FAILPOINT_pair_before_cert)) {
        return error_set(err, ERR_IO, "write %s: failpoint", cert_path);
    }
    /* The rename of `next` would do, but for the directory's sync: writing again has all of it in one place. */
    if (rv == 0) {
        rv = pki_write_file(cert_path, cert_pem, strlen(cert_pem), 0644, err);
    }
    if (rv == 0) {
        unlink(next); /* lost in a crash, it comes back without harm: it belongs to the key as well */
    }
    return rv;
}

int pki_read_pair(const char *cert_path, const char *key_path, char **cert_pem, char **key_pem, struct error *err)
{
    *cert_pem = *key_pem = NULL;
    CLEANUP_FREE char *next = next_path(cert_path);
    CLEANUP_FREE char *next_pem = NULL;
    int rv = pki_read_file(cert_path, PKI_PEM_MAX, cert_pem, NULL, err);
    if (rv == 0) {
        rv = pki_read_file(key_path, PKI_PEM_MAX, key_pem, NULL, err);
    }
    if (rv != 0) {
        free(TAKE_PTR(*cert_pem));
        return rv;
    }
    if (pki_read_file(next, PKI_PEM_MAX, &next_pem, NULL, NULL) != 0) {
        return 0;
    }
    /* Interrupted: before the key was replaced (the old pair is whole), or after. */
    if (!pki_pair_fits(*cert_pem, *key_pem) && pki_pair_fits(next_pem, *key_pem)) {
        rv = pki_write_file(cert_path, next_pem, strlen(next_pem), 0644, err);
        if (rv != 0) {
            free(TAKE_PTR(*cert_pem));
            pki_free_key(TAKE_PTR(*key_pem));
            return rv;
        }
        free(*cert_pem);
        *cert_pem = TAKE_PTR(next_pem);
    }
    if (pki_pair_fits(*cert_pem, *key_pem)) {
        unlink(next);
    }
    return 0;
}
