/* A key in parts: any `threshold` of them give it back, fewer say nothing about it at all.
 *
 * Source: A. Shamir, "How to share a secret" (1979), over GF(256) with the polynomial of AES (x^8 + x^4 + x^3 + x + 1),
 * byte by byte. Part x holds the values at x of polynomials of degree threshold - 1 whose value at 0 is the key. With
 * threshold 1 every part is the key itself.
 *
 * Nothing here notices a wrong part: what is put together with one is another key. Whoever uses the key must notice
 * (pki_open's tag). The running time does not depend on the bytes. */
#ifndef PROTO_PKI_SHARE_H
#define PROTO_PKI_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#define PKI_SHARE_SIZE 32u
#define PKI_SHARES_MAX 255u

struct pki_share {
    uint8_t x; /* 1 to 255 */
    uint8_t y[PKI_SHARE_SIZE];
};

/* Parts 1 to count into out[0] to out[count - 1]. 1 <= threshold <= count <= PKI_SHARES_MAX. 0, or ERR_INTERNAL
 * without random bytes. */
int pki_share_split(const uint8_t key[PKI_SHARE_SIZE], unsigned threshold, unsigned count, struct pki_share *out);
/* The value at x of the polynomials through these parts: the key for x = 0, the part of x otherwise. False: two
 * parts have the same x, or one has 0. */
bool pki_share_at(const struct pki_share *parts, unsigned count, uint8_t x, uint8_t out[PKI_SHARE_SIZE]);

#endif
