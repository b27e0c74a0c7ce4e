#include "proto/jwt/jwt.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/text.h"

#define HALF           32 /* bytes of a coordinate, and of each half of a signature */
#define COORDINATE_MAX 44 /* in base64url, with a NUL */

struct jwt_key {
    EVP_PKEY *pair;
    bool can_sign;
    char x[COORDINATE_MAX], y[COORDINATE_MAX], id[COORDINATE_MAX];
};

/* ---- Keys ---- */

static bool read_coordinate(EVP_PKEY *pair, const char *which, char out[COORDINATE_MAX])
{
    BIGNUM *n = NULL;
    uint8_t bytes[HALF];
    CLEANUP_BUF struct buf text = BUF_INIT;
    bool ok = EVP_PKEY_get_bn_param(pair, which, &n) == 1 && BN_bn2binpad(n, bytes, HALF) == HALF;
    BN_free(n);
    if (ok) {
        base64url_write(&text, bytes, HALF);
        memcpy(out, buf_cstr(&text), text.size + 1);
    }
    return ok;
}

/* RFC 7638: SHA-256 of the members that make the key, in the order of their names, without blanks. */
static void name_key(struct jwt_key *k)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    CLEANUP_BUF struct buf text = BUF_INIT;
    CLEANUP_BUF struct buf id = BUF_INIT;
    buf_printf(&text, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", k->x, k->y);
    SHA256(text.data, text.size, hash);
    base64url_write(&id, hash, sizeof hash);
    memcpy(k->id, buf_cstr(&id), id.size + 1);
}

/* Takes the pair. */
static int key_new(EVP_PKEY *pair, bool can_sign, struct jwt_key **out, struct error *err)
{
    char group[32] = "";
    size_t n;
    struct jwt_key *k = xcalloc(1, sizeof *k);
    k->pair = pair;
    k->can_sign = can_sign;
    bool ok = pair != NULL && EVP_PKEY_is_a(pair, "EC") == 1 &&
              EVP_PKEY_get_group_name(pair, group, sizeof group, &n) == 1 && strcmp(group, "prime256v1") == 0 &&
              read_coordinate(pair, OSSL_PKEY_PARAM_EC_PUB_X, k->x) &&
              read_coordinate(pair, OSSL_PKEY_PARAM_EC_PUB_Y, k->y);
    ERR_clear_error();
    if (!ok) {
        jwt_key_free(k);
        return error_set(err, ERR_INVALID, "no key for tokens: a PEM text with a key of the curve P-256 is needed");
    }
    name_key(k);
    *out = k;
    return 0;
}

int jwt_key_make(struct jwt_key **out, struct error *err)
{
    return key_new(EVP_EC_gen("P-256"), true, out, err);
}

/* A key is never asked for a passphrase. */
static int no_passphrase(char *buf, int size, int writes, void *data)
{
    (void)buf;
    (void)size;
    (void)writes;
    (void)data;
    return -1;
}

int jwt_key_parse(const char *pem, struct jwt_key **out, struct error *err)
{
    BIO *text = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *pair = PEM_read_bio_PrivateKey(text, NULL, no_passphrase, NULL);
    bool can_sign = pair != NULL;
    BIO_free(text);
    if (pair == NULL) {
        text = BIO_new_mem_buf(pem, -1);
        pair = PEM_read_bio_PUBKEY(text, NULL, no_passphrase, NULL);
        BIO_free(text);
    }
    return key_new(pair, can_sign, out, err);
}

static void take_pem(BIO *text, struct buf *out)
{
    char *p;
    long n = BIO_get_mem_data(text, &p);
    buf_reserve(out, (size_t)n);
    buf_append(out, p, (size_t)n);
    BIO_free(text);
}

bool jwt_key_write_private(const struct jwt_key *k, struct buf *out)
{
    BIO *text = BIO_new(BIO_s_secmem());
    bool ok =
        k->can_sign && text != NULL && PEM_write_bio_PKCS8PrivateKey(text, k->pair, NULL, NULL, 0, NULL, NULL) == 1;
    if (ok) {
        take_pem(text, out);
    } else {
        BIO_free(text);
    }
    return ok;
}

void jwt_key_write_public(const struct jwt_key *k, struct buf *out)
{
    BIO *text = BIO_new(BIO_s_mem());
    int ok = PEM_write_bio_PUBKEY(text, k->pair);
    assert(ok == 1);
    take_pem(text, out);
}

void jwt_key_free(struct jwt_key *k)
{
    if (k != NULL) {
        EVP_PKEY_free(k->pair);
        free(k);
    }
}

const char *jwt_key_id(const struct jwt_key *k)
{
    return k->id;
}

bool jwt_key_can_sign(const struct jwt_key *k)
{
    return k->can_sign;
}

struct value *jwt_key_to_jwk(const struct jwt_key *k, struct arena *a)
{
    const char *const members[][2] = {{"use", "sig"},   {"kty", "EC"}, {"kid", k->id}, {"crv", "P-256"},
                                      {"alg", "ES256"}, {"x", k->x},   {"y", k->y}};
    struct value *v = value_map(a);
    for (unsigned i = 0; i < ARRAY_SIZE(members); i++) {
        value_set(a, v, members[i][0], value_cstr(a, members[i][1]));
    }
    return v;
}

/* ---- Signatures: r and s one behind the other, where OpenSSL has them in DER ---- */

static bool make_signature(EVP_PKEY *pair, struct str text, uint8_t out[2 * HALF])
{
    uint8_t der[80];
    const uint8_t *p = der;
    size_t n = sizeof der;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ECDSA_SIG *sig = NULL;
    bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pair) == 1 &&
              EVP_DigestSign(ctx, der, &n, (const uint8_t *)text.p, text.n) == 1 &&
              (sig = d2i_ECDSA_SIG(NULL, &p, (long)n)) != NULL &&
              BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, HALF) == HALF &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + HALF, HALF) == HALF;
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

static bool is_signature(EVP_PKEY *pair, struct str text, const uint8_t in[2 * HALF])
{
    uint8_t *der = NULL;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(in, HALF, NULL), *s = BN_bin2bn(in + HALF, HALF, NULL);
    if (sig == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return false;
    }
    int n = i2d_ECDSA_SIG(sig, &der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = n > 0 && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pair) == 1 &&
              EVP_DigestVerify(ctx, der, (size_t)n, (const uint8_t *)text.p, text.n) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    ERR_clear_error();
    return ok;
}

/* ---- Tokens ---- */

int jwt_sign(const struct jwt_key *k, const struct value *claims, struct buf *out, struct error *err)
{
    assert(k->can_sign && value_is_map(claims));
    uint8_t signature[2 * HALF];
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf part = BUF_INIT;
    CLEANUP_BUF struct buf token = BUF_INIT;
    struct value *again;
    arena_init(&a);
    buf_printf(&part, "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"JWT\"}", k->id);
    base64url_write(&token, part.data, part.size);
    buf_putc(&token, '.');
    buf_reset(&part);
    json_write(&part, claims, 0);
    base64url_write(&token, part.data, part.size);
    if (token.size > JWT_SIZE_MAX - 100) {
        return error_set(err, ERR_TOO_LARGE, "a token of %zu bytes; one may have at most %u", token.size, JWT_SIZE_MAX);
    }
    if (json_read_most(&a, buf_str(&part), JWT_VALUES_MAX, &again, NULL) != 0) {
        return error_set(err, ERR_TOO_LARGE, "a token with more than %u values", JWT_VALUES_MAX);
    }
    if (!make_signature(k->pair, buf_str(&token), signature)) {
        return error_set(err, ERR_INTERNAL, "a token could not be signed");
    }
    buf_putc(&token, '.');
    base64url_write(&token, signature, sizeof signature);
    buf_append_str(out, buf_str(&token));
    return 0;
}

static int no_token(struct error *err, const char *why)
{
    return error_set(err, ERR_UNAUTHORIZED, "the token is not valid: %s", why);
}

/* The map that a part of the token is. */
static struct value *read_part(struct arena *a, struct str part)
{
    CLEANUP_BUF struct buf json = BUF_INIT;
    struct value *v = NULL;
    bool ok = base64url_read(&json, part) && json_read_most(a, buf_str(&json), JWT_VALUES_MAX, &v, NULL) == 0;
    return ok && value_is_map(v) ? v : NULL;
}

static struct str next_part(struct str *rest)
{
    const char *dot = rest->n == 0 ? NULL : memchr(rest->p, '.', rest->n);
    size_t n = dot == NULL ? rest->n : (size_t)(dot - rest->p);
    struct str part = {rest->p, n};
    *rest = (struct str){rest->p + n + (dot != NULL), rest->n - n - (dot != NULL)};
    return part;
}

int jwt_verify(struct str token, const struct jwt_key *const *keys, unsigned count, struct arena *a,
               struct value **claims, struct error *err)
{
    struct str rest = token;
    CLEANUP_BUF struct buf signature = BUF_INIT;
    if (token.n > JWT_SIZE_MAX) {
        return no_token(err, "it is too long");
    }
    struct str head = next_part(&rest), body = next_part(&rest), tail = rest;
    struct str text = {token.p, head.n + 1 + body.n};
    struct value *header = read_part(a, head);
    if (header == NULL || tail.n == 0 || !base64url_read(&signature, tail) || signature.size != 2 * HALF) {
        return no_token(err, "it is not three parts, a header, claims and a signature by ES256");
    }
    if (!str_is(value_to_str(value_get(header, "alg")), "ES256") || value_get(header, "crit") != NULL) {
        return no_token(err, "it is signed otherwise than by ES256");
    }
    const struct jwt_key *key = NULL;
    for (unsigned i = 0; i < count && key == NULL; i++) {
        key = str_is(value_to_str(value_get(header, "kid")), keys[i]->id) ? keys[i] : NULL;
    }
    if (key == NULL || !is_signature(key->pair, text, signature.data)) {
        return no_token(err, "none of the cluster's keys has signed it");
    }
    struct value *v = read_part(a, body);
    if (v == NULL) {
        return no_token(err, "its claims are no JSON");
    }
    *claims = v;
    return 0;
}

bool jwt_read(struct str token, struct arena *a, struct value **claims, struct str *key_id)
{
    struct str rest = token;
    if (token.n > JWT_SIZE_MAX) {
        return false;
    }
    struct value *header = read_part(a, next_part(&rest));
    *claims = read_part(a, next_part(&rest));
    *key_id = value_to_str(value_get(header, "kid"));
    return header != NULL && *claims != NULL && rest.n > 0 && memchr(rest.p, '.', rest.n) == NULL;
}

bool jwt_life(struct str token, int64_t *issued_s, int64_t *expires_s)
{
    CLEANUP_ARENA struct arena a;
    struct str rest = token;
    arena_init(&a);
    if (token.n > JWT_SIZE_MAX) {
        return false;
    }
    next_part(&rest);
    const struct value *claims = read_part(&a, next_part(&rest));
    const struct value *iat = value_get(claims, "iat"), *exp = value_get(claims, "exp");
    if (iat == NULL || exp == NULL || iat->type != VALUE_INT || exp->type != VALUE_INT || iat->integer < 0 ||
        exp->integer <= iat->integer) {
        return false;
    }
    *issued_s = iat->integer;
    *expires_s = exp->integer;
    return true;
}

static bool is_for(const struct value *aud, const struct jwt_rules *r)
{
    for (unsigned i = 0; i < r->audiences_count; i++) {
        if (str_is(value_to_str(aud), r->audiences[i])) {
            return true;
        }
        for (unsigned k = 0; value_is_list(aud) && k < value_count(aud); k++) {
            if (str_is(value_to_str(value_item(aud, k)), r->audiences[i])) {
                return true;
            }
        }
    }
    return r->audiences_count == 0;
}

int jwt_check(const struct value *claims, const struct jwt_rules *r, struct error *err)
{
    const struct value *exp = value_get(claims, "exp"), *nbf = value_get(claims, "nbf");
    int64_t leeway = r->leeway_s;
    if (!str_is(value_to_str(value_get(claims, "iss")), r->issuer)) {
        return no_token(err, "another issuer has made it");
    }
    if (!is_for(value_get(claims, "aud"), r)) {
        return no_token(err, "it is for another audience");
    }
    if (exp == NULL || exp->type != VALUE_INT || (nbf != NULL && nbf->type != VALUE_INT)) {
        return no_token(err, "it does not say in seconds how long it is valid");
    }
    if (r->now_s - leeway >= exp->integer) {
        return no_token(err, "it has expired");
    }
    if (nbf != NULL && r->now_s + leeway < nbf->integer) {
        return no_token(err, "it is not valid yet");
    }
    return 0;
}
