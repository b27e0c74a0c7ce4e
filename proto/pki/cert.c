#include <arpa/inet.h>
#include <assert.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "proto/pki/x509.h"

#define CA_VALID_S (INT64_C(20) * 365 * 24 * 3600)
#define BACKDATE_S 300 /* clocks of a cluster's machines differ a little */
#define SANS_MAX   64

static int openssl_error(struct error *err, const char *what)
{
    char why[160];
    return error_set(err, ERR_INTERNAL, "%s: %s", what, pki_openssl_text(why));
}

static EVP_PKEY *make_key(struct error *err)
{
    ERR_clear_error();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL) {
        openssl_error(err, "make a key");
    }
    return key;
}

static char *bio_text(BIO *bio)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    return xstrndup(p, n < 0 ? 0 : (size_t)n);
}

static char *cert_text(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = PEM_write_bio_X509(bio, cert) == 1 ? bio_text(bio) : NULL;
    BIO_free(bio);
    return text;
}

static char *key_text(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *text = PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 ? bio_text(bio) : NULL;
    BIO_free(bio);
    return text;
}

/* X.520 ends a common name at 64 characters and OpenSSL with it, node names may have 253: the value is set as it is. */
static bool add_to_name(X509_NAME *name, int nid, const char *text)
{
    X509_NAME_ENTRY *entry =
        X509_NAME_ENTRY_create_by_NID(NULL, nid, V_ASN1_UTF8STRING, (const uint8_t *)text, (int)strlen(text));
    bool ok = entry != NULL && X509_NAME_add_entry(name, entry, -1, 0) == 1;
    X509_NAME_ENTRY_free(entry);
    return ok;
}

/* groups: of a user, as pki_sign_user takes them. */
static bool fill_name(X509_NAME *name, const char *organization, const char *groups, const char *common_name)
{
    bool ok = organization == NULL || add_to_name(name, NID_organizationName, organization);
    for (const char *g = groups == NULL ? "" : groups; ok && *g != '\0'; g += strlen(g) + 1) {
        ok = add_to_name(name, NID_organizationName, g);
    }
    return ok && add_to_name(name, NID_commonName, common_name);
}

static int check_name(const char *name, const char *what, struct error *err)
{
    size_t n = strlen(name);
    if (n == 0 || n > PKI_NAME_MAX) {
        return error_set(err, ERR_INVALID, "%s must have 1 to %d bytes, it has %zu", what, PKI_NAME_MAX, n);
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) {
            return error_set(err, ERR_INVALID, "%s has a control character at byte %zu", what, i);
        }
    }
    return 0;
}

static int check_identity(const struct pki_identity *who, struct error *err)
{
    if (pki_role_organization(who->role) == NULL && who->role != PKI_ROLE_USER) {
        return error_set(err, ERR_INVALID, "a certificate needs a role: master, node or admin");
    }
    return check_name(who->name, "the name in a certificate", err);
}

/* Positive, 80 random bits (RFC 5280 4.1.2.2, CA/Browser Forum 7.1), with the time of issue in it: pki_facts. */
static bool set_serial(X509 *cert, int64_t issued_ms)
{
    uint8_t bytes[PKI_SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1) {
        return false;
    }
    bytes[0] = PKI_SERIAL_DATED;
    for (int i = 0; i < PKI_SERIAL_TIME_BYTES; i++) {
        bytes[1 + i] = (uint8_t)((uint64_t)issued_ms >> (8 * (PKI_SERIAL_TIME_BYTES - 1 - i)));
    }
    BIGNUM *bn = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = bn != NULL && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
    BN_free(bn);
    return ok;
}

static bool set_validity(X509 *cert, int64_t from_s, int64_t until_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)until_s) != NULL;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *text)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, text);
    bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

/* PKI_LIMIT_OID. */
static bool add_limit(X509 *cert, int64_t limit_s)
{
    unsigned char *der = NULL;
    ASN1_OBJECT *oid = OBJ_txt2obj(PKI_LIMIT_OID, 1);
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    int size = number != NULL && ASN1_INTEGER_set_int64(number, limit_s) == 1 ? i2d_ASN1_INTEGER(number, &der) : 0;
    bool ok = oid != NULL && value != NULL && size > 0 && ASN1_OCTET_STRING_set(value, der, size) == 1;
    X509_EXTENSION *ext = ok ? X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value) : NULL;
    ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(value);
    ASN1_INTEGER_free(number);
    ASN1_OBJECT_free(oid);
    OPENSSL_free(der);
    return ok;
}

static GENERAL_NAME *general_name(const char *text)
{
    uint8_t ip[16];
    int ip_size = inet_pton(AF_INET, text, ip) == 1 ? 4 : inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;
    ASN1_STRING *value = ip_size > 0 ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (value == NULL ||
        ASN1_STRING_set(value, ip_size > 0 ? (const void *)ip : text, ip_size > 0 ? ip_size : (int)strlen(text)) != 1) {
        ASN1_STRING_free(value);
        return NULL;
    }
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (name == NULL) {
        ASN1_STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, ip_size > 0 ? GEN_IPADD : GEN_DNS, value);
    return name;
}

static bool is_dns_text(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= 253 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*") == n;
}

/* subjectAltName from a comma separated list. */
static int add_sans(X509 *cert, const char *sans, struct error *err)
{
    CLEANUP_FREE char *copy = xstrdup(sans);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    int rv = 0;
    char *save = NULL;
    for (char *s = strtok_r(copy, ", ", &save); s != NULL && rv == 0; s = strtok_r(NULL, ", ", &save)) {
        uint8_t ip[16];
        if (sk_GENERAL_NAME_num(names) == SANS_MAX) {
            rv = error_set(err, ERR_TOO_LARGE, "more than %d names and addresses for one certificate", SANS_MAX);
        } else if (!is_dns_text(s) && inet_pton(AF_INET6, s, ip) != 1) {
            rv = error_set(err, ERR_INVALID, "\"%s\" is neither a DNS name nor an IP address", s);
        } else {
            GENERAL_NAME *name = general_name(s);
            if (name == NULL || sk_GENERAL_NAME_push(names, name) <= 0) {
                GENERAL_NAME_free(name);
                rv = openssl_error(err, "add a name to a certificate");
            }
        }
    }
    if (rv == 0 && sk_GENERAL_NAME_num(names) > 0 && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) != 1) {
        rv = openssl_error(err, "add names to a certificate");
    }
    GENERAL_NAMES_free(names);
    return rv;
}

int pki_make_ca(const char *cluster_name, char **cert_pem, char **key_pem, struct error *err)
{
    assert(cluster_name != NULL && cert_pem != NULL && key_pem != NULL);
    int rv = check_name(cluster_name, "the cluster's name", err);
    if (rv != 0) {
        return rv;
    }
    EVP_PKEY *key = make_key(err);
    if (key == NULL) {
        return ERR_INTERNAL;
    }
    X509 *cert = X509_new();
    int64_t now = (int64_t)time(NULL);
    bool ok = cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert, now * 1000) &&
              set_validity(cert, now - BACKDATE_S, now + CA_VALID_S) &&
              fill_name(X509_get_subject_name(cert), "reeve:ca", NULL, cluster_name) &&
              X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 && X509_set_pubkey(cert, key) == 1 &&
              add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
              add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
              add_extension(cert, cert, NID_subject_key_identifier, "hash") && X509_sign(cert, key, EVP_sha256()) > 0;
    *cert_pem = ok ? cert_text(cert) : NULL;
    *key_pem = ok ? key_text(key) : NULL;
    rv = *cert_pem != NULL && *key_pem != NULL ? 0 : openssl_error(err, "make a CA");
    if (rv != 0) {
        free(TAKE_PTR(*cert_pem));
        pki_free_key(TAKE_PTR(*key_pem));
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return rv;
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* What the certificate of a role may be used for: only masters serve, everybody is a client. */
static const char *key_uses(enum pki_role role)
{
    return role == PKI_ROLE_MASTER ? "serverAuth,clientAuth" : "clientAuth";
}

/* limited: of no renewal (pki_sign_user). */
static int sign_cert(X509 *ca, EVP_PKEY *ca_key, EVP_PKEY *subject_key, const struct pki_identity *who,
                     const char *groups, const char *sans, int64_t valid_s, bool limited, int64_t issued_ms,
                     char **cert_pem, struct error *err)
{
    X509 *cert = X509_new();
    int64_t now = (int64_t)time(NULL);
    int64_t until = MIN(now + valid_s, pki_seconds(X509_get0_notAfter(ca)));
    int64_t backdate = valid_s < 0 ? BACKDATE_S : MIN(BACKDATE_S, valid_s / 10);
    int rv = 0;
    bool ok = cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 &&
              set_serial(cert, issued_ms > 0 ? issued_ms : now_ms()) &&
              set_validity(cert, MIN(now, until) - backdate, until) &&
              fill_name(X509_get_subject_name(cert), pki_role_organization(who->role), groups, who->name) &&
              X509_set_issuer_name(cert, X509_get_subject_name(ca)) == 1 && X509_set_pubkey(cert, subject_key) == 1 &&
              add_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(cert, ca, NID_key_usage, "critical,digitalSignature") &&
              add_extension(cert, ca, NID_ext_key_usage, key_uses(who->role)) &&
              add_extension(cert, ca, NID_authority_key_identifier, "keyid") && (!limited || add_limit(cert, valid_s));
    if (ok && sans != NULL) {
        rv = add_sans(cert, sans, err);
    }
    if (rv == 0) {
        *cert_pem = ok && X509_sign(cert, ca_key, EVP_sha256()) > 0 ? cert_text(cert) : NULL;
        rv = *cert_pem != NULL ? 0 : openssl_error(err, "sign a certificate");
    }
    X509_free(cert);
    return rv;
}

/* CA certificate and its key, checked to belong together and to be of use. */
static int load_ca(const char *cert_pem, const char *key_pem, X509 **cert, EVP_PKEY **key, struct error *err)
{
    *cert = pki_x509_parse(cert_pem, err);
    *key = *cert == NULL ? NULL : pki_key_parse(key_pem, err);
    if (*key == NULL) {
        X509_free(TAKE_PTR(*cert));
        error_wrap(err, "the cluster's CA");
        return ERR_INVALID;
    }
    int rv = 0;
    char date[PKI_DATE_SIZE];
    if (X509_check_ca(*cert) == 0) {
        rv = error_set(err, ERR_INVALID, "the certificate given as the cluster's CA is none");
    } else if (X509_check_private_key(*cert, *key) != 1) {
        rv = error_set(err, ERR_INVALID, "the key of the cluster's CA does not belong to its certificate");
    } else if (X509_cmp_current_time(X509_get0_notAfter(*cert)) < 0) {
        pki_date(X509_get0_notAfter(*cert), date);
        rv = error_set(err, ERR_INVALID, "the certificate of the cluster's CA expired on %s; it cannot sign", date);
    }
    ERR_clear_error();
    if (rv != 0) {
        X509_free(TAKE_PTR(*cert));
        EVP_PKEY_free(TAKE_PTR(*key));
    }
    return rv;
}

int pki_issue(const char *ca_cert_pem, const char *ca_key_pem, const struct pki_identity *who, const char *sans,
              int64_t valid_s, char **cert_pem, char **key_pem, struct error *err)
{
    assert(ca_cert_pem != NULL && ca_key_pem != NULL && who != NULL && cert_pem != NULL && key_pem != NULL);
    *cert_pem = *key_pem = NULL;
    X509 *ca;
    EVP_PKEY *ca_key;
    int rv = check_identity(who, err);
    if (rv != 0 || (rv = load_ca(ca_cert_pem, ca_key_pem, &ca, &ca_key, err)) != 0) {
        return rv;
    }
    EVP_PKEY *key = make_key(err);
    rv = key == NULL ? ERR_INTERNAL : sign_cert(ca, ca_key, key, who, NULL, sans, valid_s, false, 0, cert_pem, err);
    if (rv == 0 && (*key_pem = key_text(key)) == NULL) {
        rv = openssl_error(err, "write a key");
        free(TAKE_PTR(*cert_pem));
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    X509_free(ca);
    return rv;
}

int pki_make_request(const struct pki_identity *who, char **csr_pem, char **key_pem, struct error *err)
{
    assert(who != NULL && csr_pem != NULL && key_pem != NULL);
    *csr_pem = *key_pem = NULL;
    int rv = check_identity(who, err);
    if (rv != 0) {
        return rv;
    }
    EVP_PKEY *key = make_key(err);
    if (key == NULL) {
        return ERR_INTERNAL;
    }
    X509_REQ *req = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = req != NULL && bio != NULL && X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 &&
              fill_name(X509_REQ_get_subject_name(req), pki_role_organization(who->role), NULL, who->name) &&
              X509_REQ_set_pubkey(req, key) == 1 && X509_REQ_sign(req, key, EVP_sha256()) > 0 &&
              PEM_write_bio_X509_REQ(bio, req) == 1 && (*key_pem = key_text(key)) != NULL;
    if (ok) {
        *csr_pem = bio_text(bio);
    }
    rv = ok ? 0 : openssl_error(err, "make a certificate request");
    BIO_free(bio);
    X509_REQ_free(req);
    EVP_PKEY_free(key);
    return rv;
}

static int sign_request(const char *ca_cert_pem, const char *ca_key_pem, const char *csr_pem,
                        const struct pki_identity *who, const char *groups, const char *sans, int64_t valid_s,
                        bool limited, int64_t issued_ms, char **cert_pem, struct error *err)
{
    assert(ca_cert_pem != NULL && ca_key_pem != NULL && csr_pem != NULL && who != NULL && cert_pem != NULL);
    *cert_pem = NULL;
    int rv = check_identity(who, err);
    if (rv != 0) {
        return rv;
    }
    X509_REQ *req = pki_request_parse(csr_pem, err);
    if (req == NULL) {
        return ERR_INVALID;
    }
    X509 *ca;
    EVP_PKEY *ca_key;
    rv = load_ca(ca_cert_pem, ca_key_pem, &ca, &ca_key, err);
    if (rv == 0) {
        rv = sign_cert(ca, ca_key, X509_REQ_get0_pubkey(req), who, groups, sans, valid_s, limited, issued_ms, cert_pem,
                       err);
        EVP_PKEY_free(ca_key);
        X509_free(ca);
    }
    X509_REQ_free(req);
    return rv;
}

/* The request's subject is not looked at: the certificate's is `who`, which the caller has authenticated. */
int pki_sign_request(const char *ca_cert_pem, const char *ca_key_pem, const char *csr_pem,
                     const struct pki_identity *who, const char *sans, int64_t valid_s, int64_t issued_ms,
                     char **cert_pem, struct error *err)
{
    return sign_request(ca_cert_pem, ca_key_pem, csr_pem, who, NULL, sans, valid_s, false, issued_ms, cert_pem, err);
}

static int check_groups(const char *groups, struct error *err)
{
    unsigned count = 0;
    size_t size = 1;
    for (const char *g = groups; *g != '\0'; g += strlen(g) + 1) {
        int rv = check_name(g, "a group in a certificate", err);
        if (rv == 0 && strncmp(g, PKI_OWN_PREFIX, strlen(PKI_OWN_PREFIX)) == 0) {
            rv = error_set(err, ERR_INVALID, "group \"%s\": names with " PKI_OWN_PREFIX " are the cluster's own", g);
        }
        size += strlen(g) + 1;
        if (rv == 0 && (++count > PKI_GROUPS_MAX || size > PKI_GROUPS_SIZE)) {
            rv = error_set(err, ERR_INVALID, "too many groups: a certificate takes %u with %u bytes in all",
                           PKI_GROUPS_MAX, PKI_GROUPS_SIZE);
        }
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

int pki_sign_user(const char *ca_cert_pem, const char *ca_key_pem, const char *csr_pem, const char *name,
                  const char *groups, int64_t valid_s, bool limited, int64_t issued_ms, char **cert_pem,
                  struct error *err)
{
    struct pki_identity who = {.role = PKI_ROLE_USER};
    *cert_pem = NULL;
    int rv = check_name(name, "the name of a user", err);
    rv = rv != 0 ? rv : check_groups(groups, err);
    if (rv != 0) {
        return rv;
    }
    memcpy(who.name, name, strlen(name));
    return sign_request(ca_cert_pem, ca_key_pem, csr_pem, &who, groups, NULL, valid_s, limited, issued_ms, cert_pem,
                        err);
}

int pki_cert_groups(const char *cert_pem, char out[PKI_GROUPS_SIZE], struct error *err)
{
    struct pki_identity who;
    X509 *cert = pki_x509_parse(cert_pem, err);
    memset(out, 0, PKI_GROUPS_SIZE);
    if (cert == NULL) {
        return ERR_INVALID;
    }
    pki_x509_identity(cert, &who);
    if (who.role == PKI_ROLE_USER) {
        pki_x509_groups(cert, out);
    }
    X509_free(cert);
    return 0;
}

void pki_free_key(char *pem)
{
    if (pem != NULL) {
        mem_wipe(pem, strlen(pem));
        free(pem);
    }
}

int pki_cert_info(const char *cert_pem, struct pki_identity *who, int64_t *not_before_s, int64_t *not_after_s,
                  struct error *err)
{
    X509 *cert = pki_x509_parse(cert_pem, err);
    if (cert == NULL) {
        return ERR_INVALID;
    }
    if (who != NULL) {
        pki_x509_identity(cert, who);
    }
    if (not_before_s != NULL) {
        *not_before_s = pki_seconds(X509_get0_notBefore(cert));
    }
    if (not_after_s != NULL) {
        *not_after_s = pki_seconds(X509_get0_notAfter(cert));
    }
    X509_free(cert);
    return 0;
}

int pki_cert_facts(const char *cert_pem, struct pki_facts *out, struct error *err)
{
    X509 *cert = pki_x509_parse(cert_pem, err);
    if (cert == NULL) {
        return ERR_INVALID;
    }
    pki_x509_facts(cert, out);
    X509_free(cert);
    return 0;
}

int pki_cert_fingerprint(const char *cert_pem, char out[33], struct error *err)
{
    X509 *cert = pki_x509_parse(cert_pem, err);
    if (cert == NULL) {
        return ERR_INVALID;
    }
    uint8_t bytes[PKI_FINGERPRINT_SIZE];
    pki_x509_fingerprint(cert, bytes);
    pki_fingerprint_text(bytes, out);
    X509_free(cert);
    return 0;
}
