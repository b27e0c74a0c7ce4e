#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/mem.h"
#include "proto/pki/pki.h"

#define NONCE_SIZE 12
#define TAG_SIZE   16
_Static_assert(NONCE_SIZE + TAG_SIZE == PKI_SEAL_OVERHEAD, "layout of a sealed text");

int pki_seal(const uint8_t key[PKI_SEAL_KEY_SIZE], struct str aad, struct str plain, struct buf *out)
{
    assert(key != NULL && out != NULL);
    if (plain.n > INT_MAX || aad.n > INT_MAX) {
        return ERR_TOO_LARGE;
    }
    uint8_t *p = buf_reserve(out, PKI_SEAL_OVERHEAD + plain.n);
    uint8_t *nonce = p, *tag = p + NONCE_SIZE, *text = tag + TAG_SIZE;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, tail = 0;
    bool ok = ctx != NULL && RAND_bytes(nonce, NONCE_SIZE) == 1 &&
              EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
              (aad.n == 0 || EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)aad.p, (int)aad.n) == 1);
    n = 0;
    ok = ok && (plain.n == 0 || EVP_EncryptUpdate(ctx, text, &n, (const uint8_t *)plain.p, (int)plain.n) == 1) &&
         EVP_EncryptFinal_ex(ctx, text + n, &tail) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        return ERR_INTERNAL;
    }
    assert((size_t)(n + tail) == plain.n);
    out->size += PKI_SEAL_OVERHEAD + plain.n;
    return 0;
}

int pki_open(const uint8_t key[PKI_SEAL_KEY_SIZE], struct str aad, struct str sealed, struct buf *out)
{
    assert(key != NULL && out != NULL);
    if (sealed.n < PKI_SEAL_OVERHEAD) {
        return ERR_CORRUPT;
    }
    size_t size = sealed.n - PKI_SEAL_OVERHEAD;
    if (size > INT_MAX || aad.n > INT_MAX) {
        return ERR_TOO_LARGE;
    }
    const uint8_t *nonce = (const uint8_t *)sealed.p, *tag = nonce + NONCE_SIZE, *text = tag + TAG_SIZE;
    uint8_t *p = buf_reserve(out, size + 1);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, tail = 0;
    bool ok = ctx != NULL && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
              (aad.n == 0 || EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)aad.p, (int)aad.n) == 1);
    n = 0;
    ok = ok && (size == 0 || EVP_DecryptUpdate(ctx, p, &n, text, (int)size) == 1) &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, (void *)tag) == 1 &&
         EVP_DecryptFinal_ex(ctx, p + n, &tail) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        mem_wipe(p, size); /* unauthenticated text goes nowhere */
        return ERR_CORRUPT;
    }
    out->size += size;
    return 0;
}
