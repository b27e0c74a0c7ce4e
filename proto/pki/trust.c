/* Several CAs that are trusted at a time, as one text; and masters that are not trusted although a CA has signed
 * them. */
#include <assert.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/pki/x509.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END   "-----END CERTIFICATE-----"

/* ---- CAs ---- */

char *pki_next_cert(const char **at)
{
    const char *begin = *at == NULL ? NULL : strstr(*at, BEGIN), *end = begin == NULL ? NULL : strstr(begin, END);
    if (end == NULL) {
        *at = NULL;
        return NULL;
    }
    *at = end + strlen(END);
    return xasprintf("%.*s\n", (int)(*at - begin), begin);
}

char *pki_find_ca(const char *cas_pem, const char *fingerprint)
{
    char print[33];
    for (char *ca; (ca = pki_next_cert(&cas_pem)) != NULL; free(ca)) {
        if (pki_cert_fingerprint(ca, print, NULL) == 0 && strcmp(print, fingerprint) == 0) {
            return ca;
        }
    }
    return NULL;
}

char *pki_issuer_first(const char *cas_pem, const char *key_pem)
{
    const char *at = cas_pem;
    char *first = NULL;
    for (char *ca; first == NULL && (ca = pki_next_cert(&at)) != NULL;) {
        if (pki_pair_fits(ca, key_pem)) {
            first = ca;
        } else {
            free(ca);
        }
    }
    if (first == NULL) {
        return NULL;
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    buf_append_str(&out, str_of(first));
    at = cas_pem;
    for (char *ca; (ca = pki_next_cert(&at)) != NULL; free(ca)) {
        if (strcmp(ca, first) != 0) {
            buf_append_str(&out, str_of(ca));
        }
    }
    free(first);
    return xstrdup(buf_cstr(&out));
}

/* ---- Standing ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Fingerprints of the CAs, sorted, and a digest over them. More than TRUST_MAX are not looked at: nobody takes so
 * many (net.h). */
#define TRUST_MAX 16u
static void digest_of_prints(char (*prints)[33], unsigned n, char out[33])
{
    uint8_t md[SHA256_DIGEST_LENGTH];
    qsort(prints, n, sizeof prints[0], by_text);
    SHA256((const uint8_t *)prints, n * sizeof prints[0], md);
    pki_fingerprint_text(md, out);
}

static void digest_of(const char *cas_pem, char out[33])
{
    char prints[TRUST_MAX][33];
    unsigned n = 0;
    for (char *ca; n < TRUST_MAX && (ca = pki_next_cert(&cas_pem)) != NULL; free(ca)) {
        n += pki_cert_fingerprint(ca, prints[n], NULL) == 0;
    }
    digest_of_prints(prints, n, out);
}

int pki_issuer(const char *cas_pem, const char *cert_pem, char out[33], struct error *err)
{
    X509 *cert = pki_x509_parse(cert_pem, err);
    if (cert == NULL) {
        return ERR_INVALID;
    }
    int rv = ERR_NOT_FOUND;
    for (char *ca; rv != 0 && (ca = pki_next_cert(&cas_pem)) != NULL; free(ca)) {
        X509 *issuer = pki_x509_parse(ca, NULL);
        if (issuer != NULL && X509_verify(cert, X509_get0_pubkey(issuer)) == 1) {
            rv = pki_cert_fingerprint(ca, out, err);
        }
        X509_free(issuer);
    }
    ERR_clear_error();
    X509_free(cert);
    return rv == ERR_NOT_FOUND ? error_set(err, rv, "none of the CAs given has signed the certificate") : rv;
}

void pki_standing_text(const char *issuer, const char *cas_pem, char out[PKI_STANDING_SIZE])
{
    char digest[33];
    assert(strlen(issuer) <= 32);
    digest_of(cas_pem, digest);
    snprintf(out, PKI_STANDING_SIZE, "%s-%s", issuer, digest);
}

int pki_standing(const char *cas_pem, const char *cert_pem, char out[PKI_STANDING_SIZE], struct error *err)
{
    char issuer[33];
    int rv = pki_issuer(cas_pem, cert_pem, issuer, err);
    if (rv == 0) {
        pki_standing_text(issuer, cas_pem, out);
    }
    return rv;
}

/* What the standing is if there is one CA, of its text alone: OpenSSL reads a certificate much longer than that. */
static bool standing_under_one_ca(const char *cas_pem, char out[PKI_STANDING_SIZE])
{
    char print[1][33], digest[33];
    const char *at = cas_pem;
    CLEANUP_FREE char *ca = pki_next_cert(&at), *second = pki_next_cert(&at);
    bool one = ca != NULL && second == NULL && pki_pem_fingerprint(ca, print[0]);
    if (one) {
        digest_of_prints(print, 1, digest);
        snprintf(out, PKI_STANDING_SIZE, "%.32s-%.32s", print[0], digest);
    }
    return one;
}

bool pki_stands_otherwise(const char *cas_pem, const char *cert_pem, const char *standing)
{
    char own[PKI_STANDING_SIZE];
    if (standing_under_one_ca(cas_pem, own) && strcmp(own, standing) == 0) {
        return false; /* its own is the same, or none: another CA has signed it */
    }
    return pki_standing(cas_pem, cert_pem, own, NULL) == 0 && strcmp(own, standing) != 0;
}

/* ---- Masters that are refused ---- */

static bool next_word(struct str *text, struct str *word)
{
    while (text->n > 0 && *text->p == ' ') {
        text->p++;
        text->n--;
    }
    const char *end = text->n == 0 ? NULL : memchr(text->p, ' ', text->n);
    word->p = text->p;
    word->n = end == NULL ? text->n : (size_t)(end - text->p);
    text->p += word->n;
    text->n -= word->n;
    return word->n > 0;
}

/* Reads digits off the front; false: there are none, or the number is absurd. */
static bool take_number(struct str *s, uint64_t *out)
{
    size_t i = 0;
    for (*out = 0; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
        if (i == 19) {
            return false;
        }
        *out = *out * 10 + (uint64_t)(s->p[i] - '0');
    }
    s->p += i;
    s->n -= i;
    return i > 0;
}

static bool take_range(struct str word, uint64_t *from, uint64_t *to)
{
    if (!take_number(&word, from)) {
        return false;
    }
    *to = *from;
    if (word.n > 0 && *word.p == '-') {
        word.p++;
        word.n--;
        return take_number(&word, to) && word.n == 0 && *to >= *from;
    }
    return word.n == 0;
}

static bool is_serial(struct str word)
{
    bool ok = word.n > 1 && word.n <= PKI_SERIAL_SIZE && word.p[0] == '#';
    for (size_t i = 1; ok && i < word.n; i++) {
        ok = (word.p[i] >= '0' && word.p[i] <= '9') || (word.p[i] >= 'a' && word.p[i] <= 'f');
    }
    return ok;
}

bool pki_refused_valid(struct str refused)
{
    struct str word;
    uint64_t from, to;
    bool ok = refused.n < PKI_REFUSED_MAX;
    while (ok && next_word(&refused, &word)) {
        ok = take_range(word, &from, &to) || is_serial(word);
    }
    return ok;
}

bool pki_refused_has(struct str refused, const struct pki_identity *who, const char *serial)
{
    struct str word, name = str_of(who->name);
    uint64_t from, to, id = 0;
    bool master = who->role == PKI_ROLE_MASTER && take_number(&name, &id) && name.n == 0;
    while (master && next_word(&refused, &word)) {
        if (word.p[0] == '#' ? str_is((struct str){word.p + 1, word.n - 1}, serial)
                             : take_range(word, &from, &to) && id >= from && id <= to) {
            return true;
        }
    }
    return false;
}
