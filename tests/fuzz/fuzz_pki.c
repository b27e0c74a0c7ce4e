/* PEM texts: certificates, keys and requests, as a joining master or node sends them. The first byte says how the rest
 * is used: bit 0: as text, or as DER that gets a PEM frame; bit 1: of a request, or of a certificate. */
#include <openssl/err.h>

#include "proto/pki/x509.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

static char *ca_cert, *ca_key;

static char *frame(struct str der, const char *what)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "-----BEGIN %s-----\n", what);
    size_t n;
    for (size_t at = 0; at < der.n; at += n) {
        n = MIN((size_t)48, der.n - at);
        base64_write(&b, der.p + at, n);
        buf_putc(&b, '\n');
    }
    buf_printf(&b, "-----END %s-----\n", what);
    buf_putc(&b, '\0');
    return (char *)buf_take(&b, &n);
}

static void check_request(const char *pem)
{
    const struct pki_identity who = {PKI_ROLE_NODE, "n1"};
    struct pki_identity back;
    char *cert = NULL;
    int64_t from, until;
    struct error err = {0};
    int rc = pki_sign_request(ca_cert, ca_key, pem, &who, "localhost,127.0.0.1", 3600, 0, &cert, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return;
    }
    /* Whatever the request asked for, the certificate says what the signer said. */
    CHECK(pki_cert_info(cert, &back, &from, &until, &err) == 0);
    CHECK(back.role == PKI_ROLE_NODE && strcmp(back.name, "n1") == 0 && until - from < 2 * 3600);
    free(cert);
}

/* As spec.request of a CertificateSigningRequest: what counts there, counts for who signs. */
static void check_strangers_request(const char *pem)
{
    struct pki_subject subject;
    struct error err = {0};
    struct buf names = BUF_INIT;
    char *cert = NULL, print[33];
    int rc = pki_request_check(str_of(pem), &subject, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    } else {
        CHECK(pki_request_fingerprint(pem, print, NULL) == 0);
        pki_request_names(str_of(pem), &names);
        if (subject.name[0] != '\0' && !subject.own) {
            CHECK(pki_sign_user(ca_cert, ca_key, pem, subject.name, subject.groups, 600, true, 0, &cert, &err) == 0);
            free(cert);
        }
    }
    buf_close(&names);
}

static void check_cert(const char *pem)
{
    struct pki_identity who;
    int64_t from, until;
    char text[33], said[PKI_WHO_SIZE], date[PKI_DATE_SIZE];
    struct error err = {0};
    int rc = pki_cert_info(pem, &who, &from, &until, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    } else {
        CHECK(strlen(who.name) <= PKI_NAME_MAX);
    }
    rc = pki_cert_fingerprint(pem, text, &err);
    CHECK(rc == 0 ? strlen(text) == 32 : rc == err.code);
    X509 *x = pki_x509_parse(pem, NULL);
    if (x != NULL) {
        pki_x509_describe(x, said);
        pki_date(X509_get0_notAfter(x), date);
        X509_free(x);
    }
    EVP_PKEY_free(pki_key_parse(pem, NULL));
    CHECK(pki_certs_check(str_of(pem), NULL) != 0 ||
          pki_cert_info(strstr(pem, "-----BEGIN "), NULL, NULL, &until, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    if (ca_cert == NULL) {
        CHECK(pki_make_ca("fuzz", &ca_cert, &ca_key, &err) == 0);
    }
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f);
    bool request = (head & 2) != 0;
    struct str rest = fuzz_rest(&f);
    CLEANUP_FREE char *pem =
        head & 1 ? frame(rest, request ? "CERTIFICATE REQUEST" : "CERTIFICATE") : xstrndup(rest.p, rest.n);
    if (request) {
        check_request(pem);
        check_strangers_request(pem);
    } else {
        check_cert(pem);
    }
    CHECK(ERR_peek_error() == 0); /* what is left there would be blamed on the next connection */
    return 0;
}
