/* Certificate requests (PKCS #10, RFC 2986) as others bring them: OpenSSL reads them, and what it would take too long
 * for, or would ask somebody at the terminal, is refused first. */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/pki/x509.h"

#define KEY_BITS_MIN  112 /* of security: RSA 2048, P-224 */
#define RSA_BITS_MAX  8192
#define RSA_E_BYTES   4 /* of the public exponent: more makes checking a signature slow */
#define ALT_NAMES_MAX 64
#define BEGIN         "-----BEGIN "
#define REQUEST_LABEL "CERTIFICATE REQUEST-----"
#define CERT_LABEL    "CERTIFICATE-----"
#define SYSTEM_PREFIX "system:"
#define MASTERS_GROUP "system:masters"

/* ---- Keys ---- */

static bool rsa_is_quick(const EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    bool quick = EVP_PKEY_get_bits(key) <= RSA_BITS_MAX && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
                 BN_num_bytes(e) <= RSA_E_BYTES;
    BN_free(e);
    return quick;
}

static bool curve_is_named(const EVP_PKEY *key)
{
    char name[64];
    size_t n = 0;
    return EVP_PKEY_get_group_name(key, name, sizeof name, &n) == 1 && n > 0;
}

/* Before anything is calculated with it. NULL: it will do. */
static const char *key_fault(const EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        if (!rsa_is_quick(key)) {
            return "the RSA key in the certificate request has more than 8192 bits, or an unusual exponent";
        }
        break;
    case EVP_PKEY_EC:
        if (!curve_is_named(key)) {
            return "the key in the certificate request is of a curve that has no name; use ECDSA P-256";
        }
        break;
    case EVP_PKEY_ED25519:
    case EVP_PKEY_ED448:
        break;
    default:
        return "the key in the certificate request is of an unknown sort; use RSA, ECDSA or Ed25519";
    }
    return EVP_PKEY_get_security_bits(key) < KEY_BITS_MIN
               ? "the key in the certificate request is too weak; use ECDSA P-256"
               : NULL;
}

/* ---- Reading ---- */

X509_REQ *pki_request_parse(const char *pem, struct error *err)
{
    size_t n = strnlen(pem, PKI_PEM_MAX + 1);
    BIO *bio = n > PKI_PEM_MAX ? NULL : BIO_new_mem_buf(pem, (int)n);
    X509_REQ *req = bio == NULL ? NULL : PEM_read_bio_X509_REQ(bio, NULL, pki_no_passphrase, NULL);
    BIO_free(bio);
    if (req == NULL) {
        ERR_clear_error();
        error_set(err, ERR_INVALID, "not a certificate request in PEM form");
        return NULL;
    }
    EVP_PKEY *key = X509_REQ_get0_pubkey(req);
    const char *fault = key == NULL ? "the certificate request has no key that can be read" : key_fault(key);
    if (fault == NULL && X509_REQ_verify(req, key) != 1) {
        fault = "the certificate request is not signed by its own key";
    }
    ERR_clear_error();
    if (fault != NULL) {
        error_set(err, ERR_INVALID, "%s", fault);
        X509_REQ_free(req);
        return NULL;
    }
    return req;
}

/* The text with a NUL behind it, if its first block of PEM has this label; the caller frees. */
static char *block_text(struct str text, const char *label, struct error *err)
{
    if (text.n > PKI_PEM_MAX) {
        error_set(err, ERR_INVALID, "the text is longer than %u bytes", PKI_PEM_MAX);
        return NULL;
    }
    if (text.n == 0 || memchr(text.p, '\0', text.n) != NULL) {
        error_set(err, ERR_INVALID, "not text in PEM form");
        return NULL;
    }
    char *copy = xstrndup(text.p, text.n);
    const char *begin = strstr(copy, BEGIN);
    if (begin == NULL || strncmp(begin + sizeof BEGIN - 1, label, strlen(label)) != 0) {
        error_set(err, ERR_INVALID, "PEM block type must be %.*s", (int)strlen(label) - 5, label);
        free(copy);
        return NULL;
    }
    return copy;
}

static X509_REQ *read_request(struct str text, struct error *err)
{
    CLEANUP_FREE char *pem = block_text(text, REQUEST_LABEL, err);
    return pem == NULL ? NULL : pki_request_parse(pem, err);
}

static void note_name(struct pki_subject *s, const char *name)
{
    s->own |= strncmp(name, PKI_OWN_PREFIX, strlen(PKI_OWN_PREFIX)) == 0;
    s->system |= strncmp(name, SYSTEM_PREFIX, strlen(SYSTEM_PREFIX)) == 0;
}

int pki_request_check(struct str text, struct pki_subject *out, struct error *err)
{
    X509_REQ *req = read_request(text, err);
    if (req == NULL) {
        return ERR_INVALID;
    }
    if (out != NULL) {
        const X509_NAME *subject = X509_REQ_get_subject_name(req);
        memset(out, 0, sizeof *out);
        if (!pki_subject_text(subject, NID_commonName, out->name, sizeof out->name)) {
            out->name[0] = '\0';
        }
        out->named = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, -1) >= 0;
        out->fits = pki_subject_groups(subject, out->groups);
        note_name(out, out->name);
        for (const char *g = out->groups; *g != '\0'; g += strlen(g) + 1) {
            note_name(out, g);
            out->masters |= strcmp(g, MASTERS_GROUP) == 0;
        }
    }
    ERR_clear_error();
    X509_REQ_free(req);
    return 0;
}

/* One line, of characters that can be shown. */
static void put_line(struct buf *out, BIO *bio)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    for (long i = 0; i < n; i++) {
        buf_putc(out, p[i] >= ' ' && p[i] < 0x7f ? p[i] : '?');
    }
    buf_putc(out, '\n');
}

void pki_request_names(struct str text, struct buf *out)
{
    X509_REQ *req = read_request(text, NULL);
    STACK_OF(X509_EXTENSION) *extensions = req == NULL ? NULL : X509_REQ_get_extensions(req);
    GENERAL_NAMES *names = extensions == NULL ? NULL : X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && i < ALT_NAMES_MAX; i++) {
        BIO *bio = BIO_new(BIO_s_mem());
        if (bio != NULL && GENERAL_NAME_print(bio, sk_GENERAL_NAME_value(names, i)) == 1) {
            put_line(out, bio);
        }
        BIO_free(bio);
    }
    if (sk_GENERAL_NAME_num(names) > ALT_NAMES_MAX) {
        buf_printf(out, "and %d more\n", sk_GENERAL_NAME_num(names) - ALT_NAMES_MAX);
    }
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    ERR_clear_error();
    X509_REQ_free(req);
}

int pki_certs_check(struct str text, struct error *err)
{
    CLEANUP_FREE char *pem = block_text(text, CERT_LABEL, err);
    if (pem == NULL) {
        return ERR_INVALID;
    }
    for (const char *at = pem; (at = strstr(at, BEGIN)) != NULL; at += sizeof BEGIN - 1) {
        if (strncmp(at + sizeof BEGIN - 1, CERT_LABEL, sizeof CERT_LABEL - 1) != 0) {
            return error_set(err, ERR_INVALID, "only PEM blocks of the type CERTIFICATE are allowed");
        }
        X509 *cert = pki_x509_parse(at, err);
        if (cert == NULL) {
            return ERR_INVALID;
        }
        X509_free(cert);
    }
    return 0;
}

/* ---- Of requests that are known to be PEM text ---- */

int pki_request_fingerprint(const char *csr_pem, char out[33], struct error *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned char *der = NULL;
    unsigned n = 0;
    out[0] = '\0';
    X509_REQ *req = pki_request_parse(csr_pem, err);
    if (req == NULL) {
        return ERR_INVALID;
    }
    int size = i2d_PUBKEY(X509_REQ_get0_pubkey(req), &der);
    bool ok = size > 0 && EVP_Digest(der, (size_t)size, digest, &n, EVP_sha256(), NULL) == 1;
    char why[160];
    if (ok) {
        pki_fingerprint_text(digest, out);
    }
    OPENSSL_free(der);
    X509_REQ_free(req);
    return ok ? 0 : error_set(err, ERR_INTERNAL, "the public key of a certificate request: %s", pki_openssl_text(why));
}

bool pki_request_fits(const char *csr_pem, const char *key_pem)
{
    X509_REQ *req = pki_request_parse(csr_pem, NULL);
    EVP_PKEY *key = req == NULL ? NULL : pki_key_parse(key_pem, NULL);
    bool fits = key != NULL && X509_REQ_check_private_key(req, key) == 1;
    ERR_clear_error();
    EVP_PKEY_free(key);
    X509_REQ_free(req);
    return fits;
}
