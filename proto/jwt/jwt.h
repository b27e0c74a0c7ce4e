/* JSON Web Tokens, signed with ES256, as tokens of service accounts are: three parts of base64url with dots between, a
 * header, the claims, and the signature of both by a key of the curve P-256.
 *
 * A token is taken only if it is exactly what jwt_sign writes or what another issuer writes by the same rules: alg
 * ES256, a kid that is one of the keys, no critical extensions, base64url in its one form. Whether it holds now and
 * here (issuer, audience, times) is asked of the claims (jwt_check); whether what it speaks of still exists is the
 * caller's business. No error text has a part of a token in it.
 *
 * Source: RFC 7515 (signatures), 7517 and 7638 (keys and what they are called by), 7518 section 3.4 (ES256), 7519
 * (claims), and RFC 8725 for what not to take. */
#ifndef PROTO_JWT_JWT_H
#define PROTO_JWT_JWT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/value.h"

#define JWT_SIZE_MAX   (16u << 10) /* of a token; Kubernetes' have about 1 KiB */
#define JWT_VALUES_MAX 128u        /* of its claims, and of its header: how much a look at one of anybody's costs */

struct jwt_key;
int jwt_key_make(struct jwt_key **out, struct error *err); /* a new pair */
/* A private key (PKCS#8 or SEC 1) or a public one, as PEM. ERR_INVALID: it is neither, or not of P-256. */
int jwt_key_parse(const char *pem, struct jwt_key **out, struct error *err);
/* The key as PEM; the caller wipes what has the private half. False: it has no private half. */
bool jwt_key_write_private(const struct jwt_key *k, struct buf *out);
void jwt_key_write_public(const struct jwt_key *k, struct buf *out);
void jwt_key_free(struct jwt_key *k); /* NULL is fine */
/* What the key is called in tokens (kid): the thumbprint of its public half (RFC 7638). Borrowed from the key. */
const char *jwt_key_id(const struct jwt_key *k);
bool jwt_key_can_sign(const struct jwt_key *k); /* it has the private half */
/* The public half for a JSON Web Key Set: kty, crv, x, y, use, alg, kid. */
struct value *jwt_key_to_jwk(const struct jwt_key *k, struct arena *a);

/* Appends the token. The key can sign. ERR_TOO_LARGE: it would have more than JWT_SIZE_MAX bytes, or its claims more
 * than JWT_VALUES_MAX values; such a one is nobody's. */
int jwt_sign(const struct jwt_key *k, const struct value *claims, struct buf *out, struct error *err);
/* The claims of a token that one of the keys has signed. ERR_UNAUTHORIZED: it is none, or none of theirs. */
int jwt_verify(struct str token, const struct jwt_key *const *keys, unsigned count, struct arena *a,
               struct value **claims, struct error *err);
/* What a token says, and which key it names ("": none): nothing is verified, so nothing of it is true. For who has to
 * know what a token is about before it is worth a look at its signature, or has it from somebody who is believed. The
 * claims are in the arena. False: it is not three parts, or header or claims are no map. */
bool jwt_read(struct str token, struct arena *a, struct value **claims, struct str *key_id);

struct jwt_rules {
    const char *issuer;           /* iss must be this */
    const char *const *audiences; /* aud must have one of these */
    unsigned audiences_count;     /* 0: any */
    int64_t now_s;                /* since the epoch */
    unsigned leeway_s;            /* how much the issuer's clock may differ */
};
/* When a token was issued and when it ends, in seconds since the epoch, as its own claims say: nothing is verified. For
 * its holder, who has it from the issuer. False: it is no token, or says no life of more than 0 seconds. */
bool jwt_life(struct str token, int64_t *issued_s, int64_t *expires_s);
/* Do these claims hold? exp must be there. ERR_UNAUTHORIZED says which does not. */
int jwt_check(const struct value *claims, const struct jwt_rules *rules, struct error *err);

#endif
