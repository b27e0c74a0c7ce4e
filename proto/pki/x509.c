#include "proto/pki/x509.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/timefmt.h"

const char *pki_openssl_text(char out[160])
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e == 0 ? NULL : ERR_reason_error_string(e);
    if (reason == NULL) {
        snprintf(out, 160, "error %lx", e);
    } else {
        snprintf(out, 160, "%s", reason);
    }
    ERR_clear_error();
    return out;
}

static BIO *pem_bio(const char *pem, const char *what, struct error *err)
{
    assert(pem != NULL);
    size_t n = strnlen(pem, PKI_PEM_MAX + 1);
    if (n > PKI_PEM_MAX) {
        error_set(err, ERR_INVALID, "%s: the text is longer than %u bytes", what, PKI_PEM_MAX);
        return NULL;
    }
    return BIO_new_mem_buf(pem, (int)n);
}

/* A key that asks for a pass phrase must not make a daemon wait at the terminal. */
int pki_no_passphrase(char *buf, int size, int rwflag, void *u)
{
    (void)buf, (void)size, (void)rwflag, (void)u;
    return -1;
}

X509 *pki_x509_parse(const char *pem, struct error *err)
{
    BIO *bio = pem_bio(pem, "certificate", err);
    if (bio == NULL) {
        return NULL;
    }
    ERR_clear_error();
    X509 *cert = PEM_read_bio_X509(bio, NULL, pki_no_passphrase, NULL);
    BIO_free(bio);
    if (cert == NULL) {
        char why[160];
        error_set(err, ERR_INVALID, "not a certificate in PEM form: %s", pki_openssl_text(why));
    }
    return cert;
}

EVP_PKEY *pki_key_parse(const char *pem, struct error *err)
{
    BIO *bio = pem_bio(pem, "key", err);
    if (bio == NULL) {
        return NULL;
    }
    ERR_clear_error();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, pki_no_passphrase, NULL);
    BIO_free(bio);
    if (key == NULL) {
        char why[160];
        error_set(err, ERR_INVALID, "not a private key in PEM form (without pass phrase): %s", pki_openssl_text(why));
    }
    return key;
}

/* False: it is not plain text of a fitting length. */
static bool entry_text(const X509_NAME *subject, int at, char *out, size_t size)
{
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool ok = n > 0 && (size_t)n < size;
    for (int i = 0; ok && i < n; i++) {
        ok = utf8[i] >= 0x20 && utf8[i] != 0x7f;
    }
    if (ok) {
        memcpy(out, utf8, (size_t)n);
        out[n] = '\0';
    }
    OPENSSL_free(utf8);
    return ok;
}

bool pki_subject_text(const X509_NAME *subject, int nid, char *out, size_t size)
{
    int at = X509_NAME_get_index_by_NID((X509_NAME *)subject, nid, -1);
    return at >= 0 && X509_NAME_get_index_by_NID((X509_NAME *)subject, nid, at) < 0 &&
           entry_text(subject, at, out, size);
}

static const struct {
    enum pki_role role;
    const char *organization, *word;
} roles[] = {
    {PKI_ROLE_MASTER, "reeve:masters", "master"},
    {PKI_ROLE_NODE, "reeve:nodes", "node"},
    {PKI_ROLE_ADMIN, "reeve:admins", "admin"},
    {PKI_ROLE_USER, NULL, "user"},
};

const char *pki_role_organization(enum pki_role role)
{
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (roles[i].role == role) {
            return roles[i].organization;
        }
    }
    return NULL;
}

const char *pki_role_word(enum pki_role role)
{
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (roles[i].role == role) {
            return roles[i].word;
        }
    }
    return "nobody";
}

bool pki_subject_groups(const X509_NAME *subject, char out[PKI_GROUPS_SIZE])
{
    size_t used = 0;
    unsigned count = 0;
    memset(out, 0, PKI_GROUPS_SIZE);
    for (int at = -1;;) {
        at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_organizationName, at);
        if (at < 0) {
            return true;
        }
        size_t room = PKI_GROUPS_SIZE - 1 - used;
        if (count++ == PKI_GROUPS_MAX || room < 2 || !entry_text(subject, at, out + used, room)) {
            memset(out, 0, PKI_GROUPS_SIZE);
            return false;
        }
        used += strlen(out + used) + 1;
    }
}

bool pki_x509_groups(const X509 *cert, char out[PKI_GROUPS_SIZE])
{
    return pki_subject_groups(X509_get_subject_name(cert), out);
}

/* One organisation of Reeve's own says a role. Beside others, or unknown, it makes the certificate nobody's: no group
 * of a user can be taken for a role. */
void pki_x509_identity(const X509 *cert, struct pki_identity *who)
{
    memset(who, 0, sizeof *who);
    const X509_NAME *subject = X509_get_subject_name(cert);
    char organization[64], groups[PKI_GROUPS_SIZE];
    if (!pki_subject_text(subject, NID_commonName, who->name, sizeof who->name)) {
        return;
    }
    if (pki_subject_text(subject, NID_organizationName, organization, sizeof organization)) {
        for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
            if (roles[i].organization != NULL && strcmp(roles[i].organization, organization) == 0) {
                who->role = roles[i].role;
                return;
            }
        }
    }
    bool user = pki_x509_groups(cert, groups) && X509_check_ca((X509 *)cert) == 0;
    for (const char *g = groups; user && *g != '\0'; g += strlen(g) + 1) {
        user = strncmp(g, PKI_OWN_PREFIX, strlen(PKI_OWN_PREFIX)) != 0;
    }
    who->role = user ? PKI_ROLE_USER : PKI_ROLE_NONE;
}

void pki_x509_describe(const X509 *cert, char out[PKI_WHO_SIZE])
{
    struct pki_identity who;
    pki_x509_identity(cert, &who);
    const char *word = who.role != PKI_ROLE_NONE     ? pki_role_word(who.role)
                       : X509_check_ca((X509 *)cert) ? "CA"
                                                     : "unknown";
    snprintf(out, PKI_WHO_SIZE, "%s %s", word, who.name[0] == '\0' ? "without name" : who.name);
}

/* How long before its issue a certificate's validity begins (pki/cert.c): five minutes, or a tenth of what was asked
 * for. */
static int64_t backdated_s(int64_t from_s, int64_t until_s)
{
    return MIN(INT64_C(300), MAX(until_s - from_s, 0) / 11);
}

/* What cannot be read is a limit, too. */
static int64_t limit_of(const X509 *cert)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(PKI_LIMIT_OID, 1);
    int at = oid == NULL ? -1 : X509_get_ext_by_OBJ(cert, oid, -1);
    ASN1_OBJECT_free(oid);
    if (at < 0) {
        return 0;
    }
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(cert, at));
    const unsigned char *der = ASN1_STRING_get0_data(value);
    ASN1_INTEGER *number = d2i_ASN1_INTEGER(NULL, &der, ASN1_STRING_length(value));
    int64_t limit_s = 0;
    bool good = number != NULL && ASN1_INTEGER_get_int64(&limit_s, number) == 1 && limit_s > 0;
    ASN1_INTEGER_free(number);
    ERR_clear_error();
    return good ? limit_s : 1;
}

void pki_x509_facts(const X509 *cert, struct pki_facts *out)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    const uint8_t *bytes = ASN1_STRING_get0_data(serial);
    int n = ASN1_STRING_length(serial);
    memset(out, 0, sizeof *out);
    for (int i = 0; i < n && 2 * i + 2 < PKI_SERIAL_SIZE; i++) {
        snprintf(out->serial + 2 * i, 3, "%02x", bytes[i]);
    }
    out->from_s = pki_seconds(X509_get0_notBefore(cert));
    out->until_s = pki_seconds(X509_get0_notAfter(cert));
    out->limit_s = limit_of(cert);
    if (n == PKI_SERIAL_BYTES && bytes[0] == PKI_SERIAL_DATED) {
        for (int i = 1; i <= PKI_SERIAL_TIME_BYTES; i++) {
            out->issued_ms = out->issued_ms << 8 | bytes[i];
        }
    } else {
        out->issued_ms = (out->from_s + backdated_s(out->from_s, out->until_s)) * 1000;
    }
}

void pki_x509_fingerprint(const X509 *cert, uint8_t out[PKI_FINGERPRINT_SIZE])
{
    uint8_t md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int rv = X509_digest(cert, EVP_sha256(), md, &n);
    assert(rv == 1 && n >= PKI_FINGERPRINT_SIZE);
    (void)rv;
    memcpy(out, md, PKI_FINGERPRINT_SIZE);
}

bool pki_pem_fingerprint(const char *pem, char out[33])
{
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL, md[SHA256_DIGEST_LENGTH];
    long size = 0;
    BIO *b = BIO_new_mem_buf(pem, -1);
    bool ok = b != NULL && PEM_read_bio(b, &name, &header, &der, &size) == 1;
    if (ok) {
        SHA256(der, (size_t)size, md);
        pki_fingerprint_text(md, out);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(b);
    ERR_clear_error();
    return ok;
}

void pki_fingerprint_text(const uint8_t print[PKI_FINGERPRINT_SIZE], char out[33])
{
    for (size_t i = 0; i < PKI_FINGERPRINT_SIZE; i++) {
        snprintf(out + 2 * i, 3, "%02x", print[i]);
    }
}

bool pki_fingerprint_parse(const char *text, uint8_t out[PKI_FINGERPRINT_SIZE])
{
    for (size_t i = 0; i < 2 * PKI_FINGERPRINT_SIZE; i++) {
        char c = text[i];
        int v = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (v < 0) {
            return false;
        }
        out[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : out[i / 2] | v);
    }
    return text[2 * PKI_FINGERPRINT_SIZE] == '\0';
}

int64_t pki_seconds(const ASN1_TIME *t)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(t, &tm) != 1) {
        return 0;
    }
    return (int64_t)timegm(&tm);
}

void pki_date(const ASN1_TIME *t, char out[PKI_DATE_SIZE])
{
    char text[TIMEFMT_SIZE];
    timefmt_rfc3339(pki_seconds(t) * 1000, text);
    snprintf(out, PKI_DATE_SIZE, "%.*s", PKI_DATE_SIZE - 1, text);
}
