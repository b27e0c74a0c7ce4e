#include "proto/pki/share.h"

#include <assert.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

/* No tables and no branches on the operands. */
static uint8_t times(uint8_t a, uint8_t b)
{
    unsigned x = a, product = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
        product ^= x & (0u - ((unsigned)b >> bit & 1u));
        x = (x << 1) ^ (0x11bu & (0u - (x >> 7 & 1u)));
    }
    return (uint8_t)product;
}

/* a to the 254th is its inverse; 0 gives 0. */
static uint8_t inverse(uint8_t a)
{
    uint8_t result = 1, power = a;
    for (unsigned bit = 1; bit < 8; bit++) { /* 254 = 2 + 4 + ... + 128 */
        power = times(power, power);
        result = times(result, power);
    }
    return result;
}

int pki_share_split(const uint8_t key[PKI_SHARE_SIZE], unsigned threshold, unsigned count, struct pki_share *out)
{
    assert(threshold >= 1 && threshold <= count && count <= PKI_SHARES_MAX);
    uint8_t terms[PKI_SHARES_MAX]; /* of one byte's polynomial, but for the first */
    for (unsigned i = 0; i < count; i++) {
        out[i].x = (uint8_t)(i + 1);
    }
    for (unsigned at = 0; at < PKI_SHARE_SIZE; at++) {
        if (threshold > 1 && RAND_bytes(terms, (int)threshold - 1) != 1) {
            mem_wipe(out, count * sizeof *out);
            return ERR_INTERNAL;
        }
        for (unsigned i = 0; i < count; i++) {
            uint8_t value = 0;
            for (unsigned term = threshold - 1; term > 0; term--) {
                value = times((uint8_t)(value ^ terms[term - 1]), out[i].x);
            }
            out[i].y[at] = (uint8_t)(value ^ key[at]);
        }
    }
    mem_wipe(terms, sizeof terms);
    return 0;
}

bool pki_share_at(const struct pki_share *parts, unsigned count, uint8_t x, uint8_t out[PKI_SHARE_SIZE])
{
    uint8_t sum[PKI_SHARE_SIZE] = {0};
    for (unsigned i = 0; i < count; i++) {
        uint8_t weight = 1; /* Lagrange's */
        for (unsigned j = 0; j < count; j++) {
            if (j != i) {
                uint8_t distance = parts[i].x ^ parts[j].x;
                if (distance == 0) {
                    return false;
                }
                weight = times(weight, times(x ^ parts[j].x, inverse(distance)));
            }
        }
        if (parts[i].x == 0) {
            return false;
        }
        for (unsigned at = 0; at < PKI_SHARE_SIZE; at++) {
            sum[at] ^= times(weight, parts[i].y[at]);
        }
    }
    memcpy(out, sum, sizeof sum);
    mem_wipe(sum, sizeof sum);
    return true;
}
